//! Instances as a form offers them.
//!
//! Lives here: the use case. May not: judging what was typed.

use store::{items, services, sources};

use super::{KIND, MOST_NAMES};
use crate::{
    Ctx, Result,
    permission::{Action, require},
};

/// The names to choose from where `of`, a service or `service/source`, has instances; `None` where it has none. A
/// schedule of a whole service takes all of them, so that there is none to choose.
pub async fn names(ctx: &Ctx, of: &str) -> Result<Option<Vec<String>>> {
    require(ctx, Action::Read)?;
    let (service, source) = of.split_once('/').map_or((of, None), |(service, source)| (service, Some(source)));
    let mut read = ctx.db.read().await?;
    let Some(service) = services::find_by_name(read.tx(), service).await?.filter(|s| s.removed_at.is_none()) else { return Ok(None) };
    let all = sources::of_service(read.tx(), service.id()).await?;
    let Some(found) = all.into_iter().find(|s| s.kind == KIND && source.is_none_or(|name| s.name == name)) else { return Ok(None) };
    if source.is_none() {
        return Ok(Some(Vec::new()));
    }
    let listed = items::present(read.tx(), found.id(), "", MOST_NAMES).await?;
    Ok(Some(listed.into_iter().map(|i| i.name).collect()))
}

#[cfg(test)]
mod tests {
    use domain::{id::ServiceId, instance::BootType, units::Timestamp};
    use store::testing;

    use super::*;
    use crate::{Actor, OpsError, Role, config};

    const CONFIG: &str = r#"version: 1
repositories:
  - { name: main, location: "file:///srv/backup/main", password: { env: MAIN } }
  - name: geneva
    location: openstack+https://keystone.example.org:5000/v3
    application_credential_id: 21dced0f
    password: { env: GENEVA }
services:
  - name: web
    owner: ops
    sources:
      - { name: vms, kind: openstack-instance, repository: geneva }
      - { name: conf, kind: directory, path: /etc/web, items: self, repository: main }
  - name: files
    owner: ops
    sources:
      - { name: conf, kind: directory, path: /etc/files, items: self, repository: main }
"#;

    #[tokio::test]
    async fn a_form_offers_what_the_source_lists() {
        for t in testing::databases().await {
            let ctx = Ctx::new(t.db.clone(), Actor::shell(), "test");
            config::apply(&ctx, &config::parse(CONFIG).unwrap(), None).await.unwrap();
            let mut tx = t.db.begin().await.unwrap();
            let service = services::find_by_name(tx.tx(), "web").await.unwrap().unwrap();
            let source = sources::of_service(tx.tx(), service.id()).await.unwrap().into_iter().find(|s| s.name == "vms").unwrap();
            let server = testing::server("1", "web-1", BootType::Image);
            for name in ["web-2", "web-1"] {
                items::listed(tx.tx(), source.id(), ServiceId(service.id), name, &server, Timestamp(5)).await.unwrap();
            }
            tx.commit().await.unwrap();

            assert_eq!(names(&ctx, "web/vms").await.unwrap().unwrap(), ["web-1", "web-2"], "{}", t.name);
            // Of a whole service there is none to choose.
            assert_eq!(names(&ctx, "web").await.unwrap(), Some(Vec::new()));
            for other in ["web/conf", "web/none", "files", "files/conf", "none", "none/vms", "main", ""] {
                assert_eq!(names(&ctx, other).await.unwrap(), None, "{other}");
            }
            let nobody = Ctx { actor: Actor { role: Role::Member, ..Actor::shell() }, ..ctx };
            assert!(matches!(names(&nobody, "web/vms").await, Err(OpsError::Forbidden(_))));
        }
    }
}
