//! `holdfast rotate-key`: a new key of the server; everything that is sealed is sealed anew.

use ops::{seal::Keys, secrets::Vault};
use serde_json::json;

use super::{Failed, Result, Shell};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A running server goes on: it reads the key when it needs it. Broken off at any point, everything opens still.
pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let refused = |e: ops::seal::SealError| Failed::new(e.to_string());
    let keys = Keys::of(&shell.data);
    keys.make().map_err(refused)?;
    let ctx = shell.open().await?;
    keys.add().map_err(refused)?;
    let vault = Vault::new(shell.surroundings.env.clone(), keys.clone());
    let sealed = ops::notifications::reseal(&ctx, &vault).await? + ops::evidence::record::reseal(&ctx, &vault).await?;
    let dropped = keys.drop_old().map_err(refused)?;
    ctx.db.close().await;
    if args.json {
        shell.out.json(&json!({ "sealed": sealed, "dropped": dropped }));
    } else {
        shell.out.line(&format!("A new key is in DIR/server.key; sealed anew: {sealed}. Keep a copy of it in a second place."));
    }
    Ok(0)
}
