//! What a run works with, after defaults.

use domain::{
    installation::InstallationBackupParams,
    run::RunKind,
    units::span,
    work::{BackupParams, CheckParams, PruneParams, RestoreParams, RestoreTarget, RestoreTestParams},
};
use leptos::prelude::*;
use ops::OpsError;

use super::{
    brought, native,
    parts::{kv, words},
    show::Loaded,
};
use crate::components::{panel, run::kind_words, way};

/// What the run works with, after defaults.
pub(super) fn inputs(l: &Loaded) -> Result<AnyView, OpsError> {
    let (row, about) = (&l.row, &l.about);
    let mut rows = vec![("Kind", words(kind_words(row.kind()?)))];
    if let Some(s) = &about.service {
        rows.push(("Service", way(l.opens.0, format!("/services/{}", s.name), s.title.clone())));
    }
    if let Some(s) = &about.source {
        let path = s.config.0.get("path").and_then(|p| p.as_str()).map(|p| view! { ", "<code class="path">{p.to_owned()}</code> });
        rows.push(("Source", view! { {s.name.clone()}", "{s.kind.clone()}{path} }.into_any()));
        // Of files alone.
        let excludes = s.config.0.get("path").is_some();
        let exclude: Vec<_> = s.config.0.get("exclude").and_then(|e| e.as_array()).into_iter().flatten().filter_map(|e| e.as_str()).collect();
        if excludes {
            rows.push(("Exclude", if exclude.is_empty() { words("nothing") } else { view! { <code>{exclude.join(" ")}</code> }.into_any() }));
        }
    }
    if let Some(r) = &about.repository {
        rows.push((
            "Repository",
            view! { {way(l.opens.1, format!("/repositories/{}", r.name), r.name.clone())}", "<code class="path">{r.location.clone()}</code> }.into_any(),
        ));
    }
    match row.kind()? {
        RunKind::Backup => {
            let items = row.params::<BackupParams>()?.items;
            rows.push(("Items", words(items.map_or_else(|| "all that the source lists".to_owned(), |i| named(&i)))));
        }
        RunKind::Restore => {
            let p: RestoreParams = row.params()?;
            rows.push(("Items", words(named(&p.items.iter().map(|i| i.item.clone()).collect::<Vec<_>>()))));
            let snapshots = p
                .items
                .iter()
                .take(10)
                .map(|i| view! { <a class="hash" href=format!("/snapshots/{}", i.snapshot)>{i.snapshot.0.simple().to_string()[20..].to_owned()}</a>" " })
                .collect_view();
            rows.push(("Snapshots", snapshots.into_any()));
            let paths: usize = p.items.iter().map(|i| i.paths.len()).sum();
            rows.push(("Files", words(if paths == 0 { "everything".to_owned() } else { format!("{paths} chosen paths") })));
            rows.push((
                "Target",
                match p.target {
                    RestoreTarget::InPlace => words("in place, after a safety snapshot"),
                    RestoreTarget::Beside => words("beside the original, in a folder of its own"),
                    RestoreTarget::Folder { path } => view! { <code class="path">{path}</code> }.into_any(),
                },
            ));
            rows.push(("On conflict", words(p.conflict.as_str())));
            rows.push(("Writes", words(if p.preview { "nothing: a preview" } else { "staged and verified first" })));
        }
        RunKind::RestoreTest => {
            let params = row.params::<RestoreTestParams>()?;
            if let Some(name) = &params.definition {
                rows.push(("Definition", words(name.clone())));
            }
            rows.push(("Selection", words(params.selection.words())));
            if !params.snapshots.is_empty() {
                rows.push(("Snapshots", words("those of an earlier test, again".to_owned())));
            }
        }
        RunKind::InstanceSnapshot => native::inputs(&row.params()?, &mut rows),
        RunKind::InstanceClone => brought::clone_inputs(&row.params()?, &mut rows),
        RunKind::InstanceRestore => brought::in_place_inputs(&row.params()?, &mut rows),
        RunKind::OffsiteCopy | RunKind::OffsiteReturn => native::moved(&row.params()?, &mut rows),
        RunKind::TamperTest => rows.push(("Touches", words("a probe of its own, and nothing else"))),
        RunKind::Prune => rows.push(("Deletes", words(format!("what was marked {} ago", span(f64::from(row.params::<PruneParams>()?.safe_age_s)))))),
        RunKind::InstallationBackup => rows.push(("Why", words(row.params::<InstallationBackupParams>()?.why.words()))),
        RunKind::InstallationTest => rows.push(("Copy", words("the newest in the repository"))),
        RunKind::Check => rows.push((
            "Data",
            words(match row.params::<CheckParams>()? {
                CheckParams { read_data: true, .. } => "every pack is read".to_owned(),
                CheckParams { slice: Some(slice), .. } => format!("as much as it takes to read all within {}", span(slice.within_s as f64)),
                CheckParams { .. } => "structure alone".to_owned(),
            }),
        )),
    }
    if let Some(worker) = &row.lease_owner {
        rows.push(("Worker", words(worker.clone())));
    }
    rows.push(("Attempts", words(format!("{} of at most {}", row.attempts, row.max_attempts))));
    let body = view! { <div class="panel__body">{kv(rows)}</div> };
    Ok(panel("inputs", "Effective inputs", Some("after defaults".to_owned()), None, body.into_any()).into_any())
}

/// The first names, and how many more there are.
fn named(items: &[String]) -> String {
    const NAMED: usize = 5;
    let first = items.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > NAMED { format!("{first} and {} more", items.len() - NAMED) } else { first }
}
