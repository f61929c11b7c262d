//! The way from a client: its request, and whatever it says after that.
use super::Refusal;
use super::output::Gone;
use fetch::{Code, REQUEST_BYTES_MAX, Request, RequestError};
use futures::AsyncReadExt;
use futures::io::ReadHalf;
use libp2p::Stream;
use std::time::Duration;
use tokio::sync::watch;

/// Bytes after a request that are read and thrown away. More end the stream: they take the place of other streams' requests.
const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// A client that said too much is told the end when it has been quiet for this long, ...
const QUIET: Duration = Duration::from_millis(250);
/// ... and after this in any case.
const HUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a client to end its side.
const LINGER: Duration = Duration::from_secs(10);

/// The reading half of a stream.
pub(super) struct Input {
    stream: ReadHalf<Stream>,
    /// Bytes that came after the request.
    extra: usize,
    has_ended: bool,
}

impl Input {
    pub(super) const fn new(stream: ReadHalf<Stream>) -> Self {
        Self {
            stream,
            extra: 0,
            has_ended: false,
        }
    }

    /// Reads the request, unless that takes too long or the bridge is being stopped.
    pub(super) async fn request(
        &mut self,
        timeout: Duration,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<Request, Refusal> {
        tokio::select! {
            biased;
            result = tokio::time::timeout(timeout, self.line()) => {
                let words = format!("the request did not arrive within {} s", timeout.as_secs());
                result.unwrap_or(Err(Refusal::Error(Code::TooSlow, words)))
            }
            Ok(_) = stopping.wait_for(|stop| *stop) => {
                let words = "the bridge is being stopped".to_owned();
                Err(Refusal::Error(Code::ShuttingDown, words))
            }
        }
    }

    async fn line(&mut self) -> Result<Request, Refusal> {
        let mut received = Vec::new();
        let mut part = [0; 1024];
        loop {
            let count = self.stream.read(&mut part).await;
            let count = count.map_err(|error| Refusal::Gone(Gone::Closed(error)))?;
            self.has_ended = count == 0;
            received.extend_from_slice(&part[..count]);
            match Request::line(&received, self.has_ended) {
                Ok(Some(line)) => {
                    self.extra = received.len().saturating_sub(line.len() + 1);
                    return Ok(Request::decode(line)?);
                }
                Ok(None) => debug_assert!(received.len() < REQUEST_BYTES_MAX),
                Err(error) => {
                    if error == RequestError::TooLong {
                        self.extra = 1;
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Says whether more came than the request.
    pub(super) const fn is_talkative(&self) -> bool {
        self.extra > 0
    }

    /// Waits until nobody waits for the answer any more.
    ///
    /// Writing alone does not tell over QUIC: a stream that is blocked by what the whole connection may send learns of its own end when
    /// the connection moves, and it may be that stream's bytes that keep the connection from moving.
    pub(super) async fn watch(&mut self) -> Gone {
        loop {
            // A client that half-closes its stream still reads.
            if self.has_ended {
                return std::future::pending().await;
            }
            if let Err(gone) = self.skip().await {
                return gone;
            }
        }
    }

    /// Throws away what a client goes on to say after an answer that is not yet closed.
    ///
    /// A Yamux stream is only reset when it is dropped before it is closed, so closing has to wait until it is clear that the client is
    /// not blocked in the middle of a long write.
    pub(super) async fn hush(&mut self) -> Result<(), Gone> {
        let quiet = async {
            while !self.has_ended {
                match tokio::time::timeout(QUIET, self.skip()).await {
                    Ok(result) => result?,
                    Err(_) => break,
                }
            }
            Ok(())
        };
        let result = tokio::time::timeout(HUSH_TIMEOUT, quiet).await;
        result.unwrap_or(Ok(()))
    }

    async fn skip(&mut self) -> Result<(), Gone> {
        let mut room = [0; 4096];
        let count = self.stream.read(&mut room).await.map_err(Gone::Closed)?;
        self.has_ended = count == 0;
        self.extra += count;
        if self.extra > EXTRA_BYTES_MAX {
            return Err(Gone::Talkative);
        }
        Ok(())
    }

    /// Waits for the client to end its side, for a while: a stream that is dropped earlier is reset, and some clients throw away what
    /// they have not read when that happens. What such a client still says is bounded by the time.
    pub(super) async fn linger(mut self) {
        let drain = async {
            let mut room = [0; 4096];
            while !self.has_ended {
                self.has_ended = !matches!(self.stream.read(&mut room).await, Ok(1..));
            }
        };
        // Whoever keeps it open longer has read everything by then.
        drop(tokio::time::timeout(LINGER, drain).await);
    }
}
