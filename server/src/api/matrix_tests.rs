//! Every operation of the document × every role, on what is one's own and on what is not (R50).
//!
//! An operation without a row fails the test, as does a row without an operation. What a role may see holds nothing of
//! another's: the names of the other service and of the other person stand in no answer.

mod table;

use std::collections::BTreeSet;

use app::context::{Theme, Visitor};
use axum::{Extension, Router, http::StatusCode};
use domain::{
    id::{ItemId, LinkId, PersonId, RepositoryId, ServiceId, SnapshotId},
    units::Timestamp,
    work::RestoreTarget,
};
use ops::{
    Actor, Ctx, Guest, Role, config,
    permission::{Action, On, allowed},
    restores::{Choice, Request},
};
use serde_json::{Value, json};
use store::{
    items, services,
    snapshots::{self, NewSnapshot},
    sources,
    testing::{self, TestDb},
};

use super::{
    calls_tests::{query, risk, scale},
    parts,
    tests::{call, rule, state},
};

use table::TABLE;

const CONFIG: &str = r"version: 1
repositories:
  - name: main
    location: file:///srv/backup/main
    password: { env: PASSWORD }
services:
  - name: alpha
    owner: ops
    sources:
      - { name: homes, kind: directory, path: /srv/alpha, items: children, repository: main }
  - name: beta
    owner: ops
    sources:
      - { name: homes, kind: directory, path: /srv/beta, items: children, repository: main }
schedules:
  - { name: daily-alpha, kind: backup, service: alpha, cron: '15 1 * * *', zone: Europe/Prague }
  - { name: daily-beta, kind: backup, service: beta, cron: '15 1 * * *', zone: Europe/Prague }
";

/// A source of ARGO's figures.
pub(crate) const ARGO: &str =
    r#"{"address": "https://argo.example.org", "version": "v2", "report": "R", "group": "SITES/A", "since": "2020-01", "key": {"env": "ARGO"}}"#;

/// What the operation is done on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The whole installation.
    All,
    /// A list, or what is the asker's own: whoever may do it anywhere.
    Any,
    /// One of the two services, or what belongs to it.
    Service,
    /// What is kept of a person in one of the two services.
    Data,
    /// The same, looked for among what one sees: what is another's is not found.
    Among,
    /// Whatever the address itself is the permission for.
    Key,
}

/// What starts a run is one operation with several bodies, each of which is a row of its own.
const STARTS: &[(&str, Action, What)] = &[
    ("backup", Action::Operate, What::Service),
    ("check", Action::Operate, What::All),
    ("installation_backup", Action::Operate, What::All),
    ("installation_test", Action::Operate, What::All),
    ("prune", Action::Operate, What::All),
    ("tamper_test", Action::Operate, What::All),
    ("restore_test", Action::Operate, What::Service),
    ("restore beside", Action::Restore, What::Data),
    ("restore in_place", Action::Restore, What::Service),
    ("restore folder", Action::Restore, What::All),
];

/// What there is of one person in one service, and of the service.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    service: ServiceId,
    pub(crate) item: &'static str,
    item_id: ItemId,
    pub(crate) name: &'static str,
    person: PersonId,
    pub(crate) snapshot: SnapshotId,
    pub(crate) run: String,
    pub(crate) hold: String,
    pub(crate) waiver: String,
    pub(crate) exercise: String,
}

impl Thing {
    pub(crate) fn on(&self, what: What) -> On {
        match what {
            What::All => On::All,
            What::Any | What::Key => On::Any,
            What::Service => On::Service(self.service),
            What::Data | What::Among => On::Data { service: Some(self.service), person: Some(self.person) },
        }
    }

