//! The fonts of a PDF: which face has a character, how wide words are, glyphs for the page.
//!
//! Lives here: IBM Plex Sans and Mono (SIL Open Font License, `fonts/LICENSE.txt`), shaping from left to right.
//! May not: lines, pages. Invariant: every character that is drawn has a glyph; what has none is replaced and remembered.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Direction, UnicodeBuffer};

use crate::{OpsError, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Face {
    Regular,
    Strong,
    Emphasis,
    Mono,
}

/// What stands where the fonts have no glyph.
const REPLACEMENT: char = '\u{fffd}';

struct Loaded {
    font: Font,
    shaper: rustybuzz::Face<'static>,
}

pub struct Fonts {
    faces: [Loaded; 4],
    widths: HashMap<(Face, String), f32>,
    /// Characters of the document that no face has.
    pub missing: BTreeSet<char>,
}

impl Fonts {
    pub fn load() -> Result<Self> {
        let load = |bytes: &'static [u8]| -> Result<Loaded> {
            let font = Font::new(bytes.into(), 0).ok_or_else(|| OpsError::internal("a bundled font cannot be read"))?;
            let shaper = rustybuzz::Face::from_slice(bytes, 0).ok_or_else(|| OpsError::internal("a bundled font cannot be shaped"))?;
            Ok(Loaded { font, shaper })
        };
        Ok(Self {
            faces: [
                load(include_bytes!("../../../fonts/IBMPlexSans-Regular.ttf"))?,
                load(include_bytes!("../../../fonts/IBMPlexSans-SemiBold.ttf"))?,
                load(include_bytes!("../../../fonts/IBMPlexSans-Italic.ttf"))?,
                load(include_bytes!("../../../fonts/IBMPlexMono-Regular.ttf"))?,
            ],
            widths: HashMap::new(),
            missing: BTreeSet::new(),
        })
    }

    fn loaded(&self, face: Face) -> &Loaded {
        &self.faces[face as usize]
    }

    pub fn font(&self, face: Face) -> Font {
        self.loaded(face).font.clone()
    }

    /// The text in pieces that one face can draw. Controls and marks of direction are left out, spaces become plain ones.
    pub fn split(&mut self, text: &str, want: Face) -> Vec<(Face, String)> {
        let mut out: Vec<(Face, String)> = Vec::new();
        for c in text.chars() {
            let c = match c {
                '\t' | '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => ' ',
                '\u{202f}' => '\u{a0}',
                '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => continue,
                c if c.is_control() => continue,
                c => c,
            };
            let has = |f: &Face| self.loaded(*f).shaper.glyph_index(c).is_some_and(|g| g.0 != 0);
            let (face, c) = if let Some(face) = [want, Face::Regular, Face::Mono].into_iter().find(has) {
                (face, c)
            } else {
                self.missing.insert(c);
                (want, REPLACEMENT)
            };
            match out.last_mut() {
                Some((last, piece)) if *last == face => piece.push(c),
                _ => out.push((face, c.to_string())),
            }
        }
        out
    }

    /// The width at a size of 1.
    pub fn width(&mut self, face: Face, text: &str) -> f32 {
        if let Some(w) = self.widths.get(&(face, text.to_owned())) {
            return *w;
        }
        let w = self.glyphs(face, text).iter().map(|g| g.x_advance).sum();
        self.widths.insert((face, text.to_owned()), w);
        w
    }

    pub fn glyphs(&self, face: Face, text: &str) -> Vec<KrillaGlyph> {
        let shaper = &self.loaded(face).shaper;
        let per_em = shaper.units_per_em() as f32;
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        buffer.set_direction(Direction::LeftToRight);
        let shaped = rustybuzz::shape(shaper, &[], buffer);
        let starts: Vec<usize> = shaped.glyph_infos().iter().map(|i| i.cluster as usize).collect();
        let range = |i: usize| -> Range<usize> {
            let end = starts[i..].iter().find(|s| **s > starts[i]).copied().unwrap_or(text.len());
            starts[i]..end
        };
        let glyph = |(i, (info, at)): (usize, (&rustybuzz::GlyphInfo, &rustybuzz::GlyphPosition))| {
            let [advance, x, y, down] = [at.x_advance, at.x_offset, at.y_offset, at.y_advance].map(|v| v as f32 / per_em);
            KrillaGlyph::new(GlyphId::new(info.glyph_id), advance, x, y, down, range(i), None)
        };
        shaped.glyph_infos().iter().zip(shaped.glyph_positions()).enumerate().map(glyph).collect()
    }
}
