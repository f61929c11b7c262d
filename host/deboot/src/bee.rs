//! Puts chunks into a real bee node over its HTTP API: the batch is looked at first, uploads are many at once, remembered, and compared.
//!
//! Chunks are cut here and not by bee: the reference is known before anything is sent, and what bee answers for each chunk must agree
//! with it. A journal on disk remembers what the node took, so that an upload that was killed goes on where it stopped.
mod api;
mod batch;
mod journal;
mod queue;
mod upload;

pub(crate) use api::parse_hex;
pub(crate) use batch::days;

pub use api::{ApiError, BatchId, Bee, BeeUrl, SyncStatus, UrlError};
pub use batch::{Batch, BatchError, Needs, Room};
pub use journal::{Journal, JournalError, Place, default_state_directory};
pub use upload::{Meter, Upload, UploadError, UploadOptions, Uploaded};
