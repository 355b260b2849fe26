//! What has been typed so far, as the address holds it and as the forms hand it on.
//!
//! Lives here: reading and writing it. May not: judging it (`domain::instance` and `ops::clones` do).
//! Invariant: what somebody has typed is never lost: a refused form comes back with all of it.

use std::collections::BTreeMap;

use domain::{
    field::FieldError,
    instance::{CLONE_DAYS, Networks, Pattern},
};
use ops::clones::Order;
use serde::{Deserialize, Serialize};

use crate::components::address::{Query, with_query};

/// A clone as a form holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Typed {
    /// The form of what differs was sent: a box that is not ticked is sent by no browser, and means no only then.
    pub asked: String,
    pub service: String,
    pub snapshot: String,
    pub instance: String,
    pub date: String,
    pub pattern: String,
    pub clone_name: String,
    pub availability_zone: String,
    pub flavour: String,
    /// One a line: `key = value`, or `- key` for what is left out.
    pub metadata: String,
    /// `same`, `none` or `these`.
    pub networks: String,
    pub network_names: String,
    pub days: String,
    pub wait: String,
    pub hook: String,
    pub to_addr_success: String,
    pub to_addr_error: String,
}

pub const ON: &str = "on";

impl Typed {
    /// What the address holds, and the defaults where the form was not sent yet.
    pub fn read(query: &Query) -> Self {
        let text = |name: &str| query.get(name).map_or_else(String::new, |v| v.trim().to_owned());
        let which = Self {
            service: text("service"),
            snapshot: text("snapshot"),
            instance: text("instance"),
            date: text("date"),
            pattern: text("pattern"),
            ..Self::default()
        };
        if text("asked").is_empty() {
            return Self { networks: "same".to_owned(), days: CLONE_DAYS.to_string(), wait: ON.to_owned(), ..which };
        }
        Self {
            asked: ON.to_owned(),
            clone_name: text("clone_name"),
            availability_zone: text("availability_zone"),
            flavour: text("flavour"),
            metadata: text("metadata"),
            networks: text("networks"),
            network_names: text("network_names"),
            days: text("days"),
            wait: text("wait"),
            hook: text("hook"),
            to_addr_success: text("to_addr_success"),
            to_addr_error: text("to_addr_error"),
            ..which
        }
    }

    /// Each field with its name.
    pub fn pairs(&self) -> [(&'static str, &str); 17] {
        [
            ("service", &self.service),
            ("snapshot", &self.snapshot),
            ("instance", &self.instance),
            ("date", &self.date),
            ("pattern", &self.pattern),
            ("asked", &self.asked),
            ("clone_name", &self.clone_name),
            ("availability_zone", &self.availability_zone),
            ("flavour", &self.flavour),
            ("metadata", &self.metadata),
            ("networks", &self.networks),
            ("network_names", &self.network_names),
            ("days", &self.days),
            ("wait", &self.wait),
            ("hook", &self.hook),
            ("to_addr_success", &self.to_addr_success),
            ("to_addr_error", &self.to_addr_error),
        ]
    }

    /// The address of the wizard at `path` with all of it.
    pub fn href(&self, path: &str) -> String {
        with_query(path, &self.pairs())
    }

    /// The pattern by which names are read.
    pub fn pattern(&self) -> &str {
        if self.pattern.is_empty() { Pattern::DEFAULT } else { &self.pattern }
    }

    /// What is ordered, and what of it could not be read at all.
    pub fn order(&self) -> (Order, Vec<FieldError>) {
        let mut wrong = Vec::new();
        let snapshot = match self.snapshot.as_str() {
            "" => None,
            text => {
                let id = text.parse().ok();
                if id.is_none() {
                    wrong.push(FieldError::new("snapshot", "is no id of a snapshot; choose one from the list"));
                }
                id
            }
        };
        let days = self.days.trim().parse().unwrap_or_else(|_| {
            wrong.push(FieldError::new("days", "is no number of days; write how many the clone stands, such as 7"));
            CLONE_DAYS
        });
        let metadata = metadata(&self.metadata).unwrap_or_else(|e| {
            wrong.push(e);
            BTreeMap::new()
        });
        let networks = match self.networks.as_str() {
            "none" => Networks::None,
            "these" => Networks::These(words(&self.network_names)),
            _ => Networks::Same,
        };
        let order = Order {
            snapshot,
            instance: self.instance.clone(),
            date: self.date.clone(),
            pattern: self.pattern().to_owned(),
            clone_name: self.clone_name.trim().to_owned(),
            availability_zone: self.availability_zone.trim().to_owned(),
            flavour: self.flavour.trim().to_owned(),
            metadata,
            networks,
            days,
            wait: !self.wait.is_empty(),
            hook: self.hook.clone(),
            to_addr_success: words(&self.to_addr_success),
            to_addr_error: words(&self.to_addr_error),
        };
        (order, wrong)
    }
}

/// Names or addresses, however they are separated.
pub fn words(text: &str) -> Vec<String> {
    text.split([',', ';', ' ', '\n', '\r']).map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn metadata(text: &str) -> Result<BTreeMap<String, Option<String>>, FieldError> {
    let mut all = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        match (line.split_once('='), line.strip_prefix('-')) {
            (Some((key, value)), _) => all.insert(key.trim().to_owned(), Some(value.trim().to_owned())),
            (None, Some(key)) => all.insert(key.trim().to_owned(), None),
            (None, None) => {
                let short: String = line.chars().take(60).collect();
                return Err(FieldError::new("metadata", format!("“{short}” is neither; write key = value, or - key for one that is left out")));
            }
        };
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed() -> Typed {
        Typed {
            asked: ON.into(),
            service: "vms".into(),
            snapshot: uuid::Uuid::from_u128(1).to_string(),
            networks: "these".into(),
            network_names: "lab-net, other".into(),
            metadata: "role = web&x\n- gone".into(),
            days: "3".into(),
            ..Typed::default()
        }
    }

    #[test]
    fn an_address_round_trips() {
        let href = typed().href("/restore/clone");
        assert_eq!(Typed::read(&Query::parse(href.split_once('?').unwrap().1)), typed());
        // A form that was not sent yet has its defaults.
        let fresh = Typed::read(&Query::parse("service=vms&instance=web"));
        assert_eq!((fresh.days.as_str(), fresh.wait.as_str(), fresh.networks.as_str(), fresh.asked.as_str()), ("7", "on", "same", ""));
    }

    #[test]
    fn what_is_ordered_is_what_was_typed() {
        let (order, wrong) = typed().order();
        assert!(wrong.is_empty() && order.snapshot.is_some() && !order.wait && order.days == 3, "{order:?}");
        assert_eq!(order.networks, Networks::These(vec!["lab-net".into(), "other".into()]));
        assert_eq!(order.metadata, BTreeMap::from([("role".into(), Some("web&x".into())), ("gone".into(), None)]));
        assert_eq!(order.pattern, Pattern::DEFAULT);
        let bad = Typed { snapshot: "x".into(), days: "many".into(), metadata: "what".into(), ..typed() };
        assert_eq!(bad.order().1.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["snapshot", "days", "metadata"]);
    }
}
