//! Networks that are made and taken away again, and what a server says on its console.
//!
//! Lives here: those calls of Neutron and Nova. May not: which network is whose, waiting.

use serde_json::json;

use super::{
    Cloud,
    catalog::Service,
    facts::{list, text},
    servers::{gone_is_fine, id_of},
    session::Call,
};
use crate::Result;

impl Cloud {
    /// Whether the cloud has networks at all.
    pub fn has_networks(&self) -> bool {
        self.0.has(Service::Network)
    }

    /// Makes a network of the project; its id. Whoever is not sure whether it was made looks for its name.
    pub async fn create_network(&self, name: &str, description: &str) -> Result<String> {
        let body = json!({"network": {"name": name, "description": description, "admin_state_up": true, "shared": false}});
        let made = self.0.json(Call::post(Service::Network, format!("make the network “{name}”"), &["networks"], body)).await?;
        id_of(&made["network"], "Neutron", "network")
    }

    /// Gives a network addresses, and no gateway: without one there is no way out of it.
    pub async fn create_subnet(&self, network: &str, name: &str, cidr: &str) -> Result<String> {
        let subnet = json!({"network_id": network, "name": name, "ip_version": 4, "cidr": cidr, "gateway_ip": null, "enable_dhcp": true});
        let what = format!("give the network {network} addresses");
        let made = self.0.json(Call::post(Service::Network, what, &["subnets"], json!({"subnet": subnet}))).await?;
        id_of(&made["subnet"], "Neutron", "subnet")
    }

    /// The subnets of a network; `None` where there is no such network.
    pub async fn subnets_of(&self, network: &str) -> Result<Option<Vec<String>>> {
        let found = self.0.json_if(Call::get(Service::Network, format!("read the network {network}"), &["networks", network])).await?;
        let subnets = |n: &serde_json::Value| n["subnets"].as_array().into_iter().flatten().filter_map(|s| s.as_str()).map(str::to_owned).collect();
        Ok(found.as_ref().map(|tree| subnets(&tree["network"])))
    }

    /// The ports on a network that are not its own, such as that of its DHCP server.
    pub async fn ports_on(&self, network: &str) -> Result<Vec<String>> {
        let call = Call::get(Service::Network, format!("list the ports of the network {network}"), &["ports"]).query("network_id", network);
        let found = self.0.json(call).await?;
        let foreign = list(&found, "ports").iter().filter(|p| !text(p, "device_owner").is_some_and(|o| o.starts_with("network:")));
        Ok(foreign.filter_map(|p| text(p, "id")).map(str::to_owned).collect())
    }

    /// Deletes a network with its subnets; one that is gone is as good as deleted.
    pub async fn delete_network(&self, id: &str) -> Result<()> {
        gone_is_fine(self.0.call(Call::delete(Service::Network, format!("delete the network {id}"), &["networks", id])).await.map(drop))
    }

    /// The last lines that a server wrote on its console.
    pub async fn console(&self, server: &str, lines: u32) -> Result<String> {
        let body = json!({"os-getConsoleOutput": {"length": lines}});
        let call = Call::post(Service::Compute, format!("read the console of the server {server}"), &["servers", server, "action"], body).repeatable();
        let answer = self.0.json(call).await?;
        Ok(text(&answer, "output").unwrap_or_default().to_owned())
    }
}
