//! Use cases of offsite copies on both databases: what is copied, what is refused, who may.

use domain::{id::ItemId, instance::BootType, units::Timestamp};
use store::{
    Clock,
    ids::NewId as _,
    items, services,
    snapshots::{self as rows, NewSnapshot},
    testing,
    testing::TestDb,
};

use super::*;
use crate::{Actor, Role, clones, config};

const CONFIG: &str = r#"version: 1
repositories:
  - { name: main, location: "file:///srv/backup/main", password: { env: MAIN } }
  - { name: far, location: "file:///srv/backup/far", password: { env: MAIN } }
  - name: geneva
    location: openstack+https://keystone.example.org:5000/v3
    application_credential_id: 21dced0f
    password: { env: GENEVA }
services:
  - name: web
    owner: ops
    sources:
      - { name: vms, kind: openstack-instance, repository: geneva, offsite: main }
      - { name: more, kind: openstack-instance, repository: geneva }
"#;

fn native(name: &str, boot: BootType) -> NativeSnapshot {
    testing::native(&format!("image-{name}"), name, testing::server("s1", "web", boot))
}

struct Stage {
    db: TestDb,
    ctx: Ctx,
}

impl Stage {
    async fn on(db: TestDb) -> Self {
        let ctx = Ctx { clock: Clock::fixed(Timestamp::from_secs(1_614_242_520)), ..Ctx::new(db.db.clone(), Actor::shell(), "test") };
        config::apply(&ctx, &config::parse(CONFIG).unwrap(), None).await.unwrap();
        Self { db, ctx }
    }

    /// A snapshot of the source in a repository.
    async fn snapshot(&self, source: &str, repository: &str, native: &NativeSnapshot, restic_id: &str, state: &'static str) -> SnapshotId {
        let mut t = self.db.db.begin().await.unwrap();
        let service = services::find_by_name(t.tx(), "web").await.unwrap().unwrap();
        let source = sources::of_service(t.tx(), service.id()).await.unwrap().into_iter().find(|s| s.name == source).unwrap();
        let repository = repositories::find_by_name(t.tx(), repository).await.unwrap().unwrap();
        let item: ItemId = items::listed(t.tx(), source.id(), service.id(), "web", &native.server, self.ctx.now()).await.unwrap();
        let new = NewSnapshot {
            service: Some(service.id()),
            source: Some(source.id()),
            item: Some(item),
            restic_id: restic_id.into(),
            // What a repository holds has a tree.
            tree: if restic_id.len() == 64 { "b".repeat(64) } else { String::new() },
            ..NewSnapshot::native(repository.id(), native, self.ctx.now(), state)
        };
        let id = rows::insert(t.tx(), &new).await.unwrap();
        rows::set_native(t.tx(), id, native).await.unwrap();
        t.commit().await.unwrap();
        id
    }
}

