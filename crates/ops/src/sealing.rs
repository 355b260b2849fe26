//! Sealing the installation's own secrets for the day it is lost (R62).
//!
//! HPKE of RFC 9180 in base mode, with X25519, HKDF-SHA256 and AES-256-GCM: whoever copies Holdfast itself needs the
//! public part of the recovery key alone, and only the paper can open what was sealed.
//!
//! Lives here: making a key, sealing, opening. May not: storing the secret part, files.

use std::collections::BTreeMap;

use domain::installation::RecoveryKey;
use engine::job::Secret;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE,
    hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey},
};
use serde::{Deserialize, Serialize};

/// What a reader needs to know of the sealed file beside RFC 9180.
const SUITE_WORDS: &str = "HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM";
/// `info` of RFC 9180.
const PURPOSE: &str = "holdfast installation secrets 1";

/// Secrets by name, sealed. All of it is hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub suite: String,
    pub purpose: String,
    /// The public key that it was sealed for.
    pub recipient: String,
    pub encapsulated: String,
    pub ciphertext: String,
}

/// Why sealing or opening did not work. Never holds a part of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the recovery key cannot be made or used: the system's cryptography failed")]
    Cryptography,
    #[error("this recovery key does not open the secrets of this copy; use the one that was shown when it was made")]
    WrongKey,
    #[error("the sealed secrets cannot be read; choose an older copy with --at")]
    Damaged,
}

/// A new key and its public part in hexadecimal.
pub fn new_key() -> Result<(RecoveryKey, String), SealError> {
    let (public, private) = SUITE.generate_key_pair().map_err(|_| SealError::Cryptography)?;
    let bytes: [u8; 32] = private.secret_bytes().try_into().map_err(|_| SealError::Cryptography)?;
    Ok((RecoveryKey::new(bytes), hex::encode(public.0)))
}

/// The first digits of the public part: enough to tell two papers apart.
pub fn fingerprint(public: &str) -> &str {
    public.get(..12).unwrap_or(public)
}

/// Seals secrets for the holder of the recovery key.
pub fn seal(secrets: &BTreeMap<String, Secret>, public: &str) -> Result<Sealed, SealError> {
    let key = HpkePublicKey(hex::decode(public).map_err(|_| SealError::Cryptography)?);
    let plain: BTreeMap<&str, &str> = secrets.iter().map(|(name, secret)| (name.as_str(), secret.reveal())).collect();
    let mut plain = serde_json::to_vec(&plain).map_err(|_| SealError::Cryptography)?;
    let sealed = SUITE.seal(PURPOSE.as_bytes(), public.as_bytes(), &plain, &key).map_err(|_| SealError::Cryptography);
    plain.fill(0);
    let (encapsulated, ciphertext) = sealed?;
    Ok(Sealed {
        suite: SUITE_WORDS.to_owned(),
        purpose: PURPOSE.to_owned(),
        recipient: public.to_owned(),
        encapsulated: hex::encode(encapsulated.0),
        ciphertext: hex::encode(ciphertext),
    })
}

/// Opens what was sealed.
pub fn open(sealed: &Sealed, key: &RecoveryKey) -> Result<BTreeMap<String, Secret>, SealError> {
    if sealed.suite != SUITE_WORDS || sealed.purpose != PURPOSE {
        return Err(SealError::Damaged);
    }
    let bytes = |text: &str| hex::decode(text).map_err(|_| SealError::Damaged);
    let (encapsulated, ciphertext) = (EncapsulatedSecret(bytes(&sealed.encapsulated)?), bytes(&sealed.ciphertext)?);
    let private = HpkePrivateKey::from(key.bytes().to_vec());
    let opened = SUITE.open(&encapsulated, PURPOSE.as_bytes(), sealed.recipient.as_bytes(), &ciphertext, &private);
    let mut plain = opened.map_err(|_| SealError::WrongKey)?;
    let secrets: Result<BTreeMap<String, String>, _> = serde_json::from_slice(&plain);
    plain.fill(0);
    Ok(secrets.map_err(|_| SealError::Damaged)?.into_iter().map(|(name, text)| (name, Secret::new(text))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_on_paper_opens_it() {
        let (key, public) = new_key().unwrap();
        let secrets = BTreeMap::from([("server.key".to_owned(), Secret::new("00ff"))]);
        let sealed = seal(&secrets, &public).unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("00ff\"") && !text.contains(&hex::encode(key.bytes())));
        let typed = RecoveryKey::parse(&key.text()).unwrap();
        assert_eq!(open(&sealed, &typed).unwrap(), secrets);
        let (other, other_public) = new_key().unwrap();
        assert_eq!(open(&sealed, &other), Err(SealError::WrongKey));
        assert_eq!(open(&Sealed { recipient: other_public, ..sealed.clone() }, &key), Err(SealError::WrongKey));
        let mut changed = sealed.clone();
        changed.ciphertext.replace_range(0..1, if changed.ciphertext.starts_with('0') { "1" } else { "0" });
        assert_eq!(open(&changed, &key), Err(SealError::WrongKey));
        assert_eq!(open(&Sealed { ciphertext: "x".into(), ..sealed.clone() }, &key), Err(SealError::Damaged));
        assert_eq!(open(&Sealed { suite: "rot13".into(), ..sealed.clone() }, &key), Err(SealError::Damaged));
        assert_ne!(seal(&secrets, &public).unwrap(), sealed, "sealing twice shows nothing of what is the same");
    }
}
