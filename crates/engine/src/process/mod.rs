//! The one place that starts processes.
//!
//! A job runs in a child process of the same binary: a stop is a kill, its memory is bounded and gone with it, and a
//! library that panics takes nothing along. The job goes in as one line of JSON on standard input, which stays open;
//! its end tells the child to stop, so a child whose parent was killed ends too. Events come back as lines on standard
//! output. Standard error carries words for the log. A lock is told before it is written, and written when the parent
//! has answered with a newline that it has recorded it: whatever is killed then, somebody knows what to remove. In the
//! same way it is recorded that a restore stands before the last trace of it is cleared away.
//!
//! There is no parent-death signal: the system binds it to the thread that started the child, and the threads of an
//! asynchronous runtime come and go.
//!
//! A command that an admin has configured is no job: it is started as it stands, with limits (`errand`).
//!
//! Lives here: the parent's side, `Child`, and the child's, `child_main`; `errand`. May not: what a job does.

mod child;
mod errand;
mod parent;

pub use child::{GRACE, child_main};
pub use errand::{Back, Errand, errand};
pub use parent::Child;

/// The longest line on either pipe, in bytes. A result with a thousand long names stays below it.
const LONGEST_LINE: usize = 64 << 20;
