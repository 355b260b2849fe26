//! A tree of per-item folders, or one folder (R1).
//!
//! Lives here: listing items. Beside it: `walk` (entries in order), `node` (metadata), `file` (content), `exclude`.
//! May not: anything about repositories beyond restic's node.
//! Invariant: no symbolic link is ever followed below the configured path, by opening one component at a time
//! relative to the folder that holds it, with `O_NOFOLLOW`. The configured path itself is the administrator's word.

mod exclude;
mod file;
mod node;
mod walk;

use std::{
    ffi::OsStr,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::naming::{escape, unescape};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

pub use self::exclude::glob;
use self::{exclude::Excludes, walk::names};
pub use self::{
    file::{FileReader, Listed},
    walk::{Step, Walk},
};
use super::Tally;
use crate::{
    EngineError, ErrorKind, Result,
    job::{DirectoryConfig, DirectoryItems},
};

/// How every folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The driver.
pub struct Directory {
    config: DirectoryConfig,
    excludes: Arc<Excludes>,
}

/// What a listing found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names of the items in the reversible text form, sorted by their bytes.
    pub items: Vec<String>,
    /// Names beside the item folders that belong to no item: loose files and links. They are not backed up.
    pub loose: Vec<String>,
}

impl Listing {
    /// Sorts a name by what was found under it. One that cannot be looked at, as on a dead mount, is taken for an item:
    /// that it cannot be opened is then this item's failure and nobody else's.
    fn add(&mut self, name: String, looked: std::result::Result<FileType, Errno>) {
        match looked {
            Ok(FileType::Directory) => self.items.push(name),
            Ok(_) => self.loose.push(name),
            Err(Errno::NOENT) => {}
            Err(_) => self.items.push(name),
        }
    }
}

impl Directory {
    /// # Errors
    /// `Invalid` for an exclude pattern that cannot be read or a path that is not absolute.
    pub fn new(config: DirectoryConfig) -> Result<Self> {
        if !config.path.is_absolute() {
            return Err(EngineError::new(ErrorKind::Invalid, format!("path {}: give an absolute path", config.path.display())));
        }
        let excludes = Arc::new(Excludes::new(&config.exclude)?);
        Ok(Self { config, excludes })
    }

    /// Lists the items that are there now.
    pub fn list(&self) -> Result<Listing> {
        let at = |e: std::io::Error| EngineError::io("the source's folder", &self.config.path, e);
        let root = self.root()?;
        if self.config.items == DirectoryItems::Itself {
            return Ok(Listing { items: vec![escape(self.own_name().as_bytes())], loose: Vec::new() });
        }
        let mut found = Listing::default();
        let base = self.config.path.as_os_str().as_bytes();
        for name in names(&root).map_err(at)? {
            if self.excludes.hit(base, &[], name.as_bytes()) {
                continue;
            }
            let looked = rustix::fs::statat(&root, &name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode));
            found.add(escape(name.as_bytes()), looked);
        }
        Ok(found)
    }

    /// Reads the given items into one tree that has a folder for each of them at its root. `tally` has the same
    /// items in the same order, sorted by their bytes.
    pub fn walk(&self, tally: Arc<Tally>) -> Result<Walk> {
        let mut items = Vec::with_capacity(tally.items.len());
        for item in &tally.items {
            let name = unescape(&item.name).map(std::ffi::OsString::from_vec);
            let name = name.filter(|n| !n.is_empty() && n != "." && n != ".." && !n.as_bytes().contains(&b'/'));
            let name = name.ok_or_else(|| EngineError::new(ErrorKind::Invalid, format!("item {}: this is not the name of an item", item.name)))?;
            items.push(name);
        }
        if !Path::new("/proc/self/fd").exists() {
            return Err(EngineError::new(ErrorKind::Invalid, "/proc is not mounted; extended attributes could not be saved without it"));
        }
        Ok(Walk::new(self.root()?, &self.config, items, self.excludes.clone(), tally))
    }

    /// Whether a walk would come upon `path`: it lies below the configured path and is not excluded.
    pub fn reads(&self, path: &Path) -> bool {
        let Ok(inside) = path.strip_prefix(&self.config.path) else { return false };
        let names: Vec<&[u8]> = inside.components().map(|c| c.as_os_str().as_bytes()).collect();
        let base = self.config.path.as_os_str().as_bytes();
        !(0..names.len()).any(|i| self.excludes.hit(base, &names[..i], names[i]))
    }

    /// The item's absolute path, as it is written into its snapshot.
    pub fn path_of(&self, item: &str) -> PathBuf {
        match self.config.items {
            DirectoryItems::Itself => self.config.path.clone(),
            DirectoryItems::Children => self.config.path.join(OsStr::from_bytes(&unescape(item).unwrap_or_default())),
        }
    }

    fn own_name(&self) -> &OsStr {
        self.config.path.file_name().unwrap_or(OsStr::new("root"))
    }

    /// The configured path. Links on the way to it are the administrator's and are followed.
    fn root(&self) -> Result<OwnedFd> {
        rustix::fs::open(&self.config.path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|e| EngineError::io("the source's folder", &self.config.path, e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_looked_at_is_an_item_that_will_fail() {
        let mut found = Listing::default();
        found.add("ada".into(), Ok(FileType::Directory));
        found.add("file".into(), Ok(FileType::RegularFile));
        found.add("gone".into(), Err(Errno::NOENT));
        for (name, e) in [("stale", Errno::STALE), ("unconnected", Errno::NOTCONN), ("denied", Errno::ACCESS)] {
            found.add(name.into(), Err(e));
        }
        assert_eq!((found.items.join(" "), found.loose.join(" ")), ("ada stale unconnected denied".to_owned(), "file".to_owned()));
    }
}
