//! The shape of a file tree: which part of the file each child of an intermediate chunk covers.
use crate::join::TreeDefect;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, SPAN_BYTES};

/// Bytes of a full leaf.
pub(crate) const LEAF_BYTES: u64 = 4096;
/// Bytes of an unencrypted reference.
pub(crate) const REFERENCE_BYTES: usize = 32;
/// References in a full intermediate chunk without redundancy.
pub(crate) const BRANCHES: usize = CHUNK_PAYLOAD_BYTES_MAX / REFERENCE_BYTES;
/// Largest file any reader here accepts (8 PiB): keeps every product below inside 64 bits, whatever a span claims.
pub const FILE_BYTES_MAX: u64 = 1 << 53;

/// Redundancy level of a tree: how many references of an intermediate chunk are data, the rest being parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(u8);

impl Level {
    pub(crate) const NONE: Self = Self(0);

    /// SPEC swarm-wire 8.5: data references of a full chunk of an unencrypted tree.
    fn branches(self) -> u64 {
        match self.0 {
            0 => 128,
            1 => 119,
            2 => 107,
            3 => 97,
            _ => 39,
        }
    }
}

/// Size of the file below a chunk and the redundancy level it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) size: u64,
    pub(crate) level: Level,
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
        let level = top & 0x7f;
        if level > 4 {
            return Err(TreeDefect::UnknownLevel { level });
        }
        let [a, b, c, d, e, f, g] = low;
        Ok(Self {
            size: u64::from_le_bytes([a, b, c, d, e, f, g, 0]),
            level: Level(level),
        })
    }

    /// Reads a span that cannot carry a level.
    pub(crate) fn plain(bytes: [u8; SPAN_BYTES]) -> Self {
        Self {
            size: u64::from_le_bytes(bytes),
            level: Level::NONE,
        }
    }
}

/// How the bytes below an intermediate chunk are divided among its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes below every child but the last.
    pub(crate) child_bytes: u64,
    /// Children, at least 2.
    pub(crate) children: usize,
}

impl Shape {
    /// Returns the only shape a tree of `size` bytes (more than a leaf, at most [`FILE_BYTES_MAX`]) can have.
    ///
    /// SPEC swarm-wire 8.3: all children but the last cover 4096 × branches^k bytes. Because a lone child is carried up instead of
    /// being wrapped, k is the largest that gives more than one child. So sizes shrink on the way down and no cycle can exist.
    pub(crate) fn of(size: u64, level: Level) -> Self {
        debug_assert!(size > LEAF_BYTES && size <= FILE_BYTES_MAX);
        let branches = level.branches();
        let mut child_bytes = LEAF_BYTES;
        // Twelve rounds at most: 39^9 leaves are more than FILE_BYTES_MAX.
        while let Some(next) = child_bytes.checked_mul(branches)
            && next < size
        {
            child_bytes = next;
        }
        Self {
            child_bytes,
            children: usize::try_from(size.div_ceil(child_bytes)).unwrap_or(usize::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: u64) -> (u64, usize) {
        let shape = Shape::of(size, Level::NONE);
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
        let medium = Shape::of(4096 * 119 + 1, Level(1));
        assert_eq!((medium.child_bytes, medium.children), (4096 * 119, 2));
    }

    #[test]
    fn every_size_up_to_the_limit_has_between_2_and_128_children() {
        for level in 0..=4 {
            for bits in 13..=53 {
                for size in [(1u64 << bits) - 1, 1 << bits] {
                    let shape = Shape::of(size, Level(level));
                    assert!(shape.children >= 2, "size {size} level {level}");
                    assert!(shape.children as u64 <= Level(level).branches());
                    assert!(shape.child_bytes < size);
                }
            }
        }
    }

    #[test]
    fn the_top_byte_of_a_span_is_a_level_only_above_128() {
        let decode = |top| Span::decode([1, 2, 0, 0, 0, 0, 0, top]);
        assert_eq!(
            decode(0).unwrap(),
            Span {
                size: 513,
                level: Level::NONE
            }
        );
        assert_eq!(
            decode(0x81).unwrap(),
            Span {
                size: 513,
                level: Level(1)
            }
        );
        assert_eq!(
            decode(0x84).unwrap(),
            Span {
                size: 513,
                level: Level(4)
            }
        );
        assert_eq!(decode(0x80).unwrap().size, 0x8000_0000_0000_0201);
        assert_eq!(decode(0x85), Err(TreeDefect::UnknownLevel { level: 5 }));
        assert_eq!(decode(0xff), Err(TreeDefect::UnknownLevel { level: 127 }));
    }
}
