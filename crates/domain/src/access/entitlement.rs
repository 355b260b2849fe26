//! Entitlements as research infrastructures write them: AARC-G069 (which follows G002), AARC-G027, and EGI's older form.
//!
//! Lives here: reading them, and their one canonical text. May not: what they give.
//!
//! ```text
//! urn:NID:NAMESPACE…:group:GROUP[:SUBGROUP…][:role=ROLE][#AUTHORITY]      membership
//! urn:NID:NAMESPACE…:res:RESOURCE[:CHILD…][:act:ACTION[,ACTION…]][#AUTHORITY]   capability
//! urn:mace:egi.eu:aai.egi.eu:[SUBGROUP:…]ROLE@GROUP                       membership, before 2017
//! ```
//!
//! Every part may be percent-encoded; it is decoded once. `urn` and the NID know no case, all else does (RFC 8141).

use std::fmt::{self, Write};

/// The longest entitlement that is read, in bytes.
const LONGEST: usize = 2_048;
const LEGACY: &str = "urn:mace:egi.eu:aai.egi.eu:";

/// What a provider says somebody belongs to, or may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entitlement {
    /// Member of a group, in a role or simply so.
    Group {
        /// Such as `urn:mace:egi.eu`.
        namespace: String,
        /// The group and its subgroups, the outermost first.
        groups: Vec<String>,
        role: Option<String>,
        /// Who says so, such as `aai.egi.eu`.
        authority: Option<String>,
    },
    /// May do some actions on a resource; all where none is named.
    Capability { namespace: String, resource: Vec<String>, actions: Vec<String>, authority: Option<String> },
}

/// Why a text is no entitlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

impl Entitlement {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > LONGEST {
            return Err(Malformed("is longer than 2,048 bytes"));
        }
        let head = text.get(..LEGACY.len()).unwrap_or_default();
        if head.eq_ignore_ascii_case(LEGACY) && text.contains('@') {
            return legacy(&text[LEGACY.len()..]);
        }
        let (path, authority) = match text.split_once('#') {
            Some((path, authority)) => (path, Some(part(authority)?)),
            None => (text, None),
        };
        let mut parts = path.split(':');
        let scheme = parts.next().unwrap_or_default();
        let nid = parts.next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("urn") || nid.is_empty() {
            return Err(Malformed("does not begin with urn: and a namespace"));
        }
        let mut namespace = format!("urn:{}", nid.to_ascii_lowercase());
        loop {
            match parts.next() {
                None => return Err(Malformed("has neither :group: nor :res:")),
                Some("group") => return group(namespace, parts, authority),
                Some("res") => return capability(namespace, parts, authority),
                Some(more) => {
                    namespace.push(':');
                    // The namespace stays as it is written: it is compared and never shown as a name.
                    namespace.push_str(&checked(more)?);
                }
            }
        }
    }

    /// The names of a membership joined by `:`, such as `vo.example.org:admins`.
    pub fn name(&self) -> String {
        match self {
            Self::Group { groups, .. } => groups.join(":"),
            Self::Capability { resource, .. } => resource.join(":"),
        }
    }
}

fn group<'a>(namespace: String, parts: impl Iterator<Item = &'a str>, authority: Option<String>) -> Result<Entitlement, Malformed> {
    let (mut groups, mut role) = (Vec::new(), None);
    for text in parts {
        if role.is_some() {
            return Err(Malformed("has a part behind its role"));
        }
        match text.strip_prefix("role=") {
            Some(name) => role = Some(part(name)?),
            None => groups.push(part(text)?),
        }
    }
    if groups.is_empty() {
        return Err(Malformed("names no group"));
    }
    Ok(Entitlement::Group { namespace, groups, role, authority })
}

