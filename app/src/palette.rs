//! The palette and the help of the keyboard: their dialogs in every page, and the options that the server draws for it.
//!
//! Lives here: what can be gone to and done, and its markup. May not: finding (`ops::search`), permission, the keys
//! (`islands`). Invariant: an option is a link or the button of a form, so that choosing it is pressing it.

use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx, OpsError,
    permission::{Action, On, allowed},
    search,
};
use store::services::ServiceRow;

use crate::{
    components::{
        address::{encode, with_query},
        dialog::dialog,
        icon,
    },
    frame::RAIL,
    pages::{
        services::act::{BackUp, TestRestore},
        snapshots::parts::{place, short_id, subject},
    },
};

/// Of each kind.
const MOST: i64 = 5;
/// The shortest beginning of a verb that counts as one.
const SHORTEST_VERB: usize = 2;

/// What can be done to a service, with the words that people begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    BackUp,
    Test,
}

impl Deed {
    const ALL: [Self; 2] = [Self::BackUp, Self::Test];

    const fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::BackUp => &["back up", "backup"],
            Self::Test => &["restore test", "test"],
        }
    }

    /// What follows the verb at the beginning of `text`; nothing where the verb itself is not whole yet.
    fn asked(self, text: &str) -> Option<String> {
        let text = text.to_lowercase();
        self.verbs().iter().find_map(|verb| match text.strip_prefix(verb) {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => Some(rest.trim().to_owned()),
            Some(_) => None,
            None => (text.len() >= SHORTEST_VERB && verb.starts_with(&text)).then(String::new),
        })
    }
}

