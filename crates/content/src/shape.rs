//! The shape of a file tree: which part of the file each child of an intermediate chunk covers.
use crate::RedundancyLevel;
use crate::join::TreeDefect;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, SPAN_BYTES};

/// Bytes of a full leaf.
pub(crate) const LEAF_BYTES: u64 = 4096;
/// Bytes of a chunk address: an unencrypted reference, and every reference to a parity chunk.
pub(crate) const ADDRESS_BYTES: usize = 32;
/// Largest file any reader here accepts (8 PiB): keeps every product below inside 64 bits, whatever a span claims.
pub const FILE_BYTES_MAX: u64 = 1 << 53;

/// What all intermediate chunks of a tree have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) level: RedundancyLevel,
    pub(crate) encrypted: bool,
}

impl Layout {
    /// Bytes of a reference to a data chunk: address, or address and key.
    pub(crate) const fn reference_bytes(self) -> usize {
        if self.encrypted {
            2 * ADDRESS_BYTES
        } else {
            ADDRESS_BYTES
        }
    }

    /// Data references of a full chunk.
    ///
    /// SPEC swarm-wire 8.5: as many as leave room for the parities of a group that large.
    pub(crate) fn branches(self) -> usize {
        let most = CHUNK_PAYLOAD_BYTES_MAX / self.reference_bytes();
        let parities = self.parities(most).saturating_mul(ADDRESS_BYTES);
        CHUNK_PAYLOAD_BYTES_MAX.saturating_sub(parities) / self.reference_bytes()
    }

    /// Parity references behind this number of data references.
    pub(crate) fn parities(self, data: usize) -> usize {
        self.level.parities(data, self.encrypted)
    }
}

/// Size of the file below a chunk and the redundancy level it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) size: u64,
    pub(crate) level: RedundancyLevel,
}

impl Span {
    /// Reads the span of a root or of an intermediate chunk of a tree with redundancy: the top byte may carry a level.
    ///
    /// SPEC swarm-wire 8.5: byte 7 above 128 is a level, and the size is in the other seven.
    pub(crate) fn decode(bytes: [u8; SPAN_BYTES]) -> Result<Self, TreeDefect> {
        let [low @ .., top] = bytes;
        if top <= 128 {
            return Ok(Self::plain(bytes));
        }
        let number = top & 0x7f;
        let level = RedundancyLevel::from_number(number)
            .ok_or(TreeDefect::UnknownLevel { level: number })?;
        let [a, b, c, d, e, f, g] = low;
        Ok(Self {
            size: u64::from_le_bytes([a, b, c, d, e, f, g, 0]),
            level,
        })
    }

    /// Reads a span that cannot carry a level.
    pub(crate) fn plain(bytes: [u8; SPAN_BYTES]) -> Self {
        Self {
            size: u64::from_le_bytes(bytes),
            level: RedundancyLevel::None,
        }
    }

    /// Returns its bytes.
    pub(crate) fn encode(self) -> [u8; SPAN_BYTES] {
        let mut bytes = self.size.to_le_bytes();
        if self.level != RedundancyLevel::None {
            let [.., top] = &mut bytes;
            *top = self.level.number() | 0x80;
        }
        bytes
    }
}

/// How the bytes below an intermediate chunk are divided among its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes below every child but the last.
    pub(crate) child_bytes: u64,
    /// Children, at least 2.
    pub(crate) children: usize,
    /// Parity chunks behind them.
    pub(crate) parities: usize,
}

