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
