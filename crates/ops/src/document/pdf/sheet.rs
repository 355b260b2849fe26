//! Sheets: what lies where on the pages, before a PDF is written.
//!
//! Lives here: marks on pages, their place in the document's structure, the pen that moves down and on. May not: krilla.
//! Invariant: each mark stands in the structure exactly once, or is decoration.

use super::{
    fonts::{Face, Fonts},
    line::{Line, Run},
};

/// A4 in points.
pub const WIDTH: f32 = 595.28;
pub const HEIGHT: f32 = 841.89;
pub const LEFT: f32 = 64.0;
pub const RIGHT: f32 = WIDTH - 64.0;
pub const TOP: f32 = 64.0;
pub const BOTTOM: f32 = HEIGHT - 76.0;

pub type Ink = (u8, u8, u8);
pub const INK: Ink = (0x11, 0x18, 0x1b);
pub const SOFT: Ink = (0x53, 0x60, 0x65);
pub const HAIR: Ink = (0xd3, 0xda, 0xd9);
pub const RULE: Ink = (0x6b, 0x78, 0x7c);
pub const INSET: Ink = (0xf2, 0xf5, 0xf4);
pub const ACCENT: Ink = (0x0e, 0x4f, 0x8b);
pub const WARN: Ink = (0xb0, 0x6f, 0x00);

/// What a node of the structure is, for people who listen to the document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Title,
    Heading(u8),
    Paragraph,
    Quote,
    List { ordered: bool },
    Item,
    Label,
    Body,
    Table,
    Caption,
    Row,
    ColumnHead,
    RowHead,
    Cell,
    Code,
    Contents,
    Entry,
    Link,
}

#[derive(Clone, Copy, Debug)]
pub enum Child {
    Node(usize),
    Mark(usize),
}

#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    pub children: Vec<Child>,
}

#[derive(Clone, Debug)]
pub enum To {
    Address(String),
    /// A heading, by its number.
    Heading(usize),
}

#[derive(Debug)]
pub enum Item {
    /// `mark` is nothing for what is said elsewhere, such as a header that repeats.
    Text {
        x: f32,
        y: f32,
        size: f32,
        ink: Ink,
        face: Face,
        text: String,
        mark: Option<usize>,
    },
    Fill {
        x: f32,
        y: f32,
        w: f32,
        h: f32,
        ink: Ink,
    },
    Link {
        x: f32,
        y: f32,
        w: f32,
        h: f32,
        to: To,
        says: String,
        mark: usize,
    },
    /// The number of the page that a heading is on, ending at `right`.
    PageOf {
        right: f32,
        y: f32,
        heading: usize,
        mark: usize,
    },
}

/// Where text stands: from `x`, `wide` points, with a bar at the left where one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub x: f32,
    pub wide: f32,
    pub bar: Option<(f32, Ink)>,
}

impl Column {
    pub const PAGE: Self = Self { x: LEFT, wide: RIGHT - LEFT, bar: None };

