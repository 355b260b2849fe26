//! `/api/v1/services/{name}/instances/clones`: new servers made of snapshots, each with an end; and bringing an instance
//! back in place.

use std::collections::BTreeMap;

use app::context::AppContext;
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    id::{CloneId, SnapshotId},
    instance::{CLONE_DAYS, Networks, Pattern},
};
use jiff::Timestamp;
use ops::clones::{self, Order, State as Standing};
use serde::{Deserialize, Serialize};
use store::clones::{CloneRow, Sums};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, limit},
    problem::Problem,
    start::Started,
    words::at,
};

/// Which networks a clone gets.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloneNetworks {
    /// Those of the instance when the snapshot was taken, with new addresses.
    #[default]
    Same,
    None,
    /// These, by id or name.
    These(Vec<String>),
}

impl From<CloneNetworks> for Networks {
    fn from(n: CloneNetworks) -> Self {
        match n {
            CloneNetworks::Same => Self::Same,
            CloneNetworks::None => Self::None,
            CloneNetworks::These(names) => Self::These(names),
        }
    }
}

/// A clone as it is ordered: of a snapshot, or of an instance and a date.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"instance": "web", "date": "202601312359", "clone_name": "web-drill", "networks": "none"}))]
pub struct OrderClone {
    snapshot: Option<Uuid>,
    instance: String,
    /// YYYYMMDD or YYYYMMDDHHMM in UTC. A day with several snapshots is refused with their names.
    date: String,
    /// By which the snapshots' names are read.
    pattern: String,
    /// INSTANCE_clone_YYYYMMDDHHMM where it is left out.
    clone_name: String,
    /// The instance's where it is left out.
    availability_zone: String,
    /// A name or an id; the instance's where it is left out.
    flavour: String,
    /// What differs from the instance's metadata, all of which is copied; null leaves a key out.
    metadata: BTreeMap<String, Option<String>>,
    networks: CloneNetworks,
    /// Days until it is deleted, 1 to 365.
    days: u32,
    /// Wait until it runs. Otherwise the run ends when the cloud has accepted it.
    wait: bool,
    /// A hook of the file of `--test-tools`, called when it runs.
    hook: String,
    /// Mailed when it runs.
    to_addr_success: Vec<String>,
    /// Mailed when something went wrong.
    to_addr_error: Vec<String>,
}

impl Default for OrderClone {
    fn default() -> Self {
        Self {
            snapshot: None,
            instance: String::new(),
            date: String::new(),
            pattern: Pattern::DEFAULT.to_owned(),
            clone_name: String::new(),
            availability_zone: String::new(),
            flavour: String::new(),
            metadata: BTreeMap::new(),
            networks: CloneNetworks::Same,
            days: CLONE_DAYS,
            wait: true,
            hook: String::new(),
            to_addr_success: Vec::new(),
            to_addr_error: Vec::new(),
        }
    }
}

impl From<OrderClone> for Order {
    fn from(o: OrderClone) -> Self {
        Self {
            snapshot: o.snapshot.map(SnapshotId),
            instance: o.instance,
            date: o.date,
            pattern: o.pattern,
            clone_name: o.clone_name,
            availability_zone: o.availability_zone,
            flavour: o.flavour,
            metadata: o.metadata,
            networks: o.networks.into(),
            days: o.days,
            wait: o.wait,
            hook: o.hook,
            to_addr_success: o.to_addr_success,
            to_addr_error: o.to_addr_error,
        }
    }
}

/// Clone an instance from a snapshot
#[utoipa::path(post, path = "/api/v1/services/{name}/instances/clones", tag = "restores",
    params(("name" = String, Path, description = "The service's name")), request_body = OrderClone,
    responses((status = 202, description = "the run waits or runs", body = Started)))]
pub async fn order(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(name): Path<String>,
    Body(order): Body<OrderClone>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let run = match ctx.done("run").and_then(|runs| runs.first().copied()) {
        Some(run) => run,
        None => clones::start(&ctx, &app.tools, &name, &order.into()).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}

/// A volume that was made for a clone.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloneVolume {
    id: String,
    name: String,
    size_gb: i64,
    root: bool,
}

/// A server that was made of a snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub struct Clone {
    id: Uuid,
    name: String,
    /// building, stands, failed (it stands and does not run), ending, ended.
    state: &'static str,
    /// Its id in the cloud; empty where a run could not take back what it had made.
    server: String,
    snapshot: Option<Uuid>,
    /// The run that made it.
    run: Uuid,
    vcpus: i64,
    ram_mb: i64,
    /// Of its flavour and its volumes together.
    disk_gb: i64,
    volumes: Vec<CloneVolume>,
    created_at: Timestamp,
    /// When it was seen to run, or never to.
    ready_at: Option<Timestamp>,
    expires_at: Timestamp,
    /// When it was looked for and not found.
    ended_at: Option<Timestamp>,
    ended_why: Option<String>,
    /// Why it does not run, or could not be looked at; once its time is over, what stood against its end at the last try.
    trouble: Option<String>,
}

