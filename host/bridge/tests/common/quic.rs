//! A QUIC client by hand: it can reset one half of a stream, and sees how a connection ends.
use super::{PATIENCE, Way, address};
use bridge::Running;
use fetch::PROTOCOL;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, tls};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;

/// Connects to a bridge.
pub(crate) async fn connect(bridge: &Running) -> (Endpoint, Connection) {
    connect_to(&address(bridge, Way::Quic)).await
}

/// Connects to an address with `udp` and `quic-v1` in it.
pub(crate) async fn connect_to(address: &Multiaddr) -> (Endpoint, Connection) {
    let mut ip = None;
    let mut port = 0;
    for part in address {
        match part {
            Protocol::Ip4(found) => ip = Some(found.into()),
            Protocol::Udp(found) => port = found,
            _ => {}
        }
    }
    let config = tls::make_client_config(&Keypair::generate_ed25519(), None).unwrap();
    let config = QuicClientConfig::try_from(config).unwrap();
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint
        .connect_with(
            ClientConfig::new(Arc::new(config)),
            SocketAddr::new(ip.unwrap(), port),
            "l",
        )
        .unwrap();
    let connection = tokio::time::timeout(PATIENCE, connecting)
        .await
        .unwrap()
        .unwrap();
    (endpoint, connection)
}

/// Opens a stream and sends `request`; what comes first was read when this returns.
pub(crate) async fn ask(connection: &Connection, request: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    // SPEC multistream-select: a varint with the length, and a line.
    let mut hello = Vec::new();
    for line in ["/multistream/1.0.0", PROTOCOL] {
        hello.push(u8::try_from(line.len() + 1).unwrap());
        hello.extend_from_slice(line.as_bytes());
        hello.push(b'\n');
    }
    let mut echo = vec![0; hello.len()];
    send.write_all(&hello).await.unwrap();
    send.write_all(request).await.unwrap();
    tokio::time::timeout(PATIENCE, recv.read_exact(&mut echo))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(echo, hello);
    (send, recv)
}