fn capability<'a>(namespace: String, parts: impl Iterator<Item = &'a str>, authority: Option<String>) -> Result<Entitlement, Malformed> {
    let (mut resource, mut actions, mut acts) = (Vec::new(), Vec::new(), false);
    for text in parts {
        if acts && actions.is_empty() {
            actions = text.split(',').map(part).collect::<Result<_, _>>()?;
        } else if acts {
            return Err(Malformed("has a part behind its actions"));
        } else if text == "act" {
            acts = true;
        } else {
            resource.push(part(text)?);
        }
    }
    if resource.is_empty() {
        return Err(Malformed("names no resource"));
    }
    if acts && actions.is_empty() {
        return Err(Malformed("names no action behind :act:"));
    }
    Ok(Entitlement::Capability { namespace, resource, actions, authority })
}

/// `[SUBGROUP:…]ROLE@GROUP`.
fn legacy(text: &str) -> Result<Entitlement, Malformed> {
    let (before, vo) = text.split_once('@').ok_or(Malformed("has no @"))?;
    let mut path: Vec<&str> = before.split(':').collect();
    let role = part(path.pop().unwrap_or_default())?;
    let mut groups = vec![part(vo)?];
    for sub in path {
        groups.push(part(sub)?);
    }
    Ok(Entitlement::Group { namespace: "urn:mace:egi.eu".to_owned(), groups, role: Some(role), authority: Some("aai.egi.eu".to_owned()) })
}

/// One part, decoded.
fn part(text: &str) -> Result<String, Malformed> {
    let text = checked(text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else { return Err(Malformed("has a % without two hexadecimal digits")) };
        // Two hexadecimal digits fit into a byte.
        out.push((high * 16 + low) as u8);
    }
    let decoded = String::from_utf8(out).map_err(|_| Malformed("is not UTF-8 when it is decoded"))?;
    if decoded.chars().any(char::is_control) {
        return Err(Malformed("holds a control character"));
    }
    Ok(decoded)
}

/// One part as it stands: not empty, nothing that a URN cannot hold.
fn checked(text: &str) -> Result<String, Malformed> {
    if text.is_empty() {
        return Err(Malformed("has an empty part"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '#' | '<' | '>' | '"')) {
        return Err(Malformed("holds a character that must be percent-encoded"));
    }
    Ok(text.to_owned())
}

impl fmt::Display for Entitlement {
    /// The canonical text: reading it gives the same entitlement.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = match self {
            Self::Group { namespace, groups, role, authority } => {
                write!(f, "{namespace}:group")?;
                groups.iter().try_for_each(|g| write!(f, ":{}", encode(g, &[])))?;
                if let Some(role) = role {
                    write!(f, ":role={}", encode(role, &[]))?;
                }
                authority
            }
            Self::Capability { namespace, resource, actions, authority } => {
                write!(f, "{namespace}:res")?;
                resource.iter().try_for_each(|r| write!(f, ":{}", encode(r, &["act"])))?;
                if !actions.is_empty() {
                    let all: Vec<_> = actions.iter().map(|a| encode(a, &[])).collect();
                    write!(f, ":act:{}", all.join(","))?;
                }
                authority
            }
        };
        authority.as_ref().map_or(Ok(()), |a| write!(f, "#{}", encode(a, &[])))
    }
}

