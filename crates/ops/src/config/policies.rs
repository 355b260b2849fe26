//! Policies in the configuration: rules of retention with a name (R16).
//!
//! Lives here: reading them and the references to them. May not: what the rules do (`domain::retention`).

use domain::{
    naming::nearest,
    retention::{Rules, Within},
};
use store::policies::NewPolicy;

use super::{
    keys::{MOST_KEPT, POLICY, or, shown},
    walk::{Fields, Text, Walk},
    yaml::{Node, Value},
};
use crate::retention::zone;

const MOST_TAGS: usize = 100;

/// One policy; its name was read by the caller.
pub fn policy(walk: &mut Walk, fields: &Fields<'_>, name: Text<'_>) -> NewPolicy {
    let rules = Rules {
        keep_last: count(walk, fields, "keep_last"),
        keep_hourly: count(walk, fields, "keep_hourly"),
        keep_daily: count(walk, fields, "keep_daily"),
        keep_weekly: count(walk, fields, "keep_weekly"),
        keep_monthly: count(walk, fields, "keep_monthly"),
        keep_yearly: count(walk, fields, "keep_yearly"),
        keep_within: within(walk, fields, "keep_within"),
        keep_within_hourly: within(walk, fields, "keep_within_hourly"),
        keep_within_daily: within(walk, fields, "keep_within_daily"),
        keep_within_weekly: within(walk, fields, "keep_within_weekly"),
        keep_within_monthly: within(walk, fields, "keep_within_monthly"),
        keep_within_yearly: within(walk, fields, "keep_within_yearly"),
        keep_tags: tags(walk, fields),
        max_snapshots: count(walk, fields, "max_snapshots"),
        time_zone: time_zone(walk, fields).unwrap_or_default(),
    };
    let given = POLICY.keys.iter().any(|k| (k.0.starts_with("keep_") || k.0 == "max_snapshots") && fields.get(k.0).is_some());
    if !given {
        walk.say(name.at, format!("the policy {} has no rule, so it would keep everything; add {}", shown(name.text), POLICY.example("keep_daily")));
    }
    NewPolicy { name: name.text.to_owned(), rules }
}

/// The policy that a source names.
pub fn reference(walk: &mut Walk, Text { at, text }: Text<'_>, known: &[&str]) -> Option<String> {
    if known.contains(&text) {
        return Some(text.to_owned());
    }
    let remedy = match nearest(text, known.iter().copied()) {
        Some(meant) => format!("did you mean “{meant}”?"),
        None if known.is_empty() || known.len() > 5 => "add it to the list of policies".to_owned(),
        None => format!("use {}, or add it to the list of policies", or(known)),
    };
    walk.say(at, format!("there is no policy {}; {remedy}", shown(text)));
    None
}

fn count(walk: &mut Walk, fields: &Fields<'_>, key: &str) -> u32 {
    let Some(Text { at, text }) = walk.optional_text(fields, key) else { return 0 };
    match text.parse::<u32>() {
        Ok(n) if i64::from(n) <= MOST_KEPT => n,
        _ => {
            walk.say(at, format!("“{key}”: {} is not a number from 0 to {MOST_KEPT}; write {}", shown(text), fields.level.example(key)));
            0
        }
    }
}

fn within(walk: &mut Walk, fields: &Fields<'_>, key: &str) -> Option<Within> {
    let Text { at, text } = walk.optional_text(fields, key)?;
    text.parse().map_err(|e| walk.say(at, format!("“{key}”: {e}"))).ok()
}

fn tags(walk: &mut Walk, fields: &Fields<'_>) -> Vec<String> {
    let Some(entry) = fields.get("keep_tags") else { return Vec::new() };
    let mut out = Vec::new();
    for node in walk.list(fields, entry, MOST_TAGS) {
        match text_of(node) {
            Some(tag) => out.push(tag),
            None => walk.say(node.at, "each entry of “keep_tags” must be a tag in quotes, such as \"keep\", or several with commas between"),
        }
    }
    out
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) if !text.contains(char::is_control) && text.split(',').all(|t| !t.trim().is_empty()) => Some(text.trim().to_owned()),
        _ => None,
    }
}

