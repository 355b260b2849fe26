//! Evidence packs: all evidence of a period in one archive that proves itself (R37).
//!
//! Lives here: what a pack holds, and making one. May not: proving one (`verify` does), the summary's words (`summary`).
//! Invariants: nothing of the period is left out, gaps stand on page one; the same evidence gives the same bytes; a
//! service that the actor does not see is in no file but as a hash in `chain.csv`.

use std::{collections::BTreeMap, fs::File, io};

use domain::{
    id::RunId,
    statement::{MANIFEST_TYPE, moment},
    units::Timestamp,
};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    audit::NewEvent,
    evidence::{self as rows, EvidenceRow, KeyRow},
    restore_tests::RestoreTestRow,
    run_events, steps,
};

use super::{
    Entry, Period, Standing,
    dsse::{Envelope, sha256},
    list, record,
    record::{Signer, ensure},
    standing, summary,
    zip::Writer,
};
use crate::{
    Ctx, OpsError, Result,
    audit::cell,
    permission::{Action, On, require_on},
    runs::PAGE,
    secrets::Vault,
};

/// Tests of one pack.
const MOST: usize = 20_000;
/// Lines of a test's log.
const LINES: i64 = 20_000;
/// Links that are read at a time.
const STEP: i64 = 5_000;

pub const MANIFEST: &str = "manifest.json";
pub const MANIFEST_SIGNED: &str = "manifest.dsse.json";
pub const CHAIN: &str = "chain.csv";
pub const CHAIN_HEAD: &str = "sequence,sha256";
pub const ENVELOPES: &str = "envelopes/";
pub const COUNTERSIGNATURES: &str = "countersignatures/";
pub const KEYS: &str = "keys/";
const README: &str = include_str!("readme.md");

/// What a pack says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u8,
    pub code_version: String,
    pub since: String,
    /// Not this moment and none later.
    pub until: String,
    /// One service by name; empty for all that its maker sees.
    pub service: String,
    /// The last record of the chain when the pack was made.
    pub head: Link,
    pub files: Vec<Listed>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub sequence: i64,
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    /// Its one written form: a file a line, so that `sed` can read it.
    fn text(&self) -> Result<String> {
        let value = |v: &str| Value::from(v).to_string();
        let head = serde_json::to_string(&self.head).map_err(OpsError::internal)?;
        let file = |f: &Listed| format!("    {{\"path\": {}, \"bytes\": {}, \"sha256\": {}}}", value(&f.path), f.bytes, value(&f.sha256));
        let files: Vec<String> = self.files.iter().map(file).collect();
        Ok(format!(
            "{{\n  \"format\": {},\n  \"code_version\": {},\n  \"since\": {},\n  \"until\": {},\n  \"service\": {},\n  \"head\": {head},\n  \"files\": [\n{}\n  ]\n}}\n",
            self.format,
            value(&self.code_version),
            value(&self.since),
            value(&self.until),
            value(&self.service),
            files.join(",\n")
        ))
    }
}

/// How much of what a pack holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub tests: usize,
    pub signed: usize,
    pub countersignatures: usize,
    pub gaps: usize,
}

/// A pack in a file without a name, which goes when it is closed.
#[derive(Debug)]
pub struct Pack {
    pub file: File,
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
    pub holds: Holds,
}

/// A test with all that is known of it.
pub(super) struct Whole {
    pub entry: Entry,
    pub row: RestoreTestRow,
    pub record: Option<EvidenceRow>,
    pub countersignatures: Vec<EvidenceRow>,
}

