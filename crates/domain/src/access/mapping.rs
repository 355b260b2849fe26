//! The rules that turn a person's claims into grants.
//!
//! Lives here: patterns and the mapping, with the value that gave each grant. May not: where rules are kept.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::entitlement::Entitlement;

/// The values of each claim of a person; one value is a list of one.
pub type Claims = BTreeMap<String, Vec<String>>;

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Grant {
    Admin,
    Auditor,
    /// Owner of the service of that name.
    Owner {
        service: String,
    },
    Member,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::Auditor => f.write_str("auditor"),
            Self::Owner { service } => write!(f, "owner of {service}"),
            Self::Member => f.write_str("member"),
        }
    }
}

/// What a value has to look like.
///
/// A pattern that is an entitlement is compared part by part, so that `%20` and a space, or the older form, are the same;
/// `*` stands for any one part, and as the last group for all groups below. Without a role it fits every role. Any other
/// pattern is compared as a text in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Entitlement(Entitlement),
    Text(String),
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern(pub String);

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// # Errors
    /// A sentence with the remedy: one that fits everybody by mistake is worse than none.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.trim();
        if text.is_empty() || text.chars().all(|c| c == '*') {
            return Err(BadPattern("fits everybody; say what the value is".to_owned()));
        }
        if !text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:")) {
            return Ok(Self::Text(text.to_owned()));
        }
        let read = Entitlement::parse(text).map_err(|e| BadPattern(format!("{e}; write it as urn:mace:egi.eu:group:GROUP:role=ROLE#AUTHORITY")))?;
        let (Entitlement::Group { authority, .. } | Entitlement::Capability { authority, .. }) = &read;
        if authority.is_none() {
            return Err(BadPattern("does not say whose word counts; end it with #AUTHORITY such as #aai.egi.eu, or with #*".to_owned()));
        }
        Ok(Self::Entitlement(read))
    }

    pub fn fits(&self, value: &str) -> bool {
        match self {
            Self::Entitlement(pattern) => Entitlement::parse(value).is_ok_and(|e| same(pattern, &e)),
            Self::Text(pattern) => glob(pattern, value),
        }
    }
}

fn same(pattern: &Entitlement, value: &Entitlement) -> bool {
    let any = |p: &String, v: &String| p == "*" || p == v;
    let said = |p: &Option<String>, v: &Option<String>| p.as_deref() == Some("*") || p == v;
    match (pattern, value) {
        (Entitlement::Group { namespace: pn, groups: pg, role: pr, authority: pa }, Entitlement::Group { namespace, groups, role, authority }) => {
            pn == namespace && said(pa, authority) && path(pg, groups) && pr.as_ref().is_none_or(|p| role.as_ref().is_some_and(|v| any(p, v)))
        }
        (
            Entitlement::Capability { namespace: pn, resource: pr, actions: pa, authority: pw },
            Entitlement::Capability { namespace, resource, actions, authority },
        ) => pn == namespace && said(pw, authority) && path(pr, resource) && pa.iter().all(|p| actions.is_empty() || actions.iter().any(|v| any(p, v))),
        _ => false,
    }
}

/// Part by part; a `*` at the end stands for one part or more.
fn path(pattern: &[String], value: &[String]) -> bool {
    let (below, pattern) = match pattern.split_last() {
        Some((last, rest)) if last == "*" => (true, rest),
        _ => (false, pattern),
    };
    let long_enough = if below { value.len() > pattern.len() } else { value.len() == pattern.len() };
    long_enough && pattern.iter().zip(value).all(|(p, v)| p == "*" || p == v)
}

/// `*` stands for any run of characters.
fn glob(pattern: &str, value: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| value.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// A claim whose values are looked at, what one of them has to look like, and what that gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    pub claim: String,
    pub pattern: Pattern,
    pub grant: Grant,
}

/// A grant with the value that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub grant: Grant,
    /// Place of the rule in the list.
    pub rule: usize,
    pub value: String,
}

