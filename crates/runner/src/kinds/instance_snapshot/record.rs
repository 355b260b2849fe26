//! The step that writes a snapshot down: its row, its item, the service's facts.
//!
//! Lives here: that. May not: asking the cloud. Done twice, it changes nothing.

use std::sync::Arc;

use domain::{
    id::{ItemId, ServiceId, SnapshotId, SourceId},
    instance::NativeSnapshot,
    run::ItemState,
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    items, repositories,
    run_items::{self, ItemProblems, NewRunItem},
    services,
    snapshots::{self, NewSnapshot},
};

use super::{identify::Found, words};
use crate::{
    clouds::link::Reach,
    exec::Cx,
    kinds::{service, source},
    step::{Done, Result, Step},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    pub snapshot: SnapshotId,
    pub item: ItemId,
    pub service: ServiceId,
}

pub struct Record {
    pub reach: Arc<Reach>,
    pub source: SourceId,
    pub found: Found,
    pub snapshot: NativeSnapshot,
    /// The cloud has accepted it and has not finished.
    pub pending: bool,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = Recorded;

    fn input(&self) -> Value {
        json!({"unit": self.snapshot.unit_id(), "name": self.snapshot.name, "pending": self.pending})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Recorded>> {
        let of = service(cx, ServiceId(source(cx, self.source).await?.service_id)).await?;
        let project = self.reach.cloud(cx).await?.project_id().to_owned();
        let (now, s) = (cx.now(), &self.snapshot);
        let text = if self.pending { format!("the cloud has accepted {}; it is recorded as pending", s.name) } else { words::there(s) };
        let mut t = cx.begin(&[cx.event("log", "info", text, None)]).await?;
        let item = match self.found.item {
            Some(item) => item,
            None => items::listed(t.tx(), self.source, of.id(), &self.found.item_name, &s.server, now).await?,
        };
        let state = if self.pending { "pending" } else { "complete" };
        let new = NewSnapshot {
            service: Some(of.id()),
            source: Some(self.source),
            item: Some(item),
            run: Some(cx.id()),
            ..NewSnapshot::native(self.reach.repository, s, self.found.at, state)
        };
        let snapshot = snapshots::insert(t.tx(), &new).await?;
        snapshots::set_native(t.tx(), snapshot, s).await?;
        if !self.pending {
            items::set_snapshot(t.tx(), item, snapshot, self.found.at, s.bytes()).await?;
        }
        let result = NewRunItem {
            run: cx.id(),
            name: &self.found.item_name,
            item: Some(item),
            state: ItemState::Ok,
            snapshot: Some(snapshot),
            files: 0,
            bytes: new.bytes,
            bytes_added: 0,
            problems: &ItemProblems::default(),
            finished_at: now,
        };
        run_items::save(t.tx(), &result).await?;
        repositories::set_size(t.tx(), self.reach.repository, Some(&project), None, now).await?;
        services::count_items(t.tx(), of.id(), of.rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        cx.commit(t).await?;
        // It stands: a wish to cancel comes too late.
        cx.settle();
        Ok(Done::ok(Recorded { snapshot, item, service: of.id() }))
    }
}
