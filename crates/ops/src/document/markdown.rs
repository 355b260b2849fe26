//! Markdown: the document for wikis and for git.
//!
//! Lives here: escaping of plain text and the shape of each block. May not: reading Markdown for pages.
//! Invariant: plain text of the document never becomes markup, and a person's Markdown never swallows what stands after it.

use std::fmt::Write as _;

use domain::document::{Block, Document, Fact, Table};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use super::text::{Part, options, parse};

/// The document as CommonMark with tables.
pub fn markdown(document: &Document) -> String {
    let mut out = format!("# {}\n\n", line(&document.title));
    facts(&mut out, &document.facts);
    for block in &document.blocks {
        one(&mut out, block);
    }
    if !document.footer.is_empty() {
        let _ = writeln!(out, "---\n\n{}", line(&document.footer));
    }
    format!("{}\n", out.trim_end())
}

fn one(out: &mut String, block: &Block) {
    match block {
        Block::Heading { level, text, .. } => {
            let _ = writeln!(out, "{} {}\n", "#".repeat(usize::from(*level) + 1), line(text));
        }
        Block::Markdown { text } => {
            let _ = writeln!(out, "{}\n", closed(text.trim_matches('\n')));
        }
        Block::Facts { facts: of } => facts(out, of),
        Block::Table(t) => table(out, t),
        Block::List { ordered, items } => {
            for (i, item) in items.iter().enumerate() {
                let _ = if *ordered { writeln!(out, "{}. {}", i + 1, line(item)) } else { writeln!(out, "- {}", line(item)) };
            }
            out.push('\n');
        }
        Block::Code { caption, text } => {
            if !caption.is_empty() {
                let _ = writeln!(out, "{}:\n", line(caption));
            }
            let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
            let _ = writeln!(out, "{fence}\n{}\n{fence}\n", text.trim_end_matches('\n'));
        }
        Block::Note { tone, text } => {
            let _ = writeln!(out, "> **{}.** {}\n", tone.words(), line(text));
        }
    }
}

fn facts(out: &mut String, of: &[Fact]) {
    for fact in of {
        let _ = writeln!(out, "- **{}:** {}", line(&fact.key), line(&fact.value));
    }
    if !of.is_empty() {
        out.push('\n');
    }
}

fn table(out: &mut String, t: &Table) {
    if !t.caption.is_empty() {
        let _ = writeln!(out, "**{}**\n", line(&t.caption));
    }
    if t.columns.is_empty() {
        return;
    }
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&row(t.columns.iter().map(|c| line(&c.title)).collect()));
    out.push_str(&row(t.columns.iter().map(|c| if c.number { "---:".to_owned() } else { "---".to_owned() }).collect()));
    for i in 0..t.rows.len() {
        out.push_str(&row((0..t.columns.len()).map(|c| line(t.cell(i, c))).collect()));
    }
    out.push('\n');
}

/// Plain text as one line of Markdown that reads the same.
fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.trim().chars().enumerate() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '+' | '-' | '=' if i == 0 => {
                out.push('\\');
                out.push(c);
            }
            // `1.` and `1)` at the start would begin a list.
            '.' | ')' if !out.is_empty() && out.chars().all(|d| d.is_ascii_digit()) => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A person's Markdown with its open fence closed, and without HTML that would hide what follows.
fn closed(text: &str) -> String {
    const AFTER: &str = "holdfast-after";
    let ends = |candidate: &str| match parse(&format!("{candidate}\n\n{AFTER}\n")).last() {
        Some(Part::Paragraph(spans)) => spans.len() == 1 && spans[0].text == AFTER,
        _ => false,
    };
    if ends(text) {
        return text.to_owned();
    }
    let fence = Parser::new_ext(text, options()).into_offset_iter().filter_map(|(event, range)| match event {
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => {
            let start = text[range].trim_start();
            let mark = start.chars().next()?;
            Some(start.chars().take_while(|c| *c == mark).collect::<String>())
        }
        _ => None,
    });
    let with_fence = fence.last().map(|f| format!("{text}\n{f}"));
    match with_fence.filter(|t| ends(t)) {
        Some(t) => t,
        // A list at the end takes the next paragraph only when that is indented, so this is HTML that never ends.
        None if text.contains('<') => closed_html(text),
        None => text.to_owned(),
    }
}

fn closed_html(text: &str) -> String {
    text.replace('<', "\\<")
}

fn longest_run(text: &str, c: char) -> usize {
    text.split(|x| x != c).map(str::len).max().unwrap_or(0)
}