impl Clone {
    fn of(row: CloneRow, now: domain::units::Timestamp) -> Self {
        let state = Standing::of(&row, now).as_str();
        let volume = |v: domain::instance::CloneVolume| CloneVolume { id: v.id, name: v.name, size_gb: v.size_gb, root: v.root };
        Self {
            id: row.id,
            name: row.name,
            state,
            server: row.server_id,
            snapshot: row.snapshot_id,
            run: row.run_id,
            vcpus: row.vcpus,
            ram_mb: row.ram_mb,
            disk_gb: row.disk_gb,
            volumes: row.volumes.0.into_iter().map(volume).collect(),
            created_at: at(row.created_at),
            ready_at: row.ready_at.map(at),
            expires_at: at(row.expires_at),
            ended_at: row.ended_at.map(at),
            ended_why: row.ended_why,
            trouble: row.trouble,
        }
    }
}

/// What the clones that stand take together.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloneSums {
    clones: i64,
    vcpus: i64,
    ram_mb: i64,
    disk_gb: i64,
}

impl From<Sums> for CloneSums {
    fn from(s: Sums) -> Self {
        let Sums { clones, vcpus, ram_mb, disk_gb } = s;
        Self { clones, vcpus, ram_mb, disk_gb }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ListedClones {
    clones: Vec<Clone>,
    sums: CloneSums,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListClones {
    /// Those alone that have not ended.
    #[serde(default)]
    standing: bool,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Clones of a service, the newest first, and what those take that stand
#[utoipa::path(get, path = "/api/v1/services/{name}/instances/clones", tag = "restores",
    params(("name" = String, Path, description = "The service's name"), ListClones), responses((status = 200, body = ListedClones)))]
pub async fn list(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<ListClones>) -> Result<Json<ListedClones>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Clones.read(q.cursor.as_deref())?.map(|(at, id)| (at, CloneId(id)));
    let rows = clones::list(&ctx, &name, q.standing, before, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|c| List::Clones.key(c.created_at, c.id))).flatten();
    let (sums, now) = (clones::sums(&ctx, &name).await?.into(), ctx.now());
    Ok(Json(ListedClones { clones: rows.into_iter().map(|c| Clone::of(c, now)).collect(), sums, next }))
}

/// One clone
#[utoipa::path(get, path = "/api/v1/services/{name}/instances/clones/{id}", tag = "restores",
    params(("name" = String, Path, description = "The service's name"), ("id" = Uuid, Path, description = "The clone's id")), responses((status = 200, body = Clone)))]
pub async fn find(Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>) -> Result<Json<Clone>, Problem> {
    Ok(Json(Clone::of(clones::find(&ctx, &name, CloneId(id)).await?, ctx.now())))
}

/// The end of a clone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"confirm": "web_clone_202601312359", "reason": "the drill is over"}))]
pub struct EndClone {
    /// The clone's name, typed: its server and its volumes are deleted.
    confirm: String,
    /// Why, for whoever reads it in a year.
    reason: String,
}

/// End a clone at once: its server and its volumes are deleted, and looked for until they are absent
#[utoipa::path(post, path = "/api/v1/services/{name}/instances/clones/{id}/end", tag = "restores",
    params(("name" = String, Path, description = "The service's name"), ("id" = Uuid, Path, description = "The clone's id")), request_body = EndClone,
    responses((status = 202, description = "it is taken away within a minute or two", body = Clone),
        (status = 409, description = "it has ended or is being ended", body = Problem, content_type = "application/problem+json")))]
pub async fn end(Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>, Body(b): Body<EndClone>) -> Result<(StatusCode, Json<Clone>), Problem> {
    clones::end(&ctx, &name, CloneId(id), &b.confirm, &b.reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Clone::of(clones::find(&ctx, &name, CloneId(id)).await?, ctx.now()))))
}

/// More time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"days": 14}))]
pub struct LengthenClone {
    /// Days from now, 1 to 365.
    days: u32,
}

/// Give a clone more time
#[utoipa::path(post, path = "/api/v1/services/{name}/instances/clones/{id}/lengthen", tag = "restores",
    params(("name" = String, Path, description = "The service's name"), ("id" = Uuid, Path, description = "The clone's id")), request_body = LengthenClone,
    responses((status = 200, body = Clone),
        (status = 409, description = "its time is over", body = Problem, content_type = "application/problem+json")))]
