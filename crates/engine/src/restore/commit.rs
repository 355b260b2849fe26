//! Putting what is staged in its place by renames, and putting everything back.
//!
//! Lives here: listing the changes, making them, undoing them. May not: writing content.
//! Invariants: nothing at the target is removed before the whole restore stands; each change is found done or not
//! done by looking at inodes, so that undoing may be interrupted and repeated at any point; what somebody else put
//! in the place of a restored file is never removed.

use std::{
    collections::HashSet,
    os::fd::{AsFd as _, OwnedFd},
};

use domain::restore::ConflictMode;
use rustix::{
    fs::{self, FileType, Mode},
    io::Errno,
};

use super::{
    journal::{self, COMMITTED, Draft, JOURNAL, Op},
    meta::{self, Before, On},
    names::{join, show},
    place::{Place, Stage},
    stage::each_dir,
    target::{Found, Root, exchange, fail, look_in, move_to_free},
};
use crate::{EngineError, ErrorKind, Result};

/// Called before each change and after it. Tests stop a restore there; otherwise it does nothing.
pub type Hook<'a> = &'a (dyn Fn(&'static str) -> Result<()> + Sync);

#[allow(clippy::unnecessary_wraps, reason = "it has a hook's type")]
pub fn no_hook(_: &'static str) -> Result<()> {
    Ok(())
}

/// Writes the journal's draft: what it takes to put `stage` in the place of `place`.
pub fn list_changes(place: &Place, stage: &Stage, conflict: ConflictMode, privileged: bool) -> Result<()> {
    let mut draft = Draft::start(stage)?;
    match place.open()? {
        None => {
            let names = place.missing_below(&stage.anchor);
            let mut above = Vec::new();
            for name in &names[..names.len().saturating_sub(1)] {
                above = join(&above, name);
                draft.add(&Op::Make { path: journal::text(&above) })?;
            }
            let staged = look_staged(stage, &[])?;
            draft.add(&Op::Place { path: String::new(), ino: staged.ino })?;
        }
        Some(target) => {
            let mut lister = Lister { stage, target: &target, conflict, draft: &mut draft, swaps: 0, touched: HashSet::new() };
            lister.all()?;
            let touched = lister.touched;
            each_dir(stage, &mut |line| {
                // Without root's rights a new folder was kept open for moving; it gets its mode in its place.
                let late = !privileged && line.meta.mode.is_some_and(|m| meta::unix_mode(m) & 0o700 != 0o700);
                if !line.merge || late {
                    return Ok(());
                }
                let path = line.path()?;
                if !line.differs && !touched.contains(&path) {
                    return Ok(());
                }
                match target.dir(&path) {
                    Ok(fd) => {
                        let before = Before::read(&fd).map_err(|e| fail("look at folder", &show(&path), e))?;
                        draft.add(&Op::Folder { path: journal::text(&path), before, after: Some(Box::new(line.meta)) })
                    }
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(changed(&path)),
                    Err(e) => Err(fail("open folder", &show(&path), e)),
                }
            })?;
        }
    }
    draft.finish()
}

fn changed(path: &[u8]) -> EngineError {
    EngineError::new(ErrorKind::Conflict, format!("{}: it was changed at the target while the restore ran; start again", show(path)))
}

fn look_staged(stage: &Stage, path: &[u8]) -> Result<Found> {
    let found = stage.base.look(&stage.data(path)).map_err(|e| fail("look at staged", &show(path), e))?;
    found.ok_or_else(|| EngineError::new(ErrorKind::Damaged, format!("{}: it is gone from the staging folder", show(path))))
}

struct Lister<'a> {
    stage: &'a Stage,
    target: &'a Root,
    conflict: ConflictMode,
    draft: &'a mut Draft,
    swaps: u64,
    /// Folders in which something is put or replaced: their times change.
    touched: HashSet<Vec<u8>>,
}

impl Lister<'_> {
    fn all(&mut self) -> Result<()> {
        let mut todo = vec![Vec::new()];
        while let Some(path) = todo.pop() {
            self.folder(&path, &mut todo)?;
        }
        Ok(())
    }

    fn folder(&mut self, path: &[u8], below: &mut Vec<Vec<u8>>) -> Result<()> {
        let mut names = self.stage.base.names(&self.stage.data(path)).map_err(|e| fail("read staged folder", &show(path), e))?;
        names.sort_unstable();
        let dir = self.target.dir(path).map_err(|e| fail("open folder", &show(path), e))?;
        let mut touched = false;
        for name in names {
            let full = join(path, &name);
            let staged = look_staged(self.stage, &full)?;
            let there = look_in(&dir, &name).map_err(|e| fail("look at", &show(&full), e))?;
            match there {
                Some(f) if f.is_dir() && staged.is_dir() => {
                    below.push(full);
                    continue;
                }
                None => self.draft.add(&Op::Place { path: journal::text(&full), ino: staged.ino })?,
                Some(f) => {
                    if self.conflict == ConflictMode::KeepNewer && f.mtime > staged.mtime {
                        continue;
                    }
                    let filled = f.is_dir() && !self.target.names(&full).is_ok_and(|n| n.is_empty());
                    if filled || matches!(self.conflict, ConflictMode::Fail | ConflictMode::Skip) {
                        return Err(changed(&full));
                    }
                    self.draft.add(&Op::Swap { path: journal::text(&full), ino: staged.ino, old: f.ino, n: self.swaps })?;
                    self.swaps += 1;
                }
            }
            touched = true;
        }
        if touched {
            let before = Before::read(&dir).map_err(|e| fail("look at folder", &show(path), e))?;
            self.draft.add(&Op::Folder { path: journal::text(path), before, after: None })?;
            self.touched.insert(path.to_owned());
        }
        Ok(())
    }
}

