//! Restore tests as evidence: recorded with the test by any worker, signed where the server's key is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Site;
use domain::{id::RunId, run::RunState, work::Selection};
use ops::{
    evidence::{self, Signed},
    seal::Keys,
    secrets::Vault,
};
use store::testing;

async fn tested(site: &Site) -> (RunId, evidence::Record) {
    let run = ops::restore_tests::start(&site.ctx, "notebooks", Selection::All).await.unwrap();
    let done = site.end(run).await;
    assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
    let row = ops::restore_tests::of_run(&site.ctx, run).await.unwrap().unwrap();
    (run, evidence::of_test(&site.ctx, domain::id::RestoreTestId(row.id)).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_key_records_and_the_server_signs() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let (run, first) = tested(&site).await;
        assert_eq!(first.signed, Signed::Waiting, "{}", site.db.name);
        let keys = Keys::of(&site.deps.data_dir);
        keys.make().unwrap();
        let vault = Vault::new(site.deps.env.clone(), keys);
        // The server's loop does the same.
        let stop = tokio::time::sleep(std::time::Duration::from_millis(200));
        runner::evidence::watch(site.deps.clone(), stop).await;
        assert_eq!(evidence::tend(&site.ctx, &vault).await.unwrap(), 0, "{}: all is signed", site.db.name);
        let (_, second) = tested(&site).await;
        assert_eq!(second.signed, Signed::Valid, "{}: with the key at hand it is signed at once", site.db.name);
        let walked = evidence::chain(&site.ctx).await.unwrap();
        assert_eq!((walked.records, walked.waiting, walked.fault), (3, 0, None), "{}", site.db.name);
        let payload = String::from_utf8(evidence::envelope(&site.ctx, 1).await.unwrap().bytes().unwrap()).unwrap();
        for part in [
            run.to_string().as_str(),
            "\"selection\":\"all\"",
            "\"restic\":\"",
            "\"verdict\":\"passed\"",
            "\"name\":\"recapture\"",
            "\"gone_at\":\"20",
            "\"plan\":null",
        ] {
            assert!(payload.contains(part), "{}: {part} in {payload}", site.db.name);
        }
    }
}
