//! A tamper test of a repository: can whoever writes it destroy it (R14)?
//!
//! Lives here: the steps `probe` and `record`. May not: what the findings mean (`domain::tamper`).
//! The probe is named by the run, so that a step that is done again leaves no second one.

use domain::{id::RepositoryId, run::RunEvent, tamper::Findings};
use engine::job::{Job, Outcome, TamperJob};
use serde_json::{Value, json};
use store::repositories;

use super::{given, repository};
use crate::{
    child::{self, Nothing},
    exec::{Cx, Ended, Exec},
    step::{Done, Result, Step},
};

pub const STEPS: &[&str] = &[Probe::NAME, Record::NAME];

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let findings = exec.step(Probe { repository: id }).await?;
    exec.step(Record { repository: id, findings: findings.clone() }).await?;
    // That nothing protects a repository is a finding, not a failure of the test.
    Ok(Ended::new(RunEvent::Succeed, &findings, None))
}

struct Probe {
    repository: RepositoryId,
}

#[async_trait::async_trait]
impl Step for Probe {
    const NAME: &'static str = "probe";
    type Out = Findings;

    fn input(&self) -> Value {
        json!({"repository": self.repository})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Findings>> {
        let row = repository(cx, self.repository).await?;
        let run = cx.id().to_string();
        match child::job(cx, Self::NAME, &row, |access| Job::TamperTest(TamperJob { access, run }), &Nothing).await? {
            Outcome::TamperTested(findings) => Ok(Done::ok(findings)),
            other => Err(child::unexpected(&other)),
        }
    }
}

struct Record {
    repository: RepositoryId,
    findings: Findings,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"protection": self.findings.judge()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let words = format!("{}: {}", self.findings.judge().as_str(), self.findings.words());
        let mut t = cx.begin(&[cx.event("log", "info", words, None)]).await?;
        repositories::set_tamper_test(t.tx(), self.repository, &self.findings, cx.now()).await?;
        cx.commit(t).await?;
        Ok(Done::ok(()))
    }
}
