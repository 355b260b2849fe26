//! The values of the form, as they stand in an address and as `ops` takes them.
//!
//! Lives here: reading and writing them. May not: judging them (`ops::schedules` does).
//! Invariant: what somebody has typed is never lost: a refused form comes back with all of it.

use domain::{
    field::FieldError,
    instance::SnapshotParams,
    schedule::{Misfire, ScheduleKind},
    units::parse_span,
    work::Selection,
};
use ops::schedules::Draft;
use serde::{Deserialize, Serialize};

use crate::{
    components::address::{Query, with_query},
    pages::instances::fields::Native,
};

/// What was typed, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    pub name: String,
    /// The revision that is changed; empty for a new schedule.
    #[serde(default)]
    pub revision: String,
    pub kind: String,
    pub of: String,
    #[serde(default)]
    pub sample: String,
    /// The definition that a restore test follows; the built-in one where it is empty.
    #[serde(default)]
    pub definition: String,
    #[serde(default)]
    pub read_data: String,
    pub m: String,
    pub h: String,
    pub dom: String,
    pub mon: String,
    pub dow: String,
    pub tz: String,
    #[serde(default)]
    pub jitter: String,
    #[serde(default)]
    pub max: String,
    pub missed: String,
    /// The runs a day that were confirmed.
    #[serde(default)]
    pub sure: String,
    /// Of a source with instances.
    #[serde(flatten)]
    pub native: Native,
}

impl Fields {
    /// What the address holds; a whole expression in `cron` goes before its five fields.
    pub fn read(query: &Query, zone: &str) -> Self {
        let or = |name: &str, default: &str| query.get(name).map_or_else(|| default.to_owned(), |v| v.trim().to_owned());
        let text = |name: &str| or(name, "");
        let mut fields = Self {
            name: text("name"),
            revision: text("revision"),
            kind: or("kind", ScheduleKind::Backup.as_str()),
            of: text("of"),
            sample: or("sample", "5"),
            definition: text("definition"),
            read_data: text("read_data"),
            m: or("m", "15"),
            h: or("h", "1"),
            dom: or("dom", "*"),
            mon: or("mon", "*"),
            dow: or("dow", "*"),
            tz: or("tz", zone),
            jitter: text("jitter"),
            max: text("max"),
            missed: or("missed", Misfire::Once.as_str()),
            sure: text("sure"),
            native: Native::read(query),
        };
        if let Some(cron) = query.get("cron") {
            fields.set_cron(&cron);
        }
        fields
    }

    pub fn of_draft(draft: &Draft, revision: i64) -> Self {
        let span = |s: i64| {
            let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
            units.iter().find(|(unit, _)| s > 0 && s % unit == 0).map_or_else(String::new, |(unit, name)| format!("{}{name}", s / unit))
        };
        let mut fields = Self {
            name: draft.name.clone(),
            revision: revision.to_string(),
            kind: draft.kind.as_str().to_owned(),
            of: draft.of.clone(),
            sample: match draft.selection {
                Selection::Latest => "latest".to_owned(),
                Selection::All => "all".to_owned(),
                Selection::Sample { count } => count.to_string(),
                // Of a definition only.
                Selection::Random { .. } => String::new(),
            },
            definition: draft.definition.clone().unwrap_or_default(),
            read_data: if draft.read_data { "on".to_owned() } else { String::new() },
            tz: draft.zone.clone(),
            jitter: span(draft.jitter_s),
            max: draft.max_duration_s.map(span).unwrap_or_default(),
            missed: draft.misfire.as_str().to_owned(),
            sure: draft.runs_a_day.map(|n| n.to_string()).unwrap_or_default(),
            native: Native::of(&draft.snapshot.clone().unwrap_or_default()),
            ..Self::default()
        };
        fields.set_cron(&draft.cron);
        fields
    }

    fn set_cron(&mut self, cron: &str) {
        let mut parts = cron.split_whitespace();
        for field in [&mut self.m, &mut self.h, &mut self.dom, &mut self.mon, &mut self.dow] {
            parts.next().unwrap_or("*").clone_into(field);
        }
    }

    /// The five fields as one expression.
    pub fn cron(&self) -> String {
        // A space within a field would shift the others.
        [&self.m, &self.h, &self.dom, &self.mon, &self.dow].map(|f| f.split_whitespace().collect::<Vec<_>>().join("_")).join(" ")
    }

    /// What is asked for, and what of it could not be read at all. `instances` says whether it is of a source with instances:
    /// of any other the parameters of their snapshots mean nothing.
    pub fn draft(&self, instances: bool) -> (Draft, Vec<FieldError>) {
        let (params, mut wrong) = if instances { self.native.params() } else { (SnapshotParams::default(), Vec::new()) };
        let mut span = |field: &str, text: &str| match text.trim() {
            "" => None,
            text => parse_span(text).map_err(|e| wrong.push(FieldError::new(field, e.to_string()))).ok(),
        };
        let (jitter_s, max_duration_s) = (span("jitter", &self.jitter), span("max_duration", &self.max));
        let selection = match self.sample.trim() {
            "latest" => Selection::Latest,
            "all" => Selection::All,
            // What is no number is refused as a number of items.
            n => Selection::Sample { count: n.parse().unwrap_or(0) },
        };
        let kind = ScheduleKind::parse(&self.kind).unwrap_or_else(|| {
            wrong.push(FieldError::new("kind", "is not known; choose one from the list"));
            ScheduleKind::Backup
        });
        let definition = Some(self.definition.trim().to_owned()).filter(|d| kind == ScheduleKind::RestoreTest && !d.is_empty());
        let draft = Draft {
            name: self.name.trim().to_owned(),
            kind,
            of: self.of.trim().to_owned(),
            selection: if definition.is_some() { Draft::default().selection } else { selection },
            definition,
            read_data: kind == ScheduleKind::Check && !self.read_data.is_empty(),
            cron: self.cron(),
            zone: self.tz.trim().to_owned(),
            jitter_s: jitter_s.unwrap_or(0),
            max_duration_s,
            misfire: Misfire::parse(&self.missed).unwrap_or(Misfire::Once),
            runs_a_day: self.sure.trim().parse().ok(),
            snapshot: (instances && kind == ScheduleKind::Backup).then_some(params),
        };
        (draft, wrong)
    }