/// Makes the pack of a period and writes to the audit trail that it was taken.
///
/// # Errors
/// `Invalid` where the period is empty; `Conflict` where there is too much for one pack, or the key does not open.
pub async fn take(ctx: &Ctx, vault: &Vault, period: &Period, zone: &TimeZone) -> Result<Pack> {
    let pack = make(ctx, vault, period, zone).await?;
    let after = json!({
        "since": moment(period.since), "until": moment(period.until), "service": period.service, "tests": pack.holds.tests,
        "bytes": pack.bytes, "sha256": pack.sha256,
    });
    let mut t = ctx.db.begin_audited().await?;
    ctx.audit(t.tx(), NewEvent { action: "evidence.pack", entity: "evidence", entity_id: pack.name.clone(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(pack)
}

/// The same without a trace, such as to say its size. The same evidence gives the same bytes.
pub async fn make(ctx: &Ctx, vault: &Vault, period: &Period, zone: &TimeZone) -> Result<Pack> {
    // A pack has logs and names of items in it, which are people's: a guest gets none.
    require_on(ctx, Action::Read, On::Any)?;
    // Refuses a service that the actor does not see.
    let standing = standing(ctx, period).await?;
    if period.since >= period.until {
        return Err(OpsError::invalid("from", "is not before the end of the period; give an earlier day"));
    }
    let signer = ensure(ctx, vault).await?;
    let system = Ctx { actor: crate::Actor::system(), claim: None, ..ctx.clone() };
    record::tend(&system, vault).await?;
    let tests = wholes(ctx, period).await?;
    if let Some(waiting) = tests.iter().filter_map(|t| t.record.as_ref()).find(|r| r.signature.is_none()) {
        return Err(OpsError::Conflict(format!(
            "record {} is not as it was written and stays unsigned; look for it with `holdfast evidence key`",
            waiting.seq
        )));
    }
    let keys = rows::keys(ctx.db.read().await?.tx()).await?;
    let mut out = Files::new()?;
    let links = links(ctx).await?;
    let announced = super::announcements(ctx).await?;
    write(ctx, &mut out, &Contents { period, zone, standing: &standing, tests: &tests, keys: &keys, links: &links, announced: &announced }).await?;
    let head = links.last().map(|(sequence, sha256)| Link { sequence: *sequence, sha256: sha256.clone() }).unwrap_or_default();
    let manifest = Manifest {
        format: domain::statement::FORMAT,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        since: moment(period.since),
        until: moment(period.until),
        service: period.service.clone(),
        head,
        files: std::mem::take(&mut out.listed),
    };
    let holds = Holds {
        tests: tests.len(),
        signed: tests.iter().filter(|t| t.record.is_some()).count(),
        countersignatures: tests.iter().map(|t| t.countersignatures.len()).sum(),
        gaps: standing.gaps.len(),
    };
    out.finish(&manifest, &signer, name(period, zone), holds)
}

/// What a pack is made of.
struct Contents<'a> {
    period: &'a Period,
    zone: &'a TimeZone,
    standing: &'a Standing,
    tests: &'a [Whole],
    keys: &'a [KeyRow],
    links: &'a [(i64, String)],
    announced: &'a [EvidenceRow],
}

async fn write(ctx: &Ctx, out: &mut Files, c: &Contents<'_>) -> Result<()> {
    out.add("README.md", README.as_bytes())?;
    let summary = summary::document(c.period, c.zone, c.standing, c.tests, c.keys);
    for (name, bytes) in summary::files(&summary)? {
        out.add(name, &bytes)?;
    }
    out.add("tests.csv", csv(c.tests).as_bytes())?;
    out.add("tests.json", &json_of(c.tests)?)?;
    let chain: String = std::iter::once(format!("{CHAIN_HEAD}\n")).chain(c.links.iter().map(|(n, hash)| format!("{n},{hash}\n"))).collect();
    out.add(CHAIN, chain.as_bytes())?;
    for key in c.keys {
        out.add(&format!("{KEYS}{}.pem", key.id), record::public(key)?.pem().as_bytes())?;
    }
    let mut envelopes: BTreeMap<i64, &EvidenceRow> = c.announced.iter().map(|r| (r.seq, r)).collect();
    envelopes.extend(c.tests.iter().filter_map(|t| t.record.as_ref()).map(|r| (r.seq, r)));
    for row in envelopes.values() {
        out.add(&format!("{ENVELOPES}{:06}.json", row.seq), super::enveloped(row)?.text().as_bytes())?;
    }
    let mut said: Vec<&EvidenceRow> = c.tests.iter().flat_map(|t| &t.countersignatures).filter(|r| super::is_countersignature(r)).collect();
    said.sort_by_key(|r| r.seq);
    for row in said {
        out.add(&format!("{COUNTERSIGNATURES}{:06}.json", row.seq), super::enveloped(row)?.text().as_bytes())?;
    }
    for t in c.tests {
        let name = t.record.as_ref().map_or_else(|| format!("test-{}", t.row.id), |r| format!("{:06}", r.seq));
        out.add(&format!("logs/{name}.txt"), log(ctx, t).await?.as_bytes())?;
    }
    Ok(())
}

/// The tests of a period with their records, the newest first.
async fn wholes(ctx: &Ctx, period: &Period) -> Result<Vec<Whole>> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = list(ctx, period, before, PAGE).await?;
        let n = page.len() as i64;
        before = page.last().map(|e| (Timestamp(e.test.started_at), domain::id::RestoreTestId(e.test.id)));
        for entry in page {
            let row = super::whole(ctx, entry.test.id).await?;
            let mut read = ctx.db.read().await?;
            let record = match entry.test.seq {
                Some(seq) => rows::find(read.tx(), seq).await?,
                None => None,
            };
            let countersignatures = match entry.test.seq {
                Some(seq) => rows::about(read.tx(), seq).await?,
                None => Vec::new(),
            };
            all.push(Whole { entry, row, record, countersignatures });
        }
        if all.len() > MOST {
            return Err(OpsError::invalid("from", format!("the period holds more than {MOST} tests; choose a shorter one, or one service")));
        }
        if n < PAGE {
            return Ok(all);
        }
    }
}

