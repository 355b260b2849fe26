use proptest::prelude::*;

use super::{
    inplace::{Method, method},
    *,
};
use crate::units::Timestamp;

/// 2026-01-31 23:59:58 UTC.
const AT: Timestamp = Timestamp::from_secs(1_769_903_998);
const MINUTE: Timestamp = Timestamp::from_secs(1_769_903_940);

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

#[test]
fn names_are_written_and_read() {
    for (text, instance, name) in [
        (Pattern::DEFAULT, "web", "web_snapshot_202601312359"),
        ("{1}_{0}", "2026", "202601312359_2026"),
        ("snap {0} at {1}Z", "a at 202501010000Z", "snap a at 202501010000Z at 202601312359Z"),
        ("{0}-{1}", "x-202501010000", "x-202501010000-202601312359"),
        ("ü{1}ü{0}ü", "ü", "ü202601312359üüü"),
        ("{0}_snapshot_{1}", "{1}_{0}", "{1}_{0}_snapshot_202601312359"),
        ("1{0}1_{1}", "1", "111_202601312359"),
    ] {
        let pattern = pattern(text);
        assert_eq!(pattern.name(instance, AT), name);
        assert_eq!(pattern.read(name), Some((instance.to_owned(), MINUTE)), "{text}");
        assert_eq!(pattern.to_string(), text);
    }
    assert_eq!(Pattern::default(), pattern(Pattern::DEFAULT));
}

#[test]
fn what_is_not_of_the_pattern_is_not_read() {
    let p = Pattern::default();
    for name in [
        "",
        "_snapshot_202601312359",
        "web_snapshot_20260131235",
        "web_snapshot_2026013123590",
        "web_snapshot_202602300000",
        "web_snapshot_202601312460",
        "web_snapshot_20260131235x",
        "web_snapshot_+20260131235",
        "web_Snapshot_202601312359",
        "web-202601312359",
        "ümläutß",
        "202601312359",
    ] {
        assert_eq!(p.read(name), None, "{name}");
    }
    assert_eq!(pattern("{1}_{0}").read("202601312359_"), None);
    assert_eq!(pattern("aba{0}_{1}aba").read("aba"), None);
}

#[test]
fn a_pattern_that_cannot_tell_is_refused_with_the_remedy() {
    use BadPattern::*;
    for (text, want) in [
        ("", Neither),
        ("snapshot", Neither),
        ("{0}_snapshot", NoTime),
        ("snapshot_{1}", NoInstance),
        ("{0}{1}", NoSeparator),
        ("{1}{0}", NoSeparator),
        ("a{1}{0}b", NoSeparator),
        ("{0}0{1}", Digit),
        ("{0}_7{1}", Digit),
        ("{0}_{1}0", Digit),
        ("{1}0{0}", Digit),
        ("4{1}_{0}", Digit),
        ("{0}٣{1}", Digit),
        ("{0}_{0}_{1}", Repeated(0)),
        ("{0}_{1}_{1}", Repeated(1)),
        ("{0}_{1}_{2}", Unknown("{2}".into())),
        ("{0}_{1}_{name}", Unknown("{name}".into())),
        ("{{0}}_{1}", Unknown("{{0}".into())),
        ("{0}_{1}}", Unknown("}".into())),
        ("{0_{1}", Unknown("{0_{1}".into())),
        ("{0}_{1", Unknown("{1".into())),
        ("{ü}{0}_{1}", Unknown("{ü}".into())),
        ("{0}\n{1}", Control),
        ("{0}_{1}\u{85}", Control),
        (" {0}_{1}", Space),
        ("{0}_{1} ", Space),
    ] {
        assert_eq!(Pattern::parse(text), Err(want), "{text}");
    }
    assert_eq!(Pattern::parse(&format!("{{0}}{}{{1}}", "_".repeat(242))).map(|_| ()), Ok(()));
    assert_eq!(Pattern::parse(&format!("{{0}}{}{{1}}", "_".repeat(243))), Err(Long(256)));
    for (bad, words) in [
        (Neither, "has neither {0} for the instance nor {1} for the time; write it as {0}_snapshot_{1}"),
        (Repeated(1), "has {1} more than once; leave one of them"),
        (Unknown("{2}".into()), "has “{2}”, which stands for nothing; use only {0} for the instance and {1} for the time, and no other braces"),
    ] {
        assert_eq!(bad.to_string(), words);
    }
}

