//! What has been chosen so far, as the address holds it and as the forms hand it on.
//!
//! Lives here: reading and writing it. May not: deciding whether it is right (`ops::restores`).

use domain::{
    id::{RunId, SnapshotId},
    restore::ConflictMode,
    work::RestoreTarget,
};
use ops::{
    OpsError,
    restores::{Choice, Request},
};
use serde::{Deserialize, Serialize};

use crate::components::address::{Query, encode};

/// Snapshots that one address may name.
pub const MOST: usize = 200;

/// The choices. Everything but the snapshots may still be open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub snapshots: Vec<SnapshotId>,
    /// Paths inside the one snapshot; everything where empty.
    pub paths: Vec<String>,
    /// `beside`, `inplace`, `folder` or nothing yet.
    pub to: String,
    pub folder: String,
    pub conflict: Option<ConflictMode>,
    pub run: Option<RunId>,
}

impl State {
    /// Reads an address.
    ///
    /// # Errors
    /// `NotFound` for what is no id of a snapshot.
    pub fn read(query: &Query) -> Result<Self, OpsError> {
        let one = |name: &str| query.get(name).unwrap_or_default();
        let mut snapshots = Vec::new();
        for text in &query.all("snapshot") {
            let id = text.parse().map_err(|_| OpsError::not_found("snapshot", text))?;
            if !snapshots.contains(&id) {
                snapshots.push(id);
            }
        }
        if snapshots.len() > MOST {
            return Err(OpsError::invalid("snapshot", format!("choose at most {MOST} snapshots at a time")));
        }
        let paths: Vec<String> = query.all("p").into_iter().map(|p| p.trim_matches('/').to_owned()).filter(|p| !p.is_empty()).collect();
        if !paths.is_empty() && snapshots.len() > 1 {
            return Err(OpsError::invalid("p", "paths can be chosen in one snapshot at a time"));
        }
        Ok(Self {
            snapshots,
            paths,
            to: one("to"),
            folder: one("folder").trim().to_owned(),
            conflict: ConflictMode::parse(&one("conflict")),
            run: one("run").parse().ok(),
        })
    }

    /// The address of this state.
    pub fn href(&self) -> String {
        let mut pairs: Vec<(&str, String)> = self.snapshots.iter().map(|s| ("snapshot", s.to_string())).collect();
        pairs.extend(self.paths.iter().map(|p| ("p", p.clone())));
        pairs.push(("to", self.to.clone()));
        pairs.push(("folder", self.folder.clone()));
        pairs.push(("conflict", self.conflict.map(|c| c.as_str().to_owned()).unwrap_or_default()));
        pairs.push(("run", self.run.map(|r| r.to_string()).unwrap_or_default()));
        let query: Vec<String> = pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| format!("{n}={}", encode(v))).collect();
        if query.is_empty() { "/restore".to_owned() } else { format!("/restore?{}", query.join("&")) }
    }

    /// What is asked for, once target and conflict mode are chosen.
    pub fn request(&self, confirm: Option<String>) -> Option<Request> {
        let target = match self.to.as_str() {
            "inplace" => RestoreTarget::InPlace,
            "beside" => RestoreTarget::Beside,
            "folder" => RestoreTarget::Folder { path: self.folder.clone() },
            _ => return None,
        };
        let choices = self.snapshots.iter().map(|s| Choice { snapshot: *s, paths: self.paths.clone() }).collect();
        Some(Request { choices, target, conflict: self.conflict?, preview: false, confirm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_round_trips() {
        let state = State {
            snapshots: vec![SnapshotId(uuid::Uuid::from_u128(1)), SnapshotId(uuid::Uuid::from_u128(2))],
            paths: vec![],
            to: "folder".into(),
            folder: "/srv/a b&c".into(),
            conflict: Some(ConflictMode::KeepNewer),
            run: Some(RunId(uuid::Uuid::from_u128(3))),
        };
        let href = state.href();
        assert_eq!(State::read(&Query::parse(href.split_once('?').unwrap().1)).unwrap(), state);
        assert_eq!(state.request(None).unwrap().choices.len(), 2);
        assert_eq!(State::default().href(), "/restore");
        assert_eq!(State::default().request(None), None);
    }
}
