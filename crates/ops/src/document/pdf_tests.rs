//! Tests: PDFs as poppler reads them.

use domain::document::{Column, Document, Table, Tone};

use super::pdf;

/// What a tool of poppler says about a PDF.
fn poppler(tool: &str, pdf: &[u8], args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("document.pdf");
    std::fs::write(&file, pdf).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test asks poppler what it sees in the PDF")]
    let out = std::process::Command::new(tool)
        .arg(&file)
        .args(args)
        .current_dir(folder.path())
        .output()
        .unwrap_or_else(|e| panic!("{tool}: {e}; scripts/setup test"));
    assert!(out.status.success(), "{tool}: {}", String::from_utf8_lossy(&out.stderr));
    // Older ones stumble over a flag that the standard asks for.
    let said: Vec<String> =
        String::from_utf8_lossy(&out.stderr).lines().filter(|l| !l.contains("Suspects object") && !l.is_empty()).map(str::to_owned).collect();
    assert!(said.is_empty(), "{tool}: {said:?}");
    String::from_utf8(out.stdout).unwrap()
}

fn text(pdf: &[u8]) -> String {
    poppler("pdftotext", pdf, &["-enc", "UTF-8", "-"])
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plan() -> Document {
    let mut d = Document::new("Continuity plan of EGI Notebooks");
    d.footer = "EGI Notebooks · version 3, approved 2019-06-12".to_owned();
    d.fact("Version", "3, approved").fact("Approved", "2019-06-12 by the service owner").fact("Maximum tolerable period of disruption", "2 d");
    d.heading(1, "Introduction").markdown(
        "This plan says how the notebooks come back after a loss. It is fed by *what was measured* and **says itself** when it is no longer true; \
         see [the service](https://example.org/notebooks). Run `restic snapshots` first.\n\n- volumes of 75 users\n- the hub's database\n  1. dump\n  2. restore\n\n\
         > Nothing is deleted before its replacement is there.\n\n| Field | Value |\n|---|--:|\n| RTO | 1 d |\n| RPO | 1 d |\n",
    );
    d.heading(1, "Agreed performance").heading(2, "Availability by month");
    let mut months = Table::new(
        "Availability and reliability by month, in percent",
        vec![Column::text("Month"), Column::number("Availability"), Column::number("Reliability"), Column::text("Explanation")],
    );
    for (month, a, r, why) in
        [("2020-02", "78.53", "78.53", "The network of the site was down for six days; the site has a second link since."), ("2020-05", "84.04", "84.04", "")]
    {
        months.row(vec![month.into(), a.into(), r.into(), why.into()]);
    }
    d.table(months).note(Tone::Warning, "Two months are below the agreed 90 %.").note(Tone::Plain, "Figures come from ARGO.");
    d.heading(1, "Risks").heading(2, "All risks");
    let mut risks = Table::new("Risks", vec![Column::number("Id"), Column::text("Risk"), Column::text("Measures"), Column::text("Level")]);
    for i in 1..=60 {
        risks.row(vec![
            i.to_string(),
            format!("Risk number {i}: the storage is lost"),
            "Daily backup with restic to another site, kept for thirty days and checked every week".into(),
            "Medium".into(),
        ]);
    }
    d.table(risks);
    d.heading(1, "Log of the test")
        .code("recover.log", (0..90).map(|i| format!("16:37:{:02}  restored user-{i:03}   ok", i % 60)).collect::<Vec<_>>().join("\n"));
    d.heading(3, "A small heading").list(true, vec!["first".into(), "second".into()]);
    d
}

#[test]
fn a_plan_is_found_in_reading_order() {
    let bytes = pdf(&plan()).unwrap();
    assert_eq!(bytes, pdf(&plan()).unwrap(), "the same document gives the same bytes");
    let said = squeezed(&text(&bytes));
    let mut from = said.find("1 d").unwrap_or(0);
    for want in [
        "Availability by month",
        "Two months are below",
        "Figures come from ARGO",
        "Risk number 1: the storage is lost",
        "Risk number 60",
        "recover.log",
        "restored user-000",
        "restored user-089",
        "A small heading",
        "second",
    ] {
        let at = said[from..].find(want).unwrap_or_else(|| panic!("{want:?} is not where it belongs in {said}"));
        from += at;
    }
    for want in ["Continuity plan of EGI Notebooks", "Maximum tolerable period of disruption", "says itself", "restic snapshots", "78.53", "84.04", "Contents"]
    {
        assert!(said.contains(want), "{want}");
    }
    let info = poppler("pdfinfo", &bytes, &[]);
    let pages: usize = info.lines().find_map(|l| l.strip_prefix("Pages:")).unwrap().trim().parse().unwrap();
    assert!(pages > 3, "{info}");
    for wanted in ["Title:           Continuity plan of EGI Notebooks", "Tagged:          yes", "(A4)"] {
        assert!(info.contains(wanted), "{wanted}: {info}");
    }
    for n in 1..=pages {
        assert!(said.contains(&format!("page {n} of {pages}")), "{n}");
    }
    // The header of the long table stands on each of its pages.
    assert!(said.matches("Id Risk Measures Level").count() >= 2, "{said}");
    // The contents name the page on which the last chapter begins.
    let last = (1..=pages).find(|n| poppler("pdftotext", &bytes, &["-f", &n.to_string(), "-l", &n.to_string(), "-"]).contains("recover.log")).unwrap();
    assert!(said.contains(&format!("Log of the test {last} ")), "{last}: {said}");
    let structure = poppler("pdfinfo", &bytes, &["-struct-text"]);
    for tag in ["TOC", "Table", "TH", "LBody", "Link"] {
        assert!(structure.contains(tag), "{tag}");
    }
}

#[test]
fn pages_can_be_drawn() {
    let bytes = pdf(&plan()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("page");
    poppler("pdftoppm", &bytes, &["-r", "70", "-png", stem.to_str().unwrap()]);
    let drawn = std::fs::read_dir(folder.path()).unwrap().filter(|f| f.as_ref().is_ok_and(|f| f.metadata().is_ok_and(|m| m.len() > 2_000))).count();
    assert!(drawn > 3, "{drawn}");
}

#[test]
fn documents_with_nothing_are_pages() {
    let empty = text(&pdf(&Document::default()).unwrap());
    assert!(empty.contains("Document") && empty.contains("page 1 of 1"), "{empty}");
    let mut d = Document::new(" ");
    d.table(Table::new("", vec![])).table(Table::new("No rows", vec![Column::text("A")])).list(false, vec![]).list(true, vec![String::new()]);
    d.code("", "").note(Tone::Plain, "").heading(1, "").heading(4, "").heading(2, "").pairs([("", "")]).pairs::<String, String>([]);
    d.markdown("> \n\n- \n\n| a |\n|---|\n\n***\n\n```\n```\n");
    assert!(text(&pdf(&d).unwrap()).contains("No rows"));
}

#[test]
fn words_of_any_length_are_whole() {
    let word = |n: usize| (0..n).map(|i| char::from(b'a' + (i % 26) as u8)).collect::<String>();
    let joined = |t: &str| t.chars().filter(char::is_ascii_lowercase).collect::<String>();
    let mut d = Document::new("T");
    d.markdown(&word(3_000));
    assert!(joined(&text(&pdf(&d).unwrap())).contains(&word(3_000)));
    let mut d = Document::new(word(200));
    d.fact(word(90), word(300));
    let mut t = Table::new(word(150), (0..9).map(|_| Column::text(word(40))).collect());
    t.row((0..9).map(|_| word(500)).collect());
    d.table(t)
        .table(Table::new("", (0..120).map(|i| Column::number(i.to_string())).collect()))
        .code("c", word(900))
        .heading(1, word(400))
        .note(Tone::Plain, word(400));
    assert!(joined(&text(&pdf(&d).unwrap())).len() > 5_000);
}

#[test]
fn a_row_taller_than_pages_goes_on() {
    let mut d = Document::new("Long");
    let mut t = Table::new("Rows", vec![Column::text("Name"), Column::text("Text")]);
    t.row(vec!["tall".into(), (0..300).map(|i| format!("line-{i}")).collect::<Vec<_>>().join("\n")]).row(vec!["after".into(), "it".into()]);
    d.table(t);
    let said = text(&pdf(&d).unwrap());
    for i in 0..300 {
        assert!(said.lines().any(|l| l.contains(&format!("line-{i}"))), "{i}");
    }
    assert!(said.contains("after") && said.matches("Name").count() >= 4, "{said}");
}

#[test]
fn characters_without_a_glyph_are_replaced_and_named() {
    let mut d = Document::new("Ελλάδα, Україна, Łódź");
    d.markdown("中文 and \u{1f600} and ŐŠĐß → ✓ “quoted” x\u{200b}y a\u{202f}b \u{e000}");
    let said = text(&pdf(&d).unwrap());
    assert!(said.contains("Ελλάδα, Україна, Łódź") && said.contains("ŐŠĐß → ✓ “quoted” xy"), "{said}");
    assert!(said.contains("U+4E2D, U+6587, U+E000, U+1F600") && squeezed(&said).contains("4 characters of this document cannot be printed"), "{said}");
    let mut d = Document::new("שלום");
    d.code("", "日本").fact("日", "本");
    assert!(text(&pdf(&d).unwrap()).contains("cannot be printed"));
}