#[tokio::test]
async fn an_image_is_copied_where_its_source_says_or_where_asked() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let one = native("one", BootType::Image);
        let id = s.snapshot("vms", "geneva", &one, "image-one", "complete").await;
        let run = copy(&s.ctx, id, None).await.unwrap();
        let row = runs::find(&s.ctx, run).await.unwrap();
        assert_eq!((row.kind().unwrap(), row.title.as_str()), (RunKind::OffsiteCopy, "Offsite copy of one into main"), "{}", s.db.name);
        assert_eq!(row.params::<OffsiteParams>().unwrap(), OffsiteParams { snapshot: id, name: "one".into(), to: "main".into() });
        assert!(matches!(copy(&s.ctx, id, Some("main")).await, Err(OpsError::Underway { run: live, .. }) if live == run));
        assert!(matches!(follow(&s.ctx, id).await, Ok(Some(live)) if live == run), "it is asked for once");
        copy(&s.ctx, id, Some("far")).await.unwrap();

        // What is there is not copied again, and can be brought back.
        let there = s.snapshot("vms", "main", &one, &"a".repeat(64), "complete").await;
        let said = copy(&s.ctx, id, None).await.unwrap_err();
        assert!(matches!(&said, OpsError::Conflict(text) if text.contains("already")), "{said:?}");
        let back = bring_back(&s.ctx, there, None).await.unwrap();
        let row = runs::find(&s.ctx, back).await.unwrap();
        assert_eq!((row.kind().unwrap(), row.title.as_str()), (RunKind::OffsiteReturn, "Return of one from main into geneva"));
        assert!(matches!(bring_back(&s.ctx, there, Some("far")).await, Err(OpsError::Invalid(fields)) if fields[0].field == "cloud"), "{}", s.db.name);

        // A copy is no snapshot to make a clone of, and each page tells of the other.
        let e = clones::finished(&s.ctx, there).await.unwrap_err();
        assert!(matches!(&e, OpsError::Conflict(text) if text.contains("return it to a cloud first")), "{e:?}");
        let db = &s.db.db;
        let read = |id| async move { rows::find(db.read().await.unwrap().tx(), id).await.unwrap().unwrap() };
        let of = standing(&s.ctx, &read(id).await).await.unwrap().unwrap();
        assert_eq!((of.others.len(), of.others[0].0.id(), of.others[0].1.as_str(), of.named.as_deref()), (1, there, "main", Some("main")));
        assert_eq!((of.places, of.live.is_some()), (vec!["far".to_owned(), "main".to_owned()], true));
        let of = standing(&s.ctx, &read(there).await).await.unwrap().unwrap();
        assert_eq!((of.others[0].0.id(), of.live, of.places, of.named.as_deref()), (id, Some(back), vec!["geneva".to_owned()], Some("geneva")));
        let reader = Ctx { actor: Actor::new("a", Role::Auditor), ..s.ctx.clone() };
        assert!(standing(&reader, &read(there).await).await.unwrap().unwrap().places.is_empty(), "who may not send it is offered nothing");

        // Nothing is asked for without the word.
        let other = s.snapshot("more", "geneva", &native("two", BootType::Image), "image-two", "complete").await;
        assert!(matches!(follow(&s.ctx, other).await, Ok(None)));
        let e = copy(&s.ctx, other, None).await.unwrap_err();
        assert!(matches!(&e, OpsError::Invalid(f) if f[0].field == "repository"), "{e:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_with_its_remedy() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let mut bare = native("bare", BootType::Volume);
        bare.volumes[0].root = false;
        let bare = s.snapshot("vms", "geneva", &bare, "v2", "complete").await;
        let e = copy(&s.ctx, bare, None).await.unwrap_err();
        assert!(matches!(&e, OpsError::Conflict(text) if text.contains("no disk to copy; take a new one")), "{e:?}");
        assert!(matches!(follow(&s.ctx, bare).await, Ok(None)), "{}", s.db.name);
        let volume = s.snapshot("vms", "geneva", &native("vol", BootType::Volume), "image-vol", "complete").await;
        assert!(matches!(follow(&s.ctx, volume).await, Ok(Some(_))), "an image is made of the volume that it boots from");
        let pending = s.snapshot("vms", "geneva", &native("soon", BootType::Image), "image-soon", "pending").await;
        assert!(matches!(copy(&s.ctx, pending, None).await, Err(OpsError::Conflict(text)) if text.contains("still making")));
        let fine = s.snapshot("vms", "geneva", &native("fine", BootType::Image), "image-fine", "complete").await;
        assert!(matches!(copy(&s.ctx, fine, Some("geneva")).await, Err(OpsError::Conflict(text)) if text.contains("made of files")));
        assert!(matches!(copy(&s.ctx, fine, Some("none")).await, Err(OpsError::Invalid(_))));
        assert!(matches!(bring_back(&s.ctx, fine, None).await, Err(OpsError::Conflict(text)) if text.contains("in the cloud")));
        assert!(matches!(copy(&s.ctx, SnapshotId::new(), None).await, Err(OpsError::NotFound { .. })));
        for actor in [Actor::new("a", Role::Auditor), Actor { services: Vec::new(), ..Actor::new("x", Role::Owner) }] {
            let ctx = Ctx { actor, ..s.ctx.clone() };
            assert!(matches!(copy(&ctx, fine, None).await, Err(OpsError::Forbidden(_))), "{}", s.db.name);
            assert!(matches!(bring_back(&ctx, fine, None).await, Err(OpsError::Forbidden(_))), "{}", s.db.name);
        }
    }
}

