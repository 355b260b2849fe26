//! The ruler gauge: what was measured, against what was promised.
//!
//! Lives here: drawing one ruler from two values. May not: deciding what a breach means for a service.

use std::fmt::Write;

use domain::units::span;
use leptos::prelude::*;

use super::status::Tone;

/// How far a promise was used up before it counts as near: 80 %.
const NEAR: f64 = 0.8;

/// How a measured value stands against its target, both in seconds; grey where one of them is missing.
pub fn tone(measured: Option<f64>, target: Option<f64>) -> Tone {
    match (measured, target) {
        (Some(m), Some(t)) if m > t => Tone::Fail,
        (Some(m), Some(t)) if m > t * NEAR => Tone::Warn,
        (Some(_), Some(_)) => Tone::Ok,
        _ => Tone::None,
    }
}

/// The same in words, such as `breached by 1 h 12 m`.
pub fn words(measured: Option<f64>, target: Option<f64>) -> String {
    match (measured, target) {
        (Some(m), Some(t)) if m > t => format!("breached by {}", span(m - t)),
        (Some(m), Some(t)) if m > t * NEAR => format!("within target, {:.0} % of it used", m / t * 100.0),
        (Some(_), Some(_)) => "within target".to_owned(),
        (Some(_), None) => "no target is set".to_owned(),
        (None, _) => "not measured".to_owned(),
    }
}

/// The ruler. Its scale ends at one and a half times the target, or where the measured value needs it to.
pub fn gauge(measured: Option<f64>, target: Option<f64>) -> AnyView {
    const WIDTH: f64 = 240.0;
    let mark = 160.0;
    // Where the target stands; it moves to the left when the measured value would leave the ruler.
    let at = match (measured, target) {
        (Some(m), Some(t)) if m > t * 1.5 => (WIDTH * t / m).max(12.0),
        _ => mark,
    };
    let mut svg = format!(r#"<rect class="scale" y="6" width="{WIDTH}" height="8"/>"#);
    if let (Some(m), Some(t)) = (measured, target)
        && t > 0.0
    {
        let class = match tone(measured, target) {
            Tone::Fail => "v-fail",
            Tone::Warn => "v-warn",
            _ => "v-ok",
        };
        let _ = write!(svg, r#"<rect class="{class}" y="6" width="{:.1}" height="8"/>"#, (m / t * at).clamp(2.0, WIDTH));
    } else if measured.is_none() {
        let _ = write!(svg, r#"<rect class="v-none" x=".5" y="6.5" width="{}" height="7"/>"#, WIDTH - 1.0);
    }
    for n in 0..=12 {
        let _ = write!(svg, r#"<path class="tick" d="M{} 15v{}"/>"#, n * 20, if n % 3 == 0 { 6 } else { 3 });
    }
    if target.is_some() {
        let _ = write!(svg, r#"<path class="target" d="M{:.1} 0h10l-4 6v9h-2v-9z"/>"#, at - 5.0);
    }
    let said = |s: Option<f64>, none: &str| s.map_or_else(|| none.to_owned(), span);
    let label = format!("Measured {}, target {}", said(measured, "nothing"), said(target, "none"));
    view! { <svg class="gauge" viewBox="0 0 240 22" preserveAspectRatio="none" role="img" aria-label=label inner_html=svg></svg> }.into_any()
}

/// A part of a whole on a ruler whose target is the whole; empty where there is nothing to measure.
pub fn share(name: &str, part: i64, of: i64, tone: Tone) -> AnyView {
    const WIDTH: f64 = 240.0;
    let mut svg = format!(r#"<rect class="scale" y="6" width="{WIDTH}" height="8"/>"#);
    if of > 0 {
        let class = match tone {
            Tone::Fail => "v-fail",
            Tone::Warn => "v-warn",
            _ => "v-ok",
        };
        let _ = write!(svg, r#"<rect class="{class}" y="6" width="{:.1}" height="8"/>"#, part as f64 / of as f64 * WIDTH);
    } else {
        let _ = write!(svg, r#"<rect class="v-none" x=".5" y="6.5" width="{}" height="7"/>"#, WIDTH - 1.0);
    }
    for n in 0..=12 {
        let _ = write!(svg, r#"<path class="tick" d="M{} 15v{}"/>"#, n * 20, if n % 3 == 0 { 6 } else { 3 });
    }
    let _ = write!(svg, r#"<path class="target" d="M235 0h10l-4 6v9h-2v-9z"/>"#);
    let label = if of > 0 { format!("{name} {} percent of a target of 100 percent", part * 100 / of) } else { format!("{name}: no data") };
    view! { <svg class="gauge" viewBox="0 0 240 22" preserveAspectRatio="none" role="img" aria-label=label inner_html=svg></svg> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_is_one_second_beyond_the_target_and_no_target_is_grey() {
        assert_eq!(tone(Some(100.0), Some(100.0)), Tone::Warn);
        assert_eq!(tone(Some(101.0), Some(100.0)), Tone::Fail);
        assert_eq!(tone(Some(80.0), Some(100.0)), Tone::Ok);
        assert_eq!(tone(Some(5.0), None), Tone::None);
        assert_eq!(tone(None, Some(5.0)), Tone::None);
        assert_eq!(words(Some(33_120.0), Some(28_800.0)), "breached by 1 h 12 m");
    }

    #[test]
    fn the_bar_never_leaves_the_ruler() {
        for m in [0.0, 1.0, 150.0, 151.0, 1e9] {
            let html = gauge(Some(m), Some(100.0)).to_html();
            let bar = html.split("<rect class=\"v-").nth(1).and_then(|h| h.split("width=\"").nth(1)).and_then(|h| h.split('"').next()).unwrap();
            let width: f64 = bar.parse().unwrap();
            assert!((2.0..=240.0).contains(&width), "{m}: {width}");
        }
        assert!(!gauge(None, Some(1.0)).to_html().contains("v-ok"), "nothing measured is not green");
    }
}
