//! `holdfast evidence …`: proving a pack anywhere, making one here, and the key that signs (R37).
//!
//! Exit codes of `verify`: 0 all is as it was signed, 1 something is not, 2 the place or a key cannot be read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::{civil::Date, tz::TimeZone};
use ops::{
    evidence::{
        self,
        dsse::Public,
        pack,
        verify::{Fault, Report},
    },
    seal::Keys,
    secrets::Vault,
};
use serde_json::json;

use super::{Failed, Out, Result, Shell, show::rfc3339};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// Prove a pack or its unpacked folder, without a database and without a network; exit code 1 where anything was changed
    Verify(VerifyArgs),
    /// Make the pack of a period
    Pack(PackArgs),
    /// Show the keys that sign and signed, and how the chain stands
    Key(KeyArgs),
    /// Put a new key in the place of the one that signs; the old one announces it
    RotateKey(RotateArgs),
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The archive as it was downloaded, or its unpacked folder
    #[arg(value_name = "PACK")]
    place: PathBuf,
    /// A public key in PEM that you got on another way; may be given again
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct PackArgs {
    /// The first day, such as 2021-01-01
    #[arg(long, value_name = "DAY")]
    from: Date,
    /// The last day [default: today]
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// One service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where to write it; a file that is there stays as it is
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// Print the public key that signs, in PEM, and nothing else
    #[arg(long, conflicts_with = "json")]
    pem: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// How the old key was lost; without it the old key must open
    #[arg(long, value_name = "REASON")]
    lost: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Proves a pack. It needs no data folder and makes none.
pub fn verify(out: Out, args: &VerifyArgs) -> Result<u8> {
    let pins = args.keys.iter().map(|path| read_key(path)).collect::<Result<Vec<_>>>()?;
    let report = evidence::verify::verify(&args.place, &pins)
        .map_err(|e| Failed::usage(format!("{}: cannot be read ({}); give the archive, or its unpacked folder", args.place.display(), e.kind())))?;
    if args.json {
        out.json(&json_of(&report));
    } else {
        tell(out, &report);
    }
    Ok(u8::from(!report.is_intact()))
}

fn read_key(path: &Path) -> Result<Public> {
    let text = fs::read_to_string(path).map_err(|e| Failed::usage(format!("{}: cannot be read ({})", path.display(), e.kind())))?;
    Public::from_pem(&text)
        .ok_or_else(|| Failed::usage(format!("{}: is no Ed25519 public key in PEM; give one of `holdfast evidence key --pem`", path.display())))
}

fn named(f: &Fault) -> String {
    let file = if f.file.is_empty() { "the archive" } else { &f.file };
    format!("{file}: {}", f.what)
}

fn tell(out: Out, r: &Report) {
    let (tests, keys, said) = (r.tests, r.keys, r.countersignatures);
    if r.is_intact() {
        out.line(&format!("The pack is intact: {tests} signed tests, {keys} records of keys, {said} countersignatures; chain up to record {}.", r.head));
    } else {
        out.line(&format!("The pack is NOT intact: {} findings.", r.faults.len()));
        for f in &r.faults {
            out.line(&format!("  {}", named(f)));
        }
    }
    for (key, why) in &r.trusted {
        out.line(&format!("Key {key}: {why}"));
    }
    if !r.pinned {
        out.line("No key was given with --key: trust rests on the pack's own keys, so this does not say who made it.");
    }
}

fn json_of(r: &Report) -> serde_json::Value {
    let faults: Vec<_> = r.faults.iter().map(|f| json!({"file": f.file, "what": f.what})).collect();
    json!({
        "intact": r.is_intact(), "faults": faults, "tests": r.tests, "key_records": r.keys, "countersignatures": r.countersignatures,
        "head": r.head, "since": r.since, "until": r.until, "keys": r.trusted, "pinned": r.pinned,
    })
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let keys = Keys::of(&shell.data);
    keys.make().map_err(|e| Failed::new(e.to_string()))?;
    let vault = Vault::new(shell.surroundings.env.clone(), keys);
    let ctx = shell.open().await?;
    let done = match args.what {
        What::Verify(args) => verify(shell.out, &args),
        What::Pack(args) => make(shell, &ctx, &vault, args).await,
        What::Key(args) => key(shell, &ctx, &vault, &args).await,
        What::RotateKey(args) => rotate(shell, &ctx, &vault, &args).await,
    };
    ctx.db.close().await;
    done
}

async fn make(shell: &Shell, ctx: &ops::Ctx, vault: &Vault, args: PackArgs) -> Result<u8> {
    let zone = TimeZone::system();
    let today = jiff::Timestamp::from_microsecond(ctx.now().0).map(|t| t.to_zoned(zone.clone()).date()).unwrap_or_default();
    let period = evidence::days(args.from, args.to.unwrap_or(today), &zone, args.service.as_deref().unwrap_or_default())
        .ok_or_else(|| Failed::usage("--from and --to: these days are out of range; give such as 2021-01-01"))?;
    let mut pack = pack::take(ctx, vault, &period, &zone).await?;
    let path = args.output.unwrap_or_else(|| PathBuf::from(&pack.name));
    let unwritten = |e: io::Error| Failed::new(format!("{}: cannot be written ({}); give another file with --output", path.display(), e.kind()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(unwritten)?;
    io::copy(&mut pack.file, &mut file).and_then(|_| file.sync_all()).map_err(unwritten)?;
    let h = pack.holds;
    if args.json {
        shell.out.json(&json!({
            "file": path, "bytes": pack.bytes, "sha256": pack.sha256, "tests": h.tests, "signed": h.signed,
            "countersignatures": h.countersignatures, "gaps": h.gaps,
        }));
    } else {
        shell.out.line(&format!(
            "{}: {} tests, {} of them signed, {} countersignatures, {} gaps",
            path.display(),
            h.tests,
            h.signed,
            h.countersignatures,
            h.gaps
        ));
        shell.out.line(&format!("sha256 {}", pack.sha256));
    }
    Ok(0)
}

async fn key(shell: &Shell, ctx: &ops::Ctx, vault: &Vault, args: &KeyArgs) -> Result<u8> {
    let signed = evidence::tend(ctx, vault).await?;
    let (keys, chain) = (evidence::keys(ctx).await?, evidence::chain(ctx).await?);
    if args.pem {
        let signs = keys.iter().find(|k| k.signs).ok_or_else(|| Failed::new("there is no key yet: the first restore test makes it"))?;
        shell.out.line(signs.pem.trim_end());
        return Ok(0);
    }
    if args.json {
        let all: Vec<_> = keys
            .iter()
            .map(|k| json!({"id": k.id, "pem": k.pem, "made_at": rfc3339(k.made_at.0), "retired_at": k.retired_at.map(|t| rfc3339(t.0)), "signs": k.signs}))
            .collect();
        shell.out.json(&json!({"keys": all, "records": chain.records, "waiting": chain.waiting, "signed_now": signed, "fault": chain.fault}));
    } else {
        for k in &keys {
            let state = if k.signs { "signs now".to_owned() } else { k.retired_at.map(|t| format!("retired {}", rfc3339(t.0))).unwrap_or_default() };
            shell.out.line(&format!("{}  made {}, {state}", k.id, rfc3339(k.made_at.0)));
        }
        shell.out.line(&match &chain.fault {
            None => format!("The chain is intact: {} records.", chain.records),
            Some(fault) => format!("The chain is broken: {fault}; {} records before it are intact.", chain.records),
        });
    }
    Ok(u8::from(chain.fault.is_some()))
}

async fn rotate(shell: &Shell, ctx: &ops::Ctx, vault: &Vault, args: &RotateArgs) -> Result<u8> {
    let new = evidence::rotate_key(ctx, vault, args.lost.as_deref()).await?;
    if args.json {
        shell.out.json(&json!({ "key": new }));
    } else {
        shell.out.line(&format!("The key {new} signs from now on. Tell its id to whoever checks packs."));
    }
    Ok(0)
}
