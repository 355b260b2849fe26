//! `holdfast check REPOSITORY`: is what was written still there and whole.

use super::{
    Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The repository's name
    repository: String,
    /// Read and verify every byte, not the structure alone
    #[arg(long)]
    read_data: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    follow::start(shell, &ctx, args.json, Underway::IsTheSame, async || Ok(vec![ops::checks::start(&ctx, &args.repository, args.read_data).await?])).await
}
