//! Files that the library has no call for, encrypted with the repository's key.
//!
//! Lives here: sealing, opening, their ids. May not: what the files say.
//! Format: restic's design document, "Repository Format": nonce, ciphertext, MAC; the id is the SHA-256 of the file.

use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce, aead::Aead as _};
use object_store::path::Path;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use super::Repository;
use crate::{EngineError, ErrorKind, Result};

/// The largest plain text that `open_sealed` unpacks.
const LARGEST: usize = 1 << 20;

/// An encrypted file with its name.
pub(super) struct Sealed {
    pub id: String,
    bytes: Vec<u8>,
}

impl Repository {
    /// Encrypts JSON. It is not compressed: in both versions of the format plain JSON may stand there.
    pub(super) fn seal(&self, json: &[u8]) -> Result<Sealed> {
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        let sealed = self.cipher().encrypt(&nonce, json).map_err(|_| EngineError::new(ErrorKind::Internal, "a file cannot be encrypted"))?;
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        Ok(Sealed { id: hex::encode(Sha256::digest(&bytes)), bytes })
    }

    /// Writes an encrypted file into `locks` or `snapshots`.
    pub(super) fn write_sealed(&self, folder: &str, file: Sealed) -> Result<()> {
        self.backend.write(&Path::from(format!("{folder}/{}", file.id)), file.bytes.into())
    }

    /// Decrypts and unpacks a small file; `None` where it is not one of this repository.
    pub(super) fn open_sealed(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = bytes.split_at_checked(16)?;
        let plain = self.cipher().decrypt(Nonce::from_slice(nonce), sealed).ok()?;
        // Format version 2: a leading 2 says that zstd follows; JSON starts with a brace.
        match plain.first()? {
            2 => zstd::bulk::decompress(&plain[1..], LARGEST).ok(),
            _ => Some(plain),
        }
    }

    pub(super) fn cipher(&self) -> Aes256CtrPoly1305Aes {
        let key = self.master_key();
        let mut bytes = Key::default();
        bytes[..32].copy_from_slice(&key.encrypt);
        bytes[32..48].copy_from_slice(&key.mac.k);
        bytes[48..].copy_from_slice(&key.mac.r);
        Aes256CtrPoly1305Aes::new(&bytes)
    }
}
