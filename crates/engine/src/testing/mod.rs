//! What only tests need, for the engine and those who build on it.
//!
//! Lives here: a store with faults. May not: be compiled into the server; it stands behind the feature `testing`.

mod faulty;

pub use faulty::{Fault, FaultKind, Faulty, Operation};
