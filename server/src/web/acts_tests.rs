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
    matrix_tests::{Thing, What, askers, far, guest, stage},
    tests::state,
};

const NOWHERE: &str = "00000000-0000-0000-0000-000000000000";

/// Each server function with the action it needs, what it is done on, and a form that only permission can refuse as forbidden.
const TABLE: &[(&str, Action, What, &str)] = &[
    ("acknowledge-alert", Action::Operate, What::Any, "id=NOWHERE&note="),
    ("add-name", Action::AdmitPeople, What::All, "person=PERSON&name=more+of+NAME"),
    ("back-up", Action::Operate, What::Service, "service=NAME"),
    ("cancel-run", Action::Operate, What::Service, "run=RUN"),
    ("cancel-exercise", Action::Plan, What::Service, "exercise=EXERCISE&reason=an+incident"),
    ("check-data", Action::Operate, What::All, "repository=main"),
    ("check-repository", Action::Operate, What::All, "repository=main"),
    ("clear-lock", Action::Unlock, What::All, "repository=main&lock=NOWHERE&reason=gone"),
    ("copy-offsite", Action::Operate, What::Service, "snapshot=SNAPSHOT&repository=none"),
    ("copy-holdfast", Action::Operate, What::All, "repository=main"),
    ("end-waiver", Action::Plan, What::Service, "service=NAME&waiver=WAIVER&reason=put+right"),
    ("countersign", Action::Read, What::Any, "record=NOWHERE&note="),
    ("end-session", Action::Read, What::Any, "session=none"),
    ("end-sessions", Action::AdmitPeople, What::All, "account=nobody"),
    ("enter-availability", Action::Plan, What::Service, "service=NAME&month=2020-02&availability=78.53&reliability=78.53"),
    ("explain-availability", Action::Plan, What::Service, "service=NAME&month=2020-02&text=The+provider+was+down."),
    ("fetch-argo", Action::Operate, What::Service, "service=NAME"),
    ("forget-availability", Action::Plan, What::Service, "service=NAME&month=2020-02&version="),
    ("end-exemption", Action::Plan, What::Service, "service=NAME&review=risk_assessment"),
    ("exempt-review", Action::Plan, What::Service, "service=NAME&review=risk_assessment&until=FAR&reason=being+replaced"),
    ("finish-exercise", Action::Plan, What::Service, "exercise=EXERCISE&note="),
    ("give-item", Action::AdmitPeople, What::All, "item=NOWHERE&person=PERSON"),
    ("import-exercise", Action::Plan, What::Service, "service=NAME&title=Recovery&started=2019-06-06+16:37:15%2B02:00&finished=2019-06-06+16:47:18%2B02:00"),
    ("keep-hold", Action::Hold, What::Service, "hold=HOLD&reason=looked+at"),
    ("link-account", Action::AdmitPeople, What::All, "account=nobody&person="),
    ("look-at-cloud", Action::Operate, What::All, "repository=main"),
    ("make-calendar", Action::Read, What::Any, "name=phone&days=1"),
    ("make-link", Action::Plan, What::Service, "label=audit&services[]=NAME&from=2020-01-01&to=2020-12-31&days=1"),
    ("make-token", Action::Read, What::Any, "name=ci&days=1&scopes[]=read"),
    ("pause-schedule", Action::Operate, What::Service, "name=daily-NAME&reason=moving"),
    ("place-hold", Action::Hold, What::Service, "service=NAME&reason=a+lawsuit"),
    ("preview-restore", Action::Restore, What::Data, "state=STATE"),
    ("preview-schedule", Action::Read, What::All, "name=new&kind=backup&of=NAME&m=15&h=1&dom=*&mon=*&dow=*&tz=UTC&missed=one"),
    ("prune-repository", Action::Operate, What::All, "repository=main"),
    ("record-review", Action::Plan, What::Service, "service=NAME&review=risk_assessment&on=2019-05-28&by=Olga&outcome=in+order"),
    ("release-hold", Action::Hold, What::Service, "hold=HOLD&reason=looked+at"),
    ("remove-argo", Action::Configure, What::All, "service=NAME&version="),
    ("remove-channel", Action::Configure, What::All, "name=none&version="),
    ("remove-heartbeat", Action::Configure, What::All, "name=none&version="),
    ("remove-name", Action::AdmitPeople, What::All, "person=PERSON&name=none"),
    ("remove-rule", Action::Configure, What::All, "name=none&version="),
    ("remove-schedule", Action::Configure, What::All, "name=daily-NAME&version="),
    ("remove-test-definition", Action::Operate, What::Service, "service=NAME&name=weekly&version="),
    ("rerun-test", Action::Operate, What::Any, "test=NOWHERE&snapshots=same"),
    ("resume-schedule", Action::Operate, What::Service, "name=daily-NAME"),
    ("retire-risk", Action::Plan, What::Service, "service=NAME&number=1&revision=1&reason=moved"),
    ("retry-delivery", Action::Operate, What::All, "id=NOWHERE"),
    ("retry-run", Action::Operate, What::Service, "run=RUN&what=all"),
    ("revoke-calendar", Action::Read, What::Any, "id=NOWHERE"),
    ("revoke-link", Action::Plan, What::Any, "id=NOWHERE"),
    ("revoke-token", Action::Read, What::Any, "id=NOWHERE"),
    (
        "save-argo",
        Action::Configure,
        What::All,
        "service=NAME&address=https://argo.example.org&api=v2&format=json&report=R&group=SITES/A&since=2020-01&secrets[key][how]=env&secrets[key][value]=ARGO",
    ),
    ("rotate-evidence-key", Action::Configure, What::All, "lost="),
    ("save-channel", Action::Configure, What::All, "name=hook&kind=webhook&secrets[url][env]=HOOK"),
    ("save-heartbeat", Action::Configure, What::All, "name=beat&every=1m&secrets[url][env]=BEAT"),
    (
        "save-risk",
        Action::Plan,
        What::Service,
        "service=NAME&description=fire&likelihood=1&impact=1&scale=2021&measures[0][text]=backup&measures[0][proof]=restore_tests",
    ),
    ("save-risks", Action::Plan, What::Service, "service=NAME"),
    ("save-rule", Action::Configure, What::All, "name=all&severity=warning"),
    ("save-scale", Action::Configure, What::All, "name=own&likelihood=rare%0Alikely&impact=minor%0Asevere&bands=Low+1-2%0AHigh+3-4&threshold=High"),
    ("save-schedule", Action::Configure, What::All, "name=new-NAME&kind=backup&of=NAME&m=15&h=1&dom=*&mon=*&dow=*&tz=UTC&missed=one"),
    ("adopt-orphan", Action::Configure, What::All, "repository=main&orphan=NOWHERE"),
    ("adopt-snapshots", Action::Configure, What::All, "service=NAME&source=none&pattern={0}_snapshot_{1}"),
    ("delete-orphan", Action::Configure, What::All, "repository=main&orphan=NOWHERE&name=x&reason=left"),
    ("approve-plan", Action::Plan, What::Service, "service=NAME&version=1&sha256=none"),
    ("autosave-plan", Action::Plan, What::Service, "service=NAME&version=1-1&fields=[]"),
    ("discard-plan", Action::Plan, What::Service, "service=NAME&version=1&revision=1&reason=begun+too+early"),
    ("return-offsite", Action::Operate, What::Service, "snapshot=SNAPSHOT&cloud=none"),
    ("return-plan", Action::Plan, What::Service, "service=NAME&version=1&reason=missing"),
    ("sign-plan", Action::Plan, What::Service, "service=NAME&version=1&role=Service+owner&sha256=none&read=yes"),
    ("start-plan", Action::Plan, What::Service, "service=NAME&from=empty"),
    ("submit-plan", Action::Plan, What::Service, "service=NAME&version=1&revision=1&comment="),
    ("set-signers", Action::Configure, What::All, "roles[0][name]=Service+owner&roles[0][owner]=yes"),
    ("save-test-definition", Action::Operate, What::Service, "typed=1&service=NAME&name=weekly&version=&selection=latest"),
    ("set-address", Action::Configure, What::All, "address=https://holdfast.example.org&version="),
    ("show-availability", Action::Plan, What::Service, "service=NAME&month=2020-02&origin=hand"),
    ("set-review-interval", Action::Plan, What::Service, "service=NAME&review=risk_assessment&months=6&version="),
    ("clone-instance", Action::Restore, What::Service, "service=NAME&snapshot=NOWHERE&asked=on&networks=none&days=7&wait=on"),
    ("end-clone", Action::Restore, What::Service, "service=NAME&clone=NOWHERE&confirm=web&reason=over"),
    ("lengthen-clone", Action::Restore, What::Service, "service=NAME&clone=NOWHERE&days=14"),
    ("restore-instance", Action::Restore, What::Service, "service=NAME&snapshot=NOWHERE&confirm=NAME&reason=broken"),
    ("snapshot-instance", Action::Operate, What::Service, "service=NAME&source=none&instance=web&asked=on&pattern={0}_snapshot_{1}&max_snapshots=5&wait=on"),
    ("start-exercise", Action::Plan, What::Service, "service=NAME&template=egi-notebooks"),
    ("start-restore", Action::Restore, What::Data, "state=STATE"),
    ("step-exercise", Action::Plan, What::Service, "exercise=EXERCISE&step=1&act=done&note="),
    ("test-by-definition", Action::Operate, What::Service, "service=NAME&definition=weekly"),
    ("test-channel", Action::Operate, What::All, "name=none"),
    ("test-copy", Action::Operate, What::All, "repository=main"),
    ("test-restore", Action::Operate, What::Service, "service=NAME&sample=latest"),
    ("test-tamper", Action::Operate, What::All, "repository=main"),
    ("waive-finding", Action::Plan, What::Service, "service=NAME&finding=test-failed&subject=&reason=agreed&until=2021-03-01"),
    ("withdraw-review", Action::Plan, What::Service, "service=NAME&review=risk_assessment&id=NOWHERE&why=of+another+service"),
    ("unexplain-availability", Action::Plan, What::Service, "service=NAME&month=2020-02&version="),
];

