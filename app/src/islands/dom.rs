//! What several islands need of the browser: the document, listening, asking our own server for a finished part.
//!
//! Lives here: thin words over `web_sys`. May not: anything of one island.

use wasm_bindgen::{JsCast, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, Element, Event, EventTarget, HtmlElement, HtmlInputElement, KeyboardEvent, Response};

pub fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// Listens for as long as the page lives.
pub fn on(target: &EventTarget, event: &str, f: impl Fn(Event) + 'static) {
    let closure = Closure::<dyn Fn(Event)>::new(f);
    target.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref()).ok();
    closure.forget();
}

pub fn on_key(target: &EventTarget, f: impl Fn(&KeyboardEvent) + 'static) {
    on(target, "keydown", move |e| {
        if let Some(key) = e.dyn_ref::<KeyboardEvent>() {
            f(key);
        }
    });
}

/// The element that an event happened in.
pub fn target(e: &Event) -> Option<Element> {
    e.target()?.dyn_into().ok()
}

pub fn first(within: &Element, selector: &str) -> Option<HtmlElement> {
    within.query_selector(selector).ok()??.dyn_into().ok()
}

pub fn all(within: &Element, selector: &str) -> Vec<HtmlElement> {
    let Ok(found) = within.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|i| found.item(i)?.dyn_into().ok()).collect()
}

/// Whether it takes up room.
pub fn is_shown(e: &HtmlElement) -> bool {
    e.offset_width() > 0 || e.offset_height() > 0
}

/// Whether letters that are typed there go into it.
pub fn is_field(e: &Element) -> bool {
    match e.tag_name().as_str() {
        "INPUT" => !matches!(e.dyn_ref::<HtmlInputElement>().map(HtmlInputElement::type_).as_deref(), Some("checkbox" | "radio" | "button" | "submit")),
        "SELECT" | "TEXTAREA" => true,
        _ => e.dyn_ref::<HtmlElement>().is_some_and(HtmlElement::is_content_editable),
    }
}

pub fn number(e: &Element, attribute: &str) -> i32 {
    e.get_attribute(attribute).and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// A finished part from our own server; `None` where it refused, or sent to the sign-in page.
pub async fn part(url: &str) -> Option<String> {
    let answer = JsFuture::from(web_sys::window()?.fetch_with_str(url)).await.ok()?.dyn_into::<Response>().ok()?;
    if !answer.ok() || answer.redirected() {
        return None;
    }
    JsFuture::from(answer.text().ok()?).await.ok()?.as_string()
}

/// Waits.
pub async fn sleep(ms: i32) {
    let wait = js_sys::Promise::new(&mut |done, _| {
        if let Some(window) = web_sys::window() {
            window.set_timeout_with_callback_and_timeout_and_arguments_0(&done, ms).ok();
        }
    });
    JsFuture::from(wait).await.ok();
}
