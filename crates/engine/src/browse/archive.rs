//! A folder, a file or a choice of them as one zip or tar stream.
//!
//! Lives here: writing both formats. May not: reading repositories other than through a [`Browser`].
//! Invariants: nothing is kept but one blob and the path to the current folder (and, for zip, its table of contents);
//! every name in an archive is relative and leads nowhere but below the place where it is unpacked.

use std::{
    cell::Cell,
    io::{self, Read, Write},
};

use domain::naming::escape;
use rustic_core::repofile::Node;

use super::{
    Trees,
    browser::{Browser, File, Place},
    diff::MAX_DEPTH,
    trees::node_name,
};
use crate::{EngineError, ErrorKind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Zip,
    Tar,
}

/// Writes what stands under `paths` of the tree into `out`. No path at all means everything.
///
/// Names start below the folder that all paths share. Files, folders and symbolic links are written with their
/// permissions and times; tar keeps owners' numbers and names of any bytes, zip has `%XX` for what it cannot hold. Sockets, pipes and devices are left out, and so are names that would lead out of a folder.
///
/// # Errors
/// `NotFound` where nothing stands under a path; `Damaged`; `Cancelled` where `out` takes no more.
pub fn archive(browser: &Browser, tree: &str, paths: &[String], format: Format, out: impl Write) -> Result<()> {
    let whole = [String::new()];
    let paths = if paths.is_empty() { &whole[..] } else { paths };
    let shared = shared_folder(paths);
    match format {
        Format::Tar => {
            let mut tar = tar::Builder::new(out);
            each(browser, tree, paths, shared, &mut |path, node, file| into_tar(&mut tar, browser, path, node, file.as_ref()))?;
            tar.into_inner().and_then(|mut w| w.flush()).map_err(stopped)
        }
        Format::Zip => {
            let broken = Cell::new(false);
            let mut zip = zip::ZipWriter::new_stream(Gate { out, broken: &broken });
            let written = each(browser, tree, paths, shared, &mut |path, node, file| into_zip(&mut zip, browser, path, node, file.as_ref()));
            broken.set(written.is_err());
            written?;
            let done = zip.finish().map_err(|e| EngineError::with_source(ErrorKind::Cancelled, "the archive could not be finished", e))?;
            done.into_inner().flush().map_err(stopped)
        }
    }
}

/// Takes nothing more once the archive is broken: a zip writer that is dropped would write a table of contents that
/// makes half an archive look whole.
struct Gate<'a, W> {
    out: W,
    broken: &'a Cell<bool>,
}

impl<W: Write> Write for Gate<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.broken.get() { Err(io::ErrorKind::BrokenPipe.into()) } else { self.out.write(buf) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

type Each<'e> = &'e mut dyn FnMut(&[u8], &Node, Option<File>) -> Result<()>;

fn each(browser: &Browser, tree: &str, paths: &[String], shared: usize, each: Each) -> Result<()> {
    for path in paths {
        let place = browser.find(tree, path)?.ok_or_else(|| EngineError::new(ErrorKind::NotFound, path.clone()))?;
        let mut at = Vec::new();
        for name in parts(path).skip(shared) {
            push(&mut at, &domain::naming::unescape(name).unwrap_or_default());
        }
        match &place {
            Place::Node(node) if !node.is_dir() => leaf(browser, node, &at, each)?,
            Place::Node(node) => {
                each(&at, node, None)?;
                folder(browser, &place, &mut at, 0, each)?;
            }
            Place::Folder(_) => folder(browser, &place, &mut at, 0, each)?,
        }
    }
    Ok(())
}

fn folder(browser: &Browser, place: &Place, at: &mut Vec<u8>, depth: usize, each: Each) -> Result<()> {
    let Some(id) = place.folder().filter(|_| depth < MAX_DEPTH) else { return Ok(()) };
    let tree = browser.tree(&id)?;
    for node in &tree.nodes {
        let name = node_name(node);
        if name.is_empty() || *name == *b"." || *name == *b".." || name.iter().any(|b| matches!(b, b'/' | 0)) {
            tracing::warn!("an archive leaves out the name {}, which is not one", escape(&name));
            continue;
        }
        let length = at.len();
        push(at, &name);
        if node.is_dir() {
            each(at, node, None)?;
            folder(browser, &Place::Node(Box::new(node.clone())), at, depth + 1, each)?;
        } else {
            leaf(browser, node, at, each)?;
        }
        at.truncate(length);
    }
    Ok(())
}

fn leaf(browser: &Browser, node: &Node, at: &[u8], each: Each) -> Result<()> {
    if node.is_file() {
        each(at, node, Some(browser.file_of(node)?))
    } else if node.is_symlink() {
        each(at, node, None)
    } else {
        Ok(())
    }
}

fn push(at: &mut Vec<u8>, name: &[u8]) {
    if !at.is_empty() {
        at.push(b'/');
    }
    at.extend_from_slice(name);
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|p| !p.is_empty())
}

