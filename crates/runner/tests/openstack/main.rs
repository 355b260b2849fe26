//! Instances of a real OpenStack: their snapshots, clones and restores, and what goes wrong meanwhile.
//!
//! One program, so that its tests run side by side: most of their time is waiting for the cloud.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "figures are a test's report")]

#[path = "../common/mod.rs"]
mod common;

mod away;
mod clone;
mod credentials;
mod faults;
mod keeping;
mod many;
mod orphans;
mod pending;
mod restore;
mod snapshot;

use common::field::{Boot, Field};
use domain::{
    channel::{ChannelKind, Encryption, Options},
    id::RunId,
    run::StepState,
};
use engine::testing::openstack::Lab;
use ops::{
    notifications::channels::{self, NewChannel},
    seal::Keys,
    secrets::Vault,
};
use store::{steps, testing};

const STEPS: [&str; 9] = ["identify", "stop", "detect", "snapshot", "poll", "record", "clean_up", "start", "notify"];

async fn field(boot: Boot) -> Option<Field> {
    let lab = Lab::of_tests()?;
    Some(Field::new(testing::sqlite().await, lab, boot, str::to_owned).await)
}

async fn states(field: &Field, run: RunId) -> Vec<(String, StepState)> {
    let rows = steps::of_run(field.site.db.db.read().await.unwrap().tx(), run).await.unwrap();
    rows.into_iter().map(|r| (r.name.clone(), r.state().unwrap())).collect()
}

async fn skipped(field: &Field, run: RunId) -> Vec<String> {
    states(field, run).await.into_iter().filter(|(_, s)| *s == StepState::Skipped).map(|(n, _)| n).collect()
}

/// What a failed run says.
async fn why(field: &Field, run: RunId) -> String {
    let row = ops::runs::find(&field.site.ctx, run).await.unwrap();
    format!("{}: {:?}\n{}", row.state, row.failure, field.log(run).await)
}

async fn mail_channel(f: &Field) {
    let keys = Keys::of(&f.site.deps.data_dir);
    keys.make().unwrap();
    let options = Options {
        host: "127.0.0.1".into(),
        port: Some(9),
        encryption: Some(Encryption::None),
        from: "holdfast@example.org".into(),
        to: vec!["ops@example.org".into()],
        ..Options::default()
    };
    let new = NewChannel { name: "mail".into(), kind: ChannelKind::Mail, options, secrets: std::collections::BTreeMap::new() };
    channels::save(&f.site.ctx, &Vault::new(f.site.deps.env.clone(), keys), &new).await.unwrap();
}

/// Mails that wait: receiver and headline.
async fn mails(f: &Field) -> Vec<(String, String)> {
    let all = ops::notifications::deliveries::list(&f.site.ctx, "", "", None, 100).await.unwrap();
    all.into_iter().map(|d| (d.row.recipient, d.row.message.0.headline)).collect()
}
