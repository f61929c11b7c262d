//! Swarm itself, as a light client.
use super::Backend;
use crate::FetchError;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use client::{Observer, RunError, Session};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use swarm::{ChunkFailure, Event};
use tokio::sync::oneshot;

/// How long a session without any peer waits before it tries again.
const PAUSE: Duration = Duration::from_millis(500);
/// Time for the last settlements when the bridge stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why there is no native back end.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// No session.
    #[error(transparent)]
    Session(#[from] client::SessionError),
    /// No thread.
    #[error("no thread for the Swarm node: {0}")]
    Thread(std::io::Error),
}

/// A Swarm light client on a thread of its own.
pub struct Native {
    demand: Arc<Demand>,
    stop: client::StopHandle,
    thread: Option<JoinHandle<()>>,
}

type Answer = Result<VerifiedChunk, FetchError>;

/// What the streams want of the session.
#[derive(Default)]
struct Demand {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    new: VecDeque<ChunkAddress>,
    waiting: BTreeMap<ChunkAddress, Vec<oneshot::Sender<Answer>>>,
}

impl Demand {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn answer(&self, address: ChunkAddress, answer: &Answer) {
        for waiting in self.lock().waiting.remove(&address).unwrap_or_default() {
            // Who asked may have lost interest.
            drop(waiting.send(answer.clone()));
        }
    }
}

impl Native {
    /// Starts the node; it dials its bootnodes at once.
    ///
    /// # Errors
    /// See [`NativeError`].
    pub fn start(config: client::Config) -> Result<Self, NativeError> {
        let session = Session::new(config)?;
        let demand = Arc::new(Demand::default());
        let stop = session.stop_handle();
        let shared = demand.clone();
        let thread = std::thread::Builder::new()
            .name("swarm".into())
            .spawn(move || run(session, &shared))
            .map_err(NativeError::Thread)?;
        Ok(Self {
            demand,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported by it.
            drop(thread.join());
        }
    }
}

impl Backend for Native {
    fn chunk(&self, address: ChunkAddress) -> BoxFuture<'_, Answer> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.demand.lock();
            state.new.push_back(address);
            state.waiting.entry(address).or_default().push(sender);
        }
        self.stop.wake();
        receiver
            .map(|answer| {
                answer.unwrap_or_else(|_| {
                    Err(FetchError::Unavailable("the Swarm node was stopped".into()))
                })
            })
            .boxed()
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").finish_non_exhaustive()
    }
}

fn run(mut session: Session, demand: &Arc<Demand>) {
    let mut consumer = Endless(demand.clone());
    let mut log = Log(demand.clone());
    loop {
        match session.serve(&mut consumer, &mut log) {
            Err(RunError::Stopped) => break,
            Err(error) => {
                tracing::warn!(%error, "Swarm node");
                let failure = Err(FetchError::Unavailable(error.to_string()));
                let waiting: Vec<_> = demand.lock().waiting.keys().copied().collect();
                for address in waiting {
                    demand.answer(address, &failure);
                }
            }
            Ok(()) => {}
        }
        if session.idle(PAUSE, &mut log).is_err() {
            break;
        }
    }
    // What is not settled now is settled with the next connection.
    drop(session.close(FAREWELL));
    demand.lock().waiting.clear();
}

/// A consumer that is never done.
struct Endless(Arc<Demand>);

impl ChunkConsumer for Endless {
    type Error = Infallible;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        let mut state = self.0.lock();
        loop {
            let address = state.new.pop_front()?;
            if state.waiting.contains_key(&address) {
                return Some(address);
            }
        }
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), Infallible> {
        self.0.answer(chunk.address(), &Ok(chunk));
        Ok(())
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), Infallible> {
        self.0.answer(address, &Err(FetchError::NotFound));
        Ok(())
    }
    fn is_done(&self) -> bool {
        false
    }
}

/// Takes note of what the node says, and answers for chunks whose fate the consumer is not told.
struct Log(Arc<Demand>);

impl Observer for Log {
    fn handle_event(&mut self, _: p2p::Instant, event: &Event) {
        match event {
            Event::Chunk { .. }
            | Event::ChunkFailed {
                failure: ChunkFailure::NotFound { .. },
                ..
            } => {}
            // Nobody said that it does not exist: whoever waits may ask again. The consumer then finds nobody waiting.
            Event::ChunkFailed { address, failure } => {
                let failure = FetchError::Unavailable(failure.to_string());
                self.0.answer(*address, &Err(failure));
            }
            Event::PeerUp { address, agent, .. } => tracing::debug!(%address, agent, "peer up"),
            Event::PeerDown {
                address, reason, ..
            } => {
                tracing::debug!(%address, %reason, "peer down");
            }
            other => tracing::trace!(?other, "Swarm node"),
        }
    }
}
