//! What a caller of the store can act on.
//!
//! Lives here: the error and its sorting. May not: words for people.

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique or foreign key said no; the name of the constraint or column where the database tells it.
    #[error("conflict on {0}")]
    Conflict(String),
    /// The database was written by a newer Holdfast.
    #[error("this database was written by a newer version of Holdfast (migration {0}); start that version or restore the copy made before the upgrade")]
    Newer(i64),
    /// A stored value that this version cannot read.
    #[error("stored value of {column} is unknown: {value}")]
    Unreadable { column: &'static str, value: String },
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("{0}")]
    Url(String),
}

impl StoreError {
    /// Whether the database does not answer now and may do so later: it is held by another process, restarts, or is full of
    /// connections.
    pub fn is_away(&self) -> bool {
        let Self::Database(e) = self else { return false };
        match e {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
            // SQLite: 5 busy, 6 locked, in the lowest byte. PostgreSQL: connection lost, too many of them, shutting down.
            sqlx::Error::Database(d) => d.code().is_some_and(|c| match c.parse::<i64>() {
                Ok(n) if c.len() < 5 => matches!(n & 0xff, 5 | 6),
                _ => c.starts_with("08") || c.starts_with("53") || c.starts_with("57P"),
            }),
            _ => false,
        }
    }
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl From<sqlx::Error> for StoreError {
    fn from(e: sqlx::Error) -> Self {
        match &e {
            sqlx::Error::Database(d) if d.is_unique_violation() || d.is_foreign_key_violation() => {
                Self::Conflict(d.constraint().map_or_else(|| d.message().to_owned(), str::to_owned))
            }
            _ => Self::Database(e),
        }
    }
}
