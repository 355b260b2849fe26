//! Images of the project: listed, read, removed.
//!
//! Lives here: Glance's calls, an image's facts. May not: which of them are snapshots of whom.

use std::collections::BTreeMap;

use domain::units::Timestamp;
use serde_json::Value;

use super::{
    Cloud,
    catalog::Service::Image as Glance,
    facts::{list, number, text, time},
    refusal::Failed,
    session::Call,
};
use crate::Result;

/// How many images are asked for at once where all are wanted.
const PAGE: u32 = 200;

/// What has a field of its own, or says nothing of the content.
const OWN: [&str; 12] = ["id", "name", "status", "size", "min_disk", "created_at", "owner", "self", "file", "schema", "locations", "direct_url"];

/// An image of Glance's.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub id: String,
    pub name: String,
    /// Glance's word, such as `queued`, `saving`, `active`, `killed`.
    pub status: String,
    /// `None` until it is known; 0 for the image that only names volume snapshots.
    pub size_bytes: Option<i64>,
    pub min_disk_gb: i64,
    /// Everything else, the snapshot's own metadata among it.
    pub properties: BTreeMap<String, Value>,
    pub created_at: Timestamp,
    pub owner: String,
}

/// A volume snapshot that an image names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedSnapshot {
    pub id: String,
    pub device: Option<String>,
    /// Whether the server boots from it.
    pub root: bool,
    pub size_gb: Option<i64>,
}

impl Image {
    /// The SHA-512 of its bytes, where Glance tells that one.
    pub fn sha512(&self) -> Option<String> {
        let text = |name: &str| self.properties.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        text("os_hash_algo").filter(|a| *a == "sha512").and_then(|_| text("os_hash_value")).map(str::to_ascii_lowercase)
    }

    /// The volume snapshots that were made with the image of a volume-booted server. Deleting the image leaves them.
    pub fn snapshots(&self) -> Vec<MappedSnapshot> {
        let all = match self.properties.get("block_device_mapping") {
            // Nova writes JSON into a text.
            Some(Value::String(text)) => serde_json::from_str::<Vec<Value>>(text).unwrap_or_default(),
            Some(Value::Array(all)) => all.clone(),
            _ => vec![],
        };
        let mapped = |m: &Value| {
            Some(MappedSnapshot {
                id: text(m, "snapshot_id")?.to_owned(),
                device: text(m, "device_name").map(str::to_owned),
                root: number(m, "boot_index") == Some(0),
                size_gb: number(m, "volume_size"),
            })
        };
        all.iter().filter_map(mapped).collect()
    }

    fn read(json: &Value) -> Result<Self, Failed> {
        let read = || {
            let rest = json.as_object()?.iter().filter(|(k, _)| !OWN.contains(&k.as_str()));
            Some(Self {
                id: text(json, "id")?.to_owned(),
                name: text(json, "name").unwrap_or_default().to_owned(),
                status: text(json, "status").unwrap_or_default().to_owned(),
                size_bytes: number(json, "size"),
                min_disk_gb: number(json, "min_disk").unwrap_or_default(),
                properties: rest.map(|(k, v)| (k.clone(), v.clone())).collect(),
                created_at: text(json, "created_at").and_then(time)?,
                owner: text(json, "owner").unwrap_or_default().to_owned(),
            })
        };
        read().ok_or_else(|| Failed::odd(Glance, "tell of an image", "its id or its time is missing"))
    }
}

impl Cloud {
    /// One image; `None` where the cloud has none of that id.
    pub async fn image(&self, id: &str) -> Result<Option<Image>> {
        let answer = self.0.json_if(Call::get(Glance, format!("read the image {id}"), &["images", id])).await?;
        Ok(answer.as_ref().map(Image::read).transpose()?)
    }

    /// The project's images after `after`, at most `limit`. None means the end.
    pub async fn images(&self, after: Option<&str>, limit: u32) -> Result<Vec<Image>> {
        Ok(self.page_of_images(None, after, limit).await?)
    }

    /// All images of the project that bear a name.
    pub async fn images_named(&self, name: &str) -> Result<Vec<Image>> {
        // `in:` and `eq:` are words of Glance's filters.
        let filter = (!name.contains(':')).then_some(name);
        let mut found = vec![];
        let mut after: Option<String> = None;
        loop {
            let page = self.page_of_images(filter, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.id.clone());
            found.extend(page.into_iter().filter(|i| i.name == name));
        }
    }

    async fn page_of_images(&self, name: Option<&str>, after: Option<&str>, limit: u32) -> Result<Vec<Image>, Failed> {
        let what = name.map_or_else(|| "list the images".to_owned(), |n| format!("look for the image “{n}”"));
        let mut call = Call::get(Glance, what, &["images"]).query("owner", self.project_id()).query("sort", "created_at:asc,id:asc").page(after, limit);
        if let Some(name) = name {
            call = call.query("name", name);
        }
        let page = self.0.json(call).await?;
        list(&page, "images").iter().map(Image::read).collect()
    }

    /// Removes an image; one that is not there is a success.
    pub async fn delete_image(&self, id: &str) -> Result<()> {
        match self.0.call(Call::delete(Glance, format!("remove the image {id}"), &["images", id])).await {
            Err(failed) if !failed.is_gone() => Err(failed.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_of_a_volume_booted_server_names_its_snapshots() {
        let mapping = json!([
            {"boot_index": 0, "snapshot_id": "s1", "device_name": "/dev/sda", "volume_size": 1, "source_type": "snapshot"},
            {"boot_index": null, "snapshot_id": "s2", "device_name": "/dev/sdb", "volume_size": 3},
            {"boot_index": null, "source_type": "blank"}]);
        let image = json!({"id": "i1", "name": "db_snapshot", "status": "active", "size": 0, "min_disk": 1, "created_at": "2026-11-26T22:53:24Z",
            "owner": "c12a", "block_device_mapping": mapping.to_string(), "made_by": "holdfast", "self": "/v2/images/i1"});
        let image = Image::read(&image).unwrap();
        assert_eq!((image.size_bytes, image.min_disk_gb, image.properties["made_by"].as_str()), (Some(0), 1, Some("holdfast")));
        assert!(!image.properties.contains_key("self") && image.sha512().is_none());
        let want = |id: &str, device: &str, root, size| MappedSnapshot { id: id.into(), device: Some(device.into()), root, size_gb: Some(size) };
        assert_eq!(image.snapshots(), [want("s1", "/dev/sda", true, 1), want("s2", "/dev/sdb", false, 3)]);
        let plain = json!({"id": "i2", "created_at": "2026-11-26T22:53:24Z", "block_device_mapping": "not JSON", "size": null,
            "os_hash_algo": "sha512", "os_hash_value": "AB12"});
        let plain = Image::read(&plain).unwrap();
        assert_eq!((plain.snapshots(), plain.size_bytes, plain.sha512().as_deref()), (vec![], None, Some("ab12")));
        assert!(Image::read(&json!({"name": "x"})).is_err());
    }
}
