//! Exercises: recovery done by people in ordered steps, some of them by a restore test (R35).
//!
//! Lives here: states and legal moves, the verdict, the measured time, templates, moments with the zone that was given, kinds of files.
//! May not: whose exercise it is, clocks. Invariant: an exercise measures itself; it never counts as a restore test that Holdfast made.

use serde::{Deserialize, Serialize};

use crate::{evidence::Verdict, field::FieldError, text_enum, units::Timestamp};

/// Steps of one exercise.
pub const MOST_STEPS: usize = 60;
/// Files of one exercise, and bytes of each.
pub const MOST_FILES: i64 = 20;
pub const LARGEST_FILE: usize = 5 << 20;

text_enum! {
    /// Where an exercise comes from.
    Kind {
        /// Done here, step by step.
        Live => "live",
        /// Done before, elsewhere; typed in from a record of it.
        Imported => "imported",
    }
}

text_enum! {
    State { Open => "open", Finished => "finished", Cancelled => "cancelled" }
}

text_enum! {
    StepKind {
        /// A person does it and says so.
        Manual => "manual",
        /// A restore test does it, and its verdict is the step's.
        RestoreTest => "restore_test",
    }
}

text_enum! {
    StepState {
        Open => "open",
        /// Begun, or its restore test runs.
        Running => "running",
        Done => "done",
        Failed => "failed",
        /// Not tried, for a reason.
        Skipped => "skipped",
        /// Its restore test could not check something.
        Unknown => "unknown",
    }
}

impl StepState {
    /// Whether nothing more happens to it.
    pub const fn settled(self) -> bool {
        !matches!(self, Self::Open | Self::Running)
    }

    /// What a step becomes by the verdict of its restore test.
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Done,
            Verdict::Failed => Self::Failed,
            Verdict::Unknown => Self::Unknown,
        }
    }

    pub const fn words(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Running => "under way",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unknown => "could not check",
        }
    }
}

/// What was measured of a step: its state and when it began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub state: StepState,
    pub began: Option<Timestamp>,
    pub ended: Option<Timestamp>,
}

/// Joins the steps of an exercise.
///
/// A failure wins. Skipped steps neither pass nor fail, but the steps between which the time is measured must be done,
/// and an exercise in which nothing was done has shown nothing.
pub fn verdict(steps: &[Step], from: usize, to: usize) -> Verdict {
    if steps.iter().any(|s| s.state == StepState::Failed) {
        return Verdict::Failed;
    }
    let done = |i: usize| steps.get(i).is_some_and(|s| s.state == StepState::Done);
    if !done(from) || !done(to) || steps.iter().any(|s| !s.state.settled() || s.state == StepState::Unknown) { Verdict::Unknown } else { Verdict::Passed }
}

/// Seconds from the beginning of one step to the end of another: the time to recover. Where nobody said when the first one
/// began, it began when the step before it ended, or with the exercise.
pub fn measured(steps: &[Step], from: usize, to: usize, started: Timestamp) -> Option<f64> {
    let first = steps.get(from)?;
    let began = first.began.unwrap_or_else(|| steps[..from].iter().filter_map(|s| s.ended).max().unwrap_or(started));
    let ended = steps.get(to).filter(|s| s.state != StepState::Skipped)?.ended?;
    (ended.0 >= began.0).then(|| ended.secs_since(began))
}

/// A moment as a person gave it, with its own offset from UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub at: Timestamp,
    /// `2019-06-06 16:37:15+02:00`.
    pub given: String,
}

/// Reads a date with time and offset, and keeps the offset.
///
/// # Errors
/// The field with its remedy, also for a time without an offset, which could be hours off.
pub fn moment(field: &str, text: &str) -> Result<Moment, FieldError> {
    let given = text.trim();
    let wrong = |why: &str| FieldError::new(field, format!("{why}; write it with its offset from UTC, such as 2019-06-06 16:37:15+02:00"));
    if given.is_empty() {
        return Err(wrong("is empty"));
    }
    let at: jiff::Timestamp = given.parse().map_err(|_| wrong(&format!("“{given}” is no moment")))?;
    let offset = given.get(10..).and_then(|rest| rest.find(['+', '-', '−', 'Z', 'z']).map(|i| rest[i..].to_owned())).unwrap_or_default();
    let civil = given.get(..19).map(|c| c.replace(['T', 't'], " ")).unwrap_or_default();
    let tidy = format!("{civil}{}", if offset.eq_ignore_ascii_case("z") { "+00:00" } else { &offset });
    Ok(Moment { at: Timestamp(at.as_microsecond()), given: if tidy.parse::<jiff::Timestamp>().is_ok_and(|t| t == at) { tidy } else { given.to_owned() } })
}

