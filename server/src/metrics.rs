//! The names of the metrics and their text (R56).
//!
//! Lives here: what this process counts, and the figures of the installation as gauges. May not: gathering the figures
//! (`ops::metrics`), who may read them.
//! Invariant: labels come from bounded sets: routes of the router, kinds and states of runs, services, repositories.
//! The figures of the installation are written anew for every scrape, so that what was removed is gone at once.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use domain::units::Timestamp;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use ops::{Ctx, metrics::Figures};
use store::Db;
use tokio::sync::Mutex;

/// Figures that are younger are given again: many scrapers ask the database no more than one.
const YOUNG: Duration = Duration::from_secs(3);
/// Samples of histograms are taken in this often.
const UPKEEP: Duration = Duration::from_secs(5);

const HTTP_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const RUN_SECONDS: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0];

static PROCESS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to count. Called by whoever serves the figures; later calls do nothing.
pub fn install() {
    PROCESS.get_or_init(|| match build() {
        Ok(handle) => {
            let upkeep = handle.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    upkeep.run_upkeep();
                }
            });
            Some(handle)
        }
        Err(e) => {
            tracing::error!(error = %e, "this process cannot count; its metrics stay empty");
            None
        }
    });
}

fn build() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("holdfast_http_request_duration_seconds".to_owned()), HTTP_SECONDS)?
        .set_buckets_for_metric(Matcher::Full("holdfast_run_duration_seconds".to_owned()), RUN_SECONDS)?
        .install_recorder()?;
    describe_counter!("holdfast_http_requests_total", "Answers by method, route and class of status");
    describe_histogram!("holdfast_http_request_duration_seconds", Unit::Seconds, "Time until an answer begins, by route");
    describe_histogram!("holdfast_run_duration_seconds", Unit::Seconds, "How long runs took that ended in this process, waiting for attempts included");
    describe_counter!("holdfast_run_bytes_total", Unit::Bytes, "Bytes that runs of this process handled (read) and wrote anew to repositories (added)");
    describe_gauge!("holdfast_build_info", "Always 1; the version is a label");
    describe_gauge!("holdfast_db_connections", "Connections to the database by pool and state");
    describe_gauge!("holdfast_db_connections_max", "The most connections of a pool");
    Ok(handle)
}

/// What this process did and has.
pub fn process(db: &Db) -> String {
    let Some(Some(handle)) = PROCESS.get() else { return String::new() };
    gauge!("holdfast_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for pool in db.pools() {
        gauge!("holdfast_db_connections", "pool" => pool.pool, "state" => "idle").set(pool.idle as f64);
        gauge!("holdfast_db_connections", "pool" => pool.pool, "state" => "busy").set(f64::from(pool.open) - pool.idle as f64);
        gauge!("holdfast_db_connections_max", "pool" => pool.pool).set(f64::from(pool.most));
    }
    handle.render()
}

/// The text of the last figures.
#[derive(Clone, Debug)]
pub struct Kept {
    at: Instant,
    text: String,
}

/// How the installation stands.
pub async fn installation(ctx: &Ctx, kept: &Mutex<Option<Kept>>) -> ops::Result<String> {
    let mut kept = kept.lock().await;
    if let Some(k) = kept.as_ref().filter(|k| k.at.elapsed() < YOUNG) {
        return Ok(k.text.clone());
    }
    let text = write(&ops::metrics::gather(ctx).await?, ctx.now());
    *kept = Some(Kept { at: Instant::now(), text: text.clone() });
    Ok(text)
}

fn write(f: &Figures, now: Timestamp) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        runs(f, now);
        alerts(f);
        services(f, now);
        repositories(f, now);
        workers(f);
    });
    recorder.handle().render()
}

/// Seconds since then; what never was is endlessly long ago, so that a rule with “greater than” finds it.
fn age(at: Option<i64>, now: Timestamp) -> f64 {
    at.map_or(f64::INFINITY, |at| now.secs_since(Timestamp(at)).max(0.0))
}

fn runs(f: &Figures, now: Timestamp) {
    describe_gauge!("holdfast_runs", "Runs that run or wait, by kind and state");
    describe_counter!("holdfast_runs_ended_total", "Runs that have ended, by kind and state");
    describe_gauge!("holdfast_queue_waiting", "Runs that are due and wait for a worker, a resource or a place in their repository");
    describe_gauge!("holdfast_queue_oldest_seconds", Unit::Seconds, "How long the oldest of them has waited");
    for kind in domain::run::RunKind::ALL {
        for state in domain::run::RunState::ALL {
            let n = f.runs.iter().find(|r| r.kind == kind.as_str() && r.state == state.as_str()).map_or(0, |r| r.runs);
            if state.is_live() {
                gauge!("holdfast_runs", "kind" => kind.as_str(), "state" => state.as_str()).set(n as f64);
            } else {
                counter!("holdfast_runs_ended_total", "kind" => kind.as_str(), "state" => state.as_str()).absolute(u64::try_from(n).unwrap_or(0));
            }
        }
    }
    gauge!("holdfast_queue_waiting").set(f.queue.waiting as f64);
    gauge!("holdfast_queue_oldest_seconds").set(f.queue.oldest_at.map_or(0.0, |at| age(Some(at), now)));
}

