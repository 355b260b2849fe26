//! Where a file is cut into pieces.
//!
//! The cuts must be those of restic and rustic_core for the same polynomial, or nothing that they wrote would be
//! found again. Small files are one piece and need no rolling hash; its tables are made once for all files.
//! Source: restic's chunker (`chunker.go`): a piece ends behind the first byte, from the smallest size on, at which the
//! hash of the last 64 bytes has zeros in all places of the mask.
//!
//! Lives here: reading a file piece by piece. May not: what happens with a piece.

use std::{
    io::{self, Read},
    sync::Arc,
};

use rustic_cdc::{Polynom as _, Polynom64, Rabin64};
use rustic_core::repofile::{Chunker as Kind, ConfigFile};

use super::super::from_rustic;
use crate::Result;

/// Bytes that the rolling hash looks back on.
const WINDOW: usize = 64;

/// Bytes that are read at a time once a cut may come.
const BLOCK: usize = 1 << 17;

/// Stretches of a block that are hashed side by side: one alone leaves the processor waiting for its tables.
const LANES: usize = 4;

/// The rolling hash: a polynomial over the bits of the window, modulo an irreducible one.
struct Rabin {
    /// What a byte is worth that leaves the window.
    gone: [Polynom64; 256],
    /// What brings a hash that has grown by a byte back below the modulus, by its topmost byte.
    reduce: [Polynom64; 256],
    shift: u32,
    mask: u64,
}

impl Rabin {
    fn new(modulus: Polynom64, mask: u64) -> Self {
        Self {
            gone: Rabin64::calculate_out_table(WINDOW, &modulus),
            reduce: Rabin64::calculate_mod_table(&modulus),
            shift: modulus.degree().unsigned_abs() - 8,
            mask,
        }
    }

    fn push(&self, hash: u64, byte: u8) -> u64 {
        ((hash << 8) | u64::from(byte)) ^ self.reduce[usize::from((hash >> self.shift) as u8)]
    }

    fn slide(&self, hash: u64, out: u8, byte: u8) -> u64 {
        self.push(hash ^ self.gone[usize::from(out)], byte)
    }

    const fn cuts(&self, hash: u64) -> bool {
        hash & self.mask == 0
    }

    /// The hash of one window.
    fn of(&self, window: &[u8]) -> u64 {
        window.iter().fold(0, |hash, byte| self.push(hash, *byte))
    }

    /// How many bytes behind the first window of `bytes` the first cut is, if there is one.
    fn first_cut(&self, bytes: &[u8]) -> Option<usize> {
        let new = bytes.len() - WINDOW;
        let stretch = new / LANES;
        // Each lane begins with the window before its stretch.
        let lanes: [(&[u8], &[u8]); LANES] =
            std::array::from_fn(|n| (&bytes[n * stretch..(n + 1) * stretch], &bytes[n * stretch + WINDOW..(n + 1) * stretch + WINDOW]));
        let mut hashes: [u64; LANES] = std::array::from_fn(|n| self.of(&bytes[n * stretch..n * stretch + WINDOW]));
        let mut found = None;
        for at in 0..stretch {
            let mut any = false;
            for ((out, byte), hash) in lanes.iter().zip(&mut hashes) {
                *hash = self.slide(*hash, out[at], byte[at]);
                any |= self.cuts(*hash);
            }
            if any && let Some(n) = (0..found.map_or(LANES, |(n, _)| n)).find(|n| self.cuts(hashes[*n])) {
                // What a later lane finds counts only if none before it finds anything.
                found = Some((n, at + 1));
                if n == 0 {
                    break;
                }
            }
        }
        if let Some((n, at)) = found {
            return Some(n * stretch + at);
        }
        let mut hash = hashes[LANES - 1];
        (LANES * stretch..new).find_map(|at| {
            hash = self.slide(hash, bytes[at], bytes[at + WINDOW]);
            self.cuts(hash).then_some(at + 1)
        })
    }
}

/// One thread's chunker with its buffer, which is used for all files.
#[derive(Clone)]
pub struct Chunker {
    /// `None` where all pieces but a file's last are of one size.
    rabin: Option<Arc<Rabin>>,
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
            Kind::Rabin => Some(Arc::new(Rabin::new(config.poly().map_err(from_rustic)?, size as u64 - 1))),
            Kind::FixedSize => None,
        };
        let (min, max) = if rabin.is_some() { (min.max(WINDOW), max.max(min)) } else { (size, size) };
        Ok(Self { rabin, min, max, buffer: Vec::new(), have: 0, piece: 0 })
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
        let Some(rabin) = self.rabin.clone() else { return Ok(at) };
        if rabin.cuts(rabin.of(&self.buffer[at - WINDOW..at])) {
            return Ok(at);
        }
        while at < self.max {
            if at == self.have && self.read(file, (at + BLOCK).min(self.max))? == 0 {
                break;
            }
            let end = self.have.min(self.max);
            if let Some(after) = rabin.first_cut(&self.buffer[at - WINDOW..end]) {
                return Ok(at + after);
            }
            at = end;
        }
        Ok(at)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As restic does it, byte by byte: a window that begins with a one, and no look at the hash below the smallest size.
    fn plain_cuts(bytes: &[u8], min: usize, max: usize, mask: u64, modulus: Polynom64) -> Vec<usize> {
        let rabin = Rabin::new(modulus, mask);
        let (mut cuts, mut start) = (Vec::new(), 0);
        while start < bytes.len() {
            let (mut window, mut at, mut hash, mut count) = ([0_u8; WINDOW], 1, rabin.push(0, 1), min - WINDOW);
            window[0] = 1;
            for byte in bytes.iter().skip(start + min - WINDOW) {
                hash = rabin.slide(hash, std::mem::replace(&mut window[at], *byte), *byte);
                (at, count) = ((at + 1) % WINDOW, count + 1);
                if count >= min && (hash & mask == 0 || count >= max) {
                    break;
                }
            }
            start = bytes.len().min(start + count.max(min));
            cuts.push(start);
        }
        cuts
    }

    #[test]
    fn lanes_cut_where_one_byte_after_the_other_cuts() {
        let modulus = 0x003D_A335_8B4D_C173;
        let mut x = 1_u64;
        let mut noise = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 56) as u8
        };
        let mut bytes: Vec<u8> = (0..3_000_000).map(|_| noise()).collect();
        bytes[500_000..700_000].fill(0);
        // Small pieces, so that many cuts fall into every lane, into one block, and just behind the smallest size.
        for (min, max, bits) in [(WINDOW, 100_000, 10), (1_000, 5_000, 12), (4_096, 400_000, 15), (100_000, 1_000_000, 17)] {
            let mask = (1 << bits) - 1;
            let rabin = Some(Arc::new(Rabin::new(modulus, mask)));
            let mut chunker = Chunker { rabin, min, max, buffer: Vec::new(), have: 0, piece: 0 };
            let (mut file, mut cuts, mut at) = (&bytes[..], Vec::new(), 0);
            chunker.start();
            while let Some(piece) = chunker.next(&mut file).unwrap() {
                assert!(*piece == bytes[at..at + piece.len()]);
                at += piece.len();
                cuts.push(at);
            }
            assert_eq!(cuts, plain_cuts(&bytes, min, max, mask, modulus), "{min} {max} {bits}");
        }
    }
}