/// The dialogs that every page carries, closed.
pub fn dialogs(single_keys: bool) -> AnyView {
    let key = |keys: &[&'static str], what: &'static str| {
        let keys: Vec<_> = keys.iter().map(|k| view! { <kbd class="kbd">{*k}</kbd>" " }).collect();
        view! { <dt>{keys}</dt><dd>{what}</dd> }
    };
    let off = (!single_keys).then(|| view! { <p class="soft">"Keys without Ctrl are switched off. The switch is in the menu with your name."</p> });
    let help = view! {
        <dl class="kv">
            {key(&["Ctrl K", "⌘ K"], "Palette: go to or do")}
            {key(&["/"], "Filter this page, or search")}
            {key(&["j", "k"], "Next and previous row")}
            {key(&["Enter"], "Open the row")}
            {key(&["x"], "Tick the row, or take the tick away")}
            {key(&["?"], "This help")}
            {key(&["←", "→"], "In a tree of files: close and open a folder, go to the folder around")}
            {key(&["↑", "↓", "Home", "End"], "In a tree of files: move")}
            {key(&["Space"], "In a tree of files: tick")}
        </dl>
        {off}
        <p class="soft sm">"Without scripts the browser’s own keys do all of this: Tab, Enter and Space."</p>
    };
    view! {
        <dialog class="dialog palette" id="palette" aria-label="Go to or do">
            <div class="palette__field">{icon("i-search")}
                <input class="palette__input" type="text" role="combobox" aria-label="Go to or do" aria-expanded="true" aria-controls="palette-list"
                    aria-autocomplete="list" autocomplete="off" autocapitalize="off" spellcheck="false" placeholder="A service, person, item, id, page, or what to do"/>
            </div>
            <div id="palette-results" tabindex="0"><div role="listbox" id="palette-list" aria-label="Results"></div></div>
            <p class="palette__foot"><span role="status"></span>
                <span class="end"><kbd class="kbd">"↑"</kbd>" "<kbd class="kbd">"↓"</kbd>" choose "<kbd class="kbd">"Enter"</kbd>" open "<kbd class="kbd">"Esc"</kbd>" close"</span></p>
        </dialog>
        {dialog("help", "Keyboard", "Close", help.into_any(), ().into_any())}
    }
    .into_any()
}

/// The options for what was typed; nothing typed gives the newest runs and all pages.
pub async fn results(ctx: &Ctx, text: &str) -> Result<String, OpsError> {
    let text: String = text.trim().chars().take(200).collect();
    let mut out = Drawn::default();
    let found = search::find(ctx, &text, MOST).await?;
    let services =
        found.services.iter().map(|s| Choice::link(format!("/services/{}", s.name), "i-service", &s.title, if s.title == s.name { &s.owner } else { &s.name }));
    out.group("Services", services);
    let people = found.people.iter().map(|p| {
        let services = p.services().iter().map(|(_, title)| *title).collect::<Vec<_>>().join(", ");
        Choice::link(format!("/people/{}", encode(&p.row.name)), "i-person", p.row.shown(), &services)
    });
    out.group("People", people);
    let items = found.items.iter().map(|i| {
        let href = with_query("/snapshots", &[("service", &i.service), ("item", &i.name)]);
        Choice::link(href, "i-user-vol", &i.name, &format!("{}, {}", i.service_title, i.source))
    });
    out.group("Items", items);
    let snapshots = found.snapshots.iter().map(|s| Choice::link(place(s.row.id, &[]), "i-snapshot", &short_id(&s.row.restic_id), &subject(s)));
    out.group("Snapshots", snapshots);
    let runs = if text.is_empty() { ops::runs::list(ctx, store::runs::Filter::default(), None, MOST).await? } else { found.runs };
    let runs = runs.iter().map(|r| Choice::link(format!("/runs/{}", r.run.id), "i-runs", &r.run.title, &r.run.state));
    out.group("Runs", runs);

    if allowed(&ctx.actor, Action::Operate, On::Any) {
        let mut deeds = Vec::new();
        for deed in Deed::ALL {
            let services = match deed.asked(&text) {
                Some(rest) if rest.is_empty() => ops::services::list(ctx, "", "", MOST).await?,
                Some(rest) => ops::services::list(ctx, "", &rest, MOST).await?,
                None => found.services.iter().take(2).cloned().collect(),
            };
            deeds.extend(services.iter().map(|s| Choice::deed(deed, s)));
        }
        out.group("Do", deeds.into_iter());
    }

    let wanted = text.to_lowercase();
    let pages =
        RAIL.iter().flat_map(|(_, entries)| entries.iter()).filter(|(this, _, _, name)| this.is_for(&ctx.actor) && name.to_lowercase().contains(&wanted));
    let more = [("API", "/api/docs", "i-link")].into_iter().filter(|(name, _, _)| name.to_lowercase().contains(&wanted));
    let pages = pages.map(|(_, href, symbol, name)| (*name, *href, *symbol)).chain(more);
    out.group("Pages", pages.map(|(name, href, symbol)| Choice::link(href.to_owned(), symbol, name, "")));
    Ok(out.html(&text))
}

/// One thing to choose.
struct Choice {
    symbol: &'static str,
    name: String,
    /// What tells it from its like.
    sub: String,
    leads: Leads,
}

enum Leads {
    To(String),
    /// A form that is posted: its address and its fields.
    Posts(&'static str, Vec<(&'static str, String)>),
}

impl Choice {
    fn link(href: String, symbol: &'static str, name: &str, sub: &str) -> Self {
        Self { symbol, name: name.to_owned(), sub: sub.to_owned(), leads: Leads::To(href) }
    }

    fn deed(deed: Deed, service: &ServiceRow) -> Self {
        let of = ("service", service.name.clone());
        let (symbol, name, leads) = match deed {
            Deed::BackUp => ("i-run", format!("Back up {} now", service.title), Leads::Posts(BackUp::url(), vec![of])),
            Deed::Test => {
                ("i-test", format!("Run a restore test of {}", service.title), Leads::Posts(TestRestore::url(), vec![of, ("sample", "5".to_owned())]))
            }
        };
        Self { symbol, name, sub: service.name.clone(), leads }
    }
}

