//! What to boot and how: host configuration manifest v1, boot configuration `deboot.toml`, and the consumer that fetches a whole boot.
//!
//! Architecture invariant: no I/O, no clock. Everything parsed here comes from strangers or from an operator's editor: every
//! error names the line, the field and the fix, and has a stable id with a section in `docs/errors.md`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod boot;
pub mod config;
pub mod help;
mod json;
pub mod manifest;
pub mod memory;
pub mod place;
mod suggest;
pub mod target;

pub use help::Help;
pub use memory::FeedMemory;
pub use place::Place;
pub use target::Target;
