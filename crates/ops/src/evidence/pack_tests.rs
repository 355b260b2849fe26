//! Packs: whole, proven by a stranger, and damaged in every way.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read as _, Seek as _},
    path::Path,
};

use domain::{evidence::Verdict, statement::MANIFEST_TYPE, units::Timestamp};
use jiff::tz::TimeZone;
use store::testing;

use super::{
    Period, countersign,
    dsse::{Envelope, Private, Public, encoded, pae, sha256},
    pack::{self, COUNTERSIGNATURES, ENVELOPES, MANIFEST, MANIFEST_SIGNED},
    rotate_key, tend,
    tests::{DAY, Site, period, site},
    verify::{Report, verify},
    zip,
};
use crate::{OpsError, Role};

async fn made(site: &Site, of: &Period) -> Vec<u8> {
    let mut pack = pack::take(&site.ctx, &site.vault, of, &TimeZone::UTC).await.unwrap();
    let mut bytes = Vec::new();
    pack.file.rewind().unwrap();
    pack.file.read_to_end(&mut bytes).unwrap();
    assert_eq!((bytes.len() as u64, sha256(&bytes)), (pack.bytes, pack.sha256));
    bytes
}

/// Two services, tests of three days, a change of the key, a countersignature.
async fn filled(site: &Site) -> Vec<u8> {
    let (a, b) = (site.service("alpha").await, site.service("beta").await);
    site.recorded(a, DAY, Verdict::Passed, None).await;
    tend(&site.ctx, &site.vault).await.unwrap();
    site.recorded(b, 2 * DAY, Verdict::Failed, Some(&site.vault)).await;
    rotate_key(&site.ctx, &site.vault, None).await.unwrap();
    site.recorded(a, 3 * DAY, Verdict::Passed, Some(&site.vault)).await;
    countersign(&site.as_role("aud", Role::Auditor, &[]), &site.vault, 1, "seen").await.unwrap();
    made(site, &period(0, 9 * DAY)).await
}

fn members(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut from = Cursor::new(bytes);
    let opened = zip::open(&mut from).unwrap();
    assert_eq!(opened.faults, []);
    opened.members.iter().map(|m| (m.name.clone(), zip::content(&mut from, m).unwrap())).collect()
}

fn proven(place: &Path, bytes: &[u8], pins: &[Public]) -> Report {
    let file = place.join("pack.zip");
    fs::write(&file, bytes).unwrap();
    verify(&file, pins).unwrap()
}

fn unpacked(place: &Path, files: &BTreeMap<String, Vec<u8>>) -> Report {
    let root = place.join("unpacked");
    fs::remove_dir_all(&root).ok();
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    verify(&root, &[]).unwrap()
}

/// The first sentence about a file.
fn about<'a>(report: &'a Report, file: &str) -> &'a str {
    report.faults.iter().find(|f| f.file == file).map_or("", |f| &f.what)
}

#[tokio::test]
async fn a_pack_is_whole_and_the_same_twice() {
    for t in testing::databases().await {
        let s = site(&t.db);
        let bytes = filled(&s).await;
        let report = proven(s.folder(), &bytes, &[]);
        assert_eq!(report.faults, [], "{}", t.name);
        assert_eq!((report.tests, report.keys, report.countersignatures, report.head, report.pinned), (3, 2, 1, 6, false));
        assert_eq!(made(&s, &period(0, 9 * DAY)).await, bytes, "{}: the same evidence gives the same bytes", t.name);
        let files = members(&bytes);
        assert_eq!(unpacked(s.folder(), &files).faults, []);
        for name in ["README.md", "summary.html", "tests.json", "logs/000001.txt", "envelopes/000004.json", "countersignatures/000006.json"] {
            assert!(files.contains_key(name), "{}: {name} in {:?}", t.name, files.keys());
        }
        assert!(files["summary.pdf"].starts_with(b"%PDF-"));
        let log = String::from_utf8(files["logs/000001.txt"].clone()).unwrap();
        assert!(log.contains("info restored all"), "{log}");
        // A part of it is a pack of its own, and says nothing of the other service.
        let part = made(&s, &Period { service: "alpha".into(), ..period(2 * DAY, 9 * DAY) }).await;
        let report = proven(s.folder(), &part, &[]);
        assert_eq!((report.faults.len(), report.tests, report.keys), (0, 1, 2), "{}: {:?}", t.name, report.faults);
        assert!(!String::from_utf8_lossy(&part).contains("beta"));
        let empty = pack::take(&s.ctx, &s.vault, &period(DAY, DAY), &TimeZone::UTC).await;
        assert!(matches!(empty, Err(OpsError::Invalid(e)) if e[0].field == "from"));
        let owner = s.as_role("own", Role::Owner, &[]);
        let hidden = pack::take(&owner, &s.vault, &Period { service: "alpha".into(), ..period(0, DAY) }, &TimeZone::UTC).await;
        assert!(matches!(hidden, Err(OpsError::NotFound { .. })));
    }
}

#[tokio::test]
async fn one_changed_byte_anywhere_is_found_and_named() {
    let t = testing::sqlite().await;
    let s = site(&t.db);
    let bytes = filled(&s).await;
    let files = members(&bytes);
    for (name, content) in &files {
        let step = (content.len() / 23).max(1);
        for at in (0..content.len()).step_by(step) {
            let mut bad = files.clone();
            bad.get_mut(name).unwrap()[at] ^= 1;
            let report = unpacked(s.folder(), &bad);
            assert!(!about(&report, name).is_empty(), "{name}, byte {at}: {:?}", report.faults);
        }
    }
    // The same through the archive, its headers and its directory included.
    for at in (0..bytes.len()).step_by(bytes.len() / 400) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(!proven(s.folder(), &bad, &[]).is_intact(), "byte {at} of the archive");
    }
    let tail = bytes.len() - 200;
    for at in tail..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(!proven(s.folder(), &bad, &[]).is_intact(), "byte {at} of the archive");
    }
    for end in [0, 1, 30, bytes.len() / 2, bytes.len() - 1] {
        assert!(!proven(s.folder(), &bytes[..end], &[]).is_intact(), "cut at {end}");
    }
}

