//! Looking into snapshots of a repository that the engine wrote, on both databases.

use std::{collections::BTreeMap, fs, path::Path};

use domain::{
    id::{ItemId, RepositoryId, SnapshotId},
    units::Timestamp,
};
use engine::{
    browse::Format,
    job::{Access, BackupJob, ChangeKind, DirectoryConfig, DirectoryItems, Event, Job, Secret, SnapshotRecord, SourceConfig},
};
use store::{
    Tx, audit, file_versions, items,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    services::{self, NewService},
    snapshots::{self, NewSnapshot, SnapshotRow},
    sources::{self, NewSource},
    testing,
};

use crate::{Actor, Ctx, OpsError, browse, repositories::Registry, secrets::Environment, snapshots as use_snapshots};

const PASSWORD: &str = "correct horse";

/// Backs up the one item `alice` of a folder.
async fn backup(home: &Path, repository: &Path, parent: Option<String>) -> SnapshotRecord {
    let job = BackupJob {
        tags: Vec::new(),
        access: Access {
            location: format!("file://{}", repository.display()),
            options: BTreeMap::new(),
            credentials: BTreeMap::new(),
            password: Secret::new(PASSWORD),
            key: None,
            expect: None,
        },
        create: true,
        source: SourceConfig::Directory(DirectoryConfig { path: home.to_owned(), items: DirectoryItems::Children, exclude: Vec::new() }),
        host: "notebooks".into(),
        service: "notebooks".into(),
        source_name: "homes".into(),
        run: uuid::Uuid::now_v7().to_string(),
        items: None,
        root_parent: None,
        parents: parent.map(|p| BTreeMap::from([("alice".to_owned(), p)])).unwrap_or_default(),
        patient: false,
    };
    let rt = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let found = std::sync::Mutex::new(None);
        let sink = |event| match event {
            Event::Item(item) => *found.lock().unwrap() = item.snapshot,
            Event::Failed(f) => panic!("{}", f.message),
            _ => {}
        };
        engine::run(&Job::Backup(job), &engine::Ctx { sink: &sink, cancel: &false.into(), rt, patience: std::time::Duration::ZERO });
        found.into_inner().unwrap().expect("one item was backed up")
    })
    .await
    .unwrap()
}

struct Stage {
    ctx: Ctx,
    registry: Registry,
    item: ItemId,
    repository: RepositoryId,
}