/// The number and hash of every record of the installation.
async fn links(ctx: &Ctx) -> Result<Vec<(i64, String)>> {
    let mut t = ctx.db.begin_read().await?;
    let mut all: Vec<(i64, String)> = Vec::new();
    loop {
        let page = rows::links(t.tx(), all.last().map_or(0, |l| l.0), STEP).await?;
        let n = page.len() as i64;
        all.extend(page);
        if n < STEP {
            return Ok(all);
        }
    }
}

/// The archive while it is written.
struct Files {
    zip: Writer<io::BufWriter<File>>,
    listed: Vec<Listed>,
}

impl Files {
    fn new() -> Result<Self> {
        Ok(Self { zip: Writer::new(io::BufWriter::new(tempfile::tempfile().map_err(unwritten)?)), listed: Vec::new() })
    }

    fn add(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.zip.add(path, content).map_err(unwritten)?;
        self.listed.push(Listed { path: path.to_owned(), bytes: content.len() as u64, sha256: sha256(content) });
        Ok(())
    }

    fn finish(mut self, manifest: &Manifest, signer: &Signer, name: String, holds: Holds) -> Result<Pack> {
        let text = manifest.text()?;
        let envelope = Envelope::new(MANIFEST_TYPE, text.as_bytes(), signer.id(), &signer.sign(MANIFEST_TYPE, text.as_bytes()));
        self.zip.add(MANIFEST, text.as_bytes()).map_err(unwritten)?;
        self.zip.add(MANIFEST_SIGNED, envelope.text().as_bytes()).map_err(unwritten)?;
        let (out, bytes) = self.zip.finish().map_err(unwritten)?;
        let mut file = out.into_inner().map_err(|e| unwritten(e.into_error()))?;
        io::Seek::rewind(&mut file).map_err(unwritten)?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut Hashed(&mut hash)).map_err(unwritten)?;
        io::Seek::rewind(&mut file).map_err(unwritten)?;
        Ok(Pack { file, name, bytes, sha256: hex::encode(hash.finalize()), holds })
    }
}

/// A sink that hashes.
struct Hashed<'a>(&'a mut Sha256);

impl io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unwritten(e: io::Error) -> OpsError {
    match e.kind() {
        io::ErrorKind::FileTooLarge => OpsError::Conflict("the pack would be larger than 4 GiB; choose a shorter period, or one service".to_owned()),
        io::ErrorKind::StorageFull => OpsError::Conflict("the disk for temporary files is full; make room, or set TMPDIR".to_owned()),
        _ => OpsError::internal(e),
    }
}

/// `evidence-2020-09-01-2021-02-25.zip`, with the service where there is one.
fn name(period: &Period, zone: &TimeZone) -> String {
    let day = |t: Timestamp| jiff::Timestamp::from_microsecond(t.0).map(|t| t.to_zoned(zone.clone()).date().to_string()).unwrap_or_default();
    let service = if period.service.is_empty() { String::new() } else { format!("-{}", period.service) };
    format!("evidence{service}-{}-{}.zip", day(period.since), day(Timestamp(period.until.0 - 1)))
}

const CSV_HEAD: &str = "test,run,service,title,selection,started_at,finished_at,verdict,level,rto_s,rto_target_s,rpo_s,rpo_target_s,items_restored,items_skipped,items_failed,files,bytes,signature,record,sha256,key,signed_at,countersignatures";

