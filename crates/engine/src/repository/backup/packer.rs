//! Blobs into packs, packs into the index.
//!
//! rustic_core has a packer of its own, which cannot be used from outside and costs more: it makes a compression
//! context for every blob and the chunker's tables for every file.
//!
//! Lives here: compressing, encrypting, collecting, writing. May not: files and trees.
//! Invariants: a pack is in the index only after it was written; a blob is stored once a pass, and not at all where
//! the index had it when the pass began. Memory: one open pack a kind, and one full pack a thread.
//! Format: "Pack Format" and "Indexing" of restic's design document.

use std::{
    collections::{HashMap, hash_map::Entry},
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Nonce, Tag, aead::AeadInPlace as _};
use bytes::Bytes;
use domain::units::Timestamp;
use object_store::path::Path;
use rand::Rng as _;
use rustic_core::{
    BlobId, DataId, Id, TreeId,
    repofile::{BlobType, ConfigFile},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::super::{Indexed, Repository, from_rustic};
use crate::{EngineError, ErrorKind, Result, clock};

/// An index file is written when it has so many blobs, or when the last one is so old: what a killed pass has
/// uploaded until then is found by the next.
const INDEX_BLOBS: usize = 50_000;
const INDEX_SECS: f64 = 120.0;
/// A pack is written at the latest with so many blobs.
const PACK_BLOBS: usize = 10_000;

/// Takes blobs from several threads.
pub struct Packer<'a> {
    repository: &'a Repository,
    index: &'a Indexed,
    cipher: Aes256CtrPoly1305Aes,
    /// Level of zstd; `None` in repositories without compression.
    level: Option<i32>,
    verify: bool,
    pack_sizes: [usize; 2],
    open: [Mutex<Pack>; 2],
    /// What this pass has stored or is storing, with the size in the pack.
    stored: Mutex<HashMap<(bool, BlobId), u32>>,
    finished: Mutex<Finished>,
    /// Buffers of packs that were written, to be filled again.
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Default)]
struct Pack {
    bytes: Vec<u8>,
    blobs: Vec<Blob>,
}

struct Finished {
    file: IndexFile,
    blobs: usize,
    last: Timestamp,
}

#[derive(Default, Serialize)]
struct IndexFile {
    packs: Vec<IndexPack>,
}

#[derive(Serialize)]
struct IndexPack {
    id: Id,
    blobs: Vec<Blob>,
}

#[derive(Serialize)]
struct Blob {
    id: BlobId,
    #[serde(rename = "type")]
    kind: BlobType,
    offset: u32,
    length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompressed_length: Option<NonZeroU32>,
}

/// One thread's tools: made once, used for every blob.
pub struct Tools {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    packed: Vec<u8>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Tools {
    /// Compresses into `packed`. `false` where that makes it no smaller.
    fn compress(&mut self, plain: &[u8]) -> Result<bool> {
        let Some(compressor) = &mut self.compressor else { return Ok(false) };
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let done = compressor.compress_to_buffer(plain, &mut self.packed);
        done.map_err(|e| EngineError::with_source(ErrorKind::Internal, format!("zstd: {e}"), e))?;
        Ok(self.packed.len() < plain.len())
    }
}

impl<'a> Packer<'a> {
    pub fn new(repository: &'a Repository, index: &'a Indexed, config: &ConfigFile) -> Result<Self> {
        let size = |kind| usize::try_from(config.packsize(kind).0).unwrap_or(1 << 24);
        Ok(Self {
            repository,
            index,
            cipher: repository.cipher(),
            level: config.zstd().map_err(from_rustic)?,
            verify: config.extra_verify(),
            pack_sizes: [size(BlobType::Tree), size(BlobType::Data)],
            open: [Mutex::default(), Mutex::default()],
            stored: Mutex::default(),
            finished: Mutex::new(Finished { file: IndexFile::default(), blobs: 0, last: clock::now() }),
            spare: Mutex::default(),
        })
    }

