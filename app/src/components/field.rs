//! Fields of forms: a label, an input, a hint, and what was wrong with it.
//!
//! Lives here: markup of one field each. May not: knowing what a form is for.

use leptos::prelude::*;

use crate::{components::icon, error::AppError};

/// What is wrong with a field.
fn wrong(error: Option<&AppError>, name: &str, id: &str) -> (Option<AnyView>, Option<String>) {
    let said = error.and_then(|e| e.field(name));
    let id = format!("{id}-error");
    let described = said.is_some().then(|| id.clone());
    (said.map(|m| view! { <p class="field__error" id=id>{icon("i-fail")}{crate::error::upper(&m)}</p> }.into_any()), described)
}

/// How one line of text is asked for.
#[derive(Clone, Debug, Default)]
pub struct Line<'a> {
    /// The name of the form's field, and of the field in errors.
    pub name: &'a str,
    pub field: &'a str,
    pub label: &'a str,
    pub hint: &'a str,
    pub value: String,
    /// `text`, `number`, `password`, `url`.
    pub kind: &'static str,
    pub placeholder: &'a str,
    pub required: bool,
}

pub fn line(l: &Line<'_>, error: Option<&AppError>) -> AnyView {
    let id = format!("f-{}", l.name.replace(['[', ']'], "-"));
    let (message, described) = wrong(error, l.field, &id);
    let hint = format!("{id}-hint");
    let by = described.clone().unwrap_or_else(|| hint.clone());
    let kind = if l.kind.is_empty() { "text" } else { l.kind };
    let fill = if kind == "password" { "new-password" } else { "off" };
    let invalid = described.is_some().then_some("true");
    view! {
        <div class="field"><label for=id.clone()>{l.label.to_owned()}</label>
            <input class="input" id=id name=l.name.to_owned() type=kind value=l.value.clone() placeholder=l.placeholder.to_owned()
                required=l.required autocomplete=fill spellcheck="false" aria-describedby=by aria-invalid=invalid/>
            <p class="field__hint" id=hint>{l.hint.to_owned()}</p>{message}</div>
    }
    .into_any()
}

/// Several lines of text.
pub fn lines(name: &'static str, label: &'static str, hint: &'static str, value: String, error: Option<&AppError>) -> AnyView {
    let id = format!("f-{name}");
    let (message, _) = wrong(error, name, &id);
    view! {
        <div class="field"><label for=id.clone()>{label}</label><textarea class="textarea" id=id name=name rows="3" spellcheck="false">{value}</textarea>
            <p class="field__hint">{hint}</p>{message}</div>
    }
    .into_any()
}

/// One of several.
pub fn choose(name: &'static str, label: &'static str, hint: &'static str, options: &[(&str, &str)], chosen: &str) -> AnyView {
    let id = format!("f-{name}");
    let options = options
        .iter()
        .map(|(value, words)| view! { <option value=(*value).to_owned() selected=*value == chosen>{(*words).to_owned()}</option> })
        .collect_view();
    view! {
        <div class="field"><label for=id.clone()>{label}</label><select class="select" id=id name=name>{options}</select><p class="field__hint">{hint}</p></div>
    }
    .into_any()
}

/// Any of several, as check boxes of one name.
pub fn any_of(
    name: &'static str,
    field: &str,
    label: &'static str,
    hint: &'static str,
    options: &[(String, String)],
    chosen: &[String],
    error: Option<&AppError>,
) -> AnyView {
    let (message, _) = wrong(error, field, &format!("f-{field}"));
    let boxes = options
        .iter()
        .map(|(value, words)| {
            let checked = chosen.contains(value);
            view! { <label class="check"><input type="checkbox" name=name value=value.clone() checked=checked/>{words.clone()}</label> }
        })
        .collect_view();
    view! {
        <fieldset class="field"><legend class="field__label">{label}</legend><p class="field__hint">{hint}</p><div class="checks">{boxes}</div>{message}</fieldset>
    }
    .into_any()
}

/// A secret: where it comes from, and the text. What is there already is never shown.
pub fn secret(name: &str, label: &str, hint: &str, there: Option<&str>, required: bool, is_url: bool, error: Option<&AppError>) -> AnyView {
    let id = format!("f-secret-{name}");
    let (message, _) = wrong(error, name, &id);
    let kept = there.map(|from| format!("The one that is there stays ({from})"));
    let mut options = Vec::new();
    if let Some(kept) = kept {
        options.push(("keep", kept));
    } else if !required {
        options.push(("nothing", "None".to_owned()));
    }
    options.push(("typed", "What I type here; it is stored sealed".to_owned()));
    options.push(("file", "The first line of a file on the server".to_owned()));
    options.push(("env", "A variable of the server's environment".to_owned()));
    if there.is_some() && !required {
        options.push(("nothing", "None any more".to_owned()));
    }
    let options = options.into_iter().map(|(value, words)| view! { <option value=value>{words}</option> }).collect_view();
    let (how, value) = (format!("secrets[{name}][how]"), format!("secrets[{name}][value]"));
    let how_id = format!("{id}-how");
    let (kind, example) = if is_url { ("text", "https://…") } else { ("password", "") };
    view! {
        <fieldset class="field"><legend class="field__label">{label.to_owned()}</legend>
            <div class="pair"><div class="field"><label class="vh" for=how_id.clone()>{format!("Where the {label} comes from")}</label><select class="select" id=how_id name=how>{options}</select></div>
            <div class="field"><label class="vh" for=id.clone()>{format!("{label}, or where it is")}</label>
                <input class="input" id=id name=value type=kind autocomplete="new-password" spellcheck="false" placeholder=example/></div></div>
            <p class="field__hint">{hint.to_owned()}</p>{message}</fieldset>
    }
    .into_any()
}
