//! The way to a client: buffered, with a deadline for every buffer.
use crate::Metrics;
use fetch::{Answer, Record};
use futures::AsyncWriteExt;
use futures::io::WriteHalf;
use libp2p::Stream;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 32 * 1024;

/// Why nobody listens any more.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The stream ended.
    Closed(io::Error),
    /// The client took too long for one buffer.
    TooSlow,
    /// The client says more than is read.
    Talkative,
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

/// Writes one answer.
pub(crate) struct Output {
    stream: WriteHalf<Stream>,
    buffer: Vec<u8>,
    stage: Stage,
    begun: Arc<AtomicBool>,
    timeout: Duration,
    sent: u64,
    metrics: Arc<Metrics>,
}

impl Output {
    pub(crate) fn new(stream: WriteHalf<Stream>, timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(BUFFER_BYTES + fetch::CHUNK_RECORD_BYTES_MAX),
            stage: Stage::Start,
            begun: Arc::default(),
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
        self.begin(Stage::Records, size);
    }

    /// Announces raw bytes.
    pub(crate) fn begin_bytes(&mut self, size: u64) {
        self.begin(Stage::Bytes, Some(size));
    }

    fn begin(&mut self, stage: Stage, size: Option<u64>) {
        Answer::Ok { size }.encode(&mut self.buffer);
        self.stage = stage;
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Shares whether anything was announced with whoever watches the time.
    pub(crate) fn begun(&self) -> Arc<AtomicBool> {
        self.begun.clone()
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

    /// Says that the answer ends with an error, as well as that is still possible.
    pub(crate) fn fail(&mut self, answer: Answer) {
        match self.stage {
            Stage::Start => answer.encode(&mut self.buffer),
            Stage::Records => Record::Error(answer).encode(&mut self.buffer),
            // Fewer bytes than announced, and then the end: the client must not take that for the file.
            Stage::Bytes => {}
        }
    }

    /// Half-closes the stream behind everything that was handed over.
    pub(crate) async fn close(&mut self) -> Result<(), Gone> {
        match tokio::time::timeout(self.timeout, self.stream.close()).await {
            Ok(result) => result.map_err(Gone::Closed),
            Err(_) => Err(Gone::TooSlow),
        }
    }
}