    pub fn inset(self, by: f32) -> Self {
        Self { x: self.x + by, wide: (self.wide - by).max(40.0), bar: self.bar }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Type {
    pub size: f32,
    pub leading: f32,
    pub ink: Ink,
}

pub struct Heading {
    pub level: u8,
    pub text: String,
    pub page: usize,
    pub y: f32,
}

pub struct Sheets {
    pub fonts: Fonts,
    pub pages: Vec<Vec<Item>>,
    pub y: f32,
    pub nodes: Vec<Node>,
    pub top: Vec<Child>,
    pub headings: Vec<Heading>,
    pub marks: usize,
    /// Where the last heading ended: what follows at once stands closer.
    pub headed: (usize, f32),
    /// The nodes that are open; new marks go into the last.
    open: Vec<usize>,
}

impl Sheets {
    pub fn new(fonts: Fonts) -> Self {
        Self { fonts, pages: vec![Vec::new()], y: TOP, nodes: Vec::new(), top: Vec::new(), headings: Vec::new(), marks: 0, headed: (0, 0.0), open: Vec::new() }
    }

    /// Draws `inside` as one node of the structure.
    pub fn node<T>(&mut self, kind: Kind, inside: impl FnOnce(&mut Self) -> T) -> T {
        let id = self.nodes.len();
        self.nodes.push(Node { kind, children: Vec::new() });
        self.attach(Child::Node(id));
        self.open.push(id);
        let out = inside(self);
        self.open.pop();
        out
    }

    /// Draws `inside` within a node that was made before: a cell goes on after the page's end.
    pub fn within<T>(&mut self, node: usize, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.open.push(node);
        let out = inside(self);
        self.open.pop();
        out
    }

    /// Makes a node without entering it.
    pub fn make(&mut self, kind: Kind) -> usize {
        let id = self.nodes.len();
        self.nodes.push(Node { kind, children: Vec::new() });
        self.attach(Child::Node(id));
        id
    }

    fn attach(&mut self, child: Child) {
        match self.open.last() {
            Some(node) => self.nodes[*node].children.push(child),
            None => self.top.push(child),
        }
    }

    pub fn mark(&mut self) -> usize {
        let mark = self.marks;
        self.marks += 1;
        self.attach(Child::Mark(mark));
        mark
    }

    pub fn push(&mut self, item: Item) {
        if let Some(page) = self.pages.last_mut() {
            page.push(item);
        }
    }

    pub fn turn(&mut self) {
        self.pages.push(Vec::new());
        self.y = TOP;
    }

    pub fn is_top(&self) -> bool {
        self.y <= TOP
    }

    pub fn left(&self) -> f32 {
        BOTTOM - self.y
    }

    /// Turns the page where `height` does not fit on what is left of it.
    pub fn room(&mut self, height: f32) {
        if height > self.left() && !self.is_top() {
            self.turn();
        }
    }

    /// Whether the pen is right below a heading.
    pub fn below_heading(&self) -> bool {
        self.headed.0 == self.pages.len() && (self.headed.1 - self.y).abs() < 0.1
    }

    /// Space between blocks; none at the top of a page.
    pub fn gap(&mut self, height: f32, column: Column) {
        if self.is_top() {
            return;
        }
        if self.left() <= height {
            return self.turn();
        }
        self.bar(height, column);
        self.y += height;
    }

    fn bar(&mut self, height: f32, column: Column) {
        if let Some((x, ink)) = column.bar {
            let y = self.y;
            self.push(Item::Fill { x, y, w: 2.0, h: height, ink });
        }
    }

    pub fn rule(&mut self, x: f32, wide: f32, thick: f32, ink: Ink) {
        let y = self.y;
        self.push(Item::Fill { x, y, w: wide, h: thick, ink });
    }

    /// Draws one line at the pen, without moving it. `right` puts it at the right of its column.
    pub fn line(&mut self, line: &Line, column: Column, look: Type, right: bool, spoken: bool) {
        let mut x = if right { column.x + column.wide - line.width } else { column.x };
        let y = self.y + look.leading / 2.0 + look.size * 0.35;
        for run in &line.runs {
            self.run(run, x, y, look, spoken);
            x += run.width;
        }
    }

    fn run(&mut self, run: &Run, x: f32, y: f32, look: Type, spoken: bool) {
        let size = look.size;
        let text = |mark, ink| Item::Text { x, y, size, ink, face: run.face, text: run.text.clone(), mark };
        match &run.link {
            Some(address) if spoken => {
                let (mark, link) = self.node(Kind::Link, |s| (s.mark(), s.mark()));
                self.push(text(Some(mark), ACCENT));
                let to = To::Address(address.clone());
                self.push(Item::Link { x, y: y - size, w: run.width, h: size * 1.3, to, says: run.text.clone(), mark: link });
            }
            _ => {
                let mark = spoken.then(|| self.mark());
                self.push(text(mark, look.ink));
            }
        }
        if run.struck {
            self.push(Item::Fill { x, y: y - size * 0.3, w: run.width, h: 0.6, ink: look.ink });
        }
    }

    /// Lines one below another over the pages, without a lonely first or last line.
    pub fn lines(&mut self, all: &[Line], column: Column, look: Type) {
        let mut at = 0;
        while at < all.len() {
            let rest = all.len() - at;
            let mut fit = ((self.left() + 0.01) / look.leading).floor().max(0.0) as usize;
            if self.is_top() {
                fit = fit.max(1);
            }
            if fit < rest && !self.is_top() && fit < 2 {
                self.turn();
                continue;
            }
            let take = if fit >= rest {
                rest
            } else if rest - fit == 1 && fit > 2 {
                fit - 1
            } else {
                fit
            };
            for line in &all[at..at + take] {
                self.bar(look.leading, column);
                self.line(line, column, look, false, true);
                self.y += look.leading;
            }
            at += take;
            if at < all.len() {
                self.turn();
            }
        }
    }
}
