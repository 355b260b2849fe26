//! Making, rebuilding and deleting servers, and what a new one is made with: flavours, networks, keys, ports.
//!
//! Lives here: those calls of Nova and Neutron. May not: waiting, which server is whose.
//! Invariant: a server that is made bears the marks that it is given from its first moment, so that it is found again.

use std::collections::BTreeMap;

use domain::instance::Flavour;
use serde_json::{Map, Value, json};

use super::{
    Cloud,
    catalog::Service,
    facts::{list, text},
    microversion::Version,
    session::Call,
};
use crate::{EngineError, ErrorKind, Result};

/// Flavours that are looked through for a name; a page of Nova holds at most so many.
const PAGE: u32 = 1_000;

/// From which version on an attachment says what becomes of the volume with the server.
const DELETES_WITH: Version = Version { major: 2, minor: 79 };

/// A disk of a new server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDisk {
    pub volume: String,
    pub root: bool,
    pub device: Option<String>,
}

/// A server to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServer {
    pub name: String,
    pub flavour: String,
    /// What it boots from, where no volume is its root.
    pub image: Option<String>,
    /// They are deleted with the server.
    pub disks: Vec<NewDisk>,
    /// Ids; none at all where empty.
    pub networks: Vec<String>,
    pub zone: Option<String>,
    pub key: Option<String>,
    /// Names.
    pub security_groups: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

impl NewServer {
    fn body(&self) -> Value {
        let mut server = Map::new();
        server.insert("name".into(), json!(self.name));
        server.insert("flavorRef".into(), json!(self.flavour));
        server.insert("metadata".into(), json!(self.metadata));
        let networks: Vec<Value> = self.networks.iter().map(|n| json!({"uuid": n})).collect();
        server.insert("networks".into(), if networks.is_empty() { json!("none") } else { json!(networks) });
        if !self.networks.is_empty() && !self.security_groups.is_empty() {
            server.insert("security_groups".into(), self.security_groups.iter().map(|g| json!({"name": g})).collect());
        }
        for (name, value) in [("availability_zone", &self.zone), ("key_name", &self.key), ("imageRef", &self.image)] {
            if let Some(value) = value {
                server.insert(name.into(), json!(value));
            }
        }
        let mut disks: Vec<Value> = Vec::new();
        // With further disks the image has to stand among them, too.
        if let Some(image) = self.image.as_ref().filter(|_| !self.disks.is_empty()) {
            disks.push(json!({"boot_index": 0, "source_type": "image", "destination_type": "local", "uuid": image, "delete_on_termination": true}));
        }
        for disk in &self.disks {
            let boot = if disk.root { 0 } else { -1 };
            let mut one =
                json!({"boot_index": boot, "source_type": "volume", "destination_type": "volume", "uuid": disk.volume, "delete_on_termination": true});
            if let Some(device) = &disk.device {
                one["device_name"] = json!(device);
            }
            disks.push(one);
        }
        if !disks.is_empty() {
            server.insert("block_device_mapping_v2".into(), json!(disks));
        }
        json!({"server": server})
    }
}

/// A text, empty where it is absent.
fn word<'a>(tree: &'a Value, name: &str) -> &'a str {
    text(tree, name).unwrap_or_default()
}

impl Cloud {
    /// Makes a server; its id. Whoever is not sure whether it was made looks for its marks.
    pub async fn create_server(&self, new: &NewServer) -> Result<String> {
        let what = format!("make the server “{}”", new.name);
        let made = self.0.json(Call::post(Service::Compute, what, &["servers"], new.body())).await?;
        id_of(&made["server"], "Nova", "server")
    }

    /// Asks for the end of a server; one that is gone is as good as deleted.
    pub async fn delete_server(&self, id: &str) -> Result<()> {
        gone_is_fine(self.0.call(Call::delete(Service::Compute, format!("delete the server {id}"), &["servers", id])).await.map(drop))
    }

    /// Writes a server's root disk anew from an image, and gives it this metadata at the same moment.
    pub async fn rebuild(&self, id: &str, image: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
        let body = json!({"rebuild": {"imageRef": image, "metadata": metadata}});
        self.0.call(Call::post(Service::Compute, format!("rebuild the server {id}"), &["servers", id, "action"], body)).await?;
        Ok(())
    }

    /// Takes one key out of a server's metadata.
    pub async fn unset_metadata(&self, id: &str, key: &str) -> Result<()> {
        let what = format!("remove the metadata {key} of the server {id}");
        gone_is_fine(self.0.call(Call::delete(Service::Compute, what, &["servers", id, "metadata", key])).await.map(drop))
    }

    /// Attaches a volume, at the same place as before where that is known.
    pub async fn attach(&self, server: &str, volume: &str, device: Option<&str>, delete_with_server: bool) -> Result<()> {
        let mut wanted = json!({"volumeId": volume});
        if let Some(device) = device {
            wanted["device"] = json!(device);
        }
        if self.nova_version().await? >= DELETES_WITH {
            wanted["delete_on_termination"] = json!(delete_with_server);
        }
        let what = format!("attach the volume {volume} to the server {server}");
        self.0.call(Call::post(Service::Compute, what, &["servers", server, "os-volume_attachments"], json!({"volumeAttachment": wanted}))).await?;
        Ok(())
    }

    /// Asks to detach a volume; one that is not attached is as good as detached.
    pub async fn detach(&self, server: &str, volume: &str) -> Result<()> {
        let what = format!("detach the volume {volume} from the server {server}");
        gone_is_fine(self.0.call(Call::delete(Service::Compute, what, &["servers", server, "os-volume_attachments", volume])).await.map(drop))
    }

