//! `holdfast apply FILE.yaml`: all of a configuration, or nothing of it.

use std::path::PathBuf;

use ops::config::{self, Subject};
use serde_json::json;

use super::{Failed, Result, Shell};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let (name, text) = if args.file.as_os_str() == "-" {
        ("standard input".to_owned(), std::io::read_to_string(std::io::stdin()))
    } else {
        (args.file.display().to_string(), std::fs::read_to_string(&args.file))
    };
    let text = text.map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::InvalidData { "it is not UTF-8 text".to_owned() } else { e.kind().to_string() };
        Failed::usage(format!("{name} cannot be read: {why}"))
    })?;
    let wanted = config::parse(&text).map_err(|mistakes| {
        let lines: Vec<_> = mistakes.iter().map(|m| format!("{name}:{m}")).collect();
        let count = if lines.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", lines.len()) };
        Failed::usage(format!("{}\n{count}; nothing was applied", lines.join("\n")))
    })?;
    let ctx = shell.open().await?;
    let applied = config::apply(&ctx, &wanted).await?;
    ctx.db.close().await;
    if args.json {
        shell.out.json(&json!({ "created": applied.created, "changed": applied.changed, "unchanged": applied.unchanged }));
        return Ok(0);
    }
    let mut rows = Vec::new();
    for (sign, what, subjects) in [("+", "new", &applied.created), ("~", "changed", &applied.changed), ("=", "as it was", &applied.unchanged)] {
        rows.extend(subjects.iter().map(|Subject { entity, name }| [sign.to_owned(), (*entity).to_owned(), name.clone(), what.to_owned()]));
    }
    if rows.is_empty() {
        shell.out.line("The file names no repository and no service; nothing to apply.");
        return Ok(0);
    }
    shell.out.table(&rows, &[], false);
    if let Some(service) = applied.created.iter().find(|s| s.entity == "service") {
        shell.out.line(&format!("\nNext: holdfast --data {} backup {}", shell.data.display(), service.name));
    }
    Ok(0)
}
