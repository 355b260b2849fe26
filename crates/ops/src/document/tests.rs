//! Tests: Markdown of people is safe as HTML, and documents read the same in HTML and Markdown.

use domain::document::{Column, Document, Table, Tone};

use super::{fragment, html, markdown};

/// Every tag that may leave, with the attributes it may have.
fn assert_safe(html: &str, from: &str) {
    const TAGS: [&str; 26] = [
        "h3",
        "h4",
        "h5",
        "h6",
        "p",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "hr",
        "br",
        "a",
        "em",
        "strong",
        "s",
        "dl",
        "dt",
        "dd",
    ];
    for tag in html.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap_or("");
        let mut words = inside.trim_start_matches('/').split(' ');
        let name = words.next().unwrap_or("");
        assert!(TAGS.contains(&name), "{name:?} from {from:?}: {html}");
        for attribute in words {
            let known = [
                "href=\"http://",
                "href=\"https://",
                "href=\"mailto:",
                "rel=\"noopener",
                "nofollow\"",
                "scope=\"col\"",
                "class=\"num\"",
                "start=\"",
                "tabindex=\"0\"",
            ];
            assert!(known.iter().any(|k| attribute.starts_with(k)), "{attribute:?} from {from:?}: {html}");
        }
    }
}

#[test]
fn hostile_markdown_is_text() {
    let deep = "> ".repeat(3_000) + "x";
    let lists = (0..500).fold(String::new(), |all, i| all + &"  ".repeat(i) + "- x\n");
    let brackets = "[".repeat(5_000);
    for md in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "text <b onmouseover=alert(1)>b</b> <svg/onload=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](java\nscript:alert(1))",
        "[a](&#106;avascript:alert(1))",
        "[a](<javascript:alert(1)>)",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x) [b](//evil.example/x) [c](/relative) [d](#anchor) [e](file:///etc/passwd)",
        "![a](javascript:alert(1)) ![b](https://example.org/b.png)",
        "[a](https://example.org/\"onclick=alert(1)//)",
        "[a](https://example.org 'title\" onclick=alert(1)')",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "```html\"><script>\n</code></pre><script>alert(1)</script>\n```",
        "    </code><script>alert(1)</script>",
        "| a |\n|---|\n| <script>alert(1)</script> |",
        "# <script>alert(1)</script> {#id .class onclick=x}",
        "<!-- <script> -->\n\n<?php ?>\n\n<![CDATA[<script>]]>",
        "<style>*{display:none}</style>",
        "\u{0}<\u{0}script>\u{7}\u{202e}",
        "9999999999999999999. x\n\n18446744073709551615) y",
        &deep,
        &lists,
        &brackets,
    ] {
        let out = fragment(md);
        assert_safe(&out, md);
        let mut d = Document::new("t");
        d.markdown(md);
        assert!(html(&d).ends_with("</html>\n"), "{md}");
        let _ = markdown(&d);
    }
}

#[test]
fn links_and_images_are_what_they_may_be() {
    for (md, want) in [
        ("[a](https://example.org/x?a=1&b=2)", "<p><a href=\"https://example.org/x?a=1&amp;b=2\" rel=\"noopener nofollow\">a</a></p>\n"),
        ("<mailto:ops@example.org>", "<p><a href=\"mailto:ops@example.org\" rel=\"noopener nofollow\">mailto:ops@example.org</a></p>\n"),
        ("[a](ftp://example.org)", "<p>a</p>\n"),
        ("![map](https://example.org/m.png)", "<p><a href=\"https://example.org/m.png\" rel=\"noopener nofollow\">map</a></p>\n"),
        ("![map](m.png)", "<p>map</p>\n"),
    ] {
        assert_eq!(fragment(md), want, "{md}");
    }
}