/// The tests as a table (RFC 4180); no cell is taken as a formula.
fn csv(tests: &[Whole]) -> String {
    let mut out = format!("{CSV_HEAD}\r\n");
    for t in tests {
        let (e, r) = (&t.entry.test, &t.row);
        let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
        let cells = [
            e.id.to_string(),
            e.run_id.to_string(),
            e.service.clone(),
            e.service_title.clone(),
            e.selection.clone(),
            moment(Timestamp(e.started_at)),
            moment(Timestamp(e.finished_at)),
            e.verdict.clone(),
            e.level.clone(),
            e.rto_s.map(|s| s.to_string()).unwrap_or_default(),
            number(e.rto_target_s),
            number(e.rpo_s),
            number(e.rpo_target_s),
            e.items_restored.to_string(),
            e.items_skipped.to_string(),
            e.items_failed.to_string(),
            r.files.to_string(),
            r.bytes.to_string(),
            t.entry.signed.words().to_owned(),
            number(e.seq),
            e.hash.clone().unwrap_or_default(),
            e.key_id.clone().unwrap_or_default(),
            e.signed_at.map(|at| moment(Timestamp(at))).unwrap_or_default(),
            t.countersignatures.len().to_string(),
        ];
        out.push_str(&cells.iter().map(|c| cell(c)).collect::<Vec<_>>().join(","));
        out.push_str("\r\n");
    }
    out
}

fn json_of(tests: &[Whole]) -> Result<Vec<u8>> {
    let one = |t: &Whole| {
        let (e, r) = (&t.entry.test, &t.row);
        json!({
            "test": e.id, "run": e.run_id, "service": e.service, "title": e.service_title, "selection": e.selection,
            "started_at": moment(Timestamp(e.started_at)), "finished_at": moment(Timestamp(e.finished_at)),
            "verdict": e.verdict, "level": e.level, "rto_s": e.rto_s, "rto_target_s": e.rto_target_s, "rpo_s": e.rpo_s, "rpo_target_s": e.rpo_target_s,
            "items": {"restored": e.items_restored, "skipped": e.items_skipped, "failed": e.items_failed}, "files": r.files, "bytes": r.bytes,
            "checks": r.checks.0,
            "snapshots": r.snapshots.0.iter().map(|s| json!({"item": s.item, "restic": s.restic_id, "taken_at": moment(s.taken_at)})).collect::<Vec<_>>(),
            "teardown": {"scratch": r.teardown.0.scratch, "gone_at": r.teardown.0.gone_at.map(moment), "detail": r.teardown.0.detail},
            "signature": t.entry.signed.words(), "record": e.seq, "sha256": e.hash, "key": e.key_id, "signed_at": e.signed_at.map(|at| moment(Timestamp(at))),
            "countersignatures": t.countersignatures.iter().map(|c| c.seq).collect::<Vec<_>>(),
        })
    };
    let all: Vec<Value> = tests.iter().map(one).collect();
    let mut out = serde_json::to_vec_pretty(&all).map_err(OpsError::internal)?;
    out.push(b'\n');
    Ok(out)
}

/// The steps and the log of a test's run, as text.
async fn log(ctx: &Ctx, t: &Whole) -> Result<String> {
    let run: RunId = record::run(t.row.run_id);
    let mut read = ctx.db.read().await?;
    let mut out = format!("Restore test {} of {}\nRun {run}\n\nSteps\n", t.row.id, t.entry.test.service);
    let at = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), |at| moment(Timestamp(at)));
    for s in steps::of_run(read.tx(), run).await? {
        let words = [(s.ordinal + 1).to_string(), s.name, s.state, at(s.started_at), at(s.finished_at)];
        out.extend([words.join(" ").as_str(), "\n"]);
    }
    out.push_str("\nLog\n");
    let (mut after, mut n) = (0, 0);
    loop {
        let page = run_events::after(read.tx(), run, after, STEP).await?;
        let Some(last) = page.last() else { return Ok(out) };
        after = last.seq;
        n += page.len() as i64;
        for e in page.iter().filter(|e| e.kind == "log" || e.kind == "step") {
            let words = [moment(Timestamp(e.at)), e.level.clone(), e.message.replace(['\n', '\r'], " ")];
            out.extend([words.join(" ").as_str(), "\n"]);
        }
        if n >= LINES {
            out.push_str("The log goes on; it is cut here.\n");
            return Ok(out);
        }
    }
}
