//! `/api/v1/services/{name}/availability` and `…/argo`: months, why they are as they are, and where ARGO's figures come
//! from. A key goes in and never comes out.

use app::context::AppContext;
use axum::{Json, extract::State, http::StatusCode};
use domain::availability::{
    Entry, Figures, Month, MonthFigures, Note, Origin, Recorded,
    source::{Format, Settings, Version},
};
use jiff::Timestamp;
use ops::availability::{
    self, MonthView,
    source::{self, NewSource},
};
use serde::{Deserialize, Serialize};
use store::availability::SourceRow;
use utoipa::{IntoParams, ToSchema};

use super::{
    asker::{Asker, Body, Path, Query},
    channels::GivenSecret,
    problem::Problem,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// Availability and reliability in percent; absent where nothing is known.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Percentages {
    availability: Option<f64>,
    reliability: Option<f64>,
}

impl From<Figures> for Percentages {
    fn from(f: Figures) -> Self {
        Self { availability: f.availability, reliability: f.reliability }
    }
}

/// What one origin says.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordedFigure {
    #[schema(schema_with = words::figure_origin)]
    origin: Origin,
    #[serde(flatten)]
    figures: Percentages,
    /// Fractions of the period, where the origin tells them.
    up: Option<f64>,
    unknown: Option<f64>,
    down: Option<f64>,
    /// Who entered it, or where it was fetched.
    by: String,
    at: Timestamp,
    /// Who chose to show this one.
    chosen_by: Option<String>,
}

impl From<Recorded> for RecordedFigure {
    fn from(r: Recorded) -> Self {
        let p = r.parts;
        Self {
            origin: r.origin,
            figures: r.figures.into(),
            up: p.map(|p| p.up),
            unknown: p.map(|p| p.unknown),
            down: p.map(|p| p.down),
            by: r.by,
            at: at(r.at.0),
            chosen_by: r.chosen_by,
        }
    }
}

/// Why a month is as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct MonthExplanation {
    text: String,
    by: String,
    at: Timestamp,
}

impl From<Note> for MonthExplanation {
    fn from(n: Note) -> Self {
        Self { text: n.text, by: n.by, at: at(n.at.0) }
    }
}

/// A month of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityMonth {
    /// Such as 2020-02.
    month: String,
    /// What is shown: the first of `recorded`.
    #[serde(flatten)]
    figures: Percentages,
    availability_below: bool,
    reliability_below: bool,
    /// What is shown, and what is kept beside it.
    recorded: Vec<RecordedFigure>,
    explanation: Option<MonthExplanation>,
}

impl From<MonthFigures> for AvailabilityMonth {
    fn from(m: MonthFigures) -> Self {
        Self {
            month: m.month.to_string(),
            figures: m.figures().into(),
            availability_below: m.below.availability,
            reliability_below: m.below.reliability,
            recorded: m.recorded.into_iter().map(RecordedFigure::from).collect(),
            explanation: m.note.map(MonthExplanation::from),
        }
    }
}

/// The months of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityReport {
    service: String,
    /// What was agreed, by the continuity plan.
    targets: Percentages,
    from: String,
    to: String,
    /// Every month from the first to the last, also those of which nothing is known.
    months: Vec<AvailabilityMonth>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WhichMonths {
    /// The first month, such as 2020-01; left out, twelve months end with the last one.
    from: Option<String>,
    /// The last month; left out, this one, or the last of which anything is known where that is longer ago.
    to: Option<String>,
}

fn read_month(field: &str, text: &str) -> Result<Month, Problem> {
    text.parse().map_err(|e: domain::availability::BadMonth| Problem::invalid(field, &e.to_string()))
}

/// Availability and reliability of a service by month
#[utoipa::path(get, path = "/api/v1/services/{name}/availability", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), WhichMonths), responses((status = 200, body = AvailabilityReport)))]
pub async fn months(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<WhichMonths>) -> Result<Json<AvailabilityReport>, Problem> {
    let read = |field: &str, given: Option<String>| given.map(|m| read_month(field, &m)).transpose();
    let r = availability::months(&ctx, &name, read("from", q.from)?, read("to", q.to)?).await?;
    Ok(Json(AvailabilityReport {
        service: r.service.name,
        targets: Percentages { availability: r.targets.availability, reliability: r.targets.reliability },
        from: r.from.to_string(),
        to: r.to.to_string(),
        months: r.months.into_iter().map(AvailabilityMonth::from).collect(),
    }))
}

/// A day of a month.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityDay {
    /// Such as 2020-02-14.
    day: String,
    #[serde(flatten)]
    figures: Percentages,
}

