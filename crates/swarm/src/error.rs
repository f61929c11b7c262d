//! What goes wrong with peers and chunks, for people to read.
use crate::messages::{MessageError, RecordError};
use bmt::ChunkAddress;
use core::time::Duration;

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Reset or refused.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("no answer")]
    TimedOut,
    /// No route, no socket.
    #[error("unreachable")]
    Unreachable,
}

/// Why a peer was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// It sent bytes that are not the chunk asked for. It is not dialled again in the life of the node.
    #[error("it delivered wrong bytes for chunk {0}; it will not be asked again")]
    WrongChunk(ChunkAddress),
    /// Its connection ended.
    #[error("{0}")]
    Connection(p2p::Error),
    /// The byte stream ended.
    #[error("it closed the connection")]
    Closed,
    /// Noise and the Swarm handshake took too long.
    #[error("the handshake took too long")]
    HandshakeTimedOut,
    /// It closed or reset the handshake: bee does so when it blocks us or does not like our record.
    #[error("it refused the handshake")]
    HandshakeRefused,
    /// It speaks none of the handshake versions we propose.
    #[error("it speaks no handshake version that we speak")]
    NoCommonHandshake,
    /// It belongs to another network.
    #[error("it belongs to network {theirs}, not {ours}")]
    OtherNetwork {
        /// Its network id.
        theirs: u64,
        /// Ours.
        ours: u64,
    },
    /// Its address record is not signed by the owner of its overlay.
    #[error("{0}")]
    Record(RecordError),
    /// It is a light node: it serves nothing.
    #[error("it is a light node and serves no chunks")]
    LightNode,
    /// It broke a protocol.
    #[error("{protocol}: {error}")]
    Message {
        /// Stream id.
        protocol: &'static str,
        /// What was wrong.
        error: MessageError,
    },
    /// We are connected to this node already.
    #[error("there is another connection to the same node")]
    Duplicate,
    /// It delivered wrong chunks before.
    #[error("it delivered a wrong chunk before")]
    Banned,
    /// It lets us owe too little to fetch anything.
    #[error("its payment threshold of {0} units does not pay for two chunks")]
    ThresholdTooLow(u64),
    /// It accepted requests and answered none.
    #[error("it did not answer for {0:?}")]
    Unresponsive(Duration),
    /// It broke off one request after the other.
    #[error("it broke off {0} requests in a row")]
    Failing(u32),
    /// It claims to have accepted more than we offered to pay.
    #[error("its settlement does not add up")]
    Settlement,
    /// The network was away.
    #[error("the network was lost")]
    NetworkLost,
    /// The node is being closed.
    #[error("the node is closing")]
    Shutdown,
}

impl DropReason {
    /// Says whether to come back later each time it happens: the peer was there, and of no use.
    pub(crate) fn is_useless(&self) -> bool {
        self.is_peer_fault() || matches!(self, Self::Unresponsive(_) | Self::Failing(_))
    }

    /// Says whether the peer broke the rules (as opposed to time, network, or our own decisions).
    pub fn is_peer_fault(&self) -> bool {
        match self {
            Self::WrongChunk(_)
            | Self::Record(_)
            | Self::Message { .. }
            | Self::Banned
            | Self::Settlement => true,
            Self::Connection(error) => error.is_peer_fault(),
            Self::Closed
            | Self::HandshakeTimedOut
            | Self::HandshakeRefused
            | Self::NoCommonHandshake
            | Self::OtherNetwork { .. }
            | Self::LightNode
            | Self::Duplicate
            | Self::ThresholdTooLow(_)
            | Self::Unresponsive(_)
            | Self::Failing(_)
            | Self::NetworkLost
            | Self::Shutdown => false,
        }
    }
}

/// Why a chunk could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkFailure {
    /// Enough peers said, more than once, that they cannot find it.
    #[error("none of the peers can find it ({peers_asked} requests)")]
    NotFound {
        /// Requests made for it.
        peers_asked: u32,
    },
    /// Nobody delivered it in time.
    #[error("nobody delivered it in time ({peers_asked} requests)")]
    TimedOut {
        /// Requests made for it.
        peers_asked: u32,
    },
    /// Too many attempts broke off.
    #[error("{errors} attempts failed")]
    Failing {
        /// Failed attempts.
        errors: u32,
    },
    /// There was no peer to ask for too long.
    #[error("there was no peer to ask")]
    NoPeers,
}
