//! `holdfast installation …`: copies of Holdfast itself, restore tests of them, the recovery key (R62).

use clap::Subcommand;
use serde_json::json;

use super::{
    Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Copy Holdfast's own records into a repository now
    Backup(Of),
    /// Bring the newest copy back beside, compare, measure, and tear down
    Test(Of),
    /// Make the recovery key, which is shown this once, and under which copies seal the installation's own secrets
    RecoveryKey {
        /// Make another one in place of the one that is there; it opens no copy that was made until now
        #[arg(long)]
        replace: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The repository's name
    repository: String,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    match args.what {
        What::Backup(of) => {
            let start = async || Ok(vec![ops::installation::backup(&ctx, &of.repository).await?]);
            follow::start(shell, &ctx, of.json, Underway::IsTheSame, start).await
        }
        What::Test(of) => {
            let start = async || Ok(vec![ops::installation::test(&ctx, &of.repository).await?]);
            follow::start(shell, &ctx, of.json, Underway::IsTheSame, start).await
        }
        What::RecoveryKey { replace, json } => {
            let key = ops::installation::make_recovery_key(&ctx, replace).await?;
            ctx.db.close().await;
            if json {
                shell.out.json(&json!({ "recovery_key": key.text() }));
            } else {
                shell.out.line(&key.text());
                shell.out.note("Write it down and keep it with the passwords of the repositories, outside of the server room. It is kept nowhere else and is not shown again.");
            }
            Ok(0)
        }
    }
}
