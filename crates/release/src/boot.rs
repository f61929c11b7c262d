//! A whole boot as one chunk consumer: feed, directory look-up, manifest, kernel and initramfs, each checked against the manifest.
mod artifacts;
mod error;
mod kernel;

use crate::manifest::{Architecture, HostConfiguration, MANIFEST_BYTES_MAX};
use crate::memory::FeedMemory;
use crate::target::{Name, Target};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use artifacts::Artifacts;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::feed::{
    Certainty, Feed, FeedType, Find, FindConfig, Index, Patience, Root, Update, preload,
};
use content::mantaray::{Lookup, MantarayError, NODE_BYTES_MAX, is_directory};
use content::{Collect, JoinError, Reference};
use error::ManifestPath;

pub use error::{BootError, HELP, Part};
pub use kernel::{KernelDefect, check_kernel};

/// Limits of a boot.
#[derive(Clone, Debug)]
pub struct BootLimits {
    /// Architecture of this machine.
    pub architecture: Architecture,
    /// Largest kernel, bytes.
    pub kernel_bytes_max: u64,
    /// Largest sum of initramfs archives, bytes.
    pub initramfs_bytes_max: u64,
    /// Chunks wanted at once (0 counts as 1).
    pub in_flight_max: usize,
    /// Updates of feeds accepted before: an older one is refused.
    pub feeds: FeedMemory,
    /// When a newer update of a feed counts as absent.
    pub patience: Patience,
}

/// Where a boot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootPhase {
    /// Looking for the newest update of a feed.
    Feed,
    /// Looking the manifest up.
    Directory,
    /// Reading the manifest.
    Manifest,
    /// Fetching kernel and initramfs, interleaved.
    Artifacts,
    /// Everything is here.
    Done,
}

/// The update of a feed that is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedFeed {
    /// The feed.
    pub feed: Feed,
    /// Index of the update.
    pub index: u64,
    /// When it was made, seconds since 1970, as its owner says; an update that wraps its content does not say.
    pub timestamp: Option<u64>,
    /// How sure it is that there is no newer one.
    pub certainty: Certainty,
}

/// Everything needed to start Linux; the bytes are the ones that were verified.
pub struct Payload {
    /// The manifest.
    pub manifest: HostConfiguration,
    /// The kernel image.
    pub kernel: Vec<u8>,
    /// All initramfs archives one after the other, each padded with zeros to four bytes.
    pub initrd: Vec<u8>,
}

/// Fetches one release: the newest update of a feed if one is named, directory, manifest, kernel and initramfs.
///
/// Every chunk is copied once, to its place in a buffer whose size was agreed between manifest and file before it was allocated.
pub struct Boot {
    path: String,
    limits: BootLimits,
    state: State,
    /// What is being read: what the target names, or what the feed led to.
    root: Reference,
    followed: Option<FollowedFeed>,
    manifest: Option<HostConfiguration>,
    /// Chunks that states which are over no longer need.
    obsolete: VecDeque<ChunkAddress>,
    /// Chunks wanted before everything else.
    wanted: VecDeque<ChunkAddress>,
}

enum State {
    /// Looking for the newest update.
    Feed(Box<Find>),
    /// Reading what the reference names: the root node of a directory, or a manifest.
    Root(Box<Collect>),
    /// Looking the manifest up: in the directory named, or the path itself.
    Directory(Box<Lookup>, Candidate),
    Manifest(Box<Collect>, Reference),
    Artifacts(Box<Artifacts>),
}

/// What the path may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Candidate {
    /// A directory that holds the manifest.
    Directory,
    /// The manifest.
    Manifest,
}