fn form(template: &str, thing: &Thing) -> String {
    let state = format!(r#"{{"snapshots":["{}"],"paths":[],"to":"beside","folder":"","conflict":"fail","run":"{}"}}"#, thing.snapshot, thing.run);
    template
        .replace("NOWHERE", NOWHERE)
        .replace("FAR", &far())
        .replace("STATE", &app::components::address::encode(&state))
        .replace("PERSON", thing.item)
        .replace("NAME", thing.name)
        .replace("RUN", &thing.run)
        .replace("SNAPSHOT", &thing.snapshot.to_string())
        .replace("HOLD", &thing.hold)
        .replace("WAIVER", &thing.waiver)
        .replace("EXERCISE", &thing.exercise)
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
                    p if p.contains("/exercises/") => thing.exercise.clone(),
                    p if p.contains("/snapshots/") => thing.snapshot.to_string(),
                    _ => NOWHERE.to_owned(),
                };
                let path = page.replace("{name}", &name).replace(":name", &name).replace("{id}", &id).replace(":id", &id);
                let path = path.replace("{other}", &id).replace(":other", &id).replace("{number}", "1").replace(":number", "1");
                let path = path.replace("{review}", "plan_and_test").replace(":review", "plan_and_test");
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
                    for word in ["beta", &bob.run, &bob.hold, &bob.waiver, &bob.exercise, &bob.snapshot.to_string()] {
                        assert!(!text.contains(word), "{case} shows “{word}”: {text}");
                    }
                }
            }
        }
        assert!(opened > 10, "{}: {opened} pages open", actor.name);
    }
}

