//! `holdfast export`: what is configured now, as a file that `apply` takes.

use super::{Result, Shell};

pub async fn run(shell: &Shell) -> Result<u8> {
    let ctx = shell.open().await?;
    let text = ops::config::export(&ctx).await?;
    ctx.db.close().await;
    shell.out.line(text.trim_end());
    Ok(0)
}