#[tokio::test]
async fn missing_moved_doubled_and_added_records_are_named() {
    let t = testing::sqlite().await;
    let s = site(&t.db);
    let files = members(&filled(&s).await);
    let (two, three) = (format!("{ENVELOPES}000003.json"), format!("{ENVELOPES}000005.json"));
    let mut bad = files.clone();
    bad.remove(&two);
    assert_eq!(about(&unpacked(s.folder(), &bad), &two), "this record is missing");
    bad = files.clone();
    let (x, y) = (files[&two].clone(), files[&three].clone());
    bad.insert(two.clone(), y);
    bad.insert(three.clone(), x.clone());
    let report = unpacked(s.folder(), &bad);
    assert!(report.faults.iter().any(|f| f.file == two && f.what.contains("holds record 5")), "{:?}", report.faults);
    bad = files.clone();
    bad.insert(format!("{ENVELOPES}000009.json"), x);
    let report = unpacked(s.folder(), &bad);
    assert!(report.faults.iter().any(|f| f.file.ends_with("000009.json") && f.what.contains("twice")), "{:?}", report.faults);
    bad = files.clone();
    bad.insert("logs/more.txt".into(), b"x".to_vec());
    assert!(about(&unpacked(s.folder(), &bad), "logs/more.txt").contains("added"));
    for gone in [MANIFEST, MANIFEST_SIGNED, "chain.csv", "summary.pdf"] {
        bad = files.clone();
        bad.remove(gone);
        assert!(!about(&unpacked(s.folder(), &bad), gone).is_empty(), "{gone}");
    }
}

/// Whoever has a key of their own can sign everything anew; a pinned key shows it.
#[tokio::test]
async fn a_key_from_elsewhere_shows_who_made_a_pack() {
    let t = testing::sqlite().await;
    let s = site(&t.db);
    let bytes = filled(&s).await;
    let files = members(&bytes);
    let keys = super::keys(&s.ctx).await.unwrap();
    let pem = |n: usize| Public::from_pem(&keys[n].pem).unwrap();
    // The newest key alone knows nothing of the first records' key; the first one announced the newest.
    let report = proven(s.folder(), &bytes, &[pem(1)]);
    assert_eq!((report.faults.len(), report.pinned), (0, true), "{:?}", report.faults);
    assert!(report.trusted[&keys[0].id].contains("announced"));
    let newest = proven(s.folder(), &bytes, &[pem(0)]);
    assert!(newest.faults.iter().all(|f| f.file.starts_with(ENVELOPES) && f.what.contains("none of those given")), "{:?}", newest.faults);
    assert!(!newest.is_intact());
    // A forged manifest, signed by a key that is put beside.
    let (forger, _) = Private::new().unwrap();
    let own = forger.public().unwrap();
    let mut bad = files.clone();
    let sign = |payload: &[u8], kind: &str| {
        let signature = encoded(&forger.sign(&pae(kind, payload)));
        Envelope::new(kind, payload, &own.id(), &signature).text().into_bytes()
    };
    bad.insert(MANIFEST_SIGNED.into(), sign(&files[MANIFEST], MANIFEST_TYPE));
    let unknown = unpacked(s.folder(), &bad);
    assert!(about(&unknown, MANIFEST_SIGNED).contains("unknown key") && about(&unknown, MANIFEST_SIGNED).contains("--key"), "{:?}", unknown.faults);
    bad.insert(format!("keys/{}.pem", own.id()), own.pem().into_bytes());
    let root = s.folder().join("unpacked");
    unpacked(s.folder(), &bad);
    let pinned = verify(&root, &[pem(1)]).unwrap();
    assert!(about(&pinned, MANIFEST_SIGNED).contains("none of those given"), "{:?}", pinned.faults);
    // A record of another kind of payload, and a countersignature in the wrong folder.
    let first = format!("{ENVELOPES}000001.json");
    let envelope: Envelope = serde_json::from_slice(&files[&first]).unwrap();
    bad = files.clone();
    bad.insert(first.clone(), sign(&envelope.bytes().unwrap(), "text/plain"));
    bad.insert(format!("keys/{}.pem", own.id()), own.pem().into_bytes());
    assert!(unpacked(s.folder(), &bad).faults.iter().any(|f| f.file == first && f.what.contains("payload type")));
    bad = files.clone();
    let said = bad.remove(&format!("{COUNTERSIGNATURES}000006.json")).unwrap();
    bad.insert(format!("{ENVELOPES}000006.json"), said);
    assert!(about(&unpacked(s.folder(), &bad), &format!("{ENVELOPES}000006.json")).contains("belongs into"));
}

#[tokio::test]
async fn no_cell_is_a_formula_and_no_name_leaves_its_line() {
    let t = testing::sqlite().await;
    let s = site(&t.db);
    let id = s.service("=cmd").await;
    s.recorded(id, DAY, Verdict::Passed, None).await;
    let files = members(&made(&s, &Period { since: Timestamp(0), until: Timestamp(2 * DAY), service: String::new() }).await);
    let csv = String::from_utf8(files["tests.csv"].clone()).unwrap();
    assert!(csv.contains(",'=cmd,The =cmd,"), "{csv}");
    assert_eq!(csv.lines().count(), 2);
}