/// How many leading folders all paths share, the last name of each not counted.
fn shared_folder(paths: &[String]) -> usize {
    let first: Vec<&str> = paths.first().map(|p| parts(p).collect()).unwrap_or_default();
    let mut shared = first.len().saturating_sub(1);
    for path in &paths[1..] {
        let other: Vec<&str> = parts(path).collect();
        let same = first.iter().zip(&other).take_while(|(a, b)| a == b).count();
        shared = shared.min(same).min(other.len().saturating_sub(1));
    }
    shared
}

/// The content of a file as a reader.
struct Content<'a> {
    browser: &'a Browser,
    file: &'a File,
    offset: u64,
    piece: bytes::Bytes,
}

impl<'a> Content<'a> {
    const fn new(browser: &'a Browser, file: &'a File) -> Self {
        Self { browser, file, offset: 0, piece: bytes::Bytes::new() }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.browser.read(self.file, self.offset, usize::MAX).map_err(io::Error::other)?;
        }
        let taken = self.piece.split_to(self.piece.len().min(buf.len()));
        buf[..taken.len()].copy_from_slice(&taken);
        self.offset += taken.len() as u64;
        Ok(taken.len())
    }
}

/// An error of the engine that travelled through a reader, or the receiver's refusal to take more.
fn stopped(e: io::Error) -> EngineError {
    match e.downcast::<EngineError>() {
        Ok(e) => e,
        Err(e) => EngineError::with_source(ErrorKind::Cancelled, format!("the archive was not taken: {e}"), e),
    }
}

fn into_tar(tar: &mut tar::Builder<impl Write>, browser: &Browser, path: &[u8], node: &Node, file: Option<&File>) -> Result<()> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};
    let path = Path::new(OsStr::from_bytes(path));
    let mut header = tar::Header::new_gnu();
    header.set_mode(node.meta.mode.unwrap_or(if node.is_dir() { 0o755 } else { 0o644 }) & 0o7777);
    header.set_uid(node.meta.uid.unwrap_or(0).into());
    header.set_gid(node.meta.gid.unwrap_or(0).into());
    header.set_mtime(node.meta.mtime.map_or(0, |t| u64::try_from(t.as_second()).unwrap_or(0)));
    header.set_size(0);
    let done = if let Some(file) = file {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(file.bytes);
        tar.append_data(&mut header, path, Content::new(browser, file))
    } else if node.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        tar.append_link(&mut header, path, node.node_type.to_link())
    } else {
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, path, io::empty())
    };
    done.map_err(stopped)
}

fn into_zip<W: Write>(zip: &mut zip::ZipWriter<zip::write::StreamWriter<W>>, browser: &Browser, path: &[u8], node: &Node, file: Option<&File>) -> Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let name = zip_name(path);
    let mode = node.meta.mode.unwrap_or(if node.is_dir() { 0o755 } else { 0o644 }) & 0o777;
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .compression_level(Some(3))
        .unix_permissions(mode)
        .large_file(file.is_some_and(|f| f.bytes > 0xF000_0000))
        .last_modified_time(zip_time(node));
    let refused = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => stopped(e),
        other => EngineError::new(ErrorKind::Invalid, format!("{}: {other}; take the tar archive", escape(path))),
    };
    if let Some(file) = file {
        zip.start_file(name, options).map_err(refused)?;
        io::copy(&mut Content::new(browser, file), zip).map_err(stopped)?;
    } else if node.is_symlink() {
        let link = node.node_type.to_link().as_os_str().as_bytes();
        zip.add_symlink(name, String::from_utf8_lossy(link), options).map_err(refused)?;
    } else {
        zip.add_directory(name, options).map_err(refused)?;
    }
    Ok(())
}

/// Names in a zip are text, and a backslash parts folders on some systems: such bytes become `%XX`.
fn zip_name(path: &[u8]) -> String {
    use std::fmt::Write as _;
    let number = |name: &mut String, b: u8| write!(name, "%{b:02X}").unwrap_or_default();
    let mut name = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() {
                let mut buf = [0; 4];
                c.encode_utf8(&mut buf).bytes().for_each(|b| number(&mut name, b));
            } else {
                name.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| number(&mut name, *b));
    }
    name
}

/// Zip knows years from 1980 to 2107 and no zone: UTC.
fn zip_time(node: &Node) -> zip::DateTime {
    node.meta
        .mtime
        .and_then(|t| {
            let z = t.to_zoned(jiff::tz::TimeZone::UTC);
            let part = |n: i8| u8::try_from(n).unwrap_or(0);
            zip::DateTime::from_date_and_time(u16::try_from(z.year()).ok()?, part(z.month()), part(z.day()), part(z.hour()), part(z.minute()), part(z.second()))
                .ok()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_start_below_what_all_paths_share() {
        let shared = |paths: &[&str]| shared_folder(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
        assert_eq!(shared(&[""]), 0);
        assert_eq!(shared(&["a"]), 0);
        assert_eq!(shared(&["/a/b/c"]), 2);
        assert_eq!(shared(&["a/b/c", "a/b/d"]), 2);
        assert_eq!(shared(&["a/b/c", "a/b"]), 1);
        assert_eq!(shared(&["a/b/c", "x"]), 0);
    }
}
