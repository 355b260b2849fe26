//! What a clone would be: what it is made of, what it takes, when it ends, and what stands against it (R23).
//!
//! Lives here: the look before anything is made. May not: changing anything in a cloud; the run looks anew.

use domain::{
    id::{RepositoryId, SnapshotId},
    instance::{BootType, CloneParams, Flavour, NativeSnapshot, Networks, inplace::Precondition},
    units::{Timestamp, size},
};
use engine::sources::openstack::Cloud;
use store::snapshots::SnapshotRow;

use super::{Order, checked, choose, of_name};
use crate::{
    Ctx, Result,
    config::Tools,
    inplace::{connect, silent},
    permission::{Action, On, require_on},
    secrets::Environment,
};

/// A clone as it would be made now.
#[derive(Clone, Debug)]
pub struct Preview {
    pub snapshot: SnapshotRow,
    pub native: NativeSnapshot,
    pub params: CloneParams,
    /// `None` where the cloud has none like that; a condition says so.
    pub flavour: Option<Flavour>,
    /// Of the flavour and of all volumes together.
    pub disk_gb: i64,
    /// The names of the networks that it would be on.
    pub networks: Vec<String>,
    pub zone: Option<String>,
    pub conditions: Vec<Precondition>,
    pub expires_at: Timestamp,
    pub looked_at: Timestamp,
}

impl Preview {
    pub fn id(&self) -> SnapshotId {
        SnapshotId(self.snapshot.id)
    }

    /// Nothing is known to stand against it.
    pub fn can_be(&self) -> bool {
        self.conditions.iter().all(|c| c.ok)
    }
}

/// Looks at the cloud and says what a clone would be.
///
/// # Errors
/// As [`super::start`]; `Conflict` where the cloud does not answer, with its words.
pub async fn preview(ctx: &Ctx, env: &Environment, tools: &Tools, service: &str, order: &Order) -> Result<Preview> {
    require_on(ctx, Action::Restore, On::Any)?;
    let service = of_name(ctx, service).await?;
    let chosen = choose(ctx, &service, order).await?;
    let params = checked(ctx, tools, &chosen, order)?;
    let cloud = connect(ctx, env, RepositoryId(chosen.row.repository_id)).await?;
    let mut look = Look { cloud: &cloud, native: &chosen.native, params: &params, found: Vec::new() };
    let looked = async {
        look.whole().await?;
        let flavour = look.flavour().await?;
        let networks = look.networks().await?;
        look.room(flavour.as_ref()).await?;
        look.name().await?;
        engine::Result::Ok((flavour, networks))
    };
    let (flavour, networks) = Box::pin(looked).await.map_err(silent)?;
    let conditions = look.found;
    let now = ctx.now();
    let had = &chosen.native.server;
    let own = flavour.as_ref().filter(|_| had.boot == BootType::Image).map_or(0, |f| f.disk_gb);
    Ok(Preview {
        disk_gb: own + chosen.native.volumes.iter().map(|v| v.size_gb).sum::<i64>(),
        zone: if params.availability_zone.is_empty() { had.zone.clone().filter(|z| !z.is_empty()) } else { Some(params.availability_zone.clone()) },
        expires_at: now.plus_secs(i64::from(params.days) * 86_400),
        looked_at: now,
        snapshot: chosen.row,
        native: chosen.native,
        params,
        flavour,
        networks,
        conditions,
    })
}

struct Look<'a> {
    cloud: &'a Cloud,
    native: &'a NativeSnapshot,
    params: &'a CloneParams,
    found: Vec<Precondition>,
}

