//! All records in a form that belongs to no database: what a copy of Holdfast itself is made of (R62).
//!
//! One file of JSON lines a table, rows in the order of their keys, so that two copies differ only where records do
//! and a repository keeps the common parts once. [`Table`] tells how to read a file: it names each column and its
//! kind, so that a later version of Holdfast still can. The columns of this version are in `migrations/columns.txt`.
//!
//! Lives here: what is carried. Beside it: `export` and `import`. May not: choosing when, words for people.
//! Invariant: bringing rows back into either database and writing them out again gives the same bytes.

mod export;
mod import;

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::import::columns;
pub use self::{
    export::{Exported, export},
    import::{Lost, close_what_was_live, is_empty, restore},
};

/// The kind of a column, with one form in JSON each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A number without fraction.
    Int,
    Real,
    Bool,
    Text,
    /// Any JSON; its keys are sorted.
    Json,
    /// In the usual text form.
    Uuid,
    /// In hexadecimal.
    Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// One table of a copy and the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub rows: i64,
    pub bytes: i64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    pub columns: Vec<Column>,
}

/// What is of no use after a loss: whoever was signed in signs in again, no process of then is there, and no call is
/// being repeated.
pub const LEFT_BEHIND: [&str; 5] = ["session", "sign_in", "login_link", "worker", "idempotency"];

/// Columns that are left empty: who held a run or a message, and how far a run was.
const EMPTIED: [(&str, &str); 7] = [
    ("run", "lease_owner"),
    ("run", "lease_token"),
    ("run", "lease_until"),
    ("run", "progress"),
    ("delivery", "lease_owner"),
    ("delivery", "lease_token"),
    ("delivery", "lease_until"),
];

/// The file of a table inside a copy.
pub fn file_of(table: &str) -> String {
    format!("{table}.jsonl")
}

/// A table of this version's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Schema {
    name: &'static str,
    columns: Vec<Column>,
    /// The primary key in its order.
    key: Vec<(&'static str, Kind)>,
}

/// The tables that a copy carries: whoever is referred to comes first.
fn carried() -> Vec<Schema> {
    parse(include_str!("../../../../migrations/columns.txt")).into_iter().filter(|t| !LEFT_BEHIND.contains(&t.name)).collect()
}

/// Reads lines of `table column kind`, with `key` and its place behind a part of the key.
fn parse(text: &'static str) -> Vec<Schema> {
    let mut tables: Vec<Schema> = Vec::new();
    let mut keys: Vec<Vec<(usize, &'static str, Kind)>> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        let [table, column, kind, ref rest @ ..] = words[..] else { continue };
        let Ok(kind) = serde_json::from_value::<Kind>(kind.into()) else { continue };
        if tables.last().is_none_or(|t| t.name != table) {
            tables.push(Schema { name: table, columns: Vec::new(), key: Vec::new() });
            keys.push(Vec::new());
        }
        if let (Some(schema), Some(key)) = (tables.last_mut(), keys.last_mut()) {
            schema.columns.push(Column { name: column.to_owned(), kind });
            if let ["key", place] = rest {
                key.push((place.parse().unwrap_or(0), column, kind));
            }
        }
    }
    for (schema, mut key) in tables.iter_mut().zip(keys) {
        key.sort_by_key(|(place, ..)| *place);
        schema.key = key.into_iter().map(|(_, name, kind)| (name, kind)).collect();
    }
    tables
}

/// All tables with their columns, also those that are not carried.
#[cfg(test)]
pub fn tables() -> Vec<(&'static str, Vec<(String, Kind)>)> {
    let all = parse(include_str!("../../../../migrations/columns.txt"));
    all.into_iter().map(|t| (t.name, t.columns.into_iter().map(|c| (c.name, c.kind)).collect())).collect()
}

#[cfg(test)]
mod columns_tests;
#[cfg(test)]
mod tests;
