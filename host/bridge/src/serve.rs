//! One stream: a request in, an answer out.
mod chunks;
mod file;
mod output;

use crate::store::Store;
use crate::{Fault, FetchError, Limits, Metrics};
use fetch::{Answer, Code, Kind, REQUEST_BYTES_MAX, Request, RequestError};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{PeerId, Stream};
use output::{Gone, Output, linger};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
    pub(crate) is_stopping: AtomicBool,
    streams: AtomicUsize,
    refusals: AtomicUsize,
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
            is_stopping: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            peers: Mutex::default(),
        }
    }

    /// Streams that are served now.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Serves one stream to its end.
    pub(crate) async fn serve(self: Arc<Self>, peer: PeerId, stream: Stream) {
        match self.admit(peer) {
            Ok(place) => {
                let left = self.serve_admitted(peer, stream).await;
                drop(place);
                if let Some(stream) = left {
                    linger(stream).await;
                }
            }
            Err((code, words)) => self.refuse(peer, stream, code, words).await,
        }
    }

    fn admit(self: &Arc<Self>, peer: PeerId) -> Result<Place, (Code, &'static str)> {
        if self.is_stopping.load(Ordering::Relaxed) {
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

    async fn refuse(&self, peer: PeerId, mut stream: Stream, code: Code, words: &str) {
        self.metrics.count_error(code);
        tracing::debug!(%peer, %code, "stream refused");
        if self.refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS_MAX {
            let mut line = Vec::new();
            Answer::error(code, words).encode(&mut line);
            let talk = async {
                stream.write_all(&line).await?;
                stream.close().await
            };
            // Who does not listen is not told.
            if let Ok(Ok(())) = tokio::time::timeout(REFUSAL_TIMEOUT, talk).await {
                linger(stream).await;
            }
        }
        self.refusals.fetch_sub(1, Ordering::Relaxed);
    }

    /// Answers the request of a stream; returns the stream if it ended well.
    async fn serve_admitted(self: &Arc<Self>, peer: PeerId, mut stream: Stream) -> Option<Stream> {
        let start = Instant::now();
        let request = self.read_request(&mut stream).await;
        let mut output = Output::new(stream, self.limits.reader_timeout, self.metrics.clone());
        let result = match &request {
            Ok(request) => {
                self.metrics.count_request(request.kind.as_str());
                self.answer(request, &mut output).await
            }
            Err(_) => Ok(()),
        };
        let (what, result) = match request {
            Ok(request) => (describe(&request), result),
            Err(refusal) => ("a request".to_owned(), Err(refusal)),
        };
        let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(()) => {
                let bytes = output.sent();
                match output.finish().await {
                    Ok(stream) => {
                        tracing::info!(%peer, what, bytes, took_ms, "served");
                        Some(stream)
                    }
                    Err(gone) => {
                        self.note_gone(peer, &what, &gone, bytes);
                        None
                    }
                }
            }
            Err(Refusal::Gone(gone)) => {
                self.note_gone(peer, &what, &gone, output.sent());
                None
            }
            Err(Refusal::Error(code, words)) => {
                self.metrics.count_error(code);
                tracing::info!(%peer, what, %code, words, "refused");
                // Who is gone is not told.
                output.fail(Answer::error(code, &words)).await.ok()
            }
        }
    }

    fn note_gone(&self, peer: PeerId, what: &str, gone: &Gone, bytes: u64) {
        match gone {
            Gone::Closed(error) => tracing::debug!(%peer, what, bytes, %error, "client is gone"),
            Gone::TooSlow => {
                self.metrics.count_error(Code::TooSlow);
                tracing::info!(%peer, what, bytes, "client is too slow, stream dropped");
            }
        }
    }

    async fn read_request(&self, stream: &mut Stream) -> Result<Request, Refusal> {
        let mut received = Vec::new();
        let mut part = [0; 1024];
        let read = async {
            loop {
                let count = stream.read(&mut part).await;
                let count = count.map_err(|error| Refusal::Gone(Gone::Closed(error)))?;
                received.extend_from_slice(&part[..count]);
                if let Some(line) = Request::line(&received, count == 0)? {
                    return Ok(Request::decode(line)?);
                }
                debug_assert!(received.len() < REQUEST_BYTES_MAX);
            }
        };
        let timeout = self.limits.request_timeout;
        match tokio::time::timeout(timeout, read).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::Error(
                Code::TooSlow,
                format!("the request did not arrive within {} s", timeout.as_secs()),
            )),
        }
    }

    async fn answer(
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
