//! What can go wrong with a network.
use crate::identity::IdentityError;
use crate::store::StoreError;
use chunkset::TarError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a network cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// A number in the configuration makes no sense.
    #[error("devnet configuration: {0}")]
    Config(&'static str),
    /// A node index that does not exist.
    #[error("there is no node {index}: the network has nodes 0 to {last}")]
    NoSuchNode {
        /// Index asked for.
        index: usize,
        /// Highest index.
        last: usize,
    },
    /// A node does not start: most often its port is taken.
    #[error("node {index} does not start on {listen}: {source}")]
    Start {
        /// The node.
        index: usize,
        /// Address it was to listen on.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The runtime cannot be made.
    #[error("cannot start threads: {0}")]
    Runtime(io::Error),
    /// A chunk archive cannot be opened.
    #[error("{path}: {source}")]
    Open {
        /// The archive.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A chunk archive cannot be read.
    #[error("{path}: {source}")]
    Tar {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        source: TarError,
    },
    /// A chunk cannot be stored.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No identity could be made.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The nodes did not connect to each other in time.
    #[error("not connected after {seconds} s: {connected} of {wanted} links")]
    Timeout {
        /// Seconds waited.
        seconds: u64,
        /// Links that exist.
        connected: usize,
        /// Links there should be.
        wanted: usize,
    },
}