/// One step of a template or of a new exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepText {
    pub title: String,
    #[serde(default)]
    pub details: String,
    #[serde(default = "manual")]
    pub kind: StepKind,
}

const fn manual() -> StepKind {
    StepKind::Manual
}

/// An exercise that can be done again and again.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    /// Title and details of each step, and whether a restore test does it.
    pub steps: &'static [(&'static str, &'static str, StepKind)],
    /// The steps between which the time is measured, from 0.
    pub from: usize,
    pub to: usize,
}

pub const TEMPLATES: &[Template] = &[
    Template {
        name: "egi-notebooks",
        title: "Recovery of all users onto a new cluster",
        about: "The eight steps by which EGI Notebooks was recovered in 2019: a cluster from nothing, all users' volumes from the backup, and a sign-in as one of them.",
        steps: &[
            ("Deploy Kubernetes", "Fresh virtual machines, one public address for the ingress", StepKind::Manual),
            ("Register a name", "A name of the test domain points to the ingress", StepKind::Manual),
            ("Register a client", "In the development instance of the identity provider", StepKind::Manual),
            ("Deploy the notebooks", "The chart and release that production has", StepKind::Manual),
            ("Fetch the recovery job", "Its image by digest", StepKind::Manual),
            ("Create the secrets", "The repository's password and the key of the storage", StepKind::Manual),
            ("Run the recovery", "All users' volumes from one pinned snapshot; note how many were restored", StepKind::Manual),
            ("Sign in as an original user", "The files of the original service are there", StepKind::Manual),
        ],
        from: 6,
        to: 6,
    },
    Template {
        name: "table-top",
        title: "Table-top exercise",
        about: "The people of the plan go through a loss by talking: who is told, who decides, what is done in which order. A restore test proves that the copies can be read.",
        steps: &[
            ("Say what is lost", "One scenario of the plan's risks", StepKind::Manual),
            ("Reach the people of the plan", "By the contacts that the plan names; note who answered, and when", StepKind::Manual),
            ("Walk through the procedures", "Note what is missing, old or wrong", StepKind::Manual),
            ("Restore from the backups", "Into a scratch folder", StepKind::RestoreTest),
            ("Write down what is to change", "Each with an owner and a date", StepKind::Manual),
        ],
        from: 0,
        to: 4,
    },
];

pub fn template(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|t| t.name == name)
}