/// A month with its days, where ARGO tells them.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityMonthWithDays {
    #[serde(flatten)]
    month: AvailabilityMonth,
    days: Vec<AvailabilityDay>,
}

async fn tagged(ctx: &ops::Ctx, name: &str, month: Month) -> Result<Tagged, Problem> {
    let MonthView { month, days, .. } = availability::month(ctx, name, month).await?;
    let version = availability::version(&month);
    let days = days.into_iter().map(|(day, r)| AvailabilityDay { day, figures: r.figures.into() }).collect();
    Tagged::new(&version, &AvailabilityMonthWithDays { month: month.into(), days })
}

/// One month of a service with its days
#[utoipa::path(get, path = "/api/v1/services/{name}/availability/{month}", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    responses((status = 200, body = AvailabilityMonthWithDays)))]
pub async fn month(Asker(ctx): Asker, known: Known, Path((name, month)): Path<(String, String)>) -> Result<Tagged, Problem> {
    Ok(tagged(&ctx, &name, read_month("month", &month)?).await?.unless(&known))
}

/// A month as somebody enters it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"availability": 78.53, "reliability": 78.53}))]
pub struct EnterMonth {
    availability: Option<f64>,
    reliability: Option<f64>,
    /// Show it instead of what ARGO says; needed where that is what is shown. Both are kept.
    #[serde(default)]
    instead: bool,
}

/// Enter a month by hand; it is marked as such
#[utoipa::path(put, path = "/api/v1/services/{name}/availability/{month}", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    request_body = EnterMonth, responses((status = 200, body = AvailabilityMonthWithDays)))]
pub async fn enter(Asker(ctx): Asker, Basis(seen): Basis, Path((name, month)): Path<(String, String)>, Body(e): Body<EnterMonth>) -> Result<Tagged, Problem> {
    let month = read_month("month", &month)?;
    let figures = Figures { availability: e.availability, reliability: e.reliability };
    availability::enter(&ctx, &name, &Entry { month, figures, instead: e.instead }, &seen).await?;
    tagged(&ctx, &name, month).await
}

/// Take back what was entered by hand; what ARGO says stays
#[utoipa::path(delete, path = "/api/v1/services/{name}/availability/{month}", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    responses((status = 204)))]
pub async fn forget(Asker(ctx): Asker, Basis(seen): Basis, Path((name, month)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    availability::forget(&ctx, &name, read_month("month", &month)?, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which of two figures is shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"origin": "hand"}))]
pub struct ShowFigure {
    #[schema(schema_with = words::figure_origin)]
    origin: Origin,
}

/// Show one of two figures of a month from now on
#[utoipa::path(post, path = "/api/v1/services/{name}/availability/{month}/show", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    request_body = ShowFigure, responses((status = 200, body = AvailabilityMonthWithDays)))]
pub async fn show(Asker(ctx): Asker, Path((name, month)): Path<(String, String)>, Body(s): Body<ShowFigure>) -> Result<Tagged, Problem> {
    let month = read_month("month", &month)?;
    availability::show(&ctx, &name, month, s.origin).await?;
    tagged(&ctx, &name, month).await
}

async fn tagged_note(ctx: &ops::Ctx, name: &str, month: Month) -> Result<Tagged, Problem> {
    let note = availability::explanation(ctx, name, month).await?;
    Tagged::new(&availability::note_version(&note), &MonthExplanation::from(note))
}

/// Why a month is as it is
#[utoipa::path(get, path = "/api/v1/services/{name}/availability/{month}/explanation", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    responses((status = 200, body = MonthExplanation)))]
pub async fn explanation(Asker(ctx): Asker, known: Known, Path((name, month)): Path<(String, String)>) -> Result<Tagged, Problem> {
    Ok(tagged_note(&ctx, &name, read_month("month", &month)?).await?.unless(&known))
}

/// An explanation as somebody gives it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "The underlying provider was down."}))]
pub struct ExplainMonth {
    text: String,
}

/// Say why a month is as it is; who and when is kept with it
#[utoipa::path(put, path = "/api/v1/services/{name}/availability/{month}/explanation", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    request_body = ExplainMonth, responses((status = 200, body = MonthExplanation)))]
pub async fn explain(
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path((name, month)): Path<(String, String)>,
    Body(e): Body<ExplainMonth>,
) -> Result<Tagged, Problem> {
    let month = read_month("month", &month)?;
    availability::explain(&ctx, &name, month, &e.text, &seen).await?;
    tagged_note(&ctx, &name, month).await
}

/// Take an explanation back
#[utoipa::path(delete, path = "/api/v1/services/{name}/availability/{month}/explanation", tag = "availability",
    params(("name" = String, Path, description = "The service's name"), ("month" = String, Path, description = "Such as 2020-02")),
    responses((status = 204)))]
