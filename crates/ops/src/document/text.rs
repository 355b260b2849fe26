//! Markdown as a tree of parts: the one place where people's text is read.
//!
//! Lives here: CommonMark with tables and strikethrough, read into parts. May not: HTML, fonts.
//! Invariants: raw HTML becomes text; a link has `http`, `https` or `mailto` or is none; an image becomes its alternative text;
//! nothing is nested deeper than [`DEEPEST`], so that the renderers may recurse.

use pulldown_cmark::{Alignment, Event, Options, Parser, Tag, TagEnd};

/// How deep lists and quotations may stand in each other. What is deeper is shown at this depth.
pub const DEEPEST: usize = 8;

/// A piece of a line. Its text may hold line breaks that the person asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub strong: bool,
    pub emphasis: bool,
    pub struck: bool,
    pub code: bool,
    pub link: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Heading { level: u8, spans: Vec<Span> },
    Paragraph(Vec<Span>),
    List { start: Option<u64>, items: Vec<Vec<Part>> },
    Quote(Vec<Part>),
    Code(String),
    Table(Grid),
    Rule,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// Whether the column stands at the right.
    pub right: Vec<bool>,
    pub head: Vec<Vec<Span>>,
    pub rows: Vec<Vec<Vec<Span>>>,
}

impl Span {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    fn looks_like(&self, other: &Self) -> bool {
        (self.strong, self.emphasis, self.struck, self.code, &self.link) == (other.strong, other.emphasis, other.struck, other.code, &other.link)
    }
}

/// The address as it may be followed, or nothing.
pub fn safe_link(address: &str) -> Option<String> {
    let lower = address.get(..8.min(address.len())).unwrap_or("").to_ascii_lowercase();
    let known = lower.starts_with("http://") || lower.starts_with("https://") || lower.starts_with("mailto:");
    (known && !address.chars().any(|c| c.is_control() || c.is_whitespace())).then(|| address.to_owned())
}

pub(super) fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH
}

/// Reads Markdown. Never fails: whatever is no Markdown is text.
pub fn parse(markdown: &str) -> Vec<Part> {
    let mut reader = Reader { frames: vec![Frame::Parts(Vec::new())], ..Reader::default() };
    for event in Parser::new_ext(markdown, options()) {
        reader.take(event);
    }
    reader.finish()
}

enum Frame {
    /// The text itself, a list's item or a quotation.
    Parts(Vec<Part>),
    List(Option<u64>, Vec<Vec<Part>>),
}

#[derive(Default)]
struct Reader {
    frames: Vec<Frame>,
    /// For each container that is open: whether it has a frame.
    nested: Vec<bool>,
    line: Vec<Span>,
    strong: usize,
    emphasis: usize,
    struck: usize,
    links: Vec<Option<String>>,
    code: Option<String>,
    grid: Option<Grid>,
    row: Vec<Vec<Span>>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(t) => match &mut self.code {
                Some(code) => code.push_str(&t),
                None => self.say(&t, false),
            },
            Event::Code(t) => self.say(&t, true),
            Event::Html(t) | Event::InlineHtml(t) | Event::InlineMath(t) | Event::DisplayMath(t) | Event::FootnoteReference(t) => self.say(&t, false),
            Event::SoftBreak => self.say(" ", false),
            Event::HardBreak => self.say("\n", false),
            Event::Rule => {
                self.end_line();
                self.push(Part::Rule);
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Strong => self.strong += 1,
            Tag::Emphasis => self.emphasis += 1,
            Tag::Strikethrough => self.struck += 1,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.links.push(safe_link(&dest_url)),
            Tag::CodeBlock(_) => {
                self.end_line();
                self.code = Some(String::new());
            }
            Tag::BlockQuote(_) | Tag::Item => self.open(Frame::Parts(Vec::new())),
            Tag::List(start) => self.open(Frame::List(start, Vec::new())),
            Tag::Table(aligned) => {
                self.end_line();
                self.grid = Some(Grid { right: aligned.iter().map(|a| *a == Alignment::Right).collect(), ..Grid::default() });
            }
            Tag::TableHead | Tag::TableRow => self.row.clear(),
            Tag::TableCell => self.line.clear(),
            _ => self.end_line(),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong => self.strong = self.strong.saturating_sub(1),
            TagEnd::Emphasis => self.emphasis = self.emphasis.saturating_sub(1),
            TagEnd::Strikethrough => self.struck = self.struck.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => {
                self.links.pop();
            }
            TagEnd::Heading(level) => {
                let spans = std::mem::take(&mut self.line);
                if !spans.is_empty() {
                    self.push(Part::Heading { level: level as u8, spans });
                }
            }
            TagEnd::CodeBlock => {
                let text = self.code.take().unwrap_or_default();
                self.push(Part::Code(text.trim_end_matches('\n').to_owned()));
            }
            TagEnd::BlockQuote(_) | TagEnd::Item | TagEnd::List(_) => self.close(matches!(tag, TagEnd::Item)),
            TagEnd::TableCell => self.row.push(std::mem::take(&mut self.line)),
            TagEnd::TableHead => {
                let row = std::mem::take(&mut self.row);
                if let Some(grid) = &mut self.grid {
                    grid.head = row;
                }
            }
            TagEnd::TableRow => {
                let row = std::mem::take(&mut self.row);
                if let Some(grid) = &mut self.grid {
                    grid.rows.push(row);
                }
            }
            TagEnd::Table => {
                if let Some(grid) = self.grid.take() {
                    self.push(Part::Table(grid));
                }
            }
            _ => self.end_line(),
        }
    }

    fn open(&mut self, frame: Frame) {
        self.end_line();
        // A list and its item go together: an item without its list has nowhere to go.
        let fits = match frame {
            Frame::List(..) => self.frames.len() < 2 * DEEPEST,
            Frame::Parts(_) => self.frames.len() <= 2 * DEEPEST && self.nested.last() != Some(&false),
        };
        self.nested.push(fits);
        if fits {
            self.frames.push(frame);
        }
    }

    fn close(&mut self, item: bool) {
        self.end_line();
        if self.nested.pop() != Some(true) {
            return;
        }
        match self.frames.pop() {
            Some(Frame::Parts(parts)) => match self.frames.last_mut() {
                Some(Frame::List(_, items)) if item => items.push(parts),
                _ => self.push(Part::Quote(parts)),
            },
            Some(Frame::List(start, items)) => self.push(Part::List { start, items }),
            None => {}
        }
    }

    fn push(&mut self, part: Part) {
        if let Some(Frame::Parts(parts)) = self.frames.iter_mut().rev().find(|f| matches!(f, Frame::Parts(_))) {
            parts.push(part);
        }
    }

    fn say(&mut self, text: &str, code: bool) {
        let span = Span {
            text: text.to_owned(),
            strong: self.strong > 0,
            emphasis: self.emphasis > 0,
            struck: self.struck > 0,
            code,
            link: self.links.last().cloned().flatten(),
        };
        match self.line.last_mut() {
            Some(last) if last.looks_like(&span) => last.text.push_str(text),
            _ => self.line.push(span),
        }
    }

    fn end_line(&mut self) {
        let spans = std::mem::take(&mut self.line);
        if spans.iter().any(|s| !s.text.trim().is_empty()) {
            self.push(Part::Paragraph(spans));
        }
    }

    fn finish(mut self) -> Vec<Part> {
        self.end_line();
        self.frames.drain(..).find_map(|f| if let Frame::Parts(parts) = f { Some(parts) } else { None }).unwrap_or_default()
    }
}
