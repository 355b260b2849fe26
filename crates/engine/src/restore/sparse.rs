//! Files with holes.
//!
//! Lives here: reading pieces, finding holes, writing around zeros. May not: deciding what is written.
//! Invariant: what is read back is what was handed over, wherever zeros were left out.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{self, SeekFrom},
    io::Errno,
};

/// Zeros that are left out when they fill so many bytes on a boundary of the same size.
const BLOCK: usize = 4096;
/// Fewer zeros than this are written: a hole would cost more than it saves.
const SMALLEST_HOLE: usize = 4 * BLOCK;

/// Whether nothing was ever written between `at` and `at + size`.
pub fn is_hole(fd: &OwnedFd, at: u64, size: u64) -> bool {
    match fs::seek(fd, SeekFrom::Data(at)) {
        Ok(data) => data >= at + size,
        Err(e) => e == Errno::NXIO,
    }
}

/// Reads `size` bytes from `at` on, piece by piece. A file that ends earlier is an error.
pub fn read_exactly(fd: &OwnedFd, at: u64, size: u64, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> std::result::Result<(), Errno> {
    let mut done = 0;
    while done < size {
        let want = buffer.len().min(usize::try_from(size - done).unwrap_or(usize::MAX));
        match rustix::io::pread(fd, &mut buffer[..want], at + done) {
            Ok(0) => return Err(Errno::NODATA),
            Ok(n) => {
                each(&buffer[..n]);
                done += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

pub fn is_zero(data: &[u8]) -> bool {
    // Equal to itself shifted by one means that all bytes are the first one.
    data.first().is_none_or(|b| *b == 0) && data.get(1..).is_none_or(|rest| rest == &data[..rest.len()])
}

fn write_all(fd: &OwnedFd, mut data: &[u8], mut at: u64) -> std::result::Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::pwrite(fd, data, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => {
                data = &data[n..];
                at += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes `data` at `at` but leaves out long runs of zeros. Says whether it left out any.
pub fn write_around_zeros(fd: &OwnedFd, data: &[u8], at: u64) -> std::result::Result<bool, Errno> {
    let lead = (at.next_multiple_of(BLOCK as u64) - at) as usize;
    let (mut from, mut hole) = (0, false);
    let mut n = lead.min(data.len());
    while n + SMALLEST_HOLE <= data.len() {
        if data[n] != 0 || !is_zero(&data[n..n + BLOCK]) {
            n += BLOCK;
            continue;
        }
        let start = n;
        while n + BLOCK <= data.len() && is_zero(&data[n..n + BLOCK]) {
            n += BLOCK;
        }
        if n - start >= SMALLEST_HOLE {
            write_all(fd, &data[from..start], at + from as u64)?;
            (from, hole) = (n, true);
        }
    }
    write_all(fd, &data[from..], at + from as u64)?;
    Ok(hole)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn zeros_become_holes_and_the_rest_stays() {
        let mut data = vec![1_u8; 300_000];
        for range in [5_000..9_000, 20_000..150_000, 200_000..216_383, 280_000..300_000] {
            data[range].fill(0);
        }
        for at in [0, 1, 4095, 4096, 12_345] {
            let file = tempfile::tempfile().unwrap();
            let fd = OwnedFd::from(file.try_clone().unwrap());
            assert!(write_around_zeros(&fd, &data, at).unwrap());
            file.set_len(at + data.len() as u64).unwrap();
            let mut back = vec![9; data.len()];
            file.read_exact_at(&mut back, at).unwrap();
            assert!(back == data, "at {at}");
            assert!(file.metadata().unwrap().blocks() * 512 < 220_000, "at {at}: the long runs take no room");
        }
        assert!(is_zero(&[]) && is_zero(&[0]) && is_zero(&[0; 9]) && !is_zero(&[1]) && !is_zero(&[0, 0, 1]) && !is_zero(&[1, 1]));
    }
}
