//! What went wrong on the way, remembered so that a failure can name its cause.
use super::machine::Machine;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bmt::ChunkAddress;
use core::net::SocketAddr;
use core::time::Duration;
use p2p::Multiaddr;
use swarm::{ChunkFailure, DialError, DropReason, Stats};
use swfetch::failure::{Failure, id};

/// Reasons kept; the newest are the ones of interest.
const REASONS_MAX: usize = 4;

/// Recent trouble.
#[derive(Default)]
pub(crate) struct Trouble {
    reasons: Vec<String>,
    chunk: Option<String>,
}

impl Trouble {
    /// Remembers one reason.
    pub(crate) fn note(&mut self, text: String) {
        if self.reasons.contains(&text) {
            return;
        }
        if self.reasons.len() >= REASONS_MAX {
            self.reasons.remove(0);
        }
        self.reasons.push(text);
    }

    /// A dial failed.
    pub(crate) fn note_dial(&mut self, address: SocketAddr, error: DialError) {
        let why = match error {
            DialError::Refused => "refused the connection",
            DialError::TimedOut => "did not answer",
            DialError::Unreachable => "cannot be reached",
        };
        self.note(format!("{address} {why}"));
    }

    /// A peer was dropped.
    pub(crate) fn note_drop(&mut self, address: SocketAddr, reason: &DropReason) {
        self.note(format!("{address}: {reason}"));
    }

    /// A chunk could not be had.
    pub(crate) fn note_chunk(
        &mut self,
        machine: &mut Machine,
        address: ChunkAddress,
        failure: ChunkFailure,
    ) {
        let text = format!("chunk {address}: {failure}");
        machine.console.line(&format!("swarm: {text}"));
        self.chunk = Some(text);
    }

    /// A chunk could not be had, for the reason in the text.
    pub(crate) fn note_missing(&mut self, machine: &mut Machine, text: String) {
        machine.console.line(&format!("bridge: {text}"));
        self.chunk = Some(text);
    }

    /// Adds what is known to a failure that a missing chunk caused.
    pub(crate) fn complete(&self, mut failure: Failure) -> Failure {
        for text in self.chunk.iter().chain(&self.reasons) {
            if !failure.cause.is_empty() {
                failure.cause.push('\n');
            }
            failure.cause.push_str(text);
        }
        failure
    }

    /// The failure of having no peer.
    pub(crate) fn no_peer(
        &self,
        waited: Duration,
        bootnodes: &[Multiaddr],
        stats: Stats,
    ) -> Failure {
        let cause = if self.reasons.is_empty() {
            let names: Vec<String> = bootnodes.iter().map(ToString::to_string).collect();
            format!(
                "nothing came back from the bootnodes, {} connections open: {}",
                stats.peers_connecting,
                names.join(" ")
            )
        } else {
            self.reasons.join("\n")
        };
        Failure::new(
            id::NO_PEER,
            format!("no Swarm peer was ready after {} s", waited.as_secs()),
            cause,
            "check swarm.bootnodes and swarm.network_id in deboot.toml, and that this network lets TCP connections out",
        )
    }
}

/// The first four bytes, in hexadecimal: enough to tell peers apart in a log.
pub(crate) fn short(bytes: &[u8; 32]) -> String {
    let [a, b, c, d, ..] = bytes;
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}
