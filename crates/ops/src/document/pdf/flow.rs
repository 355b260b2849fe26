//! The flow: blocks of a document and parts of Markdown, laid on the sheets.
//!
//! Lives here: type sizes, spaces, headings, lists, quotations, logs, notes, the table of contents. May not: columns of tables, krilla.

use domain::document::{Block, Document, Fact, Tone};

use super::{
    line::{extent, lines, verbatim},
    sheet::{ACCENT, BOTTOM, Column, HAIR, HEIGHT, Heading, INK, INSET, Item, Kind, RIGHT, SOFT, Sheets, To, Type, WARN},
    table,
};
use crate::document::text::{Part, Span, parse};

const BODY: Type = Type { size: 10.0, leading: 14.5, ink: INK };
const CODE: Type = Type { size: 8.25, leading: 11.5, ink: INK };
const SMALL: Type = Type { size: 9.0, leading: 13.0, ink: SOFT };
const GAP: f32 = 7.0;
/// A table of contents is worth its place from this many headings on.
const WORTH_CONTENTS: usize = 3;

pub fn document(s: &mut Sheets, d: &Document) {
    title(s, d);
    let listed: Vec<(usize, u8, &str)> = d.headings().enumerate().filter(|(_, (level, ..))| *level <= 2).map(|(n, (l, t, _))| (n, l, t)).collect();
    if listed.len() >= WORTH_CONTENTS {
        contents(s, &listed);
        if s.left() < HEIGHT * 0.42 {
            s.turn();
        } else {
            s.gap(10.0, Column::PAGE);
        }
    }
    for block in &d.blocks {
        one(s, block);
    }
    unprintable(s);
}

fn title(s: &mut Sheets, d: &Document) {
    s.rule(Column::PAGE.x, 34.0, 3.0, ACCENT);
    s.y += 14.0;
    let text = if d.title.is_empty() { "Document" } else { &d.title };
    let look = Type { size: 24.0, leading: 29.0, ink: INK };
    let all = lines(&mut s.fonts, &[Span::plain(text)], true, look.size, Column::PAGE.wide);
    s.node(Kind::Title, |s| s.lines(&all, Column::PAGE, look));
    s.y += 8.0;
    pairs(s, &d.facts);
    s.gap(10.0, Column::PAGE);
}

/// `listed` holds the number of each heading, its level and its text.
fn contents(s: &mut Sheets, listed: &[(usize, u8, &str)]) {
    s.gap(8.0, Column::PAGE);
    let look = Type { size: 12.0, leading: 17.0, ink: INK };
    let head = lines(&mut s.fonts, &[Span::plain("Contents")], true, look.size, Column::PAGE.wide);
    s.room(60.0);
    s.node(Kind::Heading(1), |s| s.lines(&head, Column::PAGE, look));
    s.gap(3.0, Column::PAGE);
    s.node(Kind::Contents, |s| {
        for &(heading, level, text) in listed {
            let column = Column { wide: Column::PAGE.wide - 36.0, ..Column::PAGE }.inset(if level > 1 { 14.0 } else { 0.0 });
            let look = Type { size: 9.5, leading: 15.0, ink: if level > 1 { SOFT } else { INK } };
            let all = lines(&mut s.fonts, &[Span::plain(text)], false, look.size, column.wide);
            s.room(look.leading * all.len() as f32);
            s.node(Kind::Entry, |s| {
                s.node(Kind::Link, |s| {
                    let top = s.y;
                    s.lines(&all, column, look);
                    let mark = s.mark();
                    s.push(Item::PageOf { right: RIGHT, y: s.y - look.leading / 2.0 + look.size * 0.35, heading, mark });
                    let link = s.mark();
                    // A heading longer than a page leaves no rectangle on this one.
                    let h = (s.y - top).max(look.leading);
                    s.push(Item::Link { x: column.x, y: s.y - h, w: RIGHT - column.x, h, to: To::Heading(heading), says: text.to_owned(), mark: link });
                });
            });
            s.rule(column.x, RIGHT - column.x, 0.4, HAIR);
        }
    });
}

