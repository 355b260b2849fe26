//! PDF: A4 pages with a table of contents, bookmarks, page numbers and a structure that can be read aloud.
//!
//! Lives here: the entry and the writing by krilla. May not: where things stand, which `flow`, `table` and `sheet` decide.
//! Invariant: the same document gives the same bytes: no clock, no random names.

mod flow;
mod fonts;
mod line;
mod sheet;
mod table;

use std::num::NonZeroU16;

use domain::document::Document;
use krilla::{
    SerializeSettings,
    action::{Action, LinkAction},
    annotation::{Annotation, LinkAnnotation, Target},
    color::rgb,
    destination::XyzDestination,
    geom::{PathBuilder, Point, Rect},
    metadata::Metadata,
    num::NormalizedF32,
    outline::{Outline, OutlineNode},
    page::PageSettings,
    paint::Fill,
    surface::Surface,
    tagging::{Artifact, ArtifactType, ContentTag, Identifier, ListNumbering, SpanTag, TableHeaderScope, Tag, TagGroup, TagTree},
};

use self::{
    fonts::{Face, Fonts},
    line::lines,
    sheet::{BOTTOM, Child, HAIR, HEIGHT, INK, Ink, Item, Kind, LEFT, RIGHT, SOFT, Sheets, To, WIDTH},
};
use super::text::Span;
use crate::{OpsError, Result};

/// The document as a PDF. It fails only when a bundled font is broken.
pub fn pdf(document: &Document) -> Result<Vec<u8>> {
    let mut sheets = Sheets::new(Fonts::load()?);
    flow::document(&mut sheets, document);
    write(&mut sheets, document)
}

fn write(sheets: &mut Sheets, document: &Document) -> Result<Vec<u8>> {
    let settings = SerializeSettings { enable_tagging: true, ..SerializeSettings::default() };
    let mut out = krilla::Document::new_with(settings);
    let size = PageSettings::from_wh(WIDTH, HEIGHT).ok_or_else(|| OpsError::internal("the page has no size"))?;
    let total = sheets.pages.len();
    let mut marks: Vec<Option<Identifier>> = (0..sheets.marks).map(|_| None).collect();
    let foot = lines(&mut sheets.fonts, &[Span::plain(document.footer.as_str())], false, 8.0, RIGHT - LEFT - 90.0);
    for number in 0..total {
        let mut page = out.start_page_with(size.clone());
        let mut surface = page.surface();
        for item in &sheets.pages[number] {
            match item {
                Item::Fill { x, y, w, h, ink } => {
                    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
                    fill(&mut surface, (*x, *y, *w, *h), *ink);
                    surface.end_tagged();
                }
                Item::Text { x, y, size, ink, face, text, mark } => {
                    let says = mark.map_or(ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)), |_| ContentTag::Span(SpanTag::empty()));
                    let id = surface.start_tagged(says);
                    draw(&mut surface, &sheets.fonts, (*x, *y), *size, *ink, *face, text);
                    surface.end_tagged();
                    if let Some(mark) = mark {
                        marks[*mark] = Some(id);
                    }
                }
                Item::PageOf { right, y, heading, mark } => {
                    let text = sheets.headings.get(*heading).map_or(0, |h| h.page + 1).to_string();
                    let x = right - sheets.fonts.width(Face::Regular, &text) * 9.5;
                    let id = surface.start_tagged(ContentTag::Span(SpanTag::empty()));
                    draw(&mut surface, &sheets.fonts, (x, *y), 9.5, SOFT, Face::Regular, &text);
                    surface.end_tagged();
                    marks[*mark] = Some(id);
                }
                Item::Link { .. } => {}
            }
        }
        let words = format!("page {} of {total}", number + 1);
        let wide = sheets.fonts.width(Face::Regular, &words) * 8.0;
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Footer)));
        fill(&mut surface, (LEFT, BOTTOM + 20.0, RIGHT - LEFT, 0.4), HAIR);
        let y = BOTTOM + 34.0;
        let mut x = LEFT;
        for run in foot.first().map(|l| l.runs.as_slice()).unwrap_or_default() {
            draw(&mut surface, &sheets.fonts, (x, y), 8.0, SOFT, run.face, &run.text);
            x += run.width;
        }
        draw(&mut surface, &sheets.fonts, (RIGHT - wide, y), 8.0, INK, Face::Regular, &words);
        surface.end_tagged();
        surface.finish();
        for item in &sheets.pages[number] {
            let Item::Link { x, y, w, h, to, says, mark } = item else { continue };
            let target = match to {
                To::Address(address) => Some(Target::Action(Action::Link(LinkAction::new(address.clone())))),
                To::Heading(number) => sheets.headings.get(*number).map(|to| Target::Destination(place(to).into())),
            };
            if let (Some(target), Some(rect)) = (target, Rect::from_xywh(*x, *y, w.max(1.0), h.max(1.0))) {
                let annotation = Annotation::new_link(LinkAnnotation::new(rect, target), Some(says.clone()));
                marks[*mark] = Some(page.add_tagged_annotation(annotation));
            }
        }
        page.finish();
    }
    let mut tree = TagTree::new().with_lang(Some("en".to_owned()));
    for child in &sheets.top {
        match child {
            Child::Node(n) => tree.push(group(sheets, *n, &mut marks)),
            Child::Mark(m) => {
                if let Some(id) = marks[*m].take() {
                    tree.push(id);
                }
            }
        }
    }
    out.set_tag_tree(tree);
    out.set_outline(outline(sheets));
    let title = if document.title.is_empty() { "Document" } else { &document.title };
    out.set_metadata(Metadata::new().title(title.to_owned()).language("en".to_owned()).creator("Holdfast".to_owned()));
    out.finish().map_err(|e| OpsError::internal(e.to_string()))
}

