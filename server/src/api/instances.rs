//! `/api/v1/services/{name}/sources/{source}/instances`: the instances of a cloud's project, and their snapshots.

use axum::{Json, http::StatusCode};
use domain::instance::{AttachedVolume, Credential, NativeSnapshot, Nic, Server, SnapshotParams};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::{items::ItemRow, repositories::RepositoryRow, snapshots::SnapshotRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path, Query, after, limit},
    problem::Problem,
    start::Started,
    words::at,
};

/// How an instance is snapshotted, with CERN's names and defaults.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotAsked {
    /// In a schedule: one instance of its source; every one where it is left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    instance: String,
    /// The snapshot's name: `{0}` stands for the instance, `{1}` for the time in UTC.
    pattern: String,
    /// As many snapshots of the instance are kept; all of them where it is 0.
    max_snapshots: u32,
    /// Wait until the snapshot is really there. Otherwise the run ends when the cloud has accepted it.
    wait: bool,
    /// Stop the instance first, and start it again.
    instance_stop: bool,
    /// Mailed when the snapshot is there.
    to_addr_success: Vec<String>,
    /// Mailed when something went wrong.
    to_addr_error: Vec<String>,
}

impl Default for SnapshotAsked {
    fn default() -> Self {
        SnapshotParams::default().into()
    }
}

impl From<SnapshotParams> for SnapshotAsked {
    fn from(p: SnapshotParams) -> Self {
        let SnapshotParams { instance, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error } = p;
        Self { instance, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error }
    }
}

impl From<SnapshotAsked> for SnapshotParams {
    fn from(a: SnapshotAsked) -> Self {
        let SnapshotAsked { instance, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error } = a;
        Self { instance, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error }
    }
}

/// What was last seen of the credential that a cloud is reached with.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloudCredential {
    project_id: String,
    project: String,
    user: String,
    roles: Vec<String>,
    /// Absent where it never expires, or the cloud does not tell.
    expires_at: Option<Timestamp>,
    looked_at: Timestamp,
    /// What was wrong then, with the remedy.
    trouble: Option<String>,
    /// What the project's quota left then; absent where the cloud did not tell.
    quota: Option<CloudQuota>,
}

/// What may still be made in a project; null is without limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloudQuota {
    snapshots: Option<i64>,
    gigabytes: Option<i64>,
}

impl From<&Credential> for CloudCredential {
    fn from(c: &Credential) -> Self {
        Self {
            project_id: c.project_id.clone(),
            project: c.project_name.clone(),
            user: c.user.clone(),
            roles: c.roles.clone(),
            expires_at: c.expires_at.map(|t| at(t.0)),
            looked_at: at(c.looked_at.0),
            trouble: c.trouble.clone(),
            quota: c.quota.map(|q| CloudQuota { snapshots: q.snapshots, gigabytes: q.gigabytes }),
        }
    }
}

/// A cloud.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cloud {
    /// The repository's name.
    name: String,
    location: String,
    /// Absent until it was first looked at.
    credential: Option<CloudCredential>,
}

impl From<&RepositoryRow> for Cloud {
    fn from(r: &RepositoryRow) -> Self {
        Self { name: r.name.clone(), location: r.location.clone(), credential: r.credential.as_ref().map(|c| CloudCredential::from(&c.0)) }
    }
}

/// A volume of an instance. Sizes are GiB, as clouds have them.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceVolume {
    id: String,
    name: String,
    size_gb: i64,
    device: Option<String>,
    /// Whether the instance boots from it.
    root: bool,
}

impl From<&AttachedVolume> for InstanceVolume {
    fn from(v: &AttachedVolume) -> Self {
        Self { id: v.id.clone(), name: v.name.clone(), size_gb: v.size_gb, device: v.device.clone(), root: v.root }
    }
}

/// An instance in a network.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceNetwork {
    id: String,
    name: String,
    addresses: Vec<String>,
}

impl From<&Nic> for InstanceNetwork {
    fn from(n: &Nic) -> Self {
        Self { id: n.network.clone(), name: n.network_name.clone(), addresses: n.addresses.clone() }
    }
}

