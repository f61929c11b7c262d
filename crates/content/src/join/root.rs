//! The root chunk, and its replicas where it is hard to get.
use super::open::span_bytes;
use super::{Join, JoinError, Place, Strategy, TreeDefect};
use crate::shape::{FILE_BYTES_MAX, Layout, Span};
use crate::{RedundancyLevel, Reference, replica};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk};

/// Replicas asked for at first, and for each one that does not come.
///
/// SPEC bee pkg/replicas/getter.go: 2, then twice as many with each step. Here it is not time that makes the next step.
const REPLICAS_PER_STEP: usize = 2;

/// How far the search for the root chunk is.
pub(super) struct Root {
    reference: Reference,
    /// To be asked for.
    wants: VecDeque<(ChunkAddress, Place)>,
    /// Replicas not asked for yet; `None` before the first is needed.
    spare: Option<VecDeque<ChunkAddress>>,
    /// Asked for, or to be, and not known to be unavailable.
    open: Vec<ChunkAddress>,
    started: bool,
}

impl Root {
    pub(super) fn new(reference: Reference) -> Self {
        Self {
            reference,
            wants: VecDeque::from([(reference.address, Place::Root)]),
            spare: None,
            open: Vec::from([reference.address]),
            started: false,
        }
    }

    pub(super) const fn reference(&self) -> Reference {
        self.reference
    }
}

impl Join {
    /// Returns what to ask for to get the root.
    pub(super) fn root_place(&mut self) -> Option<(ChunkAddress, Place)> {
        if !core::mem::replace(&mut self.root.started, true) && self.strategy == Strategy::Race {
            self.want_more_replicas();
        }
        self.root.wants.pop_front()
    }

    /// Has some more replicas asked for.
    ///
    /// SPEC swarm-wire 8.6: the level is not known before the root is, so all 16 places are tried, those of the lower levels first.
    pub(super) fn want_more_replicas(&mut self) {
        if self.size.is_some() || self.strategy == Strategy::Data {
            return;
        }
        let address = self.root.reference.address;
        let spare = self.root.spare.get_or_insert_with(|| {
            let all = replica::replicas(address, RedundancyLevel::Paranoid);
            all.into_iter().map(|replica| replica.address).collect()
        });
        for _ in 0..REPLICAS_PER_STEP {
            if let Some(address) = spare.pop_front() {
                self.root.open.push(address);
                self.root.wants.push_back((address, Place::Replica));
            }
        }
    }

    /// The root chunk itself is here.
    pub(super) fn take_root(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        if self.size.is_some() {
            return Ok(());
        }
        let Reference { address, key } = self.root.reference;
        let malformed = |defect: TreeDefect| JoinError::Malformed {
            address,
            offset: 0,
            defect,
        };
        let span = Span::decode(span_bytes(&chunk, key)).map_err(malformed)?;
        let max = self.config.size_max.min(FILE_BYTES_MAX);
        if span.size > max {
            return Err(JoinError::TooLarge {
                size: span.size,
                max,
            });
        }
        self.layout = Layout {
            level: span.level,
            encrypted: key.is_some(),
        };
        self.size = Some(span.size);
        let end = self.range.end.min(span.size);
        self.range = self.range.start.min(end)..end;
        self.next_offset = self.range.start;
        self.root.wants.clear();
        for other in core::mem::take(&mut self.root.open) {
            let place = if other == address {
                Place::Root
            } else {
                Place::Replica
            };
            self.wants.give_up(other, place);
        }
        // An empty part needs no chunk, but the root has to be one of a file.
        self.fill(0, span.size, key, chunk)
    }

    /// A single-owner chunk is here that ought to contain the root.
    pub(super) fn take_replica(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let address = chunk.address();
        let chunk = chunk.into_wrapped();
        if chunk.address() == self.root.reference.address {
            return self.take_root(chunk);
        }
        // Anybody can sign as the owner of replicas: a chunk with another content is as good as none.
        self.lose_replica(address)
    }

    pub(super) fn lose_root(&mut self) -> Result<(), JoinError> {
        let address = self.root.reference.address;
        if self.strategy == Strategy::Data {
            return Err(JoinError::Unavailable(address));
        }
        self.lose(address)
    }

    pub(super) fn lose_replica(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.lose(address)
    }

    fn lose(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        if self.size.is_some() {
            return Ok(());
        }
        self.root.open.retain(|open| *open != address);
        self.want_more_replicas();
        if self.root.open.is_empty() {
            return Err(JoinError::Unavailable(self.root.reference.address));
        }
        Ok(())
    }
}
