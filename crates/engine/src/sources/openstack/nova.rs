//! Servers: listed, read, stopped, started, made into images, forced to go.
//!
//! Lives here: Nova's calls. May not: when something is done, waiting for its end.
//! Invariant: stopping what stands and starting what runs is a success.

use std::collections::{BTreeMap, BTreeSet};

use domain::instance::Server;
use serde_json::{Value, json};

use super::{
    Cloud,
    catalog::Service::Compute,
    facts::{self, list, text},
    refusal::{Failed, MOVED},
    servers::gone_is_fine,
    session::Call,
};
use crate::{EngineError, ErrorKind, Result};

/// How many servers are asked for at once where all are wanted.
const PAGE: u32 = 200;

/// How often a list is begun anew because it changed meanwhile.
pub(super) const MOST_RESTARTS: u32 = 3;

/// What a server is to become.
#[derive(Clone, Copy)]
enum Power {
    Off,
    On,
}

impl Power {
    const fn verb(self) -> &'static str {
        match self {
            Self::Off => "stop",
            Self::On => "start",
        }
    }

    /// Nova's status once it is so, and the tasks that lead there.
    fn reached(self, server: &Value) -> bool {
        let (status, leading): (&str, &[&str]) = match self {
            Self::Off => ("SHUTOFF", &["powering-off"]),
            Self::On => ("ACTIVE", &["powering-on"]),
        };
        let task = text(server, "OS-EXT-STS:task_state");
        (text(server, "status") == Some(status) && task.is_none()) || task.is_some_and(|t| leading.contains(&t))
    }
}

/// How a server stands, as Nova alone tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Nova's word, such as `ACTIVE`.
    pub status: String,
    /// What is under way with it.
    pub task: Option<String>,
    pub locked: bool,
    pub fault: Option<String>,
}

impl ServerState {
    fn of(server: &Value) -> Self {
        Self {
            status: facts::status(server),
            task: text(server, "OS-EXT-STS:task_state").map(str::to_owned),
            locked: facts::is_locked(server),
            fault: facts::fault(server),
        }
    }
}

impl Cloud {
    /// The servers of the project after `after`, at most `limit`. None means the end; a cloud may give fewer than asked for.
    pub async fn servers(&self, after: Option<&str>, limit: u32) -> Result<Vec<Server>> {
        // By id, so that what is made or removed meanwhile moves nothing from one page to another.
        let call = Call::get(Compute, "list the instances", &["servers", "detail"]).query("sort_key", "uuid").query("sort_dir", "asc");
        let page = self.0.json(call.page(after, limit)).await?;
        Box::pin(self.whole(list(&page, "servers"))).await
    }

    /// Every server of the project, each once, asked for `page` at a time; about `most` at most.
    pub async fn all_servers(&self, page: u32, most: usize) -> Result<Vec<Server>> {
        let mut again = 0;
        loop {
            match self.every_page(page, most).await {
                // The last one of a page was deleted before the next was asked for.
                Err(e) if e.message.contains(MOVED) && again < MOST_RESTARTS => again += 1,
                other => return other,
            }
        }
    }

    async fn every_page(&self, page: u32, most: usize) -> Result<Vec<Server>> {
        let (mut all, mut known, mut markers) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut after: Option<String> = None;
        loop {
            let found = self.servers(after.as_deref(), page).await?;
            let Some(last) = found.last().map(|s| s.id.clone()) else { return Ok(all) };
            // While servers are being made, Nova tells of some of them on two pages.
            all.extend(found.into_iter().filter(|s| known.insert(s.id.clone())));
            if all.len() >= most || !markers.insert(last.clone()) {
                return Ok(all);
            }
            after = Some(last);
        }
    }

    /// One server; `None` where the cloud has none of that id.
    pub async fn server(&self, id: &str) -> Result<Option<Server>> {
        let Some(answer) = self.raw(id).await? else { return Ok(None) };
        Ok(Box::pin(self.whole(std::slice::from_ref(&answer))).await?.pop())
    }

    /// How a server stands; one call, for who waits for it.
    pub async fn server_state(&self, id: &str) -> Result<Option<ServerState>> {
        let answer = self.raw(id).await?;
        Ok(answer.as_ref().map(ServerState::of))
    }

    /// The id of the request that last stopped a server; `None` where the cloud knows of none.
    pub async fn last_stop(&self, id: &str) -> Result<Option<String>> {
        let call = Call::get(Compute, format!("look who stopped the server {id}"), &["servers", id, "os-instance-actions"]);
        let found = self.0.json(call).await?;
        // The newest come first.
        let stop = list(&found, "instanceActions").iter().find(|a| text(a, "action") == Some("stop"));
        Ok(stop.and_then(|a| text(a, "request_id")).map(str::to_owned))
    }

    /// All servers that bear a name, which several may.
    pub async fn servers_named(&self, name: &str) -> Result<Vec<Server>> {
        if name.is_empty() {
            return Ok(vec![]);
        }
        let pattern = pattern_of(name);
        let mut found: Vec<Value> = vec![];
        let mut after: Option<String> = None;
        loop {
            let call = Call::get(Compute, format!("look for the instance “{name}”"), &["servers", "detail"]).query("name", pattern.clone());
            let call = call.query("sort_key", "uuid").query("sort_dir", "asc");
            let page = self.0.json(call.page(after.as_deref(), PAGE)).await?;
            let page = list(&page, "servers");
            let Some(last) = page.last().and_then(|s| text(s, "id")) else { break };
            after = Some(last.to_owned());
            let new = |s: &&Value| text(s, "name") == Some(name) && !found.iter().any(|f| text(f, "id") == text(s, "id"));
            let more: Vec<Value> = page.iter().filter(new).cloned().collect();
            found.extend(more);
        }
        Box::pin(self.whole(&found)).await
    }

