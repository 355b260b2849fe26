//! All risks of a service in one form: a row each, cells to go through with the keyboard, one button.
//!
//! Lives here: `/services/NAME/risks/edit`. May not: judging values (`ops::risks::change_all` does).
//! Number fields and lists take the arrow keys, Tab goes from cell to cell: that needs no script.

use domain::risk::{ReviewState, Treatment};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::risks::{self, Judged, Row};

use super::{act::SaveRisks, parts::level_chip};
use crate::{
    components::{
        address::{Query, encode, with_query},
        empty, icon, panel,
        stale::is_stale,
        table::{table, th},
    },
    context::{ctx, query},
    error::{AppError, form_error, refused, upper},
    frame::{Nav, Page, page},
};

/// The page of the form with the rows that were changed in it. They are written short: an address holds about a hundred.
pub fn href(service: &str, typed: &[Row]) -> String {
    let rows: Vec<String> = typed.iter().map(write).collect();
    let pairs: Vec<(&str, &str)> = rows.iter().map(|r| ("row", r.as_str())).collect();
    with_query(&format!("/services/{}/risks/edit", encode(service)), &pairs)
}

/// The owner stands last: it may hold the sign that parts the others.
fn write(r: &Row) -> String {
    let plain = |text: &str| text.replace('~', " ");
    let (likelihood, impact, treatment) = (plain(&r.likelihood), plain(&r.impact), plain(&r.treatment));
    format!("{}~{}~{likelihood}~{impact}~{treatment}~{}~{}~{}", r.number, r.revision, plain(&r.due), plain(&r.review), r.owner)
}

fn read(query: &Query) -> Vec<Row> {
    query.all("row").iter().filter_map(|text| read_row(text)).collect()
}

fn read_row(text: &str) -> Option<Row> {
    let mut parts = text.splitn(8, '~');
    let (number, revision) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let mut next = || parts.next().map(str::to_owned);
    Some(Row { number, revision, likelihood: next()?, impact: next()?, treatment: next()?, due: next()?, review: next()?, owner: next()? })
}

