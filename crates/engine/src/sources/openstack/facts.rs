//! From the services' JSON to the facts that Holdfast keeps.
//!
//! Lives here: pure functions. May not: calls.
//! Invariant: what a service does not tell is absent, never guessed; the root volume alone is inferred where Nova hides it.

use std::collections::{BTreeMap, HashMap};

use domain::{
    instance::{AttachedVolume, BootType, Flavour, Nic, Server},
    units::Timestamp,
};
use serde_json::Value;

/// A port of Neutron's, with what a server's facts take from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub id: String,
    pub device: String,
    pub network: String,
    pub network_name: String,
    pub addresses: Vec<String>,
}

/// A time as the services write it: ISO 8601 in UTC, with or without a `Z`, with or without parts of a second.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let zoned = || text.parse::<jiff::Timestamp>().ok();
    let civil = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    zoned().or_else(civil).map(|t| Timestamp(t.as_microsecond()))
}

pub(super) fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of.get(name).and_then(Value::as_str).filter(|t| !t.is_empty())
}

pub(super) fn number(of: &Value, name: &str) -> Option<i64> {
    of.get(name).and_then(Value::as_i64)
}

pub(super) fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Texts by name, as metadata are.
pub(super) fn texts(of: &Value, name: &str) -> BTreeMap<String, String> {
    let all = of.get(name).and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// The ids of the volumes that are attached to a server.
pub(super) fn attached(server: &Value) -> impl Iterator<Item = &str> {
    list(server, "os-extended-volumes:volumes_attached").iter().filter_map(|v| text(v, "id"))
}

/// Nova's word for how a server stands.
pub(super) fn status(server: &Value) -> String {
    text(server, "status").unwrap_or("UNKNOWN").to_owned()
}

pub(super) fn is_locked(server: &Value) -> bool {
    server.get("locked").and_then(Value::as_bool).unwrap_or_default()
}

/// Why a server is in error.
pub(super) fn fault(server: &Value) -> Option<String> {
    server.get("fault").and_then(|f| text(f, "message")).map(|m| m.chars().filter(|c| !c.is_control()).take(500).collect())
}

/// One server. `volumes` are Cinder's by id; `ports` are `None` where Neutron does not tell.
pub(super) fn server(json: &Value, volumes: &HashMap<String, Value>, ports: Option<&[Port]>) -> Option<Server> {
    let id = text(json, "id")?.to_owned();
    let image = json.get("image").and_then(|i| text(i, "id")).map(str::to_owned);
    let boot = if image.is_some() { BootType::Image } else { BootType::Volume };
    let flavour = json.get("flavor").unwrap_or(&Value::Null);
    let word = |name: &str| text(json, name).map(str::to_owned);
    let mut security_groups: Vec<String> = list(json, "security_groups").iter().filter_map(|g| text(g, "name")).map(str::to_owned).collect();
    // Nova names a group once for each port.
    security_groups.sort();
    security_groups.dedup();
    Some(Server {
        // A server whose cell is down comes without its name.
        name: text(json, "name").map_or_else(|| id.clone(), str::to_owned),
        status: status(json),
        task: word("OS-EXT-STS:task_state"),
        locked: is_locked(json),
        host_up: text(json, "host_status").and_then(|s| match s {
            // Under maintenance it takes no new servers and keeps those that it has.
            "UP" | "MAINTENANCE" => Some(true),
            "DOWN" => Some(false),
            _ => None,
        }),
        created_at: text(json, "created").and_then(time)?,
        boot,
        image,
        flavour: Flavour {
            id: text(flavour, "id").map(str::to_owned),
            name: text(flavour, "original_name").unwrap_or_default().to_owned(),
            vcpus: number(flavour, "vcpus").unwrap_or_default(),
            ram_mb: number(flavour, "ram").unwrap_or_default(),
            disk_gb: number(flavour, "disk").unwrap_or_default(),
        },
        zone: word("OS-EXT-AZ:availability_zone"),
        metadata: texts(json, "metadata"),
        networks: networks(json, &id, ports),
        security_groups,
        volumes: volumes_of(json, &id, boot, volumes),
        key: word("key_name"),
        fault: fault(json),
        id,
    })
}

fn networks(json: &Value, id: &str, ports: Option<&[Port]>) -> Vec<Nic> {
    if let Some(ports) = ports {
        let own = ports.iter().filter(|p| p.device == id);
        return own
            .map(|p| Nic { network: p.network.clone(), network_name: p.network_name.clone(), addresses: p.addresses.clone(), port: Some(p.id.clone()) })
            .collect();
    }
    // Without Neutron the networks' names and the addresses are what is known.
    let by_name = json.get("addresses").and_then(Value::as_object).into_iter().flatten();
    by_name
        .map(|(name, all)| {
            let fixed = |a: &&Value| text(a, "OS-EXT-IPS:type") != Some("floating");
            let addresses = all.as_array().into_iter().flatten().filter(fixed).filter_map(|a| text(a, "addr")).map(str::to_owned).collect();
            Nic { network: String::new(), network_name: name.clone(), addresses, port: None }
        })
        .collect()
}

fn volumes_of(json: &Value, server: &str, boot: BootType, volumes: &HashMap<String, Value>) -> Vec<AttachedVolume> {
    let mut all: Vec<AttachedVolume> = list(json, "os-extended-volumes:volumes_attached")
        .iter()
        .filter_map(|attached| {
            let id = text(attached, "id")?;
            let ends = attached.get("delete_on_termination").and_then(Value::as_bool).unwrap_or_default();
            let volume = volumes.get(id).unwrap_or(&Value::Null);
            Some(AttachedVolume {
                id: id.to_owned(),
                name: text(volume, "name").unwrap_or_default().to_owned(),
                size_gb: number(volume, "size").unwrap_or_default(),
                device: attachment(volume, server).and_then(|a| text(a, "device")).map(str::to_owned),
                root: false,
                volume_type: text(volume, "volume_type").map(str::to_owned),
                zone: text(volume, "availability_zone").map(str::to_owned),
                delete_on_termination: ends,
                status: text(volume, "status").map(str::to_owned),
            })
        })
        .collect();
    if boot == BootType::Volume
        && let Some(root) = root_of(json, server, &all, volumes)
    {
        all[root].root = true;
    }
    // The root first, then as the devices come.
    all.sort_by(|a, b| (!a.root, &a.device, &a.id).cmp(&(!b.root, &b.device, &b.id)));
    all
}

fn attachment<'a>(volume: &'a Value, server: &str) -> Option<&'a Value> {
    list(volume, "attachments").iter().find(|a| text(a, "server_id") == Some(server))
}

