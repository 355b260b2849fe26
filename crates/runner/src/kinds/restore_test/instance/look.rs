//! What is looked at in the clones of a restore test: that they run, what they are made of, what their consoles say.
//!
//! Lives here: the checks `active`, `images`, `volumes`. May not: what they prove (`restore_checks`).
//! Invariant: bytes that were not read are never said to be equal. Those of an image are read whole and their SHA-512 is
//! compared; those of a volume cannot be read over Cinder's API, so its size and its origin are all that is said.

use std::time::Duration;

use domain::{
    evidence::{CheckOutcome, Verdict},
    units::count,
};
use engine::sources::openstack::Cloud;
use sha2::{Digest as _, Sha512};

use super::{Instances, READY_WITHIN};
use crate::{
    clouds::{link::ask, wait::Wait},
    exec::Cx,
    kinds::{
        blocking,
        restore_test::driver::{Brought, Restored},
    },
    step::{Break, Result},
};

/// How long the cloud may take to give all bytes of an image.
const READ_WITHIN: Duration = Duration::from_hours(6);
/// Lines of a console that commands are given.
const LINES: u32 = 1_000;

/// What was found, or why it could not be looked at.
type Found<T> = std::result::Result<T, String>;

impl Instances {
    pub(super) async fn look(&self, cx: &Cx, restored: &Restored) -> Result<Vec<CheckOutcome>> {
        let mine: Vec<&Brought> = restored.servers.iter().filter(|s| self.part.iter().any(|(n, _)| *n == s.n)).collect();
        if mine.is_empty() {
            return Ok(self.images(cx, &mine).await?.into_iter().collect());
        }
        let mut checks = vec![self.active(cx, &mine).await?];
        checks.extend(self.images(cx, &mine).await?);
        checks.extend(self.volumes(cx, &mine).await?);
        for one in mine {
            self.console(cx, one).await?;
        }
        Ok(checks)
    }

    /// Asks until the cloud answers; why not, where it does not.
    async fn asked<T: Send, F: Future<Output = Result<T>> + Send>(
        &self,
        cx: &Cx,
        what: &str,
        within: Duration,
        question: impl Fn(Cloud) -> F + Send + Sync,
    ) -> Result<Found<T>> {
        let mut wait = Wait::new(cx, &self.reach, what, within);
        loop {
            let answer = async { question(self.reach.cloud(cx).await?.clone()).await };
            let e = match Box::pin(answer).await {
                Ok(found) => return Ok(Ok(found)),
                Err(e) => e,
            };
            match wait.after(e).await {
                Ok(()) => {}
                Err(Break::Failed(f)) => return Ok(Err(f.message)),
                Err(other) => return Err(other),
            }
        }
    }

    async fn active(&self, cx: &Cx, mine: &[&Brought]) -> Result<CheckOutcome> {
        let (mut running, mut words, mut verdict) = (0, Vec::new(), Verdict::Passed);
        for one in mine {
            let seen =
                self.asked(cx, "the cloud to tell of the clones", READY_WITHIN, move |cloud| async move { ask(cx, cloud.server(&one.server)).await }).await?;
            let status = match &seen {
                Ok(Some(s)) => s.status.as_str(),
                Ok(None) => "gone",
                Err(_) => "not told",
            };
            match (status, &seen) {
                ("ACTIVE", _) => running += 1,
                (_, Err(_)) if verdict == Verdict::Passed => verdict = Verdict::Unknown,
                (_, Err(_)) => {}
                _ => verdict = Verdict::Failed,
            }
            let addresses = if one.addresses.is_empty() { "without an address".to_owned() } else { one.addresses.join(", ") };
            let why = seen.as_ref().err().map(|why| format!(": {why}")).unwrap_or_default();
            words.push(format!("{} is {status} ({addresses}){why}", one.name));
        }
        let said = |n: usize| format!("{} ACTIVE", count(n as i64));
        Ok(CheckOutcome::new("active", verdict, words.join("; ")).compared(said(mine.len()), said(running)))
    }

