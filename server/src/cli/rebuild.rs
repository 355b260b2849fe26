//! `holdfast rebuild --from LOCATION`: Holdfast itself, from a copy in a repository (R62).
//!
//! Lives here: where passwords and keys come from, and what is said afterwards. May not: the order of a rebuild
//! (`runner::installation::rebuild`). Invariant: no secret is taken from the arguments, where others could read it.

use std::{collections::BTreeMap, io::IsTerminal as _, path::PathBuf, sync::Arc};

use domain::{
    installation::RecoveryKey,
    run::RunState,
    units::{Timestamp, count, size},
};
use engine::job::{Access, Secret};
use ops::installation::Missing;
use runner::installation::rebuild::{Rebuilt, Refused, Request, rebuild};
use serde_json::{Value, json};
use store::Clock;

use super::{
    Failed, Result, Shell,
    show::{Tone, local, rfc3339},
};

const PASSWORD: &str = "HOLDFAST_REPOSITORY_PASSWORD";
const KEY: &str = "HOLDFAST_RECOVERY_KEY";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The repository: file:///absolute/path or s3://bucket/prefix
    #[arg(long, value_name = "LOCATION")]
    from: String,
    /// A file whose first line is the repository's password [default: HOLDFAST_REPOSITORY_PASSWORD, or asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Where S3 answers, such as https://s3.example.org; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region of the bucket
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// The newest copy that is not younger, such as 2026-01-31 or 2026-01-31T12:00
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// A file with the recovery key [default: HOLDFAST_RECOVERY_KEY, or asked for]
    #[arg(long, value_name = "FILE", conflicts_with = "without_secrets")]
    recovery_key_file: Option<PathBuf>,
    /// Leave the installation's sealed secrets behind
    #[arg(long)]
    without_secrets: bool,
    /// Leave looking for snapshots that are younger than the copy to the server
    #[arg(long)]
    no_check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let postgres = shell.database.starts_with("postgres").then(|| shell.database.clone());
    if postgres.is_none() && shell.database != format!("sqlite://{}", shell.data.join("holdfast.db").display()) {
        return Err(Failed::usage("a rebuild makes holdfast.db in the data folder; choose that with --data, or a PostgreSQL with --database"));
    }
    let request = Request {
        access: access(shell, &args)?,
        at: at(args.at.as_deref())?,
        recovery_key: recovery_key(shell, &args)?,
        without_secrets: args.without_secrets,
        data: shell.data.clone(),
        postgres,
        actor: "shell".to_owned(),
    };
    let program = std::env::current_exe().map_err(|e| Failed::new(format!("this program cannot be found again: {e}")))?;
    let work = Arc::new(runner::Children::new(program.clone()));
    let rebuilt = rebuild(&*work, &Clock::System, request).await.map_err(|e| match e {
        Refused::Usage(words) => Failed::usage(words),
        Refused::Failed(words) => Failed::new(words),
        Refused::Store(e) => e.into(),
    })?;
    let ctx = shell.open().await?;
    let vault = ops::secrets::Vault::new(shell.surroundings.env.clone(), ops::seal::Keys::of(&shell.data));
    let missing = ops::installation::missing(&ctx, &vault).await?;
    let mut checked = Vec::new();
    for repository in ops::installation::start_checks(&ctx, &missing).await? {
        if !args.no_check {
            if !args.json {
                shell.out.note(&format!("Looking in {} for what is younger than the copy.", repository.0));
            }
            let deps = runner::Deps::new(ctx.db.clone(), shell.data.clone(), shell.surroundings.env.clone(), work.clone());
            let done = runner::execute_until_done(deps, repository.1, std::future::pending()).await?;
            let done = done.ok_or_else(|| Failed::new("a check was left"))?;
            checked.push((repository.0, done.state, done.run.failure.map(|f| f.0.message)));
        }
    }
    let younger = ops::installation::younger(&ctx, rebuilt.copy.taken_at).await?;
    ctx.db.close().await;
    let whole = missing.is_empty() && !rebuilt.left_sealed && checked.iter().all(|(_, state, _)| *state == RunState::Succeeded);
    if args.json {
        shell.out.json(&as_json(&rebuilt, &missing, &checked, younger));
    } else {
        print(shell, &rebuilt, &missing, &checked, younger);
    }
    Ok(if whole { 0 } else { 3 })
}

