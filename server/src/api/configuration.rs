//! `/api/v1/configuration`: what is configured as one file; a file tried or carried out. `/api/v1/schema.json`: what may
//! stand in it.

use axum::{
    Json,
    extract::rejection::StringRejection,
    http::header,
    response::{IntoResponse as _, Response},
};
use domain::field::FieldError;
use ops::{
    OpsError,
    config::{self, Difference, Subject},
    permission::{Action, require},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    asker::{Asker, Query},
    problem::Problem,
};

/// Export what is configured
///
/// Secrets stand in it as references; those that were typed in pages stand in comments, without their values.
#[utoipa::path(get, path = "/api/v1/configuration", tag = "configuration", responses(
    (status = 200, description = "a file that apply takes", content((serde_json::Value = "application/yaml"))),
    (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn export(Asker(ctx): Asker) -> Result<Response, Problem> {
    let text = config::export(&ctx).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"holdfast.yaml\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplyQuery {
    /// Tell what would change, and write nothing.
    #[serde(default)]
    #[param(required = false)]
    preview: bool,
    /// The name of the file, shown beside what it configures.
    file: Option<String>,
}

/// What a file changed, or would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outcome {
    /// Nothing was written.
    preview: bool,
    created: Vec<Thing>,
    changed: Vec<Thing>,
    /// Taken out of use: the file has a list of all of them, without these.
    removed: Vec<Thing>,
    unchanged: Vec<Thing>,
    /// Configured, and not named by the file.
    left_alone: Vec<Thing>,
}

/// One thing of the configuration.
#[derive(Debug, Serialize, ToSchema)]
struct Thing {
    /// Such as `service`.
    entity: &'static str,
    /// A source is named `service/source`.
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<ChangedKey>,
}

/// A key of the file whose value is another one. Secrets show as their references.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedKey {
    key: &'static str,
    was: Option<String>,
    will_be: Option<String>,
}

impl From<Subject> for Thing {
    fn from(s: Subject) -> Self {
        let differences = s.differences.into_iter().map(|Difference { key, was, will_be }| ChangedKey { key, was, will_be }).collect();
        Self { entity: s.entity, name: s.name, differences }
    }
}

/// Apply a file, or try it with `preview=true`
///
/// All of it is carried out, or nothing. A mistake is told with its line and column.
#[utoipa::path(post, path = "/api/v1/configuration", tag = "configuration", params(ApplyQuery),
    request_body(content = String, content_type = "application/yaml", description = "the file"),
    responses((status = 200, body = Outcome), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn apply(Asker(ctx): Asker, Query(q): Query<ApplyQuery>, text: Result<String, StringRejection>) -> Result<Json<Outcome>, Problem> {
    require(&ctx, Action::Configure)?;
    let text = text.map_err(|e| Problem::invalid("body", &e.body_text()))?;
    let wanted = config::parse(&text).map_err(|all| {
        let fields = all.into_iter().map(|m| FieldError::new(format!("{}:{}", m.line, m.col), m.message));
        OpsError::Invalid(fields.collect())
    })?;
    let file = q.file.as_deref();
    let applied = if q.preview { config::preview(&ctx, &wanted, file).await? } else { config::apply(&ctx, &wanted, file).await? };
    let things = |all: Vec<Subject>| all.into_iter().map(Thing::from).collect();
    Ok(Json(Outcome {
        preview: q.preview,
        created: things(applied.created),
        changed: things(applied.changed),
        removed: things(applied.removed),
        unchanged: things(applied.unchanged),
        left_alone: things(applied.left_alone),
    }))
}

/// The JSON Schema of the file
#[utoipa::path(get, path = "/api/v1/schema.json", tag = "configuration", responses(
    (status = 200, description = "JSON Schema, draft 2020-12", content((serde_json::Value = "application/schema+json"))),
    (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn schema(Asker(ctx): Asker) -> Result<Response, Problem> {
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], config::published(&ctx)?.to_string()).into_response())
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, StatusCode, header},
    };
    use ops::{Actor, Ctx, Role, config};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use crate::api::tests::{CONFIG, api, call};

    #[tokio::test]
    async fn a_file_is_tried_applied_and_taken_away() {
        let (db, router) = api(Role::Admin).await;
        let post = async |query: &str, text: String| {
            let request = Request::builder().method("POST").uri(format!("/api/v1/configuration{query}")).body(Body::from(text)).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            (status, serde_json::from_slice::<Value>(&axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap())
        };
        let edited = CONFIG.replace("rpo: 24h", "rpo: 12h");
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let before = config::export(&shell).await.unwrap();
        let changed = json!([{"entity": "service", "name": "alpha", "differences": [{"key": "rpo", "was": "24h", "will_be": "12h"}]}]);
        let (status, tried) = post("?preview=true", edited.clone()).await;
        assert_eq!((status, &tried["changed"], &tried["preview"]), (StatusCode::OK, &changed, &json!(true)));
        assert_eq!(config::export(&shell).await.unwrap(), before);
        let (status, done) = post("", edited).await;
        assert_eq!((status, &done["changed"], &done["preview"]), (StatusCode::OK, &changed, &json!(false)));
        let request = Request::builder().uri("/api/v1/configuration").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/yaml; charset=utf-8");
        let text = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&text), before.replace("rpo: 24h", "rpo: 12h"));
        let (status, refused) = post("", "version: 1\nservises: []\n".to_owned()).await;
        let told = json!([{"field": "2:1", "message": "unknown key “servises” in the top level; did you mean “services”?"}]);
        assert_eq!((status, &refused["errors"]), (StatusCode::UNPROCESSABLE_ENTITY, &told));
        let schema = call(&router, "GET", "/api/v1/schema.json", None, None).await;
        assert_eq!((schema.kind.as_str(), &schema.body), ("application/schema+json", &config::schema()));
    }
}
