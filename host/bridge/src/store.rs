//! One place to get chunks from: memory, disk, back end.
use crate::backend::Backend;
use crate::disk::Disk;
use crate::memory::Memory;
use crate::{Limits, Metrics};
use bmt::{ChunkAddress, VerifiedChunk};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// Chunks waiting to be written to disk; more are not cached.
const WRITES_MAX: usize = 256;

/// Why a chunk cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It does not exist, as far as the back end can find out.
    #[error("not found")]
    NotFound,
    /// The back end cannot be asked, or says something else than yes or no.
    #[error("{0}")]
    Unavailable(String),
    /// The back end took too long.
    #[error("the back end took longer than {} s", .0.as_secs())]
    Timeout(Duration),
}

/// What a fetch comes to.
pub(crate) type Fetched = Result<Arc<VerifiedChunk>, FetchError>;

/// Chunks from memory, disk and a back end, each chunk asked for once however many streams want it.
pub struct Store {
    backend: Arc<dyn Backend>,
    memory: Mutex<Memory>,
    disk: Option<Arc<Disk>>,
    writes: Option<mpsc::Sender<Arc<VerifiedChunk>>>,
    pending: Mutex<HashMap<ChunkAddress, Shared<BoxFuture<'static, Fetched>>>>,
    permits: Semaphore,
    backend_timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Store {
    /// Makes a store; to be called inside a tokio runtime.
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        disk: Option<Disk>,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let disk = disk.map(Arc::new);
        let writes = disk.clone().map(|disk| {
            let (sender, receiver) = mpsc::channel(WRITES_MAX);
            tokio::task::spawn_blocking(move || write_all(&disk, receiver));
            sender
        });
        Arc::new(Self {
            backend,
            memory: Mutex::new(Memory::new(limits.memory_bytes_max)),
            disk,
            writes,
            pending: Mutex::default(),
            permits: Semaphore::new(limits.backend_max),
            backend_timeout: limits.backend_timeout,
            metrics,
        })
    }

    /// Returns a chunk that is in memory.
    pub(crate) fn cached(&self, address: ChunkAddress) -> Option<Arc<VerifiedChunk>> {
        let found = lock(&self.memory).get(address);
        if found.is_some() {
            self.metrics.count_chunk("memory");
        }
        found
    }

    /// Gets a chunk that is not in memory. The fetch goes on if the caller loses interest, and ends in the caches.
    pub(crate) fn fetch(self: &Arc<Self>, address: ChunkAddress) -> BoxFuture<'static, Fetched> {
        let mut pending = lock(&self.pending);
        if let Some(running) = pending.get(&address) {
            self.metrics.count_chunk("joined");
            return running.clone().boxed();
        }
        let store = self.clone();
        let task = tokio::spawn(async move {
            let result = store.find(address).await;
            if let Ok(chunk) = &result {
                lock(&store.memory).put(chunk.clone());
            }
            lock(&store.pending).remove(&address);
            result
        });
        let running = task
            .map(|result| result.unwrap_or_else(|_| Err(FetchError::Unavailable("stopped".into()))))
            .boxed()
            .shared();
        pending.insert(address, running.clone());
        running.boxed()
    }

    /// Gets a chunk from wherever it is.
    pub(crate) async fn chunk(self: &Arc<Self>, address: ChunkAddress) -> Fetched {
        match self.cached(address) {
            Some(chunk) => Ok(chunk),
            None => self.fetch(address).await,
        }
    }

    async fn find(&self, address: ChunkAddress) -> Fetched {
        if let Some(disk) = self.disk.clone() {
            let found = tokio::task::spawn_blocking(move || disk.get(address)).await;
            if let Ok(Some(chunk)) = found {
                self.metrics.count_chunk("disk");
                return Ok(Arc::new(chunk));
            }
        }
        let closed = |_| FetchError::Unavailable("the bridge is being stopped".into());
        // Fetches that nobody waits for any more queue here as well: the queue must end.
        let permit = tokio::time::timeout(self.backend_timeout, self.permits.acquire()).await;
        let full = |_| FetchError::Unavailable("too many chunks wait for the back end".into());
        let permit = permit.map_err(full)?.map_err(closed)?;
        self.metrics.backend_pending.inc();
        let start = Instant::now();
        let result = tokio::time::timeout(self.backend_timeout, self.backend.chunk(address)).await;
        self.metrics.backend_pending.dec();
        self.metrics.observe_backend(start.elapsed());
        drop(permit);
        let result = result.unwrap_or(Err(FetchError::Timeout(self.backend_timeout)));
        self.metrics.count_chunk(match &result {
            Ok(_) => "backend",
            Err(FetchError::NotFound) => "missing",
            Err(_) => "failed",
        });
        let chunk = Arc::new(result?);
        if let Some(writes) = &self.writes {
            // A cache that cannot keep up is not worth waiting for.
            drop(writes.try_send(chunk.clone()));
        }
        Ok(chunk)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn write_all(disk: &Disk, mut chunks: mpsc::Receiver<Arc<VerifiedChunk>>) {
    let mut is_full = false;
    while let Some(chunk) = chunks.blocking_recv() {
        match disk.put(&chunk) {
            Ok(()) => is_full = false,
            // Said once, not for every chunk.
            Err(_) if is_full => {}
            Err(error) => {
                is_full = true;
                tracing::warn!(%error, "disk cache cannot be written");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
