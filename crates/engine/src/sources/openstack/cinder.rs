//! Volumes and their snapshots, and what the quota leaves.
//!
//! Lives here: Cinder's calls. May not: which snapshots belong together.
//! Invariant: a snapshot that a volume was made of is not removed: many storages cannot, and say so too late.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{instance::Quota, units::Timestamp};
use serde_json::{Value, json};

use super::{
    Cloud,
    catalog::Service::Volume as Cinder,
    facts::{list, number, text, texts, time},
    nova::MOST_RESTARTS,
    refusal::Failed,
    session::Call,
};
use crate::{EngineError, ErrorKind, Result};

/// How many things are asked for at once where all are wanted.
const PAGE: u32 = 500;
/// From so many on, volumes are listed and not read one by one.
const MANY: usize = 4;

/// A snapshot of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSnap {
    pub id: String,
    pub name: String,
    /// Cinder's word, such as `creating`, `available`, `error`.
    pub status: String,
    pub size_gb: i64,
    pub volume_id: String,
    pub metadata: BTreeMap<String, String>,
    pub created_at: Timestamp,
}

impl VolumeSnap {
    pub(super) fn read(json: &Value) -> Result<Self, Failed> {
        let word = |name: &str| text(json, name).unwrap_or_default().to_owned();
        let read = || {
            Some(Self {
                id: text(json, "id")?.to_owned(),
                name: word("name"),
                status: word("status"),
                size_gb: number(json, "size").unwrap_or_default(),
                volume_id: word("volume_id"),
                metadata: texts(json, "metadata"),
                created_at: text(json, "created_at").and_then(time)?,
            })
        };
        read().ok_or_else(|| Failed::odd(Cinder, "tell of a volume snapshot", "its id or its time is missing"))
    }
}

impl Cloud {
    /// Asks for a snapshot of a volume, also of one in use. Gives it in the state `creating`.
    ///
    /// An answer that is lost is an error of the kind `Unavailable`: the snapshot may be there, under its name.
    pub async fn create_volume_snapshot(&self, volume: &str, name: &str, metadata: &BTreeMap<String, String>) -> Result<VolumeSnap> {
        let mut wanted = json!({"volume_id": volume, "name": name, "metadata": metadata});
        if self.0.version(Cinder).await?.snapshots_need_force() {
            wanted["force"] = true.into();
        }
        let call = Call::post(Cinder, format!("make the snapshot “{name}” of the volume {volume}"), &["snapshots"], json!({"snapshot": wanted}));
        let answer = self.0.json(call).await?;
        Ok(VolumeSnap::read(answer.get("snapshot").unwrap_or(&Value::Null))?)
    }

    /// One snapshot; `None` where the cloud has none of that id.
    pub async fn volume_snapshot(&self, id: &str) -> Result<Option<VolumeSnap>> {
        let answer = self.0.json_if(Call::get(Cinder, format!("read the volume snapshot {id}"), &["snapshots", id])).await?;
        Ok(answer.as_ref().and_then(|a| a.get("snapshot")).map(VolumeSnap::read).transpose()?)
    }

    /// The project's volume snapshots after `after`, at most `limit`. None means the end.
    pub async fn volume_snapshots(&self, after: Option<&str>, limit: u32) -> Result<Vec<VolumeSnap>> {
        let call = Call::get(Cinder, "list the volume snapshots", &["snapshots", "detail"]).query("sort", "created_at:asc,id:asc");
        let page = self.0.json(call.page(after, limit)).await?;
        Ok(list(&page, "snapshots").iter().map(VolumeSnap::read).collect::<Result<_, _>>()?)
    }

    /// Asks for a snapshot's removal; one that is not there is a success. One with dependent volumes is a `Conflict`.
    pub async fn delete_volume_snapshot(&self, id: &str) -> Result<()> {
        let dependents = self.volumes_of_snapshot(id).await?;
        if !dependents.is_empty() {
            let text = format!("the volume snapshot {id} is kept: {} made of it and may need it; remove that first", volumes_were(&dependents));
            return Err(EngineError::new(ErrorKind::Conflict, text));
        }
        match self.0.call(Call::delete(Cinder, format!("remove the volume snapshot {id}"), &["snapshots", id])).await {
            Ok(_) => Ok(()),
            Err(failed) if failed.is_gone() => Ok(()),
            // The first try was carried out and its answer lost, or somebody else was faster.
            Err(failed) if failed.is(400) || failed.is(409) => match self.volume_snapshot(id).await? {
                Some(now) if now.status != "deleting" => Err(failed.into()),
                _ => Ok(()),
            },
            Err(failed) => Err(failed.into()),
        }
    }

    /// The volumes that were made of a snapshot, such as those of clones.
    pub async fn volumes_of_snapshot(&self, snapshot: &str) -> Result<Vec<String>> {
        Ok(self.volumes_by_snapshot().await?.remove(snapshot).unwrap_or_default())
    }