fn access(shell: &Shell, args: &Args) -> Result<Access> {
    let env = |name: &str| shell.surroundings.env.get(name).filter(|v| !v.is_empty()).cloned();
    let password = match (&args.password_file, env(PASSWORD)) {
        (Some(path), _) => first_line(path, "--password-file")?,
        (None, Some(text)) => text,
        (None, None) => ask("Password of the repository: ", "give it with --password-file, or in the environment as HOLDFAST_REPOSITORY_PASSWORD")?,
    };
    let mut options = BTreeMap::new();
    for (key, value) in [("endpoint", &args.endpoint), ("region", &args.region)] {
        if let Some(value) = value {
            options.insert(key.to_owned(), value.clone());
        }
    }
    // Whoever writes http:// has decided; what lies in a repository is encrypted.
    if args.endpoint.as_ref().is_some_and(|e| e.starts_with("http://")) {
        options.insert("allow_http".to_owned(), "true".to_owned());
    }
    let mut credentials = BTreeMap::new();
    for (key, name) in [("access_key_id", "AWS_ACCESS_KEY_ID"), ("secret_access_key", "AWS_SECRET_ACCESS_KEY"), ("session_token", "AWS_SESSION_TOKEN")] {
        if let Some(value) = env(name).filter(|_| args.from.starts_with("s3:")) {
            credentials.insert(key.to_owned(), Secret::new(value));
        }
    }
    Ok(Access { location: args.from.clone(), options, credentials, password: Secret::new(password), key: None, expect: None })
}

fn recovery_key(shell: &Shell, args: &Args) -> Result<Option<RecoveryKey>> {
    let text = match (&args.recovery_key_file, shell.surroundings.env.get(KEY).filter(|v| !v.is_empty())) {
        _ if args.without_secrets => return Ok(None),
        (Some(path), _) => first_line(path, "--recovery-key-file")?,
        (None, Some(text)) => text.clone(),
        (None, None) if std::io::stdin().is_terminal() => {
            let text = ask("Recovery key (empty where there is none): ", "")?;
            if text.is_empty() {
                return Ok(None);
            }
            text
        }
        (None, None) => return Ok(None),
    };
    RecoveryKey::parse(&text).map(Some).map_err(|e| Failed::usage(e.to_string()))
}

fn first_line(path: &std::path::Path, option: &str) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|e| Failed::usage(format!("{option} {}: it cannot be read ({})", path.display(), e.kind())))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(Failed::usage(format!("{option} {}: its first line is empty", path.display()))) } else { Ok(line.to_owned()) }
}

/// Asks at the terminal without showing what is typed.
fn ask(question: &str, otherwise: &str) -> Result<String> {
    use std::io::Write as _;

    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failed::usage(format!("the repository's password is missing: {otherwise}")));
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{question}").and_then(|()| err.flush()).ok();
    let before = tcgetattr(&stdin).ok();
    if let Some(mut quiet) = before.clone() {
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &quiet).ok();
    }
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    if let Some(before) = before {
        tcsetattr(&stdin, OptionalActions::Flush, &before).ok();
    }
    writeln!(err).ok();
    read.map_err(|e| Failed::new(format!("nothing could be read from the terminal: {e}")))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// The end of what was given: a moment, or a day or time in the zone of this machine.
fn at(text: Option<&str>) -> Result<Timestamp> {
    let Some(text) = text else { return Ok(Timestamp(i64::MAX)) };
    let zone = jiff::tz::TimeZone::system();
    let moment = text.parse::<jiff::Timestamp>().ok();
    let civil = || {
        // A day is meant whole.
        if text.len() == 10 {
            let day = text.parse::<jiff::civil::Date>().ok()?;
            return day.tomorrow().ok()?.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
        }
        text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|z| z.timestamp())
    };
    let found = moment.or_else(civil);
    let found = found.ok_or_else(|| Failed::usage(format!("--at {text}: write a day such as 2026-01-31, or a time such as 2026-01-31T12:00")))?;
    Ok(Timestamp(found.as_microsecond()))
}

