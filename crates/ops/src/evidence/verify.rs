//! Proving a pack without a database, a network or a configuration (R37).
//!
//! Lives here: what is looked at, in which order, and the words for what is wrong. May not: making packs.
//! Invariant: one changed byte anywhere is found and named by its file; what is missing, added, in another order or there
//! twice as well. Without a key from elsewhere trust rests on the keys of the pack, and the report says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use domain::statement::{EVIDENCE_TYPE, FORMAT, MANIFEST_TYPE, Statement, What};

use super::{
    dsse::{Envelope, Public, decoded, pae, sha256},
    pack::{CHAIN, CHAIN_HEAD, COUNTERSIGNATURES, ENVELOPES, KEYS, MANIFEST, MANIFEST_SIGNED, Manifest},
    zip::{self, Member},
};

/// The longest file of a pack that is read.
const LONGEST: u64 = 1 << 30;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Inside the pack; empty for the archive as a whole.
    pub file: String,
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub faults: Vec<Fault>,
    /// Records of tests, of new keys, and countersignatures, that are in order.
    pub tests: usize,
    pub keys: usize,
    pub countersignatures: usize,
    /// The last record of the chain when the pack was made.
    pub head: i64,
    /// The period, as the pack says.
    pub since: String,
    pub until: String,
    /// The ids of the keys of the pack, with the reason to trust each.
    pub trusted: BTreeMap<String, String>,
    /// Whether keys from elsewhere were given.
    pub pinned: bool,
}

impl Report {
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.faults.push(Fault { file: file.into(), what: what.into() });
    }
}

/// Where the files of a pack are.
#[derive(Debug)]
enum Source {
    Archive(fs::File, BTreeMap<String, Member>),
    Folder(PathBuf, BTreeSet<String>),
}

impl Source {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Archive(_, members) => members.keys().cloned().collect(),
            Self::Folder(_, names) => names.iter().cloned().collect(),
        }
    }

    /// The content of a file; `None` where it is not there.
    fn read(&mut self, name: &str, report: &mut Report) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Archive(file, members) => {
                let Some(member) = members.get(name) else { return Ok(None) };
                let content = zip::content(file, member)?;
                if !zip::fits(member, &content) {
                    report.fault(name, "does not fit its checksum in the archive: its content or its header was changed");
                }
                Ok(Some(content))
            }
            Self::Folder(root, names) => {
                if !names.contains(name) {
                    return Ok(None);
                }
                let path = root.join(name);
                if fs::symlink_metadata(&path)?.len() > LONGEST {
                    report.fault(name, "is larger than any file of a pack");
                    return Ok(Some(Vec::new()));
                }
                fs::read(path).map(Some)
            }
        }
    }
}

/// Proves a pack or its unpacked folder. `pins` are keys that were got on another way; none where there are none.
///
/// # Errors
/// What the system says where the place cannot be read.
pub fn verify(place: &Path, pins: &[Public]) -> io::Result<Report> {
    let mut report = Report { pinned: !pins.is_empty(), ..Report::default() };
    let mut source = if fs::metadata(place)?.is_dir() {
        let mut names = BTreeSet::new();
        walk(place, "", &mut names, &mut report)?;
        Source::Folder(place.to_owned(), names)
    } else {
        let mut file = fs::File::open(place)?;
        let opened = zip::open(&mut file)?;
        for (name, what) in opened.faults {
            report.fault(name, what);
        }
        if opened.members.is_empty() {
            report.fault("", "this is no evidence pack: nothing in it can be read; give the archive as it was downloaded, or its unpacked folder");
            return Ok(report);
        }
        Source::Archive(file, opened.members.into_iter().map(|m| (m.name.clone(), m)).collect())
    };
    let mut all = Prover { pins, report, source: &mut source, keys: BTreeMap::new(), retired: BTreeMap::new() };
    all.prove()?;
    let mut report = all.report;
    report.faults.sort();
    report.faults.dedup();
    Ok(report)
}

/// The regular files under a folder.
fn walk(root: &Path, inside: &str, names: &mut BTreeSet<String>, report: &mut Report) -> io::Result<()> {
    for entry in fs::read_dir(root.join(inside))? {
        let entry = entry?;
        let name = format!("{inside}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &format!("{name}/"), names, report)?;
        } else if kind.is_file() {
            names.insert(name);
        } else {
            report.fault(name, "is a link or no regular file; a pack holds none");
        }
    }
    Ok(())
}

