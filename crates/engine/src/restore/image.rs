//! A disk that the repository has, back into a cloud as an image.
//!
//! Lives here: reading the description, sending the disk, comparing. May not: Glance's calls, servers.
//! Invariants: the image is told of only when it is active and its checksum is that of the disk; a job that is repeated
//! with the same image id goes on with what it has begun. Memory is a bounded number of pieces.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustic_core::repofile::{Node, Tree};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    Ctx, EngineError, ErrorKind, Result,
    browse::{Contents, Trees as _, trees::node_name},
    job::{DESCRIPTION, Event, ImageDescription, Level, Progress, ReturnImageJob, ReturnImageOutcome},
    repository::{Held, LockKind, Repository},
    sources::openstack::{Cloud, Digested, Digests, Image, NewImage},
};

/// The longest description that is read, in bytes.
const LONGEST: u64 = 4 << 20;
/// Pieces of the disk that wait to be sent.
const AHEAD: usize = 4;
const TICK: Duration = Duration::from_millis(250);
/// How long the cloud may take no byte.
const STALL: Duration = Duration::from_mins(3);
/// How often the whole is sent where it broke off: Glance takes no image in parts.
const TRIES: u32 = 3;
/// How long Glance may take to see that a former transfer broke off.
const SETTLES_WITHIN: Duration = Duration::from_mins(2);

/// Carries out such a job.
///
/// # Errors
/// Those of the repository and of the cloud; `Invalid` where the snapshot holds no image; `Damaged` where the cloud has
/// other bytes in the end: that image is deleted.
pub fn run_return_image(job: &ReturnImageJob, ctx: &Ctx) -> Result<ReturnImageOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    repository.with_lock(LockKind::Shared, ctx, |held| {
        let file = repository.snapshot(&job.snapshot)?;
        let index = repository.to_indexed()?;
        let tree = index.tree(&file.tree)?;
        let mut contents = Contents::new(&index, repository.pack_reader()?);
        let description = description(&tree, &mut contents)?;
        let disk = named(&tree, &description.file)?;
        if contents.size(disk)? != description.bytes {
            return Err(EngineError::new(ErrorKind::Damaged, format!("{} has another size than {DESCRIPTION} says", description.file)));
        }
        let (cloud, heard) = ctx.rt.block_on(job.cloud.connect())?;
        let back = Back { job, ctx, held, cloud: &cloud, description: &description, disk };
        let done = back.run(&mut contents);
        heard.tell(ctx);
        done
    })
}

fn named<'t>(tree: &'t Tree, name: &str) -> Result<&'t Node> {
    let found = tree.nodes.iter().find(|n| n.is_file() && *node_name(n) == *name.as_bytes());
    found.ok_or_else(|| EngineError::new(ErrorKind::Invalid, format!("the snapshot holds no {name}; it is no copy of an image")))
}

fn description(tree: &Tree, contents: &mut Contents<'_>) -> Result<ImageDescription> {
    let node = named(tree, DESCRIPTION)?;
    let mut json = Vec::new();
    contents.read(node, 0..LONGEST, &mut |part| {
        json.extend_from_slice(part);
        Ok(())
    })?;
    serde_json::from_slice(&json).map_err(|e| EngineError::with_source(ErrorKind::Invalid, format!("{DESCRIPTION} cannot be read: {e}"), e))
}

struct Back<'a> {
    job: &'a ReturnImageJob,
    ctx: &'a Ctx<'a>,
    held: &'a Held,
    cloud: &'a Cloud,
    description: &'a ImageDescription,
    disk: &'a Node,
}

