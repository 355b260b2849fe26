//! How two versions of a plan differ, word by word (R42).
//!
//! Lives here: the difference of two texts, and of two plans field by field. May not: colours, marks.
//! Invariant: what stays and what was removed, joined, are the old text; what stays and what was added, the new one.

use super::content::PlanContent;

/// The most comparisons that words are held against each other for; longer texts are compared by lines.
const MOST: usize = 4_000_000;

/// A piece of a text against another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Same(String),
    Removed(String),
    Added(String),
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDiff {
    pub key: &'static str,
    pub title: &'static str,
    pub parts: Vec<Part>,
}

/// The fields that differ, in the plan's order.
pub fn difference(old: &PlanContent, new: &PlanContent) -> Vec<FieldDiff> {
    let pairs = old.fields().into_iter().zip(new.fields());
    pairs.filter(|(a, b)| a.text != b.text).map(|(a, b)| FieldDiff { key: a.key, title: a.title, parts: words(&a.text, &b.text) }).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Same,
    Removed,
    Added,
}

/// The difference of two texts by words.
pub fn words(old: &str, new: &str) -> Vec<Part> {
    let (a, b) = (tokens(old), tokens(new));
    let edits = compare(&a, &b).unwrap_or_else(|| {
        let (a, b) = (lines(old), lines(new));
        compare(&a, &b).unwrap_or_else(|| vec![(Op::Removed, old), (Op::Added, new)])
    });
    joined(&edits)
}

