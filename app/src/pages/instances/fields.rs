//! The parameters of an instance snapshot as forms hold them: a schedule's, and the one that takes a snapshot now.
//!
//! Lives here: reading, writing and drawing them. May not: judging them (`domain::instance` and `ops` do).
//! Invariant: what somebody has typed is never lost: a refused form comes back with all of it.

use domain::{
    field::FieldError,
    instance::{Pattern, SnapshotParams},
    units::Timestamp,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{components::address::Query, error::upper};

/// What was typed, by CERN's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// The form held these fields: a box that is not ticked is sent by no browser, and means no only then.
    #[serde(default)]
    pub asked: String,
    #[serde(default)]
    pub instance: String,
    #[serde(default)]
    pub pattern: String,
    #[serde(default)]
    pub max_snapshots: String,
    #[serde(default)]
    pub instance_stop: String,
    #[serde(default)]
    pub wait: String,
    #[serde(default)]
    pub to_addr_success: String,
    #[serde(default)]
    pub to_addr_error: String,
}

const ON: &str = "on";

impl Native {
    /// What the address holds, and the defaults where it holds none.
    pub fn read(query: &Query) -> Self {
        let text = |name: &str| query.get(name).map_or_else(String::new, |v| v.trim().to_owned());
        if text("asked").is_empty() {
            return Self { instance: text("instance"), ..Self::of(&SnapshotParams::default()) };
        }
        Self {
            asked: text("asked"),
            instance: text("instance"),
            pattern: text("pattern"),
            max_snapshots: text("max_snapshots"),
            instance_stop: text("instance_stop"),
            wait: text("wait"),
            to_addr_success: text("to_addr_success"),
            to_addr_error: text("to_addr_error"),
        }
    }

    pub fn of(p: &SnapshotParams) -> Self {
        let tick = |on: bool| if on { ON.to_owned() } else { String::new() };
        Self {
            asked: ON.to_owned(),
            instance: p.instance.clone(),
            pattern: p.pattern.clone(),
            max_snapshots: p.max_snapshots.to_string(),
            instance_stop: tick(p.instance_stop),
            wait: tick(p.wait),
            to_addr_success: p.to_addr_success.join(", "),
            to_addr_error: p.to_addr_error.join(", "),
        }
    }

    /// What is asked for, and what of it could not be read at all.
    pub fn params(&self) -> (SnapshotParams, Vec<FieldError>) {
        if self.asked.is_empty() {
            return (SnapshotParams { instance: self.instance.trim().to_owned(), ..SnapshotParams::default() }, Vec::new());
        }
        let mut wrong = Vec::new();
        let max_snapshots = match self.max_snapshots.trim() {
            "" => 0,
            text => text.parse().unwrap_or_else(|_| {
                wrong.push(FieldError::new("max_snapshots", "is no number of snapshots; write 0 to keep all, or how many are kept"));
                0
            }),
        };
        let addresses = |text: &str| text.split([',', ';', ' ', '\n']).map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect();
        let pattern = self.pattern.trim();
        let params = SnapshotParams {
            instance: self.instance.trim().to_owned(),
            pattern: if pattern.is_empty() { Pattern::DEFAULT } else { pattern }.to_owned(),
            max_snapshots,
            wait: !self.wait.is_empty(),
            instance_stop: !self.instance_stop.is_empty(),
            to_addr_success: addresses(&self.to_addr_success),
            to_addr_error: addresses(&self.to_addr_error),
        };
        (params, wrong)
    }

    /// Each field with its name, as an address holds it.
    pub fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("asked", &self.asked),
            ("instance", &self.instance),
            ("pattern", &self.pattern),
            ("max_snapshots", &self.max_snapshots),
            ("instance_stop", &self.instance_stop),
            ("wait", &self.wait),
            ("to_addr_success", &self.to_addr_success),
            ("to_addr_error", &self.to_addr_error),
        ]
    }

    /// Each value with its name, as people compare them.
    pub fn shown(&self) -> [(&'static str, String); 7] {
        let yes = |text: &str| if text.is_empty() { "no" } else { "yes" }.to_owned();
        [
            ("instance", self.instance.clone()),
            ("pattern", self.pattern.clone()),
            ("max_snapshots", self.max_snapshots.clone()),
            ("instance_stop", yes(&self.instance_stop)),
            ("wait", yes(&self.wait)),
            ("to_addr_success", self.to_addr_success.clone()),
            ("to_addr_error", self.to_addr_error.clone()),
        ]
    }
}

/// The name that a snapshot of then would have; `None` while the pattern is not understood.
pub fn example(p: &SnapshotParams, at: Timestamp) -> Option<String> {
    let instance = if p.instance.is_empty() { "INSTANCE" } else { &p.instance };
    Pattern::parse(&p.pattern).ok().map(|pattern| pattern.name(instance, at))
}

