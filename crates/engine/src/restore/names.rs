//! Names that a snapshot holds, which may have been written by anybody.
//!
//! Lives here: which names can be made below a folder without leaving it, and how paths are put together.
//! May not: looking at a file system.
//! Invariant: a path made only of names that passed [`refusal`] stays below the folder it is relative to.

use domain::naming::{escape, unescape};

use crate::{EngineError, ErrorKind, Result};

/// The longest name that Linux file systems take, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest path below a target, in bytes: the system's limit less room for the staging folder's own name.
pub const LONGEST_PATH: usize = 3_900;

/// Why a name cannot be written safely; `None` when it can.
pub fn refusal(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("its name is empty")
    } else if name == b"." || name == b".." {
        Some("its name leads out of its folder")
    } else if name.contains(&b'/') {
        Some("its name contains a slash")
    } else if name.contains(&0) {
        Some("its name contains a zero byte")
    } else if name.len() > LONGEST_NAME {
        Some("its name is longer than 255 bytes")
    } else {
        None
    }
}

/// `parent/name`, or `name` alone at the top.
pub fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    if !parent.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The folder and the last name of a path. The folder is empty at the top.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.iter().rposition(|b| *b == b'/').map_or((&[][..], path), |at| (&path[..at], &path[at + 1..]))
}

/// A path for people; the folder itself is shown as a dot. A name that is too long to be read is shortened.
pub fn show(path: &[u8]) -> String {
    const SHOWN: usize = 1_000;
    match path.len() {
        0 => ".".to_owned(),
        1..=SHOWN => escape(path),
        n => format!("{}… ({n} bytes)", escape(&path[..SHOWN])),
    }
}

/// Which part of a snapshot is meant: everything, or some paths.
#[derive(Debug, Default)]
pub struct Selection {
    /// This folder with all that is below it, or this file.
    whole: bool,
    inside: std::collections::BTreeMap<Vec<u8>, Selection>,
}

impl Selection {
    /// Reads paths in their text form; none at all means everything. Slashes around a path do not matter.
    ///
    /// # Errors
    /// `Invalid` where a path is not in the text form.
    pub fn read(paths: &[String]) -> Result<Self> {
        let mut root = Self { whole: paths.is_empty(), ..Self::default() };
        for text in paths {
            let bad = || EngineError::new(ErrorKind::Invalid, format!("path {text}: not a path as the file tree shows it"));
            let path = unescape(text).ok_or_else(bad)?;
            let mut at = &mut root;
            for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
                at = at.inside.entry(name.to_vec()).or_default();
            }
            at.whole = true;
        }
        Ok(root)
    }

    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// What is meant of the child `name`: all of it (`Some(None)`), a part, or nothing (`None`).
    #[allow(clippy::option_option, reason = "all, a part and nothing are three different answers")]
    pub fn child(&self, name: &[u8]) -> Option<Option<&Self>> {
        if self.whole {
            return Some(None);
        }
        self.inside.get(name).map(|s| if s.whole { None } else { Some(s) })
    }

    /// The one name in which everything lies that is meant; `None` where there are more.
    pub fn only(&self) -> Option<(&[u8], &Self)> {
        let (name, inner) = self.inside.first_key_value()?;
        (!self.whole && self.inside.len() == 1).then_some((name, inner))
    }

    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.inside.keys().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_names_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/etc", b"a\0b", &[b'x'; 256]] {
            assert!(refusal(bad).is_some(), "{}", escape(bad));
        }
        for good in [&b"a"[..], b"...", b"..a", b" ", b"\xff\xfe", b"a\nb", b"a\\b", &[b'x'; 255]] {
            assert_eq!(refusal(good), None, "{}", escape(good));
        }
    }

    #[test]
    fn paths() {
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a", b"b"), b"a/b");
        assert_eq!(join(b"a", b""), b"a");
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }

    #[test]
    fn selections() {
        assert!(Selection::read(&[]).unwrap().is_whole());
        let s = Selection::read(&["/a/b".to_owned(), "a/c/".to_owned(), "d".to_owned(), "d/e".to_owned()]).unwrap();
        assert!(!s.is_whole());
        let a = s.child(b"a").unwrap().unwrap();
        assert_eq!(a.names().collect::<Vec<_>>(), [b"b", b"c"]);
        assert!(matches!(a.child(b"b"), Some(None)));
        assert!(a.child(b"x").is_none());
        assert!(matches!(s.child(b"d"), Some(None)), "a folder that was chosen is meant with all that is in it");
        assert!(s.child(b"e").is_none());
        assert!(Selection::read(&["\\q".to_owned()]).is_err());
    }
}
