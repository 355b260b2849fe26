//! `holdfast login-link`: a link that signs an admin in once.

use std::net::SocketAddr;

use serde_json::json;

use super::{Result, Shell};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The server speaks TLS
    #[arg(long)]
    tls: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    let token = ops::sign_in::make_link(&ctx).await?;
    ctx.db.close().await;
    let link = crate::serve::link(if args.tls { "https" } else { "http" }, args.listen, &token);
    if args.json {
        shell.out.json(&json!({ "link": link, "valid_s": ops::sign_in::LINK_LIFE_S }));
    } else {
        shell.out.line(&link);
        shell.out.note(&format!("It works once, within {} minutes.", ops::sign_in::LINK_LIFE_S / 60));
    }
    Ok(0)
}