fn time_zone(walk: &mut Walk, fields: &Fields<'_>) -> Option<String> {
    let Text { at, text } = walk.optional_text(fields, "time_zone")?;
    if zone(text).is_err() {
        walk.say(at, format!("“time_zone”: {} is not a time zone; write a name such as Europe/Berlin or UTC", shown(text)));
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use store::{audit, policies, sources, testing};

    use crate::{
        Actor, Ctx,
        config::{apply, parse},
        services,
    };

    fn file(policies: &str, policy: &str) -> String {
        format!(
            "version: 1\nrepositories:\n  - {{ name: main, location: \"file:///r\", password: {{ env: P }} }}\npolicies:\n{policies}services:\n  - name: s\n    owner: o\n    sources:\n      - {{ name: d, kind: directory, path: /d, items: self, repository: main{policy} }}\n"
        )
    }

    const STANDARD: &str = "  - name: standard\n    keep_last: 3\n    keep_daily: 7\n    keep_within: 1y6m14d3h\n    keep_tags: [keep, \"a,b\"]\n    max_snapshots: 60\n    time_zone: Europe/Berlin\n";

    #[test]
    fn a_policy_is_read() {
        let config = parse(&file(STANDARD, ", policy: standard")).unwrap();
        let policy = &config.policies[0];
        assert_eq!(policy.name, "standard");
        assert_eq!(policy.rules.words(), "3 newest, 7 daily, all within 1y6m14d3h, tagged keep or a,b; at most 60");
        assert_eq!((policy.rules.time_zone.as_str(), config.services[0].sources[0].policy.as_deref()), ("Europe/Berlin", Some("standard")));
        assert_eq!(parse(&file(STANDARD, "")).unwrap().services[0].sources[0].policy, None);
    }

    #[test]
    fn each_mistake_has_its_place_and_its_remedy() {
        let told = |policies: &str, policy: &str| parse(&file(policies, policy)).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
        let one = |line: &str| format!("  - name: standard\n    {line}\n");
        for (policies, policy, want) in [
            (one("keep_daily: many"), "", "6:17: “keep_daily”: “many” is not a number from 0 to 100000; write keep_daily: 7"),
            (one("keep_daily: -1"), "", "6:17: “keep_daily”: “-1” is not a number from 0 to 100000; write keep_daily: 7"),
            (one("keep_within: 90s"), "", "6:18: “keep_within”: “90s” is not a span of time; write years, months, days and hours, such as 1y6m, 14d or 36h"),
            (one("keep_dayly: 7"), "", "6:5: unknown key “keep_dayly” in a policy; did you mean “keep_daily”?"),
            (one("keep_tags: [\"a,,b\"]"), "", "6:17: each entry of “keep_tags” must be a tag in quotes, such as \"keep\", or several with commas between"),
            (one("keep_last: 1\n    time_zone: Berlin"), "", "7:16: “time_zone”: “Berlin” is not a time zone; write a name such as Europe/Berlin or UTC"),
            (STANDARD.to_owned(), ", policy: standart", "16:86: there is no policy “standart”; did you mean “standard”?"),
            (STANDARD.to_owned(), ", policy: other", "16:86: there is no policy “other”; use standard, or add it to the list of policies"),
        ] {
            let all = told(&policies, policy);
            assert!(all.contains(&want.to_owned()), "{want}\n{all:#?}");
        }
        assert_eq!(told("  - name: empty\n", ""), ["5:11: the policy “empty” has no rule, so it would keep everything; add keep_daily: 7"]);
        let twice = format!("{STANDARD}{STANDARD}");
        assert!(told(&twice, "")[0].contains("a second policy is called “standard”"));
    }

    #[tokio::test]
    async fn a_policy_is_applied_changed_and_left_alone() {
        for t in testing::databases().await {
            let ctx = Ctx::new(t.db.clone(), Actor::shell(), "shell");
            let first = apply(&ctx, &parse(&file(STANDARD, ", policy: standard")).unwrap(), Some("holdfast.yaml")).await.unwrap();
            assert_eq!(first.created.iter().map(|s| s.entity).collect::<Vec<_>>(), ["repository", "policy", "service", "source"], "{}", t.name);
            let again = apply(&ctx, &parse(&file(STANDARD, ", policy: standard")).unwrap(), Some("holdfast.yaml")).await.unwrap();
            assert_eq!((again.changed.len(), again.unchanged.len()), (0, 4), "{}", t.name);
            let row = services::find(&ctx, "s").await.unwrap();
            let mut read = t.db.read().await.unwrap();
            let policy = policies::find_by_name(read.tx(), "standard").await.unwrap().unwrap();
            assert_eq!(sources::of_service(read.tx(), row.id()).await.unwrap()[0].policy_id, Some(policy.id));
            drop(read);
            // The source lets go of it: nothing is forgotten any more.
            let changed = apply(&ctx, &parse(&file(STANDARD, "")).unwrap(), Some("holdfast.yaml")).await.unwrap();
            assert_eq!(changed.changed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["s/d"], "{}", t.name);
            let mut read = t.db.read().await.unwrap();
            assert_eq!(sources::of_service(read.tx(), row.id()).await.unwrap()[0].policy_id, None);
            let events = audit::page(read.tx(), 0, 100).await.unwrap();
            let last = events.last().unwrap();
            assert_eq!((last.action.as_str(), last.before.as_ref().unwrap().0["policy"].as_str()), ("source.apply", Some("standard")));
            drop(read);
            let text = file(&STANDARD.replace("keep_daily: 7", "keep_daily: 8"), "");
            let changed = apply(&ctx, &parse(&text).unwrap(), Some("holdfast.yaml")).await.unwrap();
            assert_eq!(changed.changed.iter().map(|s| s.entity).collect::<Vec<_>>(), ["policy"], "{}", t.name);
        }
    }
}