    /// Asks for the server to stop. It is accepted, not done, when this returns.
    pub async fn stop(&self, id: &str) -> Result<()> {
        self.power(id, Power::Off).await
    }

    /// Asks for the server to start. It is accepted, not done, when this returns.
    pub async fn start(&self, id: &str) -> Result<()> {
        self.power(id, Power::On).await
    }

    /// Asks for the end at once of a server that the cloud keeps for a while after its deletion; one that is gone is as good
    /// as deleted.
    pub async fn force_delete(&self, id: &str) -> Result<()> {
        let call = Call::post(Compute, format!("delete the server {id} at once"), &["servers", id, "action"], json!({"forceDelete": null}));
        gone_is_fine(self.0.call(call.repeatable()).await.map(drop))
    }

    /// Asks for an image of a server, of a volume-booted one with snapshots of its volumes. Gives the image's id at once.
    ///
    /// An answer that is lost is an error of the kind `Unavailable`: the image may be there, under its name.
    pub async fn create_image(&self, server: &str, name: &str, metadata: &BTreeMap<String, String>) -> Result<String> {
        let what = format!("make the image “{name}” of the instance {server}");
        let body = json!({"createImage": {"name": name, "metadata": metadata}});
        let answer = self.0.json(Call::post(Compute, what.clone(), &["servers", server, "action"], body)).await?;
        let id = text(&answer, "image_id").map(str::to_owned);
        id.ok_or_else(|| Failed::odd(Compute, &what, "there is no image_id in it").into())
    }

    async fn raw(&self, id: &str) -> Result<Option<Value>, Failed> {
        let answer = self.0.json_if(Call::get(Compute, format!("read the instance {id}"), &["servers", id])).await?;
        Ok(answer.and_then(|mut a| a.get_mut("server").map(Value::take)))
    }

    async fn power(&self, id: &str, power: Power) -> Result<()> {
        let gone = || EngineError::new(ErrorKind::NotFound, format!("the instance {id} is not in the cloud any more"));
        if power.reached(&self.raw(id).await?.ok_or_else(gone)?) {
            return Ok(());
        }
        let action = match power {
            Power::Off => json!({"os-stop": null}),
            Power::On => json!({"os-start": null}),
        };
        let call = Call::post(Compute, format!("{} the instance {id}", power.verb()), &["servers", id, "action"], action);
        match self.0.call(call.repeatable()).await {
            Ok(_) => Ok(()),
            // Somebody else was faster, or the first try was carried out and its answer lost.
            Err(failed) if failed.is(409) => match self.raw(id).await? {
                Some(now) if power.reached(&now) => Ok(()),
                Some(now) if text(&now, "OS-EXT-STS:task_state").is_some() => Err(EngineError::new(ErrorKind::Locked, failed.message)),
                _ => Err(failed.into()),
            },
            Err(failed) => Err(failed.into()),
        }
    }

    /// Servers with what Cinder and Neutron know of them.
    async fn whole(&self, servers: &[Value]) -> Result<Vec<Server>> {
        let wanted: BTreeSet<&str> = servers.iter().flat_map(facts::attached).collect();
        let ids: Vec<&str> = servers.iter().filter_map(|s| text(s, "id")).collect();
        let (volumes, ports) = futures::join!(self.volumes_by_id(&wanted), self.ports_of(&ids));
        let (volumes, ports) = (volumes?, ports?);
        let read = |json| facts::server(json, &volumes, ports.as_deref());
        let odd = || Failed::odd(Compute, "tell of an instance", "its id or its time is missing").into();
        servers.iter().map(|json| read(json).ok_or_else(odd)).collect()
    }
}

/// Nova takes a regular expression of its database. What is not a plain letter or digit stands for anything; the caller
/// compares the names.
fn pattern_of(name: &str) -> String {
    let mut pattern = String::from("^");
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            pattern.push(c);
        } else if !pattern.ends_with(".*") {
            pattern.push_str(".*");
        }
    }
    pattern.push('$');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_patterns_that_find_them() {
        assert_eq!(pattern_of("web"), "^web$");
        assert_eq!(pattern_of("web-1 (old)"), "^web.*1.*old.*$");
        assert_eq!(pattern_of("ärger"), "^.*rger$");
    }

    #[test]
    fn what_stands_or_is_about_to_stand_is_not_asked_for_again() {
        let server = |status: &str, task: Value| json!({"status": status, "OS-EXT-STS:task_state": task});
        assert!(Power::Off.reached(&server("SHUTOFF", Value::Null)));
        assert!(Power::Off.reached(&server("ACTIVE", "powering-off".into())));
        assert!(!Power::Off.reached(&server("SHUTOFF", "powering-on".into())));
        assert!(!Power::Off.reached(&server("ACTIVE", "image_snapshot".into())));
        assert!(Power::On.reached(&server("ACTIVE", Value::Null)));
        assert!(!Power::On.reached(&server("ACTIVE", "image_uploading".into())));
    }
}
