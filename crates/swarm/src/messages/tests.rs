use super::*;
use bmt::{ChunkAddress, EthAddress, Overlay, SecretKey, Signature};
use p2p::Multiaddr;
use prost::Message;
use std::string::String;
use std::{format, vec};

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn key() -> SecretKey {
    let bytes = hex("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
    SecretKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
}

fn underlay() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/1634".parse().unwrap()
}

fn nonce(last: u8) -> [u8; 32] {
    let mut nonce = [0; 32];
    nonce[31] = last;
    nonce
}

fn record(version: Version) -> AddressRecord {
    let underlay = encode_underlays(&[underlay()]);
    AddressRecord::sign(version, &key(), 10, nonce(2), 1_700_000_000, underlay)
}

/// The same messages as prost sees them.
mod oracle {
    use std::string::String;
    use std::vec::Vec;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BzzAddress {
        #[prost(bytes, tag = "1")]
        pub(super) underlay: Vec<u8>,
        #[prost(bytes, tag = "2")]
        pub(super) signature: Vec<u8>,
        #[prost(bytes, tag = "3")]
        pub(super) overlay: Vec<u8>,
        #[prost(bytes, tag = "4")]
        pub(super) nonce: Vec<u8>,
        #[prost(int64, tag = "5")]
        pub(super) timestamp: i64,
        #[prost(bytes, tag = "6")]
        pub(super) chequebook: Vec<u8>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Syn {
        #[prost(bytes, tag = "1")]
        pub(super) observed: Vec<u8>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Ack {
        #[prost(message, optional, tag = "1")]
        pub(super) address: Option<BzzAddress>,
        #[prost(uint64, tag = "2")]
        pub(super) network: u64,
        #[prost(bool, tag = "3")]
        pub(super) full: bool,
        #[prost(bytes, tag = "4")]
        pub(super) nonce: Vec<u8>,
        #[prost(string, tag = "99")]
        pub(super) welcome: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SynAck {
        #[prost(message, optional, tag = "1")]
        pub(super) syn: Option<Syn>,
        #[prost(message, optional, tag = "2")]
        pub(super) ack: Option<Ack>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Peers {
        #[prost(message, repeated, tag = "1")]
        pub(super) peers: Vec<BzzAddress>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Delivery {
        #[prost(bytes, tag = "1")]
        pub(super) data: Vec<u8>,
        #[prost(bytes, tag = "2")]
        pub(super) stamp: Vec<u8>,
        #[prost(string, tag = "3")]
        pub(super) error: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PaymentAck {
        #[prost(bytes, tag = "1")]
        pub(super) amount: Vec<u8>,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Snapshot {
        #[prost(double, tag = "2")]
        pub(super) rate: f64,
        #[prost(uint64, tag = "4")]
        pub(super) connected: u64,
        #[prost(string, tag = "6")]
        pub(super) mode: String,
        #[prost(uint64, tag = "7")]
        pub(super) commitment: u64,
        #[prost(uint32, tag = "11")]
        pub(super) depth: u32,
    }
}

/// Decodes `bytes`, after checking that every proper prefix asks for more.
fn whole<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<Option<(T, usize)>, MessageError>) -> T {
    for end in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..end]), Ok(None)), "prefix of {end}");
    }
    let mut more = bytes.to_vec();
    more.push(0xff);
    let (message, used) = decode(&more).unwrap().unwrap();
    assert_eq!(used, bytes.len(), "what follows is left alone");
    message
}

#[test]
fn records_have_the_overlays_and_signatures_of_bee() {
    // The generation B vector is bee's and vertex's; the generation A one was computed independently (RFC 6979, low S).
    let record = record(Version::V15);
    let overlay = hex("56c67d004cbcb0de9b5020bb37d0efb5f6c8f568049e6e9bfa0fc0ae696f0509");
    assert_eq!(record.overlay.0.to_vec(), overlay);
    let signature = "3d916e1bc20f622bc275275f8e76cc8ee255ca513745cf2982b2e0c17be267015ec7472c79fd40ac15a115ba71ea353dba3c507d3c5b83eb53f0e9bad9b44bfa1c";
    assert_eq!(record.signature.0.to_vec(), hex(signature));
    let owner = hex("2f63cbeb054ce76050827e42dd75268f6b9d87c5");
    let owner = EthAddress(owner.try_into().unwrap());
    assert_eq!(record.verify(Version::V15, 10), Ok(owner));

    let underlay = encode_underlays(&[underlay()]);
    let old = AddressRecord::sign(Version::V14, &key(), 1, [0; 32], 0, underlay);
    let overlay = hex("9b109ce1ec1a7134e3ef27146e56a8b5566b8397f993fa40bc4c66f36043392f");
    assert_eq!(old.overlay.0.to_vec(), overlay);
    let signature = "29c7adae4bb452e126963b1744f6fe0c037d8d748e8aa31e18ea3323195698b456e2ce4a5872f34f1fdfb0053a96af27fc04a00e95752d7acc798f6af85f92c21c";
    assert_eq!(old.signature.0.to_vec(), hex(signature));
    assert_eq!(old.verify(Version::V14, 1), Ok(owner));
}

#[test]
fn a_record_is_not_believed_when_anything_in_it_is_changed() {
    let good = record(Version::V15);
    let refused = |change: fn(&mut AddressRecord)| {
        let mut record = good.clone();
        change(&mut record);
        record.verify(Version::V15, 10).is_err()
    };
    assert!(refused(|r| r.underlay[4] ^= 1));
    assert!(refused(|r| r.overlay.0[0] ^= 1));
    assert!(refused(|r| r.nonce[0] ^= 1));
    assert!(refused(|r| r.timestamp += 1));
    assert!(refused(|r| r.timestamp = 0));
    assert!(refused(|r| r.chequebook[0] ^= 1));
    assert!(refused(|r| r.signature.0[40] ^= 1));
    assert!(refused(|r| r.signature = Signature([0; 65])));
    assert!(refused(|r| r.underlay = vec![0x99]));
    assert!(good.verify(Version::V15, 1).is_err(), "another network");
    assert!(good.verify(Version::V14, 10).is_err(), "another version");
}

#[test]
fn handshakes_are_what_prost_makes_of_them() {
    for version in [Version::V14, Version::V15] {
        let message = SynAck {
            syn: Syn {
                observed_underlay: underlay().encode(),
            },
            ack: Ack {
                record: record(version),
                network_id: 10,
                full_node: true,
                welcome: "hello".into(),
            },
        };
        let bytes = message.encode(version);
        let seen = oracle::SynAck::decode_length_delimited(&bytes[..]).unwrap();
        let ack = seen.ack.clone().unwrap();
        let address = ack.address.unwrap();
        assert_eq!(seen.syn.clone().unwrap().observed, underlay().encode());
        assert_eq!(
            (ack.network, ack.full, &ack.welcome[..]),
            (10, true, "hello")
        );
        assert_eq!(address.signature, message.ack.record.signature.0);
        let (nonce_in_ack, timestamp) = match version {
            Version::V14 => (nonce(2).to_vec(), 0),
            Version::V15 => (vec![], 1_700_000_000),
        };
        assert_eq!((ack.nonce, address.timestamp), (nonce_in_ack, timestamp));

        let again = whole(&bytes, |b| SynAck::decode(version, b));
        assert_eq!(again.ack.record.overlay, message.ack.record.overlay);
        assert_eq!(
            again.ack.record.verify(version, 10),
            message.ack.record.verify(version, 10)
        );
        assert!(again.ack.record.verify(version, 10).is_ok());
        let reencoded = SynAck::decode(version, &seen.encode_length_delimited_to_vec());
        assert_eq!(reencoded.unwrap().unwrap().0, again);
    }
}

#[test]
fn a_light_client_leaves_the_full_node_field_out() {
    let ack = Ack {
        record: record(Version::V15),
        network_id: 10,
        full_node: false,
        welcome: String::new(),
    };
    let seen = oracle::Ack::decode_length_delimited(&ack.encode(Version::V15)[..]).unwrap();
    assert!(!seen.full);
    assert!(
        !ack.encode(Version::V15)
            .windows(2)
            .any(|two| two == [0x18, 0x00])
    );
    assert_eq!(
        whole(&ack.encode(Version::V15), |b| Ack::decode(Version::V15, b)),
        ack
    );
}

#[test]
fn generation_b_needs_a_nonce_and_generation_a_does_not() {
    let mut address = oracle::BzzAddress {
        underlay: underlay().encode(),
        signature: vec![1; 65],
        overlay: vec![2; 32],
        ..Default::default()
    };
    let ack = |address: &oracle::BzzAddress| {
        oracle::Ack {
            address: Some(address.clone()),
            ..Default::default()
        }
        .encode_length_delimited_to_vec()
    };
    assert!(Ack::decode(Version::V14, &ack(&address)).is_ok());
    assert_eq!(
        Ack::decode(Version::V15, &ack(&address)),
        Err(MessageError::Missing("nonce"))
    );
    address.nonce = vec![0; 31];
    let wrong = Err(MessageError::Length {
        field: "nonce",
        len: 31,
    });
    assert_eq!(Ack::decode(Version::V15, &ack(&address)), wrong);
}

#[test]
fn hive_skips_and_counts_bad_records_and_bounds_their_number() {
    let good = oracle::BzzAddress {
        underlay: underlay().encode(),
        signature: vec![1; 65],
        overlay: vec![2; 32],
        nonce: vec![3; 32],
        timestamp: 5,
        chequebook: vec![],
    };
    let mut peers = vec![good.clone(); 70];
    for (index, change) in [
        (0, "underlay"),
        (1, "signature"),
        (2, "overlay"),
        (3, "chequebook"),
        (4, "long"),
    ] {
        match change {
            "underlay" => peers[index].underlay.clear(),
            "signature" => peers[index].signature.truncate(64),
            "overlay" => peers[index].overlay.push(0),
            "chequebook" => peers[index].chequebook = vec![0; 19],
            _ => peers[index].underlay = vec![0; 2049],
        }
    }
    let bytes = oracle::Peers { peers }.encode_length_delimited_to_vec();
    let decoded = whole(&bytes, |b| Peers::decode(Version::V15, b));
    assert_eq!((decoded.records.len(), decoded.refused), (64, 6));
    let record = &decoded.records[0];
    assert_eq!(record.nonce, [3; 32]);
    assert_eq!(record.underlays().collect::<Vec<_>>(), [underlay()]);
    let again = Peers::decode(Version::V15, &decoded.encode(Version::V15));
    assert_eq!(again.unwrap().unwrap().0.records, decoded.records);
}

#[test]
fn underlays_come_singly_or_as_a_list_of_at_most_twenty() {
    let one = encode_underlays(&[underlay()]);
    assert_eq!(one, hex("047f000001060662"));
    assert_eq!(decode_underlays(&one).count(), 1);
    let many = encode_underlays(&vec![underlay(); 25]);
    assert_eq!(many[0], 0x99);
    assert_eq!(decode_underlays(&many).count(), 20);
    assert_eq!(encode_underlays(&[]), [0x99]);
    assert_eq!(decode_underlays(&[0x99]).count(), 0);
    assert_eq!(decode_underlays(&[]).count(), 0);
    // An unknown protocol hides itself only; a length past the end hides what follows.
    let mut list = vec![0x99, 2, 0x7f, 0x7f, 8];
    list.extend_from_slice(&one);
    assert_eq!(decode_underlays(&list).collect::<Vec<_>>(), [underlay()]);
    assert_eq!(decode_underlays(&[0x99, 200, 1, 4]).count(), 0);
}

#[test]
fn fragments_have_the_bytes_of_the_specification() {
    // SPEC swarm-wire 14.3.
    let announce = |threshold| AnnouncePaymentThreshold { threshold }.encode();
    assert_eq!(announce(1_350_000), hex("050a03149970"));
    assert_eq!(announce(13_500_000), hex("050a03cdfe60"));
    assert_eq!(Payment { amount: 450_000 }.encode(), hex("050a0306ddd0"));
    assert_eq!(Payment { amount: 0 }.encode(), [0]);
    let request = Request {
        address: ChunkAddress([0xab; 32]),
    };
    assert_eq!(request.encode()[..3], hex("220a20")[..]);
    assert_eq!(whole(&request.encode(), Request::decode), request);
    let data = vec![7; 4104];
    let delivery = Delivery {
        data: &data,
        error: &[],
    };
    assert_eq!(delivery.encode()[..5], hex("8b200a8820")[..]);
    assert_eq!(StatusGet.encode(), [0]);
}

#[test]
fn deliveries_and_payments_are_what_prost_makes_of_them() {
    let bytes = oracle::Delivery {
        data: vec![5; 100],
        stamp: vec![1; 113],
        error: String::new(),
    }
    .encode_length_delimited_to_vec();
    let (delivery, used) = Delivery::decode(&bytes).unwrap().unwrap();
    assert_eq!((delivery.data, used), (&[5; 100][..], bytes.len()));
    assert_eq!(Delivery::decode(&bytes[..bytes.len() - 1]), Ok(None));

    for amount in [0u64, 1, 255, 256, 450_000, u64::MAX] {
        let ack = PaymentAck {
            amount,
            timestamp: 1_700_000_000,
        };
        let seen = oracle::PaymentAck::decode_length_delimited(&ack.encode()[..]).unwrap();
        assert_eq!(seen.timestamp, 1_700_000_000);
        assert_ne!(seen.amount.first(), Some(&0), "no leading zeros");
        assert_eq!(whole(&ack.encode(), PaymentAck::decode), ack);
    }
    let huge = oracle::PaymentAck {
        amount: vec![1; 32],
        timestamp: -1,
    };
    let (ack, _) = PaymentAck::decode(&huge.encode_length_delimited_to_vec())
        .unwrap()
        .unwrap();
    assert_eq!((ack.amount, ack.timestamp), (u64::MAX, -1));

    let snapshot = oracle::Snapshot {
        rate: 0.5,
        connected: 7,
        mode: "full".into(),
        commitment: 9,
        depth: 3,
    };
    let seen = whole(&snapshot.encode_length_delimited_to_vec(), Snapshot::decode);
    assert_eq!(
        (
            seen.connected_peers,
            &seen.bee_mode[..],
            seen.committed_depth
        ),
        (7, "full", 3)
    );
    assert_eq!(whole(&seen.encode(), Snapshot::decode), seen);
}

#[test]
fn illegal_bytes_are_refused_and_never_panic() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(matches!(
        Delivery::decode(&huge),
        Err(MessageError::Wire(DecodeError::TooLong { .. }))
    ));
    assert!(decode_headers(&huge).is_err());
    assert!(SynAck::decode(Version::V15, &huge).is_err());
    assert!(Peers::decode(Version::V14, &huge).is_err());
    assert!(
        Payment::decode(&[0x80, 0x03]).is_err(),
        "384 bytes for an integer"
    );
    assert!(
        Delivery::decode(&[2, 0x0a, 5]).is_err(),
        "field runs out of the message"
    );
    assert!(
        Delivery::decode(&[2, 0x08, 5]).is_err(),
        "number where bytes belong"
    );
    assert!(Request::decode(&[0]).is_err(), "no address");
    assert!(Request::decode(&[3, 0x0a, 1, 9]).is_err(), "short address");
    assert!(
        SynAck::decode(Version::V15, &[0]).is_err(),
        "no syn, no ack"
    );

    let bytes = record(Version::V15);
    let good = Peers {
        records: vec![bytes],
        refused: 0,
    }
    .encode(Version::V15);
    for index in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[index] ^= 1 << bit;
            let _ = Peers::decode(Version::V15, &bad);
            let _ = SynAck::decode(Version::V14, &bad);
            let _ = Ack::decode(Version::V15, &bad);
            let _ = Delivery::decode(&bad);
            let _ = PaymentAck::decode(&bad);
            let _ = Snapshot::decode(&bad);
        }
    }
    let _ = format!("{:?}", Overlay([0; 32]));
}
