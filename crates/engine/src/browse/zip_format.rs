//! A folder of a snapshot as a zip stream.
//!
//! Lives here: what zip can hold and how. May not: the walk.
//! Invariants: no entry can be extracted outside the folder it is extracted into, by any program on any system: names
//! are made harmless, and a symbolic link is kept only where it cannot lead out, whatever other links it passes.

use std::{
    collections::HashSet,
    io::{BufWriter, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustic_core::repofile::Node;
use zip::{
    CompressionMethod, DateTime, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

use super::archive::{Archived, Content, Writer, reader_gone};
use crate::{
    EngineError, ErrorKind, Result,
    restore::{link_target, unix_mode},
};

/// Writes one archive with `walk`.
pub fn write<W: Write>(out: W, walk: impl FnOnce(&mut Zip<W>) -> Result<Archived>) -> Result<Archived> {
    let shut = Arc::new(AtomicBool::new(false));
    let gate = Gate { out, shut: shut.clone() };
    let mut zip = Zip { out: ZipWriter::new_stream(BufWriter::with_capacity(1 << 16, gate)), taken: HashSet::new() };
    let done = walk(&mut zip);
    shut.store(done.is_err(), Relaxed);
    let done = done?;
    zip.out.finish().map_err(bad)?.into_inner().flush().map_err(reader_gone)?;
    Ok(done)
}

/// Lets nothing through once it is shut: the library ends an archive when it is dropped, and one that broke off must
/// not look whole.
struct Gate<W> {
    out: W,
    shut: Arc<AtomicBool>,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.shut.load(Relaxed) {
            return Ok(bytes.len());
        }
        self.out.write(bytes).inspect_err(|e| self.shut.store(e.kind() != std::io::ErrorKind::Interrupted, Relaxed))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.shut.load(Relaxed) { Ok(()) } else { self.out.flush() }
    }
}

type Stream<W> = ZipWriter<StreamWriter<BufWriter<Gate<W>>>>;

pub struct Zip<W: Write> {
    out: Stream<W>,
    /// Names of the folder that is being written, as a system sees them that ignores case.
    taken: HashSet<String>,
}

fn bad(e: ZipError) -> EngineError {
    match e {
        ZipError::Io(e) => match e.downcast::<EngineError>() {
            Ok(own) => own,
            Err(e) => reader_gone(e),
        },
        e => EngineError::with_source(ErrorKind::Internal, format!("writing the zip archive: {e}"), e),
    }
}

fn options(node: Option<&Node>) -> SimpleFileOptions {
    let mut options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(3));
    if let Some(mode) = node.and_then(|n| n.meta.mode) {
        options = options.unix_permissions(unix_mode(mode) & 0o777);
    }
    if let Some(t) = node.and_then(|n| n.meta.mtime) {
        let t = t.to_zoned(jiff::tz::TimeZone::UTC);
        let part = |n: i8| u8::try_from(n).unwrap_or(0);
        let year = u16::try_from(t.year()).unwrap_or(0);
        // Years before 1980 and after 2107 cannot be written.
        if let Ok(time) = DateTime::from_date_and_time(year, part(t.month()), part(t.day()), part(t.hour()), part(t.minute()), part(t.second())) {
            options = options.last_modified_time(time);
        }
    }
    options
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A name that means nothing special to any system: what may is written as `%XX`.
fn harmless(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    let hex = |out: &mut String, bytes: &[u8]| {
        for b in bytes {
            out.push('%');
            out.push_str(&hex::encode_upper([*b]));
        }
    };
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || matches!(c, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|') {
                hex(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(c);
            }
        }
        hex(&mut out, chunk.invalid());
    }
    out
}

/// Whether a link stays inside wherever it stands: some steps up that the archive itself has folders for, then down.
///
/// No step up may follow a step down: that could pass another link, and start from elsewhere.
fn stays_inside(path: &[u8], target: &[u8]) -> bool {
    let mut room = path.split(|b| *b == b'/').count() - 1;
    let mut down = false;
    !target.is_empty()
        && target[0] != b'/'
        && !target.contains(&b'\\')
        && target.split(|b| *b == b'/').all(|step| match step {
            b"" | b"." => true,
            b".." if down || room == 0 => false,
            b".." => {
                room -= 1;
                true
            }
            _ => {
                down = true;
                true
            }
        })
}

impl<W: Write> Writer for Zip<W> {
    fn enter(&mut self) {
        self.taken.clear();
    }

    fn name(&mut self, name: &[u8]) -> Vec<u8> {
        let plain = harmless(name);
        let mut name = plain.clone();
        let mut n = 1;
        // Names that differ only in case get different ones, so that nothing is lost where case means nothing.
        while !self.taken.insert(name.to_lowercase()) {
            n += 1;
            name = format!("{plain}~{n}");
        }
        name.into_bytes()
    }

    fn dir(&mut self, path: &[u8], node: &Node) -> Result<()> {
        self.out.add_directory(text(path), options(Some(node))).map_err(bad)
    }

    fn file(&mut self, path: &[u8], node: &Node, size: u64, content: Content) -> Result<()> {
        // Deflated content may be a little longer than it was.
        let options = options(Some(node)).large_file(size >= 0xF000_0000);
        self.out.start_file(text(path), options).map_err(bad)?;
        content(&mut |piece| self.out.write_all(piece).map_err(reader_gone))
    }

    fn other(&mut self, path: &[u8], node: &Node) -> Result<std::result::Result<(), String>> {
        if !node.is_symlink() {
            return Ok(Err("zip cannot hold a pipe, device or socket; take the tar archive".to_owned()));
        }
        let Ok(target) = std::str::from_utf8(link_target(node)).map(ToOwned::to_owned) else {
            return Ok(Err("it is a symbolic link to a name that is not UTF-8; take the tar archive".to_owned()));
        };
        if !stays_inside(path, target.as_bytes()) {
            return Ok(Err(format!("it is a symbolic link that leads out of the archive, to {}", domain::naming::escape(target.as_bytes()))));
        }
        self.out.add_symlink(text(path), target, options(Some(node))).map_err(bad)?;
        Ok(Ok(()))
    }

    fn hard_link(&mut self, _: &[u8], _: &Node, _: &[u8]) -> Result<bool> {
        Ok(false)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.out.start_file(name, options(None)).map_err(bad)?;
        self.out.write_all(text.as_bytes()).map_err(reader_gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless() {
        for (name, want) in [
            (&b"plain \xc3\xbc.txt"[..], "plain ü.txt"),
            (b"..\\..\\evil", "..%5C..%5Cevil"),
            (b"C:evil", "C%3Aevil"),
            (b"new\nline", "new%0Aline"),
            (b"\xff\xfe", "%FF%FE"),
        ] {
            assert_eq!(harmless(name), want);
        }
    }

    #[test]
    fn only_links_that_stay_inside_are_kept() {
        for good in ["b", "./b", "../b", "../../b/c", ".", ".."] {
            assert!(stays_inside(b"top/a/link", good.as_bytes()), "{good}");
        }
        for bad in ["", "/etc", "../../../b", "b/..", "../b/../../../c", "..\\..\\c"] {
            assert!(!stays_inside(b"top/a/link", bad.as_bytes()), "{bad}");
        }
    }
}
