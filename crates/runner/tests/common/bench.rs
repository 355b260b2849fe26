//! Each kind of run, started again and again on one site, and what a restore must leave at its target.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use domain::{
    id::{RunId, SnapshotId},
    restore::ConflictMode,
    retention::Rules,
    units::Timestamp,
    work::{PruneParams, RestoreTarget, Selection},
};
use ops::restores::{Choice, Request};
use store::{
    holds::{self, HoldKind, NewHold},
    testing,
};

use super::{Site, Tree, tree};

/// What is run again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Backup,
    Check,
    Folder,
    InPlace,
    Test,
    Prune,
    Copy,
    CopyTest,
    Tamper,
}

impl What {
    pub const fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Backup => &["prepare", "capture", "record", "guard", "verify", "forget"],
            Self::Check => &["check", "record"],
            Self::Folder | Self::InPlace => &["pin", "plan", "safety", "restore", "record"],
            Self::Prune => &["prepare", "prune", "record"],
            Self::Tamper => &["probe", "record"],
            Self::Test => &["select", "provision", "restore", "check", "tear_down", "record"],
            Self::Copy => &["export", "capture", "record", "tidy"],
            Self::CopyTest => &["choose", "bring_back", "tear_down", "record"],
        }
    }

    /// Those whose work is done by a child process that lives long enough to be caught.
    pub const fn steps_with_children(self) -> &'static [&'static str] {
        match self {
            Self::Backup => &["capture", "forget"],
            Self::Prune => &["prune"],
            Self::Tamper => &["probe"],
            Self::Check => &["check"],
            Self::Folder => &["plan", "restore"],
            Self::InPlace => &["plan", "safety", "restore"],
            Self::Test => &["restore", "check"],
            Self::Copy => &["capture"],
            Self::CopyTest => &["bring_back"],
        }
    }

    pub const fn is_restore(self) -> bool {
        matches!(self, Self::Folder | Self::InPlace)
    }
}

/// A site with one backup, and what a restore of `ada` changes.
pub struct Bench {
    pub site: Site,
    pub snapshot: SnapshotId,
    pub original: Tree,
    round: AtomicUsize,
}

impl Bench {
    pub async fn new(db: testing::TestDb) -> Self {
        let mut site = Site::new(db).await;
        // On a busy machine nobody is to be taken for dead.
        site.deps.limits.lease = Duration::from_secs(30);
        site.deps.limits.heartbeat = Duration::from_secs(5);
        site.backup().await;
        site.copy().await;
        let mut read = site.db.db.read().await.unwrap();
        let ada = store::items::find_by_name(read.tx(), site.source, "ada").await.unwrap().unwrap();
        drop(read);
        // Each further backup of the bench has something to forget, and each prune something to remove; the snapshot that
        // is restored again and again stays.
        site.policy(Rules { keep_last: 1, ..Rules::default() }).await;
        let hold = NewHold {
            service: site.service,
            item: None,
            snapshot: ada.last_snapshot_id.map(SnapshotId),
            kind: HoldKind::Person,
            reason: "restored again and again".into(),
            facts: None,
            run: None,
            actor: "test".into(),
        };
        let mut t = site.db.db.begin().await.unwrap();
        holds::place(t.tx(), &hold, Timestamp(3)).await.unwrap();
        t.commit().await.unwrap();
        let original = tree(&site.home("ada"));
        Self { snapshot: SnapshotId(ada.last_snapshot_id.unwrap()), original, site, round: AtomicUsize::new(0) }
    }

    /// Where a restore lands in this round.
    pub fn target(&self, what: What) -> PathBuf {
        match what {
            What::InPlace => self.site.home("ada"),
            _ => self.site.folder.path().join(format!("out/{}", self.round.load(Ordering::SeqCst))),
        }
    }

    /// Makes the target other than the snapshot, and starts the run. What the target holds now, and what it holds when restored.
    pub async fn start(&self, what: What) -> (RunId, Tree, Tree) {
        let round = self.round.fetch_add(1, Ordering::SeqCst) + 1;
        let ctx = &self.site.ctx;
        let run = match what {
            What::Backup => {
                fs::write(self.site.home("bob").join("round"), round.to_string()).unwrap();
                ops::backups::start(ctx, "notebooks", None, None).await.unwrap()[0]
            }
            What::Prune => {
                fs::write(self.site.home("bob").join("round"), round.to_string().repeat(10_000)).unwrap();
                self.site.backup().await;
                ops::prunes::start(ctx, "main", PruneParams { safe_age_s: 0 }).await.unwrap()
            }
            What::Tamper => ops::tamper_tests::start(ctx, "main").await.unwrap(),
            What::Check => ops::checks::start(ctx, "main", false).await.unwrap(),
            What::Copy => ops::installation::backup(ctx, "main").await.unwrap(),
            What::CopyTest => ops::installation::test(ctx, "main").await.unwrap(),
            What::Test => ops::restore_tests::start(ctx, "notebooks", Selection::Sample { count: 2 }).await.unwrap(),
            What::Folder | What::InPlace => {
                let target = self.target(what);
                fs::create_dir_all(target.join("work")).unwrap();
                fs::write(target.join("work/notes.md"), format!("round {round}")).unwrap();
                fs::write(target.join("extra"), "stays").unwrap();
                fs::remove_file(target.join("work/data.bin")).ok();
                let to = if what == What::InPlace { RestoreTarget::InPlace } else { RestoreTarget::Folder { path: target.to_string_lossy().into_owned() } };
                let choices = vec![Choice { snapshot: self.snapshot, paths: vec![] }];
                let request = Request { choices, target: to, conflict: ConflictMode::Overwrite, preview: false, confirm: Some("notebooks".into()) };
                ops::restores::start(ctx, request).await.unwrap()
            }
        };
        let before = if what.is_restore() { tree(&self.target(what)) } else { Tree::new() };
        let mut after = before.clone();
        if what.is_restore() {
            after.extend(self.original.clone());
        }
        (run, before, after)
    }

    pub fn now(&self, what: What) -> Tree {
        if what.is_restore() { tree(&self.target(what)) } else { Tree::new() }
    }

    pub async fn why(&self, run: RunId) -> String {
        let row = ops::runs::find(&self.site.ctx, run).await.unwrap();
        format!("{:?}\n{}", row.failure, self.site.log(run).await)
    }
}
