//! Any tree comes back as it was.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use domain::restore::ConflictMode;
use proptest::prelude::*;

use crate::{
    disk::{assert_same, inside, state},
    job, restore, scratch,
    stock::{backup, compare, noise},
    unwind,
};

#[derive(Clone, Debug)]
enum Thing {
    File { seed: u64, length: usize, mode: u32, time: (u64, u32), hole: bool },
    Link(Vec<u8>),
    Folder(u32, BTreeMap<Vec<u8>, Thing>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![6 => 97_u8..123, 1 => any::<u8>()].prop_filter("no name holds it", |b| *b != 0 && *b != b'/');
    prop::collection::vec(byte, 1..12).prop_filter("these are taken", |n| n != b"." && n != b"..")
}

fn thing() -> impl Strategy<Value = Thing> {
    let length = prop_oneof![Just(0), 1_usize..5_000, 60_000_usize..2_000_000];
    let mode = prop_oneof![Just(0o644), Just(0o600), Just(0o755), Just(0o4755), Just(0o444)];
    let file = (any::<u64>(), length, mode, (0_u64..4_000_000_000, 0_u32..1_000_000_000), any::<bool>());
    let target = prop::collection::vec(33_u8..127, 1..30);
    let leaf = prop_oneof![
        4 => file.prop_map(|(seed, length, mode, time, hole)| Thing::File { seed, length, mode, time, hole }),
        1 => target.prop_map(Thing::Link),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        let mode = prop_oneof![Just(0o755), Just(0o700), Just(0o2775), Just(0o1777), Just(0o711)];
        (mode, prop::collection::btree_map(name(), inner, 0..8)).prop_map(|(m, all)| Thing::Folder(m, all))
    })
}

fn make(path: &Path, thing: &Thing) {
    match thing {
        Thing::File { seed, length, mode, time, hole } => {
            fs::write(path, noise(*seed, *length)).unwrap();
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            if *hole {
                file.set_len(*length as u64 * 2).unwrap();
            }
            file.set_modified(UNIX_EPOCH + Duration::new(time.0, time.1)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        Thing::Link(target) => symlink(std::ffi::OsStr::from_bytes(target), path).unwrap(),
        Thing::Folder(mode, all) => {
            fs::create_dir_all(path).unwrap();
            for (name, thing) in all {
                make(&path.join(std::ffi::OsStr::from_bytes(name)), thing);
            }
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            fs::File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::new(1_234_567_890, *mode)).unwrap();
        }
    }
}

fn folder() -> impl Strategy<Value = Thing> {
    prop::collection::btree_map(name(), thing(), 1..10).prop_map(|all| Thing::Folder(0o755, all))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn round_trip(source in folder(), other in folder()) {
        let dir = scratch();
        let (repo, home, fresh, used) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("fresh"), dir.path().join("used"));
        make(&home, &source);
        let snapshot = backup(&repo, &home);
        restore(&job(&repo, &snapshot, &fresh, ConflictMode::Fail)).result.unwrap();
        assert_same(&inside(&home), &inside(&fresh));
        let (compared, _) = compare(&repo, &snapshot, &fresh, &[]);
        prop_assert_eq!(compared.differences, vec![]);
        // Over a folder of other things: a crash just before the end is unwound to the last byte and time.
        make(&used, &other);
        let before = state(&used);
        let over = job(&repo, &snapshot, &used, ConflictMode::Overwrite);
        let stop = |what: &'static str| match what {
            "before the restore stands" => Err(engine::EngineError::new(engine::ErrorKind::Internal, "crash")),
            _ => Ok(()),
        };
        crate::restore_until(&over, &stop, engine::restore::Ending::Crash).result.unwrap_err();
        unwind(&[&used]).unwrap();
        assert_same(&before, &state(&used));
        restore(&over).result.unwrap();
        let again = restore(&over);
        prop_assert_eq!((again.ok().counts.create, again.ok().counts.replace), (0, 0), "a second time everything is the same");
    }
}
