//! Writes snapshots that no backup would write, blob by blob, into a repository that stock restic made.

use std::{fs, path::Path};

use aes256ctr_poly1305aes::{
    Aes256CtrPoly1305Aes, Key, Nonce,
    aead::{Aead as _, KeyInit as _},
};
use engine::repository::Repository;
use rand::Rng as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common;

pub struct Forge<'a> {
    repository: &'a Path,
    cipher: Aes256CtrPoly1305Aes,
    pack: Vec<u8>,
    blobs: Vec<(bool, usize, usize, String)>,
}

impl<'a> Forge<'a> {
    /// Makes the repository and starts.
    pub fn new(repository: &'a Path) -> Self {
        common::restic(repository, &["init"]);
        let open = Repository::open(&common::folder_access(repository), &common::rt()).unwrap().handle().unwrap();
        let master = open.key();
        let key = [master.encrypt.as_slice(), &master.mac.k, &master.mac.r].concat();
        Self { repository, cipher: Aes256CtrPoly1305Aes::new(Key::from_slice(&key)), pack: Vec::new(), blobs: Vec::new() }
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        [nonce.to_vec(), self.cipher.encrypt(&nonce, plain).unwrap()].concat()
    }

    fn blob(&mut self, tree: bool, content: &[u8]) -> String {
        let id = hex::encode(Sha256::digest(content));
        if !self.blobs.iter().any(|b| b.3 == id) {
            let sealed = self.seal(content);
            self.blobs.push((tree, self.pack.len(), sealed.len(), id.clone()));
            self.pack.extend(sealed);
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

    /// Writes everything out and a snapshot of `root`. `forget` names data blobs that the index shall not know.
    pub fn snapshot(&mut self, root: &str, forget: &[&str]) -> String {
        let mut header = Vec::new();
        for (tree, _, length, id) in &self.blobs {
            header.push(u8::from(*tree));
            header.extend((*length as u32).to_le_bytes());
            header.extend(hex::decode(id).unwrap());
        }
        let header = self.seal(&header);
        let mut pack = std::mem::take(&mut self.pack);
        pack.extend(&header);
        pack.extend((header.len() as u32).to_le_bytes());
        let pack = self.write("data", &pack);
        let blobs: Vec<Value> = std::mem::take(&mut self.blobs)
            .iter()
            .filter(|b| !forget.contains(&b.3.as_str()))
            .map(|(tree, offset, length, id)| json!({ "id": id, "type": if *tree { "tree" } else { "data" }, "offset": offset, "length": length }))
            .collect();
        let index = json!({ "packs": [{ "id": pack, "blobs": blobs }] });
        self.write("index", &self.seal(index.to_string().as_bytes()));
        let snapshot = json!({ "time": "2024-05-06T07:08:09Z", "tree": root, "paths": ["/home"], "hostname": "h", "username": "u" });
        self.write("snapshots", &self.seal(snapshot.to_string().as_bytes()))
    }
}
