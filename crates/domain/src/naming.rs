//! Names: slugs that people give, and names of files that may be any bytes.
//!
//! Lives here: checking slugs, the nearest name to a mistyped one, and the reversible text form of byte names.
//! May not: looking at a file system.

/// The text form of a name or path of any bytes, as it is stored, shown and given back.
///
/// UTF-8 stays as it is; a backslash becomes `\\`, a byte that is not UTF-8 and a control character become `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => {
                    let mut buf = [0; 4];
                    for b in c.encode_utf8(&mut buf).bytes() {
                        push_hex(&mut out, b);
                    }
                }
                c => out.push(c),
            }
        }
        for b in chunk.invalid() {
            push_hex(&mut out, *b);
        }
    }
    out
}

fn push_hex(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// Turns the text form back into bytes; `None` where a backslash starts nothing known.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        if bytes[i] != b'\\' {
            out.push(bytes[i]);
            i += 1;
        } else if bytes.get(i + 1) == Some(&b'\\') {
            out.push(b'\\');
            i += 2;
        } else if bytes.get(i + 1) == Some(&b'x') {
            let hex = text.get(i + 2..i + 4)?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            i += 4;
        } else {
            return None;
        }
    }
    Some(out)
}

/// Says what is wrong with the name of a service, source or repository; `None` when nothing is.
pub fn slug_problem(name: &str) -> Option<&'static str> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' || c == '.';
    if name.is_empty() {
        Some("is empty; give a short name such as notebooks")
    } else if name.len() > 63 {
        Some("is longer than 63 characters; shorten it")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        Some("must start with a lower-case letter or a digit")
    } else if !name.chars().all(ok) {
        Some("may hold lower-case letters, digits, “-”, “_” and “.” only; put other words into the title")
    } else {
        None
    }
}

/// How many letters must be added, removed, replaced or swapped with their neighbour to make `b` of `a`.
///
/// Source: optimal string alignment distance. Takes time by the product of the lengths.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// The known name that was probably meant, if one is near: at most a third of its letters differ.
///
/// Letter case, `-` and `_` do not count. Of two names at the same distance the first is taken.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 80;
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    if name.chars().nth(LONGEST).is_some() {
        return None;
    }
    let name = plain(name);
    known
        .into_iter()
        .filter(|k| k.len() <= LONGEST)
        .map(|k| (edit_distance(&name, &plain(k)), k))
        .filter(|(distance, k)| *distance <= (k.chars().count() / 3).max(1) && *distance < k.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        const KEYS: [&str; 4] = ["repositories", "services", "rpo", "secret_access_key"];
        for (a, b, want) in [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "", 3), ("kitten", "sitting", 3), ("ä", "a", 1)] {
            assert_eq!(edit_distance(a, b), want, "{a} {b}");
        }
        for (name, want) in [
            ("repositry", Some("repositories")),
            ("repositorys", Some("repositories")),
            ("Services", Some("services")),
            ("rop", Some("rpo")),
            ("secret-access-key", Some("secret_access_key")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, KEYS), want, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), KEYS), None);
    }

    #[test]
    fn any_bytes_round_trip() {
        for name in [&b"plain"[..], b"a\\b", b"\xff\xfe", "ümläut".as_bytes(), b"new\nline", b"\\x41", b"tail\xc3"] {
            assert_eq!(unescape(&escape(name)).as_deref(), Some(name), "{}", escape(name));
        }
        assert_eq!(escape(b"a\\b\xff"), "a\\\\b\\xff");
        assert_eq!(unescape("\\q"), None);
        assert_eq!(unescape("\\x4"), None);
    }

    #[test]
    fn slugs() {
        assert_eq!(slug_problem("egi-notebooks.2"), None);
        for bad in ["", "-a", "A", "a b", "ä", &"x".repeat(64)] {
            assert!(slug_problem(bad).is_some(), "{bad}");
        }
    }
}