#[test]
fn names_that_the_cloud_would_refuse_are_known_before() {
    let p = Pattern::default();
    assert_eq!(p.problem(&"x".repeat(233), None), None);
    assert!(p.problem(&"x".repeat(234), None).is_some_and(|t| t.contains("256 bytes") && t.contains("takes 255")));
    assert_eq!(p.problem(&"x".repeat(233), Some(BootType::Image)), None);
    assert!(p.problem(&"x".repeat(233), Some(BootType::Volume)).is_some_and(|t| t.contains("takes 242")));
    assert!(p.problem("", None).is_some());
    assert!(p.problem("a\tb", None).is_some());
}

#[test]
fn times_out_of_range_count_as_the_nearest() {
    let p = pattern("{1} {0}");
    assert_eq!(p.name("a", Timestamp(i64::MIN)), "000001010000 a");
    assert!(p.name("a", Timestamp(i64::MAX)).starts_with("9999123"));
    assert_eq!(p.name("a", Timestamp(-1)), "196912312359 a");
}

#[test]
fn parameters_have_the_names_and_defaults_of_cern() {
    let json = serde_json::to_value(SnapshotParams::default()).unwrap();
    let want = serde_json::json!({
        "instance": "", "pattern": "{0}_snapshot_{1}", "max_snapshots": 0, "wait": true, "instance_stop": false, "to_addr_success": [], "to_addr_error": []
    });
    assert_eq!(json, want);
    assert_eq!(serde_json::from_str::<SnapshotParams>("{}").unwrap(), SnapshotParams::default());
    assert_eq!(SnapshotParams::default().check(), []);
}

#[test]
fn bad_parameters_are_named_field_by_field() {
    let with = |change: fn(&mut SnapshotParams)| {
        let mut p = SnapshotParams { instance: "web".into(), ..SnapshotParams::default() };
        change(&mut p);
        p.check().into_iter().map(|f| f.field).collect::<Vec<_>>()
    };
    assert_eq!(with(|_| {}), [""; 0]);
    assert_eq!(with(|p| p.pattern = "{0}".into()), ["pattern"]);
    assert_eq!(with(|p| p.instance = "a\nb".into()), ["instance"]);
    assert_eq!(with(|p| p.instance = " a".into()), ["instance"]);
    assert_eq!(with(|p| p.instance = "x".repeat(256)), ["instance"]);
    assert_eq!(with(|p| p.instance = "x".repeat(250)), ["instance"]);
    assert_eq!(with(|p| p.to_addr_success = vec!["ops@example.org".into(), "ops@example.org".into()]), ["to_addr_success"]);
    assert_eq!(with(|p| p.to_addr_error = vec!["ops".into(), "a@b.c\r\nBcc: d@e.f".into()]), ["to_addr_error", "to_addr_error"]);
    assert_eq!(with(|p| p.to_addr_error = (0..51).map(|n| format!("a{n}@b.c")).collect()), ["to_addr_error"]);
}

#[test]
fn dates_are_read() {
    assert_eq!(When::parse("202601312359"), Ok(When::Minute(MINUTE)));
    assert_eq!(When::parse(" 20240229 "), Ok(When::Day(jiff::civil::date(2024, 2, 29))));
    for bad in ["", "2026", "2026013", "202601311", "20260131235", "2026013123599", "2026-01-31", "2026013a", "+2026013", "２０２６", "1202601312359"] {
        assert!(matches!(When::parse(bad), Err(BadWhen::Form(_))), "{bad}");
    }
    for bad in ["20260230", "20260229", "20261301", "20260100", "20260001", "202602300000", "202601312400", "202601312360"] {
        assert!(matches!(When::parse(bad), Err(BadWhen::Impossible(_))), "{bad}");
    }
    for text in ["20260131", "202601312359", "00010101"] {
        let when = When::parse(text).unwrap();
        assert_eq!(when.to_string(), text);
        assert_eq!(serde_json::to_string(&when).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<When>(&format!("\"{text}\"")).unwrap(), when);
    }
    assert!(serde_json::from_str::<When>("\"20260230\"").is_err());
}

