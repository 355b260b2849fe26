//! Who gets which role: what a provider says of a person, and the rules that turn it into grants (R49).
//!
//! Lives here: entitlements, patterns, the mapping. May not: tokens, sessions, what a role may do (`ops::permission`).

mod entitlement;
mod mapping;
mod provider;

pub use self::{
    entitlement::{Entitlement, Malformed},
    mapping::{BadPattern, Claims, Given, Grant, MapRule, Pattern, given},
    provider::{Provider, REFRESH_S, RoleRule, issuer_problem},
};
