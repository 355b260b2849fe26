//! Delivers messages: takes them from their queue, sends them, records every attempt with its answer (R55).
//!
//! Lives here: the loop, what an answer means for the next attempt. May not: who is told of what (`watchdogs`), the
//! formats of channels (`http`, `mail`, `shapes`).
//! Invariants: a message is sent at least once and its id travels with it, so that a second arrival can be told apart;
//! whatever is recorded is masked first; every attempt has a time limit, and the last one is the end.

mod heart;
pub(crate) mod http;
mod mail;
mod shapes;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use domain::{
    alert::{message::Message, rule::retry_after_s},
    channel::ChannelKind,
    id::{ChannelId, DeliveryId},
    units::Timestamp,
};
use engine::job::Secret;
pub use heart::{Heart, Signs};
use ops::{notifications, seal::Keys, secrets::Vault};
use store::{
    channels::{self, ChannelRow},
    deliveries::{self, DeliveryRow, Outcome},
    queue::Lease,
    settings, wake,
};
use tokio::{sync::Semaphore, task::JoinSet};
use uuid::Uuid;

use crate::{Deps, owner};

/// How long an attempt may take, and how long its sender holds the message.
const LIMIT: Duration = Duration::from_secs(30);
const LEASE_S: i64 = 90;
/// Messages at a time, and how often the queue is looked at when nothing wakes the sender.
const SLOTS: usize = 4;
const POLL: Duration = Duration::from_secs(5);
/// The longest answer that is kept, in characters.
const LONGEST_ANSWER: usize = 500;
/// How long another side may ask to wait, at most, in seconds.
const LONGEST_WAIT_S: i64 = 6 * 3_600;

/// What the other side made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It has it.
    Yes(String),
    /// Not now; it may say after how many seconds.
    Later(String, Option<i64>),
    /// Never.
    No(String),
}

/// What a sender is given.
pub(crate) struct Parcel<'a> {
    pub id: DeliveryId,
    pub recipient: &'a str,
    pub message: &'a Message,
    pub channel: &'a ChannelRow,
    pub secrets: &'a BTreeMap<String, Secret>,
    /// The address at which people open the page about it.
    pub link: Option<String>,
    pub now: Timestamp,
}

/// Sends what is due.
#[derive(Clone)]
pub struct Notifier {
    deps: Arc<Deps>,
    vault: Vault,
    owner: Arc<str>,
}

impl Notifier {
    pub fn new(deps: Deps) -> Self {
        let vault = Vault::new(deps.env.clone(), Keys::of(&deps.data_dir));
        Self { deps: Arc::new(deps), vault, owner: owner::name().into() }
    }

    /// Sends until `shutdown` is ready; what is on its way then is finished by whoever comes next.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let slots = Arc::new(Semaphore::new(SLOTS));
        let mut tasks = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let woken = wake::queued();
            while tasks.try_join_next().is_some() {}
            if let Err(e) = self.free_the_dead().await {
                tracing::warn!(error = %e, "the queue of messages cannot be read");
            }
            while let Ok(slot) = slots.clone().try_acquire_owned() {
                match self.take().await {
                    Ok(Some((delivery, token))) => {
                        let sender = self.clone();
                        tasks.spawn(async move {
                            sender.send(&delivery, token).await;
                            drop(slot);
                        });
                    }
                    Ok(None) => break,
                    Err(e) => {
                        tracing::warn!(error = %e, "the queue of messages cannot be read");
                        break;
                    }
                }
            }
            let wait = self.until_due().await;
            tokio::select! {
                () = &mut shutdown => break,
                () = woken => {}
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        tokio::time::timeout(Duration::from_secs(5), async { while tasks.join_next().await.is_some() {} }).await.ok();
    }

    /// Sends everything that is due now, one after the other; how many attempts were made.
    pub async fn deliver_due(&self) -> store::Result<usize> {
        self.free_the_dead().await?;
        let mut made = 0;
        while let Some((delivery, token)) = self.take().await? {
            self.send(&delivery, token).await;
            made += 1;
        }
        Ok(made)
    }