#[test]
fn an_ambiguous_day_lists_its_candidates() {
    let midnight = Timestamp::from_secs(1_769_904_000);
    let all = [("early", MINUTE.plus_secs(-3_600)), ("late", AT), ("next", midnight), ("before", midnight.plus_secs(-86_401))];
    let choose = |text: &str| When::parse(text).unwrap().choose(&all);
    assert_eq!(choose("20260131"), Chosen::Several(vec!["late", "early"]));
    assert_eq!(choose("20260201"), Chosen::One("next"));
    assert_eq!(choose("20260130"), Chosen::One("before"));
    assert_eq!(choose("20260129"), Chosen::None);
    assert_eq!(choose("202601312359"), Chosen::One("late"));
    assert_eq!(choose("202601312358"), Chosen::None);
    assert_eq!(choose("202602010000"), Chosen::One("next"));
    assert_eq!(When::Minute(MINUTE).choose(&[(1, MINUTE), (2, AT)]), Chosen::Several(vec![2, 1]));
    assert_eq!(When::Minute(MINUTE).choose::<u8>(&[]), Chosen::None);
}

fn units(pinned: &[(usize, &str)], count: usize) -> Vec<Unit> {
    let pin = |n: usize| pinned.iter().find(|(at, _)| *at == n).map(|(_, why)| (*why).to_owned());
    // The oldest first, as a cloud may list them; 0 is the newest.
    (0..count).rev().map(|n| Unit { id: n.to_string(), taken_at: AT.plus_secs(-60 * n as i64), pinned: pin(n) }).collect()
}

fn removed(units: &[Unit], max: u32) -> Vec<String> {
    beyond(units, max).into_iter().filter(|d| !d.keep).map(|d| d.id).collect()
}

#[test]
fn the_oldest_beyond_the_maximum_go() {
    for (pinned, count, max, gone) in [
        (&[][..], 7, 0, &[][..]),
        (&[], 3, 1, &["1", "2"]),
        (&[], 1, 1, &[]),
        (&[], 0, 5, &[]),
        (&[], 5, 5, &[]),
        (&[], 7, 5, &["5", "6"]),
        (&[(6, "on hold")], 7, 5, &["4", "5"]),
        (&[(1, "on hold"), (2, "verified")], 3, 1, &[]),
        (&[(2, "verified")], 3, 1, &["1"]),
        (&[(0, "on hold")], 2, 1, &["1"]),
        (&[(1, "a"), (2, "a"), (3, "a"), (4, "a"), (5, "a")], 6, 5, &[]),
        (&[], 3, u32::MAX, &[]),
    ] {
        assert_eq!(removed(&units(pinned, count), max), gone, "{pinned:?} {count} {max}");
    }
}

#[test]
fn each_decision_says_why() {
    let words = |max| beyond(&units(&[(2, "the volume “data” was made from it")], 4), max).into_iter().map(|d| d.why).collect::<Vec<_>>();
    assert_eq!(words(2), ["the newest one", "over max_snapshots = 2", "the volume “data” was made from it", "over max_snapshots = 2"]);
    assert_eq!(words(3), ["the newest one", "within max_snapshots = 3", "the volume “data” was made from it", "over max_snapshots = 3"]);
    assert_eq!(words(0), ["the newest one", "max_snapshots = 0 keeps all", "the volume “data” was made from it", "max_snapshots = 0 keeps all"]);
}

#[test]
fn two_of_one_moment_are_decided_the_same_in_any_order() {
    let unit = |id: &str| Unit { id: id.into(), taken_at: AT, pinned: None };
    assert_eq!(removed(&[unit("a"), unit("b")], 1), ["a"]);
    assert_eq!(removed(&[unit("b"), unit("a")], 1), ["a"]);
}

#[test]
fn what_a_place_keeps_is_told_by_its_location() {
    for (location, keeping, url) in [
        ("openstack+https://cloud.example.org:5000/v3", Keeping::Cloud, Some("https://cloud.example.org:5000/v3")),
        ("openstack+http://127.0.0.1:5000/v3", Keeping::Cloud, Some("http://127.0.0.1:5000/v3")),
        ("openstack+ftp://x", Keeping::Files, None),
        ("/srv/backups/openstack+https://x", Keeping::Files, None),
        ("s3:https://s3.example.org/bucket", Keeping::Files, None),
        ("/srv/backups", Keeping::Files, None),
    ] {
        assert_eq!((Keeping::of(location), Keeping::auth_url(location)), (keeping, url), "{location}");
    }
}

