//! The step that finds the instance and looks whether a snapshot can be taken, before anything is touched.
//!
//! Lives here: finding it by its id, its item or its name; its state; the quota. May not: changing anything.
//! The moment and the name of the snapshot are fixed here, so that they are the same after a crash.

use std::{sync::Arc, time::Duration};

use domain::{
    id::{ItemId, SourceId},
    instance::{Pattern, Server},
    units::Timestamp,
    work::{InstanceSnapshotParams, StepFailure},
};
use engine::sources::openstack::Cloud;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::items::{self, ItemRow};
use uuid::Uuid;

use super::power::{Owed, take_over};
use crate::{
    clouds::{
        link::{Reach, ask},
        wait::Wait,
    },
    exec::Cx,
    kinds::source,
    step::{Break, Done, Result, Step, permanent},
};

/// How long the cloud may be at work on the instance.
const READY_WITHIN: Duration = Duration::from_hours(1);
/// Instances of one name that an error names.
const NAMED: usize = 10;

/// What is snapshotted, how it is called, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// The item where it is listed already, and its name.
    pub item: Option<ItemId>,
    pub item_name: String,
    pub server: Server,
    /// The snapshot's name.
    pub name: String,
    pub at: Timestamp,
    /// An earlier run has stopped it and could not start it again.
    #[serde(default)]
    pub owed: Option<Owed>,
}

pub struct Identify {
    pub reach: Arc<Reach>,
    pub source: SourceId,
    pub params: InstanceSnapshotParams,
    pub pattern: Pattern,
}

#[async_trait::async_trait]
impl Step for Identify {
    const NAME: &'static str = "identify";
    type Out = Found;

    fn input(&self) -> Value {
        json!({"source": self.source, "item": self.params.item, "server": self.params.server, "parameters": self.params.parameters})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Found>> {
        let found = self.wait(cx).await;
        self.reach.end(cx, found).await.map(Done::ok)
    }
}

impl Identify {
    async fn wait(&self, cx: &Cx) -> Result<Found> {
        let mut wait = Wait::new(cx, &self.reach, "the instance to be ready for a snapshot", READY_WITHIN);
        loop {
            match self.find(cx).await {
                Ok(found) => return Ok(found),
                Err(e) => wait.after(e).await?,
            }
        }
    }

    async fn find(&self, cx: &Cx) -> Result<Found> {
        let row = source(cx, self.source).await?;
        if row.removed_at.is_some() {
            return Err(permanent("not_found", format!("the source {} is no longer configured", row.name)));
        }
        let asked = &self.params.parameters;
        let item = self.item(cx).await?;
        let cloud = self.reach.cloud(cx).await?;
        let server = self.server(cx, cloud, item.as_ref()).await?;
        if let Some(problem) = self.pattern.problem(&server.name, Some(server.boot)) {
            return Err(permanent("invalid", format!("the instance's name {problem}")));
        }
        if let Some(f) = refusal(&server, asked.instance_stop) {
            return Err(Break::Failed(f));
        }
        let owed = take_over(cx, cloud, &server).await?;
        // One that is owed its start gets it at the run's end, however that comes.
        if owed.is_none() {
            quota(cx, cloud, &server).await?;
        }
        let at = cx.now();
        let name = self.pattern.name(&server.name, at);
        let words = format!("{} is {} ({}), boots from {} and has {} volumes", server.name, server.id, server.status, server.boot, server.volumes.len());
        self.reach.log(cx, "info", words).await?;
        let item_name = item.as_ref().map_or_else(|| server.name.clone(), |i| i.name.clone());
        Ok(Found { item: item.map(|i| ItemId(i.id)), item_name, server, name, at, owed })
    }

    /// The item that the run is about, as far as it is listed.
    async fn item(&self, cx: &Cx) -> Result<Option<ItemRow>> {
        let mut read = cx.deps.db.read().await?;
        if let Some(id) = self.params.item.as_deref().and_then(|id| id.parse::<Uuid>().ok()) {
            let found = items::find(read.tx(), ItemId(id)).await?.filter(|i| i.source_id == self.source.0);
            return found.map(Some).ok_or_else(|| permanent("not_found", format!("the item {id} is no longer there")));
        }
        let instance = &self.params.parameters.instance;
        if let Some(found) = items::find_by_name(read.tx(), self.source, instance).await? {
            return Ok(Some(found));
        }
        let wanted = self.params.server.as_ref().unwrap_or(instance);
        let mut after = String::new();
        loop {
            let page = items::present(read.tx(), self.source, &after, 500).await?;
            let Some(last) = page.last() else { return Ok(None) };
            after.clone_from(&last.name);
            if let Some(found) = page.into_iter().find(|i| i.native.as_ref().is_some_and(|n| n.id == *wanted)) {
                return Ok(Some(found));
            }
        }
    }

