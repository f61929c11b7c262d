//! Why a connection ends or refuses an operation.
use crate::yamux::Refused;
use crate::{PeerId, multistream, noise, yamux};

/// Why a connection ended, or an operation on it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The negotiation of security or multiplexer is malformed.
    #[error("connection negotiation: {0}")]
    Negotiation(#[from] multistream::Error),
    /// The peer does not speak `/noise`.
    #[error("peer refuses /noise")]
    SecurityRefused,
    /// The peer does not speak `/yamux/1.0.0`.
    #[error("peer refuses /yamux/1.0.0")]
    MuxerRefused,
    /// The Noise handshake failed or an encrypted message is wrong.
    #[error("encryption: {0}")]
    Noise(#[from] noise::Error),
    /// The peer proved another identity than the expected one.
    #[error("peer is {actual}, expected {expected}")]
    PeerMismatch {
        /// From the configuration.
        expected: PeerId,
        /// What the peer proved to be.
        actual: PeerId,
    },
    /// The peer broke the multiplexer's rules.
    #[error("multiplexing: {0}")]
    Yamux(#[from] yamux::Error),
    /// The handshake took too long.
    #[error("handshake took too long")]
    HandshakeTimeout,
    /// A keepalive ping was not answered in time.
    #[error("peer does not answer keepalive pings")]
    KeepaliveLost,
    /// The peer said go-away: 0 all is well, 1 protocol error, 2 internal error, others its own.
    #[error("peer goes away with code {code}")]
    GoneAway {
        /// The peer's reason.
        code: u32,
    },
    /// We closed the connection.
    #[error("connection was closed by this side")]
    ClosedByUs,
    /// The connection is not secured yet.
    #[error("connection is not established yet")]
    NotConnected,
    /// Our limit of outbound streams, or all 2^31 stream ids are used up.
    #[error("too many streams of ours are open")]
    TooManyStreams,
    /// No proposal, more than 8, or one longer than 1023 bytes.
    #[error("a stream needs 1 to 8 proposals of at most 1023 bytes")]
    BadProposal,
    /// The stream is gone or was never there.
    #[error("no such stream")]
    NoSuchStream,
    /// Our side of the stream is half-closed.
    #[error("stream is half-closed by this side")]
    WriteClosed,
    /// The stream's send buffer would go over its limit.
    #[error("stream's send buffer is full")]
    SendBufferFull,
    /// A mistake in this crate; the connection is dropped.
    #[error("internal error")]
    Internal,
}

impl Error {
    /// Says whether the peer broke the protocol (as opposed to time, network, or our own limits).
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Negotiation(_)
            | Self::SecurityRefused
            | Self::MuxerRefused
            | Self::PeerMismatch { .. }
            | Self::Yamux(_) => true,
            Self::Noise(error) => {
                !matches!(error, noise::Error::OutOfOrder | noise::Error::NoncesUsedUp)
            }
            Self::HandshakeTimeout
            | Self::KeepaliveLost
            | Self::GoneAway { .. }
            | Self::ClosedByUs
            | Self::NotConnected
            | Self::TooManyStreams
            | Self::BadProposal
            | Self::NoSuchStream
            | Self::WriteClosed
            | Self::SendBufferFull
            | Self::Internal => false,
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoSuchStream => Self::NoSuchStream,
            Refused::WriteClosed => Self::WriteClosed,
            Refused::SendBufferFull => Self::SendBufferFull,
            Refused::TooManyStreams => Self::TooManyStreams,
        }
    }
}
