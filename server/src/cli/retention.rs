//! `holdfast retention SERVICE`: what the policy keeps and what it would forget, and why. Nothing is changed.

use domain::units::{count, span};
use ops::policies::{Preview, SourcePreview, Subject, Tried};
use serde_json::{Value, json};

use super::{
    Result, Shell,
    show::{Tone, local, rfc3339, short},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A service, or one of its sources as SERVICE/SOURCE
    what: String,
    /// Each snapshot of this item with its reason; without it, sums by item
    #[arg(long, value_name = "NAME")]
    item: Option<String>,
    /// Try this policy in place of the one that the source names
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    let (service, source) = match args.what.split_once('/') {
        Some((service, source)) => (service, Some(source)),
        None => (args.what.as_str(), None),
    };
    let tried = || args.policy.as_deref().map_or(Tried::Own, Tried::Named);
    if let Some(item) = &args.item {
        let preview = ops::policies::preview(&ctx, service, source, item, tried()).await?;
        ctx.db.close().await;
        if args.json {
            shell.out.json(&item_json(&preview));
        } else {
            print_item(shell, &preview);
        }
        return Ok(0);
    }
    let (mut after, mut all) = (String::new(), Vec::new());
    let subject = loop {
        let SourcePreview { subject, items, next } = ops::policies::preview_source(&ctx, service, source, tried(), &after, 200).await?;
        all.extend(items);
        match next {
            Some(name) => after = name,
            None => break subject,
        }
    };
    ctx.db.close().await;
    if args.json {
        let items: Vec<Value> = all.iter().map(|s| json!({"item": s.item.name, "kept": s.kept, "forgotten": s.forgotten})).collect();
        shell
            .out
            .json(&json!({"service": subject.service.name, "source": subject.source.name, "policy": subject.policy, "rules": subject.rules, "items": items}));
        return Ok(0);
    }
    head(shell, &subject);
    if all.is_empty() {
        shell.out.line("There are no items.");
        return Ok(0);
    }
    let head = ["ITEM", "KEPT", "TO FORGET", "NEWEST"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head)
        .chain(all.iter().map(|s| [s.item.name.clone(), count(s.kept), count(s.forgotten), s.item.last_snapshot_at.map_or_else(|| "–".to_owned(), local)]))
        .collect();
    shell.out.table(&rows, &[1, 2], true);
    let (kept, forgotten) = all.iter().fold((0, 0), |(k, f), s| (k + s.kept, f + s.forgotten));
    shell.out.line(&format!("{} kept, {} to forget. --item NAME says why.", count(kept), count(forgotten)));
    Ok(0)
}

fn head(shell: &Shell, subject: &Subject) {
    let what = format!("{}/{}", subject.service.name, subject.source.name);
    let says = match &subject.policy {
        Some(name) => format!("policy {name}: {}", subject.rules.words()),
        None => "no policy: nothing is forgotten".to_owned(),
    };
    shell.out.line(&format!("{} · {says}", shell.out.tone(Tone::Strong, &what)));
}

fn print_item(shell: &Shell, preview: &Preview) {
    head(shell, &preview.subject);
    if preview.snapshots.is_empty() {
        shell.out.line(&format!("{} has no snapshots.", preview.item.name));
        return;
    }
    let now = preview.snapshots.first().map_or(0, |j| j.row.taken_at);
    let title = ["ID", "TAKEN", "BEFORE THE NEWEST", "", "WHY"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(title)
        .chain(preview.snapshots.iter().map(|j| {
            let (word, tone) = if j.decision.is_kept() { ("kept", Tone::Good) } else { ("to forget", Tone::Warn) };
            let age = if j.row.taken_at == now { String::new() } else { span((now - j.row.taken_at) as f64 / 1e6) };
            let mut why = j.decision.words();
            if j.row.state == "partial" {
                why = format!("partial; {why}");
            }
            [short(&j.row.restic_id).to_owned(), local(j.row.taken_at), age, shell.out.tone(tone, word), why]
        }))
        .collect();
    shell.out.table(&rows, &[2], true);
    let kept = preview.snapshots.iter().filter(|j| j.decision.is_kept()).count();
    shell.out.line(&format!("{} kept, {} to forget.", count(kept as i64), count((preview.snapshots.len() - kept) as i64)));
}

fn item_json(preview: &Preview) -> Value {
    let snapshots: Vec<Value> = preview
        .snapshots
        .iter()
        .map(|j| {
            json!({
                "id": j.row.id,
                "snapshot": j.row.restic_id,
                "taken_at": rfc3339(j.row.taken_at),
                "state": j.row.state,
                "kept": j.decision.is_kept(),
                "why": j.decision.words(),
            })
        })
        .collect();
    json!({
        "service": preview.subject.service.name,
        "source": preview.subject.source.name,
        "item": preview.item.name,
        "policy": preview.subject.policy,
        "rules": preview.subject.rules,
        "snapshots": snapshots,
    })
}