/// What the rules give a person with these claims, each grant once, by the first rule that gives it.
pub fn given(rules: &[MapRule], claims: &Claims) -> Vec<Given> {
    let mut out: Vec<Given> = Vec::new();
    for (rule, r) in rules.iter().enumerate() {
        if out.iter().any(|g| g.grant == r.grant) {
            continue;
        }
        let fit = claims.get(&r.claim).into_iter().flatten().find(|v| r.pattern.fits(v));
        out.extend(fit.map(|value| Given { grant: r.grant.clone(), rule, value: value.clone() }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, value: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(value)
    }

    #[test]
    fn an_entitlement_is_compared_part_by_part() {
        let p = "urn:mace:egi.eu:group:vo.example.org:admins:role=manager#aai.egi.eu";
        assert!(fits(p, p));
        assert!(fits(p, "URN:mace:egi.eu:group:vo.example.org:%61dmins:role=manager#aai.egi.eu"), "an encoded letter is the letter");
        for other in [
            "urn:mace:egi.eu:group:vo.example.org:admins:role=member#aai.egi.eu",
            "urn:mace:egi.eu:group:vo.example.org:admins#aai.egi.eu",
            "urn:mace:egi.eu:group:vo.example.org:role=manager#aai.egi.eu",
            "urn:mace:egi.eu:group:vo.example.org:admins:x:role=manager#aai.egi.eu",
            "urn:mace:egi.eu:group:vo.example.org:admins:role=manager#evil.example.org",
            "urn:mace:egi.eu:group:vo.example.org:admins:role=manager",
            "urn:mace:evil.eu:group:vo.example.org:admins:role=manager#aai.egi.eu",
            "urn:mace:egi.eu:group:vo.example.org%3Aadmins:role=manager#aai.egi.eu",
            "urn:mace:egi.eu:group:VO.example.org:admins:role=manager#aai.egi.eu",
            "",
            "x",
        ] {
            assert!(!fits(p, other), "{other}");
        }
        assert!(fits("urn:mace:egi.eu:group:vo.example.org:role=member#*", "urn:mace:egi.eu:aai.egi.eu:member@vo.example.org"), "the older form");
        assert!(fits("urn:mace:egi.eu:group:vo#aai.egi.eu", "urn:mace:egi.eu:group:vo:role=any#aai.egi.eu"), "without a role every role fits");
        let below = "urn:mace:egi.eu:group:vo:*#aai.egi.eu";
        assert!(fits(below, "urn:mace:egi.eu:group:vo:a:b#aai.egi.eu") && !fits(below, "urn:mace:egi.eu:group:vo#aai.egi.eu"));
        assert!(fits("urn:x:y:res:disk:act:read#*", "urn:x:y:res:disk:act:write,read#z") && fits("urn:x:y:res:disk:act:read#*", "urn:x:y:res:disk#z"));
        assert!(!fits("urn:x:y:res:disk:act:read#*", "urn:x:y:res:disk:act:write#z"));
    }

    #[test]
    fn other_values_are_texts() {
        assert!(fits("ada@example.org", "ada@example.org") && !fits("ada@example.org", "xada@example.org"));
        assert!(fits("*@example.org", "ada@example.org") && !fits("*@example.org", "ada@example.org.evil"));
        assert!(fits("a*b*c", "a-b-b-c") && !fits("a*b*c", "acb") && !fits("ab*ba", "aba"));
    }

    #[test]
    fn a_pattern_that_fits_too_much_is_refused() {
        for (text, why) in [
            ("", "fits everybody"),
            (" ** ", "fits everybody"),
            ("urn:mace:egi.eu:group:vo", "whose word counts"),
            ("urn:mace:egi.eu:vo", "neither :group: nor :res:"),
        ] {
            assert!(Pattern::parse(text).unwrap_err().to_string().contains(why), "{text}");
        }
    }

    #[test]
    fn each_grant_is_given_once_and_says_why() {
        let rule = |claim: &str, pattern: &str, grant| MapRule { claim: claim.into(), pattern: Pattern::parse(pattern).unwrap(), grant };
        let owner = || Grant::Owner { service: "notebooks".into() };
        let rules = [
            rule("email", "ada@example.org", Grant::Admin),
            rule("entitlements", "urn:mace:egi.eu:group:vo:admins#*", Grant::Admin),
            rule("entitlements", "urn:mace:egi.eu:group:vo:owners#*", owner()),
            rule("entitlements", "urn:mace:egi.eu:group:vo:*#*", Grant::Member),
        ];
        let claims =
            |pairs: &[(&str, &[&str])]| -> Claims { pairs.iter().map(|(k, v)| ((*k).to_owned(), v.iter().map(|v| (*v).to_owned()).collect())).collect() };
        let group = "urn:mace:egi.eu:group:vo:owners:role=x#a";
        let all = given(&rules, &claims(&[("email", &["ada@example.org"]), ("entitlements", &["nonsense", group])]));
        let said: Vec<_> = all.iter().map(|g| (g.grant.clone(), g.rule, g.value.as_str())).collect();
        assert_eq!(said, [(Grant::Admin, 0, "ada@example.org"), (owner(), 2, group), (Grant::Member, 3, group)]);
        assert!(given(&rules, &claims(&[("email", &["urn:mace:egi.eu:group:vo:admins#a"])])).is_empty(), "a value counts in its own claim alone");
        assert!(given(&rules, &Claims::new()).is_empty());
    }
}
