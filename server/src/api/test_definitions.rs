//! `/api/v1/services/{name}/test-definitions`: what restore tests of a service take, check, and must keep to.

use app::context::AppContext;
use axum::{Json, extract::State, http::StatusCode};
use domain::definition::{Assertion, Check, Compare, Probe, Terms};
use jiff::Timestamp;
use ops::test_definitions::{self, version};
use serde::{Deserialize, Serialize};
use store::test_definitions::TestDefinitionRow;
use utoipa::ToSchema;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    start::Selection,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// What a restore test takes, what it checks beside what every test checks, and what it must keep to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"selection": {"kind": "random", "days": 30}, "rto_s": 3600}))]
pub struct TestTerms {
    selection: Selection,
    #[serde(default)]
    checks: Vec<FurtherCheck>,
    /// A command of the file of `--test-tools` that starts the service on what was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    /// In seconds; the service's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rto_s: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rpo_s: Option<i64>,
    /// Of instances: `none`, `isolated` for a network of the test without a router, or the name or id of a network of the
    /// project, which only an admin may name; none where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

/// A further check with its name. Only an admin may name one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FurtherCheck {
    /// One value of a SQLite file inside what was restored of an item.
    Sqlite {
        name: String,
        item: String,
        /// From the item's folder downwards.
        path: String,
        /// One SELECT that gives one value.
        statement: String,
        #[schema(schema_with = words::compare)]
        compare: Compare,
        expected: String,
    },
    /// One value of a PostgreSQL database that the file of `--test-tools` names.
    Postgresql {
        name: String,
        connection: String,
        statement: String,
        #[schema(schema_with = words::compare)]
        compare: Compare,
        expected: String,
    },
    /// What an address answers by itself; redirects are not followed. `{address}` stands for that of the instance that
    /// was brought back, `{address:NAME}` for that of one of several; it is asked for five minutes.
    Http {
        name: String,
        url: String,
        #[serde(default = "ok")]
        status: u16,
        /// A text that the answer holds; none where it is left out.
        #[serde(default)]
        text: String,
    },
    /// A port that takes a connection. `host` may be `{address}` or `{address:NAME}` as in a URL.
    Tcp { name: String, host: String, port: u16 },
    /// A command of the file of `--test-tools`: exit code 0 passes, 77 could not check, any other fails.
    Command { name: String, command: String },
}

const fn ok() -> u16 {
    200
}

impl From<FurtherCheck> for Check {
    fn from(c: FurtherCheck) -> Self {
        let (name, probe) = match c {
            FurtherCheck::Sqlite { name, item, path, statement, compare, expected } => {
                (name, Probe::Sqlite { item, path, assertion: Assertion { statement, compare, expected } })
            }
            FurtherCheck::Postgresql { name, connection, statement, compare, expected } => {
                (name, Probe::Postgresql { connection, assertion: Assertion { statement, compare, expected } })
            }
            FurtherCheck::Http { name, url, status, text } => (name, Probe::Http { url, status, text }),
            FurtherCheck::Tcp { name, host, port } => (name, Probe::Tcp { host, port }),
            FurtherCheck::Command { name, command } => (name, Probe::Command { command }),
        };
        Self { name, probe }
    }
}

impl From<Check> for FurtherCheck {
    fn from(c: Check) -> Self {
        let name = c.name;
        match c.probe {
            Probe::Sqlite { item, path, assertion: a } => Self::Sqlite { name, item, path, statement: a.statement, compare: a.compare, expected: a.expected },
            Probe::Postgresql { connection, assertion: a } => {
                Self::Postgresql { name, connection, statement: a.statement, compare: a.compare, expected: a.expected }
            }
            Probe::Http { url, status, text } => Self::Http { name, url, status, text },
            Probe::Tcp { host, port } => Self::Tcp { name, host, port },
            Probe::Command { command } => Self::Command { name, command },
        }
    }
}

impl From<TestTerms> for Terms {
    fn from(t: TestTerms) -> Self {
        Self {
            selection: t.selection.into(),
            checks: t.checks.into_iter().map(Check::from).collect(),
            start: t.start,
            rto_s: t.rto_s,
            rpo_s: t.rpo_s,
            network: t.network,
        }
    }
}

impl From<Terms> for TestTerms {
    fn from(t: Terms) -> Self {
        Self {
            selection: t.selection.into(),
            checks: t.checks.into_iter().map(FurtherCheck::from).collect(),
            start: t.start,
            rto_s: t.rto_s,
            rpo_s: t.rpo_s,
            network: t.network,
        }
    }
}

/// A definition of restore tests.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestDefinition {
    name: String,
    terms: TestTerms,
    updated_at: Timestamp,
}

impl From<TestDefinitionRow> for TestDefinition {
    fn from(d: TestDefinitionRow) -> Self {
        Self { name: d.name, terms: d.terms.0.into(), updated_at: at(d.updated_at) }
    }
}

/// All definitions of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestDefinitions {
    definitions: Vec<TestDefinition>,
}

/// List the definitions of a service's restore tests
#[utoipa::path(get, path = "/api/v1/services/{name}/test-definitions", tag = "restore tests", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = TestDefinitions)))]
pub async fn list(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<TestDefinitions>, Problem> {
    let rows = test_definitions::list(&ctx, &name).await?;
    Ok(Json(TestDefinitions { definitions: rows.into_iter().map(TestDefinition::from).collect() }))
}

/// Find a definition
#[utoipa::path(get, path = "/api/v1/services/{name}/test-definitions/{definition}", tag = "restore tests",
    params(("name" = String, Path, description = "The service's name"), ("definition" = String, Path)), responses((status = 200, body = TestDefinition)))]
pub async fn find(Asker(ctx): Asker, known: Known, Path((name, definition)): Path<(String, String)>) -> Result<Tagged, Problem> {
    Ok(tagged(&ctx, &name, &definition).await?.unless(&known))
}

async fn tagged(ctx: &ops::Ctx, service: &str, name: &str) -> Result<Tagged, Problem> {
    let row = test_definitions::find(ctx, service, name).await?;
    Tagged::new(&version(&row), &TestDefinition::from(row))
}

/// Make or change a definition; runs that wait keep what it said
#[utoipa::path(put, path = "/api/v1/services/{name}/test-definitions/{definition}", tag = "restore tests",
    params(("name" = String, Path, description = "The service's name"), ("definition" = String, Path)), request_body = TestTerms,
    responses((status = 200, body = TestDefinition)))]
pub async fn save(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path((name, definition)): Path<(String, String)>,
    Body(terms): Body<TestTerms>,
) -> Result<Tagged, Problem> {
    test_definitions::save(&ctx, &app.tools, &name, &definition, &terms.into(), &seen).await?;
    tagged(&ctx, &name, &definition).await
}

/// Remove a definition that no schedule names; what was tested by it stays on record
#[utoipa::path(delete, path = "/api/v1/services/{name}/test-definitions/{definition}", tag = "restore tests",
    params(("name" = String, Path, description = "The service's name"), ("definition" = String, Path)), responses((status = 204)))]
pub async fn remove(Asker(ctx): Asker, Basis(seen): Basis, Path((name, definition)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    test_definitions::remove(&ctx, &name, &definition, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
