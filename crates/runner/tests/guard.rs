//! The guard, end to end: real homes, real backups, real holds (R21). The figures are printed: `-- --nocapture`.

#![allow(clippy::print_stdout, reason = "the figures are the test's report")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use common::{Site, tree};
use domain::{
    guard::{Measure, Sign},
    id::{ItemId, RunId, SnapshotId},
    restore::ConflictMode,
    retention::Rules,
    run::RunState,
    units::{Timestamp, size},
    work::{BackupResult, PruneParams, RestoreTarget},
};
use ops::{
    holds::{self, Hold, State},
    restores::{Choice, Request},
};
use runner::{Fault, Moment};
use store::{guard, holds as rows, items, runs::RunRow, snapshots::Doubt, testing};

/// Bytes that do not compress, always the same for a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    use sha2::Digest as _;
    (0_u64..).flat_map(|n| sha2::Sha256::digest([seed.to_le_bytes(), n.to_le_bytes()].concat())).take(length).collect()
}

fn notebook(n: u64) -> String {
    let cell = |c: u64| format!("{{\"cell_type\": \"code\", \"source\": [\"x{c} = load({n}, {})\"], \"outputs\": []}}", n * 7_919 + c);
    format!("{{\"cells\": [{}]}}", (0..40).map(cell).collect::<Vec<_>>().join(",\n"))
}

