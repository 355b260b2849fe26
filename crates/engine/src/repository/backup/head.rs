//! Formats that say what they are in their first bytes.
//!
//! Lives here: the bytes. May not: reading files. Encrypted content begins with none of them.

/// So many bytes are enough to tell.
pub const HEAD: usize = 16;

const KNOWN: [&[u8]; 44] = [
    b"\x1f\x8b",           // gzip
    b"PK\x03\x04",         // zip, and the office formats
    b"PK\x05\x06",         // an empty one
    b"\x28\xb5\x2f\xfd",   // zstd
    b"\xfd7zXZ\0",         // xz
    b"BZh",                // bzip2
    b"7z\xbc\xaf\x27\x1c", // 7-Zip
    b"Rar!",               // RAR
    b"\x04\x22\x4d\x18",   // LZ4
    b"\xff\x06\0\0sNaPpY", // Snappy
    b"\x78\x01",           // zlib, and the objects of git
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"\x89PNG",
    b"\xff\xd8\xff", // JPEG
    b"GIF8",
    b"II*\0", // TIFF
    b"MM\0*",
    b"RIFF", // WebP, WAV, AVI
    b"OggS",
    b"fLaC",
    b"ID3", // MP3
    b"\xff\xfb",
    b"\x1a\x45\xdf\xa3", // Matroska, WebM
    b"%PDF",
    b"%!PS",
    b"\x89HDF", // HDF5
    b"CDF\x01", // NetCDF
    b"CDF\x02",
    b"CDF\x05",
    b"\x93NUMPY",
    b"PAR1", // Parquet
    b"ARROW1",
    b"ORC",
    b"Obj\x01", // Avro
    b"SQLite format 3",
    b"SIMPLE  =", // FITS
    b"root",      // ROOT
    b"PACK",      // a pack of git
    b"\x7fELF",
    b"\x80\x03", // Python's pickles
    b"\x80\x04",
    b"\x80\x05",
];

/// Whether a file that begins so says what it is.
pub fn is_known(head: &[u8]) -> bool {
    // The boxes of MP4 and HEIF begin with their length.
    KNOWN.iter().any(|magic| head.starts_with(magic)) || head.get(4..8) == Some(b"ftyp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_and_noise_is_not() {
        for head in [&b"\x1f\x8b\x08\0"[..], b"PK\x03\x04\x14", b"\0\0\0\x20ftypisom", b"\xff\xd8\xff\xe0\0\x10JFIF"] {
            assert!(is_known(head), "{head:?}");
        }
        // Of the hashes of numbers, which are as good as noise, hardly any looks like a format.
        let known = (0..100_000_u32).filter(|n| is_known(&<sha2::Sha256 as sha2::Digest>::digest(n.to_le_bytes()))).count();
        assert!(known < 60, "{known} of 100 000");
        assert!(!is_known(b"") && !is_known(b"{\"cells\""));
    }
}
