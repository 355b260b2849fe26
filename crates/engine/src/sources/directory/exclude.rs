//! Exclude patterns as restic reads them.
//!
//! A pattern is a path of components. Without a leading slash it matches wherever its components stand in a row in
//! the absolute path; with one it must begin at the root. `*`, `?` and `[a-z]` match within a component, `**` any
//! number of components. What lies below an excluded folder is excluded with it.
//! Source: restic's `internal/filter/filter.go` and Go's `path.Match`.
//!
//! Lives here: reading and matching. May not: looking at files.

use crate::{EngineError, ErrorKind, Result, job::STAGING_PREFIX};

/// Compiled patterns.
#[derive(Debug, Default)]
pub struct Excludes(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    anchored: bool,
    parts: Vec<Vec<u8>>,
}

impl Excludes {
    /// # Errors
    /// `Invalid`, naming the pattern.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let mut all = Vec::with_capacity(patterns.len());
        for text in patterns {
            let bad = |why: &str| EngineError::new(ErrorKind::Invalid, format!("exclude {text}: {why}"));
            if text.starts_with('!') {
                return Err(bad("a pattern that takes others back is not supported; write the others more narrowly"));
            }
            let parts: Vec<Vec<u8>> = text.split('/').filter(|p| !p.is_empty()).map(|p| p.as_bytes().to_vec()).collect();
            if parts.is_empty() {
                return Err(bad("it is empty"));
            }
            if parts.iter().any(|p| glob(p, b"").is_none()) {
                return Err(bad("a bracket is not closed, or a backslash stands at the end"));
            }
            all.push(Pattern { anchored: text.starts_with('/'), parts });
        }
        Ok(Self(all))
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `base` + `folders` + `name` is excluded, given that nothing above `name` is.
    ///
    /// Staging folders of restores always are.
    pub fn hit(&self, base: &[u8], folders: &[&[u8]], name: &[u8]) -> bool {
        if is_staging(name) {
            return true;
        }
        let mut path: Vec<&[u8]> = base.split(|b| *b == b'/').filter(|p| !p.is_empty()).collect();
        path.extend_from_slice(folders);
        path.push(name);
        // Every match must end at the last component: those that end earlier excluded a folder above.
        self.0.iter().any(|p| if p.anchored { row(&p.parts, &path) } else { (0..path.len()).any(|start| row(&p.parts, &path[start..])) })
    }
}

/// Whether a name is a restore's staging folder.
pub fn is_staging(name: &[u8]) -> bool {
    name.starts_with(STAGING_PREFIX.as_bytes())
}

/// Whether the parts match all of the path.
fn row(parts: &[Vec<u8>], path: &[&[u8]]) -> bool {
    match parts.split_first() {
        None => path.is_empty(),
        Some((part, rest)) if part == b"**" => (0..=path.len()).any(|skip| row(rest, &path[skip..])),
        Some((part, rest)) => path.split_first().is_some_and(|(name, more)| glob(part, name) == Some(true) && row(rest, more)),
    }
}

/// Matches one component; `None` where the pattern is malformed.
pub fn glob(pattern: &[u8], name: &[u8]) -> Option<bool> {
    let Some((first, rest)) = pattern.split_first() else { return Some(name.is_empty()) };
    match first {
        b'*' => {
            let mut any = false;
            for skip in 0..=name.len() {
                any |= glob(rest, &name[skip..])?;
                if any {
                    break;
                }
            }
            Some(any)
        }
        b'[' => {
            let (negated, mut set) = match rest.split_first() {
                Some((b'^', more)) => (true, more),
                _ => (false, rest),
            };
            let (mut hit, mut empty) = (false, true);
            loop {
                let (low, more) = match set.split_first()? {
                    (b']', more) if !empty => {
                        set = more;
                        break;
                    }
                    (b'\\', more) => more.split_first()?,
                    pair => pair,
                };
                let (high, more) = match more {
                    [b'-', b'\\', high, more @ ..] | [b'-', high, more @ ..] if *high != b']' => (high, more),
                    _ => (low, more),
                };
                hit |= name.first().is_some_and(|c| low <= c && c <= high);
                (set, empty) = (more, false);
            }
            let after = glob(set, name.get(1..).unwrap_or_default())?;
            Some(!name.is_empty() && hit != negated && after)
        }
        b'?' => {
            // One character, which in UTF-8 may be several bytes.
            let width = name.utf8_chunks().next().and_then(|c| c.valid().chars().next()).map_or(1, char::len_utf8);
            let after = glob(rest, name.get(width..).unwrap_or_default())?;
            Some(!name.is_empty() && after)
        }
        b'\\' => {
            let (literal, rest) = rest.split_first()?;
            let after = glob(rest, name.get(1..).unwrap_or_default())?;
            Some(name.first() == Some(literal) && after)
        }
        literal => {
            let after = glob(rest, name.get(1..).unwrap_or_default())?;
            Some(name.first() == Some(literal) && after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(pattern: &str, path: &str) -> bool {
        let excludes = Excludes::new(&[pattern.to_owned()]).unwrap();
        let parts: Vec<&[u8]> = path.split('/').filter(|p| !p.is_empty()).map(str::as_bytes).collect();
        // As a walk does it: a folder that is excluded is not entered.
        (0..parts.len()).any(|i| excludes.hit(b"", &parts[..i], parts[i]))
    }

    #[test]
    fn patterns_match_as_restic_matches_them() {
        for (pattern, path, want) in [
            ("*.tmp", "/srv/a/x.tmp", true),
            ("*.tmp", "/srv/a/x.tmp.keep", false),
            ("*.tmp", "/srv/dir.tmp/inside", true),
            ("cache", "/srv/alice/cache/x", true),
            ("cache", "/srv/alice/cache2", false),
            ("alice/cache", "/srv/alice/cache/x", true),
            ("alice/cache", "/srv/alice/deep/cache", false),
            ("alice/**/cache", "/srv/alice/deep/er/cache", true),
            ("alice/**/cache", "/srv/alice/cache", true),
            ("/srv/alice", "/srv/alice/x", true),
            ("/alice", "/srv/alice", false),
            ("/srv/*/x", "/srv/alice/x", true),
            ("/srv/*/x", "/srv/alice/deep/x", false),
            ("fil?", "/srv/file", true),
            ("fil?", "/srv/filö", true),
            ("f[a-i]le", "/srv/file", true),
            ("f[^a-i]le", "/srv/file", false),
            ("f[]x]le", "/srv/f]le", true),
            ("\\*", "/srv/*", true),
            ("\\*", "/srv/x", false),
            (".git/", "/srv/.git/config", true),
        ] {
            assert_eq!(hit(pattern, path), want, "{pattern} on {path}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused_by_name() {
        for pattern in ["", "/", "[a", "a\\", "!keep", "x[\\"] {
            let error = Excludes::new(&[pattern.to_owned()]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.message.contains(pattern), "{}", error.message);
        }
    }

    #[test]
    fn names_that_are_not_utf8_are_matched_by_bytes() {
        let excludes = Excludes::new(&["*.tmp".to_owned(), "?".to_owned()]).unwrap();
        assert!(Excludes::default().hit(b"/srv", &[b"a"], b".holdfast-restore-1"), "never a restore's staging folder");
        assert!(excludes.hit(b"/srv", &[b"\xff"], b"\xfe.tmp"));
        assert!(excludes.hit(b"/srv", &[], b"\xff"));
        assert!(!excludes.hit(b"/srv", &[], b"\xff\xff"));
    }
}
