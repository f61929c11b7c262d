use p2p::{Multiaddr, PeerId, PublicKey};

/// Multiaddresses, as bytes and as text.
pub(super) fn multiaddr(bytes: &[u8]) {
    if let Ok(address) = Multiaddr::decode(bytes) {
        let text = address.to_string();
        let again: Multiaddr = text.parse().expect("its own text");
        assert_eq!(again.to_string(), text);
    }
    if let Ok(address) = String::from_utf8_lossy(bytes).parse::<Multiaddr>() {
        let encoded = address.encode();
        assert_eq!(Multiaddr::decode(&encoded), Ok(address));
    }
}

/// Peer ids and the public keys in them.
pub(super) fn peer_key(bytes: &[u8]) {
    if let Some(id) = PeerId::from_bytes(bytes) {
        assert_eq!(PeerId::from_base58(&id.to_base58()), Some(id));
    }
    drop(PeerId::from_base58(&String::from_utf8_lossy(bytes)));
    if let Some(key) = PublicKey::decode(bytes) {
        assert_eq!(PublicKey::decode(&key.encode()), Some(key.clone()));
        assert!(!key.verify(b"message", bytes), "a signature out of nothing");
    }
}
