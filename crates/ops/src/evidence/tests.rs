//! Records, keys, countersignatures, gaps.

use std::path::Path;

use domain::{
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    id::{RestoreTestId, RunId, ServiceId, SnapshotId},
    run::RunKind,
    units::Timestamp,
    work::Teardown,
};
use store::{
    Db,
    evidence::{self as rows, Period},
    queue::{self, NewRun},
    restore_tests::{self, NewRestoreTest, TestedSnapshot},
    run_events::{self, NewRunEvent},
    services::{self, NewService},
    testing,
};
use uuid::Uuid;

use super::{
    Signed, chain, countersign, envelope, keys, list, of_test,
    record::{self, Beside},
    rotate_key, standing, tend,
};
use crate::{Actor, Ctx, OpsError, Role, permission::Action, seal::Keys, secrets::Vault};

pub(super) struct Site {
    pub ctx: Ctx,
    pub vault: Vault,
    pub keys: Keys,
    folder: tempfile::TempDir,
}

pub(super) fn site(db: &Db) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::of(folder.path());
    keys.make().unwrap();
    let vault = Vault::new(std::sync::Arc::default(), keys.clone());
    Site { ctx: Ctx::new(db.clone(), Actor::shell(), "test"), vault, keys, folder }
}

impl Site {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn service(&self, name: &str) -> ServiceId {
        let new = NewService { name: name.into(), title: format!("The {name}"), owner: "ops".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        let mut t = self.ctx.db.begin().await.unwrap();
        let id = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        t.commit().await.unwrap();
        id
    }

    /// Records a test as its run does; signed where a vault is given.
    pub async fn recorded(&self, service: ServiceId, at: i64, verdict: Verdict, vault: Option<&Vault>) -> RestoreTestId {
        let (run, new) = test(service, at, verdict);
        let signer = match vault {
            Some(vault) => record::signer(&self.ctx.db, vault).await.unwrap(),
            None => None,
        };
        let mut t = self.ctx.db.begin().await.unwrap();
        queue::enqueue(t.tx(), &run).await.unwrap();
        let said = NewRunEvent { at: Timestamp(at), kind: "log", level: "info", message: "restored\nall".into(), detail: None };
        run_events::add(t.tx(), run.id, 1, &[said]).await.unwrap();
        let id = restore_tests::save(t.tx(), &new).await.unwrap();
        let of = services::find(t.tx(), service).await.unwrap().unwrap();
        let beside = Beside { actor: "=ada".into(), ..Beside::default() };
        record::test(t.tx(), signer.as_ref(), id, &new, &of, beside.clone(), Timestamp(at + 60_000_000)).await.unwrap();
        record::test(t.tx(), signer.as_ref(), id, &new, &of, beside, Timestamp(at + 60_000_000)).await.unwrap();
        t.commit().await.unwrap();
        id
    }

