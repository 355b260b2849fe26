//! The command line: one file a command, and what they share.
//!
//! Lives here: arguments, exit codes, words and JSON for a shell. May not: rules, SQL, permission (that is `ops`).
//! Exit codes: 0 done, 1 failed, 2 a mistake in the command or the configuration, 3 done in part.
//! Invariant: standard output carries the answer alone; progress and errors go to standard error.

mod apply;
mod audit;
mod backup;
mod check;
mod evidence;
mod export;
mod follow;
mod installation;
mod login_link;
mod prune;
mod rebuild;
mod report;
mod restore;
mod restore_test;
mod retention;
mod rotate_key;
mod schema;
mod serve;
mod show;
mod snapshots;
mod tamper_test;
mod validate;
mod worker;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use ops::{Actor, Ctx, OpsError};
use store::Db;

use crate::config::{self, Surroundings};
pub use show::Out;

/// The hidden command that carries out one job of a run in a process of its own.
const CHILD: &str = "job";

/// Backups, restores and restore tests that can be trusted.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The data folder; it is made if it is missing
    #[arg(long, value_name = "DIR", default_value = "data", global = true)]
    data: PathBuf,
    /// The database, such as postgres://user@host/name [default: HOLDFAST_DATABASE_URL, or DIR/holdfast.db]
    #[arg(long, value_name = "URL", global = true)]
    database: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the installation agree with a configuration file
    Apply(apply::Args),
    /// Tell every mistake of a configuration file, without a database
    Validate(validate::Args),
    /// Print what is configured now as a configuration file
    Export,
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Back up a service, one of its sources, or some of its items
    Backup(backup::Args),
    /// List snapshots
    Snapshots(snapshots::Args),
    /// Restore a snapshot, or a path of it, to a folder
    Restore(restore::Args),
    /// Restore to a scratch folder, check, measure, and tear down
    RestoreTest(restore_test::Args),
    /// Check a repository
    Check(check::Args),
    /// Try whether the credentials that write a repository can destroy it
    TamperTest(tamper_test::Args),
    /// Give back the space of what no snapshot needs
    Prune(prune::Args),
    /// Show what a policy keeps and what it would forget, and why
    Retention(retention::Args),
    /// Copies of Holdfast itself in the repositories
    Installation(installation::Args),
    /// Bring Holdfast itself back from a repository, on an empty machine
    Rebuild(rebuild::Args),
    /// Serve the dashboard and work through the queue
    Serve(serve::Args),
    /// Carry runs out beside the server, on this machine or another (PostgreSQL)
    Worker(worker::Args),
    /// Prove the audit trail, or take it away
    Audit(audit::Args),
    /// Prove evidence of restore tests, take it away, or change the key that signs it
    Evidence(evidence::Args),
    /// Print a link that signs an admin in once
    LoginLink(login_link::Args),
    /// Change the server's key and seal every secret anew
    RotateKey(rotate_key::Args),
    /// Carry out one job of a run, given on standard input
    #[command(name = CHILD, hide = true)]
    JobProcess {
        /// The run's id, which marks the process
        run: String,
    },
}

/// Why a command ends badly: what is said and the exit code.
#[derive(Debug)]
pub struct Failed {
    pub code: u8,
    pub message: String,
}

pub type Result<T, E = Failed> = std::result::Result<T, E>;

impl Failed {
    /// A mistake in the command or the configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    pub fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }
}

impl From<OpsError> for Failed {
    fn from(e: OpsError) -> Self {
        match e {
            OpsError::NotFound { .. } | OpsError::Gone(_) | OpsError::Invalid(_) => Self::usage(e.to_string()),
            // Whoever has a shell on the server may read what the log holds.
            OpsError::Internal(inner) => Self::new(chain(&*inner)),
            other => Self::new(other.to_string()),
        }
    }
}

impl From<store::StoreError> for Failed {
    fn from(e: store::StoreError) -> Self {
        match e {
            store::StoreError::Url(_) => Self::usage(e.to_string()),
            other => Self::new(chain(&other)),
        }
    }
}

/// An error with its causes, each once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        let more = e.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = e.source();
    }
    text
}

/// What every command is given.
pub struct Shell {
    pub data: PathBuf,
    pub database: String,
    pub surroundings: Surroundings,
    pub out: Out,
}

impl Shell {
    /// Opens the database as whoever has a shell on this machine.
    pub async fn open(&self) -> Result<Ctx> {
        Ok(Ctx::new(Db::open(&self.database).await?, Actor::shell(), "shell"))
    }
}

/// Carries out what the arguments say. Call it before any other thread is started.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::JobProcess { .. }) {
        logging(&Surroundings::read(), "warn");
        return engine::process::child_main();
    }
    // What Holdfast writes is for its owner alone; restored files get the modes they had.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let surroundings = Surroundings::read();
    logging(&surroundings, if matches!(cli.command, Command::Serve(_) | Command::Worker(_)) { "info" } else { "error" });
    let out = Out::new(surroundings.colour);
    match run(cli, surroundings, out) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            out.error(&failed.message);
            ExitCode::from(failed.code)
        }
    }
}

fn run(cli: Cli, surroundings: Surroundings, out: Out) -> Result<u8> {
    // What needs no data folder makes none.
    match &cli.command {
        Command::Validate(args) => return validate::run(out, args),
        Command::Schema => return schema::run(out),
        Command::Evidence(evidence::Args { what: evidence::What::Verify(args) }) => return evidence::verify(out, args),
        _ => {}
    }
    let data = config::data_folder(&cli.data).map_err(Failed::usage)?;
    let database = surroundings.database(cli.database, &data);
    let shell = Shell { data, database, surroundings, out };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| Failed::new(format!("the runtime cannot start: {e}")))?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Apply(args) => apply::run(&shell, args).await,
            Command::Backup(args) => backup::run(&shell, args).await,
            Command::Snapshots(args) => snapshots::run(&shell, args).await,
            Command::Restore(args) => restore::run(&shell, args).await,
            Command::RestoreTest(args) => restore_test::run(&shell, args).await,
            Command::Check(args) => check::run(&shell, args).await,
            Command::TamperTest(args) => tamper_test::run(&shell, args).await,
            Command::Prune(args) => prune::run(&shell, args).await,
            Command::Retention(args) => retention::run(&shell, args).await,
            Command::Installation(args) => installation::run(&shell, args).await,
            Command::Rebuild(args) => rebuild::run(&shell, args).await,
            Command::Serve(args) => serve::run(&shell, args).await,
            Command::Worker(args) => worker::run(&shell, args).await,
            Command::Audit(args) => audit::run(&shell, args).await,
            Command::Evidence(args) => evidence::run(&shell, args).await,
            Command::LoginLink(args) => login_link::run(&shell, args).await,
            Command::RotateKey(args) => rotate_key::run(&shell, args).await,
            Command::Export => export::run(&shell).await,
            Command::Validate(_) | Command::Schema | Command::JobProcess { .. } => Ok(0),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    done
}

fn logging(surroundings: &Surroundings, default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(surroundings.log_filter(default)).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if surroundings.log_json() { logs.json().init() } else { logs.with_ansi(surroundings.colour.1).init() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }
}
