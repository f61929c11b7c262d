//! Protobuf messages and stream ids of the Swarm protocols.
//!
//! Derived with prost, on purpose not shared with `crates/swarm`: the two codecs check each other.
use bytes::Bytes;
use libp2p::StreamProtocol;

pub(crate) const HANDSHAKE_14: StreamProtocol =
    StreamProtocol::new("/swarm/handshake/14.0.0/handshake");
pub(crate) const HANDSHAKE_15: StreamProtocol =
    StreamProtocol::new("/swarm/handshake/15.0.0/handshake");
pub(crate) const HIVE_14: StreamProtocol = StreamProtocol::new("/swarm/hive/1.1.0/peers");
pub(crate) const HIVE_15: StreamProtocol = StreamProtocol::new("/swarm/hive/2.0.0/peers");
pub(crate) const RETRIEVAL: StreamProtocol =
    StreamProtocol::new("/swarm/retrieval/1.4.0/retrieval");
pub(crate) const PRICING: StreamProtocol = StreamProtocol::new("/swarm/pricing/1.0.0/pricing");
pub(crate) const PSEUDOSETTLE: StreamProtocol =
    StreamProtocol::new("/swarm/pseudosettle/1.0.0/pseudosettle");
pub(crate) const PINGPONG: StreamProtocol = StreamProtocol::new("/swarm/pingpong/1.0.0/pingpong");
pub(crate) const STATUS: StreamProtocol = StreamProtocol::new("/swarm/status/1.1.3/status");

/// One generation of handshake and hive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Handshake 14.0.0, hive 1.1.0.
    V14,
    /// Handshake 15.0.0, hive 2.0.0.
    V15,
}

impl Version {
    pub(crate) fn handshake(self) -> StreamProtocol {
        match self {
            Self::V14 => HANDSHAKE_14,
            Self::V15 => HANDSHAKE_15,
        }
    }

    pub(crate) fn hive(self) -> StreamProtocol {
        match self {
            Self::V14 => HIVE_14,
            Self::V15 => HIVE_15,
        }
    }

    /// Position in per-generation arrays.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::V14 => 0,
            Self::V15 => 1,
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Header {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Headers {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<Header>,
}

/// Fields 4 to 6 exist from handshake 15.0.0 on; hive 1.1.0 has field 4.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BzzAddress {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) underlay: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) overlay: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) nonce: Vec<u8>,
    #[prost(int64, tag = "5")]
    pub(crate) timestamp: i64,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) chequebook: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Syn {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) observed_underlay: Vec<u8>,
}

/// Field 4 is sent by 14.0.0 only.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    #[prost(message, optional, tag = "1")]
    pub(crate) address: Option<BzzAddress>,
    #[prost(uint64, tag = "2")]
    pub(crate) network_id: u64,
    #[prost(bool, tag = "3")]
    pub(crate) full_node: bool,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) nonce: Vec<u8>,
    #[prost(string, tag = "99")]
    pub(crate) welcome_message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SynAck {
    #[prost(message, optional, tag = "1")]
    pub(crate) syn: Option<Syn>,
    #[prost(message, optional, tag = "2")]
    pub(crate) ack: Option<Ack>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Peers {
    #[prost(message, repeated, tag = "1")]
    pub(crate) peers: Vec<BzzAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnnouncePaymentThreshold {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) payment_threshold: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payment {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) amount: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PaymentAck {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) amount: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) addr: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delivery {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: Bytes,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) stamp: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) err: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Get {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Snapshot {
    #[prost(uint64, tag = "1")]
    pub(crate) reserve_size: u64,
    #[prost(double, tag = "2")]
    pub(crate) pullsync_rate: f64,
    #[prost(uint32, tag = "3")]
    pub(crate) storage_radius: u32,
    #[prost(uint64, tag = "4")]
    pub(crate) connected_peers: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) neighborhood_size: u64,
    #[prost(string, tag = "6")]
    pub(crate) bee_mode: String,
    #[prost(uint64, tag = "7")]
    pub(crate) batch_commitment: u64,
    #[prost(bool, tag = "8")]
    pub(crate) is_reachable: bool,
    #[prost(uint64, tag = "9")]
    pub(crate) reserve_size_within_radius: u64,
    #[prost(uint64, tag = "10")]
    pub(crate) last_synced_block: u64,
    #[prost(uint32, tag = "11")]
    pub(crate) committed_depth: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    #[prost(string, tag = "1")]
    pub(crate) greeting: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pong {
    #[prost(string, tag = "1")]
    pub(crate) response: String,
}

/// Encodes an amount as bee does: big-endian without leading zeros, zero as no bytes.
pub(crate) fn amount_bytes(amount: u64) -> Vec<u8> {
    amount
        .to_be_bytes()
        .into_iter()
        .skip_while(|b| *b == 0)
        .collect()
}

/// Reads a big-endian amount of any length; more than `u64::MAX` reads as `u64::MAX`.
pub(crate) fn amount_from_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0u64, |sum, b| {
        sum.checked_mul(256)
            .and_then(|s| s.checked_add(u64::from(*b)))
            .unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn amounts_are_big_endian_without_leading_zeros() {
        assert_eq!(amount_bytes(1_350_000), [0x14, 0x99, 0x70]);
        assert_eq!(amount_bytes(13_500_000), [0xcd, 0xfe, 0x60]);
        assert!(amount_bytes(0).is_empty());
        assert_eq!(amount_from_bytes(&[0x06, 0xdd, 0xd0]), 450_000);
        assert_eq!(amount_from_bytes(&[]), 0);
        assert_eq!(amount_from_bytes(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 7]), 7);
        assert_eq!(amount_from_bytes(&[1; 40]), u64::MAX);
    }

    #[test]
    fn messages_have_the_bytes_of_the_specification() {
        let announce = AnnouncePaymentThreshold {
            payment_threshold: amount_bytes(1_350_000),
        };
        assert_eq!(
            announce.encode_length_delimited_to_vec(),
            [0x05, 0x0a, 0x03, 0x14, 0x99, 0x70]
        );
        assert_eq!(Headers::default().encode_length_delimited_to_vec(), [0]);
        let delivery = Delivery {
            data: Bytes::from(vec![7; 4104]),
            ..Delivery::default()
        };
        assert_eq!(
            delivery.encode_length_delimited_to_vec()[..5],
            [0x8b, 0x20, 0x0a, 0x88, 0x20]
        );
        let ack = Ack {
            welcome_message: "x".into(),
            ..Ack::default()
        };
        assert_eq!(ack.encode_to_vec(), [0x9a, 0x06, 0x01, b'x']);
    }
}
