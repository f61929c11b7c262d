//! What is behind a bridge.
mod bee;
mod native;
mod set;

pub use bee::{Bee, BeeError};
pub use native::{Native, NativeError};
pub use set::{Set, SetError};

use crate::FetchError;
use bmt::{ChunkAddress, VerifiedChunk};
use futures::future::BoxFuture;

/// A place to get chunks from. What it gives is verified.
pub trait Backend: Send + Sync {
    /// Gets one chunk. May be called for many chunks at once; time is limited by the caller.
    fn chunk(&self, address: ChunkAddress) -> BoxFuture<'_, Result<VerifiedChunk, FetchError>>;
}
