//! The server's key, and what is sealed with it (R15).
//!
//! Lives here: the file `DIR/server.key`, sealing, opening, changing the key. May not: storing what is sealed.
//! Invariants: a sealed text names the key that opens it and is bound to its purpose, so that it opens in no other
//! place; the file is its owner's alone; no key stays in memory between two uses.
//!
//! The file holds one key a line, 32 bytes in base64. The first seals, all of them open. Sealed texts read
//! `v1.KEYID.BASE64`, where the last part is nonce, ciphertext and tag of AES-256-GCM (NIST SP 800-38D).

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::job::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What a sealed text is bound to, such as `channel/ops-mail/password`.
pub type Purpose<'a> = &'a str;

/// Why something could not be sealed or opened; told to whoever asked, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the server's key {0} cannot be read or made ({1}); give the server leave to its data folder")]
    File(PathBuf, io::ErrorKind),
    #[error("the server's key {0} can be read by others (mode {1:o}); run chmod 600 on it, and change what was sealed if they may have read it")]
    Open(PathBuf, u32),
    #[error("the server's key {0} is not readable: line {1} is not 32 bytes in base64; put back the file as it was")]
    Unreadable(PathBuf, usize),
    #[error("it was sealed with the key {0}, which is not in this server's server.key; put that key back, or give the secret again")]
    UnknownKey(String),
    #[error("what is stored was changed or belongs somewhere else; give the secret again")]
    Broken,
}

/// The place of the keys.
#[derive(Clone, Debug)]
pub struct Keys(Arc<PathBuf>);

struct Key {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// The keys of a data folder; nothing is read or made yet.
    pub fn of(data_dir: &Path) -> Self {
        Self(Arc::new(data_dir.join("server.key")))
    }

    /// Makes the file with a first key where there is none. Of several that start at once one makes it.
    pub fn make(&self) -> Result<(), SealError> {
        if self.0.exists() {
            return self.load().map(|_| ());
        }
        let new = self.0.with_extension(format!("key.{}", std::process::id()));
        let made = write_keys(&new, &[fresh()?]).and_then(|()| match fs::hard_link(&new, &*self.0) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        });
        fs::remove_file(&new).ok();
        made.map_err(|e| self.failed(&e))?;
        self.load().map(|_| ())
    }

    fn failed(&self, e: &io::Error) -> SealError {
        SealError::File(self.0.to_path_buf(), e.kind())
    }

    fn load(&self) -> Result<Vec<Key>, SealError> {
        let meta = fs::metadata(&*self.0).map_err(|e| self.failed(&e))?;
        if meta.mode() & 0o077 != 0 {
            return Err(SealError::Open(self.0.to_path_buf(), meta.mode() & 0o777));
        }
        let text = Zeroizing::new(fs::read_to_string(&*self.0).map_err(|e| self.failed(&e))?);
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
            let bad = || SealError::Unreadable(self.0.to_path_buf(), n + 1);
            let decoded = Zeroizing::new(STANDARD.decode(line.trim()).map_err(|_| bad())?);
            let bytes: [u8; 32] = decoded.as_slice().try_into().map_err(|_| bad())?;
            keys.push(Key { id: id_of(&bytes), bytes: Zeroizing::new(bytes) });
        }
        if keys.is_empty() { Err(SealError::Unreadable(self.0.to_path_buf(), 1)) } else { Ok(keys) }
    }

    /// Seals a text for a purpose with the first key.
    pub fn seal(&self, text: &str, purpose: Purpose<'_>) -> Result<String, SealError> {
        let keys = self.load()?;
        let key = keys.first().ok_or(SealError::Broken)?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &*key.bytes).map_err(|_| SealError::Broken)?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = cipher.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed).map_err(|_| SealError::Broken)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.extend_from_slice(&sealed);
        Ok(format!("v1.{}.{}", key.id, STANDARD.encode(whole)))
    }

    /// Opens what was sealed for that purpose.
    pub fn open(&self, sealed: &str, purpose: Purpose<'_>) -> Result<Secret, SealError> {
        let mut parts = sealed.splitn(3, '.');
        let (Some("v1"), Some(id), Some(body)) = (parts.next(), parts.next(), parts.next()) else { return Err(SealError::Broken) };
        let keys = self.load()?;
        let key = keys.iter().find(|k| k.id == id).ok_or_else(|| SealError::UnknownKey(id.chars().take(16).collect()))?;
        let whole = STANDARD.decode(body).map_err(|_| SealError::Broken)?;
        if whole.len() < NONCE_LEN {
            return Err(SealError::Broken);
        }
        let (nonce, rest) = whole.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &*key.bytes).map_err(|_| SealError::Broken)?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let plain = cipher.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut rest).map_err(|_| SealError::Broken)?;
        Ok(Secret::new(std::str::from_utf8(plain).map_err(|_| SealError::Broken)?))
    }

    /// Puts a new key in front: from now on it seals, and the old ones open.
    pub fn add(&self) -> Result<(), SealError> {
        let mut keys = vec![fresh()?];
        keys.extend(self.load()?);
        self.replace(&keys)
    }

    /// Drops every key but the first. Call it when nothing is sealed with the others any more.
    pub fn drop_old(&self) -> Result<usize, SealError> {
        let mut keys = self.load()?;
        let old = keys.len().saturating_sub(1);
        keys.truncate(1);
        self.replace(&keys)?;
        Ok(old)
    }

    fn replace(&self, keys: &[Key]) -> Result<(), SealError> {
        let new = self.0.with_extension(format!("key.{}", std::process::id()));
        let done = write_keys(&new, keys).and_then(|()| fs::rename(&new, &*self.0));
        fs::remove_file(&new).ok();
        done.map_err(|e| self.failed(&e))
    }
}

