//! Connections to the one of two databases that is configured, and the macros that run one SQL text on both.
//!
//! Lives here: opening, migrating, [`on!`] and [`tx!`]. May not: statements of an aggregate.
//! Invariant: SQLite has one writer connection (`BEGIN IMMEDIATE`) and a pool of readers, so that writers queue
//! here and never meet `SQLITE_BUSY`; PostgreSQL has one pool.

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    PgPool, SqlitePool,
    migrate::{Migrate, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Result, StoreError};

pub(crate) static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// The configured database.
#[derive(Clone, Debug)]
pub enum Db {
    Sqlite { read: SqlitePool, write: SqlitePool },
    Pg(PgPool),
}

/// A connection that statements run on: a reader, a writer, or a transaction.
pub enum Tx<'a> {
    Sqlite(&'a mut sqlx::SqliteConnection),
    Pg(&'a mut sqlx::PgConnection),
}

impl Tx<'_> {
    /// Lends the connection on to another function.
    pub fn by_ref(&mut self) -> Tx<'_> {
        match self {
            Tx::Sqlite(c) => Tx::Sqlite(c),
            Tx::Pg(c) => Tx::Pg(c),
        }
    }
}

/// A transaction that its owner commits; dropped, it rolls back.
pub enum Transaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Pg(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Transaction {
    pub fn tx(&mut self) -> Tx<'_> {
        match self {
            Self::Sqlite(t) => Tx::Sqlite(t),
            Self::Pg(t) => Tx::Pg(t),
        }
    }

    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(t) => t.commit().await?,
            Self::Pg(t) => t.commit().await?,
        }
        Ok(())
    }

    /// Takes back all that was done in it.
    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(t) => t.rollback().await?,
            Self::Pg(t) => t.rollback().await?,
        }
        Ok(())
    }
}

/// A connection borrowed for reading.
pub enum Reader {
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    Pg(sqlx::pool::PoolConnection<sqlx::Postgres>),
}

impl Reader {
    pub fn tx(&mut self) -> Tx<'_> {
        match self {
            Self::Sqlite(c) => Tx::Sqlite(c),
            Self::Pg(c) => Tx::Pg(c),
        }
    }
}

/// Runs one expression on the connection behind a [`Tx`]: it is expanded, and type-checked, once for each database.
///
/// ```text
/// on!(tx, c => sqlx::query_scalar::<_, i64>(COUNT).bind(id.0).fetch_one(c).await)?
/// ```
#[macro_export]
macro_rules! on {
    ($tx:expr, $c:ident => $body:expr) => {
        match $tx {
            $crate::Tx::Sqlite($c) => $body,
            $crate::Tx::Pg($c) => $body,
        }
    };
}

impl Db {
    /// Opens `sqlite://path` or `postgres://…` and brings its tables up to date.
    ///
    /// Migrations run once under a lock. An embedded database is copied beside itself first when it needs one
    /// (`holdfast.db.before-N`); a database of a newer version is refused (R63).
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_at(url, i64::MAX).await
    }

    /// As [`Db::open`], but brings the tables only to where the migration `level` had brought them: rows of an older
    /// version are put in first and then migrated as they would have been (R62).
    pub async fn open_at(url: &str, level: i64) -> Result<Self> {
        if names_postgres(url) {
            let options = PgConnectOptions::from_str(url).map_err(|e| StoreError::Url(format!("the database URL cannot be read: {e}")))?;
            let pool = PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(10)).connect_with(options).await?;
            let mut c = pool.acquire().await?;
            // Others may open a new database at the same moment; the lock counts how often this connection has it.
            c.lock().await?;
            refuse_newer(&mut *c, &POSTGRES).await?;
            POSTGRES.run_direct(Some(level), &mut *c, false).await?;
            c.unlock().await?;
            return Ok(Self::Pg(pool));
        }
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Err(StoreError::Url("the database URL must start with sqlite: or postgres://".to_owned()));
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        Self::open_sqlite(Path::new(path), level).await
    }

    async fn open_sqlite(path: &Path, level: i64) -> Result<Self> {
        // Held until the tables are up to date: two processes may open a new database at once.
        let _alone = alone(path).await?;
        let existed = path.exists();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(20))
            .foreign_keys(true)
            .pragma("cache_size", "-16000")
            .pragma("mmap_size", "268435456")
            .pragma("temp_store", "memory")
            // Rows come from a thread of their own; a page of them at a time, not a switch of threads for every few.
            .row_buffer_size(512);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            // Shorter than a statement waits for another process: who stands behind one that waits is told first.
            .acquire_timeout(Duration::from_secs(10))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        {
            let mut c = write.acquire().await?;
            let done = refuse_newer(&mut *c, &SQLITE).await?;
            if existed && done > 0 && SQLITE.iter().any(|m| m.version > done && m.version <= level) {
                let copy = path.with_extension(format!("db.before-{done}"));
                if !copy.exists() {
                    copy_whole(&mut c, &copy).await?;
                }
            }
            SQLITE.run_direct(Some(level), &mut *c, false).await?;
        }
        let read = SqlitePoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(20))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        Ok(Self::Sqlite { read, write })
    }

    pub const fn is_postgres(&self) -> bool {
        matches!(self, Self::Pg(_))
    }

    /// A connection for reading. On SQLite it refuses to write.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match self {
            Self::Sqlite { read, .. } => Reader::Sqlite(read.acquire().await?),
            Self::Pg(p) => Reader::Pg(p.acquire().await?),
        })
    }

    /// Begins a transaction that writes. Dropped without `commit`, it rolls back.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(match self {
            Self::Sqlite { write, .. } => Transaction::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Pg(p) => Transaction::Pg(p.begin().await?),
        })
    }

    /// Begins a transaction that writes to the audit trail, among other things. On PostgreSQL such transactions follow one
    /// another: all take the trail's lock before any row, so that no two wait for each other.
    pub async fn begin_audited(&self) -> Result<Transaction> {
        let mut t = self.begin().await?;
        crate::audit::lock(t.tx()).await?;
        Ok(t)
    }

    /// Begins a transaction that only reads and shows the database at one moment, however long it takes.
    pub async fn begin_read(&self) -> Result<Transaction> {
        Ok(match self {
            Self::Sqlite { read, .. } => Transaction::Sqlite(read.begin().await?),
            Self::Pg(p) => Transaction::Pg(p.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?),
        })
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Self::Pg(p) => p.close().await,
        }
    }
}

