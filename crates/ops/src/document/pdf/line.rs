//! Lines: spans of text broken so that they fit a width.
//!
//! Lives here: words, break opportunities, words that are wider than the line. May not: pages.
//! Invariant: a line holds at least one character, so that breaking ends in any width.

use super::fonts::{Face, Fonts};
use crate::document::text::Span;

/// Text of one face and one meaning.
#[derive(Clone, Debug)]
pub struct Run {
    pub face: Face,
    pub text: String,
    pub width: f32,
    pub link: Option<String>,
    pub struck: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Line {
    pub runs: Vec<Run>,
    pub width: f32,
}

#[derive(Clone, Debug, PartialEq)]
struct Look {
    face: Face,
    link: Option<String>,
    struck: bool,
}

/// A word may be made of several pieces: `**bo**ld`.
type Word = Vec<(Look, String)>;

enum Atom {
    Word(Word),
    Space(Look),
    Break,
}

/// The widest word and the widest line of a text, at a size.
pub fn extent(fonts: &mut Fonts, spans: &[Span], strong: bool, size: f32) -> (f32, f32) {
    let (mut word, mut widest, mut line) = (0.0_f32, 0.0_f32, 0.0_f32);
    for atom in atoms(fonts, spans, strong) {
        match atom {
            Atom::Word(w) => {
                let w = width(fonts, &w);
                word = word.max(w);
                line += w;
            }
            Atom::Space(look) => line += fonts.width(look.face, " "),
            Atom::Break => line = 0.0,
        }
        widest = widest.max(line);
    }
    (word * size, widest * size)
}

/// Breaks spans into lines. A blank text has no line.
pub fn lines(fonts: &mut Fonts, spans: &[Span], strong: bool, size: f32, wide: f32) -> Vec<Line> {
    let wide = wide / size;
    let mut made = Maker { fonts, done: Vec::new(), line: Vec::new(), used: 0.0, space: None };
    let all = atoms(made.fonts, spans, strong);
    for atom in all {
        match atom {
            Atom::Break => made.end(),
            Atom::Space(look) => made.space = (!made.line.is_empty()).then_some(look),
            Atom::Word(word) => made.word(word, wide),
        }
    }
    if !made.line.is_empty() {
        made.end();
    }
    while made.done.last().is_some_and(|l| l.runs.is_empty()) {
        made.done.pop();
    }
    for line in &mut made.done {
        line.width *= size;
        for run in &mut line.runs {
            run.width *= size;
        }
    }
    made.done
}

/// One line of a log: spaces stay, and what is longer than the width goes on in further lines.
pub fn verbatim(fonts: &mut Fonts, text: &str, size: f32, wide: f32) -> Vec<Line> {
    let mut out = vec![Line::default()];
    let expanded = text.replace('\t', "    ");
    for (face, piece) in fonts.split(&expanded, Face::Mono) {
        for c in piece.chars() {
            let w = fonts.width(face, c.encode_utf8(&mut [0; 4])) * size;
            if out.last().is_some_and(|l| l.width > 0.0 && l.width + w > wide) {
                out.push(Line::default());
            }
            let Some(line) = out.last_mut() else { continue };
            line.width += w;
            match line.runs.last_mut() {
                Some(run) if run.face == face => {
                    run.text.push(c);
                    run.width += w;
                }
                _ => line.runs.push(Run { face, text: c.to_string(), width: w, link: None, struck: false }),
            }
        }
    }
    out
}

fn atoms(fonts: &mut Fonts, spans: &[Span], strong: bool) -> Vec<Atom> {
    let mut out = Vec::new();
    let mut word: Word = Vec::new();
    for span in spans {
        let want = match span {
            s if s.code => Face::Mono,
            s if s.strong || strong => Face::Strong,
            s if s.emphasis => Face::Emphasis,
            _ => Face::Regular,
        };
        for (i, part) in span.text.split('\n').enumerate() {
            if i > 0 {
                end_word(&mut out, &mut word);
                out.push(Atom::Break);
            }
            for (face, piece) in fonts.split(part, want) {
                let look = Look { face, link: span.link.clone(), struck: span.struck };
                for c in piece.chars() {
                    if c == ' ' {
                        end_word(&mut out, &mut word);
                        if !matches!(out.last(), Some(Atom::Space(_)) | None) {
                            out.push(Atom::Space(look.clone()));
                        }
                        continue;
                    }
                    if may_break_before(&word, c) {
                        end_word(&mut out, &mut word);
                    }
                    match word.last_mut() {
                        Some((last, text)) if *last == look => text.push(c),
                        _ => word.push((look.clone(), c.to_string())),
                    }
                }
            }
        }
    }
    end_word(&mut out, &mut word);
    out
}

fn end_word(out: &mut Vec<Atom>, word: &mut Word) {
    if !word.is_empty() {
        out.push(Atom::Word(std::mem::take(word)));
    }
}

/// After a hyphen between letters, after a dash, and after the slash of a path.
fn may_break_before(word: &Word, next: char) -> bool {
    let mut back = word.iter().rev().flat_map(|(_, t)| t.chars().rev());
    match (back.next(), back.next()) {
        (Some('-'), Some(before)) => before.is_alphabetic() && next.is_alphabetic(),
        (Some('/'), Some(before)) => before.is_alphanumeric() && next.is_alphanumeric() && word.iter().map(|(_, t)| t.len()).sum::<usize>() > 4,
        (Some('–' | '—' | '→'), _) => true,
        _ => false,
    }
}

fn width(fonts: &mut Fonts, word: &Word) -> f32 {
    word.iter().map(|(look, text)| fonts.width(look.face, text)).sum()
}

struct Maker<'f> {
    fonts: &'f mut Fonts,
    done: Vec<Line>,
    line: Vec<(Look, String)>,
    used: f32,
    space: Option<Look>,
}

