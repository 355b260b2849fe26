//! Where a file is cut into pieces.
//!
//! The cuts must be those of restic and rustic_core for the same polynomial, or nothing that they wrote would be
//! found again. Small files are one piece and need no rolling hash; its tables are made once for all files.
//! Source: restic's chunker, and `chunker/rabin.rs` of rustic_core, whose calls are repeated here one by one.
//!
//! Lives here: reading a file piece by piece. May not: what happens with a piece.

use std::io::{self, Read};

use rustic_cdc::{Rabin64, RollingHash64 as _};
use rustic_core::repofile::{Chunker as Kind, ConfigFile};

use super::super::from_rustic;
use crate::Result;

/// Bytes that the rolling hash looks back on.
const WINDOW: usize = 64;

/// Bytes that are read at a time once a cut may come.
const BLOCK: usize = 1 << 16;

/// One thread's chunker with its buffer, which is used for all files.
#[derive(Clone)]
pub struct Chunker {
    rabin: Option<Rabin64>,
    mask: u64,
    min: usize,
    max: usize,
    /// Begins with the current piece.
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read from the file.
    have: usize,
    /// Length of the piece that was handed out last.
    piece: usize,
}

impl Chunker {
    /// # Errors
    /// `Internal` where the repository's config is not one that this version understands.
    pub fn new(config: &ConfigFile) -> Result<Self> {
        let (size, min, max) = (config.chunk_size(), config.chunk_min_size(), config.chunk_max_size());
        let rabin = match config.chunker() {
            Kind::Rabin => Some(Rabin64::new_with_polynom(6, &config.poly().map_err(from_rustic)?)),
            Kind::FixedSize => None,
        };
        let (min, max) = if rabin.is_some() { (min.max(WINDOW), max.max(min)) } else { (size, size) };
        Ok(Self { rabin, mask: size as u64 - 1, min, max, buffer: Vec::new(), have: 0, piece: 0 })
    }

    /// Forgets the file before.
    pub fn start(&mut self) {
        (self.have, self.piece) = (0, 0);
    }

    /// The next piece of `file`; `None` at its end.
    pub fn next(&mut self, file: &mut impl Read) -> io::Result<Option<&[u8]>> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; self.max];
        }
        self.buffer.copy_within(self.piece..self.have, 0);
        self.have -= self.piece;
        self.piece = self.cut(file)?;
        Ok((self.piece > 0).then(|| &self.buffer[..self.piece]))
    }

    fn cut(&mut self, file: &mut impl Read) -> io::Result<usize> {
        while self.have < self.min {
            if self.read(file, self.min)? == 0 {
                return Ok(self.have);
            }
        }
        let mut at = self.min;
        let Some(mut rabin) = self.rabin.take() else { return Ok(at) };
        rabin.reset_and_prefill_window(&mut self.buffer[at - WINDOW..at].iter().copied());
        let done = loop {
            if rabin.hash & self.mask == 0 || at == self.max {
                break Ok(at);
            }
            if at == self.have {
                match self.read(file, (at + BLOCK).min(self.max)) {
                    Ok(0) => break Ok(at),
                    Ok(_) => {}
                    Err(e) => break Err(e),
                }
            }
            rabin.slide(self.buffer[at]);
            at += 1;
        };
        self.rabin = Some(rabin);
        done
    }

    /// Reads up to the place `until` of the buffer. Zero at the end of the file.
    fn read(&mut self, file: &mut impl Read, until: usize) -> io::Result<usize> {
        loop {
            match file.read(&mut self.buffer[self.have..until]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(n) => {
                    self.have += n;
                    return Ok(n);
                }
                Err(e) => return Err(e),
            }
        }
    }
}