    pub fn tools(&self) -> Result<Tools> {
        let made = |e: std::io::Error| EngineError::with_source(ErrorKind::Internal, format!("zstd: {e}"), e);
        let compressor = self.level.map(zstd::bulk::Compressor::new).transpose().map_err(made)?;
        let decompressor = (self.verify && self.level.is_some()).then(zstd::bulk::Decompressor::new).transpose().map_err(made)?;
        Ok(Tools { compressor, decompressor, packed: Vec::new(), plain: Vec::new(), sealed: Vec::new() })
    }

    /// Whether the repository has this piece of a file already.
    pub fn has_data(&self, id: &DataId) -> bool {
        self.index.get_index_entry(id).is_ok()
    }

    /// Stores a piece of a file, unless it is there.
    pub fn data(&self, plain: &[u8], tools: &mut Tools) -> Result<DataId> {
        let id = DataId::from(Id::new(hash(plain)));
        if !self.has_data(&id) {
            self.store(BlobType::Data, id.into(), plain, tools)?;
        }
        Ok(id)
    }

    /// Stores a serialized tree, unless it is there.
    pub fn tree(&self, json: &[u8], tools: &mut Tools) -> Result<TreeId> {
        let id = TreeId::from(Id::new(hash(json)));
        if self.index.get_index_entry(&id).is_err() {
            self.store(BlobType::Tree, id.into(), json, tools)?;
        }
        Ok(id)
    }

    fn store(&self, kind: BlobType, id: BlobId, plain: &[u8], tools: &mut Tools) -> Result<()> {
        let data = kind == BlobType::Data;
        match lock(&self.stored).entry((data, id)) {
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(free) => *free.insert(0),
        };
        let compressed = tools.compress(plain)?;
        let content = if compressed { &tools.packed[..] } else { plain };
        let uncompressed_length = if compressed { NonZeroU32::new(u32_of(plain.len())?) } else { None };
        let length = u32_of(content.len() + 32)?;
        lock(&self.stored).insert((data, id), length);

        let mut sealed = std::mem::take(&mut tools.sealed);
        sealed.clear();
        self.encrypt(content, &mut sealed)?;
        if self.verify {
            self.check(&sealed, plain, uncompressed_length, tools)?;
        }
        let full = {
            let mut pack = lock(&self.open[usize::from(data)]);
            let offset = u32_of(pack.bytes.len())?;
            pack.bytes.extend_from_slice(&sealed);
            pack.blobs.push(Blob { id, kind, offset, length, uncompressed_length });
            (pack.bytes.len() >= self.pack_sizes[usize::from(data)] || pack.blobs.len() >= PACK_BLOBS).then(|| {
                let bytes = lock(&self.spare).pop().unwrap_or_default();
                std::mem::replace(&mut *pack, Pack { bytes, blobs: Vec::new() })
            })
        };
        tools.sealed = sealed;
        full.map_or(Ok(()), |pack| self.write(pack))
    }

    /// Appends nonce, ciphertext and tag.
    fn encrypt(&self, content: &[u8], into: &mut Vec<u8>) -> Result<()> {
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        into.extend_from_slice(&nonce);
        let start = into.len();
        into.extend_from_slice(content);
        let tag = self.cipher.encrypt_in_place_detached(&nonce, &[], &mut into[start..]);
        into.extend_from_slice(&tag.map_err(|_| EngineError::new(ErrorKind::Internal, "a blob cannot be encrypted"))?);
        Ok(())
    }