    /// The page of the form with all that was typed. `checked` shows what is wrong with it.
    pub fn href(&self, checked: bool) -> String {
        let mut pairs = vec![
            ("name", self.name.as_str()),
            ("revision", &self.revision),
            ("kind", &self.kind),
            ("of", &self.of),
            ("sample", &self.sample),
            ("definition", &self.definition),
            ("read_data", &self.read_data),
            ("m", &self.m),
            ("h", &self.h),
            ("dom", &self.dom),
            ("mon", &self.mon),
            ("dow", &self.dow),
            ("tz", &self.tz),
            ("jitter", &self.jitter),
            ("max", &self.max),
            ("missed", &self.missed),
            ("sure", &self.sure),
        ];
        pairs.extend(self.native.pairs());
        pairs.push(("checked", if checked { "1" } else { "" }));
        with_query(&self.path(), &pairs)
    }

    /// Each value with its name, as people compare them.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("Starts a", self.kind.clone()),
            ("Of", self.of.clone()),
            ("Items of a restore test", self.sample.clone()),
            ("Definition of a restore test", self.definition.clone()),
            ("Read all data", if self.read_data.is_empty() { "no" } else { "yes" }.to_owned()),
            ("Cron expression", self.cron()),
            ("Time zone", self.tz.clone()),
            ("If runs were missed", self.missed.clone()),
            ("Jitter", self.jitter.clone()),
            ("Maximum duration", self.max.clone()),
            ("Runs a day that were confirmed", self.sure.clone()),
        ];
        all.extend(self.native.shown());
        all
    }

    /// Where this form lives.
    pub fn path(&self) -> String {
        if self.revision.is_empty() { "/schedules/new".to_owned() } else { format!("/schedules/{}/edit", crate::components::address::encode(&self.name)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_typed_is_lost() {
        let typed = Query::parse(
            "name=a&kind=check&of=main&read_data=on&m=*&h=5&dom=1&mon=JAN&dow=MON&tz=UTC&jitter=10m&max=6h&missed=all&sure=60&sample=all&definition=weekly\
             &asked=on&instance=web&pattern=%7B0%7D-%7B1%7D&max_snapshots=5&wait=on&to_addr_error=ops%40example.org",
        );
        let fields = Fields::read(&typed, "Europe/Prague");
        assert_eq!(fields.cron(), "* 5 1 JAN MON");
        let href = fields.href(true);
        assert!(href.starts_with("/schedules/new?") && href.ends_with("&checked=1"), "{href}");
        assert_eq!(Fields::read(&Query::parse(href.split_once('?').unwrap().1), "x"), fields);
        let (draft, wrong) = fields.draft(false);
        assert!(wrong.is_empty() && draft.snapshot.is_none());
        assert_eq!((draft.jitter_s, draft.max_duration_s, draft.runs_a_day, draft.read_data), (600, Some(21_600), Some(60), true));
        assert_eq!(
            Fields { revision: "3".into(), ..fields.clone() },
            Fields {
                sample: "all".into(),
                definition: "weekly".into(),
                native: fields.native.clone(),
                ..Fields::of_draft(&Draft { selection: Selection::All, ..draft }, 3)
            }
        );
    }

    #[test]
    fn parameters_of_instances_come_and_go_with_their_source() {
        let fields = Fields::read(&Query::parse("of=vms/web&asked=on&instance=web&max_snapshots=5&wait=on&tz=UTC"), "UTC");
        let (draft, wrong) = fields.draft(true);
        let params = draft.snapshot.clone().unwrap();
        assert!(wrong.is_empty());
        assert_eq!((params.instance.as_str(), params.max_snapshots, params.wait), ("web", 5, true));
        assert_eq!(Fields::of_draft(&draft, 1).native.params().0, params);
        assert!(fields.draft(false).0.snapshot.is_none());
        assert!(Fields { kind: "check".into(), ..fields }.draft(true).0.snapshot.is_none());
    }

    #[test]
    fn one_click_takes_the_likely_meaning() {
        let fields = Fields::read(&Query::parse("m=*&h=5&cron=0+5+*+*+*"), "UTC");
        assert_eq!(fields.cron(), "0 5 * * *");
        // A field with a space in it stays one field, and is refused as such.
        assert_eq!(Fields { m: "0 1".into(), ..fields }.cron(), "0_1 5 * * *");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fields = Fields::read(&Query::parse("kind=nap&jitter=soon&max=1"), "UTC");
        let (_, wrong) = fields.draft(false);
        assert_eq!(wrong.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["jitter", "max_duration", "kind"]);
    }
}