impl Boot {
    /// Starts with a directory that holds `host-configuration-manifest.json`, with the manifest's own reference, or with a feed
    /// that leads to one of them.
    pub fn new(target: Target, limits: BootLimits) -> Self {
        let (root, state) = match target.name {
            Name::Reference(reference) => (reference, None),
            Name::Feed(feed) => {
                let find = Find::new(feed, find_config(&limits, &feed));
                let nothing = Reference::plain(feed.address(Index::Sequence(0)));
                (nothing, Some(State::Feed(Box::new(find))))
            }
        };
        let in_flight_max = limits.in_flight_max;
        Self {
            path: target.path,
            limits,
            state: state.unwrap_or_else(|| State::root(root, in_flight_max)),
            root,
            followed: None,
            manifest: None,
            obsolete: VecDeque::new(),
            wanted: VecDeque::new(),
        }
    }

    /// Returns where it is.
    pub fn phase(&self) -> BootPhase {
        match &self.state {
            State::Feed(_) => BootPhase::Feed,
            State::Root(_) | State::Directory(..) => BootPhase::Directory,
            State::Manifest(..) => BootPhase::Manifest,
            State::Artifacts(artifacts) if artifacts.is_done() => BootPhase::Done,
            State::Artifacts(_) => BootPhase::Artifacts,
        }
    }

    /// Returns the reference that is booted: the target's, or the one the feed led to.
    pub fn reference(&self) -> Reference {
        self.root
    }

    /// Returns the update that is booted, once found.
    pub fn followed(&self) -> Option<&FollowedFeed> {
        self.followed.as_ref()
    }

    /// Says whether the newest update of the feed seems to be known, and only newer ones that nobody has refused for good are
    /// waited for.
    pub fn is_feed_provisional(&self) -> bool {
        matches!(&self.state, State::Feed(find) if find.is_provisional())
    }

    /// Ends that wait: goes on with the newest update known.
    ///
    /// # Errors
    /// Returns what the look-up would have ended with.
    pub fn settle_feed(&mut self) -> Result<(), BootError> {
        let State::Feed(find) = &mut self.state else {
            return Ok(());
        };
        find.settle().map_err(BootError::Feed)?;
        self.leave_feed()
    }

    /// Takes note of how many requests were made for a chunk: [`Certainty`] reports it.
    pub fn note_requests(&mut self, address: ChunkAddress, requests: u32) {
        if let State::Feed(find) = &mut self.state {
            find.note_requests(address, requests);
        }
    }

    /// Returns the manifest, once read.
    pub fn manifest(&self) -> Option<&HostConfiguration> {
        self.manifest.as_ref()
    }

    /// Returns the verified bytes of kernel and initramfs so far, and their total once the manifest is read.
    pub fn progress(&self) -> (u64, Option<u64>) {
        match &self.state {
            State::Artifacts(artifacts) => {
                (artifacts.received_bytes(), Some(artifacts.total_bytes()))
            }
            State::Feed(_) | State::Root(_) | State::Directory(..) | State::Manifest(..) => {
                (0, None)
            }
        }
    }

    /// Returns the result, once done.
    pub fn into_payload(self) -> Option<Payload> {
        let manifest = self.manifest?;
        let State::Artifacts(artifacts) = self.state else {
            return None;
        };
        let (kernel, initrd) = artifacts.into_buffers()?;
        Some(Payload {
            manifest,
            kernel,
            initrd,
        })
    }

    /// Name of what the root is, for messages.
    fn root_part(&self) -> Part {
        match self.followed {
            Some(_) => Part::Update,
            None => Part::Root,
        }
    }

    fn enter(&mut self, state: State) {
        while let Some(address) = self.state.poll_obsolete() {
            self.obsolete.push_back(address);
        }
        self.state = state;
    }

    /// Follows the feed, if its newest update is known.
    fn leave_feed(&mut self) -> Result<(), BootError> {
        let State::Feed(find) = &mut self.state else {
            return Ok(());
        };
        let (true, Some(update)) = (find.is_done(), find.latest()) else {
            return Ok(());
        };
        let Index::Sequence(index) = update.index() else {
            return Ok(());
        };
        let followed = FollowedFeed {
            feed: find.feed(),
            index,
            timestamp: update.timestamp(),
            certainty: find.certainty(),
        };
        // SPEC swarm-wire 10: what looks like a reference may also be content of 40 or 72 bytes. No release is: the shortest node of a
        // directory has 128 bytes. So a root that is missing is what the error names.
        let (root, _) = Update::clone(update).into_roots();
        self.followed = Some(followed);
        self.enter_reference(root)
    }