pub async fn lengthen(Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>, Body(b): Body<LengthenClone>) -> Result<Json<Clone>, Problem> {
    clones::lengthen(&ctx, &name, CloneId(id), b.days).await?;
    Ok(Json(Clone::of(clones::find(&ctx, &name, CloneId(id)).await?, ctx.now())))
}

/// One thing that must be so before an instance is brought back in place.
#[derive(Debug, Serialize, ToSchema)]
pub struct InPlaceCondition {
    id: &'static str,
    ok: bool,
    text: String,
    /// What to do about it; empty where it is met.
    remedy: String,
    /// The only method that needs it: rebuild, revert, replace_root.
    only_for: Option<String>,
}

/// What a restore in place would do, as the cloud is now.
#[derive(Debug, Serialize, ToSchema)]
pub struct InPlacePreview {
    snapshot: Uuid,
    snapshot_name: String,
    instance: String,
    /// The server's id in the cloud.
    server: String,
    /// Absent where the instance is gone.
    status: Option<String>,
    /// They stay.
    addresses: Vec<String>,
    /// rebuild, revert or replace_root; absent where it cannot be done.
    method: Option<String>,
    conditions: Vec<InPlaceCondition>,
    /// Volumes beside the root, which stay as they are.
    untouched: Vec<String>,
    /// What the safety snapshot would be called now.
    safety: String,
    looked_at: Timestamp,
}

fn word(method: domain::instance::inplace::Method) -> String {
    serde_json::to_value(method).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What stands against bringing an instance back in place, as the cloud is now; nothing is changed
#[utoipa::path(get, path = "/api/v1/services/{name}/instances/snapshots/{id}/restore", tag = "restores",
    params(("name" = String, Path, description = "The service's name"), ("id" = Uuid, Path, description = "The snapshot's id")),
    responses((status = 200, body = InPlacePreview),
        (status = 409, description = "the cloud does not answer, or the snapshot is not finished", body = Problem, content_type = "application/problem+json")))]
pub async fn preview(State(app): State<AppContext>, Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>) -> Result<Json<InPlacePreview>, Problem> {
    let p = ops::inplace::preview(&ctx, app.vault.env(), &name, SnapshotId(id)).await?;
    let condition =
        |c: domain::instance::inplace::Precondition| InPlaceCondition { id: c.id, ok: c.ok, text: c.text, remedy: c.remedy, only_for: c.only_for.map(word) };
    let server = p.look.server.as_ref();
    Ok(Json(InPlacePreview {
        snapshot: p.snapshot.id,
        snapshot_name: p.snapshot.label,
        instance: p.native.server.name.clone(),
        server: p.native.server.id.clone(),
        status: server.map(|s| s.status.clone()),
        addresses: server.map(|s| s.networks.iter().flat_map(|n| n.addresses.clone()).collect()).unwrap_or_default(),
        method: p.look.found.method.map(word),
        conditions: p.look.found.preconditions.into_iter().map(condition).collect(),
        untouched: p.look.found.untouched,
        safety: p.safety,
        looked_at: at(p.looked_at.0),
    }))
}

/// A restore in place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"confirm": "notebooks", "reason": "an update broke it"}))]
pub struct OrderInPlace {
    /// The service's name, typed: the instance's disk is replaced. A safety snapshot is taken first.
    confirm: String,
    /// Why, for whoever reads it in a year.
    reason: String,
    #[serde(default)]
    to_addr_success: Vec<String>,
    #[serde(default)]
    to_addr_error: Vec<String>,
}

/// Bring an instance back in place: its root disk becomes that of the snapshot, its addresses stay
#[utoipa::path(post, path = "/api/v1/services/{name}/instances/snapshots/{id}/restore", tag = "restores",
    params(("name" = String, Path, description = "The service's name"), ("id" = Uuid, Path, description = "The snapshot's id")), request_body = OrderInPlace,
    responses((status = 202, description = "the run waits or runs", body = Started),
        (status = 409, description = "the instance is being restored or snapshotted", body = Problem, content_type = "application/problem+json")))]
pub async fn in_place(Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>, Body(b): Body<OrderInPlace>) -> Result<(StatusCode, Json<Started>), Problem> {
    let order = ops::inplace::Order { confirm: b.confirm, reason: b.reason, to_addr_success: b.to_addr_success, to_addr_error: b.to_addr_error };
    let run = match ctx.done("run").and_then(|runs| runs.first().copied()) {
        Some(run) => run,
        None => ops::inplace::start(&ctx, &name, SnapshotId(id), &order).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}
