//! The protocol `/deboot/fetch/1.0.0` (docs/fetch-protocol.md): requests, answers, the order of a tree's chunks, and a client.
//!
//! A bridge is a machine in between: it is asked for content over one libp2p connection and gets it from Swarm. It is never trusted:
//! every chunk is hashed as it arrives, and must be the next one of the tree that was asked for.
//!
//! Architecture invariant: no sockets, no clock, no randomness, no logging. [`Bridge`] takes bytes and time and gives bytes and events,
//! with the same methods as `swarm::Node`, so that one driver serves both.
#![no_std]
#![forbid(unsafe_code)]
// Everything here reads bytes of strangers: no way to panic, cast or overflow by accident.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::unreachable,
        clippy::std_instead_of_core,
        clippy::alloc_instead_of_core
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod answer;
mod client;
mod code;
mod json;
mod record;
mod request;
mod walk;

pub use answer::{Answer, AnswerError, HEAD_BYTES_MAX};
pub use client::{Bridge, BridgeError, Config, Event, Failure, Stats};
pub use code::Code;
pub use json::{JsonError, JsonProblem};
pub use record::{CHUNK_RECORD_BYTES_MAX, Record, RecordError};
pub use request::{Kind, REQUEST_BYTES_MAX, Request, RequestError};
pub use walk::Walk;

/// The libp2p protocol id.
pub const PROTOCOL: &str = "/deboot/fetch/1.0.0";
