use swarm::messages::{
    Ack, AnnouncePaymentThreshold, Delivery, MessageError, Payment, PaymentAck, Peers, Request,
    Snapshot, StatusGet, Syn, SynAck, Version, decode_headers, decode_underlays,
};

const VERSIONS: [Version; 2] = [Version::V14, Version::V15];

/// What every message decoder promises: no more is used than was given, and a message that is complete stays what it is when more
/// bytes follow.
fn check<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<Option<(T, usize)>, MessageError>) {
    if let Ok(Some((_, used))) = decode(bytes) {
        assert!((1..=bytes.len()).contains(&used));
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(&[0xff; 16]);
        let again = decode(&longer).ok().flatten().map(|(_, used)| used);
        assert_eq!(again, Some(used), "more bytes change the message");
    }
}

/// The three messages of the handshake, both generations, and the signatures in them.
pub(super) fn handshake(bytes: &[u8]) {
    check(bytes, Syn::decode);
    for version in VERSIONS {
        check(bytes, |bytes| SynAck::decode(version, bytes));
        check(bytes, |bytes| Ack::decode(version, bytes));
        if let Ok(Some((ack, _))) = Ack::decode(version, bytes) {
            let _ = ack.record.verify(version, 10);
        }
    }
}

/// Gossip of peers, both generations, and the addresses in it.
pub(super) fn hive(bytes: &[u8]) {
    for version in VERSIONS {
        check(bytes, |bytes| Peers::decode(version, bytes));
        if let Ok(Some((peers, _))) = Peers::decode(version, bytes) {
            for record in peers.records.iter().take(4) {
                let _ = record.verify(version, 10);
                let _ = record.underlays().count();
            }
        }
    }
    assert!(decode_underlays(bytes).count() <= bytes.len());
}

/// Everything else: headers, pricing, settlement, retrieval, status.
pub(super) fn messages(bytes: &[u8]) {
    if let Ok(Some(used)) = decode_headers(bytes) {
        assert!(used <= bytes.len());
    }
    check(bytes, AnnouncePaymentThreshold::decode);
    check(bytes, Payment::decode);
    check(bytes, PaymentAck::decode);
    check(bytes, Request::decode);
    check(bytes, Snapshot::decode);
    check(bytes, StatusGet::decode);
    if let Ok(Some((delivery, used))) = Delivery::decode(bytes) {
        assert!(used <= bytes.len());
        assert!(delivery.data.len() <= bytes.len());
    }
}