fn fresh() -> Result<Key, SealError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| SealError::Broken)?;
    Ok(Key { id: id_of(&bytes), bytes })
}

fn id_of(bytes: &[u8; 32]) -> String {
    let mut h = Sha256::new();
    h.update(b"holdfast server key");
    h.update(bytes);
    hex::encode(&h.finalize()[..4])
}

/// Writes the keys to a file of their owner alone, down to the disk.
fn write_keys(path: &Path, keys: &[Key]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut text = Zeroizing::new("# Holdfast seals secrets with the first key and opens them with any. Keep a copy in a second place.\n".to_owned());
    for key in keys {
        let line = Zeroizing::new(STANDARD.encode(*key.bytes));
        text.push_str(&line);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn keys() -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::of(folder.path());
        keys.make().unwrap();
        (folder, keys)
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_alone() {
        let (folder, keys) = keys();
        let mode = fs::metadata(folder.path().join("server.key")).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let sealed = keys.seal("s3cret-ü", "channel/a/password").unwrap();
        assert!(!sealed.contains("s3cret"));
        assert_ne!(sealed, keys.seal("s3cret-ü", "channel/a/password").unwrap(), "each sealing has a nonce of its own");
        assert_eq!(keys.open(&sealed, "channel/a/password").unwrap().reveal(), "s3cret-ü");
        assert!(matches!(keys.open(&sealed, "channel/b/password"), Err(SealError::Broken)));
        let mut other = sealed.clone().into_bytes();
        let at = other.len() - 6;
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(matches!(keys.open(std::str::from_utf8(&other).unwrap(), "channel/a/password"), Err(SealError::Broken)));
        for nonsense in ["", "v1", "v2.a.b", "v1.00000000.AAAA"] {
            assert!(keys.open(nonsense, "x").is_err(), "{nonsense}");
        }
        // Made once: a second start keeps it.
        keys.make().unwrap();
        assert_eq!(keys.open(&sealed, "channel/a/password").unwrap().reveal(), "s3cret-ü");
    }

    #[test]
    fn the_key_can_be_changed_and_a_lost_one_is_named() {
        let (_folder, keys) = keys();
        let old = keys.seal("one", "p").unwrap();
        keys.add().unwrap();
        let new = keys.seal("two", "p").unwrap();
        assert_ne!(old.split('.').nth(1), new.split('.').nth(1));
        assert_eq!((keys.open(&old, "p").unwrap().reveal(), keys.open(&new, "p").unwrap().reveal()), ("one", "two"));
        assert_eq!(keys.drop_old().unwrap(), 1);
        assert_eq!(keys.open(&new, "p").unwrap().reveal(), "two");
        let lost = keys.open(&old, "p").unwrap_err().to_string();
        assert!(lost.contains(old.split('.').nth(1).unwrap()) && lost.contains("give the secret again"), "{lost}");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (folder, keys) = keys();
        let path = folder.path().join("server.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(keys.seal("x", "p").unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "not a key\n").unwrap();
        assert!(matches!(keys.seal("x", "p"), Err(SealError::Unreadable(_, 1))));
    }
}
