//! Publishes to a real bee node: reference and room first, then what the node has not taken yet.
use super::plan::{Meter, Plan};
use super::sink::Sink;
use super::{Options, PublishError, Published};
use crate::bee::{
    self, ApiError, Batch, BatchError, BatchId, Bee, BeeUrl, Journal, JournalError, Needs, Place,
    Room, SyncStatus, Upload, UploadError, UploadOptions, Uploaded,
};
use bmt::ChunkAddress;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Chunks of one publication, at most: their addresses are in memory (64 GiB of content, about 1 GB).
const CHUNKS_MAX: usize = 16 * 1024 * 1024;
/// How often the node is asked how far it is.
const SYNC_POLL: Duration = Duration::from_millis(500);

/// Where to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeeOptions {
    /// The node.
    pub url: BeeUrl,
    /// The batch.
    pub batch: BatchId,
    /// Directory of the upload's state.
    pub state: PathBuf,
    /// Forget what the node took before.
    pub fresh: bool,
    /// Requests in flight, and patience.
    pub upload: UploadOptions,
    /// Time that the batch must still live.
    pub ttl_seconds_min: u64,
    /// Older chunks of a mutable batch may go.
    pub overwrite: bool,
    /// Wait until storers have confirmed every chunk of this run, or of the last one that sent any, at most this long.
    pub wait: Option<Duration>,
}

/// What was published, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeePublished {
    /// The same as without a node.
    pub published: Published,
    /// The batch before the upload.
    pub batch: Batch,
    /// How the chunks fit into it.
    pub room: Room,
    /// Chunks that the node had taken in earlier runs.
    pub stored_before: u64,
    /// What this run sent.
    pub uploaded: Uploaded,
    /// The node's session; `None` when there was nothing to send.
    pub tag: Option<u64>,
    /// How far the node spread them, when that was waited for.
    pub sync: Option<SyncStatus>,
}

impl BeePublished {
    /// Nothing was sent yet.
    fn before(published: Published, batch: Batch, room: Room, stored: usize) -> Self {
        Self {
            published,
            batch,
            room,
            stored_before: stored as u64,
            uploaded: Uploaded {
                uploaded: 0,
                retries: 0,
                elapsed: Duration::ZERO,
            },
            tag: None,
            sync: None,
        }
    }
}

/// What is going on, for whoever shows it.
#[derive(Clone, Copy, Debug)]
pub enum BeeStep<'a> {
    /// Reading and cutting: bytes of bytes.
    Cutting(u64, u64),
    /// The batch will do.
    Fits(&'a Batch, &'a Room),
    /// Chunks the node has of all chunks, those of earlier runs included, and repeated requests.
    Uploading {
        /// Chunks the node took before this run.
        before: u64,
        /// Chunks it took in this run.
        done: u64,
        /// All chunks.
        total: u64,
        /// Repeated requests.
        retries: u64,
    },
    /// The node spreads the chunks of this run.
    Spreading(SyncStatus),
}

/// Why something could not be published to a node.
#[derive(Debug, thiserror::Error)]
pub enum ToBeeError {
    /// It cannot be cut.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// It is larger than this machine should hold the addresses of.
    #[error("more than {CHUNKS_MAX} chunks; publish it in parts")]
    TooLarge,
    /// The node cannot be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The batch will not do.
    #[error("batch {id}: {source}")]
    Batch {
        /// Which.
        id: BatchId,
        /// Why.
        source: BatchError,
    },
    /// The upload's state cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The upload stopped.
    #[error("{source} (the node has {stored} of {total} chunks)")]
    Upload {
        /// Why.
        source: UploadError,
        /// Chunks it took, now and before.
        stored: u64,
        /// All chunks.
        total: u64,
    },
    /// Not everything was spread in time.
    #[error(
        "everything is stored at the node, but after {} s storers have confirmed only {} of {} chunks",
        .waited.as_secs(), .status.synced, .status.split.saturating_sub(.status.seen)
    )]
    NotSpread {
        /// How long.
        waited: Duration,
        /// How far it came.
        status: SyncStatus,
    },
    /// Nothing is sent, and which session of the node sent it is not known.
    #[error(
        "the node has every chunk, but no session of this release is remembered that could be waited for"
    )]
    NothingToWaitFor,
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Stopped,
}