    /// Begins to read a root.
    fn enter_reference(&mut self, root: Root) -> Result<(), BootError> {
        self.root = root.reference;
        self.enter(State::root(self.root, self.limits.in_flight_max));
        if let (State::Root(collect), Some(chunk)) = (&mut self.state, root.chunk) {
            let first = preload(&mut **collect, chunk).map_err(|error| self.in_root(error))?;
            self.wanted.extend(first);
            return self.leave_root();
        }
        Ok(())
    }

    fn in_root(&self, error: JoinError) -> BootError {
        BootError::in_part(self.root_part(), &self.root, error)
    }

    /// Goes on with what the reference names, if it is complete.
    fn leave_root(&mut self) -> Result<(), BootError> {
        let State::Root(collect) = &mut self.state else {
            return Ok(());
        };
        let Some(bytes) = collect.take_bytes() else {
            return Ok(());
        };
        if is_directory(&bytes) {
            return self.enter_directory(bytes);
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if !self.path.is_empty() || bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(BootError::NotARelease { size });
        }
        self.enter_manifest(&bytes)
    }

    /// Looks the manifest up in the directory whose root node this is, or follows the feed that it stands for.
    fn enter_directory(&mut self, node: Vec<u8>) -> Result<(), BootError> {
        let in_directory = |error| BootError::in_directory(error, &self.path);
        let lookup = Lookup::with_root_node(self.root, node, "").map_err(in_directory)?;
        // SPEC swarm-wire 9.1: feeds are followed once.
        if self.followed.is_none()
            && let Some(manifest) = lookup.feed_manifest().map_err(in_directory)?
        {
            let feed = manifest.feed;
            if manifest.kind == FeedType::Epoch {
                return Err(BootError::EpochFeed { feed });
            }
            let find = Find::new(feed, find_config(&self.limits, &feed));
            self.enter(State::Feed(Box::new(find)));
            return Ok(());
        }
        self.enter(State::Directory(Box::new(lookup), Candidate::Directory));
        self.look_up(Candidate::Directory)
    }

    /// Starts the look-up of one candidate.
    fn look_up(&mut self, next: Candidate) -> Result<(), BootError> {
        let State::Directory(lookup, candidate) = &mut self.state else {
            return Ok(());
        };
        *candidate = next;
        let result = match next {
            Candidate::Directory => lookup.restart(&ManifestPath(&self.path).to_string()),
            Candidate::Manifest => lookup.restart(&self.path),
        };
        self.leave_directory(result)
    }

    /// Goes on with the manifest, if the look-up has found it, or with the next candidate, if it has not.
    fn leave_directory(&mut self, result: Result<(), MantarayError>) -> Result<(), BootError> {
        let State::Directory(lookup, candidate) = &self.state else {
            return Ok(());
        };
        let is_last = *candidate == Candidate::Manifest || self.path.is_empty();
        let reference = match result {
            Ok(()) if !lookup.is_done() => return Ok(()),
            Ok(()) => lookup.entry().and_then(|entry| entry.reference),
            Err(MantarayError::NotFound) => None,
            Err(error) => return Err(BootError::in_directory(error, &self.path)),
        };
        match reference {
            Some(reference) => {
                let size_max = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
                let collect = Collect::new(reference, size_max, self.limits.in_flight_max);
                self.enter(State::Manifest(Box::new(collect), reference));
                Ok(())
            }
            None if is_last => Err(BootError::NoManifest {
                path: self.path.clone(),
            }),
            None => self.look_up(Candidate::Manifest),
        }
    }

