//! DSSE envelopes over Ed25519, and keys as PEM.
//!
//! Lives here: the encodings of DSSE v1, RFC 8032 and RFC 8410, byte by byte. May not: what is signed, storing keys.
//! Invariant: whatever is written here, `openssl pkeyutl` can check.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) up to its 32 bytes.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----\n";
const END: &str = "\n-----END PUBLIC KEY-----\n";

/// The bytes that are signed: DSSE's pre-authentication encoding.
pub fn pae(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public([u8; 32]);

impl Public {
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok()?.try_into().ok().map(Self)
    }

    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    fn der(&self) -> Vec<u8> {
        [&SPKI[..], &self.0].concat()
    }

    /// SHA-256 of the key as SubjectPublicKeyInfo, in hexadecimal.
    pub fn id(&self) -> String {
        sha256(&self.der())
    }

    pub fn pem(&self) -> String {
        format!("{BEGIN}{}{END}", STANDARD.encode(self.der()))
    }

    /// Reads what [`Public::pem`] or `openssl pkey -pubout` wrote.
    pub fn from_pem(text: &str) -> Option<Self> {
        let inner = text.trim().strip_prefix(BEGIN.trim_end())?.strip_suffix(END.trim())?;
        let der = STANDARD.decode(inner.split_whitespace().collect::<String>()).ok()?;
        der.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// A key that signs.
pub struct Private(Ed25519KeyPair);

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private")
    }
}

impl Private {
    /// A new key and the text from which it is made again.
    pub fn new() -> Option<(Self, Zeroizing<String>)> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(seed.as_mut_slice()).ok()?;
        let text = Zeroizing::new(hex::encode(*seed));
        Some((Self::from_text(&text)?, text))
    }

    pub fn from_text(text: &str) -> Option<Self> {
        let seed = Zeroizing::new(hex::decode(text).ok()?);
        Ed25519KeyPair::from_seed_unchecked(&seed).ok().map(Self)
    }

    pub fn public(&self) -> Option<Public> {
        self.0.public_key().as_ref().try_into().ok().map(Public)
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// A signed payload as DSSE writes it, with one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// In base64.
    pub payload: String,
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    pub signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub keyid: String,
    /// In base64.
    pub sig: String,
}

impl Envelope {
    pub fn new(kind: &str, payload: &[u8], keyid: &str, sig: &str) -> Self {
        let signature = Signature { keyid: keyid.to_owned(), sig: sig.to_owned() };
        Self { payload: STANDARD.encode(payload), payload_type: kind.to_owned(), signatures: vec![signature] }
    }

    /// Its one written form: a field a line.
    pub fn text(&self) -> String {
        let field = |s: &str| serde_json::Value::from(s).to_string();
        let signature = |s: &Signature| format!("    {{\"keyid\": {}, \"sig\": {}}}", field(&s.keyid), field(&s.sig));
        let signatures: Vec<String> = self.signatures.iter().map(signature).collect();
        format!(
            "{{\n  \"payload\": {},\n  \"payloadType\": {},\n  \"signatures\": [\n{}\n  ]\n}}\n",
            field(&self.payload),
            field(&self.payload_type),
            signatures.join(",\n")
        )
    }

    /// The bytes of the payload.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }
}

/// A signature in base64 as bytes.
pub fn decoded(signature: &str) -> Option<Vec<u8>> {
    STANDARD.decode(signature).ok()
}

/// Bytes of a signature in base64.
pub fn encoded(signature: &[u8]) -> String {
    STANDARD.encode(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_dsse() {
        // The example of the DSSE protocol.
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = Private::from_text(seed).unwrap();
        let public = key.public().unwrap();
        assert_eq!(public.hex(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let signature = key.sign(b"");
        assert_eq!(
            hex::encode(&signature),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
        assert!(public.verifies(b"", &signature) && !public.verifies(b"x", &signature));
    }

    #[test]
    fn keys_go_through_pem_and_others_are_refused() {
        let (key, text) = Private::new().unwrap();
        let public = key.public().unwrap();
        assert_eq!(Public::from_pem(&public.pem()), Some(public.clone()));
        assert_eq!(Public::from_pem(&public.pem().replace('\n', "\r\n")), Some(public.clone()));
        assert_eq!(Private::from_text(&text).unwrap().public(), Some(public.clone()));
        assert_eq!(public.id().len(), 64);
        for other in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &public.pem().replace("PUBLIC", "PRIVATE")] {
            assert_eq!(Public::from_pem(other), None, "{other}");
        }
    }

    #[test]
    fn an_envelope_has_one_form() {
        let e = Envelope::new("t", b"{}", "k", "c2ln");
        assert_eq!(serde_json::from_str::<Envelope>(&e.text()).unwrap(), e);
        assert!(serde_json::from_str::<Envelope>(&e.text().replace("\"sig\"", "\"more\": 1, \"sig\"")).is_err());
    }
}