    /// The path with this thing's names and ids.
    fn fill(&self, template: &str) -> String {
        let name = if template.contains("/schedules/") {
            format!("daily-{}", self.name)
        } else if template.contains("/repositories/") {
            "main".to_owned()
        } else if template.contains("/scales/") {
            "2021".to_owned()
        } else if template.contains("/people/") {
            self.item.to_owned()
        } else {
            self.name.to_owned()
        };
        let id = match template {
            t if t.contains("/runs/") => self.run.clone(),
            t if t.contains("/holds/") => self.hold.clone(),
            t if t.contains("/waivers/") => self.waiver.clone(),
            t if t.contains("/exercises/") => self.exercise.clone(),
            t if t.contains("/snapshots/") => self.snapshot.to_string(),
            t if t.contains("/items/{id}") => self.item_id.to_string(),
            _ => uuid::Uuid::nil().to_string(),
        };
        let filled = template
            .replace("{name}", &name)
            .replace("{id}", &id)
            .replace("{source}", "homes")
            .replace("{item}", self.item)
            .replace("{instance}", self.item)
            .replace("{further}", "more")
            .replace("{month}", "2020-02")
            .replace("{number}", "1")
            .replace("{key}", "none")
            .replace("{review}", "risk_assessment")
            .replace("{step}", "1")
            .replace("{file}", &uuid::Uuid::nil().to_string())
            .replace("{definition}", "weekly");
        format!("{filled}{}", query(template))
    }

