//! From a location to the object store behind it.
//!
//! Lives here: reading locations and options, building stores. May not: the layout of a repository.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    local::LocalFileSystem,
    memory::InMemory,
    prefix::PrefixStore,
};

use crate::{EngineError, ErrorKind, Result, job::Access};

type Store = Arc<dyn ObjectStore>;

/// Where a repository lies, read from its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
    Memory(String),
}

impl Location {
    /// Reads `file:///absolute/path`, `s3://bucket/prefix` or `memory://name`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| EngineError::new(ErrorKind::Invalid, format!("location {text}: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("write it as file:///absolute/path or s3://bucket/prefix"));
        };
        match scheme {
            "file" if rest.starts_with('/') => Ok(Self::Folder(PathBuf::from(rest))),
            "file" => Err(bad("the path must be absolute: file:///absolute/path, with three slashes")),
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(bad("the bucket is missing: s3://bucket/prefix"));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            "memory" if !rest.is_empty() => Ok(Self::Memory(rest.to_owned())),
            _ => Err(bad("this kind of storage is not known; use file:// or s3://")),
        }
    }
}

/// Stores of `memory://`, by name. They live as long as the process.
static MEMORY: LazyLock<Mutex<HashMap<String, Store>>> = LazyLock::new(Mutex::default);

/// Puts `store` behind `memory://name`.
pub fn register_memory(name: &str, store: Store) {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), store);
}

/// The store of a folder. Every file is synchronised to the disk before it gets its name.
///
/// # Errors
/// The folder does not exist or cannot be read.
pub fn folder(path: &Path) -> Result<Store> {
    std::fs::metadata(path).map_err(|e| EngineError::io("the repository's folder", path, e))?;
    let store = LocalFileSystem::new_with_prefix(path)
        .map_err(|e| EngineError::with_source(ErrorKind::Invalid, format!("the repository's folder {}: {e}", path.display()), e))?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// Builds the store of `access`. With `create`, a missing folder is made first, readable by its owner only.
pub fn connect(access: &Access, create: bool) -> Result<Store> {
    match Location::parse(&access.location)? {
        Location::Folder(path) => {
            if create {
                use std::os::unix::fs::DirBuilderExt as _;
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
                made.map_err(|e| EngineError::io("the repository's folder", &path, e))?;
            }
            folder(&path)
        }
        Location::S3 { bucket, prefix } => s3(access, &bucket, prefix),
        Location::Memory(name) => Ok(MEMORY.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert_with(|| Arc::new(InMemory::new())).clone()),
    }
}

/// Where nothing else is said.
pub(super) const REGION: &str = "us-east-1";

fn s3(access: &Access, bucket: &str, prefix: String) -> Result<Store> {
    let store = amazon(access, bucket)?;
    if prefix.is_empty() { Ok(Arc::new(store)) } else { Ok(Arc::new(PrefixStore::new(store, prefix))) }
}

/// How requests to S3 are made.
pub(super) fn client_options(access: &Access) -> Result<ClientOptions> {
    let client = ClientOptions::new().with_timeout(Duration::from_mins(5)).with_connect_timeout(Duration::from_secs(10));
    match access.options.get("allow_http").map(String::as_str) {
        Some("true") => Ok(client.with_allow_http(true)),
        Some("false") | None => Ok(client),
        Some(_) => Err(EngineError::new(ErrorKind::Invalid, "option allow_http: write true or false")),
    }
}

/// The bucket, without the prefix.
pub(super) fn amazon(access: &Access, bucket: &str) -> Result<AmazonS3> {
    let retry = RetryConfig { max_retries: 6, retry_timeout: Duration::from_mins(2), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retry).with_client_options(client_options(access)?);
    // A bucket that locks what is written takes nothing without a checksum. The signature needs the same hash anyway.
    builder = builder.with_checksum_algorithm(Checksum::SHA256);
    for (name, value) in &access.options {
        builder = match name.as_str() {
            "endpoint" => builder.with_endpoint(value),
            "region" => builder.with_region(value),
            "access_key_id" => builder.with_access_key_id(value),
            // It stands in the options of the client.
            "allow_http" => builder,
            _ => return Err(EngineError::new(ErrorKind::Invalid, format!("option {name}: S3 knows endpoint, region, access_key_id and allow_http"))),
        };
    }
    for (name, value) in &access.credentials {
        builder = match name.as_str() {
            "access_key_id" => builder.with_access_key_id(value.reveal()),
            "secret_access_key" => builder.with_secret_access_key(value.reveal()),
            "session_token" => builder.with_token(value.reveal()),
            _ => return Err(EngineError::new(ErrorKind::Invalid, format!("credential {name}: S3 knows access_key_id, secret_access_key and session_token"))),
        };
    }
    if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
        builder = builder.with_region(REGION);
    }
    builder.build().map_err(|e| EngineError::with_source(ErrorKind::Invalid, format!("{}: {e}", access.location), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read() {
        assert_eq!(Location::parse("file:///srv/b").unwrap(), Location::Folder("/srv/b".into()));
        assert_eq!(Location::parse("s3://b").unwrap(), Location::S3 { bucket: "b".into(), prefix: String::new() });
        assert_eq!(Location::parse("s3://b/x/y/").unwrap(), Location::S3 { bucket: "b".into(), prefix: "x/y".into() });
        for bad in ["/srv/b", "file://srv/b", "s3://", "s3:///x", "ftp://h/x", "memory://"] {
            let e = Location::parse(bad).unwrap_err();
            assert_eq!(e.kind, ErrorKind::Invalid, "{bad}");
            assert!(e.message.contains(bad), "{}", e.message);
        }
    }
}