    async fn server(&self, cx: &Cx, cloud: &Cloud, item: Option<&ItemRow>) -> Result<Server> {
        let asked = &self.params.parameters.instance;
        let listed = item.and_then(|i| i.native.as_ref()).map(|n| n.id.clone());
        if let Some(id) = self.params.server.clone().or(listed) {
            return ask(cx, cloud.server(&id)).await?.ok_or_else(|| {
                let name = if asked.is_empty() { item.map_or("", |i| i.name.as_str()) } else { asked };
                permanent("not_found", format!("the instance {name} ({id}) is no longer in the project; its snapshots stay, and nothing was changed"))
            });
        }
        if asked.is_empty() {
            return Err(permanent("invalid", "no instance is named; set the parameter instance"));
        }
        if asked.parse::<Uuid>().is_ok()
            && let Some(server) = ask(cx, cloud.server(asked)).await?
        {
            return Ok(server);
        }
        let mut bearers = ask(cx, cloud.servers_named(asked)).await?;
        bearers.retain(|s| s.name == *asked);
        if bearers.is_empty()
            && let Some((name, short)) = asked.rsplit_once('.')
            && short.len() >= 8
        {
            bearers = ask(cx, cloud.servers_named(name)).await?;
            bearers.retain(|s| s.name == name && s.id.starts_with(short));
        }
        match (bearers.len(), bearers.pop()) {
            (1, Some(server)) => Ok(server),
            (0, _) | (_, None) => {
                Err(permanent("not_found", format!("the project has no instance {asked}; it was deleted or renamed, or the name is mistyped")))
            }
            (n, Some(last)) => {
                let ids: Vec<&str> = bearers.iter().map(|s| s.id.as_str()).chain([last.id.as_str()]).take(NAMED).collect();
                Err(permanent("ambiguous", format!("{n} instances are called {asked}: {}; name one by its id", ids.join(", "))))
            }
        }
    }
}

/// Why no snapshot can be taken of it now.
fn refusal(server: &Server, stop: bool) -> Option<StepFailure> {
    let (name, id) = (&server.name, &server.id);
    let no = |code: &str, message: String| Some(StepFailure::new(code, message, true));
    match server.status.as_str() {
        "ACTIVE" | "SHUTOFF" | "PAUSED" | "SUSPENDED" => {}
        "ERROR" => {
            let fault = server.fault.as_deref().map(|f| format!(" ({f})")).unwrap_or_default();
            return no("state", format!("the instance {name} is in the state ERROR{fault}; repair it, then take the snapshot again. Nothing was changed"));
        }
        "DELETED" | "SOFT_DELETED" => return no("not_found", format!("the instance {name} ({id}) is deleted; nothing was changed")),
        "SHELVED" | "SHELVED_OFFLOADED" => {
            return no("state", format!("the instance {name} is shelved; unshelve it (openstack server unshelve {id}), then take the snapshot"));
        }
        other => {
            let message = format!("the instance {name} is in the state {other}, in which the cloud takes no snapshot; wait until it is ACTIVE or SHUTOFF");
            return Some(StepFailure::new("locked", message, false));
        }
    }
    if !stop || server.status != "ACTIVE" {
        return None;
    }
    if server.locked {
        let message = format!(
            "the instance {name} is locked, so it cannot be stopped; unlock it (openstack server unlock {id}) or switch instance_stop off. Nothing was changed"
        );
        return no("state", message);
    }
    if server.host_up == Some(false) {
        return no("state", format!("the hypervisor of {name} does not answer, so it can be neither stopped nor started; nothing was changed"));
    }
    None
}

/// Whether the project's quota has room, as far as it can be known: Glance tells none.
async fn quota(cx: &Cx, cloud: &Cloud, server: &Server) -> Result<()> {
    // The root disk of an image-booted instance becomes an image; each volume becomes a volume snapshot.
    let (count, gigabytes) = server.volumes.iter().fold((0_i64, 0_i64), |(n, gb), v| (n + 1, gb + v.size_gb));
    if count == 0 {
        return Ok(());
    }
    let left = ask(cx, cloud.quota_left()).await?;
    let say = |what: &str, needed: i64, left: i64| {
        let message = format!(
            "the project's quota of {what} has {left} left, and a snapshot of {} needs {needed}; delete some, lower max_snapshots or have the quota raised. \
             Nothing was changed",
            server.name
        );
        Err(permanent("full", message))
    };
    match (left.snapshots, left.gigabytes) {
        (Some(l), _) if l < count => say("volume snapshots", count, l),
        (_, Some(l)) if l < gigabytes => say("gigabytes", gigabytes, l),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use domain::instance::{BootType, Flavour};

    use super::*;

    fn server(status: &str) -> Server {
        Server {
            id: "4f2".into(),
            name: "web".into(),
            status: status.into(),
            task: None,
            locked: false,
            host_up: None,
            created_at: Timestamp(0),
            boot: BootType::Image,
            image: None,
            flavour: Flavour::default(),
            zone: None,
            metadata: std::collections::BTreeMap::new(),
            networks: Vec::new(),
            security_groups: Vec::new(),
            volumes: Vec::new(),
            key: None,
            fault: Some("no disk".into()),
        }
    }

    #[test]
    fn what_cannot_be_snapshotted_is_refused_with_its_remedy() {
        for fine in ["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"] {
            assert_eq!(refusal(&server(fine), true), None, "{fine}");
        }
        let error = refusal(&server("ERROR"), false).unwrap();
        assert!(error.permanent && error.message.contains("ERROR (no disk)") && error.message.contains("repair it"), "{error:?}");
        assert!(refusal(&server("SHELVED_OFFLOADED"), false).unwrap().message.contains("unshelve 4f2"));
        assert!(!refusal(&server("BUILD"), false).unwrap().permanent, "it passes");
        let locked = Server { locked: true, ..server("ACTIVE") };
        assert!(refusal(&locked, true).unwrap().message.contains("unlock 4f2"));
        assert_eq!(refusal(&locked, false), None, "a snapshot of a locked instance that goes on running is no change to it");
        assert_eq!(refusal(&Server { locked: true, ..server("SHUTOFF") }, true), None, "it need not be stopped");
        let down = Server { host_up: Some(false), ..server("ACTIVE") };
        assert!(refusal(&down, true).unwrap().message.contains("hypervisor"));
    }
}
