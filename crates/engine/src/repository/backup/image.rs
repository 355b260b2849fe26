//! An image of a cloud into the repository, as a stream: nothing of it lies on this machine's disks.
//!
//! The snapshot holds the disk as one file and what it is as another, so that stock restic restores a disk that boots.
//!
//! Lives here: the download with its cuts, the file's pieces, the snapshot. May not: Glance's calls, making images.
//! Invariants: a snapshot is saved only when the bytes are as many as the cloud says and have its checksum; memory is a
//! bounded number of pieces. A job that is repeated with the same run id finds the snapshot that is there.

use std::{
    ffi::OsStr,
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};
use domain::{guard::Measure, run::ItemState, units::Timestamp};
use rustic_core::{
    DataId,
    repofile::{Metadata, Node, NodeType, SnapshotFile, SnapshotSummary, Tree},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    super::{Held, LockKind, Repository, snapshots::record},
    Notes, SKEW_SECS,
    chunker::Chunker,
    packer::Packer,
    save::result_of,
    uuid_time,
};
use crate::{
    Ctx, EngineError, ErrorKind, Result, clock,
    job::{DESCRIPTION, Event, ImageDescription, KeepImageJob, KeepImageOutcome, Level, Progress},
    sources::openstack::{Cloud, Digested, Digests, Image},
};

/// How often a download may break off without a byte in between.
const CUTS: u32 = 8;
/// Before it goes on, once for each time in a row.
const PAUSE: Duration = Duration::from_millis(500);
/// Pieces of the stream that wait to be read.
const AHEAD: usize = 16;
const TICK: Duration = Duration::from_millis(250);

/// Carries out such a job.
///
/// # Errors
/// Those of the repository and of the cloud; `NotFound` where the image is gone, `Conflict` where it has no bytes of its
/// own, `Damaged` where what came is not what the cloud says.
pub fn run_keep_image(job: &KeepImageJob, ctx: &Ctx) -> Result<KeepImageOutcome> {
    let (cloud, heard) = ctx.rt.block_on(job.cloud.connect())?;
    let image = ctx.rt.block_on(cloud.image(&job.image));
    heard.tell(ctx);
    let image = image?;
    let image = image.ok_or_else(|| EngineError::new(ErrorKind::NotFound, format!("the image {} is no longer in the cloud", job.image)))?;
    if image.status != "active" {
        let kind = if matches!(image.status.as_str(), "queued" | "saving" | "importing") { ErrorKind::Locked } else { ErrorKind::Conflict };
        return Err(EngineError::new(kind, format!("the image {} is {}; only an active one can be copied", image.name, image.status)));
    }
    if image.size_bytes == Some(0) {
        let message = format!("the image {} has no bytes: the instance boots from a volume, and its disk lies in volume snapshots", image.name);
        return Err(EngineError::new(ErrorKind::Conflict, message));
    }
    let repository = if job.create { Repository::open_or_create(&job.access, &ctx.rt)? } else { Repository::open(&job.access, &ctx.rt)? };
    let kept = repository.with_lock(LockKind::Shared, ctx, |held| Keep { job, ctx, held, repository: &repository, image: &image }.run(cloud));
    heard.tell(ctx);
    kept
}

struct Keep<'a> {
    job: &'a KeepImageJob,
    ctx: &'a Ctx<'a>,
    held: &'a Held,
    repository: &'a Repository,
    image: &'a Image,
}

