//! The targets, by the crate whose decoders they run.
mod content;
mod fetch;
mod p2p;
mod release;
mod swarm;

/// A target's name and what runs it.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 20] = [
    ("chunk", content::chunk),
    ("tree", content::tree),
    ("mantaray", content::mantaray),
    ("feed", content::feed),
    ("reference", content::reference),
    ("fetch_request", fetch::request),
    ("fetch_answer", fetch::answer),
    ("fetch_walk", fetch::walk),
    ("manifest", release::manifest),
    ("config", release::config),
    ("multiaddr", p2p::multiaddr),
    ("peer_key", p2p::peer_key),
    ("multistream", ::p2p::fuzzing::multistream),
    ("noise", ::p2p::fuzzing::noise),
    ("yamux", ::p2p::fuzzing::yamux),
    ("identify", ::p2p::fuzzing::identify),
    ("connection", ::p2p::fuzzing::connection),
    ("handshake", swarm::handshake),
    ("hive", swarm::hive),
    ("messages", swarm::messages),
];