impl Look<'_> {
    fn add(&mut self, id: &'static str, ok: bool, text: impl Into<String>, remedy: &str) {
        let remedy = if ok { String::new() } else { remedy.to_owned() };
        self.found.push(Precondition { id, ok, text: text.into(), remedy, only_for: None });
    }

    /// All pieces of the snapshot are there.
    async fn whole(&mut self) -> engine::Result<()> {
        let mut missing = Vec::new();
        if self.native.server.boot == BootType::Image {
            match &self.native.image {
                None => missing.push("it has no image".to_owned()),
                Some(image) => match self.cloud.image(&image.id).await?.map(|i| i.status) {
                    Some(status) if status == "active" => {}
                    Some(status) => missing.push(format!("its image is {status}")),
                    None => missing.push("its image is not in the cloud".to_owned()),
                },
            }
        } else if !self.native.volumes.iter().any(|v| v.root) {
            missing.push("it has no snapshot of the root volume".to_owned());
        }
        for volume in &self.native.volumes {
            match self.cloud.volume_snapshot(&volume.id).await?.map(|s| s.status) {
                Some(status) if status == "available" => {}
                Some(status) => missing.push(format!("its volume snapshot {} is {status}", volume.id)),
                None => missing.push(format!("its volume snapshot {} is not in the cloud", volume.id)),
            }
        }
        let text = if missing.is_empty() {
            format!("All parts of {} are in the cloud.", self.native.name)
        } else {
            format!("{} is not whole: {}.", self.native.name, missing.join(", "))
        };
        self.add("snapshot_there", missing.is_empty(), text, "Choose another snapshot.");
        Ok(())
    }

    async fn flavour(&mut self) -> engine::Result<Option<Flavour>> {
        let had = &self.native.server.flavour;
        let wanted: Vec<&str> = if self.params.flavour.is_empty() {
            had.id.as_deref().into_iter().chain([had.name.as_str()]).filter(|w| !w.is_empty()).collect()
        } else {
            vec![self.params.flavour.as_str()]
        };
        for name in &wanted {
            if let Some(found) = self.cloud.flavour(name).await? {
                let least = self.native.image.as_ref().map_or(0, |i| i.min_disk_gb);
                let fits = self.native.server.boot == BootType::Volume || found.disk_gb == 0 || least <= found.disk_gb;
                let text = if fits {
                    format!("The flavour {} is there, and the disk fits.", found.name)
                } else {
                    format!("The image needs a disk of {least} GiB, and the flavour {} has {} GiB.", found.name, found.disk_gb)
                };
                self.add("flavour", fits, text, "Choose a larger flavour above.");
                return Ok(Some(found));
            }
        }
        let text = match wanted.last() {
            None => format!("Nobody knows the flavour that {} had.", self.params.instance),
            Some(name) => format!("The cloud has no flavour “{name}”."),
        };
        self.add("flavour", false, text, "Choose another flavour above.");
        Ok(None)
    }

    async fn networks(&mut self) -> engine::Result<Vec<String>> {
        let wanted: Vec<(&str, &str)> = match &self.params.networks {
            Networks::None => Vec::new(),
            Networks::Same => self.native.server.networks.iter().map(|n| (n.network.as_str(), n.network_name.as_str())).collect(),
            Networks::These(names) => names.iter().map(|n| (n.as_str(), "")).collect(),
        };
        let (mut names, mut wrong) = (Vec::new(), Vec::new());
        for (asked, known) in wanted {
            let shown = if known.is_empty() { asked } else { known };
            let mut found = self.cloud.networks_called(asked).await?;
            match (found.len(), found.pop()) {
                (1, Some((id, name))) => names.push(if name.is_empty() { id } else { name }),
                (0, _) => wrong.push(format!("{shown} is not in the cloud")),
                _ => wrong.push(format!("several bear the name {shown}")),
            }
        }
        let text = match (wrong.is_empty(), names.is_empty()) {
            (false, _) => format!("Not every network can be used: {}.", wrong.join(", ")),
            (true, true) => "It is on no network.".to_owned(),
            (true, false) => format!("It gets new addresses on {}.", names.join(", ")),
        };
        self.add("networks", wrong.is_empty(), text, "Name other networks above, by their ids where names are not enough, or choose none.");
        Ok(names)
    }

    /// Whether the volumes fit into what the quota leaves.
    async fn room(&mut self, flavour: Option<&Flavour>) -> engine::Result<()> {
        let needed: i64 = self.native.volumes.iter().map(|v| v.size_gb).sum();
        if needed == 0 {
            let bytes = self.native.image.as_ref().map_or(0, |i| i.size_bytes);
            let own = flavour.map_or_else(String::new, |f| format!(" on a disk of {} GiB", f.disk_gb));
            self.add("room", true, format!("It needs no volume: its image of {} is copied{own} by the hypervisor.", size(bytes)), "");
            return Ok(());
        }
        let left = self.cloud.quota_left().await?.gigabytes;
        let fits = left.is_none_or(|left| needed <= left);
        let of = left.map_or_else(|| "the project has no limit".to_owned(), |left| format!("the project's quota leaves {left} GiB"));
        self.add("room", fits, format!("Its volumes take {needed} GiB; {of}."), "Delete volumes or clones that nobody needs, or ask for a larger quota.");
        Ok(())
    }

    /// Several servers may bear one name, but not several clones of ours.
    async fn name(&mut self) -> engine::Result<()> {
        let name = &self.params.clone_name;
        let taken = !self.cloud.servers_named(name).await?.is_empty();
        let text = if taken { format!("There is a server {name} already.") } else { format!("No other server is called {name}.") };
        self.add("name", !taken, text, "Choose another name above.");
        Ok(())
    }
}
