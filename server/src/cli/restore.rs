//! `holdfast restore SNAPSHOT[:PATH]... --to DIR`: to a folder; in place is the dashboard's business, which asks twice.

use std::path::{Path, PathBuf};

use domain::{id::SnapshotId, restore::ConflictMode, work::RestoreTarget};
use ops::{
    OpsError,
    restores::{Choice, Request},
};

use super::{
    Failed, Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The first digits of a snapshot's id; after a colon, a path inside it. Several land in folders named after their items
    #[arg(value_name = "SNAPSHOT[:PATH]", required = true)]
    what: Vec<String>,
    /// The folder that receives the files; it is made if it is missing
    #[arg(long, value_name = "DIR", required_unless_present = "beside", conflicts_with = "beside")]
    to: Option<PathBuf>,
    /// Into a new folder inside the item's own one, named after the snapshot
    #[arg(long)]
    beside: bool,
    /// What happens where a file of that name is there already
    #[arg(long, value_name = "MODE", default_value = "fail", value_parser = ["fail", "skip", "overwrite", "keep-newer"])]
    conflict: String,
    /// Only count what would happen; nothing is written
    #[arg(long)]
    preview: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let conflict = ConflictMode::parse(&args.conflict).unwrap_or_default();
    let target = match &args.to {
        Some(to) => RestoreTarget::Folder { path: absolute(to)? },
        None => RestoreTarget::Beside,
    };
    let ctx = shell.open().await?;
    let mut choices: Vec<Choice> = Vec::new();
    for what in &args.what {
        let (id, path) = what.split_once(':').map_or((what.as_str(), None), |(id, path)| (id, Some(path.to_owned())));
        let snapshot = SnapshotId(ops::snapshots::resolve(&ctx, id).await.map_err(by_argument)?.row.id);
        match (choices.iter_mut().find(|c| c.snapshot == snapshot), path) {
            // No paths means all of it, whatever else was named.
            (Some(choice), None) => choice.paths.clear(),
            (Some(choice), Some(path)) if !choice.paths.is_empty() => choice.paths.push(path),
            (Some(_), Some(_)) => {}
            (None, path) => choices.push(Choice { snapshot, paths: path.into_iter().collect() }),
        }
    }
    let request = Request { choices, target, conflict, preview: args.preview, confirm: None };
    let start = async || Ok(vec![ops::restores::start(&ctx, request.clone()).await.map_err(by_argument)?]);
    follow::start(shell, &ctx, args.json, Underway::ComesFirst, start).await
}

/// Names what is wrong as the command line does.
fn by_argument(error: OpsError) -> OpsError {
    match error {
        OpsError::Invalid(mut fields) => {
            for field in &mut fields {
                if field.field == "target.path" {
                    "--to".clone_into(&mut field.field);
                }
            }
            OpsError::Invalid(fields)
        }
        other => other,
    }
}

/// The folder as an absolute path: a server on the same queue may stand elsewhere.
fn absolute(path: &Path) -> Result<String> {
    let full = std::path::absolute(path).map_err(|e| Failed::usage(format!("--to {}: {}", path.display(), e.kind())))?;
    full.into_os_string().into_string().map_err(|p| Failed::usage(format!("--to {}: the name is not UTF-8; choose another folder", p.display())))
}
