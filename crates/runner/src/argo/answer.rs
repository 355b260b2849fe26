//! What an answer of ARGO says: groups within groups, each with its results.
//!
//! Lives here: the tree that both forms are read into, finding a group in it, reading its figures. May not: JSON, XML.

use domain::availability::{
    Figures, Month, Parts, rounded,
    source::{Failed, Group, Trouble},
};
use jiff::civil::Date;

/// Groups that an error names.
const NAMED: usize = 5;

/// How long the periods of an answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    Daily,
    Monthly,
}

impl Granularity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Monthly => "monthly",
        }
    }
}

/// A group, a service or an endpoint with its results and what is inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub kind: String,
    pub name: String,
    pub results: Vec<Texts>,
    pub inside: Vec<Node>,
}

/// One result as it is written: every number is a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// `timestamp` of version 2, `date` of version 3.
    pub at: String,
    pub availability: String,
    pub reliability: String,
    pub uptime: String,
    pub unknown: String,
    pub downtime: String,
}

impl Texts {
    /// The place of a value by its name in both forms.
    pub fn field(&mut self, name: &str) -> Option<&mut String> {
        Some(match name {
            "timestamp" | "date" => &mut self.at,
            "availability" => &mut self.availability,
            "reliability" => &mut self.reliability,
            "uptime" => &mut self.uptime,
            "unknown" => &mut self.unknown,
            "downtime" => &mut self.downtime,
            _ => return None,
        })
    }
}

/// A month or a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// `2020-02` or `2020-02-14`.
    pub time: String,
    pub figures: Figures,
    pub parts: Option<Parts>,
}

/// The periods of the group at the end of a path.
pub fn periods(answer: &[Node], path: &[Group], granularity: Granularity) -> Result<Vec<Period>, Failed> {
    find(answer, path)?.results.iter().map(|r| period(r, granularity)).collect()
}

/// How a type of the path is written in answers: paths speak of `services` where answers have a `service`.
fn kind_of(kind: &str) -> &str {
    match kind {
        "services" => "service",
        "endpoints" => "endpoint",
        other => other,
    }
}

fn is(node: &Node, group: &Group) -> bool {
    node.name == group.name && node.kind == kind_of(&group.kind)
}

/// The one group that the path names.
fn find<'a>(answer: &'a [Node], path: &[Group]) -> Result<&'a Node, Failed> {
    let Some((last, outer)) = path.split_last() else { return Err(Failed::new(Trouble::NoGroup, "no group is asked for")) };
    let mut found = Vec::new();
    collect(answer, &mut Vec::new(), &mut |above, node| {
        // An answer may begin below the outer groups; what it has of them must be they.
        let fits = outer.iter().all(|g| above.iter().all(|a: &&Node| a.kind != kind_of(&g.kind) || a.name == g.name));
        if is(node, last) && fits {
            found.push(node);
        }
    });
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Failed::new(Trouble::NoGroup, format!("{}/{} is not in the answer, which has {}", last.kind, last.name, names(answer)))),
        _ => {
            Err(Failed::new(Trouble::NoGroup, format!("{}/{} is in the answer {} times; put the group around it before it", last.kind, last.name, found.len())))
        }
    }
}

fn collect<'a>(nodes: &'a [Node], above: &mut Vec<&'a Node>, each: &mut impl FnMut(&[&'a Node], &'a Node)) {
    for node in nodes {
        each(above, node);
        above.push(node);
        collect(&node.inside, above, each);
        above.pop();
    }
}

/// The first groups of an answer, for whoever has to correct a path.
fn names(answer: &[Node]) -> String {
    let mut all = Vec::new();
    collect(answer, &mut Vec::new(), &mut |_, node| all.push(format!("{}/{}", cut(&node.kind), cut(&node.name))));
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    match (all.is_empty(), more) {
        (true, _) => "no group at all".to_owned(),
        (_, 0) => all.join(", "),
        _ => format!("{} and {more} more", all.join(", ")),
    }
}

fn period(r: &Texts, granularity: Granularity) -> Result<Period, Failed> {
    let bad = |what: &str, text: &str| Failed::new(Trouble::BadFigure, format!("{what} “{}” of {} is none", cut(text), cut(&r.at)));
    // Older versions write a day as a moment.
    let period = match granularity {
        Granularity::Monthly => r.at.get(..7).and_then(|m| m.parse::<Month>().ok()).map(|m| m.to_string()),
        Granularity::Daily => r.at.get(..10).and_then(|d| d.parse::<Date>().ok()).map(|d| d.to_string()),
    };
    let period = period.ok_or_else(|| bad("the date", &r.at))?;
    let figure = |what: &str, text: &str| figure(text).map_err(|()| bad(what, text));
    let told = Figures { availability: figure("the availability", &r.availability)?, reliability: figure("the reliability", &r.reliability)? };
    let parts = parts(r);
    // All of it unknown is no figure, whatever is written.
    let figures = match parts.map(|p| p.figures()) {
        Some(by_parts) if by_parts.is_empty() => by_parts,
        Some(by_parts) if told.is_empty() => by_parts,
        _ => told,
    };
    Ok(Period { time: period, figures, parts })
}

