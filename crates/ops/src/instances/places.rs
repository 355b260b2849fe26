//! Which source a snapshot of a cloud belongs to, by its name.
//!
//! Lives here: the patterns in use of a cloud's sources, the item of an instance. May not: asking the cloud, adopting.

use domain::{
    id::{RepositoryId, ServiceId},
    instance::{Pattern, Server},
    schedule::ScheduleKind,
    units::Timestamp,
};
use engine::job::{InstanceConfig, SourceConfig};
use store::{
    Tx,
    items::{self, ItemRow},
    schedules::{self, Filter, ScheduleRow},
    services::{self, ServiceRow},
    sources::{self, SourceRow},
};

use crate::{Result, schedules::draft_of};

/// Schedules of a service that are read.
const MOST: i64 = 500;

/// A source of a cloud, with the patterns by which its snapshots are named.
#[derive(Clone, Debug)]
pub struct Of {
    pub service: ServiceRow,
    pub source: SourceRow,
    config: InstanceConfig,
    patterns: Vec<Pattern>,
}

impl Of {
    /// Whether an instance of that name is one of the source's.
    pub fn takes(&self, instance: &str) -> bool {
        self.config.takes(instance)
    }
}

/// All sources of a cloud.
#[derive(Clone, Debug)]
pub struct Places(Vec<Of>);

impl Places {
    pub async fn of(mut tx: Tx<'_>, cloud: RepositoryId) -> Result<Self> {
        let mut all = Vec::new();
        for source in sources::configured(tx.by_ref()).await?.into_iter().filter(|s| s.repository_id == cloud.0) {
            let Ok(SourceConfig::OpenstackInstance(config)) = serde_json::from_value(source.config.0.clone()) else { continue };
            let Some(service) = services::find(tx.by_ref(), ServiceId(source.service_id)).await? else { continue };
            let mut patterns = vec![Pattern::default()];
            for (_, pattern, _) in scheduled(tx.by_ref(), &service, &source).await? {
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                }
            }
            all.push(Of { service, source, config, patterns });
        }
        Ok(Self(all))
    }

    pub fn all(&self) -> &[Of] {
        &self.0
    }

    /// The source whose snapshot bears this name by a pattern in use, with the instance and the minute.
    pub fn reads(&self, name: &str) -> Option<(&Of, String, Timestamp)> {
        let read = |of: &Of| of.patterns.iter().filter_map(|p| p.read(name)).find(|(instance, _)| of.takes(instance));
        self.0.iter().find_map(|of| read(of).map(|(instance, at)| (of, instance, at)))
    }
}

/// The schedules that take snapshots of a source's instances: their pattern and how many they keep.
pub(crate) async fn scheduled(tx: Tx<'_>, service: &ServiceRow, source: &SourceRow) -> Result<Vec<(ScheduleRow, Pattern, u32)>> {
    let filter = Filter { service: service.name.clone(), kind: Some(ScheduleKind::Backup) };
    let mut found = Vec::new();
    for row in schedules::page(tx, &filter, "", MOST).await? {
        if row.source_id.is_some_and(|id| id != source.id) {
            continue;
        }
        // Those of a whole service ask for nothing of their own.
        let Ok(draft) = draft_of(&row) else { continue };
        let params = draft.snapshot.unwrap_or_default();
        if let Ok(pattern) = Pattern::parse(&params.pattern) {
            found.push((row, pattern, params.max_snapshots));
        }
    }
    Ok(found)
}

/// The item of an instance: by the cloud's id where that is known, by its name otherwise.
pub(crate) async fn item(mut tx: Tx<'_>, source: &SourceRow, server: &Server, instance: &str) -> Result<Option<ItemRow>> {
    if !server.id.is_empty() {
        // As `item_names` tells those apart that bear one name.
        let short: String = server.id.chars().take(8).collect();
        for name in [format!("{instance}.{short}"), format!("{instance}.{}", server.id), instance.to_owned()] {
            let found = items::find_by_name(tx.by_ref(), source.id(), &name).await?;
            if let Some(found) = found.filter(|i| i.native.as_ref().is_some_and(|n| n.id == server.id)) {
                return Ok(Some(found));
            }
        }
    }
    Ok(items::find_by_name(tx, source.id(), instance).await?)
}