impl Shape {
    /// Returns the only shape a tree of `size` bytes (more than a leaf, at most [`FILE_BYTES_MAX`]) can have.
    ///
    /// SPEC swarm-wire 8.3: all children but the last cover 4096 × branches^k bytes. Because a lone child is carried up instead of
    /// being wrapped, k is the largest that gives more than one child. So sizes shrink on the way down and no cycle can exist.
    pub(crate) fn of(size: u64, layout: Layout) -> Self {
        debug_assert!(size > LEAF_BYTES && size <= FILE_BYTES_MAX);
        let branches = u64::try_from(layout.branches()).unwrap_or(u64::MAX);
        let mut child_bytes = LEAF_BYTES;
        // Twelve rounds at most: 20^10 leaves are more than FILE_BYTES_MAX.
        while let Some(next) = child_bytes.checked_mul(branches)
            && next < size
        {
            child_bytes = next;
        }
        let children = usize::try_from(size.div_ceil(child_bytes)).unwrap_or(usize::MAX);
        Self {
            child_bytes,
            children,
            parities: layout.parities(children),
        }
    }

    /// Returns the bytes of all references, data and parity.
    pub(crate) fn payload_bytes(self, layout: Layout) -> usize {
        let data = self.children.saturating_mul(layout.reference_bytes());
        data.saturating_add(self.parities.saturating_mul(ADDRESS_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = layout(RedundancyLevel::None, false);

    const fn layout(level: RedundancyLevel, encrypted: bool) -> Layout {
        Layout { level, encrypted }
    }

    fn shape(size: u64) -> (u64, usize) {
        let shape = Shape::of(size, PLAIN);
        (shape.child_bytes, shape.children)
    }

    #[test]
    fn a_size_has_one_shape() {
        assert_eq!(shape(4097), (4096, 2));
        assert_eq!(shape(8192), (4096, 2));
        assert_eq!(shape(8193), (4096, 3));
        assert_eq!(shape(4096 * 128), (4096, 128));
        assert_eq!(shape(4096 * 128 + 1), (4096 * 128, 2));
        assert_eq!(shape(4096 * 128 * 128), (4096 * 128, 128));
        assert_eq!(shape(4096 * 128 * 128 + 1), (4096 * 128 * 128, 2));
        let medium = Shape::of(4096 * 119 + 1, layout(RedundancyLevel::Medium, false));
        assert_eq!(
            medium,
            Shape {
                child_bytes: 4096 * 119,
                children: 2,
                parities: 3
            }
        );
    }

    #[test]
    fn full_chunks_have_as_many_data_references_as_in_bee() {
        let branches =
            |encrypted| RedundancyLevel::ALL.map(|level| layout(level, encrypted).branches());
        assert_eq!(branches(false), [128, 119, 107, 97, 39]);
        assert_eq!(branches(true), [64, 59, 53, 48, 20]);
    }

    #[test]
    fn every_size_up_to_the_limit_fits_into_one_chunk() {
        for level in RedundancyLevel::ALL {
            for layout in [layout(level, false), layout(level, true)] {
                for bits in 13..=53 {
                    for size in [(1u64 << bits) - 1, 1 << bits] {
                        let shape = Shape::of(size, layout);
                        assert!(shape.children >= 2, "size {size} level {level:?}");
                        assert!(shape.children <= layout.branches());
                        assert!(shape.payload_bytes(layout) <= CHUNK_PAYLOAD_BYTES_MAX);
                        assert!(shape.children + shape.parities <= 128);
                        assert!(shape.child_bytes < size);
                    }
                }
            }
        }
    }

    #[test]
    fn the_top_byte_of_a_span_is_a_level_only_above_128() {
        let decode = |top| Span::decode([1, 2, 0, 0, 0, 0, 0, top]);
        for (top, level) in [
            (0, RedundancyLevel::None),
            (0x81, RedundancyLevel::Medium),
            (0x84, RedundancyLevel::Paranoid),
        ] {
            let span = decode(top).unwrap();
            assert_eq!(span, Span { size: 513, level });
            assert_eq!(span.encode(), [1, 2, 0, 0, 0, 0, 0, top]);
        }
        assert_eq!(decode(0x80).unwrap().size, 0x8000_0000_0000_0201);
        assert_eq!(decode(0x85), Err(TreeDefect::UnknownLevel { level: 5 }));
        assert_eq!(decode(0xff), Err(TreeDefect::UnknownLevel { level: 127 }));
    }
}