/// `/services/:name/risks/edit`.
#[component]
pub fn EditRisks() -> impl IntoView {
    let (ctx, query, error) = (ctx(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let service = ops::services::find(&ctx, &name).await?;
        risks::require_plan(&ctx, &name).await?;
        let all = risks::list(&ctx, &name, false).await?;
        let (typed, stale) = (read(&query), is_stale(error.as_ref()));
        let rows: Vec<(Row, &Judged)> = all
            .iter()
            .map(|j| {
                let saved = Row::of(j.row.number, j.row.revision, j.risk());
                let row = match typed.iter().find(|t| t.number == j.row.number) {
                    // Whoever saves again has seen what is there now.
                    Some(t) if stale => Row { revision: j.row.revision, ..t.clone() },
                    Some(t) => t.clone(),
                    None => saved,
                };
                (row, j)
            })
            .collect();
        let base = format!("/services/{}", encode(&service.name));
        let differ = stale.then(|| differ(&rows, &base));
        let content =
            if rows.is_empty() { empty("No risks yet", "Add one first.".into_any(), None).into_any() } else { form(&service.name, &rows, error.as_ref()) };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"All risks in one form"</h1>
                <p class="page__lede">"Tab goes from cell to cell, arrow keys change a number or a choice. Nothing is saved unless every row is right."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{differ}{content}</div>
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Services".to_owned(), "/services".to_owned()),
            (service.title.clone(), base.clone()),
            ("Risks".to_owned(), format!("{base}/risks")),
        ];
        Ok(Page { title: "All risks in one form".to_owned(), nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

/// Where what is saved now and what was typed differ.
fn differ(rows: &[(Row, &Judged)], base: &str) -> AnyView {
    let cells = |r: &Row| {
        [("likelihood", &r.likelihood), ("impact", &r.impact), ("treatment", &r.treatment), ("owner", &r.owner), ("due", &r.due), ("review", &r.review)]
            .map(|(n, v)| (n, v.clone()))
    };
    let shown = |text: String| if text.is_empty() { view! { <span class="muted">"empty"</span> }.into_any() } else { text.into_any() };
    let lines: Vec<_> = rows
        .iter()
        .flat_map(|(typed, j)| {
            let saved = cells(&Row::of(j.row.number, j.row.revision, j.risk()));
            let number = typed.number;
            saved
                .into_iter()
                .zip(cells(typed))
                .filter(|(s, t)| s.1 != t.1)
                .map(move |((name, saved), (_, typed))| (format!("Risk {number}, {name}"), saved, typed))
        })
        .map(|(name, saved, typed)| view! { <tr><th scope="row">{name}</th><td>{shown(saved)}</td><td>{shown(typed)}</td></tr> })
        .collect();
    let head = view! { {th("Cell", "")}{th("Saved now", "")}{th("You typed", "")} };
    let body = view! {
        <div class="panel__body"><p>"What you typed is still in the form below. Save it to replace what is saved now where the two differ."</p></div>
        {table("What differs", "", head.into_any(), lines.into_iter().collect_view().into_any())}
        <div class="panel__foot row"><a class="btn btn--sm" href=format!("{base}/risks/edit")>"Leave it as it is saved"</a></div>
    };
    panel("stale", "What somebody else saved", None, None, body.into_any()).into_any()
}

fn form(service: &str, rows: &[(Row, &Judged)], error: Option<&AppError>) -> AnyView {
    let head = view! { {th("Risk", "")}{th("Likelihood", "")}{th("Impact", "")}{th("Level now", "")}{th("Treatment", "")}{th("Owner", "")}{th("Due", "")}{th("Review", "")} };
    let lines = rows.iter().enumerate().map(|(at, (row, j))| line(at, row, j, error)).collect_view();
    let body = view! {
        <form method="post" action=SaveRisks::url() novalidate>
            <input type="hidden" name="service" value=service.to_owned()/>
            {table("Risks, each with its cells to change", "table--top table--tight table--form", head.into_any(), lines.into_any())}
            <p class="panel__foot row"><button class="btn btn--primary">"Save all"</button><a class="btn" href=format!("/services/{}/risks", encode(service))>"Back"</a></p>
        </form>
    };
    panel("bulk", "Risks", None, None, body.into_any()).into_any()
}

/// What is wrong with a cell, and the attributes that say so.
struct Wrong {
    message: Option<AnyView>,
    invalid: Option<&'static str>,
    described: Option<String>,
}

fn wrong(number: i64, field: &str, error: Option<&AppError>) -> Wrong {
    let Some(said) = error.and_then(|e| e.field(&format!("risks[{number}].{field}"))) else { return Wrong { message: None, invalid: None, described: None } };
    let id = format!("e-{number}-{field}");
    let described = Some(id.clone());
    Wrong { message: Some(view! { <p class="field__error" id=id>{icon("i-fail")}{upper(&said)}</p> }.into_any()), invalid: Some("true"), described }
}

fn line(at: usize, row: &Row, j: &Judged, error: Option<&AppError>) -> AnyView {
    let number = row.number;
    let name = |part: &str| format!("rows[{at}][{part}]");
    let label = |words: &str| format!("{words} of risk {number}");
    let input = |field: &'static str, words: &str, kind: &'static str, value: &str, max: Option<String>| {
        let w = wrong(number, field, error);
        let min = max.is_some().then_some("1");
        view! {
            <td><input class="input input--sm" type=kind name=name(field) value=value.to_owned() min=min max=max aria-label=label(words) aria-invalid=w.invalid aria-describedby=w.described autocomplete="off"/>{w.message}</td>
        }
    };
    let select = |field: &'static str, words: &str, value: &str, options: Vec<(&'static str, &'static str)>| {
        let w = wrong(number, field, error);
        let options = options.into_iter().map(|(v, words)| view! { <option value=v selected=v == value>{words}</option> }).collect_view();
        view! { <td><select class="select select--sm" name=name(field) aria-label=label(words) aria-invalid=w.invalid aria-describedby=w.described>{options}</select>{w.message}</td> }
    };
    let treatments = std::iter::once(("", "none yet")).chain(Treatment::ALL.iter().map(|t| (t.as_str(), t.as_str()))).collect();
    let reviews = ReviewState::ALL.iter().map(|r| (r.as_str(), r.words())).collect();
    let steps = |names: &[String]| Some(names.len().to_string());
    // Whatever else is wrong with the row, such as its measures, which this form does not show.
    let others = error.into_iter().flat_map(|e| &e.fields).filter(|f| {
        let known = ["likelihood", "impact", "treatment", "owner", "due", "review"].map(|n| format!("risks[{number}].{n}"));
        f.field.starts_with(&format!("risks[{number}].")) && !known.contains(&f.field)
    });
    let others = others.map(|f| view! { <p class="field__error">{icon("i-fail")}{format!("{f}")}</p> }).collect_view();
    view! {
        <tr><th scope="row"><input type="hidden" name=name("number") value=number.to_string()/><input type="hidden" name=name("revision") value=row.revision.to_string()/>
                <span class="wrap">{format!("{number} {}", j.risk().description)}</span>{others}</th>
            {input("likelihood", "Likelihood", "number", &row.likelihood, steps(&j.scale.likelihood))}{input("impact", "Impact", "number", &row.impact, steps(&j.scale.impact))}
            <td>{level_chip(j)}</td>{select("treatment", "Treatment", &row.treatment, treatments)}{input("owner", "Owner", "text", &row.owner, None)}
            {input("due", "Due date", "date", &row.due, None)}{select("review", "Review", &row.review, reviews)}</tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_from_an_address() {
        let rows = vec![Row { number: 5, revision: 3, likelihood: "nine & more".into(), owner: "a~b".into(), due: "2021-05-31".into(), ..Row::default() }];
        let query = href("notebooks", &rows).split_once('?').unwrap().1.to_owned();
        assert_eq!(read(&Query::parse(&query)), rows);
        assert_eq!(read(&Query::parse("row=nonsense&row=1~2~3")), []);
        let many =
            vec![
                Row { owner: "notebooks-ops".into(), treatment: "transfer".into(), due: "2021-05-31".into(), review: "in_review".into(), ..rows[0].clone() };
                50
            ];
        assert!(href("notebooks", &many).len() < 6_000, "{}", href("notebooks", &many).len());
    }
}