/// A percentage; ARGO writes -1 where nothing is known.
fn figure(text: &str) -> Result<Option<f64>, ()> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(f) if f.is_nan() || f < 0.0 => Ok(None),
        Ok(f) if f <= 100.000_1 => Ok(Some(rounded(f.min(100.0)))),
        _ => Err(()),
    }
}

/// The fractions, where all three are there and can be.
fn parts(r: &Texts) -> Option<Parts> {
    let read = |text: &str| text.trim().parse::<f64>().ok();
    let parts = Parts { up: read(&r.uptime)?, unknown: read(&r.unknown)?, down: read(&r.downtime)? };
    parts.problem().is_none().then_some(parts)
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::argo::{json, xml};

    /// The same groups in every form that the documentation shows.
    pub const V2_JSON: &str = r#"{"results":[{"name":"GROUP_A","type":"GROUP","endpoints":[
        {"name":"ST01","type":"SITES","results":[
            {"timestamp":"2015-06-22","availability":"98.26389","reliability":"98.26389","unknown":"0","uptime":"0.98264","downtime":"0"},
            {"timestamp":"2015-06-23","availability":"54.03509","reliability":"81.48148","unknown":"0.01042","uptime":"0.53472","downtime":"0.33333"}]},
        {"name":"ST02","type":"SITES","results":[{"timestamp":"2015-06-22","availability":"-1","reliability":"-1","unknown":"1","uptime":"0","downtime":"0"}]}]}]}"#;
    const V2_OLD: &str = r#"{"root":[{"name":"GROUP_A","type":"GROUP","endpoints":[{"name":"ST01","type":"SITES","results":[
        {"timestamp":"2015-06-22T00:00:00Z","availability":"98.26389","reliability":"98.26389"},
        {"timestamp":"2015-06-23T00:00:00Z","availability":"54.03509","reliability":"81.48148"}]}]}]}"#;
    const V3_JSON: &str = r#"{"results":[{"name":"GROUP_A","type":"GROUP","results":[{"date":"2015-06-22","availability":"68.13896116893515","reliability":"50.413931144915935"}],
        "groups":[{"name":"ST01","type":"SITES","results":[
            {"date":"2015-06-22","availability":"98.26389","reliability":"98.26389","unknown":"0","uptime":"0.98264","downtime":"0"},
            {"date":"2015-06-23","availability":"54.03509","reliability":"81.48148","unknown":"0.01042","uptime":"0.53472","downtime":"0.33333"}]}]}]}"#;
    const XML: &str = r#" <root>
   <group name="GROUP_A" type="GROUP">
     <group name="ST01" type="SITES">
       <results timestamp="2015-06-22" availability="98.26389" reliability="98.26389" unknown="0" uptime="0.98264" downtime="0"></results>
       <results timestamp="2015-06-23" availability="54.03509" reliability="81.48148" unknown="0.01042" uptime="0.53472" downtime="0.33333"/>
     </group>
   </group>
 </root>"#;

    fn path(text: &str) -> Vec<Group> {
        let parts: Vec<&str> = text.split('/').collect();
        parts.chunks(2).map(|p| Group { kind: p[0].into(), name: p[1].into() }).collect()
    }

    fn figures(p: &Period) -> (Option<f64>, Option<f64>) {
        (p.figures.availability, p.figures.reliability)
    }

    #[test]
    fn every_form_says_the_same() {
        for (what, tree) in [
            ("v2", json::read(V2_JSON.as_bytes())),
            ("old", json::read(V2_OLD.as_bytes())),
            ("v3", json::read(V3_JSON.as_bytes())),
            ("xml", xml::read(XML.as_bytes())),
        ] {
            let tree = tree.unwrap();
            for wanted in ["SITES/ST01", "GROUP/GROUP_A/SITES/ST01"] {
                let found = periods(&tree, &path(wanted), Granularity::Daily).unwrap();
                assert_eq!(found.iter().map(|p| p.time.as_str()).collect::<Vec<_>>(), ["2015-06-22", "2015-06-23"], "{what}");
                assert_eq!(figures(&found[0]), (Some(98.264), Some(98.264)), "{what}");
                assert_eq!(figures(&found[1]), (Some(54.035), Some(81.481)), "{what}");
                if what != "old" {
                    assert_eq!(found[1].parts.unwrap().figures(), found[1].figures, "{what}: ours are ARGO's formulas");
                }
            }
        }
    }

    #[test]
    fn services_and_endpoints_are_groups_too() {
        let text = r#"{"results":[{"name":"ST01","type":"SITES","serviceflavors":[{"name":"SF01","type":"service","endpoints":[
            {"name":"e01","type":"endpoint","info":{"Url":"https://foo.example.url"},"results":[{"timestamp":"2015-06","availability":"99.999999","reliability":"99.99999900000002"}]}]}]}]}"#;
        let tree = json::read(text.as_bytes()).unwrap();
        let found = periods(&tree, &path("GROUP/GROUP_A/SITES/ST01/services/SF01/endpoints/e01"), Granularity::Monthly).unwrap();
        assert_eq!((found[0].time.as_str(), figures(&found[0])), ("2015-06", (Some(100.0), Some(100.0))));
        // A value that is a number is read as well.
        let tree = json::read(br#"{"results":[{"name":"A","type":"G","results":[{"timestamp":"2015-06","availability":71.75,"reliability":null}]}]}"#).unwrap();
        assert_eq!(figures(&periods(&tree, &path("G/A"), Granularity::Monthly).unwrap()[0]), (Some(71.75), None));
    }

    #[test]
    fn what_is_unknown_is_no_figure() {
        let tree = json::read(V2_JSON.as_bytes()).unwrap();
        let found = periods(&tree, &path("SITES/ST02"), Granularity::Daily).unwrap();
        assert_eq!(figures(&found[0]), (None, None));
        for (availability, unknown, want) in [("100", "1", None), ("0", "1", None), ("NaN", "", None), ("", "0", Some(50.0)), ("12.5", "x", Some(12.5))] {
            let r = Texts {
                at: "2020-02".into(),
                availability: availability.into(),
                uptime: "0.5".into(),
                unknown: unknown.into(),
                downtime: "0".into(),
                ..Texts::default()
            };
            let r = if unknown == "1" { Texts { uptime: "0".into(), ..r } } else { r };
            assert_eq!(period(&r, Granularity::Monthly).unwrap().figures.availability, want, "{availability} {unknown}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let tree = json::read(V2_JSON.as_bytes()).unwrap();
        let gone = periods(&tree, &path("SITES/ST09"), Granularity::Daily).unwrap_err();
        assert_eq!(gone.trouble, Trouble::NoGroup);
        assert!(gone.words().contains("SITES/ST09 is not in the answer, which has GROUP/GROUP_A, SITES/ST01, SITES/ST02; "), "{}", gone.words());
        assert_eq!(periods(&tree, &path("SITE/ST01"), Granularity::Daily).unwrap_err().trouble, Trouble::NoGroup, "another type");
        assert_eq!(periods(&tree, &path("GROUP/GROUP_B/SITES/ST01"), Granularity::Daily).unwrap_err().trouble, Trouble::NoGroup, "in another group");
        let twice = vec![Node { inside: tree.clone(), ..Node::default() }, Node { inside: tree, ..Node::default() }];
        assert!(periods(&twice, &path("SITES/ST01"), Granularity::Daily).unwrap_err().words().contains("2 times"));
        for (at, availability) in [("2020-13", "1"), ("June", "1"), ("", "1"), ("2020-02", "ninety"), ("2020-02", "100.5"), ("2020-02", "inf")] {
            let r = Texts { at: at.into(), availability: availability.into(), ..Texts::default() };
            assert_eq!(period(&r, Granularity::Monthly).unwrap_err().trouble, Trouble::BadFigure, "{at} {availability}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_anywhere_is_no_answer() {
        for cut in 1..V2_JSON.len() {
            assert_eq!(json::read(&V2_JSON.as_bytes()[..cut]).unwrap_err().trouble, Trouble::Cut, "{cut}");
        }
        let whole = XML.trim();
        for cut in 1..whole.len() {
            assert_eq!(xml::read(&whole.as_bytes()[..cut]).unwrap_err().trouble, Trouble::Cut, "{}", &whole[..cut]);
        }
    }

    #[test]
    fn something_else_is_named_as_that() {
        for text in ["<html><body>Sign in</body></html>", "hello", "[]", "12", r#"{"status":"ok"}"#] {
            assert_eq!(json::read(text.as_bytes()).unwrap_err().trouble, Trouble::WrongType, "{text}");
        }
        let bomb = r#"<!DOCTYPE root [<!ENTITY a "aaaa">]><root><group name="&a;" type="x"/></root>"#;
        for text in [bomb, "hello", V2_JSON, "<html><body>Sign in</body></html>", "<root><group name=\"&a;\" type=\"x\"/></root>"] {
            assert_eq!(xml::read(text.as_bytes()).unwrap_err().trouble, Trouble::WrongType, "{text}");
        }
        assert_eq!(json::read(b"\xff\xfe").unwrap_err().trouble, Trouble::WrongType);
        assert_eq!(xml::read(b"<root>\xff\xfe</root>").unwrap_err().trouble, Trouble::WrongType);
        let deep = format!("<root>{}{}</root>", "<group>".repeat(200), "</group>".repeat(200));
        assert_eq!(xml::read(deep.as_bytes()).unwrap_err().trouble, Trouble::WrongType);
        let deep = format!("{{\"results\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(json::read(deep.as_bytes()).unwrap_err().trouble, Trouble::WrongType);
        // No groups at all is an answer.
        assert_eq!(json::read(br#"{"results":[]}"#).unwrap(), []);
        assert_eq!(json::read(br#"{"results":null}"#).unwrap(), []);
        assert_eq!(xml::read(b"<?xml version=\"1.0\"?><root></root>").unwrap(), []);
    }
}
