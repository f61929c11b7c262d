//! The bytes of one node.
use crate::Reference;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::ChunkAddress;

/// Bytes of the obfuscation key in front of a node.
pub(super) const KEY_BYTES: usize = 32;
/// Longest prefix of a fork.
pub(super) const PREFIX_BYTES_MAX: usize = 30;
/// First 31 bytes of keccak256("mantaray:0.1").
const VERSION_01: [u8; 31] = [
    0x02, 0x51, 0x84, 0x78, 0x9d, 0x63, 0x63, 0x57, 0x66, 0xd7, 0x8c, 0x41, 0x90, 0x01, 0x96, 0xb5,
    0x7d, 0x74, 0x00, 0x87, 0x5e, 0xbe, 0x4d, 0x9b, 0x5d, 0x1e, 0x76, 0xbd, 0x96, 0x52, 0xa9,
];
/// First 31 bytes of keccak256("mantaray:0.2").
pub(super) const VERSION_02: [u8; 31] = [
    0x57, 0x68, 0xb3, 0xb6, 0xa7, 0xdb, 0x56, 0xd2, 0x1d, 0x1a, 0xbf, 0xf4, 0x0d, 0x41, 0xce, 0xbf,
    0xc8, 0x34, 0x48, 0xfe, 0xd8, 0xd7, 0xe9, 0xb0, 0x6e, 0xc0, 0xd3, 0xb0, 0x73, 0xf2, 0x8f,
];

/// Bits of a node's type, kept in its parent's fork.
pub(super) mod kind {
    /// The node has an entry.
    pub(in super::super) const VALUE: u8 = 2;
    /// The node has forks.
    pub(in super::super) const EDGE: u8 = 4;
    /// There is a `/` in the fork's path (bee's rule: see `Draft::mark_separator`).
    pub(in super::super) const SEPARATOR: u8 = 8;
    /// The fork carries metadata.
    pub(in super::super) const METADATA: u8 = 16;
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeDefect {
    /// It does not begin like a node.
    #[error("its bytes are no mantaray node of version 0.1 or 0.2")]
    Version,
    /// It ends inside its header, entry, index or a fork.
    #[error("it ends early, at byte {at}")]
    Truncated {
        /// Bytes it has.
        at: usize,
    },
    /// References have 0, 32 or 64 bytes.
    #[error("its references have {0} bytes instead of 0, 32 or 64")]
    ReferenceSize(u8),
    /// A fork has a prefix of 1 to 30 bytes.
    #[error("a fork has a prefix of {0} bytes instead of 1 to 30")]
    PrefixLength(u8),
    /// A fork's prefix starts with the byte it is listed under.
    #[error("the fork listed under byte {listed} starts with byte {found}")]
    PrefixByte {
        /// Byte of the index.
        listed: u8,
        /// First byte of the prefix.
        found: u8,
    },
    /// Metadata is a JSON object of strings.
    #[error("the metadata of a fork is not a JSON object of strings")]
    Metadata,
}

/// A node with its forks in the order of their first bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) entry: Option<Reference>,
    pub(super) forks: Vec<Fork>,
}

/// One way down.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fork {
    pub(super) kind: u8,
    pub(super) prefix: Vec<u8>,
    pub(super) child: Reference,
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V01,
    V02,
}

/// Says whether these bytes begin like a node of a version known here.
pub fn is_directory(bytes: &[u8]) -> bool {
    version(bytes).is_some()
}

fn version(bytes: &[u8]) -> Option<Version> {
    let (key, rest) = bytes.split_first_chunk::<KEY_BYTES>()?;
    let mut found = *rest.first_chunk::<31>()?;
    for (byte, mask) in found.iter_mut().zip(key) {
        *byte ^= mask;
    }
    match found {
        VERSION_01 => Some(Version::V01),
        VERSION_02 => Some(Version::V02),
        _ => None,
    }
}

impl Node {
    /// Reads a node; `None` when the bytes are something else.
    pub(super) fn decode(mut bytes: Vec<u8>) -> Option<Result<Self, NodeDefect>> {
        let version = version(&bytes)?;
        unmask(&mut bytes);
        Some(Self::decode_unmasked(version, &bytes))
    }

    fn decode_unmasked(version: Version, bytes: &[u8]) -> Result<Self, NodeDefect> {
        let mut reader = Reader {
            rest: bytes,
            len: bytes.len(),
        };
        reader.take(KEY_BYTES.saturating_add(VERSION_02.len()))?;
        let reference_bytes = match reader.byte()? {
            size @ (0 | 32 | 64) => usize::from(size),
            size => return Err(NodeDefect::ReferenceSize(size)),
        };
        let entry = Reference::from_bytes(reader.take(reference_bytes)?)
            .filter(|entry| entry.address != ChunkAddress([0; 32]));
        let index: [u8; 32] = reader.array()?;
        let mut forks = Vec::new();
        // SPEC swarm-wire 9: a node without references carries only an entry's absence; forks in it are ignored.
        if reference_bytes > 0 {
            for byte in 0..=u8::MAX {
                let bits = index.get(usize::from(byte / 8)).copied().unwrap_or(0);
                if bits & (1 << (byte % 8)) != 0 {
                    forks.push(Fork::decode(&mut reader, version, reference_bytes, byte)?);
                }
            }
        }
        Ok(Self { entry, forks })
    }
}

impl Fork {
    fn decode(
        reader: &mut Reader<'_>,
        version: Version,
        reference_bytes: usize,
        listed: u8,
    ) -> Result<Self, NodeDefect> {
        let kind = reader.byte()?;
        let length = reader.byte()?;
        let padded: [u8; PREFIX_BYTES_MAX] = reader.array()?;
        let prefix = match padded.get(..usize::from(length)) {
            Some(prefix) if length > 0 => prefix.to_vec(),
            _ => return Err(NodeDefect::PrefixLength(length)),
        };
        if let Some(found) = prefix.first().copied()
            && found != listed
        {
            return Err(NodeDefect::PrefixByte { listed, found });
        }
        let child = Reference::from_bytes(reader.take(reference_bytes)?).ok_or(
            NodeDefect::ReferenceSize(u8::try_from(reference_bytes).unwrap_or(u8::MAX)),
        )?;
        let mut metadata = BTreeMap::new();
        // SPEC swarm-wire 9: version 0.1 never has metadata, whatever the type says.
        if version == Version::V02 && kind & kind::METADATA != 0 {
            let size = usize::from(u16::from_be_bytes(reader.array()?));
            let json = reader.take(size)?;
            if size > 0 {
                metadata = serde_json::from_slice(json).map_err(|_| NodeDefect::Metadata)?;
            }
        }
        Ok(Self {
            kind,
            prefix,
            child,
            metadata,
        })
    }

    pub(super) fn is_value(&self) -> bool {
        self.kind & kind::VALUE != 0
    }
}

/// Applies the obfuscation key to everything behind it; doing it again undoes it.
pub(super) fn unmask(bytes: &mut [u8]) {
    let Some((key, rest)) = bytes.split_first_chunk_mut::<KEY_BYTES>() else {
        return;
    };
    if *key == [0; KEY_BYTES] {
        return;
    }
    for block in rest.chunks_mut(KEY_BYTES) {
        for (byte, mask) in block.iter_mut().zip(key.iter()) {
            *byte ^= mask;
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NodeDefect> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(NodeDefect::Truncated { at: self.len })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NodeDefect> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(NodeDefect::Truncated { at: self.len })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, NodeDefect> {
        let [byte] = self.array()?;
        Ok(byte)
    }
}
