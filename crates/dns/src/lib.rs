//! DNS messages: names, one question out, one answer in. No sockets, no time: firmware and host ask in their own ways.
//!
//! Spec: RFC 1035 3.1 and 4, RFC 6891 (EDNS). Architecture invariant: nothing here knows which names are asked for, or why.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod message;
mod name;

pub use message::{DecodeError, Kind, Reply, decode, encode};
pub use name::Name;
