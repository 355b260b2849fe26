//! Fresh databases for tests: SQLite in a temporary folder and a new database on a real PostgreSQL.
//!
//! Lives here: making and removing them; instances and their snapshots as a cloud tells of them. May not: anything a released binary needs.

use std::str::FromStr;

use domain::instance::{BootType, Flavour, NativeImage, NativeSnapshot, Server, VolumeSnapshot};
use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgConnection},
};

use crate::Db;

/// A database of its own for one test. Dropped, the folder of SQLite goes; PostgreSQL's goes with its test server.
pub struct TestDb {
    pub name: &'static str,
    pub url: String,
    pub db: Db,
    _folder: Option<tempfile::TempDir>,
}

/// One fresh SQLite database.
pub async fn sqlite() -> TestDb {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("holdfast.db").display());
    let db = Db::open(&url).await.expect("SQLite opens");
    TestDb { name: "sqlite", url, db, _folder: Some(folder) }
}

/// The place of an SQLite database that nobody has opened, for tests of migrations; the folder goes when it is dropped.
#[cfg(test)]
pub fn sqlite_place() -> (&'static str, String, Option<tempfile::TempDir>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    ("sqlite", format!("sqlite://{}", folder.path().join("holdfast.db").display()), Some(folder))
}

/// The same on PostgreSQL.
#[cfg(test)]
pub async fn postgres_named() -> (&'static str, String, Option<tempfile::TempDir>) {
    ("postgres", postgres_place().await, None)
}

/// One fresh database on the PostgreSQL that `HOLDFAST_TEST_PG` names.
pub async fn postgres() -> TestDb {
    let url = postgres_place().await;
    let db = Db::open(&url).await.expect("PostgreSQL opens");
    TestDb { name: "postgres", url, db, _folder: None }
}

/// The URL of a database that is there and empty.
pub async fn postgres_place() -> String {
    #[allow(clippy::disallowed_methods, reason = "tests are told by the environment where the test server is")]
    let base = std::env::var("HOLDFAST_TEST_PG").expect("HOLDFAST_TEST_PG must name a PostgreSQL to test with; `make test` starts one");
    let options = PgConnectOptions::from_str(&base).expect("HOLDFAST_TEST_PG is a postgres:// URL");
    let name = format!("hf_{}", uuid::Uuid::now_v7().simple());
    let mut admin = PgConnection::connect_with(&options).await.expect("PostgreSQL answers");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.expect("a fresh database");
    let (server, _) = base.rsplit_once('/').expect("HOLDFAST_TEST_PG ends in a database name");
    format!("{server}/{name}")
}

/// Both, for a test that must hold on each.
pub async fn databases() -> Vec<TestDb> {
    vec![sqlite().await, postgres().await]
}

/// Lets events of the audit trail be changed, as whoever owns the database can.
pub async fn unguard_audit(db: &Db) {
    let off: &[&str] = match db {
        Db::Pg(_) => &["ALTER TABLE audit_event DISABLE TRIGGER USER"],
        Db::Sqlite { .. } => &["DROP TRIGGER audit_event_is_not_changed", "DROP TRIGGER audit_event_is_not_removed"],
    };
    let mut t = db.begin().await.expect("the database answers");
    for sql in off {
        execute(t.tx(), sql).await;
    }
    t.commit().await.expect("the database answers");
}

/// Runs a statement that no released code has, such as one that ages a row.
pub async fn execute(tx: crate::Tx<'_>, sql: &'static str) {
    crate::on!(tx, c => sqlx::query(sql).execute(c).await.map(|_| ())).expect("the statement runs");
}

/// A SQLite file of somebody else's, made by these statements.
pub async fn sqlite_file(path: &std::path::Path, statements: &[&'static str]) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut c = sqlx::SqliteConnection::connect_with(&options).await.expect("SQLite opens");
    for sql in statements {
        sqlx::query(*sql).execute(&mut c).await.expect("the statement is carried out");
    }
    c.close().await.expect("SQLite closes");
}

/// Statements on a PostgreSQL database of somebody else's.
pub async fn postgres_run(url: &str, statements: &[&'static str]) {
    let mut c = PgConnection::connect(url).await.expect("PostgreSQL answers");
    for sql in statements {
        sqlx::query(*sql).execute(&mut c).await.expect("the statement is carried out");
    }
    c.close().await.expect("PostgreSQL closes");
}

/// An instance that runs.
pub fn server(id: &str, name: &str, boot: BootType) -> Server {
    let flavour = Flavour { name: "small".into(), vcpus: 1, ram_mb: 64, disk_gb: 1, ..Flavour::default() };
    Server { name: name.into(), status: "ACTIVE".into(), flavour, ..Server::unknown(id.into(), boot) }
}

/// What a snapshot of an instance is made of: an image, or the snapshot of a root volume, with the id `unit`.
pub fn native(unit: &str, name: &str, server: Server) -> NativeSnapshot {
    let (image, volumes) = match server.boot {
        BootType::Image => (Some(NativeImage { id: unit.into(), size_bytes: 9, min_disk_gb: 1, sha512: None }), Vec::new()),
        BootType::Volume => (None, vec![VolumeSnapshot { id: unit.into(), size_gb: 3, root: true, ..VolumeSnapshot::default() }]),
    };
    NativeSnapshot { name: name.into(), image, volumes, server }
}
