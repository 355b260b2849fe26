//! Writing evidence: the next record of the chain, signed where the key is at hand.
//!
//! Lives here: keys, appending, signing what waits. May not: permission of people (see `super`), judging.
//! Invariants: a record is written in the transaction of what it is about; the private part of a key is open only while it
//! signs; whoever cannot open it writes the record unsigned, and the server signs it within a minute. The chain is made
//! of what is signed, not of signatures, so that it needs no key.

use domain::{
    id::{RestoreTestId, RunId, ServiceId},
    statement::{self, Countersignature, Counts, EVIDENCE_TYPE, Gone, Items, Measured, NewKey, Service, Snapshot, Statement, Test, What, moment},
    units::Timestamp,
};
use serde_json::json;
use store::{
    Db, Tx,
    audit::NewEvent,
    evidence::{self as rows, COUNTERSIGNATURE, EvidenceRow, KEY_RECORD, KeyRow, RESTORE_TEST},
    restore_tests::NewRestoreTest,
    services::ServiceRow,
};
use uuid::Uuid;

use super::dsse::{self, Private, Public, pae, sha256};
use crate::{
    Actor, Ctx, OpsError, Result,
    permission::{Action, require},
    secrets::Vault,
};

/// Records that are signed in one transaction.
const STEP: i64 = 200;

/// The key that signs, opened.
#[derive(Debug)]
pub struct Signer {
    id: String,
    key: Private,
}

impl Signer {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature of a payload, in base64.
    pub(super) fn sign(&self, kind: &str, payload: &[u8]) -> String {
        dsse::encoded(&self.key.sign(&pae(kind, payload)))
    }
}

/// What a private key is sealed for.
fn purpose(key: &str) -> String {
    format!("evidence/{key}")
}

/// Opens the key that signs; `None` where there is none or this process has not the server's key.
pub async fn signer(db: &Db, vault: &Vault) -> Result<Option<Signer>> {
    let row = rows::signing_key(db.read().await?.tx()).await?;
    Ok(row.and_then(|row| open(&row, vault)))
}

fn open(row: &KeyRow, vault: &Vault) -> Option<Signer> {
    let text = vault.unsealed(row.private_key.as_deref()?, &purpose(&row.id))?;
    let key = Private::from_text(text.reveal())?;
    (key.public()?.id() == row.id).then(|| Signer { id: row.id.clone(), key })
}

/// What is to be recorded.
struct New {
    kind: &'static str,
    actor: String,
    service: Option<Uuid>,
    test: Option<Uuid>,
    about: Option<i64>,
    person: Option<String>,
    effective_at: i64,
    what: What,
}

/// Writes the next record.
async fn append(mut tx: Tx<'_>, signer: Option<&Signer>, new: New, now: Timestamp) -> Result<EvidenceRow> {
    let (last, previous) = rows::take_head(tx.by_ref()).await?;
    let statement = Statement {
        format: statement::FORMAT,
        sequence: last + 1,
        previous: previous.clone(),
        recorded_at: moment(now),
        actor: new.actor,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        what: new.what,
    };
    let payload = serde_json::to_string(&statement).map_err(OpsError::internal)?;
    // Another process may have changed the key since this one opened it.
    let signs = rows::signing_key(tx.by_ref()).await?.map(|k| k.id);
    let signed = signer.filter(|s| signs.as_deref() == Some(s.id())).map(|s| (s.id.clone(), s.sign(EVIDENCE_TYPE, payload.as_bytes())));
    let (key_id, signature) = signed.unzip();
    let row = EvidenceRow {
        seq: last + 1,
        id: Uuid::now_v7(),
        kind: new.kind.to_owned(),
        service_id: new.service,
        test_id: new.test,
        about_seq: new.about,
        person: new.person,
        effective_at: new.effective_at,
        recorded_at: now.0,
        hash: sha256(&pae(EVIDENCE_TYPE, payload.as_bytes())),
        payload,
        prev_hash: previous,
        signed_at: key_id.is_some().then_some(now.0),
        key_id,
        signature,
    };
    rows::add(tx, &row).await?;
    Ok(row)
}

/// What of a restore test its row does not hold.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Whoever started it.
    pub actor: String,
    /// The plan that was approved then.
    pub plan: Option<statement::Plan>,
}