fn one(s: &mut Sheets, block: &Block) {
    match block {
        Block::Heading { level, text, .. } => heading(s, *level, text),
        Block::Markdown { text } => parts(s, &parse(text), Column::PAGE, BODY),
        Block::Facts { facts } => {
            s.gap(GAP, Column::PAGE);
            pairs(s, facts);
        }
        Block::Table(t) => table::draw(s, &table::plain(t), Column::PAGE),
        Block::List { ordered, items } => {
            let items: Vec<Vec<Part>> = items.iter().map(|i| vec![Part::Paragraph(vec![Span::plain(i.as_str())])]).collect();
            list(s, ordered.then_some(1), &items, Column::PAGE, BODY);
        }
        Block::Code { caption, text } => {
            s.gap(GAP, Column::PAGE);
            if !caption.is_empty() {
                let all = lines(&mut s.fonts, &[Span::plain(caption.as_str())], true, SMALL.size, Column::PAGE.wide);
                s.room(SMALL.leading * all.len() as f32 + 30.0);
                s.node(Kind::Paragraph, |s| s.lines(&all, Column::PAGE, Type { ink: INK, ..SMALL }));
                s.gap(2.0, Column::PAGE);
            }
            code(s, text, Column::PAGE);
        }
        Block::Note { tone, text } => note(s, *tone, text),
    }
}

fn heading(s: &mut Sheets, level: u8, text: &str) {
    let (size, leading, before) = match level {
        1 => (15.0, 20.0, 24.0),
        2 => (12.0, 17.0, 17.0),
        3 => (10.5, 15.0, 13.0),
        _ => (10.0, 14.5, 11.0),
    };
    let before = if s.below_heading() { before / 2.5 } else { before };
    let all = lines(&mut s.fonts, &[Span::plain(text)], true, size, Column::PAGE.wide);
    let height = leading * all.len() as f32;
    if s.left() < before + height + 50.0 && height < 300.0 {
        s.turn();
    }
    s.gap(before, Column::PAGE);
    if level == 1 && !s.is_top() && before > 20.0 {
        s.y -= 8.0;
        s.rule(Column::PAGE.x, Column::PAGE.wide, 0.6, HAIR);
        s.y += 8.0;
    }
    s.headings.push(Heading { level, text: text.to_owned(), page: s.pages.len() - 1, y: s.y });
    s.node(Kind::Heading(level), |s| s.lines(&all, Column::PAGE, Type { size, leading, ink: INK }));
    s.y += 1.0;
    s.headed = (s.pages.len(), s.y);
}

fn parts(s: &mut Sheets, all: &[Part], column: Column, look: Type) {
    for part in all {
        match part {
            Part::Heading { level, spans } => {
                let look = Type { size: if *level == 1 { 10.5 } else { 10.0 }, ..look };
                let made = lines(&mut s.fonts, spans, true, look.size, column.wide);
                s.gap(11.0, column);
                s.room(look.leading * made.len() as f32 + 30.0);
                s.node(Kind::Paragraph, |s| s.lines(&made, column, look));
            }
            Part::Paragraph(spans) => {
                s.gap(GAP, column);
                paragraph(s, spans, column, look);
            }
            Part::List { start, items } => list(s, *start, items, column, look),
            Part::Quote(inside) => {
                s.gap(GAP, column);
                let inner = Column { bar: Some((column.x, HAIR)), ..column.inset(12.0) };
                s.node(Kind::Quote, |s| parts(s, inside, inner, Type { ink: SOFT, ..look }));
            }
            Part::Code(text) => {
                s.gap(GAP, column);
                code(s, text, column);
            }
            Part::Table(grid) => table::draw(s, &table::rich(grid), column),
            Part::Rule => {
                s.gap(10.0, column);
                s.rule(column.x, column.wide, 0.6, HAIR);
                s.gap(4.0, column);
            }
        }
    }
}

fn paragraph(s: &mut Sheets, spans: &[Span], column: Column, look: Type) {
    let made = lines(&mut s.fonts, spans, false, look.size, column.wide);
    s.node(Kind::Paragraph, |s| s.lines(&made, column, look));
}

fn list(s: &mut Sheets, start: Option<u64>, items: &[Vec<Part>], column: Column, look: Type) {
    s.gap(GAP - 2.0, column);
    let last = start.map_or(0, |n| n.saturating_add(items.len() as u64));
    let indent = if last >= 100 { 28.0 } else { 17.0 };
    s.node(Kind::List { ordered: start.is_some() }, |s| {
        for (i, item) in items.iter().enumerate() {
            s.gap(2.5, column);
            s.room(look.leading * 2.0);
            let label = start.map_or_else(|| "•".to_owned(), |n| format!("{}.", n.saturating_add(i as u64)));
            s.node(Kind::Item, |s| {
                let made = lines(&mut s.fonts, &[Span::plain(label)], false, look.size, indent);
                s.node(Kind::Label, |s| {
                    if let Some(line) = made.first() {
                        s.line(line, column, Type { ink: SOFT, ..look }, false, true);
                    }
                });
                let inner = column.inset(indent);
                s.node(Kind::Body, |s| match item.split_first() {
                    Some((Part::Paragraph(spans), rest)) => {
                        paragraph(s, spans, inner, look);
                        parts(s, rest, inner, look);
                    }
                    // An item without text of its own keeps the height of its label.
                    Some((Part::Code(text), rest)) => {
                        code(s, text, inner);
                        parts(s, rest, inner, look);
                    }
                    Some(_) => parts(s, item, inner, look),
                    None => s.y += look.leading,
                });
            });
        }
    });
}

