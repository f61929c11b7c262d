//! One stream: a request in, an answer out.
mod chunks;
mod file;
mod input;
mod output;

use crate::store::Store;
use crate::{Fault, FetchError, Limits, Metrics};
use fetch::{Answer, Code, Kind, Request, RequestError};
use futures::{AsyncReadExt, AsyncWriteExt};
use input::Input;
use libp2p::{PeerId, Stream};
use output::{Gone, Output};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time for an answer to a stream that is not served.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams being told that there are too many; beyond this they are dropped without a word.
const REFUSALS_MAX: usize = 256;

/// What all streams share.
pub(crate) struct Server {
    pub(crate) store: Arc<Store>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fault: Option<Fault>,
    /// Whether new streams are refused.
    pub(crate) stopping: watch::Sender<bool>,
    streams: AtomicUsize,
    refusals: AtomicUsize,
    lingering: AtomicUsize,
    peers: Mutex<HashMap<PeerId, usize>>,
}

/// An answer that says no, or a client that is gone.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Say this.
    Error(Code, String),
    /// Nobody listens any more.
    Gone(Gone),
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        let code = match &error {
            FetchError::NotFound => Code::NotFound,
            FetchError::Unavailable(_) => Code::Unavailable,
            FetchError::Timeout(_) => Code::Timeout,
        };
        Self::Error(code, error.to_string())
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Error(error.code(), error.to_string())
    }
}

impl Server {
    pub(crate) fn new(
        store: Arc<Store>,
        limits: Limits,
        metrics: Arc<Metrics>,
        fault: Option<Fault>,
    ) -> Self {
        Self {
            store,
            limits,
            metrics,
            fault,
            stopping: watch::channel(false).0,
            streams: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            peers: Mutex::default(),
        }
    }

    /// Streams that are served now.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Streams of which something may still be on its way to the client.
    pub(crate) fn open_streams(&self) -> usize {
        let others = [&self.refusals, &self.lingering];
        let others = others.map(|count| count.load(Ordering::Relaxed));
        self.streams() + others.iter().sum::<usize>()
    }

    /// Serves one stream to its end.
    pub(crate) async fn serve(self: Arc<Self>, peer: PeerId, stream: Stream) {
        match self.admit(peer) {
            Ok(place) => {
                let left = self.serve_admitted(peer, stream).await;
                self.lingering.fetch_add(1, Ordering::Relaxed);
                drop(place);
                if let Some(input) = left {
                    input.linger().await;
                }
                self.lingering.fetch_sub(1, Ordering::Relaxed);
            }
            Err((code, words)) => self.refuse(peer, stream, code, words).await,
        }
    }

    fn admit(self: &Arc<Self>, peer: PeerId) -> Result<Place, (Code, &'static str)> {
        if *self.stopping.borrow() {
            return Err((Code::ShuttingDown, "the bridge is being stopped"));
        }
        // The guard first: it gives back what is counted, whatever happens.
        let before = self.streams.fetch_add(1, Ordering::Relaxed);
        let mut peers = self.peers.lock().unwrap_or_else(|e| e.into_inner());
        let count = peers.entry(peer).or_default();
        *count += 1;
        let is_peer_full = *count > self.limits.streams_per_peer_max;
        drop(peers);
        self.metrics.streams.inc();
        let place = Place {
            server: self.clone(),
            peer,
        };
        if is_peer_full {
            drop(place);
            return Err((Code::Busy, "too many streams of this peer"));
        }
        if before >= self.limits.streams_max {
            drop(place);
            return Err((Code::Busy, "the bridge has too many streams"));
        }
        Ok(place)
    }

    async fn refuse(&self, peer: PeerId, stream: Stream, code: Code, words: &str) {
        self.metrics.count_error(code);
        tracing::debug!(%peer, %code, "stream refused");
        if self.refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS_MAX {
            let mut line = Vec::new();
            Answer::error(code, words).encode(&mut line);
            let (input, mut output) = stream.split();
            let talk = async {
                output.write_all(&line).await?;
                output.close().await
            };
            // Who does not listen is not told.
            if let Ok(Ok(())) = tokio::time::timeout(REFUSAL_TIMEOUT, talk).await {
                Input::new(input).linger().await;
            }
        }
        self.refusals.fetch_sub(1, Ordering::Relaxed);
    }

