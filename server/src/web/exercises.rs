//! Files of exercises: `POST /tests/exercises/{id}/files` from a form, `GET /tests/exercises/{id}/files/{file}`.
//!
//! Lives here: reading the form, which carries a file and so is multipart. May not: permission, kinds of files (`ops` decides).

use app::{
    context::{AppContext, Visitor},
    error::{AppError, with_error},
};
use axum::{
    Extension,
    extract::{Multipart, Path, State},
    response::{IntoResponse, Redirect, Response},
};
use domain::id::{ExerciseFileId, ExerciseId};
use ops::{Ctx, OpsError, exercises::files};

use super::downloads::{self, Refused};

/// Adds a file and shows the exercise; a refused one is sent back to it with the reason.
pub async fn attach(
    State(app): State<AppContext>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    form: Multipart,
) -> Result<Response, Refused> {
    let ctx = downloads::context(&app, visitor);
    let exercise: ExerciseId = id.parse().map_err(|_| OpsError::not_found("exercise", &id))?;
    let page = format!("/tests/exercises/{exercise}");
    let to = match add(&ctx, exercise, form).await {
        Ok(()) => page,
        Err(e) => {
            let error = AppError::from(e);
            with_error(&page, &error).unwrap_or(page)
        }
    };
    Ok(Redirect::to(&to).into_response())
}

async fn add(ctx: &Ctx, exercise: ExerciseId, mut form: Multipart) -> Result<(), OpsError> {
    let broken = |_| OpsError::invalid("file", "did not arrive whole, or is larger than 5 MiB; send it again");
    let (mut step, mut file) = (None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("step") => {
                let text = field.text().await.map_err(broken)?;
                if !text.trim().is_empty() {
                    step = Some(text.trim().parse::<i64>().map_err(|_| OpsError::not_found("step", text))?.saturating_sub(1));
                }
            }
            Some("file") => {
                let name = field.file_name().unwrap_or_default().to_owned();
                file = Some((name, field.bytes().await.map_err(broken)?));
            }
            _ => {}
        }
    }
    let (name, content) = file.ok_or_else(|| OpsError::invalid("file", "is missing; choose one"))?;
    files::add(ctx, exercise, step, &name, &content).await.map(|_| ())
}

pub async fn file(
    State(app): State<AppContext>,
    Extension(visitor): Extension<Visitor>,
    Path((id, file)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let ctx = downloads::context(&app, visitor);
    let exercise: ExerciseId = id.parse().map_err(|_| OpsError::not_found("exercise", &id))?;
    let kept: ExerciseFileId = file.parse().map_err(|_| OpsError::not_found("file", &file))?;
    let (row, content) = files::read(&ctx, exercise, kept).await?;
    Ok(downloads::kept(&row.name, content))
}

#[cfg(test)]
mod tests {
    use app::context::Theme;
    use axum::{
        Router,
        body::Body,
        http::{Request, StatusCode, header},
        routing::{get, post},
    };
    use ops::{
        Actor, Role,
        exercises::{New, start},
    };
    use tower::ServiceExt as _;

    use super::*;
    use crate::api::tests::{server, state};

    #[tokio::test]
    async fn a_file_is_added_and_comes_back_as_an_attachment() {
        let (db, _) = server().await;
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let id = start(&shell, &New { service: "alpha".into(), template: "egi-notebooks".into(), ..New::default() }).await.unwrap();
        let routes = |role: Role| {
            let visitor = Visitor { actor: Actor::new("someone", role), origin: "test".into(), theme: Theme::System, single_keys: true };
            Router::new()
                .route("/tests/exercises/{id}/files", post(attach))
                .route("/tests/exercises/{id}/files/{file}", get(file))
                .layer(Extension(visitor))
                .with_state(state(&db))
        };
        let send = async |role: Role, name: &str, content: &str| {
            let part = |head: &str, text: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n");
            let body = format!("{}{}--x--\r\n", part("name=\"step\"", "7"), part(&format!("name=\"file\"; filename=\"{name}\""), content));
            let request = Request::post(format!("/tests/exercises/{id}/files")).header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
            let answer = routes(role).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
        };
        assert!(send(Role::Auditor, "a.log", "x").await.contains("__err="));
        assert!(send(Role::Admin, "a.html", "<script>").await.contains("__err="));
        assert_eq!(send(Role::Admin, "a.log", "75 users").await, format!("/tests/exercises/{id}"));
        let found = ops::exercises::find(&shell, id).await.unwrap();
        assert_eq!((found.files.len(), found.files[0].position), (1, Some(6)));
        let request = Request::get(format!("/tests/exercises/{id}/files/{}", found.files[0].id)).body(Body::empty()).unwrap();
        let answer = routes(Role::Auditor).oneshot(request).await.unwrap();
        let head = |name: header::HeaderName| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((answer.status(), head(header::CONTENT_TYPE).as_str()), (StatusCode::OK, "application/octet-stream"));
        assert!(head(header::CONTENT_DISPOSITION).starts_with("attachment; filename=\"a.log\"") && head(header::X_CONTENT_TYPE_OPTIONS) == "nosniff");
        assert_eq!(axum::body::to_bytes(answer.into_body(), 100).await.unwrap(), "75 users");
    }
}
