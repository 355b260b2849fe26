//! Every server function × every role, on what is one's own and on what is not (R50), as a browser without JavaScript
//! sends its form. What the API allows is `api::matrix_tests`; the table that both compare with is `ops::permission`.

use std::collections::BTreeSet;

use app::{
    context::{Theme, Visitor},
    error::AppError,
};
use axum::{
    Extension, Router,
    body::Body,
    http::{Request, StatusCode, header},
    routing::post,
};
use leptos::{
    prelude::provide_context,
    server_fn::{axum::server_fn_paths, error::ServerFnUrlError},
};
use leptos_axum::{generate_route_list, handle_server_fns_with_context};
use ops::{
    Actor,
    permission::{Action, On, allowed},
};
use store::testing::TestDb;
use tower::ServiceExt as _;

use crate::api::{
    matrix_tests::{Thing, What, askers, stage},
    tests::state,
};

const NOWHERE: &str = "00000000-0000-0000-0000-000000000000";

/// Each server function with the action it needs, what it is done on, and a form that only permission can refuse as forbidden.
const TABLE: &[(&str, Action, What, &str)] = &[
    ("acknowledge-alert", Action::Operate, What::Any, "id=NOWHERE&note="),
    ("add-name", Action::AdmitPeople, What::All, "person=PERSON&name=more+of+NAME"),
    ("back-up", Action::Operate, What::Service, "service=NAME"),
    ("cancel-run", Action::Operate, What::Service, "run=RUN"),
    ("check-data", Action::Operate, What::All, "repository=main"),
    ("check-repository", Action::Operate, What::All, "repository=main"),
    ("clear-lock", Action::Unlock, What::All, "repository=main&lock=NOWHERE&reason=gone"),
    ("copy-holdfast", Action::Operate, What::All, "repository=main"),
    ("end-session", Action::Read, What::Any, "session=none"),
    ("end-sessions", Action::AdmitPeople, What::All, "account=nobody"),
    ("give-item", Action::AdmitPeople, What::All, "item=NOWHERE&person=PERSON"),
    ("keep-hold", Action::Hold, What::Service, "hold=HOLD&reason=looked+at"),
    ("link-account", Action::AdmitPeople, What::All, "account=nobody&person="),
    ("make-token", Action::Read, What::Any, "name=ci&days=1&scopes[]=read"),
    ("pause-schedule", Action::Operate, What::Service, "name=daily-NAME&reason=moving"),
    ("place-hold", Action::Hold, What::Service, "service=NAME&reason=a+lawsuit"),
    ("preview-restore", Action::Restore, What::Data, "state=STATE"),
    ("preview-schedule", Action::Read, What::All, "name=new&kind=backup&of=NAME&m=15&h=1&dom=*&mon=*&dow=*&tz=UTC&missed=one"),
    ("prune-repository", Action::Operate, What::All, "repository=main"),
    ("release-hold", Action::Hold, What::Service, "hold=HOLD&reason=looked+at"),
    ("remove-channel", Action::Configure, What::All, "name=none&version="),
    ("remove-heartbeat", Action::Configure, What::All, "name=none&version="),
    ("remove-name", Action::AdmitPeople, What::All, "person=PERSON&name=none"),
    ("remove-rule", Action::Configure, What::All, "name=none&version="),
    ("remove-schedule", Action::Configure, What::All, "name=daily-NAME&version="),
    ("resume-schedule", Action::Operate, What::Service, "name=daily-NAME"),
    ("retry-delivery", Action::Operate, What::All, "id=NOWHERE"),
    ("retry-run", Action::Operate, What::Service, "run=RUN&what=all"),
    ("revoke-token", Action::Read, What::Any, "id=NOWHERE"),
    ("save-channel", Action::Configure, What::All, "name=hook&kind=webhook&secrets[url][env]=HOOK"),
    ("save-heartbeat", Action::Configure, What::All, "name=beat&every=1m&secrets[url][env]=BEAT"),
    ("save-rule", Action::Configure, What::All, "name=all&severity=warning"),
    ("save-schedule", Action::Configure, What::All, "name=new-NAME&kind=backup&of=NAME&m=15&h=1&dom=*&mon=*&dow=*&tz=UTC&missed=one"),
    ("set-address", Action::Configure, What::All, "address=https://holdfast.example.org&version="),
    ("start-restore", Action::Restore, What::Data, "state=STATE"),
    ("test-channel", Action::Operate, What::All, "name=none"),
    ("test-copy", Action::Operate, What::All, "repository=main"),
    ("test-restore", Action::Operate, What::Service, "service=NAME&sample=latest"),
    ("test-tamper", Action::Operate, What::All, "repository=main"),
];

