//! Where a restore lands, and where it is staged.
//!
//! Lives here: finding the staging folder of a target, making it, finding it again after a crash.
//! May not: what is staged, what is committed.
//! Invariants: the staging folder lies on the target's file system, belongs to this process's user and is closed to
//! others; it is found again from the target's path and its name alone.

use std::{
    collections::HashMap,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::{
    meta::timestamps,
    names::{join, refusal},
    target::{Root, fail, move_to_free, resolve},
};
use crate::{EngineError, ErrorKind, Result};

/// A restore's target, with its links taken out.
#[derive(Clone, Debug)]
pub struct Place {
    pub target: PathBuf,
    /// The staging folder's name beside (or, where that cannot be, in) the target.
    staging: String,
    /// The target's own folder in it.
    sub: Vec<u8>,
}

/// A target's staging folder, opened.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The folder that the targets beside each other share.
    pub base: Arc<Root>,
    /// What `base` lies in.
    pub anchor: PathBuf,
    /// The target's part below `base`.
    pub sub: Vec<u8>,
}

impl Stage {
    /// A path below the target's part.
    pub fn path(&self, name: &str) -> Vec<u8> {
        join(&self.sub, name.as_bytes())
    }

    /// Where a path of the target is staged.
    pub fn data(&self, path: &[u8]) -> Vec<u8> {
        join(&self.path("data"), path)
    }
}

/// Staging folders that are open, by what they lie in.
pub type Bases = HashMap<PathBuf, Arc<Root>>;

impl Place {
    /// # Errors
    /// `Invalid`, `Unsafe` and `Conflict` as [`resolve`] says.
    pub fn find(target: &Path, staging: &str) -> Result<Self> {
        if let Some(why) = refusal(staging.as_bytes()).or_else(|| (staging.len() > 100).then_some("it is too long")) {
            return Err(EngineError::new(ErrorKind::Invalid, format!("name of the staging folder: {why}")));
        }
        let target = resolve(target)?;
        let sub = hex::encode(&Sha256::digest(target.as_os_str().as_bytes())[..16]).into_bytes();
        Ok(Self { target, staging: staging.to_owned(), sub })
    }