impl Keep<'_> {
    fn run(&self, cloud: Cloud) -> Result<KeepImageOutcome> {
        if let Some(file) = self.earlier()? {
            self.ctx.log(Level::Info, "the snapshot is there already: an earlier attempt has saved it");
            return Ok(self.outcome(&file, None, 0));
        }
        let began = clock::now();
        let index = self.repository.to_indexed()?;
        let packer = Packer::new(self.repository, &index, index.config())?;
        let mut reader = Download::begin(self, cloud);
        let content = Self::pieces(&mut reader, &packer, Chunker::new(index.config())?);
        reader.stop();
        self.ctx.check()?;
        self.held.check()?;
        // Why the reader stopped is more than that it did.
        if let Some(e) = reader.failed.take() {
            return Err(e);
        }
        let content = content?;
        let (bytes, cuts, digested) = reader.finish();
        if let Some(size) = self.image.size_bytes
            && u64::try_from(size) != Ok(bytes)
        {
            let message = format!("the image {} has {size} bytes as the cloud says, and {bytes} came", self.image.name);
            return Err(EngineError::new(ErrorKind::Damaged, message));
        }
        let compared = digested.compare(self.image)?;
        if compared.is_none() {
            self.ctx.log(Level::Warn, "the cloud gives no checksum of the image, so only its size was compared");
        }

        let description = describe(self.job, self.image, bytes, &digested.sha512);
        let json = serde_json::to_vec_pretty(&description)
            .map_err(|e| EngineError::with_source(ErrorKind::Internal, "the image's description cannot be written as JSON", e))?;
        let mut tools = packer.tools()?;
        let mut tree = Tree::default();
        // In the order of their names' bytes, as a tree has them.
        tree.nodes.push(self.node(&description.file, content, bytes));
        let described = packer.data(&json, &mut tools)?;
        tree.nodes.push(self.node(DESCRIPTION, vec![described], json.len() as u64));
        let mut text = serde_json::to_vec(&tree).map_err(|e| EngineError::with_source(ErrorKind::Internal, "a tree cannot be written as JSON", e))?;
        text.push(b'\n');
        let tree = packer.tree(&text, &mut tools)?;
        let added: u64 = packer.finish()?.values().map(|n| u64::from(*n)).sum();
        self.ctx.check()?;
        self.held.check()?;

        let mut file = self.snapshot(&description);
        file.tree = tree;
        let total = bytes + json.len() as u64;
        let mut summary = SnapshotSummary::default();
        summary.backup_start = clock::zoned(began);
        summary.backup_end = clock::zoned(clock::now());
        summary.files_new = 2;
        summary.total_files_processed = 2;
        summary.total_bytes_processed = total;
        summary.data_added_packed = added;
        file.summary = Some(summary);
        let measure = Measure { files: 2, bytes: i64::try_from(total).unwrap_or(i64::MAX), ..Measure::default() };
        Notes { measure: Some(measure), ..Notes::default() }.write(&mut file);
        self.repository.save_snapshot(&mut file)?;
        Ok(self.outcome(&file, compared, cuts))
    }

    fn outcome(&self, file: &SnapshotFile, compared: Option<String>, cuts: i64) -> KeepImageOutcome {
        let mut result = result_of(&self.job.item, file);
        result.state = ItemState::Ok;
        self.ctx.emit(Event::Item(result));
        let snapshot = record(file);
        KeepImageOutcome {
            repository: self.repository.id().to_owned(),
            bytes: self.image.size_bytes.unwrap_or(snapshot.bytes),
            bytes_added: snapshot.bytes_added,
            snapshot,
            cuts,
            compared,
            size_bytes: self.repository.size().ok().and_then(|n| i64::try_from(n).ok()),
        }
    }

    /// Stores all that comes. One thread cuts, several compress and encrypt.
    fn pieces(reader: &mut Download<'_>, packer: &Packer<'_>, mut chunker: Chunker) -> Result<Vec<DataId>> {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8);
        let ids = Mutex::new(Vec::<DataId>::new());
        let fault = Mutex::new(None::<EngineError>);
        let fail = |e: EngineError| {
            fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        };
        std::thread::scope(|scope| {
            let (pieces, work) = sync_channel::<(usize, Vec<u8>)>(threads);
            let work = Arc::new(Mutex::new(work));
            for _ in 0..threads {
                let (work, ids, fail) = (Arc::clone(&work), &ids, &fail);
                scope.spawn(move || {
                    let mut tools = match packer.tools() {
                        Ok(tools) => tools,
                        Err(e) => return fail(e),
                    };
                    loop {
                        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok((n, piece)) = next else { return };
                        match packer.data(&piece, &mut tools) {
                            Ok(id) => {
                                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                                if ids.len() <= n {
                                    ids.resize(n + 1, DataId::default());
                                }
                                ids[n] = id;
                            }
                            Err(e) => return fail(e),
                        }
                    }
                });
            }
            drop(work);
            chunker.start();
            for n in 0.. {
                match chunker.next(reader) {
                    // Nobody takes it when all threads have failed.
                    Ok(Some(piece)) if pieces.send((n, piece.to_vec())).is_ok() => {}
                    Ok(_) => break,
                    Err(e) => {
                        fail(EngineError::with_source(ErrorKind::Unavailable, format!("the image cannot be read: {e}"), e));
                        break;
                    }
                }
                if fault.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                    break;
                }
            }
        });
        let ids = ids.into_inner().unwrap_or_else(PoisonError::into_inner);
        fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(ids), Err)
    }

    fn node(&self, name: &str, content: Vec<DataId>, size: u64) -> Node {
        let taken = jiff::Timestamp::from_microsecond(self.job.taken_at.0).ok();
        let meta = Metadata { mode: Some(0o600), mtime: taken, atime: taken, ctime: taken, size, links: 1, ..Metadata::default() };
        let mut node = Node::new_node(OsStr::new(name), NodeType::File, meta);
        node.content = Some(content);
        node
    }

    fn snapshot(&self, description: &ImageDescription) -> SnapshotFile {
        let job = self.job;
        let mut file = SnapshotFile {
            time: clock::zoned(job.taken_at),
            program_version: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
            hostname: job.host.clone(),
            username: "holdfast".to_owned(),
            label: job.name.clone(),
            ..SnapshotFile::default()
        };
        let tags = [
            format!("service:{}", job.host),
            format!("source:{}", job.source_name),
            format!("run:{}", job.run),
            format!("item:{}", job.item),
            format!("image:{}", description.id),
        ];
        for tag in tags {
            file.tags.add(tag);
        }
        file.paths.add(format!("/{}", job.item));
        file
    }

    /// The snapshot that an earlier attempt of the run has saved.
    fn earlier(&self) -> Result<Option<SnapshotFile>> {
        let since = uuid_time(&self.job.run).map_or(i64::MIN / 2, |t| t.0.saturating_sub(SKEW_SECS * 1_000_000));
        let ids = self.repository.backend.list_since("snapshots", Timestamp(since))?;
        let (run, image) = (format!("run:{}", self.job.run), format!("image:{}", self.job.image));
        let files = self.repository.read_snapshots(ids.into_iter().map(Into::into).collect())?;
        Ok(files.into_iter().find(|f| f.tags.contains(&run) && f.tags.contains(&image)))
    }
}