#[tokio::test]
async fn an_owner_sends_copies_only_where_a_source_of_theirs_goes() {
    let zurich =
        "  - { name: zurich, location: \"openstack+https://keystone.example.net:5000/v3\", application_credential_id: 5f0c, password: { env: ZURICH } }\n";
    let db = "  - name: db\n    owner: dba\n    sources:\n      - { name: hosts, kind: openstack-instance, repository: zurich, offsite: far }\n";
    let text = format!("{}{db}", CONFIG.replace("services:\n", &format!("{zurich}services:\n")));
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        config::apply(&s.ctx, &config::parse(&text).unwrap(), None).await.unwrap();
        let one = native("one", BootType::Image);
        let id = s.snapshot("vms", "geneva", &one, "image-one", "complete").await;
        let there = s.snapshot("vms", "main", &one, &"a".repeat(64), "complete").await;
        let two = s.snapshot("vms", "geneva", &native("two", BootType::Image), "image-two", "complete").await;
        let (web, other, rows) = {
            let mut read = s.db.db.read().await.unwrap();
            let web = services::find_by_name(read.tx(), "web").await.unwrap().unwrap().id();
            let other = services::find_by_name(read.tx(), "db").await.unwrap().unwrap().id();
            (web, other, [rows::find(read.tx(), id).await.unwrap().unwrap(), rows::find(read.tx(), there).await.unwrap().unwrap()])
        };
        let of = |services| Ctx { actor: Actor { services, ..Actor::new("olga", Role::Owner) }, ..s.ctx.clone() };
        let (owner, both) = (of(vec![web]), of(vec![web, other]));
        let e = bring_back(&owner, there, Some("zurich")).await.unwrap_err();
        assert!(matches!(e, OpsError::Forbidden(why) if why.contains("ask an admin")), "{}: {e:?}", s.db.name);
        assert!(matches!(copy(&owner, two, Some("far")).await, Err(OpsError::Forbidden(_))), "{}", s.db.name);
        let places = async |ctx: &Ctx, row: &SnapshotRow| standing(ctx, row).await.unwrap().unwrap().places;
        assert_eq!((places(&owner, &rows[0]).await, places(&owner, &rows[1]).await), (vec!["main".to_owned()], vec!["geneva".to_owned()]), "{}", s.db.name);
        assert_eq!(places(&both, &rows[1]).await, ["geneva", "zurich"], "{}", s.db.name);

        copy(&owner, two, Some("main")).await.unwrap();
        bring_back(&owner, there, Some("geneva")).await.unwrap();
        bring_back(&both, there, Some("zurich")).await.unwrap();
        copy(&s.ctx, two, Some("far")).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_is_asked_for_in_the_transaction_that_completes_the_snapshot() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let what = native("soon", BootType::Image);
        let id = s.snapshot("vms", "geneva", &what, "image-soon", "pending").await;
        assert!(matches!(follow(&s.ctx, id).await, Ok(None)), "{}: the cloud has not finished it", s.db.name);
        for stands in [false, true] {
            let mut t = s.db.db.begin_audited().await.unwrap();
            assert!(rows::complete(t.tx(), id, &what, what.bytes()).await.unwrap(), "{}", s.db.name);
            assert!(follow_in(&s.ctx, &mut t, id).await.unwrap().is_some(), "{}", s.db.name);
            if stands {
                t.commit().await.unwrap();
            } else {
                drop(t);
            }
            let live = runs::live(&s.ctx, 10).await.unwrap();
            assert_eq!(live.len(), usize::from(stands), "{}: the one without the other", s.db.name);
        }
    }
}

#[test]
fn the_word_offsite_names_a_repository_of_files() {
    for (from, to, says) in [
        ("offsite: main", "offsite: geneva", "“offsite”: the repository “geneva” is a cloud"),
        ("offsite: main", "offsite: mian", "did you mean “main”?"),
        (
            "kind: openstack-instance, repository: geneva, offsite: main",
            "kind: directory, path: /etc, items: self, repository: main, offsite: far",
            "“offsite” is for openstack-instance",
        ),
    ] {
        let e = config::parse(&CONFIG.replace(from, to)).unwrap_err();
        assert!(format!("{e:?}").contains(says), "{e:?}");
    }
    assert!(config::parse(CONFIG).is_ok());
    assert!(config::parse(&with_policy("vms")).is_ok(), "a policy decides on the copies");
    let e = config::parse(&with_policy("more")).unwrap_err();
    assert!(format!("{e:?}").contains("is for its offsite copies"), "{e:?}");
}

fn with_policy(source: &str) -> String {
    let place = format!("name: {source}, kind: openstack-instance, repository: geneva");
    format!("{}policies:\n  - {{ name: two, keep_last: 2 }}\n", CONFIG.replace(&place, &format!("{place}, policy: two")))
}

#[tokio::test]
async fn a_policy_decides_on_the_copies_and_on_nothing_in_the_cloud() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        config::apply(&s.ctx, &config::parse(&with_policy("vms")).unwrap(), None).await.unwrap();
        for n in ["one", "two", "three"] {
            let of = native(n, BootType::Image);
            s.snapshot("vms", "geneva", &of, &format!("image-{n}"), "complete").await;
            s.snapshot("vms", "main", &of, &format!("{n:a>64}"), "complete").await;
        }
        let seen = crate::policies::preview(&s.ctx, "web", Some("vms"), "web", crate::policies::Tried::Own).await.unwrap();
        assert_eq!(seen.subject.policy.as_deref(), Some("two"), "{}", s.db.name);
        let kept: Vec<bool> = seen.snapshots.iter().map(|j| j.decision.is_kept()).collect();
        assert_eq!((kept.len(), kept.iter().filter(|k| **k).count()), (3, 2), "{}", s.db.name);
        assert!(seen.snapshots.iter().all(|j| j.row.restic_id.len() == 64), "what is in the cloud is max_snapshots' business");
        let none = crate::policies::preview_source(&s.ctx, "web", Some("more"), crate::policies::Tried::Named("two"), "", 10).await.unwrap();
        assert!(none.items.iter().all(|i| i.forgotten == 0), "{}", s.db.name);
    }
}
