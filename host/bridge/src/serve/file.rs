//! Answers `manifest` and `artifact`: a file's bytes.
use super::chunks::{Ahead, in_directory};
use super::output::Output;
use super::{Refusal, Server};
use crate::FetchError;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::mantaray::{Lookup, MantarayError, is_directory};
use content::{Collect, FILE_BYTES_MAX, Join, JoinConfig, JoinError, Reference};
use fetch::{Code, Kind, Request};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest manifest, bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
/// Name of the manifest in a release directory.
const MANIFEST_PATH: &str = "host-configuration-manifest.json";

impl Server {
    pub(super) async fn answer_file(
        self: &Arc<Self>,
        request: &Request,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let mut file = request.reference;
        if let Some(path) = &request.path {
            file = self.look_up(file, path).await?;
        }
        if request.kind == Kind::Artifact {
            return self.send_file(file, FILE_BYTES_MAX, output).await;
        }
        // A manifest is asked for by its own reference, or by the one of the directory it is in.
        let mut collect = Collect::new(file, MANIFEST_BYTES_MAX, self.limits.ahead_max);
        self.feed(&mut collect, |error| in_file(&error)).await?;
        let bytes = collect.into_bytes().unwrap_or_default();
        if is_directory(&bytes) {
            file = self.look_up(file, MANIFEST_PATH).await?;
        }
        self.send_file(file, MANIFEST_BYTES_MAX, output).await
    }

    async fn look_up(self: &Arc<Self>, root: Reference, path: &str) -> Result<Reference, Refusal> {
        let mut lookup = Lookup::new(root, path);
        self.feed(&mut lookup, |error: MantarayError| in_directory(&error))
            .await?;
        let entry = lookup.entry().and_then(|entry| entry.reference);
        entry.ok_or_else(|| Refusal::Error(Code::NotFound, "the path names no file".into()))
    }

    /// Sends a file of at most `size_max` bytes.
    async fn send_file(
        self: &Arc<Self>,
        file: Reference,
        size_max: u64,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let config = JoinConfig {
            size_max,
            in_flight_max: self.limits.ahead_max,
            ordered: true,
        };
        let mut join = Join::new(file, config);
        let mut source = Source::new(self);
        loop {
            if !output.has_begun()
                && let Some(size) = join.size()
            {
                output.begin_bytes(size);
            }
            while let Some(piece) = join.poll_piece() {
                output.bytes(piece.bytes()).await?;
            }
            if join.is_done() {
                return Ok(());
            }
            if source.is_waiting(&mut join) {
                output.flush().await?;
            }
            source.step(&mut join, |error| in_file(&error)).await?;
        }
    }

    /// Feeds a consumer until it is done.
    async fn feed<C: ChunkConsumer>(
        self: &Arc<Self>,
        consumer: &mut C,
        refuse: impl Fn(C::Error) -> Refusal,
    ) -> Result<(), Refusal> {
        let mut source = Source::new(self);
        while !consumer.is_done() {
            source.step(consumer, &refuse).await?;
        }
        Ok(())
    }
}

/// Feeds consumers from the store.
struct Source<'a> {
    server: &'a Arc<Server>,
    ahead: Ahead,
    /// Asked for and not given, in the order of the questions.
    wanted: Vec<ChunkAddress>,
    /// Why chunks could not be had.
    errors: BTreeMap<ChunkAddress, FetchError>,
}

impl<'a> Source<'a> {
    fn new(server: &'a Arc<Server>) -> Self {
        Self {
            server,
            ahead: Ahead::new(),
            wanted: Vec::new(),
            errors: BTreeMap::new(),
        }
    }

    fn ask<C: ChunkConsumer>(&mut self, consumer: &mut C) {
        // A consumer with redundancy may want more than the window: those wait here.
        while self.wanted.len() < 2 * self.server.limits.ahead_max
            && let Some(address) = consumer.poll_want()
        {
            self.wanted.push(address);
        }
        self.ahead.start(self.server, self.wanted.iter().copied());
    }

    /// Says whether nothing can be given before something comes from the store.
    fn is_waiting<C: ChunkConsumer>(&mut self, consumer: &mut C) -> bool {
        self.ask(consumer);
        !self
            .wanted
            .iter()
            .any(|address| self.ahead.is_here(*address))
    }

    /// Gives the consumer everything that is here, or waits for one chunk.
    async fn step<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        refuse: impl Fn(C::Error) -> Refusal,
    ) -> Result<(), Refusal> {
        if self.is_waiting(consumer) {
            if self.ahead.next().await.is_none() && self.wanted.is_empty() {
                return Err(Refusal::Error(
                    Code::Internal,
                    "nothing is left to ask for".into(),
                ));
            }
            return Ok(());
        }
        let here: Vec<ChunkAddress> = self
            .wanted
            .extract_if(.., |address| self.ahead.is_here(*address))
            .collect();
        for address in here {
            match self.ahead.take(address) {
                Some(Ok(chunk)) => {
                    let chunk = VerifiedChunk::clone(&chunk);
                    consumer.handle_chunk(chunk).map_err(&refuse)?;
                }
                Some(Err(error)) => {
                    self.errors.insert(address, error);
                    if let Err(failed) = consumer.handle_unavailable(address) {
                        // The store's own words are better than "not available".
                        let own = self.errors.remove(&address);
                        // What may be there another time is not "not found", whichever chunk was given up last.
                        let passing = self.errors.values().find(|e| **e != FetchError::NotFound);
                        let own = match own {
                            Some(FetchError::NotFound) | None => passing.cloned().or(own),
                            other => other,
                        };
                        return Err(own.map_or_else(|| refuse(failed), Refusal::from));
                    }
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn in_file(error: &JoinError) -> Refusal {
    let code = match error {
        JoinError::Unavailable(_) => Code::NotFound,
        // No file is that large: the wrong key, or none, makes such a number of an encrypted root.
        JoinError::TooLarge { size, .. } if *size > FILE_BYTES_MAX => Code::NotAFile,
        JoinError::TooLarge { .. } => Code::TooLarge,
        _ => Code::NotAFile,
    };
    Refusal::Error(code, error.to_string())
}
