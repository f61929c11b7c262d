use super::*;
use proptest::prelude::*;
use std::format;
use std::vec;

const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

#[test]
fn binary_form_has_the_bytes_bee_writes() {
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/1634".parse().unwrap();
    assert_eq!(address.encode(), [0x04, 0x7f, 0, 0, 1, 0x06, 0x06, 0x62]);
    assert_eq!(Multiaddr::decode(&address.encode()), Ok(address));
    let dnsaddr: Multiaddr = "/dnsaddr/mainnet.ethswarm.org".parse().unwrap();
    assert_eq!(&dnsaddr.encode()[..3], [0x38, 20, b'm']);
    let peer: Multiaddr = format!("/p2p/{PEER}").parse().unwrap();
    assert_eq!(&peer.encode()[..5], [0xa5, 0x03, 38, 0x00, 0x24]);
    let secure: Multiaddr = "/ip6/::1/tcp/1635/tls/sni/a.libp2p.direct/ws"
        .parse()
        .unwrap();
    let bytes = secure.encode();
    assert_eq!(bytes[0], 0x29);
    assert_eq!(
        &bytes[17..25],
        [0x06, 0x06, 0x63, 0xc0, 0x03, 0xc1, 0x03, 15]
    );
    assert_eq!(&bytes[bytes.len() - 2..], [0xdd, 0x03]);
}

#[test]
fn every_protocol_survives_text_and_binary() {
    for text in [
        "/ip4/10.1.2.3/tcp/1634",
        "/ip6/2001:db8::1/tcp/80",
        "/dns/a.example/tcp/1",
        "/dns4/a.example/tcp/1/ws",
        "/dns6/a.example/tcp/1/tls/ws",
        "/dnsaddr/testnet.ethswarm.org",
        "/ip4/1.2.3.4/udp/9/quic-v1",
        "/ip4/1.2.3.4/tcp/9/tls/sni/x.libp2p.direct/wss",
    ] {
        let address: Multiaddr = text.parse().unwrap();
        assert_eq!(format!("{address}"), text);
        assert_eq!(Multiaddr::decode(&address.encode()).unwrap(), address);
        let with_peer = address
            .clone()
            .with_peer_id(&PeerId::from_base58(PEER).unwrap());
        let parsed: Multiaddr = format!("{text}/p2p/{PEER}").parse().unwrap();
        assert_eq!(parsed, with_peer);
        assert_eq!(
            with_peer.clone().with_peer_id(parsed.peer_id().unwrap()),
            with_peer
        );
        assert_eq!(Multiaddr::decode(&parsed.encode()).unwrap(), parsed);
    }
    let old: Multiaddr = format!("/ip4/1.2.3.4/tcp/5/ipfs/{PEER}").parse().unwrap();
    assert_eq!(format!("{old}"), format!("/ip4/1.2.3.4/tcp/5/p2p/{PEER}"));
}

#[test]
fn only_plain_tcp_has_a_socket_address() {
    for (text, expected) in [
        ("/ip4/1.2.3.4/tcp/5", Some("1.2.3.4:5")),
        ("/ip6/::1/tcp/5", Some("[::1]:5")),
        ("/ip4/1.2.3.4/tcp/5/ws", None),
        ("/ip4/1.2.3.4/tcp/5/tls/ws", None),
        ("/ip4/1.2.3.4/udp/5/quic-v1", None),
        ("/dns4/a.example/tcp/5", None),
        ("/ip4/1.2.3.4", None),
    ] {
        let address: Multiaddr = text.parse().unwrap();
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(address.tcp_socket_addr(), expected, "{text}");
        let with_peer: Multiaddr = format!("{text}/p2p/{PEER}").parse().unwrap();
        assert_eq!(with_peer.tcp_socket_addr(), expected, "{text}");
        if let Some(socket) = expected {
            assert_eq!(Multiaddr::from_tcp(socket), address);
        }
    }
}

#[test]
fn malformed_text_is_refused_with_its_cause() {
    for (text, error) in [
        ("", MultiaddrError::Empty),
        ("/", MultiaddrError::Empty),
        ("ip4/1.2.3.4", MultiaddrError::NoLeadingSlash),
        ("/ip4", MultiaddrError::Value { part: 0 }),
        ("/ip4/1.2.3", MultiaddrError::Value { part: 0 }),
        ("/ip4/1.2.3.4/tcp/65536", MultiaddrError::Value { part: 1 }),
        ("/ip4/1.2.3.4/tcp/+5", MultiaddrError::Value { part: 1 }),
        ("/ip4/1.2.3.4/tcp/", MultiaddrError::Value { part: 1 }),
        (
            "/ip4/1.2.3.4//tcp/5",
            MultiaddrError::UnknownName { part: 1 },
        ),
        ("/onion3/x", MultiaddrError::UnknownName { part: 0 }),
        ("/dns4//tcp/5", MultiaddrError::Value { part: 0 }),
        ("/dns4/a b/tcp/5", MultiaddrError::Value { part: 0 }),
        ("/p2p/12D3", MultiaddrError::Value { part: 0 }),
    ] {
        assert_eq!(text.parse::<Multiaddr>(), Err(error), "{text}");
    }
    let long = "/tls".repeat(17);
    assert_eq!(long.parse::<Multiaddr>(), Err(MultiaddrError::TooManyParts));
    let long = "/tls".repeat(257);
    assert_eq!(long.parse::<Multiaddr>(), Err(MultiaddrError::TooLong));
}

#[test]
fn malformed_bytes_are_refused_with_their_cause() {
    for (bytes, error) in [
        (&[][..], MultiaddrError::Empty),
        (&[0x04, 1, 2, 3], MultiaddrError::Truncated),
        (&[0x06, 1], MultiaddrError::Truncated),
        (&[0xa5], MultiaddrError::Truncated),
        (
            &[0xa5, 0x03, 2, 0x12, 0x20],
            MultiaddrError::Value { part: 0 },
        ),
        (&[0x35, 5, b'a'], MultiaddrError::Truncated),
        (&[0x35, 0], MultiaddrError::Value { part: 0 }),
        (&[0x35, 1, 0xff], MultiaddrError::Value { part: 0 }),
        (&[0x35, 1, b'/'], MultiaddrError::Value { part: 0 }),
        (&[0x06, 0, 1, 0x63], MultiaddrError::UnknownCode(0x63)),
        (&[0xff; 11], MultiaddrError::Value { part: 0 }),
        (&[0xc0, 0x03].repeat(17), MultiaddrError::TooManyParts),
        (&[0; 1025], MultiaddrError::TooLong),
    ] {
        assert_eq!(Multiaddr::decode(bytes), Err(error), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn what_is_decoded_encodes_to_something_equal(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(address) = Multiaddr::decode(&bytes) {
            prop_assert_eq!(Multiaddr::decode(&address.encode()).unwrap(), address.clone());
            prop_assert_eq!(format!("{address}").parse::<Multiaddr>().unwrap(), address);
        }
    }

    #[test]
    fn arbitrary_parts_are_read_without_panic(
        parts in prop::collection::vec((prop::sample::select(vec![0x04u8, 0x06, 0x29, 0x35, 0x38]), any::<[u8; 20]>(), 0usize..20), 0..5)
    ) {
        let mut bytes = vec![];
        for (code, value, length) in parts {
            bytes.push(code);
            bytes.extend_from_slice(&value[..length]);
        }
        let _ = Multiaddr::decode(&bytes);
    }
}