    /// The volumes that were made of snapshots, by the snapshot. Whoever asks for several asks once.
    pub async fn volumes_by_snapshot(&self) -> Result<HashMap<String, Vec<String>>> {
        // Cinder lets nobody but administrators filter by it.
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        let mut after: Option<String> = None;
        let mut again = 0;
        loop {
            let (page, next) = match self.page_of_volumes(after.as_deref()).await {
                Err(failed) if failed.has_moved() && again < MOST_RESTARTS => {
                    (again, after) = (again + 1, None);
                    found.clear();
                    continue;
                }
                other => other?,
            };
            for volume in &page {
                if let (Some(snapshot), Some(id)) = (text(volume, "snapshot_id"), text(volume, "id")) {
                    found.entry(snapshot.to_owned()).or_default().push(id.to_owned());
                }
            }
            let Some(next) = next else { return Ok(found) };
            after = Some(next);
        }
    }

    /// What the project's quota leaves, which says nothing of quotas by volume type.
    pub async fn quota_left(&self) -> Result<Quota> {
        let answer = self.0.json(Call::get(Cinder, "tell the project's limits", &["limits"])).await?;
        Ok(quota(&answer))
    }

    /// One page, and after which volume the next one begins, where Cinder says that there may be one. A page that is
    /// shorter than was asked for says nothing: the cloud may have a limit of its own.
    async fn page_of_volumes(&self, after: Option<&str>) -> Result<(Vec<Value>, Option<String>), Failed> {
        let call = Call::get(Cinder, "list the volumes", &["volumes", "detail"]).query("sort", "created_at:asc,id:asc");
        let mut page = self.0.json(call.page(after, PAGE)).await?;
        let volumes = page.get_mut("volumes").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let more = list(&page, "volumes_links").iter().any(|link| text(link, "rel") == Some("next"));
        let next = volumes.last().filter(|_| more).and_then(|v| text(v, "id")).map(str::to_owned);
        Ok((volumes, next))
    }

    /// Cinder's own facts of volumes. One that is gone, or a cloud without Cinder, is left out.
    pub(super) async fn volumes_by_id(&self, wanted: &BTreeSet<&str>) -> Result<HashMap<String, Value>, Failed> {
        let mut found: HashMap<String, Value> = HashMap::new();
        if wanted.is_empty() || !self.0.has(Cinder) {
            return Ok(found);
        }
        if wanted.len() > MANY {
            let mut after: Option<String> = None;
            while found.len() < wanted.len() {
                let (page, next) = match self.page_of_volumes(after.as_deref()).await {
                    // The rest is read one by one.
                    Err(failed) if failed.has_moved() => break,
                    other => other?,
                };
                for volume in page {
                    if let Some(id) = text(&volume, "id").filter(|id| wanted.contains(id)).map(str::to_owned) {
                        found.insert(id, volume);
                    }
                }
                let Some(next) = next else { break };
                after = Some(next);
            }
        }
        for id in wanted {
            if !found.contains_key(*id) {
                let answer = self.0.json_if(Call::get(Cinder, format!("read the volume {id}"), &["volumes", id])).await?;
                if let Some(volume) = answer.and_then(|mut a| a.get_mut("volume").map(Value::take)) {
                    found.insert((*id).to_owned(), volume);
                }
            }
        }
        Ok(found)
    }
}

fn volumes_were(ids: &[String]) -> String {
    match ids {
        [one] => format!("the volume {one} was"),
        [one, more @ ..] => format!("the volume {one} and {} more were", more.len()),
        [] => String::new(),
    }
}

fn quota(limits: &Value) -> Quota {
    let absolute = limits.pointer("/limits/absolute").unwrap_or(&Value::Null);
    let left = |most: &str, used: &str| {
        let most = number(absolute, most).filter(|m| *m >= 0)?;
        Some((most - number(absolute, used).unwrap_or_default()).max(0))
    };
    Quota { snapshots: left("maxTotalSnapshots", "totalSnapshotsUsed"), gigabytes: left("maxTotalVolumeGigabytes", "totalGigabytesUsed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_leaves_what_is_not_used() {
        let limits = |most: i64, used: i64| json!({"limits": {"rate": [], "absolute": {"maxTotalSnapshots": most, "totalSnapshotsUsed": used, "maxTotalVolumeGigabytes": 1000, "totalGigabytesUsed": 3}}});
        assert_eq!(quota(&limits(10, 4)), Quota { snapshots: Some(6), gigabytes: Some(997) });
        assert_eq!(quota(&limits(10, 12)).snapshots, Some(0));
        assert_eq!(quota(&limits(-1, 12)).snapshots, None);
        assert_eq!(quota(&json!({})), Quota { snapshots: None, gigabytes: None });
    }

    #[test]
    fn dependents_are_counted_in_words() {
        assert_eq!(volumes_were(&["a".into()]), "the volume a was");
        assert_eq!(volumes_were(&["a".into(), "b".into(), "c".into()]), "the volume a and 2 more were");
    }
}