    fn body(&self, operation: &str) -> Option<Value> {
        Some(match operation {
            "POST /api/v1/alerts/{id}/acknowledge"
            | "POST /api/v1/evidence/keys"
            | "POST /api/v1/evidence/{id}/countersign"
            | "POST /api/v1/runs/{id}/cancel"
            | "POST /api/v1/runs/{id}/retry"
            | "POST /api/v1/services/{name}/sources/{source}/instances/{instance}/snapshots"
            | "POST /api/v1/snapshots/{id}/offsite-copies"
            | "POST /api/v1/snapshots/{id}/offsite-returns"
            | "POST /api/v1/services/{name}/sources/{source}/items/{item}/serialize" => json!({}),
            "POST /api/v1/configuration" => json!({"version": 1}),
            "POST /api/v1/exercises" => json!({"service": self.name, "template": "egi-notebooks"}),
            "POST /api/v1/exercises/imports" => {
                json!({"service": self.name, "title": "Recovery", "started": "2019-06-06 16:37:15+02:00", "finished": "2019-06-06 16:47:18+02:00"})
            }
            "POST /api/v1/exercises/{id}/cancel" => json!({"reason": "an incident"}),
            "POST /api/v1/exercises/{id}/files" => json!({"name": "a.log", "content": "eA=="}),
            "POST /api/v1/exercises/{id}/finish" => json!({"note": ""}),
            "POST /api/v1/exercises/{id}/steps/{step}" => json!({"action": "done"}),
            "POST /api/v1/services/{name}/instances/clones" => json!({"snapshot": self.snapshot}),
            "POST /api/v1/services/{name}/instances/clones/{id}/end" => json!({"confirm": "c", "reason": "over"}),
            "POST /api/v1/services/{name}/instances/clones/{id}/lengthen" => json!({"days": 14}),
            "POST /api/v1/services/{name}/instances/snapshots/{id}/restore" => json!({"confirm": self.name, "reason": "broken"}),
            "POST /api/v1/holds" => json!({"service": self.name, "reason": "legal"}),
            "POST /api/v1/holds/{id}/keep" | "POST /api/v1/holds/{id}/release" => json!({"reason": "looked at"}),
            "POST /api/v1/services/{name}/waivers" => json!({"finding": "test-failed", "reason": "agreed", "until": "2021-03-01"}),
            "POST /api/v1/waivers/{id}/end" => json!({"reason": "put right"}),
            "PUT /api/v1/notifications/address" => json!({"address": "https://holdfast.example.org"}),
            "PUT /api/v1/notifications/channels/{name}" => json!({"kind": "webhook", "secrets": {"url": {"env": "HOOK"}}}),
            "PUT /api/v1/notifications/heartbeats/{name}" => json!({"url": {"env": "BEAT"}, "every_s": 60}),
            "PUT /api/v1/notifications/rules/{name}" => json!({"channels": [self.name]}),
            "POST /api/v1/services/{name}/risks" => json!({"risk": risk()}),
            "PUT /api/v1/services/{name}/risks/{number}" => risk(),
            "POST /api/v1/services/{name}/risks/{number}/retire" => json!({"reason": "moved"}),
            "PUT /api/v1/scales/{name}" => scale(),
            "POST /api/v1/repositories/{name}/locks/{id}/clear" => json!({"reason": "gone"}),
            "DELETE /api/v1/repositories/{name}/orphans/{id}" => json!({"name": "web_snapshot_202102251408", "reason": "left"}),
            "POST /api/v1/services/{name}/sources/{source}/adoptions" => json!({"pattern": "{0}_snapshot_{1}"}),
            "POST /api/v1/schedules" => json!({"name": format!("new-{}", self.name), "rule": rule("15 1 * * *")}),
            "PUT /api/v1/schedules/{name}" => json!({"revision": 99, "rule": rule("15 1 * * *")}),
            "POST /api/v1/schedules/{name}/pause" => json!({"reason": "moving"}),
            "POST /api/v1/restores" | "POST /api/v1/restores/counts" | "POST /api/v1/restores/counts/{id}" => {
                json!({"snapshots": [{"snapshot": self.snapshot}], "target": {"kind": "beside"}})
            }
            "POST /api/v1/services/{name}/sources/{source}/items/{item}/deserialize" => json!({"location": "none", "target": {"kind": "beside"}}),
            "PUT /api/v1/accounts/{name}/person" | "PUT /api/v1/items/{id}/person" => json!({"person": null}),
            "POST /api/v1/people/{name}/names" => json!({"name": format!("more of {}", self.name)}),
            "POST /api/v1/providers/{name}/preview" => json!({"claims": {}}),
            "PUT /api/v1/services/{name}/argo" => ARGO.parse().unwrap(),
            "PUT /api/v1/services/{name}/availability/{month}" => json!({"availability": 78.53}),
            "PUT /api/v1/services/{name}/availability/{month}/explanation" => json!({"text": "The provider was down."}),
            "POST /api/v1/services/{name}/availability/{month}/show" => json!({"origin": "hand"}),
            "POST /api/v1/links" => json!({"label": "audit", "services": [self.name], "from": "2020-01-01", "to": "2020-12-31"}),
            "POST /api/v1/calendars" => json!({"name": "phone"}),
            "PUT /api/v1/services/{name}/reviews/{review}" => json!({"months": 6}),
            "POST /api/v1/services/{name}/reviews/{review}/done" => json!({"on": "2019-05-28", "by": "Olga", "outcome": "in order"}),
            "POST /api/v1/services/{name}/reviews/{review}/done/{id}/withdraw" => json!({"reason": "of another service"}),
            "PUT /api/v1/services/{name}/reviews/{review}/exemption" => json!({"until": far(), "reason": "being replaced"}),
            "POST /api/v1/plans/roles" => json!({"roles": [{"name": "Service owner", "owner": true}]}),
            "PUT /api/v1/services/{name}/plan" => json!({"format": 1, "outcome": "agreed"}),
            "POST /api/v1/services/{name}/plan/drafts" => json!({"from": "empty"}),
            "POST /api/v1/services/{name}/plan/versions/{number}/approve" => json!({"sha256": "none"}),
            "POST /api/v1/services/{name}/plan/versions/{number}/discard" => json!({"revision": 1, "reason": "begun too early"}),
            "POST /api/v1/services/{name}/plan/versions/{number}/return" => json!({"reason": "the RTO is missing"}),
            "POST /api/v1/services/{name}/plan/versions/{number}/sign" => json!({"role": "Service owner", "sha256": "none"}),
            "POST /api/v1/services/{name}/plan/versions/{number}/submit" => json!({"revision": 1}),
            "PUT /api/v1/services/{name}/test-definitions/{definition}" => json!({"selection": {"kind": "latest"}}),
            "POST /api/v1/tests/{id}/rerun" => json!({"snapshots": "same"}),
            "POST /api/v1/tokens" => json!({"name": "ci", "scopes": ["read"]}),
            _ => return None,
        })
    }

