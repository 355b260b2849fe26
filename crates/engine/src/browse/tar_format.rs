//! A folder of a snapshot as a tar stream, in GNU format.
//!
//! Lives here: what tar can hold and how. May not: the walk.
//! Invariant: paths hold no `..` and are not absolute; what the entries' data is announced to be is what is written.

use std::io::{BufWriter, Write};

use rustic_core::repofile::{Node, NodeType};
use tar::{EntryType, Header};

use super::archive::{Archived, Content, Writer, reader_gone};
use crate::{
    EngineError, ErrorKind, Result,
    restore::{link_target, unix_mode},
};

const BLOCK: usize = 512;
/// Names longer than this stand in an entry of their own.
const SHORT: usize = 100;

/// Writes one archive with `walk`.
pub fn write<W: Write>(out: W, walk: impl FnOnce(&mut Tar<W>) -> Result<Archived>) -> Result<Archived> {
    let mut tar = Tar { out: BufWriter::with_capacity(1 << 16, out) };
    let done = walk(&mut tar)?;
    tar.out.write_all(&[0; 2 * BLOCK]).and_then(|()| tar.out.flush()).map_err(reader_gone)?;
    Ok(done)
}

pub struct Tar<W: Write> {
    out: BufWriter<W>,
}

impl<W: Write> Tar<W> {
    fn header(&mut self, path: &[u8], kind: EntryType, node: Option<&Node>, size: u64, link: &[u8]) -> Result<()> {
        if link.len() > SHORT {
            self.long(EntryType::GNULongLink, link)?;
        }
        if path.len() > SHORT {
            self.long(EntryType::GNULongName, path)?;
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if let Some(node) = node {
            let meta = &node.meta;
            if let Some(mode) = meta.mode {
                header.set_mode(unix_mode(mode));
            }
            header.set_uid(u64::from(meta.uid.unwrap_or(0)));
            header.set_gid(u64::from(meta.gid.unwrap_or(0)));
            header.set_mtime(meta.mtime.map_or(0, |t| u64::try_from(t.as_second()).unwrap_or(0)));
            // Names that do not fit are left out; the numbers stand.
            header.set_username(meta.user.as_deref().unwrap_or_default()).ok();
            header.set_groupname(meta.group.as_deref().unwrap_or_default()).ok();
            if let NodeType::Dev { device } | NodeType::Chardev { device } = node.node_type {
                let numbers = header.set_device_major(rustix::fs::major(device)).and_then(|()| header.set_device_minor(rustix::fs::minor(device)));
                numbers.map_err(reader_gone)?;
            }
        }
        if let Some(gnu) = header.as_gnu_mut() {
            copy(&mut gnu.name, path);
            copy(&mut gnu.linkname, link);
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(reader_gone)
    }

    fn long(&mut self, kind: EntryType, name: &[u8]) -> Result<()> {
        let mut header = Header::new_gnu();
        copy(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(name.len() as u64 + 1);
        header.set_cksum();
        let written = self.out.write_all(header.as_bytes()).and_then(|()| self.out.write_all(name)).and_then(|()| self.out.write_all(&[0]));
        written.map_err(reader_gone)?;
        self.pad(name.len() as u64 + 1)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let over = (size % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK][over..]).map_err(reader_gone) }
    }
}

fn copy(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

impl<W: Write> Writer for Tar<W> {
    fn enter(&mut self) {}

    fn name(&mut self, name: &[u8]) -> Vec<u8> {
        name.to_vec()
    }

    fn dir(&mut self, path: &[u8], node: &Node) -> Result<()> {
        self.header(&[path, b"/"].concat(), EntryType::Directory, Some(node), 0, &[])
    }

    fn file(&mut self, path: &[u8], node: &Node, size: u64, content: Content) -> Result<()> {
        self.header(path, EntryType::Regular, Some(node), size, &[])?;
        content(&mut |piece| self.out.write_all(piece).map_err(reader_gone))?;
        self.pad(size)
    }

    fn other(&mut self, path: &[u8], node: &Node) -> Result<std::result::Result<(), String>> {
        let kind = match node.node_type {
            NodeType::Symlink { .. } => EntryType::Symlink,
            NodeType::Fifo => EntryType::Fifo,
            NodeType::Dev { .. } => EntryType::Block,
            NodeType::Chardev { .. } => EntryType::Char,
            NodeType::Socket => return Ok(Err("a socket means something only to the program that made it".to_owned())),
            NodeType::File | NodeType::Dir => return Err(EngineError::new(ErrorKind::Internal, "a file or folder is no special file")),
        };
        let link = link_target(node);
        if link.contains(&0) || node.is_symlink() && link.is_empty() {
            return Ok(Err("it is a symbolic link that leads nowhere at all".to_owned()));
        }
        self.header(path, kind, Some(node), 0, link)?;
        Ok(Ok(()))
    }

    fn hard_link(&mut self, path: &[u8], node: &Node, first: &[u8]) -> Result<bool> {
        self.header(path, EntryType::Link, Some(node), 0, first)?;
        Ok(true)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.header(name.as_bytes(), EntryType::Regular, None, text.len() as u64, &[])?;
        self.out.write_all(text.as_bytes()).map_err(reader_gone)?;
        self.pad(text.len() as u64)
    }
}