fn rows(rebuilt: &Rebuilt, table: &str) -> i64 {
    rebuilt.manifest.tables.iter().find(|t| t.name == table).map_or(0, |t| t.rows)
}

/// What people look for first, with the tables it is in.
const COUNTED: [(&str, &str); 8] = [
    ("service", "services"),
    ("source", "sources"),
    ("repository", "repositories"),
    ("person", "people"),
    ("item", "items"),
    ("snapshot", "snapshots"),
    ("run", "runs"),
    ("restore_test", "restore tests"),
];

fn print(shell: &Shell, rebuilt: &Rebuilt, missing: &[Missing], checked: &[(String, RunState, Option<String>)], younger: i64) {
    let out = shell.out;
    let taken = rebuilt.copy.taken_at;
    out.line(&format!("{} Holdfast is back, as it was on {}", out.tone(Tone::Good, "✓"), local(taken.0)));
    let mut table: Vec<_> = COUNTED.iter().map(|(name, words)| [format!("  {words}"), count(rows(rebuilt, name))]).collect();
    table.push(["  audit events".to_owned(), format!("{}, the chain is whole", count(rebuilt.manifest.audit_seq))]);
    table.push(["  all records".to_owned(), format!("{} rows, {}", count(rebuilt.rows), size(rebuilt.manifest.bytes()))]);
    out.table(&table, &[], false);
    if !rebuilt.ended.is_empty() {
        out.line(&format!("  {} runs were live then; they are marked as interrupted or cancelled, each with the reason", rebuilt.ended.len()));
    }
    if younger > 0 {
        out.line(&format!("  {} snapshots are younger than the copy and were adopted from the repository", count(younger)));
    }
    for name in &rebuilt.secrets {
        out.line(&format!("  {name} was opened with the recovery key"));
    }
    for (name, state, failure) in checked.iter().filter(|(_, state, _)| *state != RunState::Succeeded) {
        out.line(&format!("{} repository {name}: {state}: {}", out.tone(Tone::Warn, "!"), failure.clone().unwrap_or_default()));
    }
    if rebuilt.left_sealed {
        out.line(&format!(
            "{} the installation's own secrets are still sealed: what is encrypted with them has to be entered again",
            out.tone(Tone::Warn, "!")
        ));
    }
    if !missing.is_empty() {
        out.line(&out.tone(Tone::Strong, "\nMissing on this machine"));
        for m in missing {
            out.line(&format!("  {}: {}", m.what, m.message));
        }
    }
    out.line(&out.tone(Tone::Strong, "\nNext"));
    let data = shell.data.display();
    if !missing.is_empty() {
        out.line(&format!(
            "  Put what is missing in place, or change {data}/configuration.rebuilt.yaml to where it is now and apply it:\n    holdfast --data {data} apply {data}/configuration.rebuilt.yaml"
        ));
    }
    for m in missing.iter().filter(|m| m.repository) {
        out.line(&format!("    holdfast --data {data} check {}", m.name));
    }
    out.line(&format!("  holdfast --data {data} serve"));
}

fn as_json(rebuilt: &Rebuilt, missing: &[Missing], checked: &[(String, RunState, Option<String>)], younger: i64) -> Value {
    json!({
        "copy": rebuilt.copy.id,
        "taken_at": rfc3339(rebuilt.copy.taken_at.0),
        "made_by": rebuilt.manifest.holdfast,
        "rows": rebuilt.rows,
        "tables": rebuilt.manifest.tables.iter().map(|t| (t.name.clone(), t.rows.into())).collect::<serde_json::Map<String, Value>>(),
        "audit_events": rebuilt.manifest.audit_seq,
        "runs_ended": rebuilt.ended,
        "snapshots_adopted": younger,
        "secrets": rebuilt.secrets,
        "left_sealed": rebuilt.left_sealed,
        "missing": missing.iter().map(|m| json!({"what": m.what, "message": m.message})).collect::<Vec<_>>(),
        "checks": checked.iter().map(|(name, state, failure)| json!({"repository": name, "state": state, "failure": failure})).collect::<Vec<_>>(),
    })
}