#[test]
fn items_of_one_name_are_told_apart() {
    let (a, b, c) = ("aaaaaaaa-1", "bbbbbbbb-2", "cccccccc-3");
    assert_eq!(item_names(&[(a, "web"), (b, "db"), (c, "web")]), ["web.aaaaaaaa", "db", "web.cccccccc"]);
    assert_eq!(item_names(&[(a, "web"), ("aaaaaaaa-2", "web")]), ["web.aaaaaaaa-1", "web.aaaaaaaa-2"]);
    assert_eq!(item_names(&[(a, "web"), (b, "web"), (c, "web.aaaaaaaa")]), ["web.aaaaaaaa-1", "web.bbbbbbbb", "web.aaaaaaaa"]);
    assert_eq!(
        item_names(&[(a, "web"), ("aaaaaaaa-2", "web"), (c, "web.aaaaaaaa-1")]),
        ["web.aaaaaaaa-1.aaaaaaaa-1", "web.aaaaaaaa-2", "web.aaaaaaaa-1.cccccccc-3"]
    );
    assert_eq!(item_names(&[]), [""; 0]);
}

fn server(boot: BootType) -> Server {
    let volume =
        |id: &str, root| AttachedVolume { id: id.into(), name: String::new(), size_gb: 10, root, status: Some("in-use".into()), ..AttachedVolume::default() };
    Server {
        name: "web".into(),
        status: "ACTIVE".into(),
        host_up: Some(true),
        created_at: AT,
        flavour: Flavour { name: "m1.small".into(), disk_gb: 20, ..Flavour::default() },
        volumes: if boot == BootType::Volume { vec![volume("root", true), volume("data", false)] } else { vec![volume("data", false)] },
        ..Server::unknown("s".into(), boot)
    }
}

fn snapshot(boot: BootType) -> NativeSnapshot {
    let volume = |id: &str, of: &str, root| VolumeSnapshot { id: id.into(), volume: of.into(), size_gb: 10, device: None, root };
    let (image, volumes) = match boot {
        BootType::Image => (Some(NativeImage { id: "i".into(), size_bytes: 5 << 30, min_disk_gb: 20, sha512: None }), vec![volume("vs-data", "data", false)]),
        BootType::Volume => (None, vec![volume("vs-data", "data", false), volume("vs-root", "root", true)]),
    };
    NativeSnapshot { name: "n".into(), image, volumes, server: server(boot) }
}

#[test]
fn an_image_and_its_volume_snapshots_are_one() {
    assert_eq!((snapshot(BootType::Image).unit_id(), snapshot(BootType::Image).bytes()), ("i", 15 << 30));
    assert_eq!((snapshot(BootType::Volume).unit_id(), snapshot(BootType::Volume).bytes()), ("vs-root", 20 << 30));
    let both = NativeSnapshot { image: Some(NativeImage { id: "empty".into(), ..NativeImage::default() }), ..snapshot(BootType::Volume) };
    assert_eq!((both.unit_id(), both.bytes()), ("empty", 20 << 30));
}

#[test]
fn facts_are_read_back_also_where_some_are_absent() {
    for boot in BootType::ALL {
        let kept = snapshot(*boot);
        assert_eq!(serde_json::from_str::<NativeSnapshot>(&serde_json::to_string(&kept).unwrap()).unwrap(), kept);
    }
    let least = r#"{"id":"s","name":"web","status":"ACTIVE","created_at":0,"boot":"volume","flavour":{"name":"m1"}}"#;
    let read: Server = serde_json::from_str(least).unwrap();
    assert_eq!((read.boot, read.host_up, read.volumes.len()), (BootType::Volume, None, 0));
}

/// The method, and the ids of what is not met.
fn judged(server: &Server, snapshot: &NativeSnapshot, latest: bool, micro: (u32, u32)) -> (Option<Method>, Vec<&'static str>) {
    let found = method(server, snapshot, latest, micro);
    for p in &found.preconditions {
        assert_eq!(p.ok, p.remedy.is_empty(), "{p:?}");
    }
    (found.method, found.preconditions.iter().filter(|p| !p.ok).map(|p| p.id).collect())
}