    /// Answers the request of a stream; returns the reading half if it ended well.
    async fn serve_admitted(self: &Arc<Self>, peer: PeerId, stream: Stream) -> Option<Input> {
        let start = Instant::now();
        let (input, output) = stream.split();
        let mut input = Input::new(input);
        let mut output = Output::new(output, self.limits.reader_timeout, self.metrics.clone());
        let stopping = self.stopping.subscribe();
        let request = input.request(self.limits.request_timeout, stopping).await;
        let what = match &request {
            Ok(request) => describe(request),
            Err(_) => "a request".to_owned(),
        };
        let result = tokio::select! {
            biased;
            result = self.reply(request, &mut output) => result,
            gone = input.watch() => Err(gone),
        };
        let result = match result {
            Ok(refused) if input.is_talkative() => input.hush().await.map(|()| refused),
            result => result,
        };
        let result = match result {
            Ok(refused) => output.close().await.map(|()| refused),
            Err(gone) => Err(gone),
        };
        let bytes = output.sent();
        let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(None) => tracing::info!(%peer, what, bytes, took_ms, "served"),
            Ok(Some((code, words))) => {
                tracing::info!(%peer, what, bytes, took_ms, %code, words, "refused");
            }
            Err(gone) => {
                self.note_gone(peer, &what, &gone, bytes);
                return None;
            }
        }
        Some(input)
    }

    fn note_gone(&self, peer: PeerId, what: &str, gone: &Gone, bytes: u64) {
        match gone {
            Gone::Closed(error) => tracing::debug!(%peer, what, bytes, %error, "client is gone"),
            Gone::TooSlow => {
                self.metrics.count_error(Code::TooSlow);
                tracing::info!(%peer, what, bytes, "client is too slow, stream dropped");
            }
            Gone::Talkative => {
                tracing::info!(%peer, what, bytes, "client says too much, stream dropped");
            }
        }
    }

    /// Hands over the whole answer; returns the error it ended with.
    async fn reply(
        self: &Arc<Self>,
        request: Result<Request, Refusal>,
        output: &mut Output,
    ) -> Result<Option<(Code, String)>, Gone> {
        let result = match &request {
            Ok(request) => {
                self.metrics.count_request(request.kind.as_str());
                self.answer(request, output).await
            }
            Err(_) => Ok(()),
        };
        let refused = match request.and(result) {
            Ok(()) => None,
            Err(Refusal::Gone(gone)) => return Err(gone),
            Err(Refusal::Error(code, words)) => {
                self.metrics.count_error(code);
                output.fail(Answer::error(code, &words));
                Some((code, words))
            }
        };
        output.flush().await?;
        Ok(refused)
    }

    /// Answers a request; one whose answer does not begin in time is refused.
    async fn answer(
        self: &Arc<Self>,
        request: &Request,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let begun = output.begun();
        let timeout = self.limits.answer_timeout;
        let deadline = async {
            tokio::time::sleep(timeout).await;
            if begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            result = self.answer_kind(request, output) => result,
            () = deadline => {
                let words = format!("the answer did not begin within {} s", timeout.as_secs());
                Err(Refusal::Error(Code::Timeout, words))
            }
        }
    }

    async fn answer_kind(
        self: &Arc<Self>,
        request: &Request,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        if self.fault == Some(Fault::FilesOnly) && request.kind == Kind::Chunks {
            return Err(RequestError::UnknownType.into());
        }
        match request.kind {
            Kind::Chunks => self.answer_chunks(request, output).await,
            Kind::Manifest | Kind::Artifact => self.answer_file(request, output).await,
        }
    }
}

/// A stream's place among those that are served.
struct Place {
    server: Arc<Server>,
    peer: PeerId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.streams.fetch_sub(1, Ordering::Relaxed);
        self.server.metrics.streams.dec();
        let mut peers = self.server.peers.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(count) = peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

/// Says what a request is for, without the key of an encrypted reference: it ends in logs.
fn describe(request: &Request) -> String {
    let mut text = format!("{} {:?}", request.kind.as_str(), request.reference);
    if let Some(path) = &request.path {
        text.push_str(&format!(" {path:?}"));
    }
    if request.from > 0 {
        text.push_str(&format!(" from {}", request.from));
    }
    text
}