/// Records a restore test as evidence, in the transaction that records the test. Once a test.
pub async fn test(
    mut tx: Tx<'_>,
    signer: Option<&Signer>,
    id: RestoreTestId,
    t: &NewRestoreTest,
    of: &ServiceRow,
    beside: Beside,
    now: Timestamp,
) -> Result<()> {
    if rows::of_test(tx.by_ref(), id).await?.is_some() {
        return Ok(());
    }
    let snapshot = |s: &store::restore_tests::TestedSnapshot| Snapshot { item: s.item.clone(), restic: s.restic_id.clone(), taken_at: moment(s.taken_at) };
    let what = Test {
        service: Service { id: of.id.to_string(), name: of.name.clone(), title: of.title.clone() },
        test: id.to_string(),
        run: t.run.to_string(),
        definition: t.definition.clone(),
        selection: t.selection.clone(),
        snapshots: t.snapshots.iter().map(snapshot).collect(),
        plan: beside.plan,
        started_at: moment(t.started_at),
        finished_at: moment(t.finished_at),
        verdict: t.verdict,
        level: t.level,
        counts: Counts::of(&t.checks),
        checks: t.checks.clone(),
        rto: Measured { measured_s: t.rto_s, target_s: t.rto_target_s },
        rpo: Measured { measured_s: t.rpo_s.map(|s| s as f64), target_s: t.rpo_target_s },
        items: Items { restored: t.items_restored, skipped: t.items_skipped, failed: t.items_failed },
        files: t.files,
        bytes: t.bytes,
        teardown: Gone { scratch: t.teardown.scratch.clone(), gone_at: t.teardown.gone_at.map(moment), detail: t.teardown.detail.clone() },
    };
    let new = New {
        kind: RESTORE_TEST,
        actor: beside.actor,
        service: Some(t.service.0),
        test: Some(id.0),
        about: None,
        person: None,
        effective_at: t.started_at.0,
        what: What::RestoreTest(Box::new(what)),
    };
    append(tx, signer, new, now).await?;
    Ok(())
}

/// A reviewer's word on the record of a test.
pub(super) async fn countersignature(tx: Tx<'_>, signer: &Signer, of: &EvidenceRow, actor: &Actor, note: &str, now: Timestamp) -> Result<EvidenceRow> {
    let what = Countersignature {
        record: of.seq,
        sha256: of.hash.clone(),
        test: of.test_id.map(|id| id.to_string()).unwrap_or_default(),
        name: actor.shown().to_owned(),
        role: role(actor, of.service_id).to_owned(),
        note: note.to_owned(),
        signed_at: moment(now),
    };
    let new = New {
        kind: COUNTERSIGNATURE,
        actor: actor.name.clone(),
        service: of.service_id,
        test: None,
        about: Some(of.seq),
        person: Some(actor.name.clone()),
        effective_at: now.0,
        what: What::Countersignature(what),
    };
    append(tx, Some(signer), new, now).await
}

/// In which role somebody looks at a service.
fn role(actor: &Actor, service: Option<Uuid>) -> &'static str {
    let owns = service.is_some_and(|s| actor.services.contains(&ServiceId(s)));
    if owns && actor.role.rank() > crate::Role::Owner.rank() { crate::Role::Owner.as_str() } else { actor.role.as_str() }
}

/// A new key takes the place of `old`, which announces it; where `lost` says why, it announces itself.
pub(super) async fn change_key(ctx: &Ctx, mut tx: Tx<'_>, vault: &Vault, old: Option<&Signer>, lost: Option<&str>) -> Result<Signer> {
    let failed = || OpsError::Conflict("a key cannot be made: the system's cryptography failed".to_owned());
    let (key, text) = Private::new().ok_or_else(failed)?;
    let public = key.public().ok_or_else(failed)?;
    let new = Signer { id: public.id(), key };
    let sealed = vault.sealed(&text, &purpose(&new.id))?;
    let now = ctx.now();
    let before = rows::signing_key(tx.by_ref()).await?.map(|k| k.id);
    let replaces = before.clone().filter(|_| old.is_some());
    let what = NewKey { key: new.id.clone(), pem: public.pem(), replaces, lost: lost.map(str::to_owned) };
    let record = New {
        kind: KEY_RECORD,
        actor: ctx.actor.name.clone(),
        service: None,
        test: None,
        about: None,
        person: None,
        effective_at: now.0,
        what: What::Key(what),
    };
    if let Some(old) = old {
        append(tx.by_ref(), Some(old), record, now).await?;
        retire(ctx, tx.by_ref(), before.as_deref()).await?;
        rows::add_key(tx.by_ref(), &new.id, &public.hex(), &sealed, &ctx.actor.name, now).await?;
    } else {
        retire(ctx, tx.by_ref(), before.as_deref()).await?;
        rows::add_key(tx.by_ref(), &new.id, &public.hex(), &sealed, &ctx.actor.name, now).await?;
        append(tx.by_ref(), Some(&new), record, now).await?;
    }
    let event = NewEvent {
        action: "evidence.key",
        entity: "evidence_key",
        entity_id: new.id.clone(),
        before: before.map(|k| json!({"key": k})),
        after: Some(json!({"key": new.id, "lost": lost})),
    };
    ctx.audit(tx, event).await?;
    Ok(new)
}

