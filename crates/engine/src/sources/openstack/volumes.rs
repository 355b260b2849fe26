//! Making, reverting, copying to an image and deleting volumes.
//!
//! Lives here: those calls of Cinder. May not: waiting, which volume is whose.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Cloud,
    catalog::Service,
    cinder::VolumeSnap,
    facts::{list, number, text, texts},
    servers::{gone_is_fine, id_of},
    session::Call,
};
use crate::{EngineError, ErrorKind, Result};

/// Volumes of one name that are looked through.
const PAGE: u32 = 1_000;

/// What a new volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Snapshot(String),
    /// A copy of a volume, also of one in use.
    Volume(String),
}

/// A volume to be made. Its type and its zone are those of what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVolume {
    pub name: String,
    pub size_gb: i64,
    pub content: Content,
    pub metadata: BTreeMap<String, String>,
}

impl NewVolume {
    fn body(&self) -> Value {
        let (key, id) = match &self.content {
            Content::Snapshot(id) => ("snapshot_id", id),
            Content::Volume(id) => ("source_volid", id),
        };
        json!({"volume": {"name": self.name, "size": self.size_gb, "metadata": self.metadata, key: id}})
    }
}

/// A volume as Cinder tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub id: String,
    pub name: String,
    /// Cinder's word, such as `available`.
    pub status: String,
    pub size_gb: i64,
    /// The volume snapshot that it was made of.
    pub snapshot: Option<String>,
    /// The servers that it is attached to.
    pub servers: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

fn volume(tree: &Value) -> Volume {
    let word = |name: &str| text(tree, name).unwrap_or_default().to_owned();
    Volume {
        id: word("id"),
        name: word("name"),
        status: word("status"),
        size_gb: number(tree, "size").unwrap_or_default(),
        snapshot: text(tree, "snapshot_id").map(str::to_owned),
        servers: list(tree, "attachments").iter().filter_map(|a| text(a, "server_id")).map(str::to_owned).collect(),
        metadata: texts(tree, "metadata"),
    }
}

impl Cloud {
    /// Makes a volume; its id. Whoever is not sure whether it was made looks for its name and marks.
    pub async fn create_volume(&self, new: &NewVolume) -> Result<String> {
        let what = format!("make the volume “{}”", new.name);
        let made = self.0.json(Call::post(Service::Volume, what, &["volumes"], new.body())).await?;
        id_of(&made["volume"], "Cinder", "volume")
    }

    pub async fn volume(&self, id: &str) -> Result<Option<Volume>> {
        let found = self.0.json_if(Call::get(Service::Volume, format!("read the volume {id}"), &["volumes", id])).await?;
        Ok(found.map(|tree| volume(&tree["volume"])))
    }

    /// The volumes of exactly that name.
    pub async fn volumes_named(&self, name: &str) -> Result<Vec<Volume>> {
        let call = Call::get(Service::Volume, format!("look for the volume “{name}”"), &["volumes", "detail"]).query("name", name).page(None, PAGE);
        let found = self.0.json(call).await?;
        Ok(list(&found, "volumes").iter().map(volume).filter(|v| v.name == name).collect())
    }

    /// The snapshots of one volume, whoever made them.
    pub async fn snapshots_of_volume(&self, volume: &str) -> Result<Vec<VolumeSnap>> {
        let call = Call::get(Service::Volume, format!("list the snapshots of the volume {volume}"), &["snapshots", "detail"]);
        let found = self.0.json(call.query("volume_id", volume).page(None, PAGE)).await?;
        Ok(list(&found, "snapshots").iter().map(VolumeSnap::read).collect::<std::result::Result<_, _>>()?)
    }

    /// Asks for the end of a volume; one that is gone is as good as deleted.
    pub async fn delete_volume(&self, id: &str) -> Result<()> {
        gone_is_fine(self.0.call(Call::delete(Service::Volume, format!("delete the volume {id}"), &["volumes", id])).await.map(drop))
    }

    /// Takes back what reserves a volume for servers that are gone: Nova leaves such where it fails to make one.
    ///
    /// # Errors
    /// `Conflict` where such a server is there: one that is shelved, or is being made, counts on its volume.
    pub async fn release(&self, volume: &str) -> Result<()> {
        let what = format!("list what reserves the volume {volume}");
        let found = self.0.json(Call::get(Service::Volume, what, &["attachments"]).query("volume_id", volume)).await?;
        for attachment in list(&found, "attachments") {
            if let Some(server) = text(attachment, "instance")
                && self.server_state(server).await?.is_some()
            {
                let text = format!("the volume {volume} is reserved for the server {server}; detach it or take it over");
                return Err(EngineError::new(ErrorKind::Conflict, text));
            }
            let Some(id) = text(attachment, "id") else { continue };
            gone_is_fine(self.0.call(Call::delete(Service::Volume, format!("release the volume {volume}"), &["attachments", id])).await.map(drop))?;
        }
        Ok(())
    }

    /// Brings a volume back to its newest snapshot. It must not be attached.
    pub async fn revert(&self, volume: &str, snapshot: &str) -> Result<()> {
        let body = json!({"revert": {"snapshot_id": snapshot}});
        let what = format!("revert the volume {volume} to the snapshot {snapshot}");
        self.0.call(Call::post(Service::Volume, what, &["volumes", volume, "action"], body)).await?;
        Ok(())
    }

    /// Copies a volume to a new image, whose id is given; Cinder makes one that holds only what is used.
    pub async fn upload_volume(&self, volume: &str, image: &str) -> Result<String> {
        let wanted = json!({"image_name": image, "disk_format": "qcow2", "container_format": "bare", "visibility": "private", "force": false});
        let what = format!("copy the volume {volume} to the image “{image}”");
        let done = self.0.json(Call::post(Service::Volume, what, &["volumes", volume, "action"], json!({"os-volume_upload_image": wanted}))).await?;
        let id = done["os-volume_upload_image"]["image_id"].as_str().unwrap_or_default();
        id_of(&json!({"id": id}), "Cinder", "image")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_made_of_a_snapshot_or_of_a_volume() {
        let new = |content| NewVolume { name: "c_root".into(), size_gb: 2, content, metadata: BTreeMap::new() };
        assert_eq!(new(Content::Snapshot("s".into())).body(), json!({"volume": {"name": "c_root", "size": 2, "metadata": {}, "snapshot_id": "s"}}));
        assert_eq!(new(Content::Volume("v".into())).body()["volume"]["source_volid"], "v");
    }

    #[test]
    fn a_volume_is_read_with_its_servers_and_marks() {
        let tree = json!({"id": "v", "name": "n", "status": "in-use", "size": 3, "snapshot_id": "s0", "metadata": {"holdfast_clone": "run"}, "attachments": [{"server_id": "s"}]});
        let want = Volume {
            id: "v".into(),
            name: "n".into(),
            status: "in-use".into(),
            size_gb: 3,
            snapshot: Some("s0".into()),
            servers: vec!["s".into()],
            metadata: BTreeMap::from([("holdfast_clone".into(), "run".into())]),
        };
        assert_eq!(volume(&tree), want);
        assert_eq!(volume(&json!({"id": "v"})).servers, Vec::<String>::new());
    }
}
