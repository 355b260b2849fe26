//! The bytes of images: out of Glance, and into it again.
//!
//! Lives here: a download that begins at any byte, making an image and filling it, checksums. May not: repositories, what
//! becomes of what was read, trying a transfer again as a whole.
//! Invariant: memory is one piece of the stream, whatever an image has; a stall ends a transfer.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::sync::mpsc;

use super::{Cloud, Image, catalog::Service::Image as Glance, refusal::Failed, session::Call, transport::Body};
use crate::{EngineError, ErrorKind, Result};

/// How long Glance may take to store what it was sent, its last byte included.
const STORED_WITHIN: Duration = Duration::from_hours(12);

/// The bytes of an image from some byte on.
pub struct ImageStream {
    body: Body,
    /// Bytes at the front that are not wanted, where the cloud does not begin in the middle.
    skip: u64,
}

impl ImageStream {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Unavailable` where the stream broke off or nothing came for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.body.next().await? {
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
            self.skip -= skip as u64;
            if skip < piece.len() {
                return Ok(Some(piece.slice(skip..)));
            }
        }
        Ok(None)
    }
}

/// An image that is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewImage {
    pub id: String,
    pub name: String,
    pub disk_format: String,
    pub container_format: String,
    pub min_disk_gb: i64,
    pub min_ram_mb: i64,
    pub tags: Vec<String>,
    pub properties: BTreeMap<String, String>,
}

impl Cloud {
    /// The bytes of an image, from the byte `from` on.
    pub async fn image_stream(&self, id: &str, from: u64) -> Result<ImageStream> {
        let what = format!("send the image {id}");
        let body = Box::pin(self.0.open(Call::get(Glance, what.clone(), &["images", id, "file"]).bytes_from(from))).await?;
        if body.is_empty() {
            return Err(Failed::odd(Glance, &what, "the image has no bytes").into());
        }
        match body.begins() {
            Some(at) if at <= from => Ok(ImageStream { body, skip: from - at }),
            at => Err(Failed::odd(Glance, &what, &format!("it begins at byte {}", at.map_or_else(|| "?".to_owned(), |n| n.to_string()))).into()),
        }
    }

    /// Makes an image without bytes, of an id that the caller chose.
    pub async fn new_image(&self, wanted: &NewImage) -> Result<()> {
        let mut body: Map<String, Value> = wanted.properties.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        let own: [(&str, Value); 8] = [
            ("id", wanted.id.clone().into()),
            ("name", wanted.name.clone().into()),
            ("disk_format", wanted.disk_format.clone().into()),
            ("container_format", wanted.container_format.clone().into()),
            ("min_disk", wanted.min_disk_gb.into()),
            ("min_ram", wanted.min_ram_mb.into()),
            ("visibility", "private".into()),
            ("tags", wanted.tags.clone().into()),
        ];
        body.extend(own.map(|(k, v)| (k.to_owned(), v)));
        self.0.call(Call::post(Glance, format!("make the image {}", wanted.name), &["images"], body.into())).await?;
        Ok(())
    }

    /// Sends the bytes of an image that has none, `size` in all, as they come.
    pub async fn fill_image(&self, id: &str, size: u64, bytes: mpsc::Receiver<Bytes>) -> Result<()> {
        // A transfer may take longer than what is left of a token.
        self.0.renew().await?;
        let body =
            reqwest::Body::wrap_stream(futures::stream::unfold(bytes, async |mut from| from.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), from))));
        let call = Call::put(Glance, format!("take the bytes of the image {id}"), &["images", id, "file"]);
        Ok(Box::pin(self.0.fill(call, size, body, STORED_WITHIN)).await?)
    }
}

/// Checksums of one stream: SHA-512, and what the cloud names beside it.
pub struct Digests {
    sha512: Sha512,
    other: Other,
}

#[derive(Clone)]
enum Other {
    None,
    Md5(md5::Md5),
    Sha256(Sha256),
    Sha384(Sha384),
}

/// The checksums of a whole stream, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digested {
    pub sha512: String,
    others: Vec<(String, String)>,
}

impl Digests {
    /// Those with which [`Digested::compare`] can compare the bytes of `image`.
    pub fn of(image: &Image) -> Self {
        Self::named(image.word("os_hash_algo").or_else(|| image.word("checksum").map(|_| "md5")))
    }

    /// Those with the one that Glance names so.
    pub fn named(algorithm: Option<&str>) -> Self {
        let other = match algorithm {
            Some("sha384") => Other::Sha384(Sha384::new()),
            Some("sha256") => Other::Sha256(Sha256::new()),
            Some("md5") => Other::Md5(md5::Md5::new()),
            _ => Other::None,
        };
        Self { sha512: Sha512::new(), other }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.sha512.update(bytes);
        match &mut self.other {
            Other::None => {}
            Other::Md5(d) => d.update(bytes),
            Other::Sha256(d) => d.update(bytes),
            Other::Sha384(d) => d.update(bytes),
        }
    }

    pub fn finish(self) -> Digested {
        let other = match self.other {
            Other::None => None,
            Other::Md5(d) => Some(("md5", hex::encode(d.finalize()))),
            Other::Sha256(d) => Some(("sha256", hex::encode(d.finalize()))),
            Other::Sha384(d) => Some(("sha384", hex::encode(d.finalize()))),
        };
        let others = other.into_iter().map(|(name, value): (&str, String)| (name.to_owned(), value)).collect();
        Digested { sha512: hex::encode(self.sha512.finalize()), others }
    }
}

impl Digested {
    /// What was written down of a disk: its SHA-512, and what a cloud called it.
    pub fn known(sha512: &str, os_hash: Option<(&str, &str)>, checksum: Option<&str>) -> Self {
        let others = os_hash.into_iter().chain(checksum.map(|c| ("md5", c)));
        Self { sha512: sha512.to_owned(), others: others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// Compares with what the cloud says of an image, by the strongest checksum that both have: its name, `None` where
    /// there is none.
    ///
    /// # Errors
    /// `Damaged` where they differ.
    pub fn compare(&self, image: &Image) -> Result<Option<String>> {
        let other = |name: &str| self.others.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let named = image.word("os_hash_algo").zip(image.word("os_hash_value")).and_then(|(algorithm, said)| {
            let own = if algorithm == "sha512" { Some(self.sha512.as_str()) } else { other(algorithm) };
            Some((algorithm, said, own?))
        });
        let Some((algorithm, said, own)) = named.or_else(|| Some(("md5", image.word("checksum")?, other("md5")?))) else { return Ok(None) };
        if said.eq_ignore_ascii_case(own) {
            return Ok(Some(algorithm.to_owned()));
        }
        let message = format!("the bytes of the image {} are not those that the cloud says: {algorithm} {own} and not {said}", image.id);
        Err(EngineError::new(ErrorKind::Damaged, message))
    }
}

impl Image {
    /// A property that is a text.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(Value::as_str).filter(|t| !t.is_empty())
    }
}