/// Which of the volumes a volume-booted server boots from.
///
/// Nova shows the root's device to administrators alone. To others: the only bootable one, the bootable one at the first
/// device, or the bootable one that was attached first.
fn root_of(json: &Value, server: &str, all: &[AttachedVolume], volumes: &HashMap<String, Value>) -> Option<usize> {
    if let Some(device) = text(json, "OS-EXT-SRV-ATTR:root_device_name") {
        let named = all.iter().position(|v| v.device.as_deref() == Some(device));
        if named.is_some() {
            return named;
        }
    }
    if all.len() == 1 {
        return Some(0);
    }
    let bootable = |v: &AttachedVolume| volumes.get(&v.id).and_then(|c| text(c, "bootable")).is_some_and(|b| b == "true");
    let candidates: Vec<usize> = (0..all.len()).filter(|i| bootable(&all[*i])).collect();
    let first = |v: &AttachedVolume| v.device.as_deref().is_some_and(|d| matches!(d, "/dev/vda" | "/dev/sda" | "/dev/xvda" | "/dev/hda"));
    let since = |i: &usize| volumes.get(&all[*i].id).and_then(|c| attachment(c, server)).and_then(|a| text(a, "attached_at")).unwrap_or("~").to_owned();
    candidates.iter().copied().find(|i| first(&all[*i])).or_else(|| candidates.iter().copied().min_by_key(since))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_utc() {
        let want = Some(Timestamp(1_795_733_696_000_000));
        for text in ["2026-11-26T22:54:56Z", "2026-11-26T22:54:56.000000Z", "2026-11-26T22:54:56.000000", "2026-11-26T22:54:56"] {
            assert_eq!(time(text), want, "{text}");
        }
        assert_eq!(time("soon"), None);
    }

    fn web() -> Value {
        json!({
            "id": "711a2fe7", "name": "web", "status": "ACTIVE", "metadata": {"owner": "alice"}, "image": {"id": "5ce68688", "links": []},
            "flavor": {"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": 0, "original_name": "lab.tiny", "extra_specs": {}},
            "created": "2026-11-26T22:53:26Z",
            "addresses": {"lab-net": [
                {"version": 4, "addr": "192.0.2.253", "OS-EXT-IPS:type": "fixed"}, {"version": 4, "addr": "198.51.100.1", "OS-EXT-IPS:type": "floating"}]},
            "OS-EXT-AZ:availability_zone": "nova", "key_name": null, "OS-EXT-STS:task_state": null,
            "os-extended-volumes:volumes_attached": [], "locked": false, "security_groups": [{"name": "default"}, {"name": "default"}]
        })
    }

    #[test]
    fn an_image_booted_server_is_read() {
        let server = server(&web(), &HashMap::new(), None).unwrap();
        assert_eq!((server.boot, server.image.as_deref(), server.task, server.host_up, server.key), (BootType::Image, Some("5ce68688"), None, None, None));
        assert_eq!(server.flavour, Flavour { id: None, name: "lab.tiny".into(), vcpus: 1, ram_mb: 64, disk_gb: 1 });
        assert_eq!(server.security_groups, ["default"]);
        assert_eq!(server.metadata["owner"], "alice");
        assert_eq!(server.networks.len(), 1);
        assert_eq!((server.networks[0].network_name.as_str(), &server.networks[0].addresses[..]), ("lab-net", &["192.0.2.253".to_owned()][..]));
        let port =
            Port { id: "p1".into(), device: "711a2fe7".into(), network: "n1".into(), network_name: "lab-net".into(), addresses: vec!["192.0.2.253".into()] };
        let other = Port { device: "somebody".into(), ..port.clone() };
        let with_ports = super::server(&web(), &HashMap::new(), Some(&[port, other])).unwrap();
        assert_eq!(
            with_ports.networks,
            [Nic { network: "n1".into(), network_name: "lab-net".into(), addresses: vec!["192.0.2.253".into()], port: Some("p1".into()) }]
        );
    }

    fn volume(id: &str, device: &str, bootable: &str, since: &str) -> (String, Value) {
        let attachments = json!([{"server_id": "e115", "device": device, "attached_at": since}]);
        (
            id.to_owned(),
            json!({"id": id, "name": format!("n-{id}"), "size": 2, "bootable": bootable, "status": "in-use", "volume_type": "fast", "availability_zone": "nova", "attachments": attachments}),
        )
    }

    fn db(attached: &[&str], more: &Value) -> Value {
        let attached: Vec<Value> = attached.iter().map(|id| json!({"id": id, "delete_on_termination": *id == "root"})).collect();
        let mut json = web();
        json["id"] = "e115".into();
        json["image"] = "".into();
        json["os-extended-volumes:volumes_attached"] = attached.into();
        for (k, v) in more.as_object().unwrap() {
            json[k] = v.clone();
        }
        json
    }

    #[test]
    fn the_root_of_a_volume_booted_server_is_found() {
        let admin = json!({"OS-EXT-SRV-ATTR:root_device_name": "/dev/vdb"});
        for (name, volumes, more, root) in [
            ("one alone", vec![volume("x", "", "false", "")], json!({}), Some("x")),
            ("at the first device", vec![volume("data", "/dev/vdb", "true", "1"), volume("root", "/dev/vda", "true", "2")], json!({}), Some("root")),
            ("bootable", vec![volume("data", "/dev/vda", "false", "1"), volume("root", "/dev/vdb", "true", "2")], json!({}), Some("root")),
            ("attached first", vec![volume("data", "/dev/vdc", "true", "2026-02"), volume("root", "/dev/vdb", "true", "2026-01")], json!({}), Some("root")),
            ("as Nova says", vec![volume("data", "/dev/vda", "true", "1"), volume("root", "/dev/vdb", "true", "2")], admin, Some("root")),
            ("none is bootable", vec![volume("a", "/dev/vdb", "false", "1"), volume("b", "/dev/vdc", "false", "2")], json!({}), None),
        ] {
            let ids: Vec<&str> = volumes.iter().map(|(id, _)| id.as_str()).collect();
            let json = db(&ids, &more);
            let server = server(&json, &volumes.iter().cloned().collect(), None).unwrap();
            assert_eq!((server.boot, server.image.as_deref()), (BootType::Volume, None), "{name}");
            assert_eq!(server.root().map(|v| v.id.as_str()), root, "{name}");
            assert!(root.is_none() || server.volumes[0].root, "{name}");
        }
        let one = volume("root", "/dev/vda", "true", "1");
        let server = server(&db(&["root"], &json!({})), &HashMap::from([one]), None).unwrap();
        let want = AttachedVolume {
            id: "root".into(),
            name: "n-root".into(),
            size_gb: 2,
            device: Some("/dev/vda".into()),
            root: true,
            volume_type: Some("fast".into()),
            zone: Some("nova".into()),
            delete_on_termination: true,
            status: Some("in-use".into()),
        };
        assert_eq!(server.volumes, [want]);
    }

    #[test]
    fn data_volumes_of_an_image_booted_server_are_no_root() {
        let mut json = db(&["x"], &json!({}));
        json["image"] = json!({"id": "i"});
        let server = server(&json, &HashMap::from([volume("x", "/dev/vdb", "true", "1")]), None).unwrap();
        assert_eq!((server.volumes.len(), server.root()), (1, None));
    }

    #[test]
    fn faults_hosts_and_servers_of_a_silent_cell_are_told() {
        let more = json!({"status": "ERROR", "fault": {"code": 500, "message": "No valid host\nwas found."}, "locked": true, "host_status": "DOWN",
            "OS-EXT-STS:task_state": "image_snapshot"});
        let broken = server(&db(&[], &more), &HashMap::new(), None).unwrap();
        assert_eq!((broken.status.as_str(), broken.locked, broken.host_up, broken.task.as_deref()), ("ERROR", true, Some(false), Some("image_snapshot")));
        assert_eq!(broken.fault.as_deref(), Some("No valid hostwas found."));
        let partial = json!({"id": "a1", "status": "UNKNOWN", "created": "2026-11-26T22:53:26Z", "links": []});
        let partial = server(&partial, &HashMap::new(), None).unwrap();
        assert_eq!((partial.name.as_str(), partial.status.as_str()), ("a1", "UNKNOWN"));
        assert_eq!(server(&json!({"name": "x"}), &HashMap::new(), None), None);
    }
}
