//! Who is told when something is wrong, by which way, and whether it arrived; and what is wrong.

pub mod act;
pub mod alert;
pub mod alerts;
pub mod channel;
pub mod deliveries;
pub mod delivery;
pub mod fields;
pub mod head;
pub mod heartbeat;
pub mod overview;
pub mod rule;