fn form(template: &str, thing: &Thing) -> String {
    let state = format!(r#"{{"snapshots":["{}"],"paths":[],"to":"beside","folder":"","conflict":"fail","run":"{}"}}"#, thing.snapshot, thing.run);
    template
        .replace("NOWHERE", NOWHERE)
        .replace("STATE", &app::components::address::encode(&state))
        .replace("PERSON", thing.item)
        .replace("NAME", thing.name)
        .replace("RUN", &thing.run)
        .replace("HOLD", &thing.hold)
}

fn acts(db: &TestDb, actor: &Actor) -> Router {
    let visitor = Visitor { actor: actor.clone(), origin: "test".into(), theme: Theme::System, single_keys: true };
    let context = state(db).app;
    let answer = move |request: Request<Body>| handle_server_fns_with_context(move || provide_context(context.clone()), request);
    Router::new().route("/act/{*name}", post(answer)).layer(Extension(visitor))
}

/// Why the form was sent back, if it was.
async fn send(router: &Router, name: &str, form: String) -> Option<AppError> {
    let request = Request::post(format!("/act/{name}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "text/html")
        .header(header::REFERER, "http://holdfast/")
        .body(Body::from(form))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND, "{name}");
    let location = answer.headers()[header::LOCATION].to_str().unwrap();
    let encoded = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("__err="))?;
    let encoded = encoded.split('#').next().unwrap_or(encoded).replace("%3D", "=");
    Some(ServerFnUrlError::<AppError>::decode_err(&encoded))
}

/// Each page for whoever sees a part: it opens or is refused, and tells nothing of the other service and the other person.
#[tokio::test]
async fn pages_tell_nothing_of_what_is_anothers() {
    let (db, ada, bob) = stage().await;
    let pages: Vec<String> = generate_route_list(app::App).iter().map(|r| r.path().to_owned()).collect();
    assert!(pages.len() > 40, "{pages:?}");
    for actor in askers(&ada).into_iter().filter(|a| allowed(a, Action::Read, On::Any) && !allowed(a, Action::Read, On::All)) {
        let mut opened = 0;
        for page in &pages {
            for thing in [&ada, &bob] {
                let name = if page.contains("/people/") { thing.item } else { thing.name };
                let name = if page.contains("/schedules/") { format!("daily-{name}") } else { name.to_owned() };
                let id = match page {
                    p if p.contains("/runs/") => thing.run.clone(),
                    p if p.contains("/holds/") => thing.hold.clone(),
                    p if p.contains("/snapshots/") => thing.snapshot.to_string(),
                    _ => NOWHERE.to_owned(),
                };
                let path = page.replace("{name}", &name).replace(":name", &name).replace("{id}", &id).replace(":id", &id);
                let path = path.replace("{other}", &id).replace(":other", &id);
                let render = crate::web::rendered(&state(&db));
                let visitor = Visitor { actor: actor.clone(), origin: "test".into(), theme: Theme::System, single_keys: true };
                let router = Router::new().fallback(move |request: Request<Body>| render(request)).layer(Extension(visitor));
                let answer = router.oneshot(Request::get(&path).body(Body::empty()).unwrap()).await.unwrap();
                let status = answer.status();
                let text = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
                let text = String::from_utf8_lossy(&text).replace(&path, "");
                let case = format!("{} ({}) {path}: {status}", actor.name, actor.role);
                assert!(status.as_u16() < 500, "{case}: {text}");
                opened += usize::from(status == StatusCode::OK);
                if status == StatusCode::OK && page != "/login" {
                    for word in ["beta", &bob.run, &bob.hold, &bob.snapshot.to_string()] {
                        assert!(!text.contains(word), "{case} shows “{word}”: {text}");
                    }
                }
            }
        }
        assert!(opened > 10, "{}: {opened} pages open", actor.name);
    }
}

#[test]
fn every_server_function_has_a_row_and_every_row_a_function() {
    let there: BTreeSet<&str> = server_fn_paths().map(|(path, _)| path.trim_start_matches("/act/")).collect();
    let rows: BTreeSet<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
    assert_eq!(there, rows);
}

#[tokio::test]
async fn each_form_is_refused_or_carried_out_as_the_table_says() {
    let (mut cells, mut allowed_cells) = (0, 0);
    for n in 0.. {
        let (db, ada, bob) = stage().await;
        let Some(actor) = askers(&ada).into_iter().nth(n) else { break };
        let router = acts(&db, &actor);
        for (name, action, what, template) in TABLE {
            for thing in [&ada, &bob] {
                let error = send(&router, name, form(template, thing)).await;
                let may = allowed(&actor, *action, thing.on(*what));
                let case = format!("{} ({}) {name} of {}: {error:?}", actor.name, actor.role, thing.name);
                assert!(error.as_ref().is_none_or(|e| e.status < 500), "{case}");
                assert_eq!(error.as_ref().is_none_or(|e| e.status != 403), may, "{case}");
                // The form is understood: what it may be refused for is not its shape.
                assert!(error.as_ref().is_none_or(|e| !e.message.contains("The form was not understood")), "{case}");
                (cells, allowed_cells) = (cells + 1, allowed_cells + usize::from(may));
            }
        }
    }
    assert!(cells > 600 && allowed_cells > 140, "{cells} cells, {allowed_cells} of them allowed");
}
