//! One search over services, people, items, snapshots and runs, for the top bar and the palette.
//!
//! Lives here: the use case. May not: ranking beyond each kind's own order.

use domain::id::RunId;
use store::{
    items::{self, NamedItem},
    runs,
    runs::ListedRun,
    services::ServiceRow,
    snapshots::ListedSnapshot,
};
use uuid::Uuid;

use crate::{
    Ctx, Result,
    people::{self, Person},
    permission::{Action, Sight, sight},
    services, snapshots,
};

/// The most of each kind that can be asked for.
pub const MOST: i64 = 20;

#[derive(Clone, Debug, Default)]
pub struct Found {
    pub services: Vec<ServiceRow>,
    pub people: Vec<Person>,
    /// How many people match in all.
    pub people_total: i64,
    /// Items that do not carry the name of their person.
    pub items: Vec<NamedItem>,
    pub snapshots: Vec<ListedSnapshot>,
    pub runs: Vec<ListedRun>,
}

impl Found {
    pub const fn is_empty(&self) -> bool {
        self.services.is_empty() && self.people.is_empty() && self.items.is_empty() && self.snapshots.is_empty() && self.runs.is_empty()
    }
}

/// Services, people and items whose name holds the text, snapshots and runs whose id begins with it; at most `most` of
/// each kind (up to 20). An empty text finds nothing.
pub async fn find(ctx: &Ctx, text: &str, most: i64) -> Result<Found> {
    let sight = sight(ctx, Action::Read)?;
    let (text, most) = (text.trim(), most.clamp(1, MOST));
    if text.is_empty() {
        return Ok(Found::default());
    }
    let services = services::list(ctx, "", text, most).await?;
    let (people, people_total) = people::list(ctx, "", text, most).await?;
    // What is nobody's is a service's; few own one, and they find it there.
    let items = if sight == Sight::All { items::search(ctx.db.read().await?.tx(), text, most).await? } else { Vec::new() };
    let snapshots = snapshots::with_id(ctx, text, most).await?;
    let runs = match id_range(text) {
        Some((from, to)) => {
            let mut found = runs::between(ctx.db.read().await?.tx(), RunId(from), RunId(to), most).await?;
            found.retain(|r| sight.of(r.run.service_id) || r.run.actor == ctx.actor.name);
            found
        }
        None => Vec::new(),
    };
    Ok(Found { services, people, people_total, items, snapshots, runs })
}

/// The ids that begin with at least four hexadecimal digits; dashes do not count.
fn id_range(prefix: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    if !(4..=32).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |with: char| Uuid::parse_str(&digits.chars().chain(std::iter::repeat(with)).take(32).collect::<String>()).ok();
    Some((filled('0')?, filled('f')?))
}

#[cfg(test)]
mod tests {
    use domain::units::Timestamp;
    use store::{sources, testing};

    use super::*;
    use crate::{Actor, OpsError, config};

    const CONFIG: &str = r"version: 1
repositories:
  - { name: main, location: file:///r, password: { env: P } }
services:
  - name: notebooks
    title: EGI Notebooks
    owner: ops
    sources:
      - { name: homes, kind: directory, path: /srv/exports, items: children, repository: main }
      - { name: hub, kind: directory, path: /srv/hub, items: self, repository: main }
";

    #[test]
    fn only_the_beginning_of_an_id_is_an_id() {
        let (from, to) = id_range("0192-af").unwrap();
        assert_eq!(from.to_string(), "0192af00-0000-0000-0000-000000000000");
        assert_eq!(to.to_string(), "0192afff-ffff-ffff-ffff-ffffffffffff");
        for text in ["", "abc", "notebooks", "0192_af", &"0".repeat(33)] {
            assert_eq!(id_range(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn each_thing_is_found_once_and_only_by_who_may_read() {
        for t in testing::databases().await {
            let ctx = Ctx::new(t.db.clone(), Actor::shell(), "shell");
            config::apply(&ctx, &config::parse(CONFIG).unwrap(), Some("holdfast.yaml")).await.unwrap();
            let service = crate::services::find(&ctx, "notebooks").await.unwrap();
            let mut tx = t.db.begin().await.unwrap();
            let sources = sources::of_service(tx.tx(), service.id()).await.unwrap();
            for source in &sources {
                // A folder a user is a person's and carries their name; the folder of the hub is nobody's.
                let name = if source.name == "homes" { "alice_50%" } else { "hub_50%" };
                let person = if source.name == "homes" { Some(items::person(tx.tx(), name, Timestamp(1)).await.unwrap()) } else { None };
                items::seen(tx.tx(), source.id(), service.id(), person, name, Timestamp(1)).await.unwrap();
            }
            tx.commit().await.unwrap();

            let found = find(&ctx, "_50%", 5).await.unwrap();
            assert_eq!(found.people.iter().map(|p| p.row.name.as_str()).collect::<Vec<_>>(), ["alice_50%"], "{}", t.name);
            assert_eq!(found.items.iter().map(|i| (i.name.as_str(), i.source.as_str())).collect::<Vec<_>>(), [("hub_50%", "hub")], "{}", t.name);
            assert!(find(&ctx, "x50%", 5).await.unwrap().is_empty(), "{}: a wildcard means itself", t.name);
            assert_eq!(find(&ctx, "egi", 5).await.unwrap().services.len(), 1);
            assert!(find(&ctx, " ", 5).await.unwrap().is_empty());

            let run = crate::backups::start(&ctx, "notebooks", Some("hub"), None).await.unwrap()[0];
            let found = find(&ctx, &run.to_string()[..13], 5).await.unwrap();
            assert_eq!(found.runs.iter().map(|r| r.run.id).collect::<Vec<_>>(), [run.0], "{}", t.name);

            let nobody = Ctx { actor: Actor::anonymous(), ..ctx };
            assert!(matches!(find(&nobody, "alice", 5).await, Err(OpsError::Forbidden(_))));
        }
    }
}
