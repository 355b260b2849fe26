//! Use cases of restores in place on both databases: who may, what is refused and why. What the cloud says is tested with a
//! real one by the runner.

use std::{collections::BTreeMap, sync::Arc};

use domain::{id::SnapshotId, instance::InPlaceParams, run::RunKind};
use store::testing;

use crate::{
    OpsError, Role,
    clones::tests::Place,
    inplace::{self, Order},
    runs::{self, Retry},
    secrets::Environment,
};

fn confirmed() -> Order {
    Order { confirm: "notebooks".into(), reason: "a bad update".into(), ..Order::default() }
}

#[tokio::test]
async fn wrong_roles_are_refused_everywhere() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let snapshot = p.snapshot("web_snapshot_202601010600", "complete").await;
        let env = Environment::default();
        for role in [Role::Auditor, Role::Member, Role::Anonymous] {
            let c = p.by(role);
            assert!(matches!(inplace::start(&c, "notebooks", snapshot, &confirmed()).await, Err(OpsError::Forbidden(_))), "{} {role}", t.name);
            assert!(matches!(inplace::preview(&c, &env, "notebooks", snapshot).await, Err(OpsError::Forbidden(_))), "{role}");
        }
        let owner = p.by(Role::Owner);
        assert!(matches!(inplace::start(&owner, "other", snapshot, &confirmed()).await, Err(OpsError::Forbidden(_))));
        assert!(inplace::start(&owner, "notebooks", snapshot, &confirmed()).await.is_ok(), "{}", t.name);
    }
}

#[tokio::test]
async fn it_needs_the_typed_name_and_a_whole_snapshot_of_the_service() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let snapshot = p.snapshot("web_snapshot_202601010600", "complete").await;
        let pending = p.snapshot("web_snapshot_202601020600", "pending").await;
        let said = async |service: &str, id: SnapshotId, order: Order| inplace::start(&p.ctx, service, id, &order).await.unwrap_err().to_string();
        for confirm in ["", "web", "Notebooks"] {
            let wrong = said("notebooks", snapshot, Order { confirm: confirm.into(), ..Order::default() }).await;
            assert!(wrong.contains("confirm: a restore in place replaces the disk of web; type the service's name, notebooks"), "{wrong}");
        }
        for (reason, want) in [(" ", "reason: is empty"), ("x".repeat(501).as_str(), "reason: is longer than 500")] {
            let wrong = said("notebooks", snapshot, Order { reason: reason.into(), ..confirmed() }).await;
            assert!(wrong.contains(want), "{wrong}");
        }
        let wrong = said("notebooks", snapshot, Order { to_addr_error: vec!["x".into()], ..confirmed() }).await;
        assert!(wrong.contains("to_addr_error"), "{wrong}");
        assert!(said("notebooks", pending, confirmed()).await.contains("has not finished"));
        assert!(said("other", snapshot, Order { confirm: "other".into(), ..confirmed() }).await.contains("there is no snapshot"));
        assert!(said("notebooks", SnapshotId(uuid::Uuid::nil()), confirmed()).await.contains("there is no snapshot"));
        let run = inplace::start(&p.ctx, "notebooks", snapshot, &confirmed()).await.unwrap();
        let row = runs::find(&p.ctx, run).await.unwrap();
        let params: InPlaceParams = row.params().unwrap();
        assert_eq!((row.kind().unwrap(), params.snapshot, params.server.as_str()), (RunKind::InstanceRestore, snapshot, "11111111"));
        // Never at the same time as a snapshot of the instance, nor twice.
        assert_eq!(row.resource_key, Some(format!("instance:{}:web", p.source)));
        assert!(matches!(inplace::start(&p.ctx, "notebooks", snapshot, &confirmed()).await, Err(OpsError::Underway { .. })));
        runs::cancel(&p.ctx, run, "").await.unwrap();
        let again = runs::retry(&p.ctx, run, Retry::All).await.unwrap_err().to_string();
        assert!(again.contains("confirm"), "{again}");
        // A cloud that does not answer is said, with what to do.
        let env: Environment = Arc::new(BTreeMap::from([("LAB".to_owned(), "secret".to_owned())]));
        let silent = inplace::preview(&p.ctx, &env, "notebooks", snapshot).await.unwrap_err();
        assert!(matches!(&silent, OpsError::Conflict(text) if text.contains("Keystone") && !text.contains("secret")), "{silent}");
    }
}
