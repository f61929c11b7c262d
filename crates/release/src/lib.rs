//! What to boot and how: host configuration manifest v1, boot configuration `deboot.toml`, and the consumer that fetches a whole boot.
//!
//! Architecture invariant: no I/O, no clock. Everything parsed here comes from strangers or from an operator's editor: every
//! error names the line, the field and the fix.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod boot;
pub mod config;
pub mod manifest;
