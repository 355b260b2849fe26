//! What lies in a cloud and is named by no record.
//!
//! Lives here: the panel of a cloud's page, with adopting and deleting. May not: rules.

use domain::{
    instance::OrphanWhy,
    units::{Timestamp, count, size},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::instances::orphans::{Found, Orphan};

use super::orphan_acts::{AdoptOrphan, DeleteOrphan};
use crate::{
    components::{
        address::{encode, with_query},
        dialog::dialog,
        pager::{key, pager},
        panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, moment, relative},
    },
    error::upper,
    pages::instances::parts::place,
};

/// Orphans of one page.
pub(super) const ROWS: i64 = 50;

const fn words(why: OrphanWhy) -> (Tone, &'static str) {
    match why {
        OrphanWhy::RunGone => (Tone::Warn, "run gone"),
        OrphanWhy::Unrecorded => (Tone::Warn, "left by a run"),
        OrphanWhy::RecordGone => (Tone::Warn, "recorded as gone"),
        OrphanWhy::PartsMissing => (Tone::Fail, "parts missing"),
        OrphanWhy::FitsPattern | OrphanWhy::Foreign => (Tone::None, "fits a pattern"),
    }
}

/// The panel; `first` says that nothing comes before these.
pub(super) fn orphans(found: &Found, first: bool, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let cloud = &found.cloud.name;
    let note = (found.count > 0).then(|| count(found.count));
    if found.orphans.is_empty() {
        let body = view! {
            <p class="panel__body sm soft">"Every image and volume snapshot that a run here has made, or whose name fits a pattern in use, is named by a record. The cloud's list is compared with the records every ten minutes."</p>
        };
        return panel("orphans", "Orphans", note, None, body.into_any()).into_any();
    }
    let rows = found.orphans.iter().map(|o| row(cloud, o, may, now, zone)).collect_view();
    let head = view! {
        {th("Name", "")}{th("Why", "")}{th("Made", "col-md")}{th("Size", "num col-md")}{th("Would be of", "col-lo")}
        {may.then(|| view! { <th scope="col"><span class="vh">"Act"</span></th> })}
    };
    let dialogs = may.then(|| found.orphans.iter().filter(|o| o.row.delete_at.is_none()).map(|o| delete_dialog(cloud, o)).collect_view());
    let here = format!("/repositories/{}", encode(cloud));
    let next = found.next.map(|(at, id)| ("Older", with_query(&here, &[("before", &key(at.0, id.0))])));
    let pages = pager((!first).then(|| ("Newest", here.clone())), next);
    let body = view! {
        <div class="panel__body"><p class="sm soft">"Images and volume snapshots that no record names. Adopting one makes it a snapshot of its instance: from then on max_snapshots counts it. What is nobody's can be deleted."</p></div>
        {table("Orphans, the newest first", "table--top", head.into_any(), rows.into_any())}{pages}{dialogs}
    };
    panel("orphans", "Orphans", note, None, body.into_any()).into_any()
}

fn row(cloud: &str, o: &Orphan, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let (tone, word) = words(o.why);
    let at = Timestamp(o.row.made_at);
    let pieces = match (o.row.native.image.is_some(), o.row.native.volumes.len()) {
        (true, 0) => "an image".to_owned(),
        (true, 1) => "an image and a volume snapshot".to_owned(),
        (true, n) => format!("an image and {n} volume snapshots"),
        (false, 1) => "a volume snapshot".to_owned(),
        (false, n) => format!("{n} volume snapshots"),
    };
    let unknown = (o.place.is_ok() && !o.unknown.is_empty()).then(|| view! { <span class="sub">{format!("not known: {}", o.unknown.join(", "))}</span> });
    let of = match &o.place {
        Ok(f) => view! { <a href=place(&f.service, &f.source, &f.instance)>{f.instance.clone()}</a><span class="sub">{format!("{}/{}", f.service, f.source)}</span>{unknown} }.into_any(),
        Err(why) => view! { <span class="sm soft">{upper(why)}</span> }.into_any(),
    };
    let ordered = o.row.delete_at.map(|at| {
        let by = o.row.delete_by.clone().unwrap_or_default();
        view! { <span class="sub">{chip(Tone::Run, "being deleted")}{format!(" ordered by {by} {}", relative(Timestamp(at), now))}</span> }
    });
    let trouble = o.row.trouble.clone().map(|t| view! { <span class="sub brk">{format!("Could not be deleted: {t}")}</span> });
    let acts = may.then(|| {
        let adopt = o.place.is_ok().then(|| {
            view! {
                <form method="post" action=AdoptOrphan::url()><input type="hidden" name="repository" value=cloud.to_owned()/>
                    <input type="hidden" name="orphan" value=o.row.id.to_string()/>
                    <button class="btn btn--sm">"Adopt"<span class="vh">{format!(" {}", o.row.name)}</span></button></form>
            }
        });
        let delete = o.row.delete_at.is_none().then(|| {
            view! { <a class="btn btn--sm" href=format!("#delete-{}", o.row.id)>"Delete"<span class="vh">{format!(" {}", o.row.name)}</span></a> }
        });
        view! { <td><div class="row">{adopt}{delete}</div></td> }
    });
    view! {
        <tr><th scope="row"><span class="mono brk">{o.row.name.clone()}</span><span class="sub">{pieces}</span></th>
            <td>{chip(tone, word)}<span class="sub">{upper(&o.row.detail)}</span>{ordered}{trouble}</td>
            <td class="col-md"><span title=full(at, zone)>{moment(at, now, zone)}</span><span class="sub">{relative(at, now)}</span></td>
            <td class="num col-md">{size(o.row.bytes)}</td><td class="col-lo">{of}</td>{acts}</tr>
    }
    .into_any()
}

fn delete_dialog(cloud: &str, o: &Orphan) -> AnyView {
    let id = o.row.id;
    let (form, name, why) = (format!("delete-form-{id}"), format!("delete-name-{id}"), format!("delete-why-{id}"));
    let (name_hint, why_hint) = (format!("{name}-h"), format!("{why}-h"));
    let n = &o.row.native;
    let pieces = n.image.iter().map(|i| format!("image {}", i.id)).chain(n.volumes.iter().map(|v| format!("volume snapshot {}", v.id)));
    let body = view! {
        <p>"It is deleted in the cloud, and nobody can bring it back:"</p>
        <ul class="sm mono brk">{pieces.map(|p| view! { <li>{p}</li> }).collect_view()}</ul>
        <form action=DeleteOrphan::url() method="post" id=form.clone()>
            <input type="hidden" name="repository" value=cloud.to_owned()/><input type="hidden" name="orphan" value=id.to_string()/>
            <div class="field"><label for=name.clone()>"Its name"</label>
                <input class="input input--mono" id=name name="name" required autocomplete="off" spellcheck="false" aria-describedby=name_hint.clone()/>
                <p class="field__hint" id=name_hint>"Type "<span class="mono brk">{o.row.name.clone()}</span></p></div>
            <div class="field"><label for=why.clone()>"Reason"</label>
                <input class="input" id=why name="reason" maxlength="500" required autocomplete="off" aria-describedby=why_hint.clone()/>
                <p class="field__hint" id=why_hint>"It is kept in the audit trail."</p></div>
        </form>
    };
    let button = view! { <button class="btn btn--danger" form=form>"Delete it"</button> };
    dialog(&format!("delete-{id}"), "Delete this orphan?", "Leave it", body.into_any(), button.into_any())
}