/// Words and the space between them.
fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut from, mut space) = (0, None);
    for (at, c) in text.char_indices() {
        if space.is_some_and(|s| s != c.is_whitespace()) {
            out.push(&text[from..at]);
            from = at;
        }
        space = Some(c.is_whitespace());
    }
    if from < text.len() {
        out.push(&text[from..]);
    }
    out
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// What stays, goes and comes; `None` where there is too much to compare.
fn compare<'a>(a: &[&'a str], b: &[&'a str]) -> Option<Vec<(Op, &'a str)>> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a_rest, b_rest) = (&a[head..], &b[head..]);
    let tail = a_rest.iter().rev().zip(b_rest.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_mid, b_mid) = (&a_rest[..a_rest.len() - tail], &b_rest[..b_rest.len() - tail]);
    if a_mid.len().saturating_mul(b_mid.len()) > MOST {
        return None;
    }
    let mut ops: Vec<(Op, &str)> = a[..head].iter().map(|t| (Op::Same, *t)).collect();
    // The longest common run of what is left after (i, j).
    let width = b_mid.len() + 1;
    let mut longest = vec![0_u32; (a_mid.len() + 1) * width];
    for i in (0..a_mid.len()).rev() {
        for j in (0..b_mid.len()).rev() {
            longest[i * width + j] =
                if a_mid[i] == b_mid[j] { longest[(i + 1) * width + j + 1] + 1 } else { longest[(i + 1) * width + j].max(longest[i * width + j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a_mid.len() || j < b_mid.len() {
        if i < a_mid.len() && j < b_mid.len() && a_mid[i] == b_mid[j] {
            ops.push((Op::Same, a_mid[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b_mid.len() || (i < a_mid.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            ops.push((Op::Removed, a_mid[i]));
            i += 1;
        } else {
            ops.push((Op::Added, b_mid[j]));
            j += 1;
        }
    }
    ops.extend(a_rest[a_rest.len() - tail..].iter().map(|t| (Op::Same, *t)));
    Some(ops)
}

/// One part a run; a space alone between two changes belongs to both.
fn joined(ops: &[(Op, &str)]) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut same, mut removed, mut added) = (String::new(), String::new(), String::new());
    let flush = |parts: &mut Vec<Part>, removed: &mut String, added: &mut String| {
        if !removed.is_empty() {
            parts.push(Part::Removed(std::mem::take(removed)));
        }
        if !added.is_empty() {
            parts.push(Part::Added(std::mem::take(added)));
        }
    };
    for (n, (op, text)) in ops.iter().enumerate() {
        match op {
            Op::Same => {
                let between = ops.get(n + 1).is_some_and(|(next, _)| *next != Op::Same);
                let inside = !removed.is_empty() || !added.is_empty();
                if between && inside && text.trim().is_empty() && !text.contains('\n') {
                    removed.push_str(text);
                    added.push_str(text);
                } else {
                    flush(&mut parts, &mut removed, &mut added);
                    same.push_str(text);
                }
            }
            changed => {
                if !same.is_empty() {
                    parts.push(Part::Same(std::mem::take(&mut same)));
                }
                if *changed == Op::Removed { removed.push_str(text) } else { added.push_str(text) }
            }
        }
    }
    flush(&mut parts, &mut removed, &mut added);
    if !same.is_empty() {
        parts.push(Part::Same(same));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(old: &str, new: &str) -> String {
        words(old, new)
            .into_iter()
            .map(|p| match p {
                Part::Same(t) => t,
                Part::Removed(t) => format!("[-{t}-]"),
                Part::Added(t) => format!("[+{t}+]"),
            })
            .collect()
    }

    #[test]
    fn words_that_changed_are_marked() {
        for (old, new, want) in [
            ("", "", ""),
            ("the same", "the same", "the same"),
            ("", "new", "[+new+]"),
            ("old", "", "[-old-]"),
            ("one person can restore", "two people can restore", "[-one person-][+two people+] can restore"),
            ("a b c", "a c", "a [-b -]c"),
            ("rated 6.\nNothing more.", "rated 6.\n\nNothing more.", "rated 6.[-\n-][+\n\n+]Nothing more."),
            ("Käse Brot", "Käse Brote", "Käse [-Brot-][+Brote+]"),
        ] {
            assert_eq!(shown(old, new), want);
        }
    }

    #[test]
    fn long_texts_are_compared_by_lines_and_the_longest_as_a_whole() {
        let line = |n: usize| format!("{}\n", "word ".repeat(3) + &n.to_string());
        let old: String = (0..1_500).map(line).collect();
        let new: String = (0..1_500).map(|n| if n % 2 == 0 { line(n) } else { line(n + 5_000) }).collect();
        let parts = words(&old, &new);
        assert!(parts.iter().any(|p| matches!(p, Part::Same(t) if t == &line(2))), "{}", parts.len());
        let a: String = (0..6_000).fold(String::new(), |a, n| a + &format!("a{n}\n"));
        let b: String = (0..6_000).fold(String::new(), |b, n| b + &format!("b{n}\n"));
        assert_eq!(words(&a, &b), [Part::Removed(a), Part::Added(b)]);
    }

    #[test]
    fn fields_that_differ_are_named() {
        let old = PlanContent { outcome: "one".into(), rto_s: Some(86_400), ..PlanContent::default() };
        let new = PlanContent { outcome: "two".into(), rto_s: Some(3_600), ..PlanContent::default() };
        let found = difference(&old, &new);
        assert_eq!(found.iter().map(|d| d.key).collect::<Vec<_>>(), ["outcome", "rto"]);
        assert_eq!(found[1].parts, [Part::Same("1 ".into()), Part::Removed("d".into()), Part::Added("h".into())]);
        assert_eq!(difference(&old, &old), []);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_made_again(old in "[ab \\n]{0,40}", new in "[ab \\n]{0,40}") {
            let parts = words(&old, &new);
            let of = |wanted: fn(&Part) -> Option<&str>| parts.iter().filter_map(wanted).collect::<String>();
            prop_assert_eq!(of(|p| match p { Part::Same(t) | Part::Removed(t) => Some(t), Part::Added(_) => None }), old);
            prop_assert_eq!(of(|p| match p { Part::Same(t) | Part::Added(t) => Some(t), Part::Removed(_) => None }), new);
        }
    }
}
