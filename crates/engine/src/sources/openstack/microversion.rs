//! The version of Nova's and Cinder's API that is spoken: the newest that both sides know.
//!
//! Lives here: what Holdfast knows and needs, and the document about versions. May not: what a version changes in calls.

use std::{cmp::Ordering, fmt};

use reqwest::header::HeaderValue;
use serde_json::Value;

use super::{catalog::Service, refusal::Failed};

/// Such as 2.93.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

const fn v(major: u16, minor: u16) -> Version {
    Version { major, minor }
}

/// What Holdfast is written for.
const NOVA: (Version, Version) = (v(2, 47), v(2, 93));
const CINDER: (Version, Version) = (v(3, 0), v(3, 68));

impl Version {
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(v(major.parse().ok()?, minor.parse().ok()?))
    }

    /// Cinder takes `force` for a volume in use up to 3.65, and refuses it unless true from 3.66.
    pub fn snapshots_need_force(self) -> bool {
        self.cmp(&v(3, 66)) == Ordering::Less
    }

    pub(super) fn header(self, service: Service) -> HeaderValue {
        let name = if service == Service::Volume { "volume" } else { "compute" };
        HeaderValue::from_str(&format!("{name} {self}")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The newest version that the service offers and Holdfast knows.
    pub(super) fn agree(service: Service, document: &[u8]) -> Result<Self, Failed> {
        let what = "say which versions it speaks";
        let tree: Value = serde_json::from_slice(document).map_err(|e| Failed::odd(service, what, &format!("no JSON ({e})")))?;
        let (least, most) = if service == Service::Volume { CINDER } else { NOVA };
        let old = |offered: &str| {
            let release = if service == Service::Volume { "Queens" } else { "Pike" };
            Failed::invalid(format!("{service} offers {offered}, and Holdfast needs at least {least} (OpenStack {release}); the cloud is too old for it"))
        };
        let one = tree.get("version").into_iter();
        let all = one.chain(tree.get("versions").and_then(Value::as_array).into_iter().flatten());
        let ours = all.filter(|d| text(d, "id").starts_with(&format!("v{}.", most.major))).filter_map(|d| Some((d, Self::parse(text(d, "version"))?)));
        let Some((entry, newest)) = ours.max_by_key(|(_, newest)| *newest) else { return Err(old("no microversions")) };
        if newest < least {
            return Err(old(&format!("up to {newest}")));
        }
        let oldest = Self::parse(text(entry, "min_version")).unwrap_or(least);
        if oldest > most {
            return Err(Failed::invalid(format!("{service} offers {oldest} to {newest}, and Holdfast knows up to {most}; use a newer Holdfast")));
        }
        Ok(newest.min(most))
    }
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nova(version: &str, min: &str) -> String {
        format!(
            r#"{{"versions": [{{"id": "v2.0", "version": "", "min_version": ""}}, {{"id": "v2.1", "status": "CURRENT", "version": "{version}", "min_version": "{min}"}}]}}"#
        )
    }

    #[test]
    fn the_newest_that_both_know_is_spoken() {
        for (version, want) in [("2.93", v(2, 93)), ("2.96", v(2, 93)), ("2.60", v(2, 60)), ("2.47", v(2, 47)), ("2.100", v(2, 93))] {
            assert_eq!(Version::agree(Service::Compute, nova(version, "2.1").as_bytes()).unwrap(), want);
        }
        let one = br#"{"version": {"id": "v2.1", "status": "CURRENT", "version": "2.79", "min_version": "2.1"}}"#;
        assert_eq!(Version::agree(Service::Compute, one).unwrap(), v(2, 79));
        let cinder = br#"{"versions": [{"id": "v3.0", "version": "3.70", "min_version": "3.0"}]}"#;
        assert_eq!(Version::agree(Service::Volume, cinder).unwrap(), v(3, 68));
    }

    #[test]
    fn a_cloud_too_old_or_too_new_is_said() {
        for (version, min, says) in [
            ("2.25", "2.1", "Nova offers up to 2.25, and Holdfast needs at least 2.47"),
            ("", "", "Nova offers no microversions"),
            ("2.120", "2.100", "Holdfast knows up to 2.93; use a newer Holdfast"),
        ] {
            let failed = Version::agree(Service::Compute, nova(version, min).as_bytes()).unwrap_err();
            assert!(failed.message.contains(says), "{}", failed.message);
        }
        assert!(Version::agree(Service::Compute, b"<html>").unwrap_err().message.contains("no JSON"));
    }

    #[test]
    fn snapshots_of_volumes_in_use_change_at_3_66() {
        assert!(v(3, 65).snapshots_need_force());
        assert!(!v(3, 66).snapshots_need_force());
        assert_eq!(v(3, 68).header(Service::Volume), "volume 3.68");
    }
}
