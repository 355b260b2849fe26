//! Writes snapshots that no backup would write, blob by blob, into a repository that stock restic made.

use std::{fs, path::Path};

use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce, aead::Aead as _};
use engine::repository::Repository;
use rand::Rng as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common;

pub struct Forge<'a> {
    repository: &'a Path,
    cipher: Aes256CtrPoly1305Aes,
    /// Of data and of trees.
    packs: [Pack; 2],
}

#[derive(Default)]
struct Pack {
    bytes: Vec<u8>,
    blobs: Vec<(usize, usize, String)>,
}

impl<'a> Forge<'a> {
    /// Makes the repository and starts.
    pub fn new(repository: &'a Path) -> Self {
        common::restic(repository, &["init"]);
        let open = Repository::open(&common::folder_access(repository), &common::rt()).unwrap().handle().unwrap();
        let master = open.key();
        let key = [master.encrypt.as_slice(), &master.mac.k, &master.mac.r].concat();
        Self { repository, cipher: Aes256CtrPoly1305Aes::new(Key::from_slice(&key)), packs: Default::default() }
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        [nonce.to_vec(), self.cipher.encrypt(&nonce, plain).unwrap()].concat()
    }

    fn blob(&mut self, tree: bool, content: &[u8]) -> String {
        let id = hex::encode(Sha256::digest(content));
        let sealed = self.seal(content);
        let pack = &mut self.packs[usize::from(tree)];
        if !pack.blobs.iter().any(|b| b.2 == id) {
            pack.blobs.push((pack.bytes.len(), sealed.len(), id.clone()));
            pack.bytes.extend(sealed);
        }
        id
    }

    pub fn data(&mut self, content: &[u8]) -> String {
        self.blob(false, content)
    }

    /// A tree of nodes as they are, in their order.
    pub fn tree(&mut self, nodes: &[Value]) -> String {
        let text = serde_json::to_string(&json!({ "nodes": nodes })).unwrap() + "\n";
        self.blob(true, text.as_bytes())
    }

    /// A file with one blob.
    pub fn file(&mut self, name: &str, content: &str) -> Value {
        let id = self.data(content.as_bytes());
        json!({ "name": name, "type": "file", "mode": 0o644, "mtime": "2024-05-06T07:08:09.123456789Z", "size": content.len(), "content": [id] })
    }

    pub fn dir(&mut self, name: &str, nodes: &[Value]) -> Value {
        let tree = self.tree(nodes);
        json!({ "name": name, "type": "dir", "mode": 0o755_u32 | 1 << 31, "mtime": "2024-05-06T07:08:09Z", "subtree": tree })
    }

    fn write(&self, folder: &str, content: &[u8]) -> String {
        let id = hex::encode(Sha256::digest(content));
        let folder = self.repository.join(folder);
        let folder = if folder.ends_with("data") { folder.join(&id[..2]) } else { folder };
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&id), content).unwrap();
        id
    }

    /// Writes everything out, and a snapshot of `root`.
    pub fn snapshot(&mut self, root: &str) -> String {
        let mut packs = Vec::new();
        for (kind, pack) in std::mem::take(&mut self.packs).into_iter().enumerate().filter(|(_, p)| !p.blobs.is_empty()) {
            let mut header = Vec::new();
            for (_, length, id) in &pack.blobs {
                header.push(kind as u8);
                header.extend((*length as u32).to_le_bytes());
                header.extend(hex::decode(id).unwrap());
            }
            let header = self.seal(&header);
            let id = self.write("data", &[&pack.bytes, &header[..], &(header.len() as u32).to_le_bytes()].concat());
            let kind = ["data", "tree"][kind];
            let blobs = pack.blobs.iter().map(|(offset, length, id)| json!({ "id": id, "type": kind, "offset": offset, "length": length }));
            packs.push(json!({ "id": id, "blobs": blobs.collect::<Vec<_>>() }));
        }
        self.write("index", &self.seal(json!({ "packs": packs }).to_string().as_bytes()));
        let snapshot = json!({ "time": "2024-05-06T07:08:09Z", "tree": root, "paths": ["/home"], "hostname": "h", "username": "u" });
        self.write("snapshots", &self.seal(snapshot.to_string().as_bytes()))
    }
}
