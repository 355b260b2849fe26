//! Who signs plans: the roles, and the form by which admins say so.
//!
//! Lives here: a panel of `/plans` and its server function. May not: judging roles, signing.

use domain::plan::Role;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx, OpsError,
    permission::{Action, On, allowed},
    plans,
};
use serde::{Deserialize, Serialize};

use crate::{
    components::{
        address::{Query, with_query},
        icon, panel,
    },
    context::ctx,
    error::{AppError, back, go, refuse, upper},
};

/// One line of the form; a line without a name is no role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleLine {
    pub name: String,
    /// Anything where the service's owners may sign in it.
    pub owner: String,
}

/// Says who has to sign what is submitted from now on.
#[server(prefix = "/act", endpoint = "set-signers")]
pub async fn set_signers(#[server(default)] roles: Vec<RoleLine>) -> Result<(), AppError> {
    let roles: Vec<RoleLine> = roles.into_iter().filter(|r| !r.name.trim().is_empty()).collect();
    let wanted = roles.iter().map(|r| Role { name: r.name.clone(), owner: !r.owner.is_empty() }).collect();
    match plans::set_roles(&ctx(), wanted).await {
        Ok(()) => go("/plans#p-signers"),
        Err(e @ OpsError::Invalid(_)) => {
            let numbers: Vec<String> = (0..roles.len()).map(|n| n.to_string()).collect();
            let names = roles.iter().map(|r| ("role", r.name.as_str()));
            let owners = roles.iter().zip(&numbers).filter(|(r, _)| !r.owner.is_empty()).map(|(_, n)| ("owner", n.as_str()));
            back(&format!("{}#p-signers", with_query("/plans", &names.chain(owners).collect::<Vec<_>>())), e)?;
        }
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

/// Who signs now, and the form for whoever may change that, with what was typed.
pub fn signers(ctx: &Ctx, roles: &[Role], typed: &Query, error: Option<&AppError>) -> AnyView {
    let names = roles.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
    let form = allowed(&ctx.actor, Action::Configure, On::All).then(|| form(&lines(roles, typed), error));
    let body =
        view! { <div class="panel__body"><p class="soft">{format!("A plan is approved when different people have signed it as: {names}.")}</p></div>{form} };
    panel("signers", "Who signs", None, None, body.into_any()).into_any()
}

/// What was typed, or else what is saved.
fn lines(roles: &[Role], typed: &Query) -> Vec<Role> {
    let (names, owners) = (typed.all("role"), typed.all("owner"));
    if names.is_empty() {
        return roles.to_vec();
    }
    names.into_iter().enumerate().map(|(n, name)| Role { name, owner: owners.contains(&n.to_string()) }).collect()
}

fn form(roles: &[Role], error: Option<&AppError>) -> AnyView {
    let problem =
        |id: Option<String>, field: &str| error.and_then(|e| e.field(field)).map(|m| view! { <p class="field__error" id=id>{icon("i-fail")}{upper(&m)}</p> });
    let lines = (0..plans::MOST_ROLES.max(roles.len())).map(|at| {
        let (n, role) = (at + 1, roles.get(at));
        let (name, owner) = (role.map(|r| r.name.clone()).unwrap_or_default(), role.is_some_and(|r| r.owner));
        let id = format!("role-{n}-error");
        let wrong = problem(Some(id.clone()), &format!("roles[{at}].name"));
        let (invalid, described) = (wrong.is_some().then_some("true"), wrong.is_some().then_some(id));
        view! {
            <li class="role-line">
                <input class="input" name=format!("roles[{at}][name]") value=name aria-label=format!("Role {n}") aria-invalid=invalid aria-describedby=described autocomplete="off"/>
                <label class="check"><input type="checkbox" name=format!("roles[{at}][owner]") value="yes" checked=owner/>"The service's owners may, too"<span class="vh">{format!(" (role {n})")}</span></label>
                {wrong}
            </li>
        }
    });
    view! {
        <form class="panel__body form" method="post" action=SetSigners::url()>
            <fieldset class="field"><legend class="field__label">"Roles in which a plan is signed"</legend>
                <p class="field__hint">"Admins may sign in each of them. An emptied line is removed. What is in review already keeps its roles."</p>
                <ol class="role-lines">{lines.collect_view()}</ol>{problem(None, "roles")}</fieldset>
            <p><button class="btn">"Save who signs"</button></p>
        </form>
    }
    .into_any()
}
