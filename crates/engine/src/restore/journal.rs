//! The journal of a commit: every change to a target, written down before the first of them is made.
//!
//! Lives here: its lines, writing it whole, reading it. May not: making or undoing the changes.
//! Invariants: under its final name the journal is complete and on the disk; while it stands there, the target may be
//! half-changed and can be put back; once it is renamed to [`COMMITTED`], the target holds the restore and what was
//! replaced may be removed.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
};

use domain::naming::{escape, unescape};
use rustic_core::repofile::Metadata;
use rustix::fs::{self, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::{meta::Before, place::Stage, target::fail};
use crate::{EngineError, ErrorKind, Result};

pub const JOURNAL: &str = "journal";
pub const COMMITTED: &str = "committed";
pub const DRAFT: &str = "journal.new";

/// One change. Paths are relative to the target, in the text form of names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// A folder above the target is made. The path is relative to what the staging folder lies in.
    Make { path: String },
    /// The target, or a name in it that is free, is filled with what is staged. `ino` is the inode of what is staged.
    Place { path: String, ino: u64 },
    /// What is staged and what is there change places.
    Swap { path: String, ino: u64, old: u64, n: u64 },
    /// A folder that is there keeps or changes its metadata; its times change in any case.
    Folder { path: String, before: Before, after: Option<Box<Metadata>> },
}

/// The bytes of a path in the journal.
pub fn bytes(path: &str) -> Result<Vec<u8>> {
    unescape(path).ok_or_else(|| damaged(&"a path cannot be read"))
}

pub fn text(path: &[u8]) -> String {
    escape(path)
}

fn damaged(e: &dyn std::fmt::Display) -> EngineError {
    EngineError::new(ErrorKind::Damaged, format!("the restore's journal: {e}"))
}

/// A journal that is being written.
pub struct Draft {
    out: BufWriter<File>,
}

impl Draft {
    pub fn start(stage: &Stage) -> Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = stage.base.open_at(&stage.path(DRAFT), flags, Mode::RUSR | Mode::WUSR).map_err(|e| fail("write", "the restore's journal", e))?;
        Ok(Self { out: BufWriter::new(File::from(file)) })
    }

    pub fn add(&mut self, op: &Op) -> Result<()> {
        let written = serde_json::to_writer(&mut self.out, op).map_err(std::io::Error::from).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|e| EngineError::io("write", std::path::Path::new("the restore's journal"), e))
    }

    /// Writes out what is buffered. The caller synchronises the file system and then calls [`rename`].
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|e| EngineError::io("write", std::path::Path::new("the restore's journal"), e))
    }
}

/// Gives a file of the staging folder another name.
pub fn rename(stage: &Stage, from: &str, to: &str) -> Result<()> {
    let act = || {
        let dir = stage.base.dir(&stage.sub)?;
        fs::renameat(&dir, from, &dir, to)
    };
    act().map_err(|e| fail("write", "the restore's journal", e))
}

/// Whether the staging folder holds a file of this name.
pub fn has(stage: &Stage, name: &str) -> Result<bool> {
    Ok(stage.base.look(&stage.path(name)).map_err(|e| fail("look for", "the restore's journal", e))?.is_some())
}

/// Reads the journal from its start.
pub fn each(stage: &Stage, each: &mut dyn FnMut(Op) -> Result<()>) -> Result<()> {
    let file = stage.base.open_at(&stage.path(JOURNAL), OFlags::RDONLY, Mode::empty()).map_err(|e| fail("read", "the restore's journal", e))?;
    for line in BufReader::new(File::from(file)).lines() {
        let line = line.map_err(|e| damaged(&e))?;
        each(serde_json::from_str(&line).map_err(|e| damaged(&e))?)?;
    }
    Ok(())
}
