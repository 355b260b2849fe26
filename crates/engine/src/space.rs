//! Room on a file system.
//!
//! Lives here: asking for it. May not: deciding what is enough.

use std::path::Path;

use crate::{EngineError, Result};

/// Bytes that may still be written at `path`, or at the nearest folder above it that exists.
///
/// # Errors
/// What the system says.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let at = path.ancestors().find(|p| p.exists()).unwrap_or(path);
    let s = rustix::fs::statvfs(at).map_err(|e| EngineError::io("room at", at, e.into()))?;
    Ok(s.f_bavail.saturating_mul(s.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("not/there")).unwrap() > 0);
    }
}