    pub fn as_role(&self, name: &str, role: Role, services: &[ServiceId]) -> Ctx {
        Ctx { actor: Actor { services: services.to_vec(), ..Actor::new(name, role) }, ..self.ctx.clone() }
    }
}

fn test(service: ServiceId, at: i64, verdict: Verdict) -> (NewRun, NewRestoreTest) {
    let run = NewRun {
        id: RunId(Uuid::now_v7()),
        kind: RunKind::RestoreTest,
        service: Some(service),
        source: None,
        repository: None,
        title: "t".into(),
        params: serde_json::json!({}),
        actor: "=ada".into(),
        retry_of: None,
        queued_at: Timestamp(at),
        run_at: Timestamp(at),
        priority: 0,
        max_attempts: 1,
        resource_key: None,
        unique_key: None,
        schedule: None,
        max_duration_s: None,
    };
    let new = NewRestoreTest {
        run: run.id,
        service,
        selection: "latest".into(),
        definition: None,
        started_at: Timestamp(at),
        finished_at: Timestamp(at + 30_000_000),
        verdict,
        level: EvidenceLevel::Asserted,
        rto_s: Some(30.5),
        rto_target_s: Some(86_400),
        rpo_s: Some(60),
        rpo_target_s: None,
        items_restored: 1,
        items_skipped: 0,
        items_failed: 0,
        files: 12,
        bytes: 3_400,
        checks: vec![CheckOutcome::new("counts", verdict, "12 of 12, “ü”")],
        teardown: Teardown { scratch: "/scratch".into(), started_at: Timestamp(at), gone_at: Some(Timestamp(at + 1)), detail: "gone".into() },
        snapshots: vec![TestedSnapshot {
            item: "alice".into(),
            snapshot: SnapshotId(Uuid::now_v7()),
            restic_id: "87683f08".into(),
            taken_at: Timestamp(at - 1),
        }],
    };
    (run, new)
}

/// A test of a version that signed nothing.
async fn unsigned(site: &Site, service: ServiceId, at: i64) -> RestoreTestId {
    let (run, new) = test(service, at, Verdict::Passed);
    let mut t = site.ctx.db.begin().await.unwrap();
    queue::enqueue(t.tx(), &run).await.unwrap();
    let id = restore_tests::save(t.tx(), &new).await.unwrap();
    t.commit().await.unwrap();
    id
}

pub(super) const DAY: i64 = 86_400_000_000;

pub(super) fn period(since: i64, until: i64) -> Period {
    Period { since: Timestamp(since), until: Timestamp(until), service: String::new() }
}

#[tokio::test]
async fn a_record_is_signed_where_the_key_is_and_else_by_the_server() {
    for t in testing::databases().await {
        let s = site(&t.db);
        let service = s.service("notebooks").await;
        let old = unsigned(&s, service, DAY).await;
        // A worker without the server's key.
        let first = s.recorded(service, 2 * DAY, Verdict::Passed, None).await;
        assert_eq!(of_test(&s.ctx, first).await.unwrap().signed, Signed::Waiting, "{}", t.name);
        assert!(matches!(envelope(&s.ctx, 1).await, Err(OpsError::Conflict(m)) if m.contains("waits")));
        assert_eq!(chain(&s.ctx).await.unwrap().waiting, 1);
        assert_eq!(tend(&s.ctx, &s.vault).await.unwrap(), 1, "{}", t.name);
        assert_eq!(tend(&s.ctx, &s.vault).await.unwrap(), 0);
        // The first key announced itself after it.
        let second = s.recorded(service, 3 * DAY, Verdict::Failed, Some(&s.vault)).await;
        let all = list(&s.ctx, &period(0, 9 * DAY), None, 10).await.unwrap();
        let said: Vec<_> = all.iter().map(|e| (e.test.id, e.test.seq, e.signed)).collect();
        let want = [(second.0, Some(3), Signed::Valid), (first.0, Some(1), Signed::Valid), (old.0, None, Signed::Never)];
        assert_eq!(said, want, "{}: nothing is signed for what was before", t.name);
        assert_eq!(tend(&s.ctx, &s.vault).await.unwrap(), 0, "{}: a test from before stays as it is", t.name);
        let walked = chain(&s.ctx).await.unwrap();
        assert_eq!((walked.records, walked.waiting, walked.fault), (3, 0, None), "{}", t.name);
        let payload = String::from_utf8(envelope(&s.ctx, 3).await.unwrap().bytes().unwrap()).unwrap();
        assert!(payload.contains(r#""actor":"=ada""#) && payload.contains(r#""verdict":"failed""#) && payload.contains("87683f08"), "{payload}");
        assert!(of_test(&s.ctx, old).await.unwrap().row.is_none());
    }
}

#[tokio::test]
async fn whoever_changes_a_row_is_found() {
    let t = testing::sqlite().await;
    let s = site(&t.db);
    let service = s.service("a").await;
    for day in 1..=3 {
        s.recorded(service, day * DAY, Verdict::Passed, None).await;
    }
    tend(&s.ctx, &s.vault).await.unwrap();
    let mut tx = t.db.begin().await.unwrap();
    for sql in [
        "DROP TRIGGER evidence_is_not_changed",
        "DROP TRIGGER evidence_is_not_removed",
        "UPDATE evidence SET payload = replace(payload, 'passed', 'failed') WHERE seq = 2",
    ] {
        testing::execute(tx.tx(), sql).await;
    }
    tx.commit().await.unwrap();
    let found = chain(&s.ctx).await.unwrap();
    assert_eq!((found.records, found.fault.as_deref()), (1, Some("record 2 is not as it was signed")));
    let mut tx = t.db.begin().await.unwrap();
    testing::execute(tx.tx(), "DELETE FROM evidence WHERE seq = 2").await;
    tx.commit().await.unwrap();
    assert_eq!(chain(&s.ctx).await.unwrap().fault.as_deref(), Some("record 2 was removed"));
    let mut tx = t.db.begin().await.unwrap();
    testing::execute(tx.tx(), "DELETE FROM evidence WHERE seq > 1").await;
    tx.commit().await.unwrap();
    assert_eq!(chain(&s.ctx).await.unwrap().fault.as_deref(), Some("record 2 and all later ones were cut off"));
}

#[tokio::test]
async fn an_old_key_announces_the_new_one_and_a_lost_one_is_said_to_be() {
    for t in testing::databases().await {
        let s = site(&t.db);
        let service = s.service("a").await;
        s.recorded(service, DAY, Verdict::Passed, None).await;
        tend(&s.ctx, &s.vault).await.unwrap();
        let first = keys(&s.ctx).await.unwrap().remove(0);
        let lost = rotate_key(&s.ctx, &s.vault, Some("stolen")).await;
        assert!(matches!(lost, Err(OpsError::Invalid(e)) if e[0].message.contains("opens")), "{}", t.name);
        let second = rotate_key(&s.ctx, &s.vault, None).await.unwrap();
        let announced = envelope(&s.ctx, 3).await.unwrap();
        assert_eq!(announced.signatures[0].keyid, first.id, "{}: the old key signs it", t.name);
        assert!(String::from_utf8(announced.bytes().unwrap()).unwrap().contains(&second));
        let all = keys(&s.ctx).await.unwrap();
        let said: Vec<_> = all.iter().map(|k| (k.id == second, k.signs, k.retired_at.is_some())).collect();
        assert_eq!(said, [(true, true, false), (false, false, true)]);
        s.recorded(service, 2 * DAY, Verdict::Passed, Some(&s.vault)).await;
        assert_eq!(envelope(&s.ctx, 4).await.unwrap().signatures[0].keyid, second);
        // The server's key changes: what is sealed is sealed anew.
        s.keys.add().unwrap();
        assert_eq!(record::reseal(&s.ctx, &s.vault).await.unwrap(), 1);
        s.keys.drop_old().unwrap();
        assert!(record::signer(&t.db, &s.vault).await.unwrap().is_some(), "{}", t.name);
        // The server's key is lost.
        std::fs::remove_file(s.folder().join("server.key")).unwrap();
        s.keys.make().unwrap();
        s.recorded(service, 3 * DAY, Verdict::Passed, Some(&s.vault)).await;
        let closed = tend(&s.ctx, &s.vault).await.unwrap_err().to_string();
        assert!(closed.contains("--lost"), "{closed}");
        assert!(rotate_key(&s.ctx, &s.vault, None).await.unwrap_err().to_string().contains("--lost"));
        let third = rotate_key(&s.ctx, &s.vault, Some("the disk died")).await.unwrap();
        assert_eq!(envelope(&s.ctx, 6).await.unwrap().signatures[0].keyid, third);
        assert_eq!(tend(&s.ctx, &s.vault).await.unwrap(), 1);
        assert_eq!(chain(&s.ctx).await.unwrap().fault, None, "{}", t.name);
        assert_eq!(rows::keys(t.db.read().await.unwrap().tx()).await.unwrap().iter().filter(|k| k.private_key.is_some()).count(), 1);
    }
}

#[tokio::test]
async fn a_reviewer_adds_a_word_once_and_changes_nothing() {
    for t in testing::databases().await {
        let s = site(&t.db);
        let (mine, other) = (s.service("mine").await, s.service("other").await);
        let id = s.recorded(mine, DAY, Verdict::Passed, None).await;
        let elsewhere = s.recorded(other, DAY, Verdict::Passed, None).await;
        tend(&s.ctx, &s.vault).await.unwrap();
        let before = envelope(&s.ctx, 1).await.unwrap();
        let auditor = s.as_role("aud", Role::Auditor, &[]);
        let owner = s.as_role("own", Role::Member, &[mine]);
        countersign(&auditor, &s.vault, 1, " looked at it ").await.unwrap();
        countersign(&owner, &s.vault, 1, "").await.unwrap();
        let again = countersign(&auditor, &s.vault, 1, "").await;
        assert!(matches!(again, Err(OpsError::Conflict(m)) if m.contains("already")), "{}", t.name);
        let found = of_test(&auditor, id).await.unwrap();
        assert!(!found.open);
        let said: Vec<_> = found.countersignatures.iter().map(|c| (c.name.as_str(), c.role.as_str(), c.note.as_str(), c.signed)).collect();
        assert_eq!(said, [("aud", "auditor", "looked at it", true), ("own", "owner", "", true)], "{}", t.name);
        assert_eq!(envelope(&s.ctx, 1).await.unwrap(), before, "{}: the record is as it was", t.name);
        // Of a service that is not theirs, of what is no test, by a program, by a member: no.
        assert!(matches!(countersign(&owner, &s.vault, 2, "").await, Err(OpsError::Forbidden(_))));
        assert!(of_test(&owner, elsewhere).await.is_err());
        assert!(matches!(countersign(&auditor, &s.vault, 3, "").await, Err(OpsError::Invalid(_))));
        let program = Ctx { actor: Actor { scopes: Some(vec![Action::Read]), ..auditor.actor.clone() }, ..auditor.clone() };
        assert!(matches!(countersign(&program, &s.vault, 2, "").await, Err(OpsError::Forbidden(m)) if m.contains("token")));
        assert!(matches!(countersign(&s.as_role("mem", Role::Member, &[]), &s.vault, 1, "").await, Err(OpsError::Forbidden(_))));
        let long = countersign(&auditor, &s.vault, 2, &"x".repeat(501)).await;
        assert!(matches!(long, Err(OpsError::Invalid(e)) if e[0].field == "note"));
        assert!(matches!(rotate_key(&auditor, &s.vault, None).await, Err(OpsError::Forbidden(_))));
        assert_eq!(chain(&owner).await.unwrap().fault, None);
    }
}

#[tokio::test]
async fn gaps_are_shown_and_copies_prove_nothing() {
    for t in testing::databases().await {
        let s = site(&t.db);
        let (good, bad, never) = (s.service("good").await, s.service("bad").await, s.service("never").await);
        s.recorded(good, 2 * DAY, Verdict::Passed, None).await;
        s.recorded(bad, 2 * DAY, Verdict::Passed, None).await;
        s.recorded(bad, 3 * DAY, Verdict::Unknown, None).await;
        let found = standing(&s.ctx, &period(DAY, 9 * DAY)).await.unwrap();
        assert_eq!((found.services, found.proven, found.with_copy), (3, 1, 0), "{}", t.name);
        let said: Vec<_> = found.gaps.iter().map(|g| (g.service.as_str(), g.what.as_str())).collect();
        assert_eq!(said, [("bad", "the newest test could not check everything"), ("never", "no copy and no restore test")], "{}", t.name);
        // An owner sees their own; another's is not there for them.
        let owner = s.as_role("own", Role::Owner, &[never]);
        assert_eq!(standing(&owner, &period(DAY, 9 * DAY)).await.unwrap().gaps.len(), 1);
        assert!(list(&owner, &period(0, 9 * DAY), None, 10).await.unwrap().is_empty());
        let hidden = standing(&owner, &Period { service: "good".into(), ..period(0, DAY) }).await;
        assert!(matches!(hidden, Err(OpsError::NotFound { .. })));
        assert!(matches!(standing(&s.as_role("x", Role::Anonymous, &[]), &period(0, DAY)).await, Err(OpsError::Forbidden(_))));
    }
}
