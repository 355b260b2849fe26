//! An answer of ARGO as XML.
//!
//! Lives here: from text to the tree. May not: what the tree means, and entities: an answer that declares any is refused.
//!
//! `<root>` holds `<group name type>` within each other; `<results …/>` holds the figures as attributes.

use domain::availability::source::{Failed, Trouble};
use quick_xml::{
    Reader, XmlVersion,
    errors::{Error, SyntaxError},
    events::{BytesStart, Event},
};

use super::answer::{Node, Texts};

/// Groups within groups; beyond that it is something else.
const DEEPEST: usize = 12;

fn wrong(why: &str) -> Failed {
    Failed::new(Trouble::WrongType, format!("the answer is no XML of ARGO: {why}"))
}

fn cut(body: &[u8]) -> Failed {
    Failed::new(Trouble::Cut, format!("the answer ends in its midst, after {} bytes", body.len()))
}

pub fn read(body: &[u8]) -> Result<Vec<Node>, Failed> {
    let text = std::str::from_utf8(body).map_err(|e| if e.error_len().is_none() { cut(body) } else { wrong("it is not written in UTF-8") })?;
    if !text.trim_start().starts_with('<') {
        return Err(wrong("it begins with something else than “<”"));
    }
    let mut reader = Reader::from_str(text);
    // What is open, the root first.
    let mut open: Vec<Node> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => begin(&tag, &mut open, root.is_some())?,
            Ok(Event::Empty(tag)) => {
                begin(&tag, &mut open, root.is_some())?;
                end(&mut open, &mut root);
            }
            Ok(Event::End(_)) => end(&mut open, &mut root),
            Ok(Event::DocType(_)) => return Err(wrong("it declares a document type")),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(e) if is_end(&e) => return Err(cut(body)),
            Err(e) => return Err(wrong(&e.to_string())),
        }
    }
    root.map(|r: Node| r.inside).ok_or_else(|| cut(body))
}

/// Whether the text ends within a tag.
fn is_end(e: &Error) -> bool {
    matches!(
        e,
        Error::Syntax(
            SyntaxError::UnclosedTag
                | SyntaxError::UnclosedSingleQuotedAttributeValue
                | SyntaxError::UnclosedDoubleQuotedAttributeValue
                | SyntaxError::UnclosedXmlDecl
                | SyntaxError::UnclosedPI
                | SyntaxError::UnclosedComment
                | SyntaxError::UnclosedCData
        )
    )
}

/// Opens an element: results go to the group around them at once, and are open as a group without a name.
fn begin(tag: &BytesStart<'_>, open: &mut Vec<Node>, after_root: bool) -> Result<(), Failed> {
    let name = tag.local_name();
    let mut node = Node::default();
    if open.is_empty() && (after_root || name.as_ref() != b"root") {
        return Err(wrong("it has no <root> around it all"));
    }
    if open.len() >= DEEPEST {
        return Err(wrong("its groups are too deep within each other"));
    }
    let (mut texts, is_result) = (Texts::default(), name.as_ref() == b"results");
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| wrong(&e.to_string()))?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|e| wrong(&e.to_string()))?.into_owned();
        let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
        match key.as_str() {
            "name" if !is_result => node.name = value,
            "type" if !is_result => node.kind = value,
            other if is_result => {
                if let Some(field) = texts.field(other) {
                    *field = value;
                }
            }
            _ => {}
        }
    }
    if is_result && let Some(group) = open.last_mut() {
        group.results.push(texts);
    }
    open.push(node);
    Ok(())
}

/// Closes what was opened last, and puts it into what is around it.
fn end(open: &mut Vec<Node>, root: &mut Option<Node>) {
    let Some(done) = open.pop() else { return };
    match open.last_mut() {
        None => *root = Some(done),
        Some(_) if done == Node::default() => {}
        Some(around) => around.inside.push(done),
    }
}
