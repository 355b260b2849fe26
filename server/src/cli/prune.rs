//! `holdfast prune REPOSITORY`: the space of what no snapshot needs comes back.

use domain::{
    units::parse_span,
    work::{PruneParams, SAFE_AGE_S},
};

use super::{
    Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The repository's name
    repository: String,
    /// Delete what was marked at least this long ago, such as 24h or 0s [default: 24h]
    #[arg(long, value_name = "SPAN", value_parser = safe_age)]
    safe_age: Option<u32>,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

/// `0s` is no duration elsewhere; here it stands for a repository that nothing else reads.
fn safe_age(text: &str) -> std::result::Result<u32, String> {
    if text == "0s" {
        return Ok(0);
    }
    parse_span(text).map_err(|e| e.to_string()).and_then(|s| u32::try_from(s).map_err(|_| "that is too long".to_owned()))
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    let params = PruneParams { safe_age_s: args.safe_age.unwrap_or(SAFE_AGE_S) };
    follow::start(shell, &ctx, args.json, Underway::IsTheSame, async || Ok(vec![ops::prunes::start(&ctx, &args.repository, params).await?])).await
}