/// What the cloud said of an instance.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceFacts {
    id: String,
    name: String,
    /// The cloud's own word, such as ACTIVE.
    status: String,
    locked: bool,
    /// Absent where nobody knows, of an adopted snapshot of an instance that was gone.
    created_at: Option<Timestamp>,
    /// image or volume.
    boot: String,
    flavour: String,
    vcpus: i64,
    ram_mb: i64,
    disk_gb: i64,
    zone: Option<String>,
    metadata: std::collections::BTreeMap<String, String>,
    networks: Vec<InstanceNetwork>,
    security_groups: Vec<String>,
    volumes: Vec<InstanceVolume>,
    key: Option<String>,
    /// Why it is in error, in the cloud's words.
    fault: Option<String>,
}

impl From<&Server> for InstanceFacts {
    fn from(s: &Server) -> Self {
        Self {
            id: s.id.clone(),
            name: s.name.clone(),
            status: s.status.clone(),
            locked: s.locked,
            created_at: (s.created_at.0 > 0).then(|| at(s.created_at.0)),
            boot: s.boot.as_str().to_owned(),
            flavour: s.flavour.name.clone(),
            vcpus: s.flavour.vcpus,
            ram_mb: s.flavour.ram_mb,
            disk_gb: s.flavour.disk_gb,
            zone: s.zone.clone(),
            metadata: s.metadata.clone(),
            networks: s.networks.iter().map(InstanceNetwork::from).collect(),
            security_groups: s.security_groups.clone(),
            volumes: s.volumes.iter().map(InstanceVolume::from).collect(),
            key: s.key.clone(),
            fault: s.fault.clone(),
        }
    }
}

/// An instance of a source.
#[derive(Debug, Serialize, ToSchema)]
pub struct Instance {
    /// The item's id.
    id: Uuid,
    /// The item's name: the instance's own, with a part of its id where several bear it.
    name: String,
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
    /// When the cloud no longer listed it; absent while it is there.
    gone_at: Option<Timestamp>,
    snapshots: i64,
    last_snapshot: Option<Uuid>,
    last_snapshot_at: Option<Timestamp>,
    /// As it was last listed.
    server: Option<InstanceFacts>,
}

impl From<&ItemRow> for Instance {
    fn from(i: &ItemRow) -> Self {
        Self {
            id: i.id,
            name: i.name.clone(),
            first_seen_at: at(i.first_seen_at),
            last_seen_at: at(i.last_seen_at),
            gone_at: i.gone_at.map(at),
            snapshots: i.snapshots,
            last_snapshot: i.last_snapshot_id,
            last_snapshot_at: i.last_snapshot_at.map(at),
            server: i.native.as_ref().map(|n| InstanceFacts::from(&n.0)),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ListedInstances {
    cloud: Cloud,
    instances: Vec<Instance>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A part of a snapshot: one volume's.
#[derive(Debug, Serialize, ToSchema)]
pub struct VolumeSnapshot {
    id: String,
    /// The volume that it was taken of.
    volume: String,
    size_gb: i64,
    device: Option<String>,
    root: bool,
}

/// A snapshot that stays in the cloud: an image, volume snapshots, or both, as one.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceSnapshot {
    id: Uuid,
    /// By the pattern.
    name: String,
    taken_at: Timestamp,
    /// pending while the cloud has accepted it and has not finished, then complete.
    state: String,
    /// An offsite copy: the disk as a file of a repository, whatever has become of the snapshot in the cloud.
    offsite: bool,
    /// What it takes in the cloud, as far as the cloud tells; of an offsite copy the size of its files.
    bytes: i64,
    /// The id of its image in the cloud.
    image: Option<String>,
    volumes: Vec<VolumeSnapshot>,
    /// The instance as it was.
    server: Option<InstanceFacts>,
}

impl From<&SnapshotRow> for InstanceSnapshot {
    fn from(s: &SnapshotRow) -> Self {
        let native: Option<&NativeSnapshot> = s.native.as_ref().map(|n| &n.0);
        let volume = |v: &domain::instance::VolumeSnapshot| VolumeSnapshot {
            id: v.id.clone(),
            volume: v.volume.clone(),
            size_gb: v.size_gb,
            device: v.device.clone(),
            root: v.root,
        };
        Self {
            id: s.id,
            name: s.label.clone(),
            taken_at: at(s.taken_at),
            state: s.state.clone(),
            offsite: s.offsite().is_some(),
            bytes: s.bytes,
            image: native.and_then(|n| n.image.as_ref()).map(|i| i.id.clone()),
            volumes: native.map(|n| n.volumes.iter().map(volume).collect()).unwrap_or_default(),
            server: native.map(|n| InstanceFacts::from(&n.server)),
        }
    }
}

/// An instance with its snapshots.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceWithSnapshots {
    cloud: Cloud,
    #[serde(flatten)]
    instance: Instance,
    /// The newest first, at most 500 of them.
    list: Vec<InstanceSnapshot>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListInstances {
    /// Instances after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// The instances of a source by name, also those that are gone, with what the cloud said of them
#[utoipa::path(get, path = "/api/v1/services/{name}/sources/{source}/instances", tag = "services",
    params(("name" = String, Path, description = "The service's name"), ("source" = String, Path, description = "The source's name"), ListInstances),
    responses((status = 200, body = ListedInstances),
        (status = 409, description = "the source is of another kind", body = Problem, content_type = "application/problem+json")))]
pub async fn list(Asker(ctx): Asker, Path((name, source)): Path<(String, String)>, Query(q): Query<ListInstances>) -> Result<Json<ListedInstances>, Problem> {
    let found = ops::instances::list(&ctx, &name, &source, &after(q.after)?, limit(q.limit, ops::instances::PAGE)?).await?;
    let instances = found.instances.iter().map(|i| Instance::from(&i.item)).collect();
    Ok(Json(ListedInstances { cloud: Cloud::from(&found.place.cloud), instances, next: found.next }))
}

/// One instance with its snapshots
#[utoipa::path(get, path = "/api/v1/services/{name}/sources/{source}/instances/{instance}", tag = "services",
    params(("name" = String, Path, description = "The service's name"), ("source" = String, Path, description = "The source's name"),
        ("instance" = String, Path, description = "The name of the instance's item")),
    responses((status = 200, body = InstanceWithSnapshots),
        (status = 409, description = "the source is of another kind", body = Problem, content_type = "application/problem+json")))]