async fn retire(ctx: &Ctx, mut tx: Tx<'_>, before: Option<&str>) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    // The lock of the chain: of two that change the key at once one finds it changed.
    rows::take_head(tx.by_ref()).await?;
    if rows::retire_key(tx, before, &ctx.actor.name, ctx.now()).await? {
        Ok(())
    } else {
        Err(OpsError::Conflict("somebody else has changed the key just now".to_owned()))
    }
}

/// The key that signs, made where there is none.
///
/// # Errors
/// `Conflict` where there is one that the server's key does not open.
pub(super) async fn ensure(ctx: &Ctx, vault: &Vault) -> Result<Signer> {
    if let Some(signer) = signer(&ctx.db, vault).await? {
        return Ok(signer);
    }
    let own = Ctx { actor: Actor::system(), claim: None, ..ctx.clone() };
    let mut t = ctx.db.begin_audited().await?;
    if let Some(row) = rows::signing_key(t.tx()).await? {
        // Another process may have made it meanwhile.
        return open(&row, vault).ok_or_else(|| closed(&row));
    }
    let made = change_key(&own, t.tx(), vault, None, None).await?;
    t.commit().await?;
    Ok(made)
}

/// What is said where the key cannot be opened.
pub(super) fn closed(row: &KeyRow) -> OpsError {
    let short: String = row.id.chars().take(12).collect();
    OpsError::Conflict(format!(
        "the key {short}… that signs evidence does not open with this server's server.key; put that file back from its second place, or make a new key with `holdfast evidence rotate-key --lost REASON`"
    ))
}

/// Signs what waits for a signature, and makes the first key where there is none. How many records were signed.
pub async fn tend(ctx: &Ctx, vault: &Vault) -> Result<usize> {
    require(ctx, Action::Configure)?;
    let mut signed = 0;
    loop {
        if rows::count_unsigned(ctx.db.read().await?.tx()).await? == 0 {
            return Ok(signed);
        }
        let signer = ensure(ctx, vault).await?;
        let n = sign_waiting(ctx, &signer).await?;
        signed += n;
        if n == 0 {
            return Ok(signed);
        }
    }
}

/// Signs records that wait, in one transaction.
async fn sign_waiting(ctx: &Ctx, signer: &Signer) -> Result<usize> {
    let mut t = ctx.db.begin().await?;
    rows::take_head(t.tx()).await?;
    if rows::signing_key(t.tx()).await?.is_none_or(|k| k.id != signer.id) {
        return Ok(0);
    }
    let mut n = 0;
    for row in rows::unsigned(t.tx(), STEP).await? {
        if sha256(&pae(EVIDENCE_TYPE, row.payload.as_bytes())) != row.hash {
            tracing::error!(record = row.seq, "evidence was changed before it was signed; it stays unsigned");
            continue;
        }
        let signature = signer.sign(EVIDENCE_TYPE, row.payload.as_bytes());
        n += usize::from(rows::sign(t.tx(), row.seq, &signer.id, &signature, ctx.now()).await?);
    }
    t.commit().await?;
    Ok(n)
}

/// Seals the private part anew with the first of the server's keys; how many.
pub async fn reseal(ctx: &Ctx, vault: &Vault) -> Result<usize> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin().await?;
    let Some(row) = rows::signing_key(t.tx()).await? else { return Ok(0) };
    let sealed = row.private_key.as_deref().unwrap_or_default();
    let text = vault.unsealed(sealed, &purpose(&row.id)).ok_or_else(|| closed(&row))?;
    rows::reseal_key(t.tx(), &row.id, &vault.sealed(text.reveal(), &purpose(&row.id))?).await?;
    t.commit().await?;
    Ok(1)
}

/// The public part of a stored key.
pub(super) fn public(row: &KeyRow) -> Result<Public> {
    Public::from_hex(&row.public_key).ok_or_else(|| OpsError::internal(format!("the stored key {} is unreadable", row.id)))
}

/// The run of a test, for its log.
pub(super) const fn run(id: Uuid) -> RunId {
    RunId(id)
}
