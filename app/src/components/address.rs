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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_segment() {
        assert_eq!(encode("a/b?c=d&e f%ü"), "a%2Fb%3Fc%3Dd%26e%20f%25%C3%BC");
        assert_eq!(with_query("/people", &[("q", "a b"), ("after", "")]), "/people?q=a%20b");
        assert_eq!(with_query("/people", &[("q", "")]), "/people");
    }
}