/// The hint of a pattern, with the name that it makes.
pub fn makes(p: &SnapshotParams, at: Timestamp) -> AnyView {
    let made = example(p, at).map(|name| view! { "Makes "<code>{name}</code>". " });
    view! { {made}"{0} is the instance, {1} the date as YYYYMMDDHHMM, in UTC." }.into_any()
}

/// The fields but for the instance, each with what is wrong with it.
/// `makes` is the hint of the pattern.
pub fn fields(n: &Native, makes: AnyView, wrong: &impl Fn(&str) -> Option<String>) -> AnyView {
    let invalid = |field: &str| wrong(field).is_some().then_some("true");
    let mail = |name: &'static str, value: &str, hint: &'static str| {
        let (hint_id, described) = (format!("{name}-h"), format!("{name}-h {name}-e"));
        view! {
            <div class="field"><label for=name>{name}</label>
                <input class="input" id=name name=name type="email" multiple value=value.to_owned() autocomplete="off" aria-invalid=invalid(name) aria-describedby=described/>
                <span class="field__hint" id=hint_id>{hint}</span>{problem(name, wrong(name))}</div>
        }
    };
    view! {
        <input type="hidden" name="asked" value=ON/>
        <div class="form__row">
            <div class="field"><label for="pattern">"pattern"</label>
                <input class="input input--mono" id="pattern" name="pattern" value=n.pattern.clone() placeholder=Pattern::DEFAULT autocomplete="off" spellcheck="false" aria-invalid=invalid("pattern") aria-describedby="pv-makes pattern-e"/>
                <span class="field__hint brk" id="pv-makes">{makes}</span>{problem("pattern", wrong("pattern"))}</div>
            <div class="field"><label for="max_snapshots">"max_snapshots"</label>
                <input class="input" id="max_snapshots" name="max_snapshots" type="number" min="0" max="100000" value=n.max_snapshots.clone() autocomplete="off" aria-invalid=invalid("max_snapshots") aria-describedby="max_snapshots-h max_snapshots-e"/>
                <span class="field__hint" id="max_snapshots-h">"0 keeps all, as far as the quota of the project goes. The oldest go first, when the new one is there."</span>{problem("max_snapshots", wrong("max_snapshots"))}</div>
        </div>
        <div class="form__row">
            <label class="check"><input type="checkbox" name="instance_stop" checked=!n.instance_stop.is_empty()/><span><b>"instance_stop"</b><span class="sub">"Shut down before, boot afterwards, also after an error"</span></span></label>
            <label class="check"><input type="checkbox" name="wait" checked=!n.wait.is_empty()/><span><b>"wait"</b><span class="sub">"The run ends only when the snapshot is stored"</span></span></label>
        </div>
        <div class="form__row">
            {mail("to_addr_success", &n.to_addr_success, "Empty: no mail. Sent when the snapshot is really there; several with commas")}
            {mail("to_addr_error", &n.to_addr_error, "Sent on a failed and on a missed run")}
        </div>
    }
    .into_any()
}

/// What is wrong with a field, below it.
pub fn problem(field: &str, message: Option<String>) -> AnyView {
    message.map(|m| view! { <span class="field__error" id=format!("{field}-e") role="alert">{upper(&m)}</span> }).into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::address::with_query;

    #[test]
    fn nothing_that_was_typed_is_lost() {
        let typed = Native::read(&Query::parse("asked=on&instance=web&pattern=%7B0%7D-%7B1%7D&max_snapshots=x&to_addr_error=a%40b.c%2C+d%40e.f"));
        let href = with_query("/x", &typed.pairs());
        assert_eq!(Native::read(&Query::parse(href.split_once('?').unwrap().1)), typed);
        let (params, wrong) = typed.params();
        assert_eq!((params.instance.as_str(), params.pattern.as_str(), params.wait), ("web", "{0}-{1}", false));
        assert_eq!(params.to_addr_error, ["a@b.c", "d@e.f"]);
        assert_eq!(wrong.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["max_snapshots"]);
    }

    #[test]
    fn without_the_fields_the_defaults_hold() {
        let n = Native::read(&Query::parse("instance=web"));
        assert_eq!(n.params(), (SnapshotParams { instance: "web".into(), ..SnapshotParams::default() }, Vec::new()));
        // A form that never had the fields asks for the defaults, too.
        assert_eq!(Native::default().params().0, SnapshotParams::default());
        assert!(Native::of(&SnapshotParams::default()).params().0.wait);
    }

    #[test]
    fn a_pattern_shows_the_name_that_it_makes() {
        let p = SnapshotParams { instance: "web".into(), ..SnapshotParams::default() };
        assert_eq!(example(&p, Timestamp::from_secs(1_614_229_200)).as_deref(), Some("web_snapshot_202102250500"));
        assert_eq!(example(&SnapshotParams { pattern: "{0}".into(), ..p }, Timestamp(0)), None);
    }
}