/// Sixty notebooks, twenty pictures, a cache of a hundred files.
fn fill(home: &Path, seed: u64) {
    for folder in ["work/fits", "pictures", ".cache/pip"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    for n in 0..60 {
        fs::write(home.join(format!("work/fits/n{n:02}.ipynb")), notebook(seed + n)).unwrap();
    }
    for n in 0..20 {
        fs::write(home.join(format!("pictures/p{n:02}.jpg")), [b"\xff\xd8\xff\xe0".to_vec(), noise(seed + n, 6_000)].concat()).unwrap();
    }
    for n in 0..100 {
        fs::write(home.join(format!(".cache/pip/{n}")), notebook(seed + 500 + n)).unwrap();
    }
}

/// A day of ordinary work.
fn work(home: &Path, day: u64) {
    fs::write(home.join(format!("work/fits/n{:02}.ipynb", day % 60)), notebook(10_000 + day)).unwrap();
    fs::write(home.join(format!("work/new-{day}.ipynb")), notebook(20_000 + day)).unwrap();
}

fn result(run: &RunRow) -> BackupResult {
    serde_json::from_value(run.result.clone().unwrap().0).unwrap()
}

/// The item's newest snapshot and what it changed.
async fn newest(site: &Site, user: &str) -> (SnapshotId, Measure) {
    let mut read = site.db.db.read().await.unwrap();
    let item = items::find_by_name(read.tx(), site.source, user).await.unwrap().unwrap();
    let id = SnapshotId(item.last_snapshot_id.unwrap());
    let row = store::snapshots::find(read.tx(), id).await.unwrap().unwrap();
    (id, row.measure.unwrap().0)
}

async fn item(site: &Site, user: &str) -> ItemId {
    ItemId(items::find_by_name(site.db.db.read().await.unwrap().tx(), site.source, user).await.unwrap().unwrap().id)
}

async fn doubt(site: &Site, id: SnapshotId) -> Option<Doubt> {
    ops::snapshots::listed(&site.ctx, id).await.unwrap().doubt()
}

async fn standing(site: &Site) -> Vec<Hold> {
    holds::standing(&site.ctx, 50).await.unwrap()
}

async fn pausing(site: &Site) -> usize {
    rows::pausing(site.db.db.read().await.unwrap().tx(), site.repository, 50).await.unwrap().len()
}

/// Snapshots of the item that the repository holds.
async fn kept(site: &Site, user: &str) -> usize {
    let id = item(site, user).await;
    let key = (Timestamp(i64::MAX), uuid::Uuid::max());
    store::snapshots::of_item(site.db.db.read().await.unwrap().tx(), id, key, 50).await.unwrap().len()
}

fn show(what: &str, m: &Measure) {
    println!(
        "{what:<34} files {:>4} | new {:>3} other {:>3} gone {:>3} moved {:>3} cache {:>3} | came {:>9}, noise {:>9} | turned {:>3}",
        m.files,
        m.added,
        m.rewritten,
        m.removed,
        m.moved,
        m.shed,
        size(m.came_bytes),
        size(m.noise_bytes.unwrap_or(0)),
        m.turned
    );
}

/// Overwrites fifty notebooks in place with noise, encrypts ten under new names, and leaves a note.
fn encrypt(home: &Path) {
    for n in 0..60 {
        let path = home.join(format!("work/fits/n{n:02}.ipynb"));
        let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap() + 48;
        if n < 50 {
            fs::write(&path, noise(90_000 + n, length)).unwrap();
        } else {
            fs::write(path.with_extension("ipynb.locked"), noise(90_000 + n, length)).unwrap();
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(home.join("READ_ME.txt"), "your files are encrypted\n".repeat(20)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_home_is_held_restored_and_released() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let home = site.home("ada");
        fill(&home, 1_000);
        for day in 0..4 {
            work(&home, day);
            let run = site.backup().await;
            assert!(result(&run).holds.is_empty(), "{:?}", result(&run).holds);
            show(&format!("day {day}"), &newest(&site, "ada").await.1);
        }
        let (good, _) = newest(&site, "ada").await;
        let before = tree(&home);
        encrypt(&home);
        let run = site.backup().await;
        let (bad, m) = newest(&site, "ada").await;
        show("the attack", &m);
        let placed = result(&run).holds;
        assert_eq!((placed.len(), placed[0].item.as_deref()), (1, Some("ada")), "the run succeeded and names the hold: {placed:?}");
        println!("{}", placed[0].reason);
        assert!(placed[0].reason.contains("turned into noise"), "{}", placed[0].reason);
        assert!(site.log(run.id()).await.contains("warn log: ada is on hold, and prunes of its repository pause"), "{}", site.log(run.id()).await);
        let hold = standing(&site).await.pop().unwrap();
        let facts = hold.facts.clone().unwrap();
        assert_eq!((hold.state(), facts.findings[0].sign, facts.snapshot), (State::Undecided, Sign::Turned, Some(bad)));
        assert!(facts.findings[0].files >= 55 && facts.compared == 4, "{facts:?}");
        assert_eq!((doubt(&site, bad).await, pausing(&site).await), (Some(Doubt::InQuestion), 1));

        // The next backup finds nothing new: one event is one hold, and what follows is in question too.
        let run = site.backup().await;
        assert_eq!((result(&run).holds.len(), standing(&site).await.len()), (0, 1));
        let (after, _) = newest(&site, "ada").await;
        assert_eq!(doubt(&site, after).await, Some(Doubt::InQuestion));

        let id = hold.row().id();
        holds::keep(&site.ctx, id, "malware on her laptop").await.unwrap();
        assert_eq!((doubt(&site, bad).await, doubt(&site, after).await, pausing(&site).await), (Some(Doubt::Bad), Some(Doubt::Bad), 0));
        let proposed = holds::last_good(&site.ctx, item(&site, "ada").await).await.unwrap().unwrap();
        assert_eq!(proposed.id, good.0, "{}: the last one before the attack", site.db.name);

        // Restore what is proposed, in place; the safety snapshot is as bad as what it saves.
        fs::remove_dir_all(home.join("work")).unwrap();
        let choices = vec![Choice { snapshot: SnapshotId(proposed.id), paths: vec![] }];
        let request = Request { choices, target: RestoreTarget::InPlace, conflict: ConflictMode::Overwrite, preview: false, confirm: Some("notebooks".into()) };
        let run = ops::restores::start(&site.ctx, request).await.unwrap();
        assert_eq!(site.end(run).await.state, RunState::Succeeded);
        let (safety, _) = newest(&site, "ada").await;
        assert_eq!(doubt(&site, safety).await, Some(Doubt::Bad));
        fs::remove_file(home.join("READ_ME.txt")).unwrap();
        assert!(tree(&home) == before, "everything is back");

        let run = site.backup().await;
        assert!(result(&run).holds.is_empty(), "a hold stands already");
        holds::release(&site.ctx, id, "restored and looked through").await.unwrap();
        let (restored, _) = newest(&site, "ada").await;
        assert_eq!((doubt(&site, restored).await, doubt(&site, safety).await), (None, Some(Doubt::Bad)));
        work(&home, 9);
        let run = site.backup().await;
        assert!(result(&run).holds.is_empty() && standing(&site).await.is_empty(), "an ordinary day again");
        assert_eq!(doubt(&site, newest(&site, "ada").await.0).await, None);
        site.assert_clean("encrypted").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_deletion_is_held_and_what_is_released_is_normal() {
    let site = Site::new(testing::sqlite().await).await;
    let home = site.home("bob");
    fill(&home, 3_000);
    for day in 0..3 {
        work(&home, day);
        site.backup().await;
    }
    fs::remove_dir_all(home.join("work")).unwrap();
    for n in 0..15 {
        fs::remove_file(home.join(format!("pictures/p{n:02}.jpg"))).unwrap();
    }
    site.policy(Rules { keep_last: 1, ..Rules::default() }).await;
    let run = site.backup().await;
    let (gone, m) = newest(&site, "bob").await;
    show("the deletion", &m);
    assert_eq!((kept(&site, "bob").await, kept(&site, "cy").await), (4, 1), "the guard comes before the policy");
    let refused = ops::prunes::start(&site.ctx, "main", PruneParams::default()).await.unwrap_err().to_string();
    assert!(refused.starts_with("prunes of main pause: "), "{refused}");
    let hold = standing(&site).await.pop().unwrap();
    println!("{}", hold.row().reason);
    assert_eq!((result(&run).holds.len(), hold.facts.clone().unwrap().findings[0].sign), (1, Sign::Lost));
    holds::release(&site.ctx, hold.row().id(), "he has moved to another group").await.unwrap();
    assert_eq!(doubt(&site, gone).await, Some(Doubt::Accepted));
    assert_eq!(holds::last_good(&site.ctx, item(&site, "bob").await).await.unwrap().unwrap().id, gone.0);
    fs::write(home.join("hello.txt"), "hello").unwrap();
    assert!(result(&site.backup().await).holds.is_empty(), "the new state is normal");
    assert_eq!(kept(&site, "bob").await, 1, "and the policy decides again");
    ops::prunes::start(&site.ctx, "main", PruneParams::default()).await.map(|_| ()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_week_does_not_trip_it() {
    let site = Site::new(testing::sqlite().await).await;
    let home = site.home("cy");
    fill(&home, 5_000);
    for day in 0..8 {
        work(&home, day);
        let what = match day {
            1 => {
                for n in 0..25 {
                    fs::write(home.join(format!("work/course-{n}.ipynb")), notebook(30_000 + n)).unwrap();
                }
                "25 new notebooks"
            }
            2 => {
                for n in 0..30 {
                    fs::write(home.join(format!("work/fits/n{n:02}.ipynb")), notebook(40_000 + n)).unwrap();
                }
                "30 notebooks run again"
            }
            3 => {
                fs::create_dir_all(home.join("data")).unwrap();
                for n in 0..40 {
                    fs::write(home.join(format!("data/part-{n:02}.bin")), noise(50_000 + n, 200_000)).unwrap();
                }
                "a download of 40 files of noise"
            }
            4 => {
                fs::remove_dir_all(home.join(".cache")).unwrap();
                "a cleaned cache"
            }
            5 => {
                for n in 0..20 {
                    fs::write(home.join(format!("pictures/p{n:02}.jpg")), [b"\xff\xd8\xff\xe0".to_vec(), noise(60_000 + n, 7_000)].concat()).unwrap();
                }
                "20 pictures edited"
            }
            6 => {
                for n in 0..15 {
                    let from = home.join(format!("work/course-{n}.ipynb"));
                    fs::write(from.with_extension("ipynb.gz"), [b"\x1f\x8b\x08\0".to_vec(), noise(n, 700)].concat()).unwrap();
                    fs::remove_file(from).unwrap();
                }
                fs::remove_dir_all(home.join("data")).unwrap();
                "15 files compressed, the download gone"
            }
            7 => {
                fs::rename(home.join("work"), home.join("thesis")).unwrap();
                "the folder of all work renamed"
            }
            _ => "an ordinary day",
        };
        let run = site.backup().await;
        show(what, &newest(&site, "cy").await.1);
        assert!(result(&run).holds.is_empty(), "{what}: {:?}", result(&run).holds);
    }
    assert!(standing(&site).await.is_empty() && pausing(&site).await == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_homes_are_one_event() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let users: Vec<String> = (0..9).map(|n| format!("student{n}")).collect();
        for (n, user) in users.iter().enumerate() {
            fs::create_dir_all(site.home(user)).unwrap();
            for f in 0..6 {
                fs::write(site.home(user).join(format!("{f}.ipynb")), notebook(n as u64 * 100 + f)).unwrap();
            }
        }
        site.backup().await;
        for (n, user) in users.iter().enumerate() {
            for f in 0..5 {
                fs::write(site.home(user).join(format!("{f}.ipynb")), noise(n as u64 * 100 + f, 4_000)).unwrap();
            }
        }
        let run = site.backup().await;
        let placed = result(&run).holds;
        assert_eq!((placed.len(), placed[0].item.as_deref()), (1, None), "one hold over the service: {placed:?}");
        println!("{}", placed[0].reason);
        let hold = holds::find(&site.ctx, placed[0].hold).await.unwrap();
        assert_eq!((hold.marked, hold.good.len(), hold.facts.clone().unwrap().crowd.unwrap().names.len()), (9, 9, 9));
        assert_eq!((doubt(&site, newest(&site, "student3").await.0).await, doubt(&site, newest(&site, "ada").await.0).await), (Some(Doubt::InQuestion), None));
        holds::release(&site.ctx, placed[0].hold, "an exercise").await.unwrap();

        // Most of the homes vanish.
        for user in &users[..7] {
            fs::remove_dir_all(site.home(user)).unwrap();
        }
        let run = site.backup().await;
        let placed = result(&run).holds;
        assert_eq!(placed.len(), 1, "{}", site.log(run.id()).await);
        println!("{}", placed[0].reason);
        assert!(placed[0].reason.contains("7 of 12 items are no longer there"), "{}", placed[0].reason);
        // Nothing new has vanished on the next day.
        let run = site.backup().await;
        assert!(result(&run).holds.is_empty());
        site.assert_clean("crowd").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_guard_places_one_hold_all_the_same() {
    let mut site = Site::new(testing::sqlite().await).await;
    site.deps.limits.lease = std::time::Duration::from_secs(3);
    let home = site.home("ada");
    fill(&home, 1_000);
    site.backup().await;
    encrypt(&home);
    let once = std::sync::atomic::AtomicBool::new(false);
    let deps = site.with_faults(move |step, moment| {
        (step == "guard" && moment == Moment::Done && !once.swap(true, std::sync::atomic::Ordering::SeqCst)).then_some(Fault::Crash)
    });
    let run: RunId = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
    let done = site.end_with(deps, run).await;
    assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
    let placed = guard::placed_by(site.db.db.read().await.unwrap().tx(), run, 10).await.unwrap();
    assert_eq!((placed.len(), standing(&site).await.len(), result(&done.run).holds.len()), (1, 1, 1));
    site.assert_clean("crash").await;
}
