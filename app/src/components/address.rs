//! Values in addresses: names of people and items may hold any character.
//!
//! Lives here: percent-encoding. May not: knowing which page stands where.

use std::fmt::Write;

/// A value as one segment of a path or as a value of a query (RFC 3986: everything but the unreserved characters is encoded).
pub fn encode(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(b));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

/// A path with a query of the pairs that have a value.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<_> = pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", encode(v))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// The query of an address, each value decoded exactly once: a name that holds `%41` stays what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        Self(text.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decode(n), decode(v))).collect())
    }

    /// The first value of a name, unless it is empty.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
    }

    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone()).collect()
    }
}

/// Decodes a value of a query as forms write it.
fn decode(value: &str) -> String {
    let (bytes, mut out, mut at) = (value.as_bytes(), Vec::with_capacity(value.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|h| bytes[at] == b'%' && h.iter().all(u8::is_ascii_hexdigit));
        if let Some(byte) = hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_segment() {
        assert_eq!(encode("a/b?c=d&e f%ü"), "a%2Fb%3Fc%3Dd%26e%20f%25%C3%BC");
        assert_eq!(with_query("/people", &[("q", "a b"), ("after", "")]), "/people?q=a%20b");
        assert_eq!(with_query("/people", &[("q", "")]), "/people");
    }

    #[test]
    fn values_are_decoded_once() {
        let q = Query::parse("p=a%2Fb+c&x=1&p=%C3%BC%5Cx%2541&e=&bad=%zz%4&%+1");
        assert_eq!(q.all("p"), ["a/b c", "ü\\x%41"]);
        assert_eq!((q.get("x").as_deref(), q.get("e"), q.get("bad").as_deref()), (Some("1"), None, Some("%zz%4")));
        assert_eq!(Query::parse(&format!("v={}", encode("a+b %41&=ü"))).get("v").as_deref(), Some("a+b %41&=ü"));
        assert_eq!(Query::parse(""), Query::default());
    }
}
