//! What is called when a clone runs: a command or an address of the file of `--test-tools` (R23).
//!
//! Lives here: the step `hook`. May not: which hooks there are (`ops::config::Tools`).
//! Invariants: a command gets no environment but facts about the clone; a hook that fails leaves the clone as it is. After
//! a crash it may be called again.

use std::{path::PathBuf, time::Duration};

use domain::{id::ServiceId, instance::CloneParams, work::StepFailure};
use engine::process::{Errand, errand};
use ops::{
    config::{HookCall, HookTool},
    secrets,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::build::Running;
use crate::{
    exec::Cx,
    kinds::{restore_probes::unless_stopped, service},
    notify::http,
    step::{Done, Result, Step},
};

/// How much of what a command writes is kept, of each of its two outputs, in bytes.
const MOST_OUTPUT: usize = 16 << 10;

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hooked {
    pub said: Option<String>,
    pub failed: Option<String>,
}

pub struct Hook {
    pub service: ServiceId,
    pub params: CloneParams,
    pub server: String,
    pub running: Running,
}

#[async_trait::async_trait]
impl Step for Hook {
    const NAME: &'static str = "hook";
    type Out = Hooked;

    fn input(&self) -> Value {
        json!({"hook": self.params.hook, "server": self.server})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Hooked>> {
        let Some(name) = &self.params.hook else { return Ok(Done::ok(Hooked::default())) };
        let done = match cx.deps.tools.hook(name) {
            None => Err(cx.deps.tools.hook_problem(name).unwrap_or_default()),
            Some(hook) => match &hook.call {
                HookCall::Command(argv) => Box::pin(self.command(cx, hook, argv)).await?,
                HookCall::Webhook(url) => match secrets::resolve(url, "url", &cx.deps.env).await {
                    Ok(url) => Box::pin(self.webhook(cx, hook, url.reveal())).await?,
                    Err(e) => Err(e.to_string()),
                },
            },
        };
        Ok(match done {
            Ok(said) => Done::ok(Hooked { said: Some(format!("{name}: {said}")), failed: None }),
            Err(why) => {
                let why = format!("{name}: {why}");
                let tolerated = Some(StepFailure::new("hook_failed", why.clone(), false));
                Done { out: Hooked { said: None, failed: Some(why) }, tolerated }
            }
        })
    }
}

impl Hook {
    async fn facts(&self, cx: &Cx) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("run", cx.id().to_string()),
            ("service", service(cx, self.service).await?.name),
            ("instance", self.params.instance.clone()),
            ("clone", self.params.clone_name.clone()),
            ("server", self.server.clone()),
            ("addresses", self.running.addresses.join(" ")),
        ])
    }

    async fn command(&self, cx: &Cx, hook: &HookTool, argv: &[String]) -> Result<Result<String, String>> {
        let env = self.facts(cx).await?.into_iter().map(|(n, v)| (format!("HOLDFAST_{}", n.to_uppercase()), v)).collect();
        let limit = Duration::from_secs(u64::try_from(hook.limit_s).unwrap_or(0));
        let work = Errand { argv: argv.to_vec(), folder: PathBuf::from("/"), env, limit, most_output: MOST_OUTPUT };
        let back = match unless_stopped(cx, errand(&work)).await? {
            Ok(back) => back,
            Err(e) => return Ok(Err(e.to_string())),
        };
        if !back.output.trim().is_empty() {
            let text: String = back.output.trim_end().chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect();
            cx.log("info", format!("{} wrote:\n{text}", hook.name)).await?;
        }
        Ok(match (back.late, back.code) {
            (true, _) => Err(format!("stopped after {} s", hook.limit_s)),
            (false, Some(0)) => Ok("exit code 0".to_owned()),
            (false, Some(code)) => Err(format!("exit code {code}")),
            (false, None) => Err(format!("ended by signal {}", back.signal.unwrap_or(0))),
        })
    }

    async fn webhook(&self, cx: &Cx, hook: &HookTool, url: &str) -> Result<Result<String, String>> {
        let limit = Duration::from_secs(u64::try_from(hook.limit_s).unwrap_or(0));
        let client = match http::client_within(&cx.deps.env, limit) {
            Ok(client) => client,
            Err(e) => return Ok(Err(e)),
        };
        let body: serde_json::Map<String, Value> = self.facts(cx).await?.into_iter().map(|(n, v)| (n.to_owned(), json!(v))).collect();
        let request = client.post(url).header(reqwest::header::CONTENT_TYPE, "application/json").body(Value::Object(body).to_string());
        Ok(match unless_stopped(cx, request.send()).await? {
            Ok(answer) if answer.status().is_success() => Ok(format!("answered {}", answer.status().as_u16())),
            Ok(answer) => Err(format!("answered {}", answer.status().as_u16())),
            Err(e) => Err(http::reason(e)),
        })
    }
}
