//! The words, shapes and parts of runs: states, kinds, steps, progress.
//!
//! Lives here: markup from values. May not: loading runs, knowing what a step does.

use domain::{
    run::{ItemState, RunKind, RunState, StepState},
    units::{Timestamp, count, size, span},
    work::RunProgress,
};
use leptos::prelude::*;

use super::{
    icon,
    status::{Tone, chip_with},
};

/// The words people read for a kind of run.
pub const fn kind_words(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Backup => "backup",
        RunKind::Restore => "restore",
        RunKind::RestoreTest => "restore test",
        RunKind::Check => "check",
        RunKind::Prune => "prune",
        RunKind::InstallationBackup => "copy of Holdfast",
        RunKind::InstallationTest => "restore test of Holdfast",
        RunKind::TamperTest => "tamper test",
        RunKind::InstanceSnapshot => "instance snapshot",
        RunKind::InstanceClone => "instance clone",
        RunKind::InstanceRestore => "instance restore",
        RunKind::OffsiteCopy => "offsite copy",
        RunKind::OffsiteReturn => "return of an offsite copy",
    }
}

/// Tone, shape and word of a run's state.
pub const fn state_sign(state: RunState) -> (Tone, &'static str, &'static str) {
    match state {
        RunState::Queued => (Tone::None, "i-clock", "queued"),
        RunState::Running => (Tone::Run, "i-run", "running"),
        RunState::Succeeded => (Tone::Ok, "i-ok", "succeeded"),
        RunState::Partial => (Tone::Warn, "i-warn", "partial"),
        RunState::Failed => (Tone::Fail, "i-fail", "failed"),
        RunState::Cancelled => (Tone::None, "i-skip", "cancelled"),
        RunState::Interrupted => (Tone::Warn, "i-warn", "interrupted"),
    }
}

pub fn state_chip(state: RunState) -> AnyView {
    let (tone, symbol, word) = state_sign(state);
    chip_with(tone, symbol, word)
}

/// The chip of a stored state; a word that is not known shows as itself, in grey.
pub fn state_chip_of(text: &str) -> AnyView {
    RunState::parse(text).map_or_else(|| chip_with(Tone::None, "i-unknown", text), state_chip)
}

pub fn item_chip(state: ItemState) -> AnyView {
    match state {
        ItemState::Ok => chip_with(Tone::Ok, "i-ok", "complete"),
        ItemState::Partial => chip_with(Tone::Warn, "i-warn", "partial"),
        ItemState::Failed => chip_with(Tone::Fail, "i-fail", "failed"),
        ItemState::Skipped => chip_with(Tone::None, "i-skip", "skipped"),
    }
}

/// Tone, shape and word of a step's state.
pub const fn step_sign(state: StepState) -> (&'static str, &'static str, &'static str) {
    match state {
        StepState::Pending => ("s-none", "i-clock", "waits"),
        StepState::Running => ("s-run", "i-run", "runs"),
        StepState::Succeeded => ("s-ok", "i-ok", "done"),
        StepState::Tolerated => ("s-warn", "i-tol", "tolerated"),
        StepState::Failed => ("s-fail", "i-fail", "failed"),
        StepState::Skipped => ("s-none", "i-skip", "skipped"),
        StepState::Cancelled => ("s-none", "i-skip", "cancelled"),
        StepState::Interrupted => ("s-warn", "i-warn", "interrupted"),
    }
}

/// One step as a list shows it.
pub struct StepView {
    pub name: String,
    pub state: StepState,
    /// What is to be said of it, in plain words.
    pub detail: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// What it was given and gave back, folded away.
    pub more: Option<String>,
}

/// The ordered steps with their times. `now` ends the time of the step that runs.
pub fn steps(list: Vec<StepView>, now: Timestamp) -> AnyView {
    let rows = list
        .into_iter()
        .map(|s| {
            let (class, symbol, word) = step_sign(s.state);
            let took = match (s.started_at, s.finished_at, s.state) {
                (Some(from), Some(to), _) => span(to.secs_since(from).max(0.0)),
                (Some(from), None, StepState::Running) => span(now.secs_since(from).max(0.0).round()),
                _ => word.to_owned(),
            };
            let current = (s.state == StepState::Running).then_some("step");
            let next = (s.state == StepState::Pending).then_some("is-next");
            let tolerated = (s.state == StepState::Tolerated).then(|| view! { " "<b>"Tolerated."</b> });
            let detail = s.detail.map(|d| view! { <p>{d}{tolerated}</p> });
            let more = s.more.map(|m| view! { <details class="more"><summary>"Input and output"</summary><pre class="cmd" tabindex="0">{m}</pre></details> });
            view! {
                <li aria-current=current class=next>
                    <svg class=format!("i {class}") aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg>
                    <div><b>{s.name}</b><span class="vh">{format!(", {word}")}</span>{detail}{more}</div>
                    <span class="dur">{took}</span>
                </li>
            }
        })
        .collect_view();
    view! { <ol class="steps">{rows}</ol> }.into_any()
}

