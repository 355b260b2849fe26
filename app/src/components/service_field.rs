//! Choosing a service in a form.
//!
//! Lives here: the field of a filter, and the names that an input suggests. May not: what is done with the choice.

use leptos::prelude::*;
use ops::overview::Overview;

/// So many services are a menu; of more, the name is typed.
const MENU: usize = 60;

/// The field `service` of a filter.
pub fn service_field(o: &Overview, chosen: Option<&str>) -> AnyView {
    let field = if o.services.len() > MENU {
        view! {
            <input class="input input--sm" id="f-service" name="service" list="f-services" autocomplete="off" placeholder="any" value=chosen.map(str::to_owned)/>
            {service_names(o, "f-services")}
        }
        .into_any()
    } else {
        let options =
            by_title(o).map(|(name, title)| view! { <option value=name.to_owned() selected=chosen == Some(name)>{title.to_owned()}</option> }).collect_view();
        view! { <select class="select input--sm" id="f-service" name="service"><option value="">"any"</option>{options}</select> }.into_any()
    };
    view! { <div class="field"><label for="f-service">"Service"</label>{field}</div> }.into_any()
}

/// A `<datalist>` of services for the input that names it: those that need attention first, as people look for them.
pub fn service_names(o: &Overview, id: &'static str) -> AnyView {
    let names = o.services.iter().take(MENU).map(|s| view! { <option value=s.row.name.clone()>{s.row.title.clone()}</option> }).collect_view();
    view! { <datalist id=id>{names}</datalist> }.into_any()
}

fn by_title(o: &Overview) -> impl Iterator<Item = (&str, &str)> {
    let mut all: Vec<_> = o.services.iter().map(|s| (s.row.name.as_str(), s.row.title.as_str())).collect();
    all.sort_by_key(|(_, title)| *title);
    all.into_iter()
}
