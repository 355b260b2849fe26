//! YAML text as a tree in which everything has its place.
//!
//! Lives here: the tree, its limits, and the words for what is no YAML. May not: what keys mean.
//! Invariant: the depth and the number of nodes are bounded; anchors, aliases and tags are refused.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::Mistake;

/// The largest text that is read, in bytes.
const LARGEST: usize = 8 << 20;
/// How deep lists and mappings may stand in each other. The configuration needs six levels.
const DEEPEST: usize = 16;
const TOO_DEEP: &str = "lists and mappings stand too deep in each other here";

/// A place in the text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub line: usize,
    pub col: usize,
}

impl At {
    pub fn mistake(self, message: impl Into<String>) -> Mistake {
        Mistake { line: self.line, col: self.col, message: message.into(), is_secret: false }
    }
}

impl From<Marker> for At {
    fn from(m: Marker) -> Self {
        Self { line: m.line().max(1), col: m.col() + 1 }
    }
}

#[derive(Debug)]
pub struct Node {
    pub at: At,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Empty,
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; a key that is given twice stands twice.
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub struct Entry {
    pub at: At,
    pub key: String,
    pub value: Node,
}

/// A list or mapping that is still open.
struct Open {
    node: Node,
    /// The key that waits for its value.
    key: Option<(At, String)>,
}

/// Reads exactly one document.
pub fn read(text: &str) -> Result<Node, Mistake> {
    let start = At { line: 1, col: 1 };
    if text.len() > LARGEST {
        return Err(start.mistake(format!("the file is larger than {} MB; split it", LARGEST >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = indenting_tab(text) {
        return Err(at.mistake("a tab; indent with spaces, two for each level"));
    }
    let end = end(text);
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|e| no_yaml(&e, text, &open))?;
        // The parser puts what is left out behind the text on a line that is not there.
        let at = At::from(span.start).min(end);
        let done = match event {
            Event::DocumentStart(_) if root.is_some() => return Err(at.mistake("a second document starts here; keep one configuration in a file")),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => None,
            Event::Alias(_) => {
                return Err(at.mistake("“*” starts an alias, and aliases are not supported; write the value out, or quote it if the * is part of it"));
            }
            Event::Scalar(_, _, anchor, ref tag) | Event::SequenceStart(anchor, ref tag) | Event::MappingStart(anchor, ref tag)
                if anchor > 0 || tag.is_some() =>
            {
                let what = if anchor > 0 { "anchors (&)" } else { "tags (!)" };
                return Err(at.mistake(format!("{what} are not supported; write the plain value, or quote it")));
            }
            Event::Scalar(text, style, _, _) => Some(scalar(&text, style, at)),
            Event::SequenceStart(..) => {
                open.push(Open { node: Node { at, value: Value::List(Vec::new()) }, key: None });
                None
            }
            Event::MappingStart(..) => {
                open.push(Open { node: Node { at, value: Value::Map(Vec::new()) }, key: None });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|o| o.node),
        };
        if open.len() > DEEPEST {
            return Err(at.mistake(TOO_DEEP));
        }
        let Some(node) = done else { continue };
        match open.last_mut() {
            None => root = Some(node),
            Some(parent) => put(parent, node)?,
        }
    }
    root.ok_or_else(|| start.mistake("the file is empty; begin with version: 1"))
}

fn scalar(text: &str, style: ScalarStyle, at: At) -> Node {
    let empty = style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    Node { at, value: if empty { Value::Empty } else { Value::Text(text.to_owned()) } }
}

fn put(parent: &mut Open, node: Node) -> Result<(), Mistake> {
    match (&mut parent.node.value, parent.key.take()) {
        (Value::Map(entries), Some((at, key))) => entries.push(Entry { at, key, value: node }),
        (Value::Map(_), None) => match node.value {
            Value::Text(key) => parent.key = Some((node.at, key)),
            _ => return Err(node.at.mistake("a key must be a plain word")),
        },
        (Value::List(nodes), _) => nodes.push(node),
        (Value::Empty | Value::Text(_), _) => {}
    }
    Ok(())
}

/// The first tab that indents a line. Tabs elsewhere are harmless.
fn indenting_tab(text: &str) -> Option<At> {
    text.lines().enumerate().find_map(|(i, line)| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let content = line[indent..].trim_end();
        let col = line[..indent].find('\t')?;
        (!content.is_empty() && !content.starts_with('#')).then_some(At { line: i + 1, col: col + 1 })
    })
}

/// The place behind the last character. A carriage return alone ends a line, too (YAML 1.2, 5.4).
fn end(text: &str) -> At {
    let mut at = At { line: 1, col: 1 };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' || (c == '\r' && chars.peek() != Some(&'\n')) {
            at = At { line: at.line + 1, col: 1 };
        } else {
            at.col += 1;
        }
    }
    at
}

/// The parser's words for a text that is no YAML, with the remedy for what happens most often.
fn no_yaml(error: &saphyr_parser::ScanError, text: &str, open: &[Open]) -> Mistake {
    let info = error.info();
    let at = At::from(*error.marker()).min(end(text));
    if info.contains("recursion limit") {
        return at.mistake(TOO_DEEP);
    }
    if info.contains("anchor") || info.contains("alias") {
        return at.mistake("“*” and “&” have a meaning of their own in YAML; put the value in quotes, such as \"*.tmp\"");
    }
    if info.starts_with("mapping values are not allowed") || info.starts_with("illegal placement of ':'") {
        return at.mistake("a “:” in the wrong place; check the indentation, or put a value that holds “: ” in quotes");
    }
    if info.contains("quoted") {
        return at.mistake(format!("the quotes do not close or hold something wrong ({info})"));
    }
    if let Some((place, bracket)) = open.last().and_then(|o| bracket(text, o.node.at)) {
        return place.mistake(format!("the “{bracket}” is not closed; close it, or look for a missing comma below"));
    }
    if info.contains("block mapping") || info.contains("block collection") || info.contains("indent") || info.contains("simple key") {
        return at.mistake(format!("this line does not fit the indentation above it; align it with the keys of the same level ({info})"));
    }
    at.mistake(format!("this is not YAML: {info}"))
}

/// The bracket that opens a list or mapping at this place, if it was written with one.
fn bracket(text: &str, at: At) -> Option<(At, char)> {
    let c = text.lines().nth(at.line - 1)?.chars().nth(at.col - 1)?;
    matches!(c, '[' | '{').then_some((at, c))
}