/// What a step does, in the words of people; a step that has none yet shows by its own name. Some names mean one thing in
/// one kind of run and another in another.
pub fn step_name(kind: Option<RunKind>, step: &str) -> &str {
    match (kind, step) {
        (Some(RunKind::InstanceClone), "choose") => return "Choose the snapshot, and look what the cloud has of it",
        (Some(RunKind::InstanceRestore), "check") => return "Look whether every condition is met",
        (Some(RunKind::InstanceRestore), "verify") => return "Compare the instance with what it was",
        (Some(RunKind::OffsiteCopy | RunKind::OffsiteReturn), "prepare") => return "Look what is there, and where it goes",
        _ => {}
    }
    match step {
        "prepare" => "Prepare: settings, parents, password",
        "capture" => "Read the source and write the snapshots",
        "verify" => "Look for every new snapshot in the repository",
        "guard" => "Compare each item with what is usual for it",
        "forget" => "Forget what the policy no longer keeps",
        "prune" => "Mark what nothing needs, delete what was marked",
        "export" => "Write all records to files",
        "tidy" => "Remove those files, and old copies by their rule",
        "choose" => "Pin the newest copy",
        "bring_back" => "Bring it back beside, and compare",
        "pin" => "Pin the snapshots",
        "plan" => "Count what would happen",
        "safety" => "Take a safety snapshot",
        "restore" => "Restore",
        "select" => "Choose the snapshots",
        "provision" => "Make the place for it, away from all that is in use",
        "check" => "Check",
        "tear_down" => "Take all away that was made, and prove it",
        "record" => "Record the result",
        "identify" => "Find the instance and check what it needs",
        "stop" => "Stop the instance",
        "detect" => "See what it boots from",
        "snapshot" => "Take the snapshot in the cloud",
        "poll" => "Wait until the cloud has stored it",
        "clean_up" => "Remove what is beyond max_snapshots",
        "start" => "Start the instance again",
        "notify" => "Send the mail",
        "stage" => "Make an image of the volume's snapshot",
        "copy" => "Copy the disk",
        "unstage" => "Remove what was made for it in the cloud",
        "volumes" => "Make volumes of the volume snapshots",
        "create" => "Make the server",
        "wait" => "Wait until it runs",
        "hook" => "Call the hook",
        "write" => "Write the disk",
        "upload" => "Send the disk to the cloud, and compare",
        other => other,
    }
}

/// How much of a run is done, from 0 to 100; by bytes where their sum is known, otherwise by items.
pub fn percent(p: &RunProgress) -> Option<i64> {
    let of = |done: i64, total: i64| (total > 0).then(|| (i128::from(done.clamp(0, total)) * 100 / i128::from(total)) as i64);
    of(p.bytes_done, p.bytes_total).or_else(|| of(p.items_done, p.items_total))
}

/// `46 of 75 items`, or `46 items` while their number is not known.
pub fn items_words(p: &RunProgress) -> String {
    if p.items_total > 0 { format!("{} of {} items", count(p.items_done), count(p.items_total)) } else { format!("{} items", count(p.items_done)) }
}

/// `868 GB of 1.42 TB`, or what is done alone.
pub fn bytes_words(p: &RunProgress) -> String {
    if p.bytes_total > 0 { format!("{} of {}", size(p.bytes_done), size(p.bytes_total)) } else { size(p.bytes_done) }
}

/// `118 MB/s`.
pub fn rate_words(p: &RunProgress) -> String {
    if p.bytes_per_s > 0 { format!("{}/s", size(p.bytes_per_s)) } else { "–".to_owned() }
}

/// `about 6 m left`; a dash while it cannot be told.
pub fn eta_words(p: &RunProgress) -> String {
    p.eta_s.map_or_else(|| "time left not known yet".to_owned(), |s| format!("about {} left", span(s as f64)))
}

/// A bar from 0 to 100; empty and named so while nothing is known.
pub fn bar(percent: Option<i64>, words: &str) -> AnyView {
    let label = percent.map_or_else(|| format!("Share not known yet: {words}"), |p| format!("{p} percent: {words}"));
    let width = percent.unwrap_or(0).clamp(0, 100).to_string();
    view! {
        <svg class="bar" role="img" aria-label=label viewBox="0 0 100 8" preserveAspectRatio="none">
            <rect class="track" width="100" height="8"></rect><rect class="val" width=width height="8"></rect>
        </svg>
    }
    .into_any()
}

/// The line of a live region: where a run stands, in one sentence.
pub fn sentence(p: &RunProgress) -> String {
    let share = percent(p).map_or_else(String::new, |n| format!("{n} percent, "));
    format!("{}: {share}{}, {}", step_name(None, &p.step), items_words(p), eta_words(p))
}

/// A word with its sign, for lists of counts.
pub fn signed(tone_class: &'static str, symbol: &'static str, words: String) -> AnyView {
    view! { <span class=format!("nowrap {tone_class}")>{icon(symbol)}" "{words}</span> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_by_bytes_then_by_items_and_never_beyond_a_hundred() {
        let p = |bd, bt, id, it| RunProgress { bytes_done: bd, bytes_total: bt, items_done: id, items_total: it, ..RunProgress::default() };
        assert_eq!(percent(&p(61, 100, 1, 2)), Some(61));
        assert_eq!(percent(&p(61, 0, 1, 2)), Some(50));
        assert_eq!(percent(&p(101, 100, 0, 0)), Some(100));
        assert_eq!(percent(&p(5, 0, 5, 0)), None);
        assert_eq!(percent(&p(i64::MAX, i64::MAX, 0, 0)), Some(100));
    }

    #[test]
    fn words_of_steps_and_counts() {
        assert_eq!(step_name(None, "tear_down"), "Take all away that was made, and prove it");
        assert_eq!(step_name(None, "something_new"), "something_new");
        assert_ne!(step_name(Some(RunKind::InstanceClone), "choose"), step_name(Some(RunKind::InstallationTest), "choose"));
        assert_eq!(items_words(&RunProgress { items_done: 46, items_total: 75, ..RunProgress::default() }), "46 of 75 items");
    }
}
