//! `holdfast apply FILE.yaml`: all of a configuration, or nothing of it; and what it changes, field by field.

use std::path::{Path, PathBuf};

use ops::config::{self, Applied, Config, Mistake, Subject};
use serde_json::json;

use super::{Failed, Result, Shell};

/// Names of what was left alone that are told; of the rest their number.
const MOST_NAMED: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let (name, text) = text(&args.file)?;
    let wanted = config::parse(&text).map_err(|mistakes| Failed::usage(format!("{}; nothing was applied", told(&name, &mistakes))))?;
    let ctx = shell.open().await?;
    let applied =
        if args.dry_run { config::preview(&ctx, &wanted, Some(name.as_str())).await? } else { config::apply(&ctx, &wanted, Some(name.as_str())).await? };
    ctx.db.close().await;
    if args.json {
        let mut all = json!(applied);
        all["dry_run"] = json!(args.dry_run);
        shell.out.json(&all);
        return Ok(0);
    }
    if wanted == Config::default() && applied.is_nothing() {
        shell.out.line("The file names no repository and no service; nothing to apply.");
        return Ok(0);
    }
    shell.out.table(&rows(&applied), &[], false);
    if !applied.left_alone.is_empty() {
        shell.out.line(&format!("\nLeft alone, since the file does not name it: {}", left_alone(&applied.left_alone)));
    }
    if args.dry_run {
        shell.out.line("\nThis was a dry run: nothing was written.");
    } else if let Some(service) = applied.created.iter().find(|s| s.entity == "service") {
        shell.out.line(&format!("\nNext: holdfast --data {} backup {}", shell.data.display(), service.name));
    }
    Ok(0)
}

/// The name of a file for messages, and its text.
pub fn text(file: &Path) -> Result<(String, String)> {
    let (name, text) = if file.as_os_str() == "-" {
        ("standard input".to_owned(), std::io::read_to_string(std::io::stdin()))
    } else {
        (file.display().to_string(), std::fs::read_to_string(file))
    };
    let text = text.map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::InvalidData { "it is not UTF-8 text".to_owned() } else { e.kind().to_string() };
        Failed::usage(format!("{name} cannot be read: {why}"))
    })?;
    Ok((name, text))
}

/// Each mistake on a line with its place, and how many there are.
pub fn told(name: &str, mistakes: &[Mistake]) -> String {
    let lines: Vec<_> = mistakes.iter().map(|m| format!("{name}:{m}")).collect();
    let count = if lines.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", lines.len()) };
    format!("{}\n{count}", lines.join("\n"))
}

/// A row for each thing, and below it one for each of its keys that is other than before.
fn rows(applied: &Applied) -> Vec<[String; 4]> {
    let signs =
        [("+", "new", &applied.created), ("~", "changed", &applied.changed), ("-", "removed", &applied.removed), ("=", "as it was", &applied.unchanged)];
    let mut rows = Vec::new();
    for (sign, what, subjects) in signs {
        for Subject { entity, name, differences } in subjects {
            rows.push([sign.to_owned(), (*entity).to_owned(), name.clone(), what.to_owned()]);
            if sign != "-" {
                rows.extend(differences.iter().map(|d| [String::new(), String::new(), format!("  {}", d.key), d.words()]));
            }
        }
    }
    rows
}

fn left_alone(all: &[Subject]) -> String {
    let mut names: Vec<String> = all.iter().take(MOST_NAMED).map(|s| format!("{} {}", s.entity, s.name)).collect();
    if all.len() > MOST_NAMED {
        names.push(format!("and {} more", all.len() - MOST_NAMED));
    }
    names.join(", ")
}