    /// The manifest is complete.
    fn enter_manifest(&mut self, json: &[u8]) -> Result<(), BootError> {
        let manifest = HostConfiguration::parse(json).map_err(BootError::Manifest)?;
        let artifacts = Artifacts::new(&manifest, &self.limits)?;
        self.manifest = Some(manifest);
        self.enter(State::Artifacts(Box::new(artifacts)));
        Ok(())
    }

    /// Gives an event of a chunk to the state, and goes on to the next state if that is complete.
    fn handle(&mut self, event: Chunk) -> Result<(), BootError> {
        match &mut self.state {
            State::Artifacts(artifacts) => match event {
                Chunk::Here(chunk) => artifacts.handle_chunk(chunk),
                Chunk::Unavailable(address) => artifacts.handle_unavailable(address),
                Chunk::Delayed(address) => artifacts.handle_delayed(address),
            },
            State::Feed(find) => {
                event.give(&mut **find).map_err(BootError::Feed)?;
                self.leave_feed()
            }
            State::Root(collect) => match event.give(&mut **collect) {
                Ok(()) => self.leave_root(),
                Err(error) => Err(self.in_root(error)),
            },
            State::Directory(lookup, _) => {
                let result = event.give(&mut **lookup);
                self.leave_directory(result)
            }
            State::Manifest(collect, reference) => {
                let result = event.give(&mut **collect);
                let reference = *reference;
                result.map_err(|error| BootError::in_part(Part::Manifest, &reference, error))?;
                match collect.take_bytes() {
                    Some(bytes) => self.enter_manifest(&bytes),
                    None => Ok(()),
                }
            }
        }
    }
}

fn find_config(limits: &BootLimits, feed: &Feed) -> FindConfig {
    FindConfig {
        at_least: limits.feeds.highest(feed),
        patience: limits.patience,
        ..FindConfig::default()
    }
}

impl State {
    fn root(reference: Reference, in_flight_max: usize) -> Self {
        Self::Root(Box::new(Collect::new(
            reference,
            NODE_BYTES_MAX,
            in_flight_max,
        )))
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        match self {
            Self::Feed(_) => None,
            Self::Root(collect) | Self::Manifest(collect, _) => collect.key(address),
            Self::Directory(lookup, _) => lookup.key(address),
            Self::Artifacts(artifacts) => artifacts.key(address),
        }
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        match self {
            Self::Feed(find) => find.poll_obsolete(),
            Self::Root(collect) | Self::Manifest(collect, _) => collect.poll_obsolete(),
            Self::Directory(lookup, _) => lookup.poll_obsolete(),
            Self::Artifacts(artifacts) => artifacts.poll_obsolete(),
        }
    }
}

/// What happened to a chunk.
enum Chunk {
    Here(VerifiedChunk),
    Unavailable(ChunkAddress),
    Delayed(ChunkAddress),
}

impl Chunk {
    fn give<C: ChunkConsumer>(self, consumer: &mut C) -> Result<(), C::Error> {
        match self {
            Self::Here(chunk) => consumer.handle_chunk(chunk),
            Self::Unavailable(address) => consumer.handle_unavailable(address),
            Self::Delayed(address) => consumer.handle_delayed(address),
        }
    }
}

impl ChunkConsumer for Boot {
    type Error = BootError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        if let Some(address) = self.wanted.pop_front() {
            return Some(address);
        }
        match &mut self.state {
            State::Feed(find) => find.poll_want(),
            State::Root(collect) | State::Manifest(collect, _) => collect.poll_want(),
            State::Directory(lookup, _) => lookup.poll_want(),
            State::Artifacts(artifacts) => artifacts.poll_want(),
        }
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), BootError> {
        self.handle(Chunk::Here(chunk))
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        self.handle(Chunk::Unavailable(address))
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        self.handle(Chunk::Delayed(address))
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        match self.obsolete.pop_front() {
            Some(address) => Some(address),
            None => self.state.poll_obsolete(),
        }
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.state.key(address)
    }

    fn is_done(&self) -> bool {
        self.phase() == BootPhase::Done
    }
}

#[cfg(test)]
mod tests;