    fn start(&self, what: &str) -> Value {
        let restore =
            |target: Value| json!({"kind": "restore", "snapshots": [{"snapshot": self.snapshot}], "target": target, "confirm": self.name, "preview": true});
        match what {
            "restore beside" => restore(json!({"kind": "beside"})),
            "restore in_place" => restore(json!({"kind": "in_place"})),
            "restore folder" => restore(json!({"kind": "folder", "path": "/tmp/matrix"})),
            "restore_test" => json!({"kind": what, "service": self.name, "selection": {"kind": "all"}}),
            "backup" => json!({"kind": what, "service": self.name}),
            other => json!({"kind": other, "repository": "main"}),
        }
    }
}

/// A day within what an exemption may last.
pub(crate) fn far() -> String {
    domain::review::after(domain::review::date_of(store::Clock::System.now()), 24).to_string()
}

/// Two services with one person each: ada's data is in alpha, bob's in beta.
pub(crate) async fn stage() -> (TestDb, Thing, Thing) {
    let db = testing::sqlite().await;
    let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
    config::apply(&shell, &config::parse(CONFIG).unwrap(), None).await.unwrap();
    let ada = thing(&shell, "alpha", "ada", 1).await;
    let bob = thing(&shell, "beta", "bob", 2).await;
    (db, ada, bob)
}

async fn thing(shell: &Ctx, service: &'static str, person: &'static str, n: u8) -> Thing {
    let mut t = shell.db.begin().await.unwrap();
    let row = services::find_by_name(t.tx(), service).await.unwrap().unwrap();
    let source = sources::of_service(t.tx(), row.id()).await.unwrap().remove(0);
    let owner = items::person(t.tx(), person, Timestamp(1)).await.unwrap();
    let item = items::seen(t.tx(), source.id(), row.id(), Some(owner), person, Timestamp(1)).await.unwrap();
    let snapshot = snapshots::insert(t.tx(), &snapshot(RepositoryId(source.repository_id), row.id(), source.id(), item, owner, person, n)).await.unwrap();
    items::set_snapshot(t.tx(), item, snapshot, Timestamp::from_secs(100), 9).await.unwrap();
    t.commit().await.unwrap();
    let run = ops::backups::start(shell, service, None, None).await.unwrap().remove(0);
    let hold =
        ops::holds::place(shell, &ops::holds::Place { service: service.to_owned(), reason: "a lawsuit".to_owned(), ..Default::default() }).await.unwrap();
    let until = domain::review::date_of(shell.now()).tomorrow().unwrap().to_string();
    let waive = ops::lint::Waive { finding: "never-tested".to_owned(), reason: "planned".to_owned(), until, ..Default::default() };
    let waiver = ops::lint::waive(shell, service, &waive).await.unwrap().to_string();
    let exercise = ops::exercises::New { service: service.to_owned(), template: "egi-notebooks".to_owned(), ..Default::default() };
    let exercise = ops::exercises::start(shell, &exercise).await.unwrap().to_string();
    Thing {
        service: row.id(),
        item: person,
        item_id: item,
        name: service,
        person: owner,
        snapshot,
        run: run.to_string(),
        hold: hold.to_string(),
        waiver,
        exercise,
    }
}

fn snapshot(repository: RepositoryId, service: ServiceId, source: domain::id::SourceId, item: ItemId, person: PersonId, label: &str, n: u8) -> NewSnapshot {
    NewSnapshot {
        repository,
        service: Some(service),
        source: Some(source),
        item: Some(item),
        person: Some(person),
        run: None,
        restic_id: format!("{n:02x}").repeat(32),
        tree: "t".to_owned(),
        parent_restic_id: None,
        taken_at: Timestamp::from_secs(100),
        host: "h".to_owned(),
        label: label.to_owned(),
        paths: vec!["/".to_owned()],
        tags: Vec::new(),
        state: "complete",
        files: 1,
        dirs: 0,
        bytes: 9,
        bytes_added: 9,
        files_added: 1,
        files_changed: 0,
        files_removed: 0,
        errors: 0,
        measure: None,
    }
}