impl Maker<'_> {
    fn word(&mut self, word: Word, wide: f32) {
        let space = self.space.take();
        let gap = space.as_ref().map_or(0.0, |look| self.fonts.width(look.face, " "));
        let w = width(self.fonts, &word);
        if !self.line.is_empty() && self.used + gap + w > wide {
            self.end();
        } else if let Some(look) = space {
            self.add(look, " ");
        }
        if w <= wide {
            for (look, text) in word {
                self.add(look, &text);
            }
            return;
        }
        // Wider than a whole line: character by character, after a sign that parts where there is one.
        for (look, text) in word {
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (mut fits, mut good, mut taken) = (0, 0, self.used);
                for (at, c) in rest.char_indices() {
                    taken += self.fonts.width(look.face, c.encode_utf8(&mut [0; 4]));
                    if taken > wide && (fits > 0 || !self.line.is_empty()) {
                        break;
                    }
                    fits = at + c.len_utf8();
                    if matches!(c, '/' | '.' | '-' | '_' | '&' | '?' | '=' | ',' | ';' | ':') {
                        good = fits;
                    }
                }
                let take = if fits < rest.len() && good * 2 > fits { good } else { fits };
                self.add(look.clone(), &rest[..take]);
                rest = &rest[take..];
                if !rest.is_empty() {
                    self.end();
                }
            }
        }
    }

    fn add(&mut self, look: Look, text: &str) {
        if text.is_empty() {
            return;
        }
        self.used += self.fonts.width(look.face, text);
        match self.line.last_mut() {
            Some((last, whole)) if *last == look => whole.push_str(text),
            _ => self.line.push((look, text.to_owned())),
        }
    }

    fn end(&mut self) {
        let mut line = Line::default();
        for (look, text) in self.line.drain(..) {
            let width = self.fonts.width(look.face, &text);
            line.width += width;
            line.runs.push(Run { face: look.face, text, width, link: look.link, struck: look.struck });
        }
        self.done.push(line);
        self.used = 0.0;
        self.space = None;
    }
}