fn code(s: &mut Sheets, text: &str, column: Column) {
    const PAD: f32 = 8.0;
    let inner = Column { x: column.x + PAD, wide: (column.wide - 2.0 * PAD).max(40.0), bar: None };
    s.room(CODE.leading * 3.0 + PAD);
    band(s, column, 5.0);
    s.node(Kind::Code, |s| {
        for raw in text.trim_end_matches('\n').split('\n') {
            for line in verbatim(&mut s.fonts, raw.trim_end_matches('\r'), CODE.size, inner.wide) {
                if s.left() < CODE.leading + 5.0 {
                    band(s, column, 5.0);
                    s.turn();
                    band(s, column, 5.0);
                }
                let y = s.y;
                s.push(Item::Fill { x: column.x, y, w: column.wide, h: CODE.leading + 0.2, ink: INSET });
                s.line(&line, inner, CODE, false, true);
                s.y += CODE.leading;
            }
        }
    });
    band(s, column, 5.0);
}

fn band(s: &mut Sheets, column: Column, height: f32) {
    let y = s.y;
    s.push(Item::Fill { x: column.x, y, w: column.wide, h: height + 0.2, ink: INSET });
    s.y += height;
}

fn note(s: &mut Sheets, tone: Tone, text: &str) {
    let ink = if tone == Tone::Warning { WARN } else { ACCENT };
    let column = Column { bar: Some((Column::PAGE.x, ink)), ..Column::PAGE.inset(12.0) };
    s.gap(GAP + 2.0, Column::PAGE);
    let spans = [Span { text: format!("{}. ", tone.words()), strong: true, ..Span::default() }, Span::plain(text)];
    paragraph(s, &spans, column, BODY);
    s.gap(3.0, Column::PAGE);
}

/// Keys at the left, values beside them.
fn pairs(s: &mut Sheets, facts: &[Fact]) {
    if facts.is_empty() {
        return;
    }
    let all = Column::PAGE;
    let widest = facts.iter().map(|f| extent(&mut s.fonts, &[Span::plain(f.key.as_str())], false, SMALL.size).1).fold(0.0_f32, f32::max);
    let keys = Column { wide: (widest + 1.0).min(all.wide * 0.36), ..all };
    let values = all.inset(keys.wide + 18.0);
    s.node(Kind::List { ordered: false }, |s| {
        for fact in facts {
            let key = lines(&mut s.fonts, &[Span::plain(fact.key.as_str())], false, SMALL.size, keys.wide);
            let value = lines(&mut s.fonts, &[Span::plain(fact.value.as_str())], false, 9.5, values.wide);
            s.room(SMALL.leading * key.len().max(value.len().min(3)) as f32);
            s.node(Kind::Item, |s| {
                let (top, page) = (s.y, s.pages.len());
                s.node(Kind::Label, |s| {
                    for line in &key {
                        if s.y + SMALL.leading <= BOTTOM {
                            s.line(line, keys, SMALL, false, true);
                            s.y += SMALL.leading;
                        }
                    }
                });
                let below = s.y;
                s.y = top;
                s.node(Kind::Body, |s| s.lines(&value, values, Type { size: 9.5, leading: 13.0, ink: INK }));
                if s.pages.len() == page {
                    s.y = s.y.max(below);
                }
            });
            s.y += 1.5;
        }
    });
}

/// Says which characters the document could not show.
fn unprintable(s: &mut Sheets) {
    const NAMED: usize = 12;
    if s.fonts.missing.is_empty() {
        return;
    }
    let missing = std::mem::take(&mut s.fonts.missing);
    let named: Vec<String> = missing.iter().take(NAMED).map(|c| format!("U+{:04X}", u32::from(*c))).collect();
    let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
    let text = format!(
        "{} of this document cannot be printed with its fonts and {} shown as \u{fffd}: {}{more}. The HTML and Markdown forms have {}.",
        if missing.len() == 1 { "One character".to_owned() } else { format!("{} characters", missing.len()) },
        if missing.len() == 1 { "is" } else { "are" },
        named.join(", "),
        if missing.len() == 1 { "it" } else { "them" },
    );
    note(s, Tone::Warning, &text);
}