/// The list that grows, and the forms that its buttons belong to: a form may not stand inside an option.
#[derive(Default)]
struct Drawn {
    groups: Vec<AnyView>,
    forms: Vec<AnyView>,
    options: usize,
}

impl Drawn {
    fn group(&mut self, name: &'static str, options: impl Iterator<Item = Choice>) {
        let drawn: Vec<_> = options.map(|o| self.option(o)).collect();
        if !drawn.is_empty() {
            self.groups.push(view! { <div role="group" aria-label=name><p class="palette__label" aria-hidden="true">{name}</p>{drawn}</div> }.into_any());
        }
    }

    fn option(&mut self, o: Choice) -> AnyView {
        let id = format!("palette-{}", self.options);
        self.options += 1;
        let inside = view! { {icon(o.symbol)}<span class="palette__name">{o.name}</span>{(!o.sub.is_empty()).then(|| view! { <span class="palette__sub">{o.sub}</span> })} };
        match o.leads {
            Leads::To(href) => view! { <a class="palette__option" role="option" id=id tabindex="-1" aria-selected="false" href=href>{inside}</a> }.into_any(),
            Leads::Posts(action, fields) => {
                let form = format!("{id}-form");
                let fields = fields.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value/> }).collect_view();
                self.forms.push(view! { <form id=form.clone() method="post" action=action>{fields}</form> }.into_any());
                view! { <button class="palette__option" role="option" id=id tabindex="-1" aria-selected="false" form=form>{inside}</button> }.into_any()
            }
        }
    }

    fn html(self, text: &str) -> String {
        let none = (self.options == 0).then(|| {
            view! { <p class="palette__none">"Nothing matches “"{text.to_owned()}"”. A part of a name is enough; of an id the first four digits."</p> }
        });
        let label = if text.is_empty() { "Newest runs and pages".to_owned() } else { format!("Results for “{text}”") };
        view! { <div role="listbox" id="palette-list" aria-label=label>{self.groups}</div>{none}<div hidden>{self.forms}</div> }.to_html()
    }
}

#[cfg(test)]
mod tests {
    use ops::{Actor, config};

    use super::*;

    #[test]
    fn verbs_are_recognised_by_their_beginning() {
        assert_eq!(Deed::BackUp.asked("Back up notebooks").as_deref(), Some("notebooks"));
        assert_eq!(Deed::BackUp.asked("backup").as_deref(), Some(""));
        assert_eq!(Deed::BackUp.asked("ba").as_deref(), Some(""));
        assert_eq!(Deed::Test.asked("restore test hub").as_deref(), Some("hub"));
        for text in ["b", "backups", "notebooks", ""] {
            assert_eq!(Deed::BackUp.asked(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn an_auditor_is_offered_nothing_to_do_and_names_are_only_text() {
        let db = store::testing::sqlite().await;
        let admin = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let config = "version: 1
repositories:
  - { name: main, location: file:///r, password: { env: P } }
services:
  - name: notebooks
    title: \"<b>Note</b>\"
    owner: ops
    sources:
      - { name: homes, kind: directory, path: /srv, items: children, repository: main }
";
        config::apply(&admin, &config::parse(config).unwrap(), Some("holdfast.yaml")).await.unwrap();
        let html = results(&admin, "note").await.unwrap();
        assert!(html.contains("&lt;b&gt;Note") && !html.contains("<b>Note"), "{html}");
        assert_eq!((html.matches("<form").count(), html.matches("Back up ").count()), (2, 1), "{html}");
        assert!(results(&admin, "test").await.unwrap().contains("Run a restore test of"), "a verb alone offers the services");

        let auditor = Ctx { actor: Actor::new("a", ops::Role::Auditor), ..admin.clone() };
        let html = results(&auditor, "note").await.unwrap();
        assert!(html.contains("/services/notebooks") && !html.contains("<form"), "{html}");
        let nobody = Ctx { actor: Actor::anonymous(), ..admin };
        assert!(matches!(results(&nobody, "").await, Err(OpsError::Forbidden(_))));
    }
}