#[test]
fn markdown_of_people_keeps_its_shape() {
    let md =
        "# One\n\nA *b* **c** ~~d~~ `e<f>`\nnext\\\nline\n\n3. x\n4. y\n   - z\n\n> quoted\n\n| k | n |\n|---|--:|\n| a | 1 |\n\n---\n\n```\ncode <x>\n```\n";
    let want = "<h3>One</h3>\n<p>A <em>b</em> <strong>c</strong> <s>d</s> <code>e&lt;f&gt;</code> next<br>line</p>\n\
                <ol start=\"3\">\n<li>x</li>\n<li>y<ul>\n<li>z</li>\n</ul>\n</li>\n</ol>\n<blockquote>\n<p>quoted</p>\n</blockquote>\n\
                <table>\n<thead><tr><th scope=\"col\">k</th><th scope=\"col\" class=\"num\">n</th></tr></thead>\n<tbody>\n<tr><td>a</td><td class=\"num\">1</td></tr>\n</tbody>\n</table>\n\
                <hr>\n<pre tabindex=\"0\"><code>code &lt;x&gt;</code></pre>\n";
    assert_eq!(fragment(md), want);
}

fn sample() -> Document {
    let mut d = Document::new("Plan of <Notebooks> & *friends*");
    d.footer = "Notebooks · version 3".to_owned();
    d.fact("Version", "3 | approved").heading(1, "Risks").markdown("Some *text*.").heading(1, "Risks").heading(2, "Log");
    let mut t = Table::new("All risks", vec![Column::text("Risk"), Column::number("Level")]);
    t.row(vec!["a | b <script>".into(), "6".into()]).row(vec!["short".into()]);
    d.table(t).list(true, vec!["one".into(), "1. two".into()]).code("The log", "line ``` one\n<b>").note(Tone::Warning, "It is *old*.");
    d.pairs([("RTO", "1 d")]);
    d
}

#[test]
fn a_page_stands_alone() {
    let page = html(&sample());
    for want in [
        "<title>Plan of &lt;Notebooks&gt; &amp; *friends*</title>",
        "<h1>Plan of &lt;Notebooks&gt; &amp; *friends*</h1>",
        "<dt>Version</dt><dd>3 | approved</dd>",
        "<a href=\"#s-risks-2\">Risks</a>",
        "<h2 id=\"s-risks-2\">Risks</h2>",
        "<h3 id=\"s-log\">Log</h3>",
        "<p>Some <em>text</em>.</p>",
        "<caption>All risks</caption>",
        "<th scope=\"col\" class=\"num\">Level</th>",
        "<th scope=\"row\">a | b &lt;script&gt;</th><td class=\"num\">6</td>",
        "<th scope=\"row\">short</th><td class=\"num\"></td>",
        "<li>1. two</li>",
        "line ``` one\n&lt;b&gt;</code></pre>",
        "role=\"note\"><b>Attention.</b> It is *old*.</p>",
        "<footer>Notebooks · version 3</footer>",
    ] {
        assert!(page.contains(want), "{want}\n{page}");
    }
    assert!(!page.contains("<script") && !page.contains(" style=") && !page.contains("src="));
    assert!(html(&Document::default()).contains("<h1>Document</h1>"));
}

#[test]
fn markdown_reads_back_as_the_same_text() {
    let md = markdown(&sample());
    let page = fragment(&md);
    for want in [
        "<h3>Plan of &lt;Notebooks&gt; &amp; *friends*</h3>",
        "<li><strong>Version:</strong> 3 | approved</li>",
        "<td>a | b &lt;script&gt;</td><td class=\"num\">6</td>",
        "<li>1. two</li>",
        "line ``` one\n&lt;b&gt;</code></pre>",
        "<strong>Attention.</strong> It is *old*.",
    ] {
        assert!(page.contains(want), "{want}\n{md}\n{page}");
    }
    assert_eq!(md.matches("## Risks\n").count(), 2);
}

#[test]
fn a_persons_markdown_swallows_nothing() {
    for open in
        ["```\nno end", "~~~~text\nno end", "<!-- no end", "<script>\nno end", "- list\n\n  ```\n  deep", "> quote\n> ```\n> x", "    indented", "| a |\n|---|"]
    {
        let mut d = Document::new("t");
        d.markdown(open).heading(1, "What follows");
        let page = fragment(&markdown(&d));
        assert!(page.contains("<h4>What follows</h4>"), "{open}\n{}\n{page}", markdown(&d));
    }
}