    async fn until_due(&self) -> Duration {
        let look = async { deliveries::next_at(self.deps.db.read().await?.tx()).await };
        match look.await {
            // What is due and was not taken waits for one before it.
            Ok(Some(at)) => Duration::from_secs_f64(at.secs_since(self.deps.clock.now()).max(1.0)).min(POLL),
            _ => POLL,
        }
    }

    /// Messages whose sender was a process of this machine that has ended are sent again at once.
    async fn free_the_dead(&self) -> store::Result<()> {
        let now = self.deps.clock.now();
        let held = deliveries::leases(self.deps.db.read().await?.tx()).await?;
        for lease in held.into_iter().filter(|l| l.lease_until > now.0 && owner::is_gone(&l.lease_owner)) {
            let mut t = self.deps.db.begin().await?;
            deliveries::expire(t.tx(), DeliveryId(lease.id), lease.lease_token).await?;
            t.commit().await?;
        }
        Ok(())
    }

    async fn take(&self) -> store::Result<Option<(DeliveryRow, Uuid)>> {
        let (token, now) = (Uuid::now_v7(), self.deps.clock.now());
        let mut t = self.deps.db.begin().await?;
        let taken = deliveries::claim(t.tx(), &Lease { owner: &self.owner, token, until: now.plus_secs(LEASE_S) }, now).await?;
        if taken.is_some() {
            t.commit().await?;
        }
        Ok(taken.map(|d| (d, token)))
    }

    async fn send(&self, d: &DeliveryRow, token: Uuid) {
        let said = match tokio::time::timeout(LIMIT, self.attempt(d)).await {
            Ok(said) => said,
            Err(_) => Said::Later(format!("no answer within {} s", LIMIT.as_secs()), None),
        };
        let now = self.deps.clock.now();
        let (outcome, answer) = judge(said, d.attempts, now);
        if outcome == Outcome::Refused {
            tracing::warn!(delivery = %d.id, answer, "a message was given up");
        }
        let record = async {
            let mut t = self.deps.db.begin().await?;
            let kept = deliveries::end_attempt(t.tx(), d, token, outcome, &answer, now).await?;
            t.commit().await?;
            Ok::<_, store::StoreError>(kept)
        };
        match record.await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(delivery = %d.id, "another process has taken this message over"),
            Err(e) => tracing::warn!(delivery = %d.id, error = %e, "the end of an attempt could not be recorded; the message is sent again"),
        }
    }

    async fn attempt(&self, d: &DeliveryRow) -> Said {
        let loaded = async {
            let mut read = self.deps.db.read().await?;
            let channel = channels::find(read.tx(), ChannelId(d.channel_id)).await?;
            let address: Option<String> = settings::get::<Option<String>>(read.tx(), notifications::ADDRESS).await?.flatten();
            Ok::<_, store::StoreError>((channel, address))
        };
        let (channel, address) = match loaded.await {
            Ok((Some(channel), address)) if channel.removed_at.is_none() => (channel, address),
            Ok(_) => return Said::No("the channel was removed".to_owned()),
            Err(e) => return Said::Later(format!("the database did not answer: {e}"), None),
        };
        let Ok(kind) = channel.kind() else { return Said::No(format!("this version knows no channels of kind {}", channel.kind)) };
        let secrets = match notifications::channels::reveal(&self.vault, &channel).await {
            Ok(secrets) => secrets,
            // A file may come back, a variable may be set: no fault of the receiver.
            Err(e) => return Said::Later(e.to_string(), None),
        };
        let message = &d.message.0;
        let link = address.map(|a| format!("{}{}", a.trim_end_matches('/'), message.path));
        let parcel = Parcel { id: d.id(), recipient: &d.recipient, message, channel: &channel, secrets: &secrets, link, now: self.deps.clock.now() };
        let said = match kind {
            ChannelKind::Mail => mail::send(&parcel).await,
            _ => http::send(kind, &parcel, &self.deps.env).await,
        };
        masked(said, &secrets)
    }
}

