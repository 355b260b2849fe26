//! What can be done about a service: start a backup, start a restore test, open what went wrong.
//!
//! Lives here: the forms and the server functions behind them. May not: permission (`ops` decides), rules.

use domain::{standing::Finding, work::Selection};
use leptos::{prelude::*, server_fn::ServerFn};
use ops::overview::Standing;

use crate::{
    context::ctx,
    error::{AppError, go, go_to_run, refuse},
};

pub use crate::error::refused;

/// Starts a backup of all sources of a service and shows its run.
#[server(name = BackUp, prefix = "/act", endpoint = "back-up")]
pub async fn back_up(service: String) -> Result<(), AppError> {
    let started = ops::backups::start(&ctx(), &service, None, None).await.map_err(refuse)?;
    match started.as_slice() {
        [one] => go(&format!("/runs/{one}")),
        _ => go(&format!("/runs?service={service}")),
    }
    Ok(())
}

/// Starts a restore test of a service and shows its run. `sample` is `latest`, `all`, or a number of items.
#[server(name = TestRestore, prefix = "/act", endpoint = "test-restore")]
pub async fn test_restore(service: String, sample: String) -> Result<(), AppError> {
    let selection = match sample.as_str() {
        "latest" => Selection::Latest,
        "all" => Selection::All,
        n => Selection::Sample {
            count: n.parse().map_err(|_| refuse(ops::OpsError::invalid("sample", "must be “latest”, “all” or a number of items")))?
        },
    };
    go_to_run(ops::restore_tests::start(&ctx(), &service, selection).await)
}

/// Runs a restore test again and shows its run. `snapshots` is `same` or `new`.
#[server(name = RerunTest, prefix = "/act", endpoint = "rerun-test")]
pub async fn rerun_test(test: String, snapshots: String) -> Result<(), AppError> {
    let id = test.parse().map_err(|_| refuse(ops::OpsError::not_found("restore test", &test)))?;
    let again = ops::restore_tests::Again::parse(&snapshots).ok_or_else(|| refuse(ops::OpsError::invalid("snapshots", "must be “same” or “new”")))?;
    go_to_run(ops::restore_tests::rerun(&ctx(), id, again).await)
}

/// The button that backs a service up now. `class` is added to `btn`.
pub fn back_up_button(service: &str, class: &str) -> AnyView {
    view! {
        <form method="post" action=BackUp::url()><input type="hidden" name="service" value=service.to_owned()/><button class=format!("btn {class}")>"Back up now"</button></form>
    }
    .into_any()
}

/// Starts a check of a repository's structure and shows its run.
#[server(name = CheckRepository, prefix = "/act", endpoint = "check-repository")]
pub async fn check_repository(repository: String) -> Result<(), AppError> {
    go_to_run(ops::checks::start(&ctx(), &repository, false).await)
}

/// The button that checks a repository now.
pub fn check_button(repository: &str, class: &str) -> AnyView {
    view! {
        <form method="post" action=CheckRepository::url()><input type="hidden" name="repository" value=repository.to_owned()/><button class=format!("btn {class}")>"Check it now"</button></form>
    }
    .into_any()
}

/// The button that starts a restore test of five items at random.
pub fn test_button(service: &str, class: &str) -> AnyView {
    view! {
        <form method="post" action=TestRestore::url()><input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="sample" value="5"/>
            <button class=format!("btn {class}")>"Run a restore test"</button></form>
    }
    .into_any()
}

/// The one act that a finding asks for. Whoever may not act is led to what can be read.
pub fn remedy(finding: Finding, s: &Standing, may_act: bool) -> AnyView {
    let link = |href: String, words: &'static str| {
        view! { <a class="btn btn--sm" href=href>{words}<span class="vh">{format!(" of {}", s.row.title)}</span></a> }.into_any()
    };
    let service = || link(format!("/services/{}", s.row.name), "Open the service");
    let run = || s.row.last_run_id.map_or_else(service, |id| link(format!("/runs/{id}"), "Open the run"));
    match finding {
        Finding::RunFailed { .. } | Finding::RunPartial { .. } => run(),
        Finding::RestoreFailed { .. } | Finding::RtoBreached { .. } | Finding::NotChecked { .. } => {
            s.row.last_test_id.map_or_else(service, |id| link(format!("/tests/{id}"), "Open the test"))
        }
        Finding::OnHold { .. } => link(crate::components::address::with_query("/holds", &[("state", "undecided"), ("service", &s.row.name)]), "Decide"),
        Finding::NoCopy | Finding::RpoOverdue { .. } if s.last_run_failed() => run(),
        Finding::NoCopy | Finding::RpoOverdue { .. } | Finding::NoData if may_act => back_up_button(&s.row.name, "btn--sm"),
        Finding::NeverRestored | Finding::ProofOld { .. } if may_act => test_button(&s.row.name, "btn--sm"),
        _ => service(),
    }
}