fn api(db: &TestDb, actor: &Actor) -> Router {
    let visitor = Visitor { actor: actor.clone(), origin: "test".into(), theme: Theme::System, single_keys: true };
    let state = state(db);
    crate::web::events::routes().merge(super::router(&state.app)).layer(Extension(visitor)).with_state(state)
}

/// Whoever came by a read-only link to the evidence of ada's service.
pub(crate) fn guest(ada: &Thing) -> Actor {
    let day = jiff::civil::date;
    let guest = Guest { link: LinkId(uuid::Uuid::nil()), services: Some(vec![ada.service]), from: day(1970, 1, 1), to: day(9000, 1, 1) };
    Actor { guest: Some(guest), ..Actor::new("guest by link audit", Role::Guest) }
}

/// Everybody who may ask: each role, and two roles at once.
pub(crate) fn askers(ada: &Thing) -> Vec<Actor> {
    let owner = Actor { services: vec![ada.service], ..Actor::new("olga", Role::Owner) };
    let member = Actor { person: Some(ada.person), ..Actor::new("ada", Role::Member) };
    vec![
        Actor::new("adam", Role::Admin),
        Actor::new("aud", Role::Auditor),
        Actor { services: vec![ada.service], ..Actor::new("both", Role::Auditor) },
        owner,
        Actor::new("olaf", Role::Owner),
        member,
        Actor::new("mona", Role::Member),
        guest(ada),
        Actor::anonymous(),
    ]
}

#[tokio::test]
async fn every_operation_has_a_row_and_every_row_an_operation() {
    let document = serde_json::to_value(parts().1).unwrap();
    let mut there: BTreeSet<String> = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        there.extend(item.as_object().unwrap().keys().map(|m| format!("{} {path}", m.to_uppercase())));
    }
    assert!(there.remove("POST /api/v1/runs"), "its rows stand in STARTS");
    let rows: BTreeSet<String> = TABLE.iter().map(|(op, ..)| (*op).to_owned()).collect();
    assert_eq!(there.difference(&rows).collect::<Vec<_>>(), Vec::<&String>::new(), "operations without a row");
    assert_eq!(rows.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new(), "rows without an operation");
}

#[tokio::test]
async fn each_cell_is_refused_or_allowed_as_the_table_says() {
    let (mut cells, mut allowed_cells) = (0, 0);
    // A database of their own for each: what one may change another must not find changed.
    for n in 0.. {
        let (db, ada, bob) = stage().await;
        let Some(actor) = askers(&ada).into_iter().nth(n) else { break };
        let router = api(&db, &actor);
        for (operation, action, what) in TABLE {
            let (method, template) = operation.split_once(' ').unwrap();
            for thing in [&ada, &bob] {
                let answer = call(&router, method, &thing.fill(template), thing.body(operation).as_ref(), None).await;
                // A pack holds names of people's items.
                let pack_of_a_guest = actor.guest.is_some() && operation.ends_with("/evidence/pack");
                let may = *what == What::Key || (allowed(&actor, *action, thing.on(*what)) && !pack_of_a_guest);
                let unseen = *what == What::Among && !allowed(&actor, Action::Read, thing.on(*what));
                if unseen && allowed(&actor, *action, On::Any) {
                    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{} {operation} of {}: {}", actor.name, thing.name, answer.body);
                } else {
                    verdict(&actor, &format!("{operation} of {}", thing.name), may, answer.status, &answer.body);
                }
                (cells, allowed_cells) = (cells + 1, allowed_cells + usize::from(may));
                if may {
                    tells_nothing_of(&actor, operation, &answer.body, &ada, &bob);
                }
            }
        }
        for (what, action, on) in STARTS {
            for thing in [&ada, &bob] {
                let answer = call(&router, "POST", "/api/v1/runs", Some(&thing.start(what)), None).await;
                let may = allowed(&actor, *action, thing.on(*on));
                verdict(&actor, &format!("{what} of {}", thing.name), may, answer.status, &answer.body);
                (cells, allowed_cells) = (cells + 1, allowed_cells + usize::from(may));
            }
        }
    }
    assert!(cells > 1_400 && allowed_cells > 500, "{cells} cells, {allowed_cells} of them allowed");
}

