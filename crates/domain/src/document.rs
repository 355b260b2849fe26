//! A document that is no page, no Markdown and no PDF yet (R42): what it says, in order.
//!
//! Lives here: the blocks of a document and the anchors of its headings. May not: fonts, tags, pages; `ops::document` makes those.
//! Invariant: the anchors of one document differ from each other, whatever its headings say.

use serde::{Deserialize, Serialize};

/// A document as its author means it. Every renderer shows every block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub title: String,
    /// Stands at the foot of each page, such as `EGI Notebooks · version 3, approved`. May be empty.
    pub footer: String,
    /// Under the title: `Version` is `3`, `Approved` is `2019-06-06`.
    pub facts: Vec<Fact>,
    pub blocks: Vec<Block>,
}

/// A key and its value, both plain text. The value may have lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub key: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Level 1 is a chapter of the document; the title stands above it.
    Heading {
        level: u8,
        text: String,
        anchor: String,
    },
    /// Text that a person wrote, as CommonMark with tables. Raw HTML in it is shown, never obeyed.
    Markdown {
        text: String,
    },
    Facts {
        facts: Vec<Fact>,
    },
    Table(Table),
    List {
        ordered: bool,
        items: Vec<String>,
    },
    /// A log or a file, character by character.
    Code {
        caption: String,
        text: String,
    },
    Note {
        tone: Tone,
        text: String,
    },
}

/// Cells are plain text. A row that is shorter than the header is filled with empty cells; what is longer is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub title: String,
    /// Figures stand at the right.
    pub number: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Good to know.
    Plain,
    /// Something is wrong, missing or old.
    Warning,
}

impl Tone {
    /// The word before the text, so that the tone needs no colour.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plain => "Note",
            Self::Warning => "Attention",
        }
    }
}

impl Column {
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), number: false }
    }

    pub fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), number: true }
    }
}

impl Table {
    pub fn new(caption: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) -> &mut Self {
        self.rows.push(cells);
        self
    }

    /// The cell, or nothing where the row is too short.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        self.rows.get(row).and_then(|r| r.get(column)).map_or("", String::as_str)
    }
}

impl Document {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A fact under the title.
    pub fn fact(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.facts.push(Fact { key: key.into(), value: value.into() });
        self
    }

    /// A heading of level 1 to 4, with an anchor of its own.
    pub fn heading(&mut self, level: u8, text: impl Into<String>) -> &mut Self {
        let text = text.into();
        let wanted = slug(&text);
        let mut anchor = wanted.clone();
        let mut n = 1;
        while self.headings().any(|(_, _, a)| a == anchor) {
            n += 1;
            anchor = format!("{wanted}-{n}");
        }
        self.blocks.push(Block::Heading { level: level.clamp(1, 4), text, anchor });
        self
    }

    /// Text of a person. Nothing is added where it is blank.
    pub fn markdown(&mut self, text: &str) -> &mut Self {
        if !text.trim().is_empty() {
            self.blocks.push(Block::Markdown { text: text.to_owned() });
        }
        self
    }

    pub fn pairs<K: Into<String>, V: Into<String>>(&mut self, facts: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self.blocks.push(Block::Facts { facts: facts.into_iter().map(|(k, v)| Fact { key: k.into(), value: v.into() }).collect() });
        self
    }

    pub fn table(&mut self, table: Table) -> &mut Self {
        self.blocks.push(Block::Table(table));
        self
    }

    pub fn list(&mut self, ordered: bool, items: Vec<String>) -> &mut Self {
        self.blocks.push(Block::List { ordered, items });
        self
    }

    pub fn code(&mut self, caption: impl Into<String>, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Code { caption: caption.into(), text: text.into() });
        self
    }

    pub fn note(&mut self, tone: Tone, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Note { tone, text: text.into() });
        self
    }

    /// Level, text and anchor of each heading, in order: the table of contents.
    pub fn headings(&self) -> impl Iterator<Item = (u8, &str, &str)> {
        self.blocks.iter().filter_map(|b| match b {
            Block::Heading { level, text, anchor } => Some((*level, text.as_str(), anchor.as_str())),
            _ => None,
        })
    }
}

/// The anchor a heading asks for: small letters, digits and hyphens; `section` where nothing is left.
fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() { "section".to_owned() } else { out.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_differ() {
        let mut d = Document::new("Plan");
        d.heading(1, "Return to normal!").heading(1, "Return to normal").heading(2, "…").heading(2, "").heading(9, "Return to normal 2");
        let got: Vec<_> = d.headings().map(|(l, _, a)| (l, a.to_owned())).collect();
        let want = [(1, "return-to-normal"), (1, "return-to-normal-2"), (2, "section"), (2, "section-2"), (4, "return-to-normal-2-2")];
        assert_eq!(got, want.map(|(l, a)| (l, a.to_owned())));
    }

    #[test]
    fn short_rows_have_empty_cells_and_blank_text_is_no_block() {
        let mut t = Table::new("Risks", vec![Column::text("Risk"), Column::number("Level")]);
        t.row(vec!["fire".into()]);
        assert_eq!((t.cell(0, 0), t.cell(0, 1), t.cell(1, 0)), ("fire", "", ""));
        assert!(Document::new("Plan").markdown(" \n").blocks.is_empty());
    }

    #[test]
    fn documents_survive_json() {
        let mut d = Document::new("Plan");
        d.fact("Version", "3").heading(1, "A").markdown("*b*").pairs([("k", "v")]).list(true, vec!["x".into()]).code("log", "y").note(Tone::Warning, "z");
        d.table(Table::new("t", vec![Column::number("n")]));
        let json = serde_json::to_string(&d).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), d);
    }
}
