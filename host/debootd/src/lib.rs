//! The daemon of the booted system: reads what SWFETCH left behind, checks it against what is in the image, and reports it.
//!
//! `docs/handover.md` is the specification of what is read. Linux only.
//!
//! Architecture invariant: nothing here believes one source alone. The kernel command line, the EFI variables and the release
//! file of the image have to tell the same story, or the daemon does not say "ready".
#![forbid(unsafe_code)]

pub mod check;
pub mod cmdline;
pub mod efi;
pub mod release_file;
pub mod serve;
pub mod status;
pub mod system;

pub use check::{Problem, check};
pub use status::Status;
pub use system::{Sources, System};
