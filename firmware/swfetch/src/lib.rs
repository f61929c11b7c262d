//! The parts of SWFETCH.EFI that need no firmware: text, numbers, byte layouts and bookkeeping, all tested on the host.
//!
//! What talks to firmware is in the binary (`src/efi/`), which builds for UEFI targets only and is the one place in deboot with
//! `unsafe`.
//!
//! Architecture invariant: nothing here calls firmware, reads a clock or keeps state in globals.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod device_path;
pub mod entropy;
pub mod failure;
pub mod handover;
pub mod log;
pub mod options;
pub mod progress;
pub mod tx;
pub mod wall;

/// Name and version as they appear in logs, variables and the agent version.
pub const AGENT: &str = concat!("swfetch ", env!("CARGO_PKG_VERSION"));
