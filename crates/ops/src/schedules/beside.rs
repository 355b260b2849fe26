//! What else a schedule touches: the plan that describes it, and the quota of the cloud that it takes from (R22, R41).
//!
//! Lives here: the use case. May not: judging what was typed.

use domain::{
    id::RepositoryId,
    instance::{Keeping, Quota},
    units::Timestamp,
};
use store::{plans, repositories, services, sources};

use crate::{
    Ctx, Result,
    permission::{Action, require},
};

/// What a cloud had left when it was looked at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub cloud: String,
    pub quota: Quota,
    pub looked_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The title of a service with an approved plan, which has to be looked at again after a change.
    pub planned: Option<String>,
    /// Of the clouds that it takes snapshots in.
    pub left: Vec<Left>,
}

/// For `of`, a service or `service/source`; nothing where there is none.
pub async fn find(ctx: &Ctx, of: &str) -> Result<Beside> {
    require(ctx, Action::Read)?;
    let (service, source) = of.split_once('/').map_or((of, None), |(service, source)| (service, Some(source)));
    let mut read = ctx.db.read().await?;
    let Some(service) = services::find_by_name(read.tx(), service).await?.filter(|s| s.removed_at.is_none()) else { return Ok(Beside::default()) };
    let planned = plans::approved(read.tx(), service.id()).await?.map(|_| service.title.clone());
    let mut left: Vec<Left> = Vec::new();
    for row in sources::of_service(read.tx(), service.id()).await?.into_iter().filter(|s| source.is_none_or(|name| s.name == name)) {
        let Some(cloud) = repositories::find(read.tx(), RepositoryId(row.repository_id)).await? else { continue };
        let told = cloud.credential.as_deref().and_then(|c| Some((c.quota?, c.looked_at)));
        if let Some((quota, looked_at)) = told.filter(|_| Keeping::of(&cloud.location).is_cloud() && left.iter().all(|l| l.cloud != cloud.name)) {
            left.push(Left { cloud: cloud.name, quota, looked_at });
        }
    }
    Ok(Beside { planned, left })
}
