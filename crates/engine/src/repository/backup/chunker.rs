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

/// One thread's chunker.
#[derive(Clone)]
pub struct Chunker {
    rabin: Option<Rabin64>,
    mask: u64,
    min: usize,
    max: usize,
    /// Bytes that were read beyond the last cut.
    ahead: Vec<u8>,
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
        let (min, max) = if rabin.is_some() { (min.max(WINDOW), max) } else { (size, size) };
        Ok(Self { rabin, mask: size as u64 - 1, min, max, ahead: Vec::new() })
    }

    /// Forgets the file before.
    pub fn start(&mut self) {
        self.ahead.clear();
    }

    /// Reads the next piece into `piece`. `false` at the end of the file.
    pub fn next(&mut self, file: &mut impl Read, piece: &mut Vec<u8>) -> io::Result<bool> {
        const BLOCK: usize = 1 << 16;
        piece.clear();
        let taken = self.ahead.len().min(self.min);
        piece.extend(self.ahead.drain(..taken));
        file.take((self.min - piece.len()) as u64).read_to_end(piece)?;
        let Some(rabin) = self.rabin.as_mut().filter(|_| piece.len() == self.min) else {
            return Ok(!piece.is_empty());
        };
        rabin.reset_and_prefill_window(&mut piece[piece.len() - WINDOW..].iter().copied());
        loop {
            if self.ahead.is_empty() {
                file.take(BLOCK as u64).read_to_end(&mut self.ahead)?;
                if self.ahead.is_empty() {
                    return Ok(true);
                }
            }
            let room = self.max - piece.len();
            let mut used = 0;
            let mut cut = room == 0 || rabin.hash & self.mask == 0;
            for byte in self.ahead.iter().take(room) {
                if cut {
                    break;
                }
                rabin.slide(*byte);
                used += 1;
                cut = rabin.hash & self.mask == 0;
            }
            piece.extend(self.ahead.drain(..used));
            if cut || piece.len() == self.max {
                return Ok(true);
            }
        }
    }
}
