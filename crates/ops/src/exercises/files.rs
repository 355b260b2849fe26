//! Files of exercises: photographs, logs, minutes.
//!
//! Lives here: keeping one and giving it back. May not: HTTP. Invariants: kinds are told from the content, see
//! `domain::exercise::file_kind`; a file is never changed and never shown as a page.

use domain::{
    exercise::{self, MOST_FILES},
    id::{ExerciseFileId, ExerciseId, ServiceId},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{
    audit::NewEvent,
    exercises::{self, FileRow, NewFile},
};

use super::open;
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
};

/// The longest name of a file.
const LONGEST: usize = 120;

/// Adds a file to an exercise that is open, or to one of its steps, counted from 0.
///
/// # Errors
/// `Invalid` for a file that is empty, too large or of no kind that is taken, and beyond the twentieth.
pub async fn add(ctx: &Ctx, id: ExerciseId, position: Option<i64>, name: &str, content: &[u8]) -> Result<ExerciseFileId> {
    require_on(ctx, Action::Plan, On::Any)?;
    let name = tidy(name)?;
    let kind = exercise::file_kind(&name, content).map_err(|e| OpsError::Invalid(vec![e]))?;
    let sha256 = hex::encode(Sha256::digest(content));
    let (mut t, _) = open(ctx, id).await?;
    if let Some(p) = position
        && !exercises::steps(t.tx(), id).await?.iter().any(|s| s.position == p)
    {
        return Err(OpsError::not_found("step", p.saturating_add(1)));
    }
    if exercises::count_files(t.tx(), id).await? >= MOST_FILES {
        return Err(OpsError::invalid("file", format!("is one too many: an exercise keeps {MOST_FILES} files; put several into one PDF")));
    }
    let new = NewFile { exercise: id, position, name: &name, kind, sha256: &sha256, content, actor: &ctx.actor.name };
    let file = exercises::add_file(t.tx(), &new, ctx.now()).await?;
    let after = json!({"file": file, "step": position.map(|p| p + 1), "name": name, "bytes": content.len(), "sha256": sha256});
    ctx.audit(t.tx(), NewEvent { action: "exercise.file", entity: "exercise", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(file)
}

/// A file with its content.
pub async fn read(ctx: &Ctx, id: ExerciseId, file: ExerciseFileId) -> Result<(FileRow, Vec<u8>)> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut read = ctx.db.read().await?;
    let row = exercises::find(read.tx(), id).await?.ok_or_else(|| OpsError::not_found("exercise", id))?;
    require_on(ctx, Action::Read, On::Service(ServiceId(row.service_id)))?;
    let found = exercises::file(read.tx(), file).await?.filter(|f| f.exercise_id == id.0).ok_or_else(|| OpsError::not_found("file", file))?;
    let content = exercises::content(read.tx(), file).await?.ok_or_else(|| OpsError::not_found("file", file))?;
    Ok((found, content))
}

/// The name alone, without the folders that some browsers send.
fn tidy(name: &str) -> Result<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(OpsError::invalid("name", "is empty or holds signs that no name has; give the file a plain name"));
    }
    if name.chars().count() > LONGEST {
        return Err(OpsError::invalid("name", format!("is longer than {LONGEST} characters; rename the file")));
    }
    Ok(name.to_owned())
}
