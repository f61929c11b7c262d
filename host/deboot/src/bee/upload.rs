//! Many uploads at once, each tried again for a while, each confirmed one remembered.
use super::api::{ApiError, Bee};
use super::journal::{Journal, JournalError};
use super::queue::Queue;
use bmt::{ChunkAddress, VerifiedChunk};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// First pause before an upload is tried again; it doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// Steps in which waiting threads look whether to stop, and progress is shown.
const TICK: Duration = Duration::from_millis(50);
/// Chunks that wait in memory for each connection.
const WAITING_PER_CONNECTION: usize = 4;

/// How to upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOptions {
    /// Requests in flight.
    pub parallel: usize,
    /// How long one chunk is tried again after errors that may pass.
    pub retry_for: Duration,
}

/// How an upload goes on, for whoever shows it.
#[derive(Debug, Default)]
pub struct Meter {
    done: AtomicU64,
    retries: AtomicU64,
}

impl Meter {
    /// Chunks the node took in this run.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Requests that had to be repeated.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// What an upload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Chunks sent and confirmed in this run.
    pub uploaded: u64,
    /// Requests that had to be repeated.
    pub retries: u64,
    /// Time of the upload.
    pub elapsed: Duration,
}

/// Why an upload stopped. What was confirmed before is remembered.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The node refused a chunk, or could not be reached for too long.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Somebody asked to stop.
    #[error("stopped on request; the same command goes on from here")]
    Stopped,
}

/// Everything the threads share.
struct Shared<'a> {
    bee: &'a Bee,
    tag: u64,
    options: UploadOptions,
    queue: Queue<VerifiedChunk>,
    journal: Mutex<&'a mut Journal>,
    meter: &'a Meter,
    stop: &'a AtomicBool,
    failure: Mutex<Option<UploadError>>,
}

/// One upload.
pub struct Upload<'a> {
    /// The node.
    pub bee: &'a Bee,
    /// The node's session.
    pub tag: u64,
    /// How.
    pub options: UploadOptions,
    /// Where confirmed chunks are remembered.
    pub journal: &'a mut Journal,
    /// Chunks that are not sent.
    pub stored: &'a BTreeSet<ChunkAddress>,
    /// What is shown.
    pub meter: &'a Meter,
    /// Ends the upload.
    pub stop: &'a AtomicBool,
}

impl Upload<'_> {
    /// Uploads what `cut` puts into its sink. The sink returns whether to go on; `tick` is called now and then.
    ///
    /// # Errors
    /// The first [`UploadError`]; everything the node confirmed before is in the journal.
    pub fn run<R>(
        self,
        tick: &mut dyn FnMut(),
        cut: impl FnOnce(&mut dyn FnMut(&VerifiedChunk) -> bool) -> R,
    ) -> Result<(R, Uploaded), UploadError> {
        let Self {
            bee,
            tag,
            options,
            journal,
            stored,
            meter,
            stop,
        } = self;
        let start = Instant::now();
        let parallel = options.parallel.max(1);
        let shared = Shared {
            bee,
            tag,
            options,
            queue: Queue::new(parallel * WAITING_PER_CONNECTION),
            journal: Mutex::new(journal),
            meter,
            stop,
            failure: Mutex::new(None),
        };
        let result = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..parallel)
                .map(|_| scope.spawn(|| shared.work()))
                .collect();
            // Also when `cut` panics, the threads must not wait for ever.
            let guard = Abandon(&shared.queue);
            let result = cut(&mut |chunk| {
                stored.contains(&chunk.address()) || shared.send(chunk.clone(), tick)
            });
            shared.queue.close();
            while !workers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                tick();
                if stop.load(Ordering::Relaxed) {
                    shared.queue.abandon();
                }
                std::thread::sleep(TICK);
            }
            drop(guard);
            result
        });
        let Shared {
            journal, failure, ..
        } = shared;
        let synced = unpoisoned(journal.into_inner()).sync();
        if stop.load(Ordering::Relaxed) {
            return Err(UploadError::Stopped);
        }
        if let Some(error) = unpoisoned(failure.into_inner()) {
            return Err(error);
        }
        synced?;
        let uploaded = Uploaded {
            uploaded: meter.done(),
            retries: meter.retries(),
            elapsed: start.elapsed(),
        };
        Ok((result, uploaded))
    }
}

struct Abandon<'a>(&'a Queue<VerifiedChunk>);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Shared<'_> {
    /// Hands a chunk to the workers; returns whether to go on.
    fn send(&self, mut chunk: VerifiedChunk, tick: &mut dyn FnMut()) -> bool {
        loop {
            tick();
            if self.stop.load(Ordering::Relaxed) {
                self.queue.abandon();
            }
            match self.queue.push(chunk, TICK) {
                Ok(()) => return true,
                Err(_) if self.is_over() => return false,
                Err(back) => chunk = back,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || lock(&self.failure).is_some()
    }

    fn work(&self) {
        while let Some(chunk) = self.queue.pop() {
            let result = self.deliver(&chunk);
            if let Err(error) = result {
                // Only the first says what happened; the others follow from it.
                lock(&self.failure).get_or_insert(error);
                self.queue.abandon();
                return;
            }
        }
    }

    fn deliver(&self, chunk: &VerifiedChunk) -> Result<(), UploadError> {
        let count = || {
            self.meter.retries.fetch_add(1, Ordering::Relaxed);
        };
        let patience = self.options.retry_for;
        patiently(self.bee, self.tag, chunk, patience, &count, &|| {
            self.is_over()
        })?;
        lock(&self.journal).append(chunk.address())?;
        self.meter.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Bee {
    /// Uploads one chunk, again and again for a while after errors that may pass.
    ///
    /// # Errors
    /// The last [`ApiError`].
    pub fn upload_patiently(
        &self,
        tag: u64,
        chunk: &VerifiedChunk,
        retry_for: Duration,
        stop: &AtomicBool,
    ) -> Result<(), ApiError> {
        let is_over = || stop.load(Ordering::Relaxed);
        patiently(self, tag, chunk, retry_for, &|| (), &is_over)
    }
}

fn patiently(
    bee: &Bee,
    tag: u64,
    chunk: &VerifiedChunk,
    retry_for: Duration,
    count: &dyn Fn(),
    is_over: &dyn Fn() -> bool,
) -> Result<(), ApiError> {
    let deadline = Instant::now() + retry_for;
    let mut pause = BACKOFF_FIRST;
    loop {
        let error = match bee.upload(tag, chunk) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let wait = error
            .retry_after()
            .map_or(pause, |asked| asked.min(BACKOFF_MAX));
        if !error.is_transient() || Instant::now() + wait > deadline {
            return Err(error);
        }
        count();
        if !sleep(wait, is_over) {
            return Err(error);
        }
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

/// Waits; returns whether to go on.
fn sleep(time: Duration, is_over: &dyn Fn() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if is_over() {
            return false;
        }
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(TICK)),
            _ => return true,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

// What these mutexes guard is whole after every statement.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