/// Whoever came by a read-only link finds evidence and nothing else, and no control that changes anything.
#[tokio::test]
async fn a_guest_finds_no_page_but_evidence() {
    let (db, ada, bob) = stage().await;
    let pages: Vec<String> = generate_route_list(app::App).iter().map(|r| r.path().to_owned()).collect();
    for page in pages.iter().filter(|p| *p != "/login") {
        let mut path = page.clone();
        for (part, with) in [("name", ada.name), ("review", "plan_and_test"), ("id", NOWHERE), ("other", NOWHERE)] {
            path = path.replace(&format!("{{{part}}}"), with).replace(&format!(":{part}"), with);
        }
        let render = crate::web::rendered(&state(&db));
        let visitor = Visitor { actor: guest(&ada), origin: "test".into(), theme: Theme::System, single_keys: true };
        let router = Router::new().fallback(move |request: Request<Body>| render(request)).layer(Extension(visitor));
        let answer = router.oneshot(Request::get(&path).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let text = String::from_utf8_lossy(&axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap()).into_owned();
        if page.starts_with("/evidence") {
            assert!(status.as_u16() < 500, "{path}: {status}");
        } else {
            assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY), "{path}: {status}");
        }
        for word in ["beta", &bob.run, &bob.hold, &bob.snapshot.to_string()] {
            assert!(!text.replace(&path, "").contains(word), "{path} shows “{word}”: {text}");
        }
        assert!(!text.contains("action=\"/act/") && !text.contains("href=\"/services\""), "{path} has a control, or leads somewhere else: {text}");
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