/// What Glance or Nova say beside an image and nobody may set, or what has a field of its own.
const NOT_OURS: [&str; 16] = [
    "checksum",
    "container_format",
    "disk_format",
    "kernel_id",
    "min_ram",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner_id",
    "protected",
    "ramdisk_id",
    "stores",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];

fn describe(job: &KeepImageJob, image: &Image, bytes: u64, sha512: &str) -> ImageDescription {
    let word = |name: &str, otherwise: &str| image.word(name).unwrap_or(otherwise).to_owned();
    let disk_format = word("disk_format", "raw");
    // The format becomes a part of a file's name.
    let ending: String = disk_format.chars().filter(char::is_ascii_alphanumeric).collect();
    let ours = |(name, _): &(&String, &serde_json::Value)| !NOT_OURS.contains(&name.as_str()) && !name.starts_with("os_glance_");
    let properties = image.properties.iter().filter(ours).filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    ImageDescription {
        id: image.id.clone(),
        name: job.name.clone(),
        file: format!("disk.{}", if ending.is_empty() { "raw" } else { &ending }),
        disk_format,
        container_format: word("container_format", "bare"),
        min_disk_gb: image.min_disk_gb,
        min_ram_mb: image.properties.get("min_ram").and_then(serde_json::Value::as_i64).unwrap_or_default(),
        bytes,
        sha512: sha512.to_owned(),
        os_hash_algo: image.word("os_hash_algo").map(str::to_owned),
        os_hash_value: image.word("os_hash_value").map(str::to_owned),
        checksum: image.word("checksum").map(str::to_owned),
        properties,
        tags: image.properties.get("tags").and_then(|t| serde_json::from_value(t.clone()).ok()).unwrap_or_default(),
        native: job.native.clone(),
    }
}

