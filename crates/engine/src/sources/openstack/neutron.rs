//! Ports of servers and names of networks.
//!
//! Lives here: Neutron's calls. May not: changes to networks.
//! Invariant: a cloud without Neutron, or a credential that may not ask it, is no error; the facts are then Nova's.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Cloud,
    catalog::Service::Network,
    facts::{Port, list, text},
    refusal::Failed,
    session::Call,
};

/// How many servers' ports are asked for at once: an address has a longest length.
const AT_ONCE: usize = 40;

impl Cloud {
    /// The ports of these servers in the order in which they were made; `None` where Neutron does not tell.
    pub(super) async fn ports_of(&self, servers: &[&str]) -> Result<Option<Vec<Port>>, Failed> {
        if !self.0.has(Network) {
            return Ok(None);
        }
        let mut all: Vec<Value> = vec![];
        for some in servers.chunks(AT_ONCE) {
            let mut after: Option<String> = None;
            loop {
                let mut call = Call::get(Network, "list the instances' ports", &["ports"]);
                for field in ["id", "network_id", "device_id", "fixed_ips", "created_at"] {
                    call = call.query("fields", field);
                }
                for server in some {
                    call = call.query("device_id", *server);
                }
                if let Some(id) = &after {
                    call = call.query("marker", id.clone());
                }
                let page = match self.0.json(call).await {
                    Ok(page) => page,
                    Err(failed) if failed.may_not() => return Ok(None),
                    Err(failed) => return Err(failed),
                };
                let ports = list(&page, "ports");
                all.extend_from_slice(ports);
                // There is a next page only where the cloud cuts lists.
                let more = list(&page, "ports_links").iter().any(|l| text(l, "rel") == Some("next"));
                match ports.last().and_then(|p| text(p, "id")) {
                    Some(last) if more => after = Some(last.to_owned()),
                    _ => break,
                }
            }
        }
        all.sort_by_key(|p| (text(p, "created_at").unwrap_or_default().to_owned(), text(p, "id").unwrap_or_default().to_owned()));
        let mut ports = Vec::with_capacity(all.len());
        for port in &all {
            let word = |name: &str| text(port, name).unwrap_or_default().to_owned();
            let network = word("network_id");
            ports.push(Port {
                id: word("id"),
                device: word("device_id"),
                network_name: self.network_name(&network).await?,
                network,
                addresses: list(port, "fixed_ips").iter().filter_map(|a| text(a, "ip_address")).map(str::to_owned).collect(),
            });
        }
        Ok(Some(ports))
    }

    /// The name of a network, asked for once; empty where it cannot be read.
    async fn network_name(&self, id: &str) -> Result<String, Failed> {
        if id.is_empty() {
            return Ok(String::new());
        }
        let known = self.0.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(id).cloned();
        if let Some(name) = known {
            return Ok(name);
        }
        let call = Call::get(Network, format!("read the network {id}"), &["networks", id]).query("fields", "name");
        let name = match self.0.json_if(call).await {
            Ok(answer) => answer.as_ref().and_then(|a| a.get("network")).and_then(|n| text(n, "name")).unwrap_or_default().to_owned(),
            Err(failed) if failed.may_not() => String::new(),
            Err(failed) => return Err(failed),
        };
        let mut names: std::sync::MutexGuard<'_, HashMap<String, String>> = self.0.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        names.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}