    /// The flavour of that id, or else of that name.
    pub async fn flavour(&self, wanted: &str) -> Result<Option<Flavour>> {
        let what = format!("list the flavours for “{wanted}”");
        let mut after: Option<String> = None;
        let mut of_name = None;
        loop {
            let page = self.0.json(Call::get(Service::Compute, what.clone(), &["flavors", "detail"]).page(after.as_deref(), PAGE)).await?;
            for f in list(&page, "flavors") {
                let found = || Flavour {
                    id: Some(word(f, "id").to_owned()),
                    name: word(f, "name").to_owned(),
                    vcpus: f["vcpus"].as_i64().unwrap_or(0),
                    ram_mb: f["ram"].as_i64().unwrap_or(0),
                    disk_gb: f["disk"].as_i64().unwrap_or(0),
                };
                if word(f, "id") == wanted {
                    return Ok(Some(found()));
                }
                if word(f, "name") == wanted {
                    of_name = Some(found());
                }
            }
            match (page.get("flavors_links"), list(&page, "flavors").last()) {
                (Some(_), Some(last)) => after = Some(word(last, "id").to_owned()),
                _ => return Ok(of_name),
            }
        }
    }

    /// The networks of that id or that name, each with its id and name.
    pub async fn networks_called(&self, wanted: &str) -> Result<Vec<(String, String)>> {
        let mut found: Vec<(String, String)> = Vec::new();
        for filter in ["id", "name"] {
            let call = Call::get(Service::Network, format!("look for the network “{wanted}”"), &["networks"]).query(filter, wanted);
            for n in list(&self.0.json(call).await?, "networks") {
                if !found.iter().any(|(id, _)| id == word(n, "id")) {
                    found.push((word(n, "id").to_owned(), word(n, "name").to_owned()));
                }
            }
        }
        Ok(found)
    }

    /// Whether the credential's user has a key pair of that name.
    pub async fn has_key(&self, name: &str) -> Result<bool> {
        Ok(self.0.json_if(Call::get(Service::Compute, format!("look for the key pair “{name}”"), &["os-keypairs", name])).await?.is_some())
    }

    /// Whether the project has a security group of that name.
    pub async fn has_security_group(&self, name: &str) -> Result<bool> {
        let call = Call::get(Service::Network, format!("look for the security group “{name}”"), &["security-groups"])
            .query("name", name)
            .query("project_id", self.project_id());
        Ok(!list(&self.0.json(call).await?, "security_groups").is_empty())
    }

    /// The ports that a server holds; none where the cloud has no Neutron.
    pub async fn ports_left_by(&self, server: &str) -> Result<Vec<String>> {
        if !self.0.has(Service::Network) {
            return Ok(Vec::new());
        }
        let call = Call::get(Service::Network, format!("list the ports of the server {server}"), &["ports"]).query("device_id", server);
        Ok(list(&self.0.json(call).await?, "ports").iter().map(|p| word(p, "id").to_owned()).collect())
    }

    /// Deletes a port; one that is gone is as good as deleted.
    pub async fn delete_port(&self, id: &str) -> Result<()> {
        gone_is_fine(self.0.call(Call::delete(Service::Network, format!("delete the port {id}"), &["ports", id])).await.map(drop))
    }
}

/// The id of what was made.
pub(super) fn id_of(made: &Value, service: &str, what: &str) -> Result<String> {
    let id = word(made, "id");
    if id.is_empty() {
        return Err(EngineError::new(ErrorKind::Internal, format!("{service} made a {what} and did not tell its id; look for it by its name")));
    }
    Ok(id.to_owned())
}

pub(super) fn gone_is_fine(done: std::result::Result<(), super::refusal::Failed>) -> Result<()> {
    match done {
        Err(failed) if failed.is_gone() => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewServer {
        NewServer {
            name: "web_clone".into(),
            flavour: "f".into(),
            image: Some("i".into()),
            disks: Vec::new(),
            networks: vec!["n".into()],
            zone: None,
            key: Some("k".into()),
            security_groups: vec!["default".into()],
            metadata: BTreeMap::from([("holdfast_clone".into(), "run".into())]),
        }
    }

    #[test]
    fn an_image_booted_server_names_its_image_and_its_further_disks() {
        assert_eq!(
            new().body(),
            json!({"server": {"name": "web_clone", "flavorRef": "f", "imageRef": "i", "key_name": "k", "metadata": {"holdfast_clone": "run"},
                "networks": [{"uuid": "n"}], "security_groups": [{"name": "default"}]}})
        );
        let with = NewServer { disks: vec![NewDisk { volume: "d".into(), root: false, device: Some("/dev/vdb".into()) }], ..new() };
        assert_eq!(
            with.body()["server"]["block_device_mapping_v2"],
            json!([
                {"boot_index": 0, "source_type": "image", "destination_type": "local", "uuid": "i", "delete_on_termination": true},
                {"boot_index": -1, "source_type": "volume", "destination_type": "volume", "uuid": "d", "delete_on_termination": true, "device_name": "/dev/vdb"}
            ])
        );
    }

    #[test]
    fn a_volume_booted_server_has_no_image_and_one_without_networks_says_so() {
        let disks = vec![NewDisk { volume: "r".into(), root: true, device: None }];
        let body = NewServer { image: None, disks, networks: Vec::new(), zone: Some("az".into()), ..new() }.body();
        assert_eq!((&body["server"]["networks"], &body["server"]["availability_zone"]), (&json!("none"), &json!("az")));
        assert!(body["server"].get("imageRef").is_none() && body["server"].get("security_groups").is_none(), "{body}");
        assert_eq!(body["server"]["block_device_mapping_v2"][0]["boot_index"], 0);
    }
}