/// The image as it comes in, for whoever reads on a plain thread.
struct Download<'a> {
    of: &'a Keep<'a>,
    pieces: mpsc::Receiver<Result<Bytes>>,
    task: tokio::task::JoinHandle<()>,
    cuts: Arc<AtomicI64>,
    current: Bytes,
    digests: Digests,
    read: u64,
    failed: Option<EngineError>,
    told: Instant,
}

impl<'a> Download<'a> {
    fn begin(of: &'a Keep<'a>, cloud: Cloud) -> Self {
        let (to, pieces) = mpsc::channel(AHEAD);
        let cuts = Arc::new(AtomicI64::new(0));
        let task = of.ctx.rt.spawn(download(cloud, of.job.image.clone(), to, Arc::clone(&cuts)));
        Self { of, pieces, task, cuts, current: Bytes::new(), digests: Digests::of(of.image), read: 0, failed: None, told: Instant::now() }
    }

    fn stop(&self) {
        self.task.abort();
    }

    /// Bytes, cuts and checksums.
    fn finish(self) -> (u64, i64, Digested) {
        (self.read, self.cuts.load(Relaxed), self.digests.finish())
    }

    fn fail(&mut self, e: EngineError) -> io::Error {
        let words = e.message.clone();
        self.failed.get_or_insert(e);
        io::Error::other(words)
    }

    fn tell(&mut self) {
        if self.told.elapsed() < TICK {
            return;
        }
        self.told = Instant::now();
        self.of.ctx.emit(Event::Progress(Progress {
            items_total: 1,
            bytes_done: i64::try_from(self.read).unwrap_or(i64::MAX),
            bytes_total: self.of.image.size_bytes.unwrap_or_default(),
            current: self.of.job.name.clone(),
            ..Progress::default()
        }));
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            self.tell();
            if let Err(e) = self.of.ctx.check().and_then(|()| self.of.held.check()) {
                return Err(self.fail(e));
            }
            // A wish to stop is looked for also while nothing comes.
            match self.of.ctx.rt.block_on(async { timeout(TICK, self.pieces.recv()).await }) {
                Err(_) => {}
                Ok(None) => return Ok(0),
                Ok(Some(Ok(piece))) => {
                    self.digests.update(&piece);
                    self.read += piece.len() as u64;
                    self.current = piece;
                }
                Ok(Some(Err(e))) => return Err(self.fail(e)),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}

/// Downloads an image, and goes on where it broke off.
async fn download(cloud: Cloud, id: String, to: mpsc::Sender<Result<Bytes>>, cuts: Arc<AtomicI64>) {
    let (mut at, mut in_a_row) = (0_u64, 0);
    loop {
        let through = async {
            let mut bytes = cloud.image_stream(&id, at).await?;
            while let Some(piece) = bytes.next().await? {
                at += piece.len() as u64;
                in_a_row = 0;
                if to.send(Ok(piece)).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let e = match through.await {
            Ok(()) => return,
            Err(e) => e,
        };
        in_a_row += 1;
        if EngineError::is_permanent(&e) || in_a_row > CUTS {
            // Whoever reads no more need not know.
            to.send(Err(e)).await.unwrap_or_default();
            return;
        }
        cuts.fetch_add(1, Relaxed);
        tracing::info!(at, "the download of an image goes on: {e}");
        tokio::time::sleep(PAUSE * in_a_row).await;
    }
}
