//! What can be chosen about a storer.
use bmt::ChunkAddress;
use std::collections::BTreeSet;
use std::time::Duration;

/// Generations of the handshake and hive protocols a node registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Handshake 14.0.0 and hive 1.1.0, as bee up to 2.7.
    Fourteen,
    /// Handshake 15.0.0 and hive 2.0.0, as bee from 2.8 on.
    Fifteen,
    /// Both; no bee does this, but one such network serves every client.
    Both,
}

impl Generation {
    /// Parses `14`, `15` or `both`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "14" => Some(Self::Fourteen),
            "15" => Some(Self::Fifteen),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// The word [`parse`](Self::parse) takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fourteen => "14",
            Self::Fifteen => "15",
            Self::Both => "both",
        }
    }
}

/// How much debt a storer lets its peers build up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// bee's own limits: payment threshold 13 500 000 units for full nodes, 1 350 000 for light nodes.
    Public,
    /// The same protocol and the same arithmetic with a threshold of 10^15 units for full and 10^14 for light nodes: at the highest
    /// price (320 000 per chunk) a light client may take 1.2 TB per connection before it has to settle, so nothing throttles a
    /// storer in one's own network.
    Lan,
}

impl Profile {
    /// Parses `public` or `lan`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "public" => Some(Self::Public),
            "lan" => Some(Self::Lan),
            _ => None,
        }
    }

    /// The word [`parse`](Self::parse) takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Lan => "lan",
        }
    }

    /// Payment threshold announced to full nodes; light nodes get a tenth (bee's light factor).
    pub fn payment_threshold(self) -> u64 {
        match self {
            Self::Public => 13_500_000,
            Self::Lan => 1_000_000_000_000_000,
        }
    }
}

/// Misbehaviour of a storer. Test equipment: it exists so that clients can be shown bad peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every delivery has one bit flipped.
    Lies,
    /// Takes every retrieval request and never answers it (the stream stays open).
    NeverAnswers,
    /// Closes the connection after it delivered this many chunks to that peer (0: at the first request).
    ResetsAfter {
        /// Chunks delivered on a connection before it is closed.
        chunks: u64,
    },
    /// Every delivery announces its full length, carries the first half and then ends.
    Truncates,
    /// Every delivery starts with a length prefix of 2^62 bytes.
    HugeLength,
    /// Announces this many made-up peers by hive, 30 per message. Their records are well-formed: on hive 2.0.0 properly signed by
    /// throw-away keys, on 1.1.0 unsigned; nobody listens at their addresses. The true peers are announced first, since most
    /// receivers take 128 records and then cut the streams.
    JunkPeers {
        /// Records announced to every peer that connects.
        count: usize,
    },
    /// Waits this long before each delivery, and then sends at this rate at most.
    Slow {
        /// Delay before each delivery.
        delay: Duration,
        /// Bytes per second over all streams of one peer; 0 means no limit.
        bytes_per_second: u64,
    },
    /// Says "not found" for these chunks, whatever it holds, and does not forward requests for them.
    Drops {
        /// Chunks it never has.
        chunks: BTreeSet<ChunkAddress>,
    },
}
