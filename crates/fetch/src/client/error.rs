//! What goes wrong with a bridge, for people to read.
use crate::{AnswerError, Code, PROTOCOL, RecordError};
use alloc::string::String;
use bmt::ChunkAddress;
use core::time::Duration;
use swarm::DialError;

/// What is wrong with a bridge. Chunks are counted from 0, as `from` does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// No connection.
    #[error("the bridge cannot be reached: {0}")]
    Dial(DialError),
    /// The connection ended.
    #[error("the connection to the bridge ended: {0}")]
    Connection(p2p::Error),
    /// The byte stream ended.
    #[error("the bridge closed the connection")]
    Closed,
    /// The network was away.
    #[error("the network was lost")]
    NetworkLost,
    /// It is no bridge, or one that speaks another version.
    #[error("it is a libp2p node, but does not speak {PROTOCOL}")]
    OtherProtocol,
    /// Bytes that do not hash to the address.
    #[error("the bridge lies: chunk {number} of a stream does not hash to {expected}")]
    WrongChunk {
        /// Which chunk of the stream.
        number: u64,
        /// The address that was expected.
        expected: ChunkAddress,
    },
    /// Another chunk than the next one of the tree.
    #[error("the bridge lies: chunk {number} of a stream is {found}, the tree needs {expected}")]
    OtherChunk {
        /// Which chunk of the stream.
        number: u64,
        /// The address that was expected.
        expected: ChunkAddress,
        /// The address that came.
        found: ChunkAddress,
    },
    /// More than the tree has.
    #[error("the bridge lies: it sends more than the {chunks} chunks of the tree")]
    Surplus {
        /// Chunks of the tree.
        chunks: u64,
    },
    /// An end mark before the end.
    #[error("the bridge lies: it says that {expected}, chunk {number} of the tree, does not exist")]
    Incomplete {
        /// Which chunk of the stream.
        number: u64,
        /// The address that was expected.
        expected: ChunkAddress,
    },
    /// A size that is not the one the chunks say.
    #[error("the bridge lies: it announced {announced} bytes, the content has {real}")]
    Size {
        /// What it announced.
        announced: u64,
        /// What the verified content says.
        real: u64,
    },
    /// A whole file that is not the one asked for.
    #[error("the bridge lies: the file it sent hashes to {found}, {expected} was asked for")]
    WholeFile {
        /// What was asked for.
        expected: ChunkAddress,
        /// What the bytes hash to.
        found: ChunkAddress,
    },
    /// A malformed answer.
    #[error("the bridge does not keep to the protocol: {0}")]
    Answer(AnswerError),
    /// A malformed record.
    #[error("the bridge does not keep to the protocol: {0}")]
    Record(RecordError),
    /// A file answer without a size.
    #[error("the bridge does not keep to the protocol: it says no size")]
    NoSize,
    /// The stream ended early.
    #[error("the bridge stops in the middle: the stream ends at chunk {number}")]
    Truncated {
        /// Chunks received on the stream.
        number: u64,
    },
    /// Nothing came for too long.
    #[error("the bridge sent nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// It says no.
    #[error("the bridge says: {words}{}", code_text(.code))]
    Refused {
        /// Its code, when it is a known one.
        code: Option<Code>,
        /// Its words.
        words: String,
    },
    /// A bridge without `chunks`, and content that can only be verified chunk by chunk.
    #[error(
        "the bridge serves whole files only, and encrypted content cannot be verified that way"
    )]
    NeedsChunks,
    /// A whole file that does not fit.
    #[error("the bridge serves whole files only, and this one has {size} bytes, more than {max}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// [`Config::file_bytes_max`](super::Config::file_bytes_max).
        max: u64,
    },
}

fn code_text(code: &Option<Code>) -> String {
    match code {
        Some(code) => alloc::format!(" ({code})"),
        None => String::new(),
    }
}

impl BridgeError {
    /// Says whether the bridge sent something false, rather than nothing or too little.
    pub const fn is_lie(&self) -> bool {
        matches!(
            self,
            Self::WrongChunk { .. }
                | Self::OtherChunk { .. }
                | Self::Surplus { .. }
                | Self::Incomplete { .. }
                | Self::Size { .. }
                | Self::WholeFile { .. }
        )
    }

    /// Says whether it is no use to try again.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Dial(_)
            | Self::Connection(_)
            | Self::Closed
            | Self::NetworkLost
            | Self::Truncated { .. }
            | Self::Silent(_) => false,
            Self::Refused { code, .. } => match code {
                Some(code) => !code.is_temporary(),
                None => true,
            },
            Self::OtherProtocol
            | Self::WrongChunk { .. }
            | Self::OtherChunk { .. }
            | Self::Surplus { .. }
            | Self::Incomplete { .. }
            | Self::Size { .. }
            | Self::WholeFile { .. }
            | Self::Answer(_)
            | Self::Record(_)
            | Self::NoSize
            | Self::NeedsChunks
            | Self::TooLarge { .. } => true,
        }
    }
}
