//! Answers `chunks`: a tree depth first.
use super::output::Output;
use super::{Refusal, Server};
use crate::store::Fetched;
use crate::{Fault, FetchError};
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::mantaray::{Lookup, MantarayError};
use content::{JoinError, Reference};
use fetch::{Code, Record, Request, Walk};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Chunks on their way from the store, and those that came before their turn.
pub(super) struct Ahead {
    running: FuturesUnordered<BoxFuture<'static, (ChunkAddress, Fetched)>>,
    /// `None` while the chunk is on its way.
    chunks: BTreeMap<ChunkAddress, Option<Fetched>>,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            running: FuturesUnordered::new(),
            chunks: BTreeMap::new(),
        }
    }

    /// Starts what is upcoming. Returns chunks that were in memory.
    pub(super) fn start(
        &mut self,
        server: &Server,
        upcoming: impl Iterator<Item = ChunkAddress>,
    ) -> Vec<Arc<VerifiedChunk>> {
        let mut found = Vec::new();
        for (index, address) in upcoming.take(server.limits.ahead_max).enumerate() {
            // The next one has a place whatever is here for later.
            let is_full = index > 0 && self.chunks.len() >= server.limits.ahead_max;
            if is_full || self.chunks.contains_key(&address) {
                continue;
            }
            if let Some(chunk) = server.store.cached(address) {
                found.push(chunk.clone());
                self.chunks.insert(address, Some(Ok(chunk)));
                continue;
            }
            let fetch = server.store.fetch(address);
            self.running
                .push(Box::pin(async move { (address, fetch.await) }));
            self.chunks.insert(address, None);
        }
        found
    }

    /// Forgets what is here: it may belong to a part of the tree that is left out.
    fn forget(&mut self) {
        self.chunks.retain(|_, chunk| chunk.is_none());
    }

    /// Waits for any chunk.
    pub(super) async fn next(&mut self) -> Option<Arc<VerifiedChunk>> {
        let (address, result) = self.running.next().await?;
        let chunk = result.as_ref().ok().cloned();
        self.chunks.insert(address, Some(result));
        chunk
    }

    /// Says whether a chunk, or why there is none, is here.
    pub(super) fn is_here(&self, address: ChunkAddress) -> bool {
        matches!(self.chunks.get(&address), Some(Some(_)))
    }

    /// Takes a chunk out, if it is here.
    pub(super) fn take(&mut self, address: ChunkAddress) -> Option<Fetched> {
        match self.chunks.get(&address) {
            Some(Some(_)) => self.chunks.remove(&address).flatten(),
            _ => None,
        }
    }
}

impl Server {
    pub(super) async fn answer_chunks(
        self: &Arc<Self>,
        request: &Request,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let mut from = request.from;
        let mut root = request.reference;
        if let Some(path) = &request.path {
            output.begin_records(None);
            root = self.send_lookup(root, path, &mut from, output).await?;
        }
        self.send_tree(root, from, output).await?;
        Ok(output.record(&Record::End).await?)
    }

    /// Sends the chunks of the directory nodes on the way to a path, in the order in which they are needed.
    async fn send_lookup(
        &self,
        root: Reference,
        path: &str,
        from: &mut u64,
        output: &mut Output,
    ) -> Result<Reference, Refusal> {
        let mut lookup = Lookup::new(root, path);
        while !lookup.is_done() {
            let Some(address) = lookup.poll_want() else {
                return Err(Refusal::Error(
                    Code::Internal,
                    "the look-up is stuck".into(),
                ));
            };
            let chunk = self.store.chunk(address).await?;
            if *from > 0 {
                *from -= 1;
            } else {
                let data = chunk.data();
                output.record(&Record::Chunk { address, data }).await?;
            }
            let chunk = VerifiedChunk::clone(&chunk);
            lookup
                .handle_chunk(chunk)
                .map_err(|error| in_directory(&error))?;
        }
        let entry = lookup.entry().and_then(|entry| entry.reference);
        entry.ok_or_else(|| Refusal::Error(Code::NotFound, "the path names no file".into()))
    }

    async fn send_tree(
        self: &Arc<Self>,
        root: Reference,
        from: u64,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let mut walk = Walk::new(root, from);
        let mut ahead = Ahead::new();
        let mut number = from;
        while let Some(address) = walk.expected() {
            // What leads to the first chunk is fetched step by step.
            let within = if walk.is_left_out() {
                1
            } else {
                self.limits.ahead_max
            };
            for chunk in ahead.start(self, walk.upcoming().take(within)) {
                walk.open_ahead(&chunk, within);
            }
            let Some(result) = ahead.take(address) else {
                output.flush().await?;
                if let Some(chunk) = ahead.next().await {
                    walk.open_ahead(&chunk, within);
                }
                continue;
            };
            let chunk = match result {
                Ok(chunk) => chunk,
                // A reader with redundancy can do without; it decides.
                // Without a size it is the root, and nobody knows how much is below it.
                Err(FetchError::NotFound)
                    if output.has_begun() && walk.size().is_some() && !walk.is_left_out() =>
                {
                    output.record(&Record::Missing { address }).await?;
                    number += walk.leave_out();
                    ahead.forget();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let is_sent = !walk.is_left_out();
            let opened = walk.advance(&chunk);
            if !output.has_begun() && !walk.is_left_out() {
                let wrong = u64::from(self.fault == Some(Fault::WrongSize));
                output.begin_records(walk.size().map(|size| size + wrong));
            }
            if is_sent {
                self.send_chunk(&chunk, number, output).await?;
                number += 1;
            }
            if let Err(defect) = opened {
                return Err(Refusal::Error(
                    Code::NotAFile,
                    format!("chunk {address}: {defect}"),
                ));
            }
        }
        if walk.is_left_out() {
            let words = "from is behind the last chunk".into();
            return Err(Refusal::Error(Code::BadFrom, words));
        }
        Ok(())
    }

    async fn send_chunk(
        &self,
        chunk: &VerifiedChunk,
        number: u64,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let address = chunk.address();
        let mut data = std::borrow::Cow::Borrowed(chunk.data());
        match self.fault {
            Some(Fault::FlipBit(k)) if k == number => {
                if let Some(last) = data.to_mut().last_mut() {
                    *last ^= 1;
                }
            }
            Some(Fault::StopAt(k)) if number >= k => {
                output.flush().await?;
                let error = std::io::Error::other("told to stop here");
                return Err(Refusal::Gone(super::Gone::Closed(error)));
            }
            Some(Fault::SilentAt(k)) if number >= k => {
                output.flush().await?;
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let data = &data;
        Ok(output.record(&Record::Chunk { address, data }).await?)
    }
}

/// Puts an error of a look-up into an answer.
pub(super) fn in_directory(error: &MantarayError) -> Refusal {
    let code = match error {
        MantarayError::NotFound => Code::NotFound,
        MantarayError::Node {
            error: JoinError::Unavailable(_),
            ..
        } => Code::NotFound,
        _ => Code::NotAFile,
    };
    Refusal::Error(code, error.to_string())
}
