//! `holdfast serve`: the dashboard.

use std::net::SocketAddr;

use super::{Failed, Result, Shell};
use crate::serve::{ServeError, Settings, serve};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Fill an empty installation with an example service
    #[arg(long)]
    example: bool,
    /// A proxy in front ends TLS: send cookies over TLS only
    #[arg(long)]
    behind_tls: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let settings = Settings {
        data: shell.data.clone(),
        database: shell.database.clone(),
        listen: args.listen,
        example: args.example,
        secure_cookies: args.behind_tls,
        env: shell.surroundings.env.clone(),
    };
    let out = shell.out;
    serve(settings, move |address, link| {
        out.line(&format!("Holdfast listens on http://{address}"));
        if let Some(link) = link {
            out.line(&format!("Sign in once, within 15 minutes: {link}"));
        }
    })
    .await
    .map_err(|e| match e {
        ServeError::Listen(..) => Failed::usage(e.to_string()),
        ServeError::Database(e) => e.into(),
        ServeError::Ops(e) => e.into(),
        ServeError::Io(e) => Failed::new(e.to_string()),
    })?;
    Ok(0)
}