/// One target with its staging folder.
pub struct Change<'a> {
    pub place: &'a Place,
    pub stage: &'a Stage,
    pub privileged: bool,
    pub hook: Hook<'a>,
}

impl Change<'_> {
    /// Makes all changes of the journal.
    pub fn commit(&self) -> Result<()> {
        let mut target: Option<Root> = None;
        journal::each(self.stage, &mut |op| {
            (self.hook)("before a change")?;
            match op {
                Op::Make { path } => {
                    let path = journal::bytes(&path)?;
                    let made = match self.anchor()?.mkdir(&path) {
                        // Another item of the same restore has made the folder that both land in.
                        Err(Errno::EXIST) => self.anchor_dir(&path).map(drop),
                        made => made.and_then(|()| {
                            let fd = self.anchor_dir(&path)?;
                            fs::fchmod(fd, Mode::from_raw_mode(0o755))
                        }),
                    };
                    made.map_err(|e| fail("make folder", &show(&path), e))?;
                }
                Op::Place { path, .. } if path.is_empty() => {
                    self.put_whole().map_err(|e| match e {
                        Errno::EXIST => {
                            EngineError::new(ErrorKind::Conflict, format!("target {}: it came into being while the restore ran", self.place.shown()))
                        }
                        e => fail("make target", &self.place.shown(), e),
                    })?;
                }
                Op::Place { path, .. } => {
                    let path = journal::bytes(&path)?;
                    self.place_one(self.target(&mut target)?, &path).map_err(|e| match e {
                        Errno::EXIST => changed(&path),
                        e => fail("put in place", &show(&path), e),
                    })?;
                }
                Op::Swap { path, old, n, .. } => {
                    let path = journal::bytes(&path)?;
                    self.swap_one(self.target(&mut target)?, &path, old, n)?;
                }
                Op::Folder { .. } => return Ok(()),
            }
            (self.hook)("after a change")
        })?;
        journal::each(self.stage, &mut |op| {
            let Op::Folder { path, after: Some(meta), .. } = op else { return Ok(()) };
            (self.hook)("before a folder's metadata")?;
            let path = journal::bytes(&path)?;
            let fd = self.target(&mut target)?.dir(&path).map_err(|e| fail("open folder", &show(&path), e))?;
            meta::apply(On::Open(fd.as_fd()), FileType::Directory, &meta).map_err(|e| fail("finish folder", &show(&path), e))?;
            (self.hook)("after a folder's metadata")
        })?;
        if !self.privileged {
            self.close_folders()?;
        }
        Ok(())
    }

    /// Folders that were kept open for moving get their own mode, the inner ones first.
    fn close_folders(&self) -> Result<()> {
        let mut late = Vec::new();
        each_dir(self.stage, &mut |line| {
            if let Some(mode) = line.meta.mode.map(meta::unix_mode)
                && mode & 0o700 != 0o700
            {
                late.push((line.path()?, mode));
            }
            Ok(())
        })?;
        late.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        let Some(target) = self.place.open()? else { return Ok(()) };
        for (path, mode) in late {
            let set = target.dir(&path).and_then(|fd| fs::fchmod(fd, Mode::from_raw_mode(mode)));
            set.map_err(|e| fail("finish folder", &show(&path), e))?;
        }
        Ok(())
    }

    /// Says that the restore stands: from here on it is not undone any more.
    pub fn settle(&self) -> Result<()> {
        (self.hook)("before the restore stands")?;
        journal::rename(self.stage, JOURNAL, COMMITTED)?;
        (self.hook)("after the restore stands")
    }

    /// Puts the target back to what it was and says how many files went back to their places.
    ///
    /// What is staged is kept. Nothing happens where nothing was begun.
    pub fn undo(&self) -> Result<u64> {
        if !journal::has(self.stage, JOURNAL)? {
            return Ok(0);
        }
        let mut target: Option<Root> = None;
        let (mut back, mut lost) = (0, Vec::new());
        journal::each(self.stage, &mut |op| {
            (self.hook)("before undoing a change")?;
            match op {
                Op::Place { path, ino } if path.is_empty() => self.take_back_whole(ino)?,
                Op::Place { path, ino } => {
                    let path = journal::bytes(&path)?;
                    if let Some(target) = self.target_if(&mut target)? {
                        self.take_back(target, &path, ino).map_err(|e| fail("take back", &show(&path), e))?;
                    }
                }
                Op::Swap { path, ino, old, n } => {
                    let path = journal::bytes(&path)?;
                    if let Some(target) = self.target_if(&mut target)? {
                        match self.swap_back(target, &path, ino, old, n).map_err(|e| fail("put back", &show(&path), e))? {
                            Some(true) => back += 1,
                            Some(false) => {}
                            None => lost.push(show(&path)),
                        }
                    }
                }
                Op::Make { .. } | Op::Folder { .. } => {}
            }
            (self.hook)("after undoing a change")
        })?;
        let mut made = Vec::new();
        journal::each(self.stage, &mut |op| {
            match op {
                Op::Folder { path, before, .. } => {
                    let path = journal::bytes(&path)?;
                    if let Some(target) = self.target_if(&mut target)?
                        && let Ok(fd) = target.dir(&path)
                    {
                        before.put_back(fd).map_err(|e| fail("put back the metadata of", &show(&path), e))?;
                    }
                    (self.hook)("after putting a folder's metadata back")?;
                }
                Op::Make { path } => made.push(journal::bytes(&path)?),
                Op::Place { .. } | Op::Swap { .. } => {}
            }
            Ok(())
        })?;
        for path in made.iter().rev() {
            match self.anchor()?.rmdir(path) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(e) => return Err(fail("remove folder", &show(path), e)),
            }
            (self.hook)("after removing a folder")?;
        }
        if !lost.is_empty() {
            let message = format!(
                "target {}: {} was changed by somebody else since; what was there before the restore is kept in the staging folder in {}",
                self.place.shown(),
                lost.join(", "),
                self.stage.anchor.display(),
            );
            return Err(EngineError::new(ErrorKind::Conflict, message));
        }
        let undone = self.stage.base.unlink(&self.stage.path(JOURNAL));
        undone.map_err(|e| fail("remove", "the restore's journal", e))?;
        Ok(back)
    }

    fn target<'t>(&self, open: &'t mut Option<Root>) -> Result<&'t Root> {
        let gone = || EngineError::new(ErrorKind::Conflict, format!("target {}: it vanished while the restore ran", self.place.shown()));
        self.target_if(open)?.ok_or_else(gone)
    }

    fn target_if<'t>(&self, open: &'t mut Option<Root>) -> Result<Option<&'t Root>> {
        if open.is_none() {
            *open = self.place.open()?;
        }
        Ok(open.as_ref())
    }

    fn anchor(&self) -> Result<Root> {
        Root::open(&self.stage.anchor).map_err(|e| fail("open", &self.stage.anchor.display().to_string(), e))
    }

    fn anchor_dir(&self, path: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        Root::open(&self.stage.anchor)?.dir(path)
    }

    /// The folder that holds the target, and the target's name.
    fn above(&self) -> std::result::Result<(OwnedFd, Vec<u8>), Errno> {
        let path = self.place.missing_below(&self.stage.anchor).iter().fold(Vec::new(), |p, n| join(&p, n));
        let (dir, name) = Root::open(&self.stage.anchor)?.parent(&path)?;
        Ok((dir, name.to_vec()))
    }

    fn put_whole(&self) -> std::result::Result<(), Errno> {
        let stage = self.stage.base.sub(&self.stage.sub)?;
        let (to, to_name) = self.above()?;
        move_to_free(&stage, b"data", &to, &to_name)
    }

    fn take_back_whole(&self, ino: u64) -> Result<()> {
        let act = || {
            let Ok((dir, name)) = self.above() else { return Ok(()) };
            if look_in(&dir, &name)?.is_none_or(|f| f.ino != ino) {
                return Ok(());
            }
            let stage = self.stage.base.sub(&self.stage.sub)?;
            move_to_free(&dir, &name, &stage, b"data")
        };
        act().map_err(|e| fail("take back", &self.place.shown(), e))
    }

    fn place_one(&self, target: &Root, path: &[u8]) -> std::result::Result<(), Errno> {
        let staged = self.stage.data(path);
        let (from, from_name) = self.stage.base.parent(&staged)?;
        let (to, to_name) = target.parent(path)?;
        move_to_free(&from, from_name, &to, to_name)
    }

    fn take_back(&self, target: &Root, path: &[u8], ino: u64) -> std::result::Result<(), Errno> {
        let Ok((dir, name)) = target.parent(path) else { return Ok(()) };
        let Some(found) = look_in(&dir, name)?.filter(|f| f.ino == ino) else { return Ok(()) };
        self.open_for_moving(target, path, &found);
        let staged = self.stage.data(path);
        let (to, to_name) = self.stage.base.parent(&staged)?;
        move_to_free(&dir, name, &to, to_name)
    }

    /// Without root's rights a folder can be moved only while its owner may write into it.
    fn open_for_moving(&self, target: &Root, path: &[u8], found: &Found) {
        if !self.privileged
            && found.is_dir()
            && found.mode & 0o700 != 0o700
            && let Ok((dir, name)) = target.parent(path)
        {
            fs::chmodat(&dir, name, Mode::from_raw_mode(found.mode | 0o700), fs::AtFlags::empty()).ok();
        }
    }

    fn swap_one(&self, target: &Root, path: &[u8], old: u64, n: u64) -> Result<()> {
        let bad = |e| fail("replace", &show(path), e);
        let staged = self.stage.data(path);
        let (from, from_name) = self.stage.base.parent(&staged).map_err(bad)?;
        let (to, to_name) = target.parent(path).map_err(bad)?;
        let there = look_in(&to, to_name).map_err(bad)?;
        if there.is_none_or(|f| f.ino != old) {
            return Err(changed(path));
        }
        if exchange(&from, from_name, &to, to_name).map_err(bad)?.is_some() {
            return Ok(());
        }
        // As on NFS: the old one goes aside first.
        let aside = self.stage.base.dir(&self.stage.path("old")).map_err(bad)?;
        move_to_free(&to, to_name, &aside, aside_name(n).as_bytes()).map_err(bad)?;
        (self.hook)("between moving the old and the new")?;
        move_to_free(&from, from_name, &to, to_name).map_err(bad)
    }

    /// `Some(true)` when the old one was put back now, `Some(false)` when it is there, `None` when somebody else put
    /// a third thing there.
    fn swap_back(&self, target: &Root, path: &[u8], ino: u64, old: u64, n: u64) -> std::result::Result<Option<bool>, Errno> {
        let staged = self.stage.data(path);
        let (home, home_name) = self.stage.base.parent(&staged)?;
        let aside = self.stage.base.dir(&self.stage.path("old"))?;
        let aside_name = aside_name(n);
        let Ok((dir, name)) = target.parent(path) else { return Ok(None) };
        let there = look_in(&dir, name)?.map(|f| f.ino);
        if there == Some(old) {
            return Ok(Some(false));
        }
        if there == Some(ino) && look_in(&home, home_name)?.is_some_and(|f| f.ino == old) {
            exchange(&home, home_name, &dir, name)?.ok_or(Errno::NOSYS)?;
            return Ok(Some(true));
        }
        if there == Some(ino) {
            move_to_free(&dir, name, &home, home_name)?;
        } else if there.is_some() {
            return Ok(None);
        }
        // The name is free now. The old one is aside, or (when the new one was removed by somebody) in the staging folder.
        if look_in(&aside, aside_name.as_bytes())?.is_some_and(|f| f.ino == old) {
            move_to_free(&aside, aside_name.as_bytes(), &dir, name)?;
        } else if look_in(&home, home_name)?.is_some_and(|f| f.ino == old) {
            move_to_free(&home, home_name, &dir, name)?;
        } else {
            return Ok(None);
        }
        Ok(Some(true))
    }
}

fn aside_name(n: u64) -> String {
    n.to_string()
}
