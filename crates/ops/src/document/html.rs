//! HTML: a whole page that needs nothing else, and the fragment of one Markdown text.
//!
//! Lives here: tags and escaping. May not: reading Markdown, which `text` does.
//! Invariant: every character of a document leaves through [`escape`]; the tags are those that are written here.

use std::fmt::Write as _;

use domain::document::{Block, Document, Fact, Table};

use super::text::{Grid, Part, Span, parse};

/// One Markdown text as safe HTML for a page that has its `h1` and `h2`: no ids, no styles, no scripts, no images.
pub fn fragment(markdown: &str) -> String {
    let mut out = String::new();
    parts(&mut out, &parse(markdown), 2);
    out
}

/// A page that stands alone: its style is in it, and it fetches nothing.
pub fn html(document: &Document) -> String {
    let title = if document.title.is_empty() { "Document" } else { &document.title };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{0}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n",
        escape(title)
    );
    facts(&mut out, &document.facts);
    contents(&mut out, document);
    for block in &document.blocks {
        one(&mut out, block);
    }
    if !document.footer.is_empty() {
        let _ = writeln!(out, "<footer>{}</footer>", escape(&document.footer));
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn contents(out: &mut String, document: &Document) {
    if document.headings().filter(|(level, ..)| *level <= 2).count() < 3 {
        return;
    }
    out.push_str("<nav aria-labelledby=\"contents\">\n<p id=\"contents\"><b>Contents</b></p>\n<ul>\n");
    for (level, text, anchor) in document.headings().filter(|(level, ..)| *level <= 2) {
        let _ = writeln!(out, "<li class=\"l{level}\"><a href=\"#s-{}\">{}</a></li>", escape(anchor), escape(text));
    }
    out.push_str("</ul>\n</nav>\n");
}

fn one(out: &mut String, block: &Block) {
    match block {
        Block::Heading { level, text, anchor } => {
            let tag = level + 1;
            let _ = writeln!(out, "<h{tag} id=\"s-{}\">{}</h{tag}>", escape(anchor), escape(text));
        }
        Block::Markdown { text } => parts(out, &parse(text), 3),
        Block::Facts { facts: of } => facts(out, of),
        Block::Table(t) => table(out, t),
        Block::List { ordered, items } => {
            let tag = if *ordered { "ol" } else { "ul" };
            let _ = writeln!(out, "<{tag}>");
            for item in items {
                let _ = writeln!(out, "<li>{}</li>", lines(item));
            }
            let _ = writeln!(out, "</{tag}>");
        }
        Block::Code { caption, text } => {
            if !caption.is_empty() {
                let _ = writeln!(out, "<p class=\"caption\">{}</p>", escape(caption));
            }
            let _ = writeln!(out, "<pre tabindex=\"0\"><code>{}</code></pre>", escape(text));
        }
        Block::Note { tone, text } => {
            let class = if *tone == domain::document::Tone::Warning { "note warning" } else { "note" };
            let _ = writeln!(out, "<p class=\"{class}\" role=\"note\"><b>{}.</b> {}</p>", tone.words(), lines(text));
        }
    }
}

fn facts(out: &mut String, of: &[Fact]) {
    if of.is_empty() {
        return;
    }
    out.push_str("<dl>\n");
    for fact in of {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(&fact.key), lines(&fact.value));
    }
    out.push_str("</dl>\n");
}

