//! Interoperation with rust-libp2p.