/// Whether a URL names a PostgreSQL.
pub fn names_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// How far the tables are, and how far this program knows them, as numbers of migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    pub applied: i64,
    pub known: i64,
}

pub async fn schema(db: &Db) -> Result<Schema> {
    let (mut read, known) = (db.read().await?, if db.is_postgres() { &POSTGRES } else { &SQLITE });
    let applied =
        crate::on!(read.tx(), c => sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(c).await)?;
    Ok(Schema { applied: applied.unwrap_or(0), known: known.iter().map(|m| m.version).max().unwrap_or(0) })
}

/// Connections of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// `all`, or `read` and `write`.
    pub pool: &'static str,
    pub open: u32,
    /// Open and not in use.
    pub idle: usize,
    pub most: u32,
}

impl Db {
    pub fn pools(&self) -> Vec<PoolUse> {
        match self {
            Self::Sqlite { read, write } => [("read", read), ("write", write)]
                .map(|(pool, p)| PoolUse { pool, open: p.size(), idle: p.num_idle(), most: p.options().get_max_connections() })
                .to_vec(),
            Self::Pg(p) => vec![PoolUse { pool: "all", open: p.size(), idle: p.num_idle(), most: p.options().get_max_connections() }],
        }
    }
}

/// A lock on `holdfast.db.lock` beside the database, waited for; the system frees it when its holder is gone.
async fn alone(path: &Path) -> Result<std::fs::File> {
    let path = path.with_extension("db.lock");
    let waited = tokio::task::spawn_blocking(move || {
        let open = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        open.and_then(|file| file.lock().map(|()| file)).map_err(|e| StoreError::Url(format!("{} cannot be made or locked: {e}", path.display())))
    });
    waited.await.map_err(|e| StoreError::Url(e.to_string()))?
}

/// Copies the database to `copy`. What is there under that name is whole: a copy that was cut short has another name.
async fn copy_whole(c: &mut sqlx::SqliteConnection, copy: &Path) -> Result<()> {
    let io = |e: std::io::Error| StoreError::Database(sqlx::Error::Io(e));
    let partial = copy.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    sqlx::query("VACUUM INTO $1").bind(partial.to_string_lossy().into_owned()).execute(c).await?;
    std::fs::rename(&partial, copy).map_err(io)
}

/// The newest migration that this version knows.
pub fn newest_migration() -> i64 {
    SQLITE.iter().map(|m| m.version).max().unwrap_or(0)
}

/// The versions that a database may have had, today's among them.
#[cfg(test)]
pub fn migrations() -> Vec<i64> {
    SQLITE.iter().map(|m| m.version).collect()
}

/// The newest migration of an open database.
#[cfg(test)]
pub async fn level(db: &Db) -> Result<i64> {
    let sql = "SELECT max(version) FROM _sqlx_migrations";
    let mut read = db.read().await?;
    Ok(match read.tx() {
        Tx::Sqlite(c) => sqlx::query_scalar(sql).fetch_one(c).await?,
        Tx::Pg(c) => sqlx::query_scalar(sql).fetch_one(c).await?,
    })
}

/// The newest migration that has run, or an error when the database knows one that this binary does not.
async fn refuse_newer<C: Migrate>(c: &mut C, known: &Migrator) -> Result<i64> {
    c.ensure_migrations_table(&known.table_name).await?;
    let done = c.list_applied_migrations(&known.table_name).await?.iter().map(|m| m.version).max().unwrap_or(0);
    let newest = known.iter().map(|m| m.version).max().unwrap_or(0);
    if done > newest { Err(StoreError::Newer(done)) } else { Ok(done) }
}
