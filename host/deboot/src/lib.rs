//! What the `deboot` program does, as functions: publish, hash, fetch, list, make disks, check, run a devnet.
//!
//! The program (`main.rs`, [`cli`]) only parses arguments and prints; developer tools and tests call the functions here.
//! Everything that is fetched is verified chunk by chunk before a byte of it is written, whether it comes from peers or from a
//! local chunk set.
//!
//! Architecture invariant: no protocol and no file format lives here. Trees and directories are `content`'s, manifests and boot
//! configurations are `release`'s, chunk archives are `chunkset`'s; this crate connects them to files and terminals.
#![forbid(unsafe_code)]

pub mod bee;
pub mod check;
pub mod cli;
pub mod describe;
pub mod devnet;
pub mod disk;
pub mod feed;
pub mod fetch;
pub mod list;
pub mod locate;
pub mod measure;
pub mod mime;
pub mod output;
pub mod pe;
pub mod previous;
pub mod publish;
pub mod secret;
pub mod source;
pub mod target;
pub mod tree;