struct Prover<'a> {
    pins: &'a [Public],
    report: Report,
    source: &'a mut Source,
    /// The public keys of the pack by their ids.
    keys: BTreeMap<String, Public>,
    /// The record after which a key signs nothing any more.
    retired: BTreeMap<String, i64>,
}

/// An envelope whose signature fits.
struct Opened {
    keyid: String,
    payload: Vec<u8>,
    hash: String,
}

/// A record that stands by itself.
struct Proven {
    file: String,
    keyid: String,
    hash: String,
    statement: Statement,
}

impl Prover<'_> {
    fn prove(&mut self) -> io::Result<()> {
        self.read_keys()?;
        for pin in self.pins {
            self.report.trusted.insert(pin.id(), "given with --key".to_owned());
        }
        let Some(manifest) = self.manifest()? else { return Ok(()) };
        (self.report.since, self.report.until) = (manifest.since.clone(), manifest.until.clone());
        self.report.head = manifest.head.sequence;
        self.files(&manifest)?;
        let chain = self.chain(&manifest)?;
        let mut records = Vec::new();
        for name in self.source.names() {
            if (name.starts_with(ENVELOPES) || name.starts_with(COUNTERSIGNATURES))
                && let Some(found) = self.record(&name)?
            {
                records.push(found);
            }
        }
        records.sort_by_key(|r| r.statement.sequence);
        self.trust(&records);
        self.records(&records, &chain);
        self.manifest_signer()?;
        Ok(())
    }

    fn fault(&mut self, file: &str, what: impl Into<String>) {
        self.report.fault(file, what);
    }

    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.source.read(name, &mut self.report)
    }

    fn read_keys(&mut self) -> io::Result<()> {
        for pin in self.pins {
            self.keys.insert(pin.id(), pin.clone());
        }
        for name in self.source.names().iter().filter(|n| n.starts_with(KEYS)) {
            let content = self.read(name)?.unwrap_or_default();
            match std::str::from_utf8(&content).ok().and_then(Public::from_pem) {
                Some(key) if format!("{KEYS}{}.pem", key.id()) == *name => {
                    self.keys.insert(key.id(), key);
                }
                Some(key) => self.fault(name, format!("holds the key {}, not the one that its name says", key.id())),
                None => self.fault(name, "is no Ed25519 public key in PEM"),
            }
        }
        Ok(())
    }

    /// The manifest as it was signed; where its signature does not fit, as it lies there.
    fn manifest(&mut self) -> io::Result<Option<Manifest>> {
        let plain = self.read(MANIFEST)?;
        let signed = if let Some(content) = self.read(MANIFEST_SIGNED)? {
            self.open(MANIFEST_SIGNED, &content, MANIFEST_TYPE)
        } else {
            self.fault(MANIFEST_SIGNED, "is missing: nothing says who made this pack");
            None
        };
        match (&plain, &signed) {
            (None, _) => self.fault(MANIFEST, "is missing"),
            (Some(plain), Some(signed)) if *plain != signed.payload => {
                let at = plain.iter().zip(&signed.payload).position(|(a, b)| a != b).unwrap_or(plain.len().min(signed.payload.len()));
                self.fault(MANIFEST, format!("is not what was signed: it differs from byte {at} on"));
            }
            _ => {}
        }
        let Some(content) = signed.map(|s| s.payload).or(plain) else { return Ok(None) };
        match serde_json::from_slice::<Manifest>(&content) {
            Ok(m) if m.format == FORMAT => Ok(Some(m)),
            Ok(m) => {
                self.fault(MANIFEST, format!("has format {}, and this version reads {FORMAT}; use a newer Holdfast", m.format));
                Ok(None)
            }
            Err(e) => {
                self.fault(MANIFEST, format!("is no manifest of a pack: {e}"));
                Ok(None)
            }
        }
    }

    /// Whether the manifest's key is a trusted one. Known once the records of keys were read.
    fn manifest_signer(&mut self) -> io::Result<()> {
        let envelope = self.read(MANIFEST_SIGNED)?.and_then(|c| serde_json::from_slice::<Envelope>(&c).ok());
        if let Some(signature) = envelope.as_ref().and_then(|e| e.signatures.first()) {
            self.trusts(MANIFEST_SIGNED, &signature.keyid);
        }
        Ok(())
    }

    /// Each file of the manifest as it lists it, and no other one.
    fn files(&mut self, manifest: &Manifest) -> io::Result<()> {
        let mut listed = BTreeSet::from([MANIFEST.to_owned(), MANIFEST_SIGNED.to_owned()]);
        for f in &manifest.files {
            if !listed.insert(f.path.clone()) {
                self.fault(MANIFEST, format!("lists {} twice", f.path));
                continue;
            }
            match self.read(&f.path)? {
                None => {
                    let what = if f.path.starts_with(ENVELOPES) || f.path.starts_with(COUNTERSIGNATURES) { "this record is missing" } else { "is missing" };
                    self.fault(&f.path, what);
                }
                Some(content) if sha256(&content) != f.sha256 || content.len() as u64 != f.bytes => {
                    let found = format!("{} bytes, sha256 {}", content.len(), sha256(&content));
                    self.fault(&f.path, format!("was changed: it has {found}; the manifest lists {} bytes, sha256 {}", f.bytes, f.sha256));
                }
                Some(_) => {}
            }
        }
        for name in self.source.names() {
            if !listed.contains(&name) {
                self.fault(&name, "is not in the manifest: it was added later");
            }
        }
        Ok(())
    }

    /// The hash of each record by its number.
    fn chain(&mut self, manifest: &Manifest) -> io::Result<BTreeMap<i64, String>> {
        let mut chain = BTreeMap::new();
        let text = String::from_utf8_lossy(&self.read(CHAIN)?.unwrap_or_default()).into_owned();
        let mut lines = text.lines();
        if lines.next() != Some(CHAIN_HEAD) {
            self.fault(CHAIN, format!("does not begin with {CHAIN_HEAD}"));
        }
        for (n, line) in lines.enumerate() {
            let want = n as i64 + 1;
            match line.split_once(',').and_then(|(seq, hash)| Some((seq.parse::<i64>().ok()?, hash))) {
                Some((seq, hash)) if seq == want && hash.len() == 64 => {
                    chain.insert(seq, hash.to_owned());
                }
                Some((seq, _)) if seq != want => {
                    self.fault(CHAIN, format!("line {} names record {seq} where {want} belongs: records are missing, there twice, or in another order", n + 2));
                    break;
                }
                _ => {
                    self.fault(CHAIN, format!("line {} cannot be read", n + 2));
                    break;
                }
            }
        }
        let last = chain.last_key_value().map(|(seq, hash)| (*seq, hash.clone())).unwrap_or_default();
        if last != (manifest.head.sequence, manifest.head.sha256.clone()) {
            self.fault(CHAIN, format!("ends with record {}, and the manifest's last one is {}", last.0, manifest.head.sequence));
        }
        Ok(chain)
    }

    /// Opens an envelope: its form, its key, its signature.
    fn open(&mut self, file: &str, content: &[u8], kind: &str) -> Option<Opened> {
        let envelope: Envelope = match serde_json::from_slice(content) {
            Ok(e) => e,
            Err(e) => {
                self.fault(file, format!("is no DSSE envelope: {e}"));
                return None;
            }
        };
        if envelope.text().as_bytes() != content {
            self.fault(file, "is written in another form than Holdfast writes envelopes: it was changed outside of what is signed");
        }
        if envelope.payload_type != kind {
            self.fault(file, format!("has the payload type {}, and {kind} belongs here", envelope.payload_type));
        }
        let [signature] = &envelope.signatures[..] else {
            self.fault(file, format!("has {} signatures, and one belongs here", envelope.signatures.len()));
            return None;
        };
        let Some(key) = self.keys.get(&signature.keyid).cloned() else {
            self.fault(file, format!("was signed by an unknown key, {}; get that key from whoever made the pack and give it with --key", signature.keyid));
            return None;
        };
        let (Some(payload), Some(bytes)) = (envelope.bytes(), decoded(&signature.sig)) else {
            self.fault(file, "its payload or its signature is no base64");
            return None;
        };
        let message = pae(&envelope.payload_type, &payload);
        if !key.verifies(&message, &bytes) {
            self.fault(file, "its signature does not fit: the payload, its type or the signature was changed");
            return None;
        }
        Some(Opened { keyid: signature.keyid.clone(), hash: sha256(&message), payload })
    }

    /// Reads a record and holds it against its own name.
    fn record(&mut self, name: &str) -> io::Result<Option<Proven>> {
        let content = self.read(name)?.unwrap_or_default();
        let Some(opened) = self.open(name, &content, EVIDENCE_TYPE) else { return Ok(None) };
        let statement: Statement = match serde_json::from_slice(&opened.payload) {
            Ok(s) => s,
            Err(e) => {
                self.fault(name, format!("states something that this version cannot read ({e}); use a newer Holdfast"));
                return Ok(None);
            }
        };
        if statement.format != FORMAT {
            self.fault(name, format!("has format {}, and this version reads {FORMAT}; use a newer Holdfast", statement.format));
            return Ok(None);
        }
        let folder = if matches!(statement.what, What::Countersignature(_)) { COUNTERSIGNATURES } else { ENVELOPES };
        let want = format!("{folder}{:06}.json", statement.sequence);
        if name != want {
            self.fault(
                name,
                format!("holds record {}, which belongs into {want}: records were put into another order, or one is there twice", statement.sequence),
            );
        }
        Ok(Some(Proven { file: name.to_owned(), keyid: opened.keyid, hash: opened.hash, statement }))
    }

    /// Follows the records of keys: whom a trusted key announces is trusted, and whom a new one replaces is retired.
    fn trust(&mut self, records: &[Proven]) {
        if self.pins.is_empty() {
            for id in self.keys.keys() {
                self.report.trusted.insert(id.clone(), "stands in the pack itself".to_owned());
            }
        }
        for r in records {
            let What::Key(new) = &r.statement.what else { continue };
            if let Some(old) = &new.replaces {
                self.retired.insert(old.clone(), r.statement.sequence);
                if *old != r.keyid {
                    self.report.fault(&r.file, format!("announces a new key in the name of {old}, and that key did not sign it"));
                } else if self.report.trusted.contains_key(old) {
                    self.report.trusted.entry(new.key.clone()).or_insert_with(|| format!("announced by a trusted key in record {}", r.statement.sequence));
                }
            }
            if Public::from_pem(&new.pem).is_none_or(|k| k.id() != new.key) {
                self.report.fault(&r.file, "announces a key whose id is not that of its PEM");
            }
        }
    }

    fn trusts(&mut self, file: &str, keyid: &str) {
        if self.report.pinned && !self.report.trusted.contains_key(keyid) {
            self.fault(file, format!("was signed by the key {keyid}, which is none of those given with --key, nor announced by one of them"));
        }
    }

    /// Each record against the chain, and against the others.
    fn records(&mut self, records: &[Proven], chain: &BTreeMap<i64, String>) {
        let (mut numbers, mut tests, mut said) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for r in records {
            let seq = r.statement.sequence;
            let before = self.report.faults.len();
            self.trusts(&r.file, &r.keyid);
            if let Some(other) = numbers.insert(seq, r.file.clone()) {
                self.fault(&r.file, format!("is record {seq}, and so is {other}: one of them is there twice"));
            }
            match chain.get(&seq) {
                Some(hash) if *hash == r.hash => {}
                Some(_) => self.fault(&r.file, format!("is not the record {seq} that {CHAIN} lists")),
                None => self.fault(&r.file, format!("is record {seq}, which {CHAIN} does not list")),
            }
            if chain.get(&(seq - 1)).map_or("", String::as_str) != r.statement.previous {
                self.fault(&r.file, format!("is not bound to record {}: a record before it was changed, removed, or put into another order", seq - 1));
            }
            if let Some(at) = self.retired.get(&r.keyid).filter(|at| seq > **at) {
                self.report.fault(&r.file, format!("was signed by the key {}, which record {at} retired", r.keyid));
            }
            match &r.statement.what {
                What::RestoreTest(t) => {
                    if let Some(other) = tests.insert(t.test.clone(), r.file.clone()) {
                        self.fault(&r.file, format!("is about the same test as {other}: it is there twice"));
                    }
                }
                What::Countersignature(c) => {
                    if chain.get(&c.record) != Some(&c.sha256) {
                        self.fault(&r.file, format!("countersigns record {} with another hash than {CHAIN} lists", c.record));
                    }
                    if !said.insert((c.record, r.statement.actor.clone())) {
                        self.fault(&r.file, format!("countersigns record {} in the name of {} a second time", c.record, c.name));
                    }
                }
                What::Key(_) => {}
            }
            if self.report.faults.len() == before {
                match r.statement.what {
                    What::RestoreTest(_) => self.report.tests += 1,
                    What::Countersignature(_) => self.report.countersignatures += 1,
                    What::Key(_) => self.report.keys += 1,
                }
            }
        }
    }
}
