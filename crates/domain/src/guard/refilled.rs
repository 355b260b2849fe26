//! Folders that programs fill again by themselves: caches, environments, the objects of git.
//!
//! Lives here: how such a folder is known, by its name or by a file in it (the tag of caches is
//! <https://bford.info/cachedir/>). May not: looking into a folder.
//! What goes from such a folder is no loss, or every cleaned cache would look like one.

const NAMES: [&[u8]; 20] = [
    b".cache",
    b"__pycache__",
    b"node_modules",
    b".ipynb_checkpoints",
    b".npm",
    b".yarn",
    b".tox",
    b".nox",
    b".venv",
    b".mypy_cache",
    b".pytest_cache",
    b".ruff_cache",
    b".gradle",
    b".m2",
    b".cargo",
    b".rustup",
    b".nv",
    b".Trash",
    b".Trash-0",
    b".Trash-1000",
];

/// Names in a folder that say so of it: the tag of caches, Python's environments, conda's.
pub const MARKERS: [&[u8]; 3] = [b"CACHEDIR.TAG", b"conda-meta", b"pyvenv.cfg"];

/// Whether a folder of this name in a folder of that name is one.
pub fn by_name(name: &[u8], parent: &[u8]) -> bool {
    NAMES.contains(&name) || (name == b"objects" && (parent == b".git" || parent.ends_with(b".git"))) || (name == b"Trash" && parent == b"share")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_by_name() {
        for (name, parent) in [("node_modules", "app"), ("objects", ".git"), ("objects", "bare.git"), ("Trash", "share")] {
            assert!(by_name(name.as_bytes(), parent.as_bytes()), "{parent}/{name}");
        }
        for (name, parent) in [("objects", "project"), ("cache", "work"), ("Trash", "home"), (".git", "work"), ("", "")] {
            assert!(!by_name(name.as_bytes(), parent.as_bytes()), "{parent}/{name}");
        }
    }
}
