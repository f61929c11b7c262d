//! The demonstration image: a small initramfs around busybox and `debootd`, and the release directory that pins it.
//!
//! The same inputs give the same bytes, wherever and whenever they are built.
//!
//! Architecture invariant: bytes in, bytes out. Where kernel and busybox come from is `xtask`'s business.
#![forbid(unsafe_code)]

pub mod cpio;
pub mod initramfs;
pub mod kernel;
pub mod release_directory;

pub use cpio::Archive;
pub use initramfs::{Initramfs, InitramfsError};
pub use release_directory::{Release, write_release};