/// Cuts `input`, compares with the batch, uploads what the node has not taken yet, and compares every answer.
///
/// # Errors
/// See [`ToBeeError`]; the same call goes on where it stopped.
pub fn publish_to_bee(
    input: &Path,
    options: &Options,
    to: &BeeOptions,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(BeeStep<'_>),
) -> Result<BeePublished, ToBeeError> {
    let plan = Plan::new(input, options)?;
    let (expected, addresses) = survey(&plan, stop, progress)?;
    let node = Bee::new(to.url.clone(), to.batch, to.upload.parallel);
    let batch = node.batch()?;
    let place = to.place(expected.reference.address);
    let (mut journal, mut stored) = Journal::open(&place, to.fresh, &addresses)?;
    let refused = |source| {
        let id = to.batch;
        ToBeeError::Batch { id, source }
    };
    batch.check_alone(&addresses).map_err(refused)?;
    let mut needs = to.needs(&addresses, &stored);
    let mut room = check_batch(&node, &batch, &needs)?;
    if room.overflow > 0 {
        // What other uploads remember of this batch may be overwritten now, or is already.
        stored = journal.forget_others(&place, &addresses)?;
        needs = to.needs(&addresses, &stored);
        room = check_batch(&node, &batch, &needs)?;
    }
    progress(BeeStep::Fits(&batch, &room));
    let mut done = BeePublished::before(expected, batch, room, stored.len());
    if needs.chunks.is_empty() {
        if let Some(limit) = to.wait {
            let tag = journal.tag().ok_or(ToBeeError::NothingToWaitFor)?;
            done.sync = Some(wait_for_storers(&node, tag, limit, stop, progress)?);
        }
        return Ok(done);
    }
    let tag = node.create_tag()?;
    journal.set_tag(tag)?;
    let sending = Sending {
        plan: &plan,
        node: &node,
        tag,
        addresses: &addresses,
        stored: &stored,
        upload: to.upload,
        stop,
    };
    done.uploaded = sending.run(&done.published, &mut journal, progress)?;
    done.tag = Some(tag);
    if let Some(limit) = to.wait {
        done.sync = Some(wait_for_storers(&node, tag, limit, stop, progress)?);
    }
    Ok(done)
}

impl BeeOptions {
    /// What the batch must have room for.
    fn needs(&self, all: &BTreeSet<ChunkAddress>, stored: &BTreeSet<ChunkAddress>) -> Needs {
        Needs {
            chunks: all.difference(stored).copied().collect(),
            ttl_seconds_min: self.ttl_seconds_min,
            overwrite: self.overwrite,
        }
    }

    /// Where the journal of this upload is kept.
    fn place(&self, reference: ChunkAddress) -> Place {
        Place {
            state: self.state.clone(),
            url: self.url.clone(),
            batch: self.batch,
            reference,
        }
    }
}

/// What a publication goes through once the batch will do.
struct Sending<'a> {
    plan: &'a Plan<'a>,
    node: &'a Bee,
    tag: u64,
    addresses: &'a BTreeSet<ChunkAddress>,
    stored: &'a BTreeSet<ChunkAddress>,
    upload: UploadOptions,
    stop: &'a AtomicBool,
}

impl Sending<'_> {
    /// Cuts a second time, and sends.
    fn run(
        &self,
        expected: &Published,
        journal: &mut Journal,
        progress: &mut dyn FnMut(BeeStep<'_>),
    ) -> Result<Uploaded, ToBeeError> {
        let total = self.addresses.len() as u64;
        let before = self.stored.len() as u64;
        let meter = bee::Meter::default();
        let mut tick = || {
            progress(BeeStep::Uploading {
                before,
                done: meter.done(),
                total,
                retries: meter.retries(),
            });
        };
        let cut = |send: &mut dyn FnMut(&bmt::VerifiedChunk) -> bool| {
            // What was not there the first time has no room reserved: the input changed.
            let mut out = |chunk: &_| is_expected(self.addresses, chunk) && send(chunk);
            let mut silent = |_, _| {};
            self.plan.run(
                &mut Sink::exact(Some(&mut out)),
                &mut Meter::new(0, &mut silent),
            )
        };
        let upload = Upload {
            bee: self.node,
            tag: self.tag,
            options: self.upload,
            journal,
            stored: self.stored,
            meter: &meter,
            stop: self.stop,
        };
        let result = upload.run(&mut tick, cut);
        let (written, uploaded) = result.map_err(|source| ToBeeError::Upload {
            source,
            stored: before + meter.done(),
            total,
        })?;
        if written? != *expected {
            return Err(PublishError::Changed(self.plan.input().to_owned()).into());
        }
        Ok(uploaded)
    }
}

fn is_expected(addresses: &BTreeSet<ChunkAddress>, chunk: &bmt::VerifiedChunk) -> bool {
    addresses.contains(&chunk.address())
}

/// Computes the reference and every address.
fn survey(
    plan: &Plan<'_>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(BeeStep<'_>),
) -> Result<(Published, BTreeSet<ChunkAddress>), ToBeeError> {
    let mut count = 0;
    let mut out = |_: &_| {
        count += 1;
        count <= CHUNKS_MAX && !stop.load(Ordering::Relaxed)
    };
    let mut sink = Sink::exact(Some(&mut out));
    let mut show = |done, total| progress(BeeStep::Cutting(done, total));
    let published = plan.run(&mut sink, &mut Meter::new(plan.bytes, &mut show));
    let (stopped, addresses) = (sink.is_stopped(), sink.into_addresses());
    if stop.load(Ordering::Relaxed) {
        return Err(ToBeeError::Stopped);
    }
    if stopped {
        return Err(ToBeeError::TooLarge);
    }
    Ok((published?, addresses))
}

fn check_batch(node: &Bee, batch: &Batch, needs: &Needs) -> Result<Room, ToBeeError> {
    // Gateways may not tell the buckets: the estimate is then a careful one.
    let buckets = match node.buckets() {
        Ok(buckets) => Some(buckets),
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(_) => None,
    };
    batch
        .check(needs, buckets.as_deref())
        .map_err(|source| ToBeeError::Batch {
            id: node.batch_id(),
            source,
        })
}

fn wait_for_storers(
    node: &Bee,
    tag: u64,
    limit: Duration,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(BeeStep<'_>),
) -> Result<SyncStatus, ToBeeError> {
    let start = Instant::now();
    loop {
        let status = node.sync_status(tag)?;
        if status.is_complete() {
            return Ok(status);
        }
        progress(BeeStep::Spreading(status));
        if stop.load(Ordering::Relaxed) {
            return Err(ToBeeError::Stopped);
        }
        if start.elapsed() >= limit {
            let waited = limit;
            return Err(ToBeeError::NotSpread { waited, status });
        }
        std::thread::sleep(SYNC_POLL);
    }
}
