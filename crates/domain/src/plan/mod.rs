//! Continuity plans (R38, R42): what one holds, how a version lives, how two versions differ.
//!
//! Lives here: the content and its JSON, the flow of a version, the roles that sign, the annex of what was measured.
//! May not: storing, signing, deciding who may; risks, reviews and findings (they have modules of their own).
//! Invariant: an approved version is never changed again, only superseded.

mod annex;
mod content;
mod diff;
mod entries;
mod flow;
mod json;

pub use annex::{Annex, MonthFact, ReviewFact, RevisionFact, RiskFact, TestFact, WaiverFact};
pub use content::{FORMAT, Field, LONGEST, MOST, Performance, PlanContent, Procedure, Revision, Test};
pub use diff::{FieldDiff, Part, difference, words};
pub use entries::list_of;
pub use flow::{Event, NotNow, Role, State, signers_missing};
pub use json::{read, read_span, write_span};