fn place(heading: &sheet::Heading) -> XyzDestination {
    XyzDestination::new(heading.page, Point::from_xy(LEFT, (heading.y - 8.0).max(0.0)))
}

fn ink_of(ink: Ink) -> Fill {
    Fill { paint: rgb::Color::new(ink.0, ink.1, ink.2).into(), opacity: NormalizedF32::ONE, rule: krilla::paint::FillRule::default() }
}

fn fill(surface: &mut Surface<'_>, (x, y, w, h): (f32, f32, f32, f32), ink: Ink) {
    let Some(rect) = Rect::from_xywh(x, y, w, h) else { return };
    let mut path = PathBuilder::new();
    path.push_rect(rect);
    if let Some(path) = path.finish() {
        surface.set_fill(Some(ink_of(ink)));
        surface.draw_path(&path);
    }
}

fn draw(surface: &mut Surface<'_>, fonts: &Fonts, (x, y): (f32, f32), size: f32, ink: Ink, face: Face, text: &str) {
    surface.set_fill(Some(ink_of(ink)));
    surface.draw_glyphs(Point::from_xy(x, y), &fonts.glyphs(face, text), fonts.font(face), text, size, false);
}

fn group(sheets: &Sheets, node: usize, marks: &mut [Option<Identifier>]) -> TagGroup {
    let level = |n: u8| NonZeroU16::new(u16::from(n)).unwrap_or(NonZeroU16::MIN);
    let of = &sheets.nodes[node];
    let mut out = match of.kind {
        Kind::Title => TagGroup::new(Tag::Title),
        Kind::Heading(n) => TagGroup::new(Tag::Hn(level(n), None)),
        Kind::Paragraph => TagGroup::new(Tag::P),
        Kind::Quote => TagGroup::new(Tag::BlockQuote),
        Kind::List { ordered } => TagGroup::new(Tag::L(if ordered { ListNumbering::Decimal } else { ListNumbering::Disc })),
        Kind::Item => TagGroup::new(Tag::LI),
        Kind::Label => TagGroup::new(Tag::Lbl),
        Kind::Body => TagGroup::new(Tag::LBody),
        Kind::Table => TagGroup::new(Tag::Table),
        Kind::Caption => TagGroup::new(Tag::Caption),
        Kind::Row => TagGroup::new(Tag::TR),
        Kind::ColumnHead => TagGroup::new(Tag::TH(TableHeaderScope::Column)),
        Kind::RowHead => TagGroup::new(Tag::TH(TableHeaderScope::Row)),
        Kind::Cell => TagGroup::new(Tag::TD),
        Kind::Code => TagGroup::new(Tag::Code),
        Kind::Contents => TagGroup::new(Tag::TOC),
        Kind::Entry => TagGroup::new(Tag::TOCI),
        Kind::Link => TagGroup::new(Tag::Link),
    };
    for child in &of.children {
        match child {
            Child::Node(n) => out.push(group(sheets, *n, marks)),
            Child::Mark(m) => {
                if let Some(id) = marks[*m].take() {
                    out.push(id);
                }
            }
        }
    }
    out
}

/// Bookmarks, each under the last heading of a higher level.
fn outline(sheets: &Sheets) -> Outline {
    let mut open: Vec<(u8, OutlineNode)> = Vec::new();
    let mut out = Outline::new();
    let mut close = |open: &mut Vec<(u8, OutlineNode)>, level: u8| {
        while open.last().is_some_and(|(l, _)| *l >= level) {
            let Some((_, done)) = open.pop() else { return };
            match open.last_mut() {
                Some((_, parent)) => parent.push_child(done),
                None => out.push_child(done),
            }
        }
    };
    for heading in &sheets.headings {
        close(&mut open, heading.level);
        open.push((heading.level, OutlineNode::new(heading.text.clone(), place(heading))));
    }
    close(&mut open, 0);
    out
}