fn verdict(actor: &Actor, what: &str, may: bool, status: StatusCode, body: &Value) {
    assert!(status.as_u16() < 500 && status != StatusCode::METHOD_NOT_ALLOWED, "{} {what}: {status} {body}", actor.role);
    assert_eq!(status != StatusCode::FORBIDDEN, may, "{} ({}) {what}: {status} {body}", actor.name, actor.role);
    if !may {
        assert!(body["detail"].as_str().unwrap().starts_with("you may not "), "{what}: {body}");
    }
}

/// Whoever sees a part hears nothing of the rest.
fn tells_nothing_of(actor: &Actor, operation: &str, body: &Value, ada: &Thing, bob: &Thing) {
    if allowed(actor, Action::Read, On::All) {
        return;
    }
    let text = body.to_string();
    for word in ["beta", "bob", &bob.run, &bob.hold, &bob.exercise, &bob.snapshot.to_string()] {
        assert!(!text.contains(word), "{} sees “{word}” in {operation}: {text}", actor.name);
    }
    if actor.services.is_empty() && actor.person.is_none() && actor.guest.is_none() {
        for word in ["alpha", &ada.run, &ada.hold, &ada.snapshot.to_string()] {
            assert!(!text.contains(word), "{} sees “{word}” in {operation}: {text}", actor.name);
        }
    }
}

#[tokio::test]
async fn what_is_ones_own_is_seen() {
    let (db, ada, _) = stage().await;
    let actors = askers(&ada);
    let (owner, member) = (api(&db, &actors[3]), api(&db, &actors[5]));
    for (list, key) in [("services", "services"), ("runs", "runs"), ("holds", "holds"), ("schedules", "schedules"), ("snapshots", "snapshots")] {
        let answer = call(&owner, "GET", &format!("/api/v1/{list}"), None, None).await;
        assert_eq!(answer.body[key].as_array().map(Vec::len), Some(1), "{list}: {}", answer.body);
    }
    let own = call(&member, "GET", "/api/v1/snapshots", None, None).await.body;
    assert_eq!((own["snapshots"].as_array().map(Vec::len), &own["snapshots"][0]["id"]), (Some(1), &json!(ada.snapshot)), "{own}");
    assert_eq!(call(&member, "GET", "/api/v1/services", None, None).await.body["services"], json!([]));
    // A member restores beside the original, follows the run, and may stop it.
    let started =
        call(&member, "POST", "/api/v1/runs", Some(&json!({"kind": "restore", "snapshots": [{"snapshot": ada.snapshot}], "target": {"kind": "beside"}})), None)
            .await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.body);
    let run = started.body["runs"][0].as_str().unwrap();
    let seen = call(&member, "GET", "/api/v1/runs", None, None).await.body;
    assert_eq!((seen["runs"].as_array().map(Vec::len), &seen["runs"][0]["id"]), (Some(1), &json!(run)));
    assert_eq!(call(&member, "POST", &format!("/api/v1/runs/{run}/cancel"), Some(&json!({})), None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn restores_of_others_are_refused_before_anything_is_looked_at() {
    let (db, ada, bob) = stage().await;
    for actor in [askers(&ada).remove(3), askers(&ada).remove(5)] {
        let ctx = Ctx::new(db.db.clone(), actor, "test");
        let mixed = Request {
            choices: [ada.snapshot, bob.snapshot].map(|snapshot| Choice { snapshot, paths: Vec::new() }).to_vec(),
            target: RestoreTarget::Beside,
            conflict: domain::restore::ConflictMode::Fail,
            preview: false,
            confirm: None,
        };
        assert!(matches!(ops::restores::start(&ctx, mixed).await, Err(ops::OpsError::Forbidden(_))), "one of two is another's");
    }
}