impl Stage {
    async fn new(db: store::Db, location: &Path) -> Self {
        let ctx = Ctx::new(db, Actor::shell(), "shell");
        let mut t = ctx.db.begin().await.unwrap();
        let new = NewRepository {
            name: "main".into(),
            location: format!("file://{}", location.display()),
            options: StorageOptions::default(),
            password: SecretRef::Env("MAIN_PASSWORD".into()),
            max_parallel: None,
            read_all_within_s: None,
        };
        let repository = repositories::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        let new =
            NewService { name: "notebooks".into(), title: "EGI Notebooks".into(), owner: "ops".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        let service = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        let new = NewSource { service, repository, name: "homes".into(), kind: "directory".into(), config: serde_json::json!({}), position: 0, policy: None };
        let source = sources::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        let person = items::person(t.tx(), "alice", Timestamp(1)).await.unwrap();
        let item = items::seen(t.tx(), source, service, Some(person), "alice", Timestamp(1)).await.unwrap();
        t.commit().await.unwrap();
        let env: Environment = BTreeMap::from([("MAIN_PASSWORD".to_owned(), PASSWORD.to_owned())]).into();
        Self { ctx, registry: Registry::new(env), item, repository }
    }

    async fn record(&self, r: &SnapshotRecord) -> SnapshotRow {
        let mut t = self.ctx.db.begin().await.unwrap();
        let item = items::find(t.tx(), self.item).await.unwrap().unwrap();
        let new = NewSnapshot {
            repository: self.repository,
            service: Some(domain::id::ServiceId(item.service_id)),
            source: Some(domain::id::SourceId(item.source_id)),
            item: Some(self.item),
            person: item.person_id.map(domain::id::PersonId),
            run: None,
            restic_id: r.id.clone(),
            tree: r.tree.clone(),
            parent_restic_id: r.parent.clone(),
            taken_at: r.taken_at,
            host: r.host.clone(),
            label: r.label.clone(),
            paths: r.paths.clone(),
            tags: r.tags.clone(),
            state: "complete",
            files: r.files,
            dirs: r.dirs,
            bytes: r.bytes,
            bytes_added: r.bytes_added,
            files_added: r.files_added,
            files_changed: r.files_changed,
            files_removed: r.files_removed,
            errors: r.errors,
            measure: None,
        };
        let id = snapshots::insert(t.tx(), &new).await.unwrap();
        let row = snapshots::find(t.tx(), id).await.unwrap().unwrap();
        t.commit().await.unwrap();
        row
    }
}

async fn all(mut pieces: browse::Pieces) -> Vec<u8> {
    let mut got = Vec::new();
    while let Some(piece) = pieces.recv().await {
        got.extend_from_slice(&piece.unwrap());
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_browsed_compared_and_downloaded() {
    for t in testing::databases().await {
        let dir = tempfile::tempdir().unwrap();
        let (home, place) = (dir.path().join("homes"), dir.path().join("repo"));
        fs::create_dir_all(home.join("alice/papers")).unwrap();
        let big: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        fs::write(home.join("alice/papers/big"), &big).unwrap();
        fs::write(home.join("alice/papers/notes"), "one").unwrap();
        let stage = Stage::new(t.db.clone(), &place).await;
        let (ctx, registry) = (&stage.ctx, &stage.registry);
        let first = backup(&home, &place, None).await;
        let old = stage.record(&first).await;
        let top = browse::folder(ctx, registry, &old, None, "", None, 10).await.unwrap();
        assert_eq!(top.listing.entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["papers"]);

        // A snapshot that came after the index was read is found all the same.
        fs::write(home.join("alice/papers/notes"), "two!").unwrap();
        fs::write(home.join("alice/papers/more"), "m").unwrap();
        let second = backup(&home, &place, Some(first.id.clone())).await;
        let new = stage.record(&second).await;
        tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
        assert_eq!(use_snapshots::before(ctx, &new).await.unwrap().unwrap().id, old.id);
        let work = browse::folder(ctx, registry, &new, Some(&old), "papers", None, 10).await.unwrap();
        assert_eq!(work.since, BTreeMap::from([("more".to_owned(), ChangeKind::Added), ("notes".to_owned(), ChangeKind::Changed)]), "{}", t.name);
        assert!(matches!(browse::folder(ctx, registry, &new, None, "papers/notes", None, 10).await, Err(OpsError::NotFound { .. })));

        let d = browse::differences(ctx, registry, &old, &new, None, 1).await.unwrap();
        assert_eq!((d.added.files, d.added.bytes, d.changed.files, d.changed.bytes, d.removed.files, d.cut), (1, 1, 1, 4, 0, false));
        assert_eq!(d.page[0].change.path, "papers/more");
        let rest = browse::differences(ctx, registry, &old, &new, d.next.as_deref(), 10).await.unwrap();
        assert_eq!(rest.page.iter().map(|d| d.change.path.as_str()).collect::<Vec<_>>(), ["papers/notes"]);
        assert_eq!(rest.next, None);

        let found = browse::file(ctx, registry, &new, "papers/big").await.unwrap();
        assert_eq!((found.name.as_str(), found.bytes), ("big", 12_000_000));
        let got = all(browse::read(ctx, registry, &new, "papers/big", found, 5_000_000, 2_000_000).await.unwrap()).await;
        assert!(got == big[5_000_000..7_000_000]);
        let tar = all(browse::archived(ctx, registry, &new, vec!["papers".to_owned()], Format::Tar).await.unwrap()).await;
        assert!(tar.len() > 12_000_000 && tar.len().is_multiple_of(512));
        assert!(matches!(browse::archived(ctx, registry, &new, vec!["none".to_owned()], Format::Zip).await, Err(OpsError::NotFound { .. })));
        // A receiver that goes away ends the work.
        drop(browse::archived(ctx, registry, &new, Vec::new(), Format::Tar).await.unwrap());
        assert_eq!(audit::verify(ctx.db.read().await.unwrap().tx()).await.unwrap(), Ok(3), "an archive is audited, and each part of a file");
    }
}

async fn put(tx: Tx<'_>, item: ItemId, path: &str, s: &SnapshotRow, bytes: i64) {
    let new = file_versions::NewVersion { node: "file", size_bytes: bytes, modified_at: None };
    let change = file_versions::PathChange { path, new: Some(new) };
    file_versions::record(tx, item, SnapshotId(s.id), Timestamp(s.taken_at), &[change]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_versions_come_from_the_index() {
    for t in testing::databases().await {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::new(t.db.clone(), dir.path()).await;
        let record = |n: i64| SnapshotRecord {
            id: format!("{n:064}"),
            tree: "0".repeat(64),
            parent: None,
            taken_at: Timestamp::from_secs(n),
            host: "h".into(),
            label: "alice".into(),
            paths: vec![],
            tags: vec![],
            files: 1,
            dirs: 0,
            bytes: 1,
            bytes_added: 1,
            files_added: 1,
            files_changed: 0,
            files_removed: 0,
            errors: 0,
            measure: None,
        };
        let (one, two) = (stage.record(&record(1)).await, stage.record(&record(2)).await);
        let mut tx = stage.ctx.db.begin().await.unwrap();
        put(tx.tx(), stage.item, "papers/Fit_2021.ipynb", &one, 1).await;
        put(tx.tx(), stage.item, "papers/Fit_2021.ipynb", &two, 2).await;
        put(tx.tx(), stage.item, "other/fit.csv", &one, 3).await;
        tx.commit().await.unwrap();
        let ctx = &stage.ctx;
        let versions = browse::versions(ctx, stage.item, "/papers/Fit_2021.ipynb", 10).await.unwrap();
        assert_eq!(versions.iter().map(|v| (v.row.size_bytes, v.row.until)).collect::<Vec<_>>(), [(2, None), (1, Some(two.id))], "{}", t.name);
        assert_eq!(versions[0].snapshot.as_ref().unwrap().id, two.id);
        let hits = browse::search(ctx, stage.item, "FIT", None, 2).await.unwrap();
        let keys: Vec<_> = hits.iter().map(|v| (v.row.path.as_str(), v.row.since_at)).collect();
        assert_eq!(keys, [("other/fit.csv", 1_000_000), ("papers/Fit_2021.ipynb", 2_000_000)]);
        let rest = browse::search(ctx, stage.item, "fit", Some((keys[1].0, Timestamp(keys[1].1))), 2).await.unwrap();
        assert_eq!(rest.iter().map(|v| v.row.size_bytes).collect::<Vec<_>>(), [1]);
        assert!(browse::search(ctx, stage.item, "  ", None, 2).await.is_err());

        let ids =
            |f: use_snapshots::Filter| async move { use_snapshots::page(ctx, &f, None, 10).await.map(|l| l.iter().map(|s| s.row.id).collect::<Vec<_>>()) };
        let filter = |service: &str, item: &str, person: &str, q: &str| {
            let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
            use_snapshots::Filter { service: some(service), item: some(item), person: some(person), q: some(q) }
        };
        let both = vec![two.id, one.id];
        for good in [
            ("", "", "", ""),
            ("notebooks", "", "", ""),
            ("", "alice", "", ""),
            ("notebooks", "", "alice", ""),
            ("", "", "alice", ""),
            ("notebooks", "", "", "LIC"),
            ("", "", "", "0000"),
        ] {
            assert_eq!(ids(filter(good.0, good.1, good.2, good.3)).await.unwrap(), both, "{} {good:?}", t.name);
        }
        assert_eq!(ids(filter("", "", "", &one.restic_id)).await.unwrap(), [one.id]);
        assert_eq!(ids(filter("", "", "", "abcd")).await.unwrap(), Vec::<uuid::Uuid>::new());
        assert!(ids(filter("none", "", "", "")).await.is_err());
        assert!(ids(filter("", "", "nobody", "")).await.is_err());
        assert_eq!(use_snapshots::listed(ctx, one.id()).await.unwrap().service_title.as_deref(), Some("EGI Notebooks"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_looks_inside_without_leave() {
    let t = testing::sqlite().await;
    let dir = tempfile::tempdir().unwrap();
    let (home, place) = (dir.path().join("homes"), dir.path().join("repo"));
    fs::create_dir_all(home.join("alice")).unwrap();
    fs::write(home.join("alice/f"), "f").unwrap();
    let stage = Stage::new(t.db.clone(), &place).await;
    let row = stage.record(&backup(&home, &place, None).await).await;
    let found = || async { browse::file(&stage.ctx, &stage.registry, &row, "f").await.unwrap() };
    for role in [crate::Role::Auditor, crate::Role::Anonymous] {
        let ctx = Ctx { actor: Actor::new("x", role), ..stage.ctx.clone() };
        let refused = [
            browse::folder(&ctx, &stage.registry, &row, None, "", None, 1).await.err(),
            browse::versions(&ctx, stage.item, "f", 1).await.err(),
            browse::search(&ctx, stage.item, "f", None, 1).await.err(),
            browse::differences(&ctx, &stage.registry, &row, &row, None, 1).await.err(),
            browse::file(&ctx, &stage.registry, &row, "f").await.err(),
            browse::read(&ctx, &stage.registry, &row, "f", found().await, 0, 1).await.err(),
            browse::archived(&ctx, &stage.registry, &row, Vec::new(), Format::Tar).await.err(),
        ];
        for (n, e) in refused.into_iter().enumerate() {
            assert!(matches!(e, Some(OpsError::Forbidden(_))), "{n}");
        }
    }
    let anonymous = Ctx { actor: Actor::anonymous(), ..stage.ctx.clone() };
    assert!(matches!(use_snapshots::listed(&anonymous, row.id()).await, Err(OpsError::Forbidden(_))));
    assert!(matches!(use_snapshots::page(&anonymous, &use_snapshots::Filter::default(), None, 1).await, Err(OpsError::Forbidden(_))));
    assert!(matches!(use_snapshots::before(&anonymous, &row).await, Err(OpsError::Forbidden(_))));

    // The wrong password is told in words, with the repository's name and without the password.
    let registry = Registry::new(BTreeMap::from([("MAIN_PASSWORD".to_owned(), "wrong one".to_owned())]).into());
    let said = browse::folder(&stage.ctx, &registry, &row, None, "", None, 1).await.unwrap_err().to_string();
    assert!(said.starts_with("the repository main cannot be read: ") && !said.contains("wrong one"), "{said}");
}