/// The kind of a file, from its first bytes and its name. Names alone are not believed.
///
/// # Errors
/// `file` with the remedy: empty, too large, or of no kind that is taken.
pub fn file_kind(name: &str, content: &[u8]) -> Result<&'static str, FieldError> {
    let wrong = |why: String| Err(FieldError::new("file", why));
    if content.is_empty() {
        return wrong("is empty; choose a file with something in it".to_owned());
    }
    if content.len() > LARGEST_FILE {
        return wrong("is larger than 5 MiB; make it smaller, or keep it elsewhere and write its address into the note".to_owned());
    }
    let lower = name.to_lowercase();
    let ends = |all: &[&str]| all.iter().any(|e| lower.ends_with(e));
    let starts = |sign: &[u8]| content.starts_with(sign);
    let is_text = || std::str::from_utf8(content).is_ok_and(|t| !t.contains('\0'));
    let kind = if starts(b"\x89PNG\r\n\x1a\n") && ends(&[".png"]) {
        "image/png"
    } else if starts(b"\xff\xd8\xff") && ends(&[".jpg", ".jpeg"]) {
        "image/jpeg"
    } else if starts(b"%PDF-") && ends(&[".pdf"]) {
        "application/pdf"
    } else if ends(&[".txt", ".log", ".md", ".csv", ".json", ".yaml", ".yml"]) && is_text() {
        "text/plain"
    } else {
        return wrong(format!(
            "“{name}” is not what its name says, or of a kind that is not taken; give a PNG, JPEG or PDF, or a text (.txt, .log, .md, .csv, .json, .yaml) in UTF-8"
        ));
    };
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn step(state: StepState, began: Option<i64>, ended: Option<i64>) -> Step {
        Step { state, began: began.map(at), ended: ended.map(at) }
    }

    #[test]
    fn verdicts() {
        use StepState::{Done, Failed, Open, Running, Skipped, Unknown};
        for (states, want) in [
            (vec![Done, Done, Done], Verdict::Passed),
            (vec![Done, Skipped, Done], Verdict::Passed),
            (vec![Skipped, Done, Done], Verdict::Unknown),
            (vec![Done, Done, Skipped], Verdict::Unknown),
            (vec![Skipped, Skipped, Skipped], Verdict::Unknown),
            (vec![Done, Unknown, Done], Verdict::Unknown),
            (vec![Done, Failed, Unknown], Verdict::Failed),
            (vec![Done, Open, Done], Verdict::Unknown),
            (vec![Done, Running, Done], Verdict::Unknown),
            (vec![], Verdict::Unknown),
        ] {
            let steps: Vec<_> = states.iter().map(|s| step(*s, None, None)).collect();
            assert_eq!(verdict(&steps, 0, 2), want, "{states:?}");
        }
        assert_eq!(StepState::of(Verdict::Unknown), Unknown);
    }

    #[test]
    fn the_time_is_measured_between_two_steps() {
        use StepState::{Done, Skipped};
        let steps = [step(Done, None, Some(100)), step(Skipped, None, Some(110)), step(Done, Some(150), Some(753)), step(Done, None, Some(900))];
        assert_eq!(measured(&steps, 2, 2, at(0)), Some(603.0), "what was begun is measured from there");
        assert_eq!(measured(&steps, 0, 3, at(10)), Some(890.0), "the first one begins with the exercise");
        assert_eq!(measured(&steps, 3, 3, at(0)), Some(147.0), "one that nobody began begins when the one before ended");
        assert_eq!(measured(&steps, 0, 1, at(0)), None, "what was skipped has no end");
        assert_eq!(measured(&steps, 3, 0, at(0)), None);
        assert_eq!(measured(&steps, 0, 9, at(0)), None);
    }

    #[test]
    fn moments_keep_their_offset() {
        for (text, want) in [
            ("2019-06-06 16:37:15+02:00", "2019-06-06 16:37:15+02:00"),
            (" 2019-06-06T16:37:15+02:00 ", "2019-06-06 16:37:15+02:00"),
            ("2019-06-06T14:37:15Z", "2019-06-06 14:37:15+00:00"),
            ("2019-06-06 10:37:15-04", "2019-06-06 10:37:15-04"),
        ] {
            let m = moment("started", text).unwrap();
            assert_eq!((m.given.as_str(), m.at), (want, at(1_559_831_835)), "{text}");
        }
        for text in ["", "2019-06-06 16:37:15", "yesterday", "2019-06-06", "2019-13-01 00:00:00Z"] {
            let e = moment("started", text).unwrap_err();
            assert!(e.field == "started" && e.message.contains("+02:00"), "{text}: {e}");
        }
        let (a, b) = (moment("a", "2019-06-06 16:37:15+02:00").unwrap(), moment("b", "2019-06-06 16:47:18+02:00").unwrap());
        assert_eq!(crate::units::span(b.at.secs_since(a.at)), "10 m 3 s");
    }

    #[test]
    fn files_are_what_they_say() {
        for (name, content, want) in [
            ("a.png", &b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            ("A.JPG", b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            ("r.pdf", b"%PDF-1.7", Some("application/pdf")),
            ("recover.log", "75 users, ✓".as_bytes(), Some("text/plain")),
            ("x.html", b"<script>", None),
            ("x.svg", b"<svg/>", None),
            ("x.png", b"<script>", None),
            ("x.txt", b"a\0b", None),
            ("x.txt", b"\xff\xfe", None),
            ("x.exe", b"MZ", None),
            ("x.txt", b"", None),
        ] {
            assert_eq!(file_kind(name, content).ok(), want, "{name}");
        }
        assert!(file_kind("a.txt", &vec![b'a'; LARGEST_FILE + 1]).unwrap_err().message.contains("5 MiB"));
    }

    #[test]
    fn templates_are_whole() {
        assert_eq!(template("egi-notebooks").unwrap().steps.len(), 8);
        for t in TEMPLATES {
            assert!(t.from <= t.to && t.to < t.steps.len() && t.steps.len() <= MOST_STEPS, "{}", t.name);
        }
        assert!(template("none").is_none());
    }
}