/// What an answer means: done, tried again later, or given up.
fn judge(said: Said, attempts: i64, now: Timestamp) -> (Outcome, String) {
    match said {
        Said::Yes(answer) => (Outcome::Sent, answer),
        Said::No(answer) => (Outcome::Refused, answer),
        Said::Later(answer, asked) => match retry_after_s(attempts) {
            Some(wait) => (Outcome::Deferred(now.plus_secs(asked.map_or(wait, |s| s.clamp(wait, LONGEST_WAIT_S.max(wait))))), answer),
            None => (Outcome::Refused, format!("given up after {attempts} attempts; the last answer: {answer}")),
        },
    }
}

/// Takes every secret out of an answer, and what would break a line; cuts it.
fn masked(said: Said, secrets: &BTreeMap<String, Secret>) -> Said {
    let clean = |text: String| clean(&text, secrets);
    match said {
        Said::Yes(a) => Said::Yes(clean(a)),
        Said::Later(a, s) => Said::Later(clean(a), s),
        Said::No(a) => Said::No(clean(a)),
    }
}

/// The same for what another side said to a single secret.
pub(crate) fn clean_of(text: &str, secret: &Secret) -> String {
    clean(text, &BTreeMap::from([(String::new(), secret.clone())]))
}

fn clean(text: &str, secrets: &BTreeMap<String, Secret>) -> String {
    let mut text = text.to_owned();
    for secret in secrets.values() {
        let whole = secret.reveal();
        // Of an address the host is no secret, and the path and what follows is.
        let tail = whole.split_once("://").and_then(|(_, rest)| rest.find(['/', '?', '#']).map(|at| &rest[at..]));
        for part in [Some(whole), tail].into_iter().flatten().filter(|p| p.len() > 3) {
            text = text.replace(part, "•••");
        }
    }
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = one_line.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST_ANSWER) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn secrets(list: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        list.iter().map(|(n, s)| ((*n).to_owned(), Secret::new(*s))).collect()
    }

    #[test]
    fn answers_decide_the_next_attempt() {
        let later = |asked| Said::Later("451 later".into(), asked);
        assert_eq!(judge(later(None), 1, NOW), (Outcome::Deferred(NOW.plus_secs(30)), "451 later".into()));
        assert_eq!(judge(later(Some(600)), 1, NOW).0, Outcome::Deferred(NOW.plus_secs(600)), "the other side may ask for more");
        assert_eq!(judge(later(Some(1)), 2, NOW).0, Outcome::Deferred(NOW.plus_secs(120)), "and not for less");
        assert_eq!(judge(later(Some(9_000_000)), 1, NOW).0, Outcome::Deferred(NOW.plus_secs(LONGEST_WAIT_S)), "nor for ever");
        let (end, answer) = judge(later(None), 9, NOW);
        assert_eq!((end, answer.as_str()), (Outcome::Refused, "given up after 9 attempts; the last answer: 451 later"));
        assert_eq!(judge(Said::No("550".into()), 1, NOW), (Outcome::Refused, "550".into()));
    }

    #[test]
    fn no_secret_is_kept_with_an_answer() {
        let s = secrets(&[("url", "https://hooks.example.org/services/T0/secret?x=1"), ("routing_key", "R0123456789")]);
        let said = "POST https://hooks.example.org/services/T0/secret?x=1 failed: no such hook /services/T0/secret?x=1\r\nkey R0123456789 is unknown";
        let clean = clean(said, &s);
        assert_eq!(clean, "POST ••• failed: no such hook ••• key ••• is unknown");
        let long = super::clean(&"ä".repeat(2_000), &s);
        assert_eq!(long.chars().count(), LONGEST_ANSWER + 1);
    }
}
