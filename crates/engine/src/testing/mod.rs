//! What only tests need, for the engine and those who build on it.
//!
//! Lives here: a store with faults, a gate with faults before a cloud, the OpenStack of the tests. May not: be compiled into
//! the server; it stands behind the feature `testing`.

mod faulty;
mod gate;
#[cfg(test)]
mod gate_tests;
pub mod openstack;

pub use faulty::{Fault, FaultKind, Faulty, Operation};
pub use gate::{Gate, Passed, Strike};
