//! The signature of one test, on its report.

use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::evidence::{Record, Said, Signed};

use super::act::Countersign;
use crate::components::{icon_sm, panel, time::full};

pub fn signature(r: &Record, zone: &TimeZone) -> AnyView {
    let (class, symbol, word, text) = match r.signed {
        Signed::Valid => ("s-ok", "i-ok", "Valid.", "Signed when the test was recorded, unchanged since."),
        Signed::Waiting => ("", "i-clock", "Not signed yet.", "A worker without the server's key recorded it; the server signs it within a minute."),
        Signed::Broken => ("s-fail", "i-fail", "Does not fit.", "What stands in the database is not what was signed."),
        Signed::Never => ("", "i-unknown", "Recorded before signing began.", "Nothing was signed for it, and nothing is signed later."),
    };
    let facts = r.row.as_ref().map(|row| {
        let key = row.key_id.as_ref().map(|k| view! { "Key "<span class="hash hash--wrap">{k.clone()}</span>", " });
        let envelope = (r.signed == Signed::Valid || r.signed == Signed::Broken)
            .then(|| view! { <p class="sm no-print"><a href=format!("/api/v1/evidence/{}/envelope", row.id) download>"Envelope"</a></p> });
        view! {
            <p class="hash hash--wrap">{format!("sha256 {}", row.hash)}</p>
            <p class="sm">{key}{format!("chain link {}", row.seq)}</p>
            {envelope}
        }
    });
    let given = (!r.countersignatures.is_empty()).then(|| {
        let line = |s: &Said| {
            let note = (!s.note.is_empty()).then(|| view! { <span class="sub brk">{s.note.clone()}</span> });
            let (class, symbol) = if s.signed { ("s-ok", "i-ok") } else { ("s-fail", "i-fail") };
            view! { <li><span class=class>{icon_sm(symbol, "")}</span>{format!(" {} ({}), {}, chain link {}", s.name, s.role, full(s.at, zone), s.seq)}{note}</li> }
        };
        view! { <h3 class="sm">"Countersigned"</h3><ul class="stack stack--sm sm">{r.countersignatures.iter().map(line).collect_view()}</ul> }
    });
    let form = r.row.as_ref().filter(|_| r.open).map(|row| {
        view! {
            <form class="no-print stack stack--sm" method="post" action=Countersign::url()>
                <input type="hidden" name="record" value=row.id.to_string()/>
                <div class="field"><label for="countersign-note">"What you looked at (may stay empty)"</label>
                    <input class="input" id="countersign-note" name="note" maxlength="500" autocomplete="off" aria-describedby="countersign-h"/>
                    <p class="field__hint" id="countersign-h">"Your name, the date and this note are signed. It adds a record and changes none; it stands once a person."</p></div>
                <p><button class="btn">"Countersign"</button></p>
            </form>
        }
    });
    let body = view! {
        <div class="panel__body stack stack--sm"><div class="sig stack stack--sm">
            <p class="sm"><span class=class>{icon_sm(symbol, "")}</span>" "<b>{word}</b>" "{text}</p>{facts}</div>
            {given}{form}</div>
    };
    panel("signature", "Signature", None, None, body.into_any()).into_any()
}
