//! How long the credential lasts, and whether it may do what Holdfast asks (R25).
//!
//! Lives here: what Keystone tells of application credentials, trusts, passwords, roles and access rules.
//! May not: when that is an alarm.

use domain::{instance::Credential, units::Timestamp};
use serde_json::Value;

use super::{
    Cloud,
    auth::Facts,
    catalog::Service::Identity,
    config::Auth,
    facts::{text, time},
    refusal::Failed,
    session::Call,
};
use crate::Result;

/// The roles of a default installation that can read and not change.
const READING: [&str; 3] = ["reader", "auditor", "observer"];

/// What snapshots call, as access rules name it.
const NEEDED: [(&str, &str, &str); 7] = [
    ("compute", "GET", "/v2.1/servers/detail"),
    ("compute", "POST", "/v2.1/servers/x/action"),
    ("image", "GET", "/v2/images/x"),
    ("image", "DELETE", "/v2/images/x"),
    ("block-storage", "GET", "/v3/p/volumes/detail"),
    ("block-storage", "POST", "/v3/p/snapshots"),
    ("block-storage", "DELETE", "/v3/p/snapshots/x"),
];

impl Cloud {
    /// Authenticates anew and tells how the credential stands. One that is refused is an error of the kind `Denied`.
    pub async fn credential(&self, now: Timestamp) -> Result<Credential> {
        let facts = self.0.renew().await?;
        let mut trouble: Vec<String> = vec![];
        let mut ends: Vec<Timestamp> = vec![];
        let by_password = matches!(self.0.config().auth, Auth::Password { .. } | Auth::Trust { .. });
        if by_password {
            ends.extend(facts.user.password_expires_at.as_deref().and_then(time));
        }
        match self.backing(&facts).await {
            Ok(Some(thing)) => {
                ends.extend(text(&thing, "expires_at").and_then(time));
                trouble.extend(missing_rules(&thing));
            }
            Ok(None) => {}
            Err(failed) if failed.may_not() => {
                let what = self.0.config().auth.what();
                trouble.push(format!("Keystone does not tell when the {what} expires; allow it to read itself, or note the day elsewhere"));
            }
            Err(failed) => return Err(failed.into()),
        }
        let roles: Vec<String> = facts.roles.iter().map(|r| r.name.clone()).collect();
        if roles.iter().all(|r| READING.contains(&r.as_str())) {
            let has = if roles.is_empty() { "no role".to_owned() } else { format!("the role {} alone", roles.join(", ")) };
            trouble.push(format!("it has {has} in the project and cannot make snapshots; give it the role member"));
        }
        let expires_at = ends.into_iter().min();
        if expires_at.is_some_and(|e| e <= now) {
            trouble.push("it has expired; give a new one".to_owned());
        }
        Ok(Credential {
            project_id: self.project_id().to_owned(),
            project_name: self.project_name().to_owned(),
            user: facts.user.name.clone(),
            roles,
            expires_at,
            looked_at: now,
            trouble: (!trouble.is_empty()).then(|| trouble.join(". ")),
            refused: false,
            quota: None,
            empty_since: None,
        })
    }

    /// The application credential or the trust that the token comes from.
    async fn backing(&self, facts: &Facts) -> Result<Option<Value>, Failed> {
        let (what, path, name): (&str, Vec<&str>, &str) = match (&facts.application_credential, &facts.trust) {
            (Some(c), _) => ("read the application credential", vec!["users", &facts.user.id, "application_credentials", &c.id], "application_credential"),
            (None, Some(t)) => ("read the trust", vec!["OS-TRUST", "trusts", &t.id], "trust"),
            (None, None) => return Ok(None),
        };
        let mut answer = self.0.json(Call::get(Identity, what, &path)).await?;
        Ok(answer.get_mut(name).map(Value::take))
    }
}

/// What the access rules of an application credential leave out.
fn missing_rules(credential: &Value) -> Option<String> {
    let rules = credential.get("access_rules").filter(|r| r.is_array())?;
    let allows = |(service, method, path): &(&str, &str, &str)| {
        list_of(rules).iter().any(|r| {
            let same = |s: &str| s == *service || (*service == "block-storage" && s.starts_with("volume"));
            text(r, "service").is_some_and(same) && text(r, "method") == Some(*method) && text(r, "path").is_some_and(|p| fits(p, path))
        })
    };
    let lacking: Vec<String> = NEEDED.iter().filter(|n| !allows(n)).map(|(service, method, path)| format!("{method} {service} {path}")).collect();
    (!lacking.is_empty()).then(|| format!("its access rules leave out {}; make one without access rules or with these", lacking.join(", ")))
}

fn list_of(rules: &Value) -> &[Value] {
    rules.as_array().map_or(&[], Vec::as_slice)
}

/// Keystone's patterns: `*` and `{name}` are one segment, `**` is any number.
fn fits(pattern: &str, path: &str) -> bool {
    fn go(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], _) => go(rest, path) || (!path.is_empty() && go(pattern, &path[1..])),
            ([p, rest @ ..], [s, more @ ..]) => (*p == "*" || (p.starts_with('{') && p.ends_with('}')) || p == s || matches!(*s, "x" | "p")) && go(rest, more),
            _ => false,
        }
    }
    go(&pattern.split('/').collect::<Vec<_>>(), &path.split('/').collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn access_rules_are_read_as_keystone_does() {
        for (pattern, path, want) in [
            ("/v2.1/servers/*/action", "/v2.1/servers/x/action", true),
            ("/v2.1/servers/{id}/action", "/v2.1/servers/x/action", true),
            ("/v2.1/**", "/v2.1/servers/detail", true),
            ("/v2.1/servers", "/v2.1/servers/detail", false),
            ("/v2.1/servers/*", "/v2.1/servers/x/action", false),
            ("**", "/v2/images/x", true),
        ] {
            assert_eq!(fits(pattern, path), want, "{pattern}");
        }
        let rule = |service: &str, method: &str, path: &str| json!({"service": service, "method": method, "path": path});
        assert_eq!(missing_rules(&json!({"access_rules": null})), None);
        assert_eq!(missing_rules(&json!({})), None);
        let said = missing_rules(&json!({"access_rules": [rule("compute", "GET", "/v2.1/servers")]})).unwrap();
        assert!(said.contains("POST compute /v2.1/servers/x/action"), "{said}");
        let mut all = vec![];
        for service in ["compute", "image", "volumev3"] {
            for method in ["GET", "POST", "DELETE"] {
                all.push(rule(service, method, "/**"));
            }
        }
        assert_eq!(missing_rules(&json!({"access_rules": all})), None);
    }
}