fn alerts(f: &Figures) {
    describe_gauge!("holdfast_alerts", "Alerts that stand, by kind and severity: holds that wait for a decision, schedules whose runs were missed, and so on");
    for kind in domain::alert::AlertKind::ALL {
        let n = f.alerts.iter().find(|(k, _)| k == kind.as_str()).map_or(0, |(_, n)| *n);
        gauge!("holdfast_alerts", "kind" => kind.as_str(), "severity" => kind.severity().as_str()).set(n as f64);
    }
}

fn services(f: &Figures, now: Timestamp) {
    describe_gauge!("holdfast_service_rpo_seconds", Unit::Seconds, "The most data that may be lost, as promised");
    describe_gauge!("holdfast_service_snapshot_age_seconds", Unit::Seconds, "Since the newest snapshot of the service; +Inf: there is none");
    describe_gauge!("holdfast_service_passed_test_age_seconds", Unit::Seconds, "Since a restore test passed; +Inf: none ever did");
    describe_gauge!("holdfast_service_items", "Items that the sources of the service list");
    describe_gauge!("holdfast_service_items_stale", "Items without a snapshot within the promised RPO");
    for s in &f.services {
        if let Some(rpo) = s.rpo_s {
            gauge!("holdfast_service_rpo_seconds", "service" => s.name.clone()).set(rpo as f64);
        }
        gauge!("holdfast_service_snapshot_age_seconds", "service" => s.name.clone()).set(age(s.last_snapshot_at, now));
        gauge!("holdfast_service_passed_test_age_seconds", "service" => s.name.clone()).set(age(s.last_passed_at, now));
        gauge!("holdfast_service_items", "service" => s.name.clone()).set(s.items as f64);
        gauge!("holdfast_service_items_stale", "service" => s.name.clone()).set(s.stale as f64);
    }
}

fn repositories(f: &Figures, now: Timestamp) {
    describe_gauge!("holdfast_repository_size_bytes", Unit::Bytes, "What the repository takes on its storage");
    describe_gauge!("holdfast_repository_check_age_seconds", Unit::Seconds, "Since its structure was checked; +Inf: never");
    describe_gauge!("holdfast_repository_data_check_age_seconds", Unit::Seconds, "Since all of its data were read and verified; +Inf: never");
    describe_gauge!(
        "holdfast_repository_oldest_unread_seconds",
        Unit::Seconds,
        "How long the pack has waited that waits longest to be read; +Inf: no check has looked"
    );
    describe_gauge!("holdfast_repository_damaged", "1 where the last check found damage");
    describe_gauge!("holdfast_repository_max_parallel", "Runs at a time that may use it, where that is limited");
    for r in &f.repositories {
        if let Some(size) = r.size_bytes {
            gauge!("holdfast_repository_size_bytes", "repository" => r.name.clone()).set(size as f64);
        }
        gauge!("holdfast_repository_check_age_seconds", "repository" => r.name.clone()).set(age(r.checked_at, now));
        gauge!("holdfast_repository_data_check_age_seconds", "repository" => r.name.clone()).set(age(r.data_checked_at, now));
        gauge!("holdfast_repository_oldest_unread_seconds", "repository" => r.name.clone()).set(age(r.reading_waits_since, now));
        let damaged = r.check_state.as_deref().is_some_and(|s| s != "ok");
        gauge!("holdfast_repository_damaged", "repository" => r.name.clone()).set(f64::from(u8::from(damaged)));
        if let Some(most) = r.max_parallel {
            gauge!("holdfast_repository_max_parallel", "repository" => r.name.clone()).set(most as f64);
        }
    }
}

fn workers(f: &Figures) {
    describe_gauge!("holdfast_workers", "Workers by whether they said lately that they live");
    describe_gauge!("holdfast_worker_slots", "Runs at a time that the living workers take");
    let alive = f.workers.iter().filter(|w| w.is_alive);
    gauge!("holdfast_worker_slots").set(alive.clone().map(|w| w.row.slots).sum::<i64>() as f64);
    let alive = alive.count();
    gauge!("holdfast_workers", "state" => "alive").set(alive as f64);
    gauge!("holdfast_workers", "state" => "silent").set((f.workers.len() - alive) as f64);
}
