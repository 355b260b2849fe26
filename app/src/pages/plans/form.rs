//! The form of a draft: every field of a plan, by its section.
//!
//! Lives here: labels, hints, rows of lists, and what an autosave found in its way. May not: saving.

use std::collections::BTreeMap;

use leptos::prelude::*;
use ops::plans::Autosaved;

use crate::{
    components::{icon, panel},
    error::{AppError, upper},
};

/// Blank rows at the end of each list.
const BLANK: usize = 2;

/// What the form shows.
pub struct Form<'a> {
    pub entries: BTreeMap<String, String>,
    pub error: Option<&'a AppError>,
}

impl Form<'_> {
    fn value(&self, name: &str) -> String {
        self.entries.get(name).cloned().unwrap_or_default()
    }

    /// How many rows of a list are there.
    fn rows(&self, list: &str) -> usize {
        let index = |name: &String| name.strip_prefix(list)?.strip_prefix('[')?.split(']').next()?.parse::<usize>().ok();
        self.entries.iter().filter(|(_, value)| !value.trim().is_empty()).filter_map(|(name, _)| index(name)).map(|n| n + 1).max().unwrap_or(0)
    }

    /// What is wrong with a field, and the ids of what describes it.
    fn wrong(&self, name: &str, id: &str, hint: &str) -> (Option<AnyView>, Option<&'static str>, Option<String>) {
        let said = self.error.and_then(|e| e.field(name));
        let invalid = said.is_some().then_some("true");
        let by = [(!hint.is_empty()).then(|| format!("{id}-hint")), invalid.map(|_| format!("{id}-error"))];
        let by = Some(by.into_iter().flatten().collect::<Vec<_>>().join(" ")).filter(|b| !b.is_empty());
        let id = format!("{id}-error");
        (said.map(|m| view! { <p class="field__error" id=id>{icon("i-fail")}{upper(&m)}</p> }.into_any()), invalid, by)
    }

    fn line(&self, name: &str, label: &str, hint: &str) -> AnyView {
        let id = id_of(name);
        let (message, invalid, by) = self.wrong(name, &id, hint);
        let hint_id = format!("{id}-hint");
        let hint = (!hint.is_empty()).then(|| view! { <p class="field__hint" id=hint_id>{hint.to_owned()}</p> });
        view! {
            <div class="field"><label for=id.clone()>{label.to_owned()}</label>
                <input class="input" id=id name=name.to_owned() value=self.value(name) autocomplete="off" aria-describedby=by aria-invalid=invalid/>{hint}{message}</div>
        }
        .into_any()
    }

    fn area(&self, name: &str, label: &str, hint: &str, rows: &'static str) -> AnyView {
        let id = id_of(name);
        let (message, invalid, by) = self.wrong(name, &id, hint);
        let hint_id = format!("{id}-hint");
        let hint = (!hint.is_empty()).then(|| view! { <p class="field__hint" id=hint_id>{hint.to_owned()}</p> });
        // A browser drops the first line break of a text area.
        let value = format!("\n{}", self.value(name));
        view! {
            <div class="field"><label for=id.clone()>{label.to_owned()}</label>
                <textarea class="textarea" id=id name=name.to_owned() rows=rows aria-describedby=by aria-invalid=invalid>{value}</textarea>{hint}{message}</div>
        }
        .into_any()
    }

    fn procedures(&self) -> AnyView {
        (0..self.rows("procedures") + BLANK)
            .map(|n| {
                let name = |cell: &str| format!("procedures[{n}].{cell}");
                view! {
                    <fieldset class="row-set"><legend class="field__label">{format!("Procedure {}", n + 1)}</legend>
                        <div class="form__row">{self.line(&name("title"), "Title", "")}{self.line(&name("link"), "Link", "https://…, where it is kept")}</div>
                        {self.area(&name("text"), "Text", "", "3")}</fieldset>
                }
            })
            .collect_view()
            .into_any()
    }

    fn past(&self) -> AnyView {
        (0..self.rows("past_revisions") + BLANK)
            .map(|n| {
                let name = |cell: &str| format!("past_revisions[{n}].{cell}");
                view! {
                    <fieldset class="row-set"><legend class="field__label">{format!("Earlier revision {}", n + 1)}</legend>
                        <div class="form__row">{self.line(&name("version"), "Version", "")}{self.line(&name("date"), "Date", "such as 2019-06-11")}</div>
                        <div class="form__row">{self.line(&name("by"), "By", "")}{self.line(&name("comment"), "Comment", "")}</div></fieldset>
                }
            })
            .collect_view()
            .into_any()
    }

    /// All panels of the form.
    pub fn panels(&self) -> AnyView {
        let body = |parts: Vec<AnyView>| view! { <div class="panel__body form">{parts}</div> }.into_any();
        let introduction = body(vec![self.area("introduction", "Introduction", "What the plan is for. Markdown", "6")]);
        let performance = body(vec![
            view! {
                <div class="form__row">{self.line("performance.availability", "Agreed availability, %", "by month, such as 90")}{self.line("performance.reliability", "Agreed reliability, %", "by month")}</div>
            }
            .into_any(),
            self.area("performance.requirements", "Other requirements", "Markdown", "3"),
            self.area("performance.probes", "Probes", "What watches the service. Markdown", "3"),
        ]);
        let outcome = body(vec![self.area("outcome", "Outcome", "What follows from the risks. Markdown", "4")]);
        let promises = view! {
            <div class="form__row">{self.line("mtpod", "MTPoD", "longest tolerable disruption, such as 2 d")}{self.line("rto", "RTO", "time until it is back, such as 1 d")}{self.line("rpo", "RPO", "data that may be lost, such as 24 h")}</div>
        };
        let additional = body(vec![
            promises.into_any(),
            self.procedures(),
            self.area("invocation_targets", "Targets when invoked", "Markdown", "2"),
            self.area("return_to_normal", "Return to normal", "Markdown", "3"),
            self.area("support_unit", "Support unit", "", "2"),
            self.area("contact", "Contact", "", "2"),
            self.area("escalation", "Escalation", "", "2"),
        ]);
        let test = body(vec![
            self.area("test.details", "Details", "What is tried, and on what. Markdown", "4"),
            self.area("test.steps", "Steps", "One step a line", "8"),
            self.area("test.outcome", "Outcome of the test", "Markdown", "3"),
            self.area("test.log", "Log of the test", "", "4"),
        ]);
        let past = body(vec![self.past()]);
        view! {
            {panel("introduction", "1. Introduction", None, None, introduction)}
            {panel("performance", "3. Performance", Some("what was agreed; what was measured is added by itself".to_owned()), None, performance)}
            {panel("outcome", "5. Outcome", None, None, outcome)}
            {panel("additional", "6. Additional information", None, None, additional)}
            {panel("test", "7. Availability and continuity test", None, None, test)}
            {panel("past", "8. Revisions from before", Some("those made here are added by themselves".to_owned()), None, past)}
        }
        .into_any()
    }
}

