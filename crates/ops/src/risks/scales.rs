//! Rating scales: the one that is built in, and those that admins make (R39).
//!
//! Lives here: the use cases. May not: what a scale must hold (`domain::risk::scale`).
//! Invariant: no version is ever changed. To save a scale is to make its next version; risks keep the one that they were
//! rated by.

use std::collections::BTreeMap;

use domain::{
    field::FieldError,
    naming::slug_problem,
    risk::scale::{BUILT_IN, Scale, ScaleRef},
};
use serde_json::json;
use store::{
    Tx,
    audit::NewEvent,
    risks::{self, By},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require, require_on},
    version::{Seen, Subject},
};

/// The most versions of all scales.
const MOST: i64 = 500;

/// All versions of all scales.
#[derive(Clone, Debug)]
pub struct Scales(BTreeMap<ScaleRef, Scale>);

impl Scales {
    pub(crate) async fn load(tx: Tx<'_>) -> Result<Self> {
        let mut all = BTreeMap::from([(ScaleRef::default(), Scale::built_in())]);
        all.extend(risks::scales(tx, MOST).await?.into_iter().map(|s| (ScaleRef { name: s.name, version: s.version }, s.scale.0)));
        Ok(Self(all))
    }

    pub fn get(&self, name: &ScaleRef) -> Option<&Scale> {
        self.0.get(name)
    }

    /// The newest version of a scale.
    pub fn newest(&self, name: &str) -> Option<(&ScaleRef, &Scale)> {
        self.0.iter().filter(|(of, _)| of.name == name).max_by_key(|(of, _)| of.version)
    }

    /// The newest version of each scale, by name.
    pub fn all_newest(&self) -> Vec<(&ScaleRef, &Scale)> {
        let mut newest: BTreeMap<&str, (&ScaleRef, &Scale)> = BTreeMap::new();
        for (of, scale) in &self.0 {
            newest.insert(&of.name, (of, scale));
        }
        newest.into_values().collect()
    }

    /// The newest version of the scale that new risks are rated by where nothing else is said.
    pub fn usual(&self) -> ScaleRef {
        self.newest(BUILT_IN).map(|(of, _)| of.clone()).unwrap_or_default()
    }

    /// The names of the newest versions.
    pub fn names(&self) -> String {
        self.all_newest().iter().map(|(of, _)| of.to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// A version of a scale, with who made it; nobody made the one that is built in.
#[derive(Clone, Debug)]
pub struct ScaleVersion {
    pub name: ScaleRef,
    pub scale: Scale,
    pub made: Option<(String, domain::units::Timestamp)>,
    /// Whether it is the newest of its name.
    pub newest: bool,
}

/// All versions of all scales, by name, the newest version of each first.
pub async fn scales(ctx: &Ctx) -> Result<Vec<ScaleVersion>> {
    require_on(ctx, Action::Read, On::Any)?;
    let built_in = ScaleVersion { name: ScaleRef::default(), scale: Scale::built_in(), made: None, newest: false };
    let mut all = vec![built_in];
    all.extend(risks::scales(ctx.db.read().await?.tx(), MOST).await?.into_iter().map(|s| ScaleVersion {
        name: ScaleRef { name: s.name, version: s.version },
        scale: s.scale.0,
        made: Some((s.made_by, domain::units::Timestamp(s.created_at))),
        newest: false,
    }));
    all.sort_by(|a, b| (&a.name.name, b.name.version).cmp(&(&b.name.name, a.name.version)));
    let mut last = None;
    for version in &mut all {
        version.newest = last.as_ref() != Some(&version.name.name);
        last = Some(version.name.name.clone());
    }
    Ok(all)
}

/// One version of a scale; its newest where none is given.
pub async fn scale_version(ctx: &Ctx, name: &str, version: Option<i64>) -> Result<ScaleVersion> {
    let found = scales(ctx).await?.into_iter().find(|s| s.name.name == name && version.map_or(s.newest, |v| s.name.version == v));
    found.ok_or_else(|| match version {
        Some(version) => OpsError::not_found("scale", ScaleRef { name: name.to_owned(), version }),
        None => OpsError::not_found("scale", name),
    })
}

/// Makes a scale, or the next version of it where what is there is what was seen: its newest version's number. The same
/// again makes none. Gives the version that says it.
///
/// # Errors
/// `Invalid` names each field, `Stale` where somebody else was first.
pub async fn save_scale(ctx: &Ctx, name: &str, scale: &Scale, seen: &Seen) -> Result<ScaleRef> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let all = Scales::load(t.tx()).await?;
    let old = all.newest(name);
    let there = old.map(|(of, _)| of.version.to_string());
    let id = old.map_or_else(String::new, |(of, _)| of.name.clone());
    seen.check(t.tx(), Subject { words: "scale", name, entity: "risk_scale", id }, there.as_deref()).await?;
    let mut scale = scale.clone();
    scale.tidy();
    let mut wrong = scale.problems();
    wrong.extend(slug_problem(name).map(|problem| FieldError::new("name", problem)));
    if all.0.len() as i64 > MOST {
        wrong.push(FieldError::new("name", format!("there are {MOST} versions of scales already; use one of them")));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    if let Some((of, _)) = old.filter(|(_, saved)| **saved == scale) {
        return Ok(of.clone());
    }
    let new = ScaleRef { name: name.to_owned(), version: old.map_or(1, |(of, _)| of.version + 1) };
    risks::add_scale(t.tx(), &new, &scale, By { actor: &ctx.actor.name, at: ctx.now() }).await?;
    let told = |of: &ScaleRef, scale: &Scale| json!({ "name": of.name, "version": of.version, "scale": scale });
    let (before, after) = (old.map(|(of, scale)| told(of, scale)), Some(told(&new, &scale)));
    ctx.audit(t.tx(), NewEvent { action: "risk_scale.save", entity: "risk_scale", entity_id: name.to_owned(), before, after }).await?;
    t.commit().await?;
    Ok(new)
}