#[test]
fn an_image_booted_instance_is_rebuilt() {
    let judge = |change: fn(&mut Server, &mut NativeSnapshot)| {
        let (mut at, mut of) = (server(BootType::Image), snapshot(BootType::Image));
        change(&mut at, &mut of);
        judged(&at, &of, false, (2, 1))
    };
    let can = |failing: &[&'static str]| (Some(Method::Rebuild), failing.to_vec());
    let cannot = |failing: &[&'static str]| (None, failing.to_vec());
    assert_eq!(judge(|_, _| {}), can(&[]));
    assert_eq!(judge(|s, _| s.status = "SHUTOFF".into()), can(&[]));
    assert_eq!(judge(|s, _| s.host_up = None), can(&[]));
    assert_eq!(judge(|s, _| s.flavour.disk_gb = 0), can(&[]));
    assert_eq!(judge(|s, _| s.id = "other".into()), cannot(&["same_instance"]));
    assert_eq!(judge(|s, _| s.status = "PAUSED".into()), cannot(&["state"]));
    assert_eq!(judge(|s, _| s.status = "ERROR".into()), cannot(&["safety"]));
    assert_eq!(judge(|s, _| s.task = Some("image_snapshot".into())), cannot(&["idle"]));
    assert_eq!(judge(|s, _| s.locked = true), cannot(&["unlocked"]));
    assert_eq!(judge(|s, _| s.host_up = Some(false)), cannot(&["hypervisor"]));
    assert_eq!(judge(|s, _| s.flavour.disk_gb = 19), cannot(&["size"]));
    assert_eq!(judge(|_, of| of.image = None), cannot(&["snapshot_whole"]));
    assert_eq!(judge(|_, of| of.image = Some(NativeImage { id: "empty".into(), ..NativeImage::default() })), cannot(&["snapshot_whole"]));
    assert_eq!(judge(|s, _| s.volumes[0].status = Some("error".into())), cannot(&["attachments"]));
    assert_eq!(judge(|_, of| of.server.boot = BootType::Volume), cannot(&["boot_type"]));
    assert_eq!(method(&server(BootType::Image), &snapshot(BootType::Image), true, (2, 93)).untouched, ["data"]);
}

#[test]
fn a_volume_booted_instance_is_reverted_or_its_root_replaced_or_it_is_explained() {
    let judge = |latest, micro, change: fn(&mut Server, &mut NativeSnapshot)| {
        let (mut at, mut of) = (server(BootType::Volume), snapshot(BootType::Volume));
        change(&mut at, &mut of);
        judged(&at, &of, latest, micro)
    };
    let available = |s: &mut Server, _: &mut NativeSnapshot| s.volumes[0].status = Some("available".into());
    assert_eq!(judge(true, (2, 1), available), (Some(Method::Revert), vec!["microversion", "attachments"]));
    assert_eq!(judge(true, (2, 93), |_, _| {}), (Some(Method::ReplaceRoot), vec!["detached"]));
    assert_eq!(judge(false, (2, 96), |_, _| {}), (Some(Method::ReplaceRoot), vec!["latest", "detached"]));
    assert_eq!(judge(true, (3, 0), |_, of| of.volumes[1].volume = "former".into()), (Some(Method::ReplaceRoot), vec!["same_volume", "detached"]));
    assert_eq!(judge(true, (2, 93), |s, _| s.volumes[0].size_gb = 11), (Some(Method::ReplaceRoot), vec!["same_size", "detached"]));
    assert_eq!(judge(true, (2, 93), |s, _| s.status = "ERROR".into()), (Some(Method::ReplaceRoot), vec!["detached"]));

    assert_eq!(judge(true, (2, 92), |_, _| {}), (None, vec!["detached", "microversion"]));
    assert_eq!(judge(true, (2, 93), |s, _| s.volumes[0].size_gb = 9), (None, vec!["same_size", "detached", "size"]));
    assert_eq!(judge(true, (2, 93), |s, _| s.volumes[1].status = Some("error".into())), (None, vec!["detached", "attachments"]));
    assert_eq!(judge(true, (2, 93), |s, _| s.volumes.clear()), (None, vec!["root_volume"]));
    assert_eq!(judge(true, (2, 93), |_, of| of.volumes.truncate(1)), (None, vec!["snapshot_whole"]));
    assert_eq!(judge(true, (2, 93), |s, _| s.locked = true), (None, vec!["unlocked", "detached"]));
    assert_eq!(judge(true, (2, 1), |s, _| s.volumes[0].status = None), (None, vec!["detached", "microversion"]));
}

/// Literal text of patterns: digits, pieces of patterns, other scripts.
const LITERAL: &str = "[-_ a0-9.ü]{0,6}";
/// Names of instances, made of what a pattern and a time are made of.
const INSTANCE: &str = "([0-9_{}a-c .ü-]|_snapshot_|20260131|\\{0\\}|\\{1\\}){1,12}";

proptest! {
    #[test]
    fn a_name_gives_back_its_instance_and_minute(
        (before, between, after) in (LITERAL, LITERAL, LITERAL), swapped: bool, instance in INSTANCE, minute in -1_000_000_000_i64..4_000_000_000, rest in 0_i64..60_000_000
    ) {
        let text = if swapped { format!("{before}{{1}}{between}{{0}}{after}") } else { format!("{before}{{0}}{between}{{1}}{after}") };
        let Ok(pattern) = Pattern::parse(&text) else { return Ok(()) };
        let minute = Timestamp(minute / 60 * 60_000_000);
        let name = pattern.name(&instance, Timestamp(minute.0 + rest));
        prop_assert_eq!(pattern.read(&name), Some((instance, minute)));
        prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    }

    #[test]
    fn no_two_instances_and_minutes_share_a_name(
        (before, between, after) in (LITERAL, "[-_a1]{1,4}", LITERAL), swapped: bool, a in INSTANCE, b in INSTANCE, apart in 0_i64..3, at in 0_i64..50_000_000
    ) {
        let text = if swapped { format!("{before}{{1}}{between}{{0}}{after}") } else { format!("{before}{{0}}{between}{{1}}{after}") };
        let Ok(pattern) = Pattern::parse(&text) else { return Ok(()) };
        let (first, second) = (Timestamp::from_secs(at * 60), Timestamp::from_secs((at + apart) * 60));
        prop_assert_eq!(pattern.name(&a, first) == pattern.name(&b, second), a == b && apart == 0);
    }

    #[test]
    fn what_is_read_can_be_written_again(name in "[0-9_snapot]{0,8}(_snapshot_|_)?(2026013123[0-9]{2}|[0-9]{12})?") {
        for text in [Pattern::DEFAULT, "{0}_{1}", "{1}_{0}"] {
            let pattern = pattern(text);
            if let Some((instance, at)) = pattern.read(&name) {
                prop_assert_eq!(pattern.name(&instance, at), name.clone());
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}", other in "([{}01ü_]|\\{0\\}|\\{1\\}){0,9}") {
        for text in [text, other] {
            if let Ok(pattern) = Pattern::parse(&text) {
                prop_assert_eq!(pattern.to_string(), text.clone());
            }
            let _ = (Pattern::default().read(&text), pattern("{1}_{0}").read(&text), When::parse(&text).is_ok());
        }
    }

    #[test]
    fn the_newest_and_the_pinned_always_stay(ages in prop::collection::vec((0_i64..20, any::<bool>()), 0..12), max in 0_u32..8) {
        let units: Vec<Unit> = ages.iter().enumerate()
            .map(|(n, (age, pinned))| Unit { id: n.to_string(), taken_at: AT.plus_secs(-age), pinned: pinned.then(|| "on hold".to_owned()) })
            .collect();
        let decisions = beyond(&units, max);
        let of = |id: &str| units.iter().find(|u| u.id == id).unwrap();
        prop_assert_eq!(decisions.len(), units.len());
        prop_assert!(decisions.iter().all(|d| d.keep || of(&d.id).pinned.is_none()));
        prop_assert!(decisions.first().is_none_or(|d| d.keep && units.iter().all(|u| u.taken_at <= of(&d.id).taken_at)));
        let kept = decisions.iter().filter(|d| d.keep).count();
        let firm = units.iter().filter(|u| u.pinned.is_some()).count();
        if max == 0 {
            prop_assert_eq!(kept, units.len());
        } else {
            // No more than asked for, but for what must stay; and no fewer.
            prop_assert!(kept <= (max as usize).max(firm + 1));
            prop_assert!(kept >= units.len().min(max as usize));
        }
        // What goes is older than what stays without a reason of its own.
        let youngest_gone = decisions.iter().filter(|d| !d.keep).map(|d| of(&d.id).taken_at).max();
        let oldest_free = decisions.iter().filter(|d| d.keep && of(&d.id).pinned.is_none()).map(|d| of(&d.id).taken_at).min();
        if let (Some(gone), Some(stays)) = (youngest_gone, oldest_free) {
            prop_assert!(gone <= stays);
        }
    }
}