fn id_of(name: &str) -> String {
    format!("f-{}", name.replace(['[', ']', '.'], "-"))
}

/// What people call an entry.
pub fn label(name: &str) -> String {
    let cell =
        |words: &str| name.split(['[', ']']).nth(1).and_then(|n| n.parse::<usize>().ok()).map_or_else(|| words.to_owned(), |n| format!("{words} {}", n + 1));
    if name.starts_with("procedures[") {
        return format!("{}, {}", cell("Procedure"), name.rsplit('.').next().unwrap_or_default());
    }
    if name.starts_with("past_revisions[") {
        return format!("{}, {}", cell("Earlier revision"), name.rsplit('.').next().unwrap_or_default());
    }
    let fields = domain::plan::PlanContent::default().fields();
    fields.into_iter().find(|f| f.key == name).map_or_else(|| name.to_owned(), |f| f.title.to_owned())
}

/// Both texts of each field that somebody else has changed meanwhile; nothing where there is none.
pub fn both(came: &Autosaved) -> AnyView {
    if came.conflicts.is_empty() {
        return ().into_any();
    }
    let fields = came.conflicts.iter().map(|c| {
        let ways = if c.unseen {
            view! { <p class="sm">"Your page does not show it. Load it again before you change this list."</p> }.into_any()
        } else {
            view! {
                <p class="row"><button type="button" class="btn btn--sm" data-keep=c.name.clone() data-theirs=c.theirs.clone()>"Put theirs below mine"</button>
                    <button type="button" class="btn btn--sm" data-take=c.name.clone() data-theirs=c.theirs.clone()>"Take theirs"</button></p>
            }
            .into_any()
        };
        let theirs = if c.theirs.is_empty() {
            view! { <p class="muted">"They left it empty."</p> }.into_any()
        } else {
            view! { <pre class="cmd cmd--wrap" tabindex="0">{c.theirs.clone()}</pre> }.into_any()
        };
        view! {
            <li><b>{label(&c.name)}</b>{theirs}{ways}</li>
        }
    });
    view! {
        <div class="callout callout--warn">{icon("i-warn")}<b>{format!("{} has saved the same meanwhile", came.row.updated_by)}</b>
            <div><p>"Their text stands. What you typed is still in the form and is not saved. To keep both, put theirs below yours and edit the result."</p><ul class="stack stack--sm">{fields.collect_view()}</ul></div></div>
    }
    .into_any()
}
