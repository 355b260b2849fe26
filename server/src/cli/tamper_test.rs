//! `holdfast tamper-test REPOSITORY`: can the credentials that write it destroy it.

use super::{
    Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The repository's name
    repository: String,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    follow::start(shell, &ctx, args.json, Underway::IsTheSame, async || Ok(vec![ops::tamper_tests::start(&ctx, &args.repository).await?])).await
}