    /// Opens the target; `None` where it does not exist.
    pub fn open(&self) -> Result<Option<Root>> {
        match Root::open(&self.target) {
            Ok(root) => Ok(Some(root)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(fail("open target", &self.shown(), e)),
        }
    }

    pub fn shown(&self) -> String {
        domain::naming::escape(self.target.as_os_str().as_bytes())
    }

    /// The names of folders to be made, from `anchor` down to the target itself.
    pub fn missing_below(&self, anchor: &Path) -> Vec<Vec<u8>> {
        let rest = self.target.strip_prefix(anchor).unwrap_or(Path::new(""));
        rest.components().map(|c| c.as_os_str().as_bytes().to_vec()).collect()
    }

    /// The staging folder that an earlier attempt left; `None` where there is none.
    pub fn staged(&self) -> Result<Option<Stage>> {
        for anchor in self.target.ancestors() {
            let Some(base) = self.base(anchor)? else { continue };
            if base.look(&self.sub).map_err(|e| fail("look for the staging folder in", &anchor.display().to_string(), e))?.is_some() {
                return Ok(Some(Stage { base: Arc::new(base), anchor: anchor.to_owned(), sub: self.sub.clone() }));
            }
        }
        Ok(None)
    }

    /// The staging folder in `anchor`, if one of ours is there.
    fn base(&self, anchor: &Path) -> Result<Option<Root>> {
        let base = match Root::open(&anchor.join(&self.staging)) {
            Ok(base) => base,
            // Whatever is in the way or cannot be looked into is not ours.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(None),
            Err(e) => return Err(fail("open the staging folder in", &anchor.display().to_string(), e)),
        };
        let found = base.look(&[]).ok().flatten();
        let ours = found.is_some_and(|f| f.uid == rustix::process::geteuid().as_raw() && f.mode.trailing_zeros() >= 6);
        Ok(ours.then_some(base))
    }

    /// Makes the staging folder, or finds the one of an earlier attempt.
    ///
    /// It lies beside the target, so that nobody sees half a restore. Where the target is a mount of its own, or the
    /// folder above cannot be written, it lies in the target.
    pub fn stage(&self, bases: &mut Bases) -> Result<Stage> {
        if let Some(stage) = self.staged()? {
            let base = bases.entry(stage.anchor.clone()).or_insert(stage.base).clone();
            return Ok(Stage { base, ..stage });
        }
        let target = self.open()?;
        let inside = match &target {
            Some(root) => root.is_mount().map_err(|e| fail("look at", &self.shown(), e))? || self.target.parent().is_none(),
            None => false,
        };
        let mut anchors = Vec::new();
        if inside {
            anchors.push(self.target.clone());
        } else if target.is_some() {
            anchors.extend(self.target.parent().map(Path::to_owned));
            anchors.push(self.target.clone());
        } else {
            // The nearest folder above that exists.
            anchors.extend(self.target.ancestors().skip(1).find(|a| Root::open(a).is_ok()).map(Path::to_owned));
        }
        let mut refused = None;
        for anchor in anchors {
            match self.make_base(&anchor, bases) {
                Ok(base) => {
                    let made = base.mkdir_all(&join(&self.sub, b"data")).and_then(|()| base.mkdir_all(&join(&self.sub, b"old")));
                    made.map_err(|e| fail("make the staging folder in", &anchor.display().to_string(), e))?;
                    let stage = Stage { base, anchor, sub: self.sub.clone() };
                    match &target {
                        Some(target) if stage.anchor != self.target && !self.can_move(&stage, target)? => {
                            self.clear(&stage)?;
                            if self.base(&stage.anchor)?.is_none() {
                                bases.remove(&stage.anchor);
                            }
                        }
                        _ => return Ok(stage),
                    }
                }
                Err(e) if e.kind == ErrorKind::Denied => refused = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(refused.unwrap_or_else(|| EngineError::new(ErrorKind::NotFound, format!("target {}: no folder above it exists", self.shown()))))
    }

    /// Whether a folder can be renamed from the staging folder into the target. What looks like one file system may
    /// not be: subvolumes, project quotas and layers refuse it.
    ///
    /// The folder that is tried has the staging folder's name, under which [`Self::clear_remains`] finds it.
    fn can_move(&self, stage: &Stage, target: &Root) -> Result<bool> {
        let probe = stage.path("probe");
        let moved = stage.base.mkdir(&probe).and_then(|()| {
            self.keeping_times(&self.target, target, || {
                let (dir, name) = stage.base.parent(&probe)?;
                #[cfg(feature = "testing")]
                if super::target::SPLIT_FILE_SYSTEM.get() {
                    return Err(Errno::XDEV);
                }
                move_to_free(&dir, name, target, self.staging.as_bytes())?;
                target.rmdir(self.staging.as_bytes())
            })
        });
        match moved {
            Ok(()) => Ok(true),
            Err(Errno::XDEV) => Ok(false),
            Err(e) => Err(fail("write into target", &self.shown(), e)),
        }
    }

    fn make_base(&self, anchor: &Path, bases: &mut Bases) -> Result<Arc<Root>> {
        if let Some(base) = bases.get(anchor) {
            return Ok(base.clone());
        }
        let shown = domain::naming::escape(anchor.as_os_str().as_bytes());
        let root = Root::open(anchor).map_err(|e| fail("open", &shown, e))?;
        match self.keeping_times(anchor, &root, || root.mkdir(self.staging.as_bytes())) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(fail("make the staging folder in", &shown, e)),
        }
        let Some(base) = self.base(anchor)? else {
            let message = format!("{shown}: “{}” is there already and is not a staging folder of this program; remove it", self.staging);
            return Err(EngineError::new(ErrorKind::Unsafe, message));
        };
        let base = Arc::new(base);
        bases.insert(anchor.to_owned(), base.clone());
        Ok(base)
    }

    /// Removes the target's staging folder, and the shared one when it was the last.
    pub fn clear(&self, stage: &Stage) -> Result<()> {
        stage.base.remove_all(&stage.sub).map_err(|e| fail("remove the staging folder of", &self.shown(), e))?;
        self.clear_base(&stage.anchor)
    }

    /// Removes what is left where an attempt ended between making the shared folder and the target's own part.
    pub fn clear_remains(&self) -> Result<()> {
        self.target.ancestors().try_for_each(|anchor| if self.base(anchor)?.is_some() { self.clear_base(anchor) } else { Ok(()) })
    }

    fn clear_base(&self, anchor: &Path) -> Result<()> {
        let root = Root::open(anchor).map_err(|e| fail("open", &anchor.display().to_string(), e))?;
        match self.keeping_times(anchor, &root, || root.rmdir(self.staging.as_bytes())) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(e) => Err(fail("remove the staging folder in", &anchor.display().to_string(), e)),
        }
    }

    /// Where the staging folder lies in the target itself, making and removing it must not show in the target's times.
    fn keeping_times(&self, anchor: &Path, root: &Root, act: impl FnOnce() -> std::result::Result<(), Errno>) -> std::result::Result<(), Errno> {
        if anchor != self.target {
            return act();
        }
        let before = root.look(&[])?;
        act()?;
        before.map_or(Ok(()), |f| rustix::fs::futimens(root, &timestamps(f.mtime, f.atime)))
    }
}

/// Refuses targets that lie in one another: what one restore puts back, the other would have replaced.
pub fn refuse_overlap(places: &[Place]) -> Result<()> {
    let mut all: Vec<&Path> = places.iter().map(|p| p.target.as_path()).collect();
    all.sort_unstable();
    for pair in all.windows(2) {
        if pair[1].starts_with(pair[0]) {
            let message = format!("targets {} and {}: one lies in the other; give each item a folder of its own", pair[0].display(), pair[1].display());
            return Err(EngineError::new(ErrorKind::Invalid, message));
        }
    }
    Ok(())
}
