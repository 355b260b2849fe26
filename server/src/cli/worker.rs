//! `holdfast worker`: carries runs out beside the server, on this machine or another.

use std::{net::SocketAddr, path::PathBuf};

use super::{Failed, Result, Shell};
use crate::{
    serve::ServeError,
    work::{Settings, work},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    max_parallel: u16,
    /// How people tell this worker from others
    #[arg(long, value_name = "NAME", default_value = "worker", value_parser = name)]
    name: String,
    /// Answer /healthz, /readyz and /metrics here
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Commands and databases that restore tests may call, a YAML file [default: HOLDFAST_TEST_TOOLS]
    #[arg(long, value_name = "FILE")]
    test_tools: Option<PathBuf>,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    if !store::db::names_postgres(&shell.database) {
        return Err(Failed::usage(
            "a worker needs PostgreSQL: with SQLite the server carries the runs out itself. Start `holdfast serve`, or give --database postgres://user@host/name (or HOLDFAST_DATABASE_URL)",
        ));
    }
    let tools = shell.surroundings.test_tools(args.test_tools).map_err(Failed::usage)?;
    let settings = Settings {
        data: shell.data.clone(),
        database: shell.database.clone(),
        env: shell.surroundings.env.clone(),
        tools,
        name: args.name.clone(),
        max_parallel: usize::from(args.max_parallel),
        listen: args.listen,
    };
    let out = shell.out;
    work(settings, |listen| {
        out.line(&format!("Worker {} is ready for {} runs at a time", args.name, args.max_parallel));
        if let Some(address) = listen {
            out.line(&format!("It answers on http://{address}/healthz, /readyz and /metrics"));
        }
    })
    .await
    .map_err(|e| match e {
        ServeError::Listen(..) | ServeError::Tls(_) => Failed::usage(e.to_string()),
        ServeError::Database(e) => e.into(),
        ServeError::Ops(e) => e.into(),
        ServeError::Io(e) => Failed::new(e.to_string()),
    })?;
    Ok(0)
}

/// One line of a list has to hold it.
fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 60 || text.chars().any(char::is_control) {
        return Err("give a name of 1 to 60 characters".to_owned());
    }
    Ok(text.to_owned())
}