    /// Opens again what was just sealed: a fault of the memory must not become a backup that cannot be restored.
    fn check(&self, sealed: &[u8], plain: &[u8], uncompressed: Option<NonZeroU32>, tools: &mut Tools) -> Result<()> {
        let (nonce, rest) = sealed.split_at(16);
        let (content, tag) = rest.split_at(rest.len() - 16);
        tools.packed.clear();
        tools.packed.extend_from_slice(content);
        let opened = self.cipher.decrypt_in_place_detached(Nonce::from_slice(nonce), &[], &mut tools.packed, Tag::from_slice(tag)).is_ok();
        let same = opened
            && match (uncompressed, &mut tools.decompressor) {
                (Some(length), Some(decompressor)) => {
                    tools.plain.clear();
                    tools.plain.reserve(length.get() as usize);
                    decompressor.decompress_to_buffer(&tools.packed[..], &mut tools.plain).is_ok() && tools.plain == plain
                }
                _ => tools.packed == plain,
            };
        if same {
            Ok(())
        } else {
            Err(EngineError::new(ErrorKind::Damaged, "a blob changed while it was compressed and encrypted; check this machine's memory"))
        }
    }

    fn write(&self, mut pack: Pack) -> Result<()> {
        let mut header = Vec::with_capacity(pack.blobs.len() * 41);
        for blob in &pack.blobs {
            let tree = u8::from(blob.kind == BlobType::Tree);
            header.push(tree + if blob.uncompressed_length.is_some() { 2 } else { 0 });
            header.extend_from_slice(&blob.length.to_le_bytes());
            if let Some(length) = blob.uncompressed_length {
                header.extend_from_slice(&length.get().to_le_bytes());
            }
            header.extend_from_slice(&hex::decode(blob.id.to_hex().as_str()).map_err(|_| EngineError::new(ErrorKind::Internal, "a blob's id is no number"))?);
        }
        let start = pack.bytes.len();
        self.encrypt(&header, &mut pack.bytes)?;
        let length = u32_of(pack.bytes.len() - start)?;
        pack.bytes.extend_from_slice(&length.to_le_bytes());
        let name = hash(&pack.bytes);
        let hex = hex::encode(name);
        let bytes = Bytes::from(pack.bytes);
        self.repository.backend.write(&Path::from(format!("data/{}/{hex}", &hex[..2])), bytes.clone().into())?;
        // Without a copy where the storage has let go of it.
        if let Ok(bytes) = bytes.try_into_mut() {
            let mut bytes = Vec::from(bytes);
            bytes.clear();
            lock(&self.spare).push(bytes);
        }

        let full = {
            let mut finished = lock(&self.finished);
            finished.blobs += pack.blobs.len();
            finished.file.packs.push(IndexPack { id: Id::new(name), blobs: pack.blobs });
            let due = finished.blobs >= INDEX_BLOBS || clock::now().secs_since(finished.last) >= INDEX_SECS;
            due.then(|| {
                finished.blobs = 0;
                finished.last = clock::now();
                std::mem::take(&mut finished.file)
            })
        };
        full.map_or(Ok(()), |file| self.write_index(&file))
    }

    fn write_index(&self, file: &IndexFile) -> Result<()> {
        if file.packs.is_empty() {
            return Ok(());
        }
        let json = serde_json::to_vec(file).map_err(|e| EngineError::with_source(ErrorKind::Internal, "the index cannot be written as JSON", e))?;
        let packed = match self.level {
            None => json,
            Some(level) => {
                let mut packed = vec![2];
                packed.extend(zstd::bulk::compress(&json, level).map_err(|e| EngineError::with_source(ErrorKind::Internal, format!("zstd: {e}"), e))?);
                packed
            }
        };
        self.repository.write_sealed("index", self.repository.seal(&packed)?)
    }

    /// Writes what is left, and returns the sizes in the repository of all blobs that were added.
    pub fn finish(self) -> Result<HashMap<BlobId, u32>> {
        for pack in &self.open {
            let pack = std::mem::take(&mut *lock(pack));
            if !pack.blobs.is_empty() {
                self.write(pack)?;
            }
        }
        let file = std::mem::take(&mut lock(&self.finished).file);
        self.write_index(&file)?;
        let stored = std::mem::take(&mut *lock(&self.stored));
        Ok(stored.into_iter().map(|((_, id), size)| (id, size)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn u32_of(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| EngineError::new(ErrorKind::Internal, "a blob or pack is larger than the format allows"))
}
