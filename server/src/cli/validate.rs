//! `holdfast validate FILE.yaml`: every mistake of a configuration with its place, without a database.

use std::path::PathBuf;

use ops::config;
use serde_json::json;

use super::{
    Failed, Out, Result,
    apply::{text, told},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object with the mistakes
    #[arg(long)]
    json: bool,
}

pub fn run(out: Out, args: &Args) -> Result<u8> {
    let (name, text) = text(&args.file)?;
    let read = config::parse(&text);
    if args.json {
        let mistakes = read.err().unwrap_or_default();
        out.json(&json!({ "file": name, "mistakes": mistakes }));
        return Ok(if mistakes.is_empty() { 0 } else { 2 });
    }
    match read {
        Ok(_) => {
            out.line(&format!("{name} has no mistakes."));
            Ok(0)
        }
        Err(mistakes) => Err(Failed::usage(told(&name, &mistakes))),
    }
}