impl Back<'_> {
    fn run(&self, contents: &mut Contents<'_>) -> Result<ReturnImageOutcome> {
        let (job, d) = (self.job, self.description);
        for attempt in 1.. {
            let image = self.settled()?;
            if image.status == "active" {
                return self.end(&image, None);
            }
            match self.send(contents) {
                Ok(digested) => return self.end(&self.settled()?, Some(&digested)),
                Err(e) if e.is_permanent() || attempt >= TRIES => return Err(e),
                Err(e) => self.ctx.log(Level::Warn, format!("{}: sends it once more: {e}", d.name)),
            }
            self.ctx.check()?;
        }
        Err(EngineError::new(ErrorKind::Internal, format!("the image {} was never sent", job.image)))
    }

    /// The image when nothing is under way with it; made where it is not there.
    fn settled(&self) -> Result<Image> {
        let began = Instant::now();
        loop {
            self.ctx.check()?;
            self.held.check()?;
            let found = self.ctx.rt.block_on(self.cloud.image(&self.job.image))?;
            let Some(image) = found else {
                self.ctx.rt.block_on(self.cloud.new_image(&self.wanted()))?;
                continue;
            };
            match image.status.as_str() {
                "queued" | "active" => return Ok(image),
                "saving" if began.elapsed() < SETTLES_WITHIN => self.ctx.rt.block_on(async { sleep(TICK * 2).await }),
                other => {
                    let message = format!("the image {} is {other} in the cloud; delete it there, then begin anew", image.id);
                    return Err(EngineError::new(ErrorKind::Conflict, message));
                }
            }
        }
    }

    fn wanted(&self) -> NewImage {
        let d = self.description;
        let mut properties = d.properties.clone();
        properties.extend(self.job.marks.clone());
        NewImage {
            id: self.job.image.clone(),
            name: self.job.name.clone(),
            disk_format: d.disk_format.clone(),
            container_format: d.container_format.clone(),
            min_disk_gb: d.min_disk_gb,
            min_ram_mb: d.min_ram_mb,
            tags: d.tags.clone(),
            properties,
        }
    }

    /// Sends the disk; the checksums of what was sent.
    fn send(&self, contents: &mut Contents<'_>) -> Result<Digested> {
        let d = self.description;
        let (to, from) = mpsc::channel::<Bytes>(AHEAD);
        let (cloud, id, size) = (self.cloud.clone(), self.job.image.clone(), d.bytes);
        let mut task = self.ctx.rt.spawn(async move { cloud.fill_image(&id, size, from).await });
        let mut digests = Digests::named(d.os_hash_algo.as_deref());
        let (mut sent, mut told) = (0_u64, Instant::now());
        let read = contents.read(self.disk, 0..d.bytes, &mut |part| {
            digests.update(part);
            self.hand_over(&to, Bytes::copy_from_slice(part))?;
            sent += part.len() as u64;
            if told.elapsed() >= TICK {
                told = Instant::now();
                self.progress(sent);
            }
            Ok(())
        });
        drop(to);
        if let Err(e) = read {
            // What Glance said is more than that it takes nothing.
            let said = self.ctx.rt.block_on(async { timeout(TICK, &mut task).await });
            task.abort();
            return Err(match said {
                Ok(Ok(Err(refused))) if e.kind == ErrorKind::Unavailable => refused,
                _ => e,
            });
        }
        self.progress(sent);
        loop {
            if let Err(e) = self.ctx.check().and_then(|()| self.held.check()) {
                task.abort();
                return Err(e);
            }
            if let Ok(done) = self.ctx.rt.block_on(async { timeout(TICK, &mut task).await }) {
                done.map_err(|e| EngineError::with_source(ErrorKind::Internal, "sending the image broke off", e))??;
                return Ok(digests.finish());
            }
        }
    }

    fn hand_over(&self, to: &mpsc::Sender<Bytes>, piece: Bytes) -> Result<()> {
        let began = Instant::now();
        loop {
            self.ctx.check()?;
            self.held.check()?;
            let place = self.ctx.rt.block_on(async { timeout(TICK, to.reserve()).await });
            let went = match place {
                Ok(Ok(place)) => ControlFlow::Break(place),
                Ok(Err(_)) => return Err(EngineError::new(ErrorKind::Unavailable, "the cloud takes no more of the image")),
                Err(_) if began.elapsed() >= STALL => return Err(EngineError::new(ErrorKind::Unavailable, "the cloud took nothing of the image for too long")),
                Err(_) => ControlFlow::Continue(()),
            };
            if let ControlFlow::Break(place) = went {
                place.send(piece);
                return Ok(());
            }
        }
    }

    fn progress(&self, sent: u64) {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (bytes_done, bytes_total) = (count(sent), count(self.description.bytes));
        let current = self.description.name.clone();
        self.ctx.emit(Event::Progress(Progress { items_total: 1, bytes_done, bytes_total, current, ..Progress::default() }));
    }

    /// Compares what the cloud has with the disk.
    fn end(&self, image: &Image, sent: Option<&Digested>) -> Result<ReturnImageOutcome> {
        let d = self.description;
        let compared = self.same(image, sent);
        if let Err(e) = &compared
            && e.kind == ErrorKind::Damaged
        {
            let removed = self.ctx.rt.block_on(self.cloud.delete_image(&image.id));
            let became = if removed.is_ok() { "it was deleted there" } else { "it could not be deleted there" };
            self.ctx.log(Level::Error, format!("the image {} is not what was sent; {became}", image.id));
        }
        Ok(ReturnImageOutcome {
            image: image.id.clone(),
            name: image.name.clone(),
            bytes: i64::try_from(d.bytes).unwrap_or(i64::MAX),
            min_disk_gb: image.min_disk_gb,
            compared: compared?,
            native: d.native.clone(),
        })
    }

    fn same(&self, image: &Image, sent: Option<&Digested>) -> Result<Option<String>> {
        let d = self.description;
        if image.status != "active" {
            let message = format!("the image {} is {} in the cloud although it was sent whole", image.id, image.status);
            return Err(EngineError::new(ErrorKind::Unavailable, message));
        }
        if image.size_bytes.and_then(|n| u64::try_from(n).ok()) != Some(d.bytes) {
            let message = format!("the image {} has {} bytes in the cloud, and the disk {}", image.id, image.size_bytes.unwrap_or_default(), d.bytes);
            return Err(EngineError::new(ErrorKind::Damaged, message));
        }
        let known = Digested::known(&d.sha512, d.os_hash_algo.as_deref().zip(d.os_hash_value.as_deref()), d.checksum.as_deref());
        if let Some(sent) = sent
            && sent.sha512 != d.sha512
        {
            return Err(EngineError::new(ErrorKind::Damaged, format!("{} in the repository is not what was written: its SHA-512 is another", d.file)));
        }
        let compared = match sent.map(|s| s.compare(image)).transpose()?.flatten() {
            Some(name) => Some(name),
            None => known.compare(image)?,
        };
        if compared.is_none() {
            self.ctx.log(Level::Warn, "the cloud gives no checksum that could be compared, so only the size was");
        }
        Ok(compared)
    }
}
