//! What a form would do, drawn anew while one types.
//!
//! Lives here: sending the form's values half a second after the last key, and putting finished parts into their places.
//! May not: drawing, words, arithmetic: the server sends finished parts. Without it the form has a button for the same.

use leptos::prelude::*;

/// Follows the form of that id; `url` answers its values with parts by id.
#[allow(clippy::needless_pass_by_value, reason = "the props of an island are owned: they travel as JSON")]
#[island]
pub fn FormPreview(form: String, url: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    browser::follow(&form, url);
    #[cfg(not(feature = "hydrate"))]
    let _ = (form, url);
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
    };

    use js_sys::{JSON, Object, Reflect};
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    use web_sys::{Document, Event, FormData, HtmlFormElement, HtmlInputElement, UrlSearchParams, XmlHttpRequest};

    /// Milliseconds after the last key.
    const PAUSE_MS: i32 = 500;

    pub fn follow(form: &str, url: String) {
        let Some(window) = web_sys::window() else { return };
        let Some(document) = window.document() else { return };
        let Some(form) = document.get_element_by_id(form).and_then(|e| e.dyn_into::<HtmlFormElement>().ok()) else { return };
        let (timer, under_way) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
        let asked = form.clone();
        let send = Closure::<dyn Fn()>::new(move || ask(&document, &asked, &url, &under_way));
        let typed = Closure::<dyn Fn(Event)>::new(move |e: Event| {
            // A tick changes nothing that is shown, and drawing it anew would take the focus away.
            let tick = e.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()).is_some_and(|i| i.name() == "sure");
            if !tick {
                window.clear_timeout_with_handle(timer.get());
                let set = window.set_timeout_with_callback_and_timeout_and_arguments_0(send.as_ref().unchecked_ref(), PAUSE_MS);
                timer.set(set.unwrap_or(0));
            }
        });
        form.add_event_listener_with_callback("input", typed.as_ref().unchecked_ref()).ok();
        // It lives as long as the page.
        typed.forget();
    }

    type UnderWay = Rc<RefCell<Option<(XmlHttpRequest, Closure<dyn Fn()>)>>>;

    /// Sends the values; an answer to earlier ones is no longer waited for.
    fn ask(document: &Document, form: &HtmlFormElement, url: &str, under_way: &UnderWay) {
        if let Some((old, _)) = under_way.borrow_mut().take() {
            old.set_onload(None);
            old.abort().ok();
        }
        let (Ok(data), Ok(request)) = (FormData::new_with_form(form), XmlHttpRequest::new()) else { return };
        let Ok(values) = UrlSearchParams::new_with_str_sequence_sequence(&data) else { return };
        let (document, answered) = (document.clone(), request.clone());
        let done = Closure::<dyn Fn()>::new(move || {
            let text = answered.response_text().ok().flatten().unwrap_or_default();
            if let (Ok(200), Ok(value)) = (answered.status(), JSON::parse(&text)) {
                parts(&document, &value);
            }
        });
        request.set_onload(Some(done.as_ref().unchecked_ref()));
        let sent = request.open("POST", url).and_then(|()| request.set_request_header("Content-Type", "application/x-www-form-urlencoded"));
        let body: String = values.to_string().into();
        if sent.and_then(|()| request.send_with_opt_str(Some(&body))).is_ok() {
            *under_way.borrow_mut() = Some((request, done));
        }
    }

    fn parts(document: &Document, value: &JsValue) {
        let Some(parts) = Reflect::get(value, &"parts".into()).ok().and_then(|v| v.dyn_into::<Object>().ok()) else { return };
        for name in Object::keys(&parts).iter().filter_map(|k| k.as_string()) {
            let html = Reflect::get(&parts, &name.as_str().into()).ok().and_then(|v| v.as_string());
            if let (Some(place), Some(html)) = (document.get_element_by_id(&name), html) {
                place.set_inner_html(&html);
            }
        }
    }
}
