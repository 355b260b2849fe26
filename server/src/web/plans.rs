//! Forms of plans that are too long for an address: `POST /services/{name}/plan/edit` and `…/import`.
//!
//! Lives here: reading the forms, and answering a refused one with its page. May not: saving (`app` asks `ops`), drawing.

use app::{
    components::time,
    context::{AppContext, Visitor},
    pages::plans::{edit, import::PastedPlan},
};
use axum::{
    Extension, Form,
    body::Body,
    extract::{Path, Request, State},
    http::request::Parts,
    response::{IntoResponse as _, Redirect, Response},
};
use ops::Ctx;

use super::Rendering;

/// Saves the draft, or answers with its page and what was typed.
pub async fn edited(
    page: impl Fn(Request) -> Rendering,
    State(app): State<AppContext>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    mut parts: Parts,
    Form(sent): Form<Vec<(String, String)>>,
) -> Response {
    let ctx = Ctx { actor: visitor.actor, origin: visitor.origin.into(), clock: app.clock.clone(), db: app.db.clone(), claim: None };
    match edit::carry_out(&ctx, &name, sent).await {
        Ok(()) => Redirect::to(&edit::after(&name, &time::short(ctx.now(), ctx.now(), &app.zone))).into_response(),
        Err(typed) => {
            parts.extensions.insert(*typed);
            page(Request::from_parts(parts, Body::empty())).await
        }
    }
}

/// The request for the page, with what was pasted.
pub fn pasted(mut parts: Parts, Form(pasted): Form<PastedPlan>) -> Request {
    parts.extensions.insert(pasted);
    Request::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use app::{components::address::encode, context::Theme};
    use axum::{
        Router,
        http::{StatusCode, header},
        routing::post,
    };
    use domain::plan::PlanContent;
    use ops::{Actor, Role, plans, version::Seen};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        api::tests::{server, state},
        state::AppState,
    };

    async fn send(state: &AppState, role: Role, path: &str, form: String) -> (StatusCode, String, String) {
        let (edit, import) = (crate::web::rendered(state), crate::web::rendered(state));
        let visitor = Visitor { actor: Actor::new("someone", role), origin: "test".into(), theme: Theme::System, single_keys: true };
        let router = Router::new()
            .route("/services/{name}/plan/edit", post(move |app, who, name, parts, form| edited(edit, app, who, name, parts, form)))
            .route("/services/{name}/plan/import", post(move |parts: Parts, form: Form<PastedPlan>| import(pasted(parts, form))))
            .layer(Extension(visitor))
            .with_state(state.clone());
        let request = Request::builder().method("POST").uri(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = router.oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
        let status = answer.status();
        let to = answer.headers().get(header::LOCATION).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        (status, to, String::from_utf8(axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap().to_vec()).unwrap())
    }

    fn form(version: &str, outcome: &str, rto: &str) -> String {
        format!("service=alpha&version={version}&outcome={}&rto={}&procedures[0].title=Restore", encode(outcome), encode(rto))
    }

    #[tokio::test]
    async fn a_form_saves_and_a_stale_one_shows_both_texts() {
        let (db, _) = server().await;
        let (state, shell) = (state(&db), Ctx::new(db.db.clone(), Actor::shell(), "shell"));
        plans::start(&shell, "alpha", plans::Begin::Empty).await.unwrap();
        let path = "/services/alpha/plan/edit";
        let (status, ..) = send(&state, Role::Auditor, path, form("1-1", "x", "1 d")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let (status, to, _) = send(&state, Role::Admin, path, form("1-1", "First & foremost", "1 d")).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        assert!(to.starts_with("/services/alpha/plan/edit?saved="), "{to}");
        let saved = async || plans::find(&shell, "alpha").await.unwrap().open.unwrap().row;
        let row = saved().await;
        assert_eq!((row.content.0.outcome.as_str(), row.content.0.rto_s, row.content.0.procedures.len()), ("First & foremost", Some(86_400), 1));

        let (status, _, page) = send(&state, Role::Admin, path, form("1-1", "Mine instead", "1 d")).await;
        assert!(status == StatusCode::OK && page.contains("Mine instead") && page.contains("First &amp; foremost") && page.contains("value=\"1-2\""), "{page}");
        let (status, _, page) = send(&state, Role::Admin, path, form("1-2", "Kept typing", "soon")).await;
        assert!(status == StatusCode::OK && page.contains("“soon” is not a duration") && page.contains("Kept typing"), "{page}");
        assert_eq!(saved().await.revision, 2, "what was refused changed nothing");

        // Once it is in review, what was typed is shown and goes nowhere.
        plans::submit(&shell, "alpha", 1, 2, "").await.unwrap();
        let (_, _, page) = send(&state, Role::Admin, path, form("1-2", "Too late", "1 d")).await;
        assert!(page.contains("is no draft any more") && page.contains("Too late"), "{page}");
    }

    #[tokio::test]
    async fn a_pasted_plan_is_tried_then_saved() {
        let (db, _) = server().await;
        let (state, shell) = (state(&db), Ctx::new(db.db.clone(), Actor::shell(), "shell"));
        let path = "/services/alpha/plan/import";
        let text = PlanContent { outcome: "Imported".into(), ..PlanContent::default() }.canonical();
        let paste = |text: &str, version: &str, what: &str| format!("text={}&version={version}&what={what}", encode(text));
        let (status, ..) = send(&state, Role::Auditor, path, paste(&text, "", "save")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let (_, _, page) = send(&state, Role::Admin, path, paste(&text, "", "")).await;
        assert!(page.contains("What would change") && page.contains("Imported"), "{page}");
        assert!(plans::find(&shell, "alpha").await.unwrap().open.is_none());
        let (_, _, page) = send(&state, Role::Admin, path, paste("{\"format\": 9}", "", "save")).await;
        assert!(page.contains("This plan cannot be imported") && page.contains("reads format 1"), "{page}");
        let (_, _, page) = send(&state, Role::Admin, path, paste(&text, "", "save")).await;
        assert!(page.contains("The plan was imported"), "{page}");
        // Somebody who saw no draft does not replace the one that is there.
        let other = PlanContent { outcome: "Another".into(), ..PlanContent::default() };
        plans::save(&shell, "alpha", other, &Seen::Any).await.unwrap();
        let (_, _, page) = send(&state, Role::Admin, path, paste(&text, "", "save")).await;
        assert!(!page.contains("The plan was imported"), "{page}");
        assert_eq!(plans::find(&shell, "alpha").await.unwrap().open.unwrap().row.content.0.outcome, "Another");
    }
}