pub async fn unexplain(Asker(ctx): Asker, Basis(seen): Basis, Path((name, month)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    availability::unexplain(&ctx, &name, read_month("month", &month)?, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where ARGO's figures of a service come from, and how fetching went.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArgoSource {
    address: String,
    #[schema(schema_with = words::argo_version)]
    version: Version,
    #[schema(schema_with = words::argo_format)]
    format: Format,
    report: String,
    /// Types and names, from the outside to the inside.
    group: String,
    allow_http: bool,
    /// The first month that is fetched.
    since: String,
    /// Where the key comes from: `file PATH`, `variable NAME`, or `sealed`.
    key: String,
    next_at: Timestamp,
    tried_at: Option<Timestamp>,
    /// When figures were last fetched whole.
    fetched_at: Option<Timestamp>,
    /// Since when every try has failed.
    failing_since: Option<Timestamp>,
    failures: i64,
    /// What went wrong and what to do about it.
    failure: Option<String>,
}

impl From<SourceRow> for ArgoSource {
    fn from(r: SourceRow) -> Self {
        let key = source::key_words(&r);
        let s = r.settings.0;
        Self {
            address: s.address,
            version: s.version,
            format: s.format,
            report: s.report,
            group: s.group,
            allow_http: s.allow_http,
            since: s.since.to_string(),
            key,
            next_at: at(r.next_at),
            tried_at: r.tried_at.map(at),
            fetched_at: r.fetched_at.map(at),
            failing_since: r.failing_since.map(at),
            failures: r.failures,
            failure: r.failed.map(|f| f.0.words()),
        }
    }
}

async fn tagged_source(ctx: &ops::Ctx, name: &str) -> Result<Tagged, Problem> {
    let row = source::find(ctx, name).await?;
    Tagged::new(&source::version(&row), &ArgoSource::from(row))
}

/// Where ARGO's figures of a service come from
#[utoipa::path(get, path = "/api/v1/services/{name}/argo", tag = "availability", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = ArgoSource)))]
pub async fn argo(Asker(ctx): Asker, known: Known, Path(name): Path<String>) -> Result<Tagged, Problem> {
    Ok(tagged_source(&ctx, &name).await?.unless(&known))
}

/// A source of ARGO's figures as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"address": "https://api.argo.example.org", "version": "v2", "report": "Critical", "group": "SITES/CESGA", "since": "2020-01", "key": {"env": "ARGO_KEY"}}))]
pub struct SaveArgoSource {
    /// Host and port, before `/api/`; https, unless `allow_http` says otherwise.
    address: String,
    #[schema(schema_with = words::argo_version)]
    version: Version,
    #[serde(default = "json")]
    #[schema(schema_with = words::argo_format)]
    format: Format,
    report: String,
    group: String,
    #[serde(default)]
    allow_http: bool,
    /// The first month that is fetched, such as 2020-01.
    since: String,
    /// What is left out stays as it is, where the address stays.
    key: Option<GivenSecret>,
}

const fn json() -> Format {
    Format::Json
}

/// Make or change the source of ARGO's figures; they are fetched soon after
#[utoipa::path(put, path = "/api/v1/services/{name}/argo", tag = "availability", params(("name" = String, Path, description = "The service's name")),
    request_body = SaveArgoSource, responses((status = 200, body = ArgoSource)))]
pub async fn save_argo(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path(name): Path<String>,
    Body(s): Body<SaveArgoSource>,
) -> Result<Tagged, Problem> {
    let settings = Settings {
        address: s.address,
        version: s.version,
        format: s.format,
        report: s.report,
        group: s.group,
        allow_http: s.allow_http,
        since: read_month("since", &s.since)?,
    };
    let key = s.key.map_or(ops::notifications::Given::Keep, Into::into);
    source::save(&ctx, &app.vault, &name, &NewSource { settings, key }, &seen).await?;
    tagged_source(&ctx, &name).await
}

/// Remove the source of ARGO's figures; figures that were fetched stay
#[utoipa::path(delete, path = "/api/v1/services/{name}/argo", tag = "availability", params(("name" = String, Path, description = "The service's name")),
    responses((status = 204)))]
pub async fn remove_argo(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    source::remove(&ctx, &name, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have figures fetched now instead of at the next turn
#[utoipa::path(post, path = "/api/v1/services/{name}/argo/fetch", tag = "availability", params(("name" = String, Path, description = "The service's name")),
    responses((status = 202)))]
pub async fn fetch_argo(Asker(ctx): Asker, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    source::fetch_now(&ctx, &name).await?;
    Ok(StatusCode::ACCEPTED)
}
