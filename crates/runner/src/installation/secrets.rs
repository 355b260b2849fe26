//! The installation's own secrets, sealed under the recovery key.
//!
//! Lives here: reading them in the data folder, and keeping their sealed form in the database, from where any worker
//! takes it: the files themselves are on the server alone. May not: opening what is sealed.
//! Invariant: what is kept fits the files of the server that looked last, and the recovery key of now.

use std::{collections::BTreeMap, path::Path};

use domain::units::Timestamp;
use engine::job::Secret;
use ops::{installation::RECOVERY_KEY, sealing};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Db, settings};

use super::SECRET_FILES;
use crate::step::{Result, permanent};

/// The setting that holds the sealed form.
const SETTING: &str = "sealed_secrets";

/// The sealed form as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// SHA-256 of the files, in hexadecimal: whether it is to be sealed anew. They hold random keys, nothing to guess.
    of: String,
    sealed: sealing::Sealed,
}

/// What a copy holds of the secrets.
#[derive(Debug, Default)]
pub struct Own {
    pub sealed: Option<sealing::Sealed>,
    /// Files that are in no copy, since there is no recovery key to seal them for.
    pub left_out: Vec<String>,
}

/// Seals the secrets that lie in this data folder, where that was not done yet, and keeps the sealed form. Where none
/// lie here, it is the form that the server has kept.
pub async fn own(db: &Db, data: &Path, now: Timestamp) -> Result<Own> {
    let files = files(data).await?;
    let mut read = db.read().await?;
    let public: Option<String> = settings::get(read.tx(), RECOVERY_KEY).await?;
    let kept: Option<Kept> = settings::get(read.tx(), SETTING).await?;
    drop(read);
    let Some(public) = public else { return Ok(Own { sealed: None, left_out: files.into_keys().collect() }) };
    let of = fingerprint(&files);
    let fits = kept.filter(|k| k.sealed.recipient == public && (files.is_empty() || k.of == of));
    let sealed = match fits {
        Some(kept) => Some(kept.sealed),
        None if files.is_empty() => None,
        None => {
            let sealed = sealing::seal(&files, &public).map_err(|e| permanent("internal", e.to_string()))?;
            let kept = Kept { of, sealed };
            let mut t = db.begin().await?;
            settings::set(t.tx(), SETTING, &kept, now).await?;
            t.commit().await?;
            Some(kept.sealed)
        }
    };
    Ok(Own { sealed, left_out: Vec::new() })
}

/// The secrets of the data folder, each file in hexadecimal.
async fn files(data: &Path) -> Result<BTreeMap<String, Secret>> {
    let mut found = BTreeMap::new();
    for name in SECRET_FILES {
        match tokio::fs::read(data.join(name)).await {
            Ok(bytes) => drop(found.insert(name.to_owned(), Secret::new(hex::encode(bytes)))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(permanent("denied", format!("{} cannot be read: {e}; give the server leave to read it", data.join(name).display()))),
        }
    }
    Ok(found)
}

fn fingerprint(files: &BTreeMap<String, Secret>) -> String {
    let mut hash = Sha256::new();
    for (name, secret) in files {
        hash.update(name);
        hash.update([0]);
        hash.update(secret.reveal());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
