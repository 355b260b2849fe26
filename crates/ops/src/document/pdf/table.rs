//! Tables: widths of columns, rows over pages, the header again on each page.
//!
//! Lives here: everything about rows and columns. May not: krilla.
//! Invariant: a row that is taller than a page goes on; each turn of the page carries at least one line further.

use domain::document::Table;

use super::{
    line::{Line, extent, lines},
    sheet::{Column, HAIR, INK, Kind, RULE, SOFT, Sheets, Type},
};
use crate::document::text::{Grid, Span};

const CELL: Type = Type { size: 9.0, leading: 12.5, ink: INK };
const HEAD: Type = Type { size: 8.5, leading: 12.5, ink: SOFT };
/// Between columns.
const GUTTER: f32 = 12.0;
const PAD: f32 = 4.0;

type Cell = Vec<Span>;

pub struct Laid {
    caption: String,
    right: Vec<bool>,
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

pub fn plain(t: &Table) -> Laid {
    let cell = |text: &str| vec![Span::plain(text)];
    Laid {
        caption: t.caption.clone(),
        right: t.columns.iter().map(|c| c.number).collect(),
        head: t.columns.iter().map(|c| cell(&c.title)).collect(),
        rows: (0..t.rows.len()).map(|r| (0..t.columns.len()).map(|c| cell(t.cell(r, c))).collect()).collect(),
    }
}

pub fn rich(grid: &Grid) -> Laid {
    let n = grid.head.len();
    let row = |r: &Vec<Cell>| (0..n).map(|i| r.get(i).cloned().unwrap_or_default()).collect();
    Laid {
        caption: String::new(),
        right: (0..n).map(|i| grid.right.get(i).copied().unwrap_or(false)).collect(),
        head: grid.head.clone(),
        rows: grid.rows.iter().map(row).collect(),
    }
}

pub fn draw(s: &mut Sheets, t: &Laid, column: Column) {
    if t.head.is_empty() {
        return;
    }
    let columns = columns(s, t, column);
    let head: Vec<Vec<Line>> = t.head.iter().zip(&columns).map(|(c, at)| lines(&mut s.fonts, c, true, HEAD.size, at.wide)).collect();
    // A header that fills a page would leave no room for its rows: it is then shown once.
    let tall = height(&head, HEAD.leading) > 200.0;
    s.gap(if s.below_heading() { 5.0 } else { 11.0 }, column);
    s.node(Kind::Table, |s| {
        let caption = lines(&mut s.fonts, &[Span::plain(t.caption.as_str())], true, 9.5, column.wide);
        let first = t.rows.first().map_or(0.0, |_| CELL.leading * 2.0);
        s.room((caption.len() as f32 * 14.0 + height(&head, HEAD.leading) + first + 14.0).min(400.0));
        if !caption.is_empty() {
            s.node(Kind::Caption, |s| s.lines(&caption, column, Type { size: 9.5, leading: 14.0, ink: INK }));
            s.y += 2.0;
        }
        header(s, &head, &columns, column, t, true);
        for row in &t.rows {
            let cells: Vec<Vec<Line>> = row.iter().zip(&columns).map(|(c, at)| lines(&mut s.fonts, c, false, CELL.size, at.wide)).collect();
            body_row(s, &cells, &columns, column, t, if tall { None } else { Some(&head) });
        }
    });
    s.y += 3.0;
}

fn height(cells: &[Vec<Line>], leading: f32) -> f32 {
    cells.iter().map(Vec::len).max().unwrap_or(0).max(1) as f32 * leading + PAD
}

fn header(s: &mut Sheets, head: &[Vec<Line>], columns: &[Column], all: Column, t: &Laid, spoken: bool) {
    let row = spoken.then(|| s.make(Kind::Row));
    let nodes: Vec<Option<usize>> = head.iter().map(|_| row.map(|r| s.within(r, |s| s.make(Kind::ColumnHead)))).collect();
    for i in 0..head.iter().map(Vec::len).max().unwrap_or(0) {
        if spoken {
            s.room(HEAD.leading);
        }
        for (c, cell) in head.iter().enumerate() {
            if let Some(line) = cell.get(i) {
                match nodes[c] {
                    Some(node) => s.within(node, |s| s.line(line, columns[c], HEAD, t.right[c], true)),
                    None => s.line(line, columns[c], HEAD, t.right[c], false),
                }
            }
        }
        s.y += HEAD.leading;
    }
    s.y += PAD / 2.0;
    s.rule(all.x, all.wide, 0.9, RULE);
    s.y += PAD / 2.0 + 1.0;
}

fn body_row(s: &mut Sheets, cells: &[Vec<Line>], columns: &[Column], all: Column, t: &Laid, again: Option<&[Vec<Line>]>) {
    let count = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let turn = |s: &mut Sheets| {
        s.turn();
        if let Some(head) = again {
            header(s, head, columns, all, t, false);
        }
    };
    let fit = |s: &Sheets| ((s.left() - PAD) / CELL.leading).floor().max(0.0) as usize;
    // Short rows stay whole; long ones start here if three of their lines do.
    if fit(s) < count && (count <= 12 || fit(s) < 3) && !s.is_top() {
        turn(s);
    }
    let row = s.make(Kind::Row);
    let nodes: Vec<usize> = (0..cells.len()).map(|c| s.within(row, |s| s.make(if c == 0 { Kind::RowHead } else { Kind::Cell }))).collect();
    let mut at = 0;
    loop {
        let take = fit(s).max(1).min(count - at);
        let top = s.y;
        for (c, cell) in cells.iter().enumerate() {
            s.y = top;
            s.within(nodes[c], |s| {
                for line in cell.iter().skip(at).take(take) {
                    s.line(line, columns[c], CELL, t.right[c], true);
                    s.y += CELL.leading;
                }
            });
        }
        s.y = top + take as f32 * CELL.leading;
        at += take;
        if at >= count {
            break;
        }
        turn(s);
    }
    s.y += PAD / 2.0;
    s.rule(all.x, all.wide, 0.4, HAIR);
    s.y += PAD / 2.0 + 0.4;
}

/// Widths: what each column wants where that fits, else its longest word and a share of the rest.
fn columns(s: &mut Sheets, t: &Laid, all: Column) -> Vec<Column> {
    let n = t.head.len();
    let room = (all.wide - GUTTER * (n - 1) as f32).max(6.0 * n as f32);
    let gutter = if n > 1 { ((all.wide - room) / (n - 1) as f32).max(0.0) } else { 0.0 };
    let fair = room / n as f32;
    let (least, wish): (Vec<f32>, Vec<f32>) = (0..n).map(|c| extents(s, t, c, fair)).unzip();
    let (low, high): (f32, f32) = (least.iter().sum(), wish.iter().sum());
    let widths: Vec<f32> = if high <= room {
        // Figures keep their width; the text columns share what is left.
        let texts: f32 = (0..n).filter(|c| !t.right[*c]).map(|c| wish[c]).sum();
        let extra = room - high;
        (0..n)
            .map(|c| {
                wish[c]
                    + if texts <= 0.0 {
                        extra * wish[c] / high
                    } else if t.right[c] {
                        0.0
                    } else {
                        extra * wish[c] / texts
                    }
            })
            .collect()
    } else if low <= room {
        let spare = (room - low) / (high - low).max(0.1);
        (0..n).map(|c| least[c] + (wish[c] - least[c]) * spare).collect()
    } else {
        least.iter().map(|l| l * room / low).collect()
    };
    let mut x = all.x;
    widths
        .into_iter()
        .map(|wide| {
            let column = Column { x, wide, bar: None };
            x += wide + gutter;
            column
        })
        .collect()
}

/// The least width of a column and the one that it wants.
fn extents(s: &mut Sheets, t: &Laid, column: usize, fair: f32) -> (f32, f32) {
    let (mut least, mut wish) = extent(&mut s.fonts, &t.head[column], true, HEAD.size);
    for row in &t.rows {
        let (word, line) = extent(&mut s.fonts, &row[column], false, CELL.size);
        (least, wish) = (least.max(word), wish.max(line));
    }
    let least = (least + 0.5).min((fair * 1.6).max(24.0)).max(6.0);
    (least, (wish + 0.5).max(least))
}