pub async fn find(Asker(ctx): Asker, Path((name, source, instance)): Path<(String, String, String)>) -> Result<Json<InstanceWithSnapshots>, Problem> {
    let found = ops::instances::find(&ctx, &name, &source, &instance).await?;
    let list = found.snapshots.iter().map(InstanceSnapshot::from).collect();
    Ok(Json(InstanceWithSnapshots { cloud: Cloud::from(&found.place.cloud), instance: Instance::from(&found.item), list }))
}

/// How the snapshot is taken; the instance stands in the address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"max_snapshots": 5, "wait": true}))]
pub struct TakeSnapshot {
    pattern: String,
    max_snapshots: u32,
    wait: bool,
    instance_stop: bool,
    to_addr_success: Vec<String>,
    to_addr_error: Vec<String>,
}

impl Default for TakeSnapshot {
    fn default() -> Self {
        let SnapshotParams { instance: _, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error } = SnapshotParams::default();
        Self { pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error }
    }
}

/// Snapshot one instance now
#[utoipa::path(post, path = "/api/v1/services/{name}/sources/{source}/instances/{instance}/snapshots", tag = "services",
    params(("name" = String, Path, description = "The service's name"), ("source" = String, Path, description = "The source's name"),
        ("instance" = String, Path, description = "The name of the instance's item")), request_body = TakeSnapshot,
    responses((status = 202, description = "the run waits or runs", body = Started),
        (status = 409, description = "the same instance is being snapshotted", body = Problem, content_type = "application/problem+json")))]
pub async fn take(
    Asker(ctx): Asker,
    Path((name, source, instance)): Path<(String, String, String)>,
    Body(take): Body<TakeSnapshot>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let TakeSnapshot { pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error } = take;
    let asked = SnapshotParams { instance, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error };
    let run = match ctx.done("run").and_then(|runs| runs.first().copied()) {
        Some(run) => run,
        None => ops::instances::snapshot(&ctx, &name, &source, asked).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}

/// Look at a cloud now: at its credential and at its instances
#[utoipa::path(post, path = "/api/v1/repositories/{name}/look", tag = "repositories", params(("name" = String, Path, description = "The repository's name")),
    responses((status = 204, description = "somebody will look within seconds"),
        (status = 409, description = "the repository is no cloud", body = Problem, content_type = "application/problem+json")))]
pub async fn look(Asker(ctx): Asker, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    ops::clouds::look(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
