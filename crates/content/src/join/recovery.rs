//! Groups: chunks that stand in for others, and what is computed from them.
use super::node::{Child, Position, index};
use super::{Join, JoinError, Place, Strategy, TreeDefect, open};
use crate::erasure::Interpolation;
use crate::shape::{LEAF_BYTES, Shape};
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk};

impl Join {
    /// Has all shards of a group asked for.
    pub(super) fn want_all(&mut self, parent: Position) {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return;
        };
        let all = (0..node.shards()).filter_map(index);
        if let Some(group) = &mut node.group {
            group.recovering = true;
            for shard in all {
                group.queued.insert(shard);
                self.urgent.push_back((parent, shard));
            }
        }
    }

    /// Returns how to ask for a shard that was queued, unless that has become pointless.
    pub(super) fn urgent_place(
        &mut self,
        parent: Position,
        shard: u8,
    ) -> Option<(ChunkAddress, Place)> {
        let group = self.nodes.get_mut(&parent)?.group.as_mut()?;
        group.queued.remove(shard);
        if group.missing().is_empty() || group.is_known(shard) {
            return None;
        }
        self.shard_place(parent, shard)
    }

    /// Returns how to ask for a shard.
    pub(super) fn shard_place(
        &mut self,
        parent: Position,
        shard: u8,
    ) -> Option<(ChunkAddress, Place)> {
        self.count_as_asked(parent, shard);
        let address = self.nodes.get(&parent)?.address(usize::from(shard))?;
        let place = Place::Shard {
            parent,
            index: shard,
        };
        Some((address, place))
    }

    /// Notes that a shard is asked for: a leaf is no work in sight any more.
    fn count_as_asked(&mut self, parent: Position, shard: u8) {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return;
        };
        let leaf = node
            .is_over_leaves()
            .then(|| node.child(usize::from(shard)))
            .flatten();
        let Some(group) = &mut node.group else {
            return;
        };
        let new = !group.asked.contains(shard);
        group.asked.insert(shard);
        if new
            && group.needed.contains(shard)
            && let Some(leaf) = leaf
        {
            self.ahead_bytes = self.ahead_bytes.saturating_sub(leaf.size);
        }
    }

    /// A shard of a group is here.
    pub(super) fn take_shard(
        &mut self,
        parent: Position,
        shard: u8,
        chunk: VerifiedChunk,
    ) -> Result<(), JoinError> {
        self.hold(parent, shard, chunk)?;
        self.settle(parent)
    }

    /// Keeps a shard for its group, and gives it its place in the file if it has one and it is its turn.
    fn hold(&mut self, parent: Position, shard: u8, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return Ok(());
        };
        let place = usize::from(shard);
        let child = node.child(place);
        // Leaves are taken as they come. Intermediate chunks wait: opening all of a group would open the whole tree.
        let leaf = child.as_ref().is_some_and(|child| child.size <= LEAF_BYTES);
        let turn = leaf || place < node.next;
        let Some(group) = &mut node.group else {
            return Ok(());
        };
        if group.missing().is_empty() {
            return Ok(());
        }
        group.here.insert(shard);
        group.held.insert(shard, chunk.clone());
        match child {
            Some(child) if group.needed.contains(shard) => {
                if !turn {
                    return self.check_child(&child, chunk);
                }
                group.needed.remove(shard);
                self.fill_child(child.offset, child.size, child.reference.key, chunk)
            }
            _ => Ok(()),
        }
    }

    /// Does what [`Join::fill_child`] will do when it is the child's turn, so that it cannot fail then.
    fn check_child(&self, child: &Child, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let key = child.reference.key;
        let address = chunk.address();
        let chunk = chunk.into_wrapped();
        let checked = open::check_span(&chunk, key, child.size, self.layout).and_then(|()| {
            let shape = Shape::of(child.size, self.layout);
            open::references(&chunk, key, shape, self.layout).map(drop)
        });
        checked.map_err(|defect| JoinError::Malformed {
            address,
            offset: child.offset,
            defect,
        })
    }

    /// It is the turn of a shard that was asked for before: if it is here, it takes its place.
    pub(super) fn use_held(&mut self, parent: Position, shard: u8) {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return;
        };
        let child = node.child(usize::from(shard));
        let Some(group) = &mut node.group else {
            return;
        };
        if !group.needed.contains(shard) {
            return;
        }
        let (Some(child), Some(chunk)) = (child, group.held.get(&shard).cloned()) else {
            return;
        };
        group.needed.remove(shard);
        let filled = self.fill_child(child.offset, child.size, child.reference.key, chunk);
        debug_assert!(filled.is_ok(), "checked when it came");
        let settled = self.settle(parent);
        debug_assert!(settled.is_ok(), "nothing is missing");
    }

    /// A shard is hard to get.
    pub(super) fn mark_slow(&mut self, parent: Position, shard: u8) {
        if let Some(group) = self.group(parent) {
            group.slow.insert(shard);
            self.top_up(parent);
        }
    }

    /// A shard cannot be had.
    pub(super) fn lose_shard(&mut self, parent: Position, shard: u8) -> Result<(), JoinError> {
        if let Some(group) = self.group(parent) {
            group.gone.insert(shard);
            self.top_up(parent);
        }
        self.check_lost(parent)
    }

    /// Queues as many more shards as are needed to have enough of them, if all that are expected come.
    fn top_up(&mut self, parent: Position) {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return;
        };
        let (data, all) = (node.shape.children, node.shards());
        let Some(group) = &mut node.group else {
            return;
        };
        group.recovering = true;
        let expected = group.here.len().saturating_add(group.expected().len());
        let more = (0..all)
            .filter_map(index)
            .filter(|shard| !group.asked.with(group.queued).contains(*shard))
            .take(data.saturating_sub(expected));
        for shard in more.collect::<Vec<_>>() {
            group.queued.insert(shard);
            self.urgent.push_back((parent, shard));
        }
    }

    /// Fails when a data chunk is lost for good.
    fn check_lost(&mut self, parent: Position) -> Result<(), JoinError> {
        let Some(node) = self.nodes.get(&parent) else {
            return Ok(());
        };
        let Some(group) = &node.group else {
            return Ok(());
        };
        let first = group.missing().both(group.gone).iter().next();
        let Some(child) = first.and_then(|shard| node.child(usize::from(shard))) else {
            return Ok(());
        };
        let address = child.reference.address;
        if group.broken {
            return Err(JoinError::Malformed {
                address,
                offset: child.offset,
                defect: TreeDefect::WrongParity,
            });
        }
        let left = node.shards().saturating_sub(group.gone.len());
        if left < node.shape.children {
            return Err(JoinError::Unavailable(address));
        }
        Ok(())
    }

    /// Does what a change in a group makes possible.
    pub(super) fn settle(&mut self, parent: Position) -> Result<(), JoinError> {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return Ok(());
        };
        let data = node.shape.children;
        let Some(group) = &mut node.group else {
            return Ok(());
        };
        if group.needed.is_empty() {
            self.stop_asking(parent);
            self.nodes.remove(&parent);
            self.leaf_parents.remove(&parent);
            self.branch_parents.remove(&parent);
            return Ok(());
        }
        if group.missing().is_empty() {
            self.stop_asking(parent);
            return Ok(());
        }
        if group.recovering && !group.broken && group.here.len() >= data {
            return self.recover(parent);
        }
        Ok(())
    }

    /// Everything of a group is here: what else was asked for is obsolete.
    fn stop_asking(&mut self, parent: Position) {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return;
        };
        let Some(group) = &mut node.group else {
            return;
        };
        let needed = group.needed;
        group.held.retain(|shard, _| needed.contains(*shard));
        let open = group.asked.without(group.here).without(group.gone);
        group.asked = group.asked.without(open);
        for shard in open.iter() {
            if let Some(address) = node.address(usize::from(shard)) {
                let place = Place::Shard {
                    parent,
                    index: shard,
                };
                self.wants.give_up(address, place);
            }
        }
    }

    /// Computes the missing data chunks of a group from the others.
    fn recover(&mut self, parent: Position) -> Result<(), JoinError> {
        let Some(node) = self.nodes.get_mut(&parent) else {
            return Ok(());
        };
        let Some(group) = &node.group else {
            return Ok(());
        };
        let held = group.held.iter().take(node.shape.children);
        let known: Vec<_> = held.map(|(shard, chunk)| (*shard, chunk.data())).collect();
        let interpolation = Interpolation::new(&known);
        let missing = group.missing();
        let recovered: Vec<_> = missing
            .iter()
            .filter_map(|shard| {
                let chunk = VerifiedChunk::content_data(interpolation.shard(shard)).ok()?;
                // Made of verified chunks, and still not to be trusted: the parities may not belong to the data.
                let fits = node.address(usize::from(shard)) == Some(chunk.address());
                fits.then_some((shard, chunk))
            })
            .collect();
        if recovered.len() < missing.len() {
            if let Some(group) = self.group(parent) {
                group.broken = true;
            }
            return self.check_lost(parent);
        }
        for (shard, chunk) in recovered {
            self.recovered_chunks = self.recovered_chunks.saturating_add(1);
            self.count_as_asked(parent, shard);
            // What was asked for is obsolete, and must be given up before the group is gone.
            self.give_up_shard(parent, shard);
            self.hold(parent, shard, chunk)?;
        }
        self.settle(parent)
    }

    fn give_up_shard(&mut self, parent: Position, shard: u8) {
        let node = self.nodes.get(&parent);
        if let Some(address) = node.and_then(|node| node.address(usize::from(shard))) {
            let place = Place::Shard {
                parent,
                index: shard,
            };
            self.wants.give_up(address, place);
        }
    }

    fn group(&mut self, parent: Position) -> Option<&mut super::node::Group> {
        self.nodes.get_mut(&parent)?.group.as_mut()
    }

    /// Says whether chunks can be recovered from others at all.
    pub(super) fn has_groups(&self) -> bool {
        self.strategy != Strategy::Data && self.layout.level.number() > 0
    }
}
