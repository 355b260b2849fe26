//! A configuration that was pasted into its page: `POST /admin/configuration`.
//!
//! Lives here: reading the form. The page itself answers: the text would be too long for an address, and has no business in
//! one. May not: reading the configuration (the page asks `ops`), drawing (`app` does).

use app::pages::configuration::Pasted;
use axum::{Form, body::Body, extract::Request, http::request::Parts};

/// The request for the page, with what was pasted.
pub fn asked(mut parts: Parts, Form(pasted): Form<Pasted>) -> Request {
    parts.extensions.insert(pasted);
    Request::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use app::{
        components::address::encode,
        context::{Theme, Visitor},
    };
    use axum::{
        Extension, Router,
        http::{StatusCode, header},
        routing::post,
    };
    use ops::{Actor, Ctx, Role, config};
    use tower::ServiceExt as _;

    use super::*;
    use crate::api::tests::{CONFIG, server, state};

    #[tokio::test]
    async fn a_pasted_file_is_tried_then_applied_and_only_by_an_admin() {
        let (db, _) = server().await;
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let before = config::export(&shell).await.unwrap();
        let edited = CONFIG.replace("rpo: 24h", "rpo: 12h");
        let ask = async |role: Role, text: &str, what: &str| {
            let page = crate::web::rendered(&state(&db));
            let visitor = Visitor { actor: Actor::new("someone", role), origin: "test".into(), theme: Theme::System, single_keys: true };
            let router = Router::new().route("/admin/configuration", post(move |parts: Parts, form: Form<Pasted>| page(asked(parts, form))));
            let body = format!("text={}&file=site.yaml&what={what}", encode(text));
            let request = Request::builder().method("POST").uri("/admin/configuration").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let answer = router.layer(Extension(visitor)).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
            let status = answer.status();
            (status, String::from_utf8(axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap().to_vec()).unwrap())
        };
        for what in ["", "apply"] {
            let (status, page) = ask(Role::Auditor, &edited, what).await;
            assert_eq!(status, StatusCode::FORBIDDEN);
            assert!(!page.contains("/srv/backup/main"), "{page}");
        }
        let (status, page) = ask(Role::Admin, &edited, "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("What would change") && page.contains("<del>24h") && page.contains("<ins>12h"), "{page}");
        let (_, page) = ask(Role::Admin, &edited.replace("{ env: PASSWORD }", "hunter2"), "apply").await;
        assert!(page.contains("must not stand in this file") && !page.contains("hunter2"), "{page}");
        assert_eq!(config::export(&shell).await.unwrap(), before);
        let (_, page) = ask(Role::Admin, &edited, "apply").await;
        assert!(page.contains("The file was applied"), "{page}");
        assert_eq!(config::export(&shell).await.unwrap(), before.replace("rpo: 24h", "rpo: 12h"));
        assert_eq!(ops::services::find(&shell, "alpha").await.unwrap().origin.file.as_deref(), Some("site.yaml"));
    }
}
