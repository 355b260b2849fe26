//! A snapshot of an instance and its copies elsewhere: what there is, and the forms that copy it and bring it back.
//!
//! Lives here: the panel and its two server functions. May not: deciding what can be copied (`ops::offsite`).

use domain::{
    id::SnapshotId,
    units::{Timestamp, size},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{Ctx, OpsError, offsite::Standing};
use store::snapshots::SnapshotRow;

use crate::{
    components::{field::choose, icon, panel, time},
    context::ctx,
    error::{AppError, back, go_to_run},
};

/// The panel; nothing for a snapshot of files.
pub(super) async fn panel_of(ctx: &Ctx, row: &SnapshotRow, zone: &TimeZone) -> Result<AnyView, OpsError> {
    let Some(s) = ops::offsite::standing(ctx, row).await? else { return Ok(().into_any()) };
    let now = ctx.now();
    Ok(if row.offsite().is_some() { copy(row, &s, now, zone) } else { original(row, &s, now, zone) })
}

/// Of a snapshot in a cloud.
fn original(row: &SnapshotRow, s: &Standing, now: Timestamp, zone: &TimeZone) -> AnyView {
    let none = (s.others.is_empty() && s.live.is_none()).then(|| {
        view! { <div class="callout callout--warn">{icon("i-warn")}<b>"It is in its cloud alone"</b><div>"A lost cloud would be a lost machine. A copy in a repository is a disk that boots, also without Holdfast."</div></div> }
    });
    let free: Vec<String> = s.places.iter().filter(|p| s.others.iter().all(|(_, there)| there != *p)).cloned().collect();
    let form = match (&s.refusal, row.state.as_str()) {
        (Some(why), _) => Some(view! { <p class="sm">{why.clone()}</p> }.into_any()),
        (None, "pending") => Some(view! { <p class="sm soft">"It can be copied when the cloud has finished it."</p> }.into_any()),
        (None, _) => (s.live.is_none() && !free.is_empty()).then(|| {
            let hint = "A repository of files. Its disk is streamed there, deduplicated and compared with the cloud's checksum.";
            form(CopyOffsite::url(), row, ("repository", "Copy into", hint), &free, s.named.as_deref(), "Copy offsite")
        }),
    };
    let note = match s.others.len() {
        0 => None,
        1 => Some("1 copy".to_owned()),
        n => Some(format!("{n} copies")),
    };
    let body = view! { <div class="panel__body stack">{none}{others(s, now, zone)}{moving(s)}{form}</div> };
    panel("offsite", "Offsite copy", note, None, body.into_any()).into_any()
}

/// Of a copy.
fn copy(row: &SnapshotRow, s: &Standing, now: Timestamp, zone: &TimeZone) -> AnyView {
    let lost = s.others.is_empty().then(|| view! { <p class="sm">"No cloud has this snapshot any more. This is what there is of it."</p> });
    let form = (s.live.is_none() && !s.places.is_empty()).then(|| {
        let hint = "A cloud. An image is made there of the disk, compared by its checksum, and listed as a snapshot again.";
        form(ReturnOffsite::url(), row, ("cloud", "Bring back into", hint), &s.places, s.named.as_deref(), "Bring it back")
    });
    let body = view! {
        <div class="panel__body stack"><p class="sm">"The disk of "<span class="mono brk">{row.label.clone()}</span>" and what it is, as two files."</p>
            {lost}{others(s, now, zone)}{moving(s)}{form}</div>
    };
    panel("offsite", "Offsite copy", None, None, body.into_any()).into_any()
}

fn others(s: &Standing, now: Timestamp, zone: &TimeZone) -> Option<AnyView> {
    let one = |(o, place): &(SnapshotRow, String)| {
        view! {
            <li><a class="mono brk" href=format!("/snapshots/{}", o.id)>{o.label.clone()}</a>" in "{place.clone()}
                <span class="sub">{size(o.bytes)}", taken "{time::moment_with_age(Timestamp(o.taken_at), now, zone)}</span></li>
        }
    };
    (!s.others.is_empty()).then(|| view! { <ul class="stack stack--sm">{s.others.iter().map(one).collect_view()}</ul> }.into_any())
}

fn moving(s: &Standing) -> Option<AnyView> {
    s.live.map(|run| view! { <p class="sm">{icon("i-run")}" "<a href=format!("/runs/{run}")>"A run is at work on it."</a></p> }.into_any())
}

fn form(
    to: &str,
    row: &SnapshotRow,
    (name, label, hint): (&'static str, &'static str, &'static str),
    all: &[String],
    named: Option<&str>,
    button: &str,
) -> AnyView {
    let options: Vec<(&str, &str)> = all.iter().map(|p| (p.as_str(), p.as_str())).collect();
    view! {
        <form action=to.to_owned() method="post">
            <input type="hidden" name="snapshot" value=row.id.to_string()/>
            {choose(name, label, hint, &options, named.unwrap_or_default())}
            <button class="btn">{button.to_owned()}</button>
        </form>
    }
    .into_any()
}

fn id(text: &str) -> ops::Result<SnapshotId> {
    text.parse().map_err(|_| OpsError::not_found("snapshot", text))
}

fn done(snapshot: &str, started: ops::Result<domain::id::RunId>) -> Result<(), AppError> {
    match started {
        Err(e @ (OpsError::Invalid(_) | OpsError::Conflict(_))) => back(&format!("/snapshots/{snapshot}"), e),
        started => go_to_run(started),
    }
}

/// Copies the disk of a snapshot into a repository and shows the run.
#[server(prefix = "/act", endpoint = "copy-offsite")]
pub async fn copy_offsite(snapshot: String, repository: String) -> Result<(), AppError> {
    let started = match id(&snapshot) {
        Ok(id) => ops::offsite::copy(&ctx(), id, Some(&repository)).await,
        Err(e) => Err(e),
    };
    done(&snapshot, started)
}

/// Brings an offsite copy back into a cloud and shows the run.
#[server(prefix = "/act", endpoint = "return-offsite")]
pub async fn return_offsite(snapshot: String, cloud: String) -> Result<(), AppError> {
    let started = match id(&snapshot) {
        Ok(id) => ops::offsite::bring_back(&ctx(), id, Some(&cloud)).await,
        Err(e) => Err(e),
    };
    done(&snapshot, started)
}
