//! The way to a client: buffered, with a deadline for every buffer.
use crate::Metrics;
use fetch::{Answer, Record};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 32 * 1024;

/// Time for a client to end its side.
const LINGER: Duration = Duration::from_secs(10);
/// Reads of 1 KiB from a client that goes on talking.
const LINGER_READS_MAX: usize = 64;

/// Why nobody listens any more.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The stream ended.
    Closed(io::Error),
    /// The client took too long for one buffer.
    TooSlow,
}

/// What an answer consists of so far: decides how an error can be told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was said.
    Start,
    /// Records were announced: an error is a record.
    Records,
    /// Raw bytes were announced: an error can only be a broken stream.
    Bytes,
}

/// Waits for the client to end its side, for a while: a stream that is dropped earlier is reset, and some clients throw away what they
/// have not read when that happens.
pub(crate) async fn linger(mut stream: Stream) {
    let drain = async {
        let mut room = [0; 1024];
        for _ in 0..LINGER_READS_MAX {
            if !matches!(stream.read(&mut room).await, Ok(1..)) {
                return;
            }
        }
    };
    // Whoever keeps it open longer has read everything by then.
    drop(tokio::time::timeout(LINGER, drain).await);
}

/// Writes one answer.
pub(crate) struct Output {
    stream: Stream,
    buffer: Vec<u8>,
    stage: Stage,
    timeout: Duration,
    sent: u64,
    metrics: Arc<Metrics>,
}

impl Output {
    pub(crate) fn new(stream: Stream, timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(BUFFER_BYTES + fetch::CHUNK_RECORD_BYTES_MAX),
            stage: Stage::Start,
            timeout,
            sent: 0,
            metrics,
        }
    }

    /// Bytes handed over so far.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Announces records.
    pub(crate) fn begin_records(&mut self, size: Option<u64>) {
        Answer::Ok { size }.encode(&mut self.buffer);
        self.stage = Stage::Records;
    }

    /// Announces raw bytes.
    pub(crate) fn begin_bytes(&mut self, size: u64) {
        Answer::Ok { size: Some(size) }.encode(&mut self.buffer);
        self.stage = Stage::Bytes;
    }

    /// Says whether anything was announced.
    pub(crate) fn has_begun(&self) -> bool {
        self.stage != Stage::Start
    }

    /// Writes a record; waits when the buffer is full.
    pub(crate) async fn record(&mut self, record: &Record<'_>) -> Result<(), Gone> {
        record.encode(&mut self.buffer);
        if let Record::Chunk { .. } = record {
            self.metrics.chunks_sent.inc();
        }
        self.relieve().await
    }

    /// Writes raw bytes; waits when the buffer is full.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.buffer.extend_from_slice(bytes);
        self.relieve().await
    }

    async fn relieve(&mut self) -> Result<(), Gone> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands everything over.
    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.buffer).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.timeout, write).await {
            Ok(result) => result.map_err(Gone::Closed)?,
            Err(_) => return Err(Gone::TooSlow),
        }
        let count = self.buffer.len() as u64;
        self.sent += count;
        self.metrics.bytes_sent.inc_by(count);
        self.buffer.clear();
        Ok(())
    }

    /// Ends the answer; the stream is given back for [`linger`].
    pub(crate) async fn finish(mut self) -> Result<Stream, Gone> {
        self.flush().await?;
        match tokio::time::timeout(self.timeout, self.stream.close()).await {
            Ok(result) => result.map_err(Gone::Closed)?,
            Err(_) => return Err(Gone::TooSlow),
        }
        Ok(self.stream)
    }

    /// Ends the answer with an error, as well as that is still possible.
    pub(crate) async fn fail(mut self, answer: Answer) -> Result<Stream, Gone> {
        match self.stage {
            Stage::Start => answer.encode(&mut self.buffer),
            Stage::Records => Record::Error(answer).encode(&mut self.buffer),
            // Fewer bytes than announced, and then the end: the client must not take that for the file.
            Stage::Bytes => {}
        }
        self.finish().await
    }
}