/// A part as a URN holds it. What would be read as a keyword is encoded as well.
fn encode(text: &str, keywords: &[&str]) -> String {
    let whole = keywords.contains(&text) || text.starts_with("role=");
    text.bytes().enumerate().fold(String::with_capacity(text.len()), |mut out, (n, b)| {
        let plain = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'(' | b')' | b'*' | b'+' | b'=' | b'@' | b'/');
        if plain && !(whole && n == 0) {
            out.push(char::from(b));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Entitlement {
        Entitlement::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn membership(groups: &[&str], role: Option<&str>, authority: Option<&str>) -> Entitlement {
        Entitlement::Group {
            namespace: "urn:mace:egi.eu".into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            role: role.map(str::to_owned),
            authority: authority.map(str::to_owned),
        }
    }

    #[test]
    fn the_forms_in_use_are_read() {
        let egi = Some("aai.egi.eu");
        assert_eq!(read("urn:mace:egi.eu:group:vo.example.org:role=member#aai.egi.eu"), membership(&["vo.example.org"], Some("member"), egi));
        assert_eq!(
            read("URN:MACE:egi.eu:group:vo.example.org:admins:eu:role=vm%20operator#aai.egi.eu"),
            membership(&["vo.example.org", "admins", "eu"], Some("vm operator"), egi)
        );
        assert_eq!(read("urn:mace:egi.eu:group:back%3Aup#aai.egi.eu"), membership(&["back:up"], None, egi));
        assert_eq!(read("urn:mace:egi.eu:group:vo"), membership(&["vo"], None, None));
        assert_eq!(read("urn:mace:egi.eu:aai.egi.eu:member@vo.example.org"), membership(&["vo.example.org"], Some("member"), egi));
        assert_eq!(read("urn:mace:egi.eu:aai.egi.eu:sub:manager@vo.example.org"), membership(&["vo.example.org", "sub"], Some("manager"), egi));
        let Entitlement::Group { namespace, groups, .. } = read("urn:geant:example.org:deeper:group:backup%20team:role=operator#idp.example.org") else {
            panic!("a group")
        };
        assert_eq!((namespace.as_str(), groups[0].as_str()), ("urn:geant:example.org:deeper", "backup team"));
        let Entitlement::Capability { resource, actions, authority, .. } = read("urn:geant:example.org:res:storage:home:act:read,write#idp") else {
            panic!("a capability")
        };
        assert_eq!((resource, actions, authority.as_deref()), (vec!["storage".into(), "home".into()], vec!["read".into(), "write".into()], Some("idp")));
    }

    #[test]
    fn what_is_malformed_says_why() {
        for (text, why) in [
            ("", "does not begin with urn:"),
            ("admin", "does not begin with urn:"),
            ("urn:", "does not begin with urn:"),
            ("urn:mace:egi.eu", "neither :group: nor :res:"),
            ("urn:mace:egi.eu:group", "names no group"),
            ("urn:mace:egi.eu:group:role=member#a", "names no group"),
            ("urn:mace:egi.eu:group::x#a", "empty part"),
            ("urn:mace:egi.eu:group:x#", "empty part"),
            ("urn:mace:egi.eu:group:x:role=#a", "empty part"),
            ("urn:mace:egi.eu:group:x:role=a:y#a", "behind its role"),
            ("urn:mace:egi.eu:group:x%2#a", "two hexadecimal digits"),
            ("urn:mace:egi.eu:group:x%ff#a", "not UTF-8"),
            ("urn:mace:egi.eu:group:x%0A#a", "control character"),
            ("urn:mace:egi.eu:group:x y#a", "percent-encoded"),
            ("urn:mace:egi.eu:group:x#a#b", "percent-encoded"),
            ("urn:mace:egi.eu:res:x:act:#a", "empty part"),
            ("urn:mace:egi.eu:res:x:act#a", "names no action"),
            ("urn:mace:egi.eu:aai.egi.eu:@vo", "empty part"),
            ("urn:mace:egi.eu:aai.egi.eu:member@", "empty part"),
        ] {
            let said = Entitlement::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert!(Entitlement::parse(&format!("urn:x:group:{}", "a".repeat(3_000))).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}") {
            if let Ok(read) = Entitlement::parse(&text) {
                prop_assert_eq!(Entitlement::parse(&read.to_string()).unwrap(), read);
            }
        }

        #[test]
        fn nor_do_texts_that_look_right(text in "(urn:mace:egi.eu:(group|res|aai.egi.eu))?[:a-c%25@#=,actrole]{0,40}") {
            if let Ok(read) = Entitlement::parse(&text) {
                prop_assert_eq!(Entitlement::parse(&read.to_string()).unwrap(), read);
            }
        }

        #[test]
        fn any_names_come_back(groups in prop::collection::vec("[^\\p{C}]{1,12}", 1..4), role in prop::option::of("[^\\p{C}]{1,9}"), authority in prop::option::of("[^\\p{C}]{1,9}")) {
            let made = Entitlement::Group { namespace: "urn:mace:egi.eu".into(), groups, role, authority };
            prop_assert_eq!(Entitlement::parse(&made.to_string()).unwrap(), made);
        }
    }
}
