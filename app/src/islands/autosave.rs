//! A form that saves itself while one types, and never over somebody else's text.
//!
//! Lives here: sending what was changed a second after the last key, and putting what comes back into its places. May not:
//! merging, words: the server says what was saved and sends finished parts. Without it the form has a button for the same.

use leptos::prelude::*;

/// Follows the form of that id; `url` takes its changes. `says` and `both` are the ids of the line that says how it went and
/// of the place for what somebody else has saved; `lost` is what the line says without a connection.
#[allow(clippy::needless_pass_by_value, reason = "the props of an island are owned: they travel as JSON")]
#[island]
pub fn Autosave(form: String, url: String, says: String, both: String, lost: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    browser::follow(&form, url, says, both, lost);
    #[cfg(not(feature = "hydrate"))]
    let _ = (form, url, says, both, lost);
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::{
        cell::{Cell, RefCell},
        collections::HashMap,
        rc::Rc,
    };

    use serde::{Deserialize, Serialize};
    use wasm_bindgen::{JsCast, closure::Closure};
    use web_sys::{HtmlElement, HtmlFormElement, HtmlInputElement, HtmlTextAreaElement, XmlHttpRequest};

    use crate::islands::dom::{all, document, first, on, target};

    /// Milliseconds after the last key, and before another try.
    const PAUSE_MS: i32 = 1_000;
    const AGAIN_MS: i32 = 10_000;

    #[derive(Serialize)]
    struct Edit {
        name: String,
        found: String,
        typed: String,
    }

    /// What the server answers; a refusal has a message alone.
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        version: String,
        #[serde(default)]
        entries: Vec<(String, String)>,
        #[serde(default)]
        conflicts: Vec<String>,
        #[serde(default)]
        says: String,
        #[serde(default)]
        both: String,
        #[serde(default)]
        message: String,
    }

    struct Draft {
        form: HtmlFormElement,
        url: String,
        says: String,
        both: String,
        lost: String,
        /// Each field as the server has it, and as this page last agreed with it.
        found: RefCell<HashMap<String, String>>,
        agreed: RefCell<HashMap<String, String>>,
        timer: Cell<i32>,
        busy: Cell<bool>,
        /// The button was pressed while an answer was waited for.
        pressed: Cell<bool>,
    }

    fn value(e: &HtmlElement) -> String {
        match (e.dyn_ref::<HtmlInputElement>(), e.dyn_ref::<HtmlTextAreaElement>()) {
            (Some(i), _) => i.value(),
            (_, Some(t)) => t.value(),
            _ => String::new(),
        }
    }

    fn put(e: &HtmlElement, text: &str) {
        if let Some(i) = e.dyn_ref::<HtmlInputElement>() {
            i.set_value(text);
        } else if let Some(t) = e.dyn_ref::<HtmlTextAreaElement>() {
            t.set_value(text);
        }
    }

    pub fn follow(form: &str, url: String, says: String, both: String, lost: String) {
        let Some(document) = document() else { return };
        let Some(form) = document.get_element_by_id(form).and_then(|e| e.dyn_into::<HtmlFormElement>().ok()) else { return };
        let place = document.get_element_by_id(&both);
        let (found, agreed) = (RefCell::default(), RefCell::default());
        let draft = Rc::new(Draft { form, url, says, both, lost, found, agreed, timer: Cell::new(0), busy: Cell::new(false), pressed: Cell::new(false) });
        // What stands in a refused form was not saved: the page itself shows both texts, and its button decides.
        if draft.form.has_attribute("data-refused") {
            return;
        }
        for (name, e) in draft.fields() {
            draft.found.borrow_mut().insert(name.clone(), value(&e));
            draft.agreed.borrow_mut().insert(name, value(&e));
        }
        let typed = draft.clone();
        on(&draft.form, "input", move |_| later(&typed, PAUSE_MS));
        let pressed = draft.clone();
        on(&draft.form, "submit", move |e| {
            // What is under way changes what the button starts from.
            if pressed.busy.get() {
                e.prevent_default();
                pressed.pressed.set(true);
            }
        });
        if let Some(place) = place {
            on(&place, "click", move |e| {
                if let Some(button) = target(&e).and_then(|t| t.closest("button").ok().flatten()) {
                    draft.decided(&button);
                    later(&draft, 0);
                }
            });
        }
    }

    fn later(draft: &Rc<Draft>, ms: i32) {
        let Some(window) = web_sys::window() else { return };
        window.clear_timeout_with_handle(draft.timer.get());
        let then = draft.clone();
        let send = Closure::once_into_js(move || save(&then));
        draft.timer.set(window.set_timeout_with_callback_and_timeout_and_arguments_0(send.unchecked_ref(), ms).unwrap_or(0));
    }

    fn list(name: &str) -> &str {
        name.split('[').next().unwrap_or_default()
    }

    fn save(draft: &Rc<Draft>) {
        if draft.busy.get() {
            return later(draft, PAUSE_MS);
        }
        let edits = draft.edits();
        let (false, Ok(request)) = (edits.is_empty(), XmlHttpRequest::new()) else { return };
        let sent: HashMap<String, String> = edits.iter().map(|e| (e.name.clone(), e.typed.clone())).collect();
        let encode = |text: &str| String::from(js_sys::encode_uri_component(text));
        let fields = serde_json::to_string(&edits).unwrap_or_default();
        let body = format!("service={}&version={}&fields={}", encode(&draft.hidden("service")), encode(&draft.hidden("version")), encode(&fields));
        let (answered, done) = (request.clone(), draft.clone());
        let then = Closure::once_into_js(move || {
            done.busy.set(false);
            let pressed = done.pressed.take();
            let text = answered.response_text().ok().flatten().unwrap_or_default();
            match (answered.status(), serde_json::from_str::<Answer>(&text)) {
                (Ok(200), Ok(answer)) => done.take(&answer, &sent),
                (Ok(status), Ok(answer)) if status >= 400 => done.say(&answer.message),
                _ => {
                    done.say(&done.lost);
                    later(&done, AGAIN_MS);
                }
            }
            if pressed {
                done.form.submit().ok();
            }
        });
        request.set_onloadend(Some(then.unchecked_ref()));
        let ready = request.open("POST", &draft.url).and_then(|()| request.set_request_header("Content-Type", "application/x-www-form-urlencoded"));
        if ready.and_then(|()| request.send_with_opt_str(Some(&body))).is_ok() {
            draft.busy.set(true);
        }
    }

    impl Draft {
        fn fields(&self) -> Vec<(String, HtmlElement)> {
            all(&self.form, "input.input[name], textarea[name]").into_iter().filter_map(|e| Some((e.get_attribute("name")?, e))).collect()
        }

        fn hidden(&self, name: &str) -> String {
            first(&self.form, &format!("input[type=hidden][name={name}]")).map(|e| value(&e)).unwrap_or_default()
        }

        /// What was changed since this page agreed with the server; of a list all of it.
        fn edits(&self) -> Vec<Edit> {
            let (fields, found, agreed) = (self.fields(), self.found.borrow(), self.agreed.borrow());
            let changed: Vec<&str> = fields.iter().filter(|(name, e)| agreed.get(name) != Some(&value(e))).map(|(name, _)| name.as_str()).collect();
            let wanted = |name: &str| changed.iter().any(|c| *c == name || (c.contains('[') && list(c) == list(name) && name.contains('[')));
            let edit = |(name, e): &(String, HtmlElement)| Edit { name: name.clone(), found: found.get(name).cloned().unwrap_or_default(), typed: value(e) };
            fields.iter().filter(|(name, _)| wanted(name)).map(edit).collect()
        }

        /// Puts what the server answers into its places.
        fn take(&self, answer: &Answer, sent: &HashMap<String, String>) {
            let there: HashMap<&str, &str> = answer.entries.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            let (mut found, mut agreed) = (self.found.borrow_mut(), self.agreed.borrow_mut());
            let refused = |name: &str| answer.conflicts.iter().any(|c| c == name || (c.contains('[') && name.contains('[') && list(c) == list(name)));
            let fields = self.fields();
            for (name, e) in &fields {
                let theirs = there.get(name.as_str()).copied().unwrap_or_default();
                if refused(name) {
                    continue;
                }
                if let Some(mine) = sent.get(name) {
                    found.insert(name.clone(), theirs.to_owned());
                    agreed.insert(name.clone(), mine.clone());
                } else if agreed.get(name) == Some(&value(e)) && found.get(name).map(String::as_str) != Some(theirs) {
                    // Somebody else's, and nothing was typed here.
                    put(e, theirs);
                    found.insert(name.clone(), theirs.to_owned());
                    agreed.insert(name.clone(), theirs.to_owned());
                }
            }
            let hides = answer.entries.iter().any(|(name, text)| !text.is_empty() && !fields.iter().any(|(f, _)| f == name));
            // The button saves from what this page has seen, and from nothing newer.
            if answer.conflicts.is_empty()
                && !hides
                && let Some(version) = first(&self.form, "input[type=hidden][name=version]")
            {
                put(&version, &answer.version);
            }
            self.say(&answer.says);
            if let Some(place) = document().and_then(|d| d.get_element_by_id(&self.both))
                && place.inner_html() != answer.both
            {
                place.set_inner_html(&answer.both);
            }
        }

        fn say(&self, words: &str) {
            if let Some(line) = document().and_then(|d| d.get_element_by_id(&self.says)) {
                line.set_text_content(Some(words));
            }
        }

        /// Somebody keeps both texts, or takes the other one.
        fn decided(&self, button: &web_sys::Element) {
            let theirs = button.get_attribute("data-theirs").unwrap_or_default();
            let (keep, take) = (button.get_attribute("data-keep"), button.get_attribute("data-take"));
            let Some(name) = keep.clone().or(take) else { return };
            let Some((_, e)) = self.fields().into_iter().find(|(n, _)| *n == name) else { return };
            if keep.is_some() {
                put(&e, &format!("{}\n\n{theirs}", value(&e)));
            } else {
                put(&e, &theirs);
                self.agreed.borrow_mut().insert(name.clone(), theirs.clone());
            }
            self.found.borrow_mut().insert(name, theirs);
            if let Some(item) = button.closest("li").ok().flatten() {
                item.remove();
            }
            e.focus().ok();
        }
    }
}