    /// The images of all that were chosen: one of which no instance came up is the first to be read.
    async fn images(&self, cx: &Cx, mine: &[&Brought]) -> Result<Option<CheckOutcome>> {
        let (mut differ, mut unread, mut equal, mut bytes) = (Vec::new(), Vec::new(), 0_i64, 0_i64);
        for (n, c) in &self.part {
            let Some(native) = self.native(cx, c).await?.and_then(|native| native.image) else { continue };
            let (image, recorded) = (&native.id, native.sha512);
            let told = self.asked(cx, "Glance to tell of the image", READY_WITHIN, move |cloud| async move { ask(cx, cloud.image(image)).await }).await?;
            // Of one that is gone no instance came back, and that is said already.
            if matches!(told, Ok(None)) && !mine.iter().any(|one| one.n == *n) {
                continue;
            }
            // Taken before hashes were recorded: Glance's own word is better than none.
            let wanted = match told.map(|i| recorded.or_else(|| i.and_then(|i| i.sha512()))) {
                Ok(Some(wanted)) => wanted,
                Ok(None) => {
                    unread.push(format!("the image {image} of {} has no SHA-512 to compare with", c.item));
                    continue;
                }
                Err(why) => {
                    unread.push(why);
                    continue;
                }
            };
            match self.asked(cx, "Glance to give the bytes of the image", READ_WITHIN, move |cloud| async move { hash(cx, &cloud, image).await }).await? {
                Ok((seen, read)) if seen == wanted => {
                    equal += 1;
                    bytes += read;
                }
                Ok((seen, read)) => differ.push(format!(
                    "the {} bytes of the image {image} have the SHA-512 {}…, recorded is {}…",
                    count(read),
                    &seen[..12.min(seen.len())],
                    &wanted[..12.min(wanted.len())]
                )),
                Err(why) => unread.push(why),
            }
        }
        let all = equal + differ.len() as i64 + unread.len() as i64;
        if all == 0 {
            return Ok(None);
        }
        let verdict = match (differ.is_empty(), unread.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Unknown,
            (true, true) => Verdict::Passed,
        };
        let mut words = vec![format!("{} of {} images read whole ({} bytes) with the SHA-512 that is recorded", count(equal), count(all), count(bytes))];
        words.extend(differ);
        words.extend(unread.into_iter().map(|why| format!("could not be read: {why}")));
        let said = |n: i64| format!("{} images as recorded", count(n));
        Ok(Some(CheckOutcome::new("images", verdict, words.join("; ")).compared(said(all), said(equal))))
    }

    async fn volumes(&self, cx: &Cx, mine: &[&Brought]) -> Result<Option<CheckOutcome>> {
        let (mut right, mut wrong, mut unknown) = (0_i64, Vec::new(), Vec::new());
        for one in mine {
            for (volume, disk) in one.volumes.iter().zip(&one.disks) {
                let seen =
                    self.asked(cx, "Cinder to tell of the volumes", READY_WITHIN, move |cloud| async move { ask(cx, cloud.volume(&volume.id)).await }).await?;
                match seen {
                    Ok(Some(v)) if v.size_gb == disk.size_gb && v.snapshot.as_ref() == Some(&disk.snapshot) && v.servers.contains(&one.server) => right += 1,
                    Ok(Some(v)) => wrong.push(format!(
                        "{} has {} GiB of the snapshot {} at {}, recorded are {} GiB of {}",
                        volume.name,
                        v.size_gb,
                        v.snapshot.as_deref().unwrap_or("none"),
                        v.servers.first().map_or("no server", String::as_str),
                        disk.size_gb,
                        disk.snapshot
                    )),
                    Ok(None) => wrong.push(format!("{} is gone", volume.name)),
                    Err(why) => unknown.push(why),
                }
            }
        }
        let all = right + wrong.len() as i64 + unknown.len() as i64;
        if all == 0 {
            return Ok(None);
        }
        let verdict = match (wrong.is_empty(), unknown.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Unknown,
            (true, true) => Verdict::Passed,
        };
        let mut words = vec![format!("{} of {} volumes have the size and are made of the snapshot that is recorded", count(right), count(all))];
        words.extend(wrong.into_iter().chain(unknown));
        words.push("their bytes cannot be read over Cinder's API and were not compared".to_owned());
        let said = |n: i64| format!("{} volumes as recorded", count(n));
        Ok(Some(CheckOutcome::new("volumes", verdict, words.join("; ")).compared(said(all), said(right))))
    }

    /// Lays the last lines of a console down for commands. Many clouds give none.
    async fn console(&self, cx: &Cx, one: &Brought) -> Result<()> {
        let cloud = self.reach.cloud(cx).await?;
        let text = match ask(cx, cloud.console(&one.server, LINES)).await {
            Ok(text) => text,
            Err(Break::Failed(f)) => return self.reach.log(cx, "info", format!("the console of {} is not given to commands: {}", one.name, f.message)).await,
            Err(other) => return Err(other),
        };
        let folder = self.scratch.join(one.n.to_string());
        let written = blocking(move || std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("console.log"), text))).await?;
        match written {
            Ok(()) => Ok(()),
            Err(e) => self.reach.log(cx, "info", format!("the console of {} is not given to commands: {e}", one.name)).await,
        }
    }
}

/// Reads all bytes of an image: their SHA-512 and how many there are.
async fn hash(cx: &Cx, cloud: &Cloud, image: &str) -> Result<(String, i64)> {
    let mut bytes = ask(cx, cloud.image_stream(image, 0)).await?;
    let (mut hasher, mut read) = (Sha512::new(), 0_i64);
    while let Some(part) = ask(cx, bytes.next()).await? {
        hasher.update(&part);
        read += part.len() as i64;
    }
    Ok((hex::encode(hasher.finalize()), read))
}
