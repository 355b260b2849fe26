//! The copies of Holdfast itself that a repository holds (R62).
//!
//! Lives here: the panel. May not: rules, making a recovery key (whoever has a shell does).

use domain::units::{Timestamp, count, size, span};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use store::installation::CopyRow;

use super::{
    act::{CopyHoldfast, TestCopy},
    show::{act, when},
};
use crate::components::{
    icon, panel,
    status::{Tone, chip},
};

/// The newest copy, how its restore test went, and whether secrets can be brought back.
pub(super) fn itself(repository: &str, copies: &[CopyRow], has_key: bool, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let newest = copies.first();
    let tested = copies.iter().filter(|c| c.tested_at.is_some()).max_by_key(|c| c.tested_at);
    let no_key = (!has_key).then(|| {
        view! {
            <div class="callout callout--warn">{icon("i-warn")}<b>"No recovery key was made"</b>
                <div>"Without one a rebuilt Holdfast has its services, people and history, and none of its secrets. Make one on the server, and keep its paper elsewhere: "
                    <code class="nowrap">"holdfast installation recovery-key"</code></div></div>
        }
    });
    let held = newest.map(|c| {
        let sealed = if c.sealed { "secrets sealed under the recovery key" } else { "without secrets" };
        view! { <dt>"Holds"</dt><dd>{format!("{} records, {}", count(c.row_count), size(c.bytes))}<span class="sub">{sealed}</span></dd> }
    });
    let verdict = match tested.and_then(|c| c.verdict.as_deref()) {
        None => chip(Tone::None, "never tested").into_any(),
        Some("passed") => chip(Tone::Ok, "passed").into_any(),
        Some("failed") => chip(Tone::Fail, "failed").into_any(),
        Some(_) => chip(Tone::None, "could not check").into_any(),
    };
    let took = tested.and_then(|c| c.rto_s).map(|s| view! { <span class="sub">{format!("back after {}", span(s))}</span> });
    let body = view! {
        <div class="panel__body stack stack--sm">
            <p>"Services, people, history and the audit trail are copied here within ten minutes of a change, and at least once a day. "
                <code class="nowrap">"holdfast rebuild"</code>" brings them back from this repository alone."</p>
            {no_key}
            <dl class="kv"><dt>"Newest copy"</dt><dd>{when(newest.map(|c| c.taken_at), now, zone)}<span class="sub">{format!("{} kept", count(copies.len() as i64))}</span></dd>
                {held}<dt>"Restore test"</dt><dd>{when(tested.and_then(|c| c.tested_at), now, zone)}{took}</dd></dl>
            {may.then(|| view! { <div class="row">{act(CopyHoldfast::url(), repository, "btn--sm", "Copy now")}
                {newest.map(|_| act(TestCopy::url(), repository, "btn--quiet btn--sm", "Test the newest"))}</div> })}
        </div>
    };
    panel("itself", "Holdfast itself", None, newest.map(|_| verdict), body.into_any()).into_any()
}