fn table(out: &mut String, t: &Table) {
    let _ =
        write!(out, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">\n<table>\n<caption>{0}</caption>\n<thead><tr>", escape(&t.caption));
    for column in &t.columns {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", number(column.number), escape(&column.title));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in 0..t.rows.len() {
        out.push_str("<tr>");
        for (i, column) in t.columns.iter().enumerate() {
            let cell = lines(t.cell(row, i));
            let _ = match i {
                0 => write!(out, "<th scope=\"row\"{}>{cell}</th>", number(column.number)),
                _ => write!(out, "<td{}>{cell}</td>", number(column.number)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

const fn number(right: bool) -> &'static str {
    if right { " class=\"num\"" } else { "" }
}

/// Markdown parts; a heading of level 1 becomes `h{above + 1}`.
fn parts(out: &mut String, all: &[Part], above: u8) {
    for part in all {
        match part {
            Part::Heading { level, spans: of } => {
                let tag = (above + level).min(6);
                let _ = writeln!(out, "<h{tag}>{}</h{tag}>", spans(of));
            }
            Part::Paragraph(of) => {
                let _ = writeln!(out, "<p>{}</p>", spans(of));
            }
            Part::List { start, items } => {
                let (tag, first) = match start {
                    Some(1) => ("ol", String::new()),
                    Some(n) => ("ol", format!(" start=\"{n}\"")),
                    None => ("ul", String::new()),
                };
                let _ = writeln!(out, "<{tag}{first}>");
                for item in items {
                    out.push_str("<li>");
                    match item.split_first() {
                        Some((Part::Paragraph(of), rest)) if !rest.iter().any(|p| matches!(p, Part::Paragraph(_))) => {
                            out.push_str(&spans(of));
                            parts(out, rest, above);
                        }
                        _ => parts(out, item, above),
                    }
                    out.push_str("</li>\n");
                }
                let _ = writeln!(out, "</{tag}>");
            }
            Part::Quote(inside) => {
                out.push_str("<blockquote>\n");
                parts(out, inside, above);
                out.push_str("</blockquote>\n");
            }
            Part::Code(text) => {
                let _ = writeln!(out, "<pre tabindex=\"0\"><code>{}</code></pre>", escape(text));
            }
            Part::Table(of) => grid(out, of),
            Part::Rule => out.push_str("<hr>\n"),
        }
    }
}

fn grid(out: &mut String, of: &Grid) {
    out.push_str("<table>\n<thead><tr>");
    let right = |i: usize| number(of.right.get(i).copied().unwrap_or(false));
    for (i, cell) in of.head.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", right(i), spans(cell));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &of.rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{}</td>", right(i), spans(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn spans(all: &[Span]) -> String {
    let mut out = String::new();
    for span in all {
        let mut piece = lines(&span.text);
        for (on, tag) in [(span.code, "code"), (span.emphasis, "em"), (span.strong, "strong"), (span.struck, "s")] {
            if on {
                piece = format!("<{tag}>{piece}</{tag}>");
            }
        }
        let _ = match &span.link {
            Some(address) => write!(out, "<a href=\"{}\" rel=\"noopener nofollow\">{piece}</a>", escape(address)),
            None => write!(out, "{piece}"),
        };
    }
    out
}

fn lines(text: &str) -> String {
    escape(text.trim_matches('\n')).replace('\n', "<br>")
}

/// Text for content and for attributes in double quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:light-dark(#11181b,#e8eeee);--soft:light-dark(#536065,#96a6ab);--line:light-dark(#b4bfbf,#3c4b53);\
--inset:light-dark(#f2f5f4,#1a2328);--accent:light-dark(#0e4f8b,#82bcf0);--warn:light-dark(#b06f00,#dc9f35)}
body{margin:0;background:light-dark(#fff,#0d1215);color:var(--ink);font:16px/1.55 'IBM Plex Sans',system-ui,sans-serif}
main{max-width:48rem;margin:0 auto;padding:3rem 1.25rem 4rem;overflow-wrap:anywhere}
h1{font-size:2rem;line-height:1.2;margin:0 0 1rem}
h2{font-size:1.35rem;margin:2.5rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1.1rem;margin:1.8rem 0 .4rem}
h4,h5,h6{font-size:1rem;margin:1.4rem 0 .3rem}
a{color:var(--accent)}
dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.2rem 1.2rem;margin:.8rem 0}
dt{color:var(--soft)}
dd{margin:0}
nav{margin:2rem 0;padding:1rem 1.2rem;background:var(--inset)}
nav p{margin:0 0 .4rem}
nav ul{list-style:none;margin:0;padding:0}
nav a{display:inline-block;min-height:24px}
.l2{padding-left:1.2rem}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.4}
caption{text-align:left;font-weight:600;padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}
thead th{color:var(--soft);border-bottom:2px solid var(--line)}
tbody th{font-weight:400}
.num{text-align:right;font-variant-numeric:tabular-nums}
pre{background:var(--inset);padding:.8rem 1rem;overflow-x:auto;font-size:.85rem;line-height:1.45}
code{font-family:'IBM Plex Mono',ui-monospace,monospace}
.caption{font-weight:600;margin:1rem 0 -.6rem}
blockquote{margin:1rem 0;padding-left:1rem;border-left:3px solid var(--line);color:var(--soft)}
.note{border-left:3px solid var(--accent);padding:.2rem 0 .2rem .9rem}
.warning{border-color:var(--warn)}
footer{margin-top:3rem;padding-top:.6rem;border-top:1px solid var(--line);color:var(--soft);font-size:.85rem}
@media print{main{max-width:none;padding:0}.wide{overflow:visible}thead{display:table-header-group}tr{break-inside:avoid}h2,h3{break-after:avoid}}
";
