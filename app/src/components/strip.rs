//! The strip: one mark a day, the newest on the right, each state with its own shape.
//!
//! Lives here: drawing the marks and its words. May not: knowing what a day's state is made of.
//! Whoever shows a strip shows the same as a table in the same panel.

use std::fmt::Write;

use leptos::prelude::*;

use super::status::Tone;

/// One mark for each tone, from the oldest to the newest; `words` says what they add up to.
pub fn strip(days: &[Tone], words: &str) -> AnyView {
    let width = days.len().max(1) * 8;
    let mut svg = format!(r#"<path class="base" d="M0 22.5h{width}"/>"#);
    for (n, tone) in days.iter().enumerate() {
        mark(&mut svg, *tone, n * 8);
    }
    view! { <svg class="strip" viewBox=format!("0 0 {width} 24") preserveAspectRatio="none" role="img" aria-label=words.to_owned() inner_html=svg></svg> }
        .into_any()
}

/// What the marks mean, for those that a panel shows.
pub fn legend(entries: &[(Tone, &'static str)]) -> AnyView {
    let items = entries
        .iter()
        .map(|(tone, word)| {
            let mut svg = String::new();
            mark(&mut svg, *tone, 0);
            view! { <li><svg viewBox="0 0 8 24" class="strip" aria-hidden="true" inner_html=svg></svg>{*word}</li> }
        })
        .collect_view();
    view! { <ul class="legend" aria-label="Legend of the strips">{items}</ul> }.into_any()
}

fn mark(svg: &mut String, tone: Tone, x: usize) {
    // Writing into a string cannot fail.
    let _ = match tone {
        Tone::Ok => write!(svg, r#"<rect class="ok" x="{}" y="13" width="6" height="9"/>"#, x + 1),
        Tone::Warn => write!(svg, r#"<path class="warn" d="M{} 5l3 17h-6z"/>"#, x + 4),
        Tone::Fail => {
            write!(svg, r#"<rect class="fail" x="{}" y="2" width="6" height="20"/><path class="cut" d="M{}.8 7l4.4 5M{}.2 7l-4.4 5"/>"#, x + 1, x + 1, x + 6)
        }
        Tone::Hold => write!(svg, r#"<rect class="hold" x="{}" y="6" width="6" height="16"/><path class="cut" d="M{} 8v12"/>"#, x + 1, x + 4),
        Tone::Run => write!(svg, r#"<rect class="run" x="{}" y="13" width="6" height="9"/>"#, x + 1),
        Tone::None => write!(svg, r#"<rect class="none" x="{}.5" y="17.5" width="5" height="4"/>"#, x + 1),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_mark_and_no_data_is_not_green() {
        let html = strip(&[Tone::Ok, Tone::None, Tone::Fail], "1 kept, 1 without data, 1 failed").to_html();
        assert!(html.contains("viewBox=\"0 0 24 24\"") && html.contains("1 kept, 1 without data, 1 failed"));
        assert_eq!(html.matches("class=\"ok\"").count(), 1);
        assert_eq!(html.matches("class=\"none\"").count(), 1);
        assert_eq!(html.matches("class=\"fail\"").count(), 1);
    }
}
