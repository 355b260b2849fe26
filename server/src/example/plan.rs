//! The continuity plan that the example service carries: the facts and figures of EGI Notebooks, in our own words.
//!
//! Lives here: risks, reviews, months and the test of 2019; the text is in `plan.json`. May not: anything a person could not
//! enter by the same use cases. It is a draft with what was wrong with it: the linter has something to find.

use domain::{
    availability::{Entry, Figures},
    exercise::StepState,
    review::{Done, ReviewKind},
    risk::{Link, Measure, Risk, Treatment},
};
use jiff::civil::date;
use ops::{
    Ctx, OpsError, Result, availability,
    exercises::import::{self, Past, PastStep},
    plans, reviews, risks,
    version::Seen,
};

const TEXT: &str = include_str!("plan.json");
/// The schedule that proves the daily backup.
const DAILY: &str = "notebooks-daily";

/// The risks as the plan rates them: what, likelihood, impact, how long it would last, what is done about it.
const RISKS: [(&str, i64, i64, &str, Treatment); 8] = [
    ("Hardware fails: the service is unavailable or data is lost", 2, 2, "up to 1 day", Treatment::Accept),
    ("Software fails: the service is unavailable or data is lost", 1, 2, "up to 1 day", Treatment::Accept),
    ("Somebody makes a mistake: the service is unavailable or data is lost", 2, 2, "up to 1 day", Treatment::Accept),
    ("A network outage with a cause outside the site", 2, 1, "up to 1 day", Treatment::Accept),
    ("Key technical and support staff is not available", 3, 2, "1 or more working days", Treatment::Reduce),
    ("The data centre is disrupted: fire, flood, no power", 1, 2, "up to 1 working day", Treatment::Accept),
    ("A major security incident: everything is installed and restored anew", 1, 2, "up to 1 working day", Treatment::Accept),
    ("A distributed denial of service", 2, 1, "up to 1 working day", Treatment::Accept),
];
/// The one that the plan calls medium although its rating says more.
const STAFF: usize = 4;

/// Gives the example service its plan, its risks, its reviews, its months and its test.
pub async fn carry(ctx: &Ctx, service: &str) -> Result<()> {
    let content = domain::plan::read(TEXT).map_err(OpsError::Invalid)?;
    let steps = content.test.steps.clone();
    plans::save(ctx, service, content, &Seen::Absent).await?;
    risks::import(ctx, service, &register()).await?;
    for (kind, outcome) in [
        (ReviewKind::Risk, "Eight risks rated; risk 5 is to come down: the provider takes on more staff."),
        (ReviewKind::Plan, "First text of the plan; its test is agreed for June."),
    ] {
        let done = Done { on: date(2019, 5, 28), by: "notebooks-ops, continuity-office".to_owned(), outcome: outcome.to_owned() };
        reviews::record(ctx, service, kind, &done).await?;
    }
    for (month, percent) in [("2020-02", 78.53), ("2020-05", 84.04)] {
        let month = month.parse().map_err(OpsError::internal)?;
        let figures = Figures { availability: Some(percent), reliability: Some(percent) };
        availability::enter(ctx, service, &Entry { month, figures, instead: false }, &Seen::Any).await?;
        let why = "Trouble at the cloud that the service ran on, INFN-CATANIA-STACK; the main deployment has moved to CESGA since.";
        availability::explain(ctx, service, month, why, &Seen::Any).await?;
    }
    import::import(ctx, &test(service, &steps)).await?;
    Ok(())
}

fn register() -> Vec<(Option<i64>, Risk)> {
    let kept = || {
        vec![
            Measure { text: "All configuration and deployment is code in git".to_owned(), proof: None },
            Measure { text: "Daily backup of the users' folders".to_owned(), proof: Some(Link::Schedule { name: DAILY.to_owned() }) },
        ]
    };
    let risk = |(at, (what, likelihood, impact, downtime, treatment)): (usize, (&str, i64, i64, &str, Treatment))| {
        let staff = at == STAFF;
        Risk {
            description: what.to_owned(),
            components: "all components of the service".to_owned(),
            measures: if staff { Vec::new() } else { kept() },
            likelihood,
            impact,
            stated_level: staff.then(|| "Medium".to_owned()),
            downtime: downtime.to_owned(),
            comment: if staff { "The provider agreed to take on more people who can run the service.".to_owned() } else { String::new() },
            treatment: Some(treatment),
            owner: "notebooks-ops".to_owned(),
            ..Risk::default()
        }
    };
    RISKS.into_iter().enumerate().map(risk).zip(1..).map(|(risk, number)| (Some(number), risk)).collect()
}

fn test(service: &str, steps: &[String]) -> Past {
    let step = |title: &String| PastStep { title: title.clone(), details: String::new(), state: StepState::Done, ended: String::new(), note: String::new() };
    Past {
        service: service.to_owned(),
        title: "Recovery of all users onto a new cluster".to_owned(),
        started: "2019-06-06 16:37:15+02:00".to_owned(),
        finished: "2019-06-06 16:47:18+02:00".to_owned(),
        users: Some(75),
        note: "Done by notebooks-ops. The hub's own database and images from the copy of the registry were not tried.".to_owned(),
        steps: steps.iter().map(step).collect(),
    }
}
