//! Writing a copy into a folder.
//!
//! Lives here: the order of the files. May not: the repository (a backup of that folder puts it there).

use std::path::Path;

use domain::{id::RunId, units::Timestamp};
use serde::{Deserialize, Serialize};
use store::{Db, audit, portable};

use super::{
    CONFIGURATION, FORMAT, MANIFEST, Manifest, README, SECRETS, TABLES,
    secrets::{Own, own},
};
use crate::{
    files, kinds,
    step::{Break, Result, permanent},
};

/// What was written, as the run records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub tables: i64,
    pub rows: i64,
    pub bytes: i64,
    pub audit_seq: i64,
    pub sealed: bool,
    /// Secrets that are in no copy, since there is no recovery key to seal them for.
    pub left_out: Vec<String>,
}

/// Writes all records as they are at one moment into `folder`, which is made anew.
pub async fn write(db: &Db, data: &Path, folder: &Path, run: RunId, now: Timestamp) -> Result<Written> {
    let anew = folder.to_owned();
    let made = kinds::blocking(move || files::remove(&anew).and_then(|()| files::make(&anew.join(TABLES)))).await?;
    made.map_err(|e| failed(folder, &e))?;
    // Kept first, so that the records hold it as well.
    let Own { sealed, left_out } = own(db, data, now).await?;
    let mut t = db.begin_read().await?;
    let exported = portable::export(t.tx(), &folder.join(TABLES)).await?;
    let (audit_seq, audit_hash) = audit::head(t.tx()).await?;
    let configuration = ops::config::write(&ops::config::current(t.tx()).await?);
    drop(t);

    let manifest = Manifest {
        format: FORMAT,
        holdfast: env!("CARGO_PKG_VERSION").to_owned(),
        schema: exported.schema,
        made_at: now,
        run,
        audit_seq,
        audit_hash,
        sealed_for: sealed.as_ref().map(|s| s.recipient.clone()),
        tables: exported.tables,
    };
    let json = |value: serde_json::Result<String>| value.map_err(|e| permanent("internal", e.to_string()));
    let mut texts = vec![(README, readme(&manifest)), (CONFIGURATION, configuration), (MANIFEST, json(serde_json::to_string_pretty(&manifest))? + "\n")];
    if let Some(sealed) = &sealed {
        texts.push((SECRETS, json(serde_json::to_string_pretty(sealed))? + "\n"));
    }
    for (name, text) in texts {
        tokio::fs::write(folder.join(name), text).await.map_err(|e| failed(folder, &e))?;
    }
    Ok(Written { tables: manifest.tables.len() as i64, rows: manifest.rows(), bytes: manifest.bytes(), audit_seq, sealed: sealed.is_some(), left_out })
}

fn failed(folder: &Path, e: &std::io::Error) -> Break {
    let full = matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    permanent(
        if full { "full" } else { "denied" },
        format!("{} cannot be written: {e}; make room or give the server the right to write there", folder.display()),
    )
}

fn readme(manifest: &Manifest) -> String {
    let sealed = if manifest.sealed_for.is_some() {
        "secrets.sealed.json  The installation's own secrets, sealed under the recovery key that is kept on paper.\n                     The file names the standard by which it is opened.\n"
    } else {
        ""
    };
    format!(
        "Holdfast's own records\n\n\
         This is a copy of the installation itself, made by Holdfast {}. To bring it back, on an empty machine:\n\n    \
         holdfast --data DIR rebuild --from LOCATION-OF-THIS-REPOSITORY --password-file FILE\n\n\
         manifest.json        What is in it: each table with its rows, columns and SHA-256, and the end of the audit chain.\n\
         configuration.yaml   Services, sources and repositories as “holdfast apply” reads them. It holds no secret.\n\
         tables/*.jsonl       The records, one JSON object a line, in the order of their keys. Times are microseconds\n                     \
         since 1970 in UTC. Columns that are empty are left out.\n{sealed}",
        manifest.holdfast
    )
}
