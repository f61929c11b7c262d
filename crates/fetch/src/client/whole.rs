//! A file that came in one piece, cut into the chunks its reference stands for.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, ChunkAddress, VerifiedChunk, content_address};

/// References in a full intermediate chunk.
const BRANCHES: usize = CHUNK_PAYLOAD_BYTES_MAX / 32;

/// A verified file: gives any chunk of its tree once.
pub(super) struct Whole {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    /// Chunks not given yet.
    left: BTreeMap<ChunkAddress, usize>,
}

struct Node {
    address: ChunkAddress,
    size: u64,
    /// Offset of a leaf in the file.
    start: usize,
    /// Nodes below; none below a leaf.
    children: Vec<usize>,
}

impl Whole {
    /// Computes the tree (plain, without redundancy) of a file, and its root.
    pub(super) fn new(bytes: Vec<u8>) -> (Self, ChunkAddress) {
        let mut nodes = Vec::new();
        let mut level = Vec::new();
        let mut start: usize = 0;
        loop {
            let leaf = leaf(&bytes, start);
            let size = u64::try_from(leaf.len()).unwrap_or(0);
            level.push(nodes.len());
            nodes.push(Node {
                address: content_address(&size.to_le_bytes(), leaf),
                size,
                start,
                children: Vec::new(),
            });
            start = start.saturating_add(CHUNK_PAYLOAD_BYTES_MAX);
            if start >= bytes.len() {
                break;
            }
        }
        while level.len() > 1 {
            let mut above = Vec::new();
            for group in level.chunks(BRANCHES) {
                // SPEC swarm-wire 8.3: a lone child is carried up.
                if let [lone] = group {
                    above.push(*lone);
                    continue;
                }
                let children = group.to_vec();
                let size = group.iter().filter_map(|child| nodes.get(*child));
                let size = size.fold(0u64, |sum, child| sum.saturating_add(child.size));
                let payload = payload(&nodes, &children);
                above.push(nodes.len());
                nodes.push(Node {
                    address: content_address(&size.to_le_bytes(), &payload),
                    size,
                    start: 0,
                    children,
                });
            }
            level = above;
        }
        let root = level.first().and_then(|root| nodes.get(*root));
        let root = root.map_or(ChunkAddress([0; 32]), |node| node.address);
        let left = (0..).zip(&nodes).map(|(index, node)| (node.address, index));
        let whole = Self {
            left: left.collect(),
            bytes,
            nodes,
        };
        (whole, root)
    }

    pub(super) fn contains(&self, address: ChunkAddress) -> bool {
        self.left.contains_key(&address)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Takes a chunk out.
    pub(super) fn take(&mut self, address: ChunkAddress) -> Option<VerifiedChunk> {
        let node = self.nodes.get(self.left.remove(&address)?)?;
        let span = node.size.to_le_bytes();
        if node.children.is_empty() {
            return VerifiedChunk::content(span, leaf(&self.bytes, node.start)).ok();
        }
        VerifiedChunk::content(span, &payload(&self.nodes, &node.children)).ok()
    }
}

fn leaf(bytes: &[u8], start: usize) -> &[u8] {
    let rest = bytes.get(start..).unwrap_or(&[]);
    rest.get(..CHUNK_PAYLOAD_BYTES_MAX).unwrap_or(rest)
}

fn payload(nodes: &[Node], children: &[usize]) -> Vec<u8> {
    let children = children.iter().filter_map(|child| nodes.get(*child));
    children.flat_map(|child| child.address.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_the_one_the_splitter_makes() {
        for size in [
            0,
            1,
            4096,
            4097,
            4096 * 128,
            4096 * 128 + 1,
            4096 * 129 + 5,
            1 << 20,
        ] {
            let bytes: Vec<u8> = (0..size).map(|i: usize| (i / 5 % 251) as u8).collect();
            let mut chunks = BTreeMap::new();
            let root = content::split(&bytes, &mut |chunk| {
                chunks.insert(chunk.address(), chunk);
            });
            let (mut whole, found) = Whole::new(bytes);
            assert_eq!(found, root.address, "{size}");
            for (address, chunk) in chunks {
                assert!(whole.contains(address));
                assert_eq!(whole.take(address), Some(chunk));
                assert_eq!(whole.take(address), None);
            }
            assert!(whole.is_empty());
        }
    }
}
