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
    /// Runs at a time; 0 leaves them to `holdfast worker` on PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=256))]
    max_parallel: u16,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    if args.max_parallel == 0 && !store::db::names_postgres(&shell.database) {
        return Err(Failed::usage(
            "--max-parallel 0 leaves the runs to workers, which need PostgreSQL; with SQLite the server carries them out itself, so give 1 or more",
        ));
    }
    let settings = Settings {
        data: shell.data.clone(),
        database: shell.database.clone(),
        listen: args.listen,
        example: args.example,
        secure_cookies: args.behind_tls,
        max_parallel: usize::from(args.max_parallel),
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
