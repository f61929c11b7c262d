//! Protocol tests: a node and a client that sends what it likes.
pub(crate) mod client;
mod faults;

use super::*;
use crate::accounting::price;
use crate::identity::{KeyKind, Prefix};
use crate::store::MemoryStore;
use crate::wire::*;
use bmt::{VerifiedChunk, proximity};
use client::{Client, NETWORK_ID, Seen, is_cut, open, pay, retrieve};
use std::collections::BTreeSet;

/// A storer whose overlay starts with `first`.
pub(crate) fn config(first: u8, profile: Profile, generation: Generation) -> NodeConfig {
    let prefix = Prefix {
        value: u32::from(first) << 24,
        bits: 8,
    };
    NodeConfig {
        identity: Identity::derive(&[first; 32], KeyKind::P256, NETWORK_ID, prefix).unwrap(),
        generation,
        profile,
        listen: "127.0.0.1:0".parse().unwrap(),
        announce_host: None,
        store: Arc::new(MemoryStore::new(1 << 30)),
        contacts: Vec::new(),
        neighbours_per_bin: 0,
        fellows: Arc::default(),
        cache_forwarded: false,
        faults: Vec::new(),
        limits: Limits::default(),
        memory: Arc::default(),
    }
}

pub(crate) fn chunk(n: u32) -> VerifiedChunk {
    VerifiedChunk::content(4096u64.to_le_bytes(), &n.to_le_bytes().repeat(1024)).unwrap()
}

/// `count` chunks at exactly this proximity to `overlay`.
pub(crate) fn chunks_at(overlay: &Overlay, po: u8, count: usize) -> Vec<VerifiedChunk> {
    (0..)
        .map(chunk)
        .filter(|c| proximity(&c.address().0, &overlay.0) == po)
        .take(count)
        .collect()
}

async fn public_node() -> Node {
    Node::start(config(0x10, Profile::Public, Generation::Both))
        .await
        .unwrap()
}

#[tokio::test]
async fn both_handshakes_give_a_full_node_with_a_valid_record_and_our_observed_address() {
    let node = public_node().await;
    for version in [Version::V14, Version::V15] {
        let client = Client::new(version.index() as u8 + 1).await;
        let connection = client.dial(&node).await;
        let (record, syn_ack) = client
            .handshake_with(&connection, version, &client.ack(version))
            .await
            .unwrap();
        assert_eq!(record.overlay, node.overlay());
        assert_eq!(record.underlays[0].to_string(), node.underlay());
        let observed = record::decode_underlays(&syn_ack.syn.unwrap().observed_underlay).unwrap();
        let own = client.identity.libp2p.public().to_peer_id();
        assert_eq!(observed.len(), 1);
        assert_eq!(observed[0].iter().last(), Some(Protocol::P2p(own)));
        let ack = syn_ack.ack.unwrap();
        assert!(ack.full_node);
        assert_eq!(ack.network_id, NETWORK_ID);
        assert_eq!(
            ack.nonce.len(),
            if version == Version::V14 { 32 } else { 0 }
        );
    }
    assert_eq!(node.counters().handshakes, 2);
}

#[tokio::test]
async fn a_node_of_one_generation_refuses_the_other_and_the_same_stream_can_fall_back() {
    let old = Node::start(config(0x20, Profile::Public, Generation::Fourteen))
        .await
        .unwrap();
    let client = Client::new(1).await;
    let connection = client.dial(&old).await;
    let refused = connection.open(vec![HANDSHAKE_15]).await;
    assert!(matches!(refused, Err(OpenError::Unsupported)));
    let (_, agreed) = connection
        .open(vec![HANDSHAKE_15, HANDSHAKE_14])
        .await
        .unwrap();
    assert_eq!(agreed, HANDSHAKE_14);
}

#[tokio::test]
async fn the_threshold_comes_first_and_then_the_peers() {
    for (profile, threshold) in [
        (Profile::Public, 1_350_000),
        (Profile::Lan, 100_000_000_000_000),
    ] {
        let other = Node::start(config(0x90, profile, Generation::Both))
            .await
            .unwrap();
        let mut config = config(0x10, profile, Generation::Both);
        config.contacts = vec![Contact {
            address: other.listen(),
            boot: false,
        }];
        let node = Node::start(config).await.unwrap();
        while node.connected().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The second generation's handshake follows the first.
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (seed, version) in [(1, Version::V14), (2, Version::V15)] {
            let client = Client::new(seed).await;
            client.connect(&node, version).await;
            let peers = client
                .wait_for(|seen| match seen {
                    [Seen::Threshold(t), Seen::Peers(v, peers), ..] => {
                        assert_eq!((*t, *v), (threshold, version));
                        Some(peers.clone())
                    }
                    _ => None,
                })
                .await;
            assert_eq!(peers.len(), 1);
            assert_eq!(peers[0].overlay, other.overlay().0);
            let record = record::check(
                version,
                record::Source::Gossip,
                &peers[0],
                &[],
                NETWORK_ID,
                None,
                now_ms() / 1000,
            )
            .unwrap();
            assert_eq!(record.underlays[0].to_string(), other.underlay());
        }
    }
}

#[tokio::test]
async fn a_full_node_that_joins_is_announced_to_light_clients() {
    let node = public_node().await;
    let client = Client::new(1).await;
    client.connect(&node, Version::V15).await;
    let mut joining = config(0x90, Profile::Public, Generation::Both);
    joining.contacts = vec![Contact {
        address: node.listen(),
        boot: true,
    }];
    let joining = Node::start(joining).await.unwrap();
    let overlay = joining.overlay().0;
    client
        .wait_for(|seen| {
            seen.iter()
                .find(|s| matches!(s, Seen::Peers(Version::V15, p) if p[0].overlay == overlay))
                .map(|_| ())
        })
        .await;
}

#[tokio::test]
async fn chunks_are_delivered_and_missing_ones_refused_in_bees_words() {
    let config = config(0x10, Profile::Public, Generation::Both);
    config.store.put(chunk(1)).unwrap();
    let node = Node::start(config).await.unwrap();
    let client = Client::new(1).await;
    let connection = client.connect(&node, Version::V15).await;
    let delivery = retrieve(&connection, chunk(1).address()).await.unwrap();
    assert_eq!(delivery.data, chunk(1).data());
    assert!(delivery.err.is_empty());
    let missing = retrieve(&connection, chunk(2).address()).await.unwrap();
    assert_eq!(missing.err, "retrieve chunk: no peer found");
    let own = hex(&client.identity.overlay().0);
    for addr in [vec![], vec![1; 31], vec![1; 33], vec![0; 32]] {
        let mut framed = open(&connection, RETRIEVAL).await.unwrap();
        framed.write(&Request { addr }).await.unwrap();
        let refusal: Delivery = framed.read().await.unwrap();
        assert_eq!(
            refusal.err,
            format!("invalid address queried by peer {own}")
        );
    }
    let counters = node.counters();
    assert_eq!(
        (
            counters.requests,
            counters.chunks_served,
            counters.not_found
        ),
        (6, 1, 5)
    );
}

#[tokio::test]
async fn streams_before_the_handshake_are_cut() {
    let node = public_node().await;
    let client = Client::new(1).await;
    let connection = client.dial(&node).await;
    for protocol in [RETRIEVAL, PSEUDOSETTLE, PRICING, STATUS, HIVE_15] {
        let error = open(&connection, protocol).await.err().unwrap();
        assert!(is_cut(&error), "{error}");
    }
}

#[tokio::test]
async fn bad_handshakes_close_the_connection() {
    let node = public_node().await;
    type Change = fn(&mut Ack);
    let changes: [(&str, Change); 8] = [
        ("network id", |ack| ack.network_id = 1),
        ("no address", |ack| ack.address = None),
        ("signature", |ack| {
            ack.address.as_mut().unwrap().signature[0] ^= 1
        }),
        ("no signature", |ack| {
            ack.address.as_mut().unwrap().signature.clear()
        }),
        ("overlay", |ack| {
            ack.address.as_mut().unwrap().overlay[0] ^= 1
        }),
        ("underlay", |ack| {
            ack.address.as_mut().unwrap().underlay.clear()
        }),
        ("nonce", |ack| {
            ack.address.as_mut().unwrap().nonce.truncate(31)
        }),
        ("timestamp", |ack| {
            ack.address.as_mut().unwrap().timestamp = now_ms() / 1000 + 100;
        }),
    ];
    for (claim, change) in changes {
        let client = Client::new(1).await;
        let connection = client.dial(&node).await;
        let mut ack = client.ack(Version::V15);
        change(&mut ack);
        let result = client.handshake_with(&connection, Version::V15, &ack).await;
        // The end of the stream may come before the connection's; what matters is that it comes.
        drop(result);
        client.wait_closed().await;
        assert!(node.connected().is_empty(), "{claim}");
    }
    assert_eq!(node.counters().handshakes, 0);
}

#[tokio::test]
async fn a_light_client_that_never_settles_gets_7_chunks_at_po_0_and_is_refused_for_4_s() {
    let config = config(0x10, Profile::Public, Generation::Both);
    let chunks = chunks_at(&config.identity.overlay(), 0, 10);
    for chunk in &chunks {
        config.store.put(chunk.clone()).unwrap();
    }
    let node = Node::start(config).await.unwrap();
    let client = Client::new(1).await;
    let connection = client.connect(&node, Version::V15).await;
    for chunk in &chunks[..6] {
        let delivery = retrieve(&connection, chunk.address()).await.unwrap();
        assert_eq!(delivery.data, chunk.data());
    }
    // The seventh is written before the debt is noticed, then everything is cut.
    let _ = retrieve(&connection, chunks[6].address()).await;
    client.wait_closed().await;
    let counters = node.counters();
    assert_eq!(
        (counters.disconnects_for_debt, counters.blocklistings),
        (1, 1)
    );
    let refused_at = Instant::now();
    let again = Client::new(1).await;
    let connection = again.dial(&node).await;
    let _ = again
        .handshake_with(&connection, Version::V15, &again.ack(Version::V15))
        .await;
    again.wait_closed().await;
    tokio::time::sleep(Duration::from_millis(4_100).saturating_sub(refused_at.elapsed())).await;
    let later = Client::new(1).await;
    let connection = later.connect(&node, Version::V15).await;
    let delivery = retrieve(&connection, chunks[7].address()).await.unwrap();
    assert_eq!(delivery.data, chunks[7].data());
}

#[tokio::test]
async fn settlements_are_acknowledged_with_the_allowance_and_cut_within_the_same_second() {
    let config = config(0x10, Profile::Public, Generation::Both);
    let chunks = chunks_at(&config.identity.overlay(), 0, 8);
    for chunk in &chunks {
        config.store.put(chunk.clone()).unwrap();
    }
    let node = Node::start(config).await.unwrap();
    let client = Client::new(1).await;
    let connection = client.connect(&node, Version::V15).await;
    for chunk in &chunks[..4] {
        retrieve(&connection, chunk.address()).await.unwrap();
    }
    // Just after the start of a second, so that the next settlement is surely in the same one.
    tokio::time::sleep(Duration::from_millis(
        1010 - (now_ms() % 1000).unsigned_abs(),
    ))
    .await;
    let ack = pay(&connection, 5_000_000).await.unwrap();
    assert_eq!(amount_from_bytes(&ack.amount), 4 * price(0) as u64);
    assert!((now_ms() / 1000 - ack.timestamp).abs() <= 1);
    assert!(is_cut(&pay(&connection, 1).await.err().unwrap()));
    for chunk in &chunks[4..8] {
        retrieve(&connection, chunk.address()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    let ack = pay(&connection, 5_000_000).await.unwrap();
    let seconds = amount_from_bytes(&ack.amount) / 450_000;
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(amount_from_bytes(&ack.amount), seconds * 450_000);
    let counters = node.counters();
    assert_eq!((counters.settlements, counters.settlements_refused), (2, 1));
    assert_eq!(counters.blocklistings, 0);
}

#[tokio::test]
async fn a_peer_that_announces_too_low_a_threshold_is_disconnected() {
    for (threshold, stays) in [(9_000_000, true), (8_999_999, false), (0, false)] {
        let node = public_node().await;
        let client = Client::new(1).await;
        let connection = client.connect(&node, Version::V15).await;
        let mut framed = open(&connection, PRICING).await.unwrap();
        framed
            .write(&AnnouncePaymentThreshold {
                payment_threshold: amount_bytes(threshold),
            })
            .await
            .unwrap();
        let closed = framed.full_close().await;
        if stays {
            closed.unwrap();
            assert_eq!(node.connected().len(), 1);
        } else {
            client.wait_closed().await;
        }
    }
}

#[tokio::test]
async fn a_client_without_pricing_is_disconnected() {
    let node = public_node().await;
    let client = Client::with(1, true).await;
    let connection = client.dial(&node).await;
    client
        .handshake_with(&connection, Version::V15, &client.ack(Version::V15))
        .await
        .unwrap();
    client.wait_closed().await;
    assert!(client.seen().len() == 1);
}

#[tokio::test]
async fn status_says_full_and_pingpong_answers() {
    let node = public_node().await;
    let client = Client::new(1).await;
    let connection = client.connect(&node, Version::V14).await;
    let mut framed = open(&connection, STATUS).await.unwrap();
    framed.write(&Get {}).await.unwrap();
    let snapshot: Snapshot = framed.read().await.unwrap();
    framed.full_close().await.unwrap();
    assert_eq!(snapshot.bee_mode, "full");
    assert_eq!(snapshot.connected_peers, 1);
    let mut framed = open(&connection, PINGPONG).await.unwrap();
    let greeting = "hey".into();
    framed.write(&Ping { greeting }).await.unwrap();
    let pong: Pong = framed.read().await.unwrap();
    assert_eq!(pong.response, "{hey}");
}

#[tokio::test]
async fn the_hundred_and_first_light_client_makes_another_one_leave() {
    let mut config = config(0x10, Profile::Public, Generation::Fifteen);
    config.limits.light_nodes = 3;
    let node = Node::start(config).await.unwrap();
    let mut clients = Vec::new();
    for seed in 1..=4 {
        let client = Client::new(seed).await;
        let connection = client.connect(&node, Version::V15).await;
        clients.push((client, connection));
    }
    for _ in 0..100 {
        if node.connected().len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left: BTreeSet<_> = node.connected().into_iter().collect();
    assert_eq!(left.len(), 3);
    assert!(
        left.contains(&clients[3].0.identity.overlay()),
        "the newest stays"
    );
}

#[tokio::test]
async fn a_light_client_that_connects_again_starts_afresh_and_its_old_connection_is_closed() {
    let node = public_node().await;
    let client = Client::new(1).await;
    let old = client.connect(&node, Version::V15).await;
    let new = client.dial(&node).await;
    client
        .handshake_with(&new, Version::V15, &client.ack(Version::V15))
        .await
        .unwrap();
    client
        .wait_for(|seen| {
            let thresholds = seen.iter().filter(|s| matches!(s, Seen::Threshold(_)));
            (thresholds.count() == 2).then_some(())
        })
        .await;
    client.wait_closed().await;
    assert!(open(&old, STATUS).await.is_err());
    assert!(open(&new, STATUS).await.is_ok());
    assert_eq!(node.connected(), [client.identity.overlay()]);
}

#[tokio::test]
async fn hive_messages_over_the_allowance_are_cut() {
    let node = public_node().await;
    let client = Client::new(1).await;
    let connection = client.connect(&node, Version::V15).await;
    let send = |count: usize| {
        let connection = connection.clone();
        async move {
            let mut framed = open(&connection, HIVE_15).await?;
            let peers = vec![BzzAddress::default(); count];
            framed.write(&Peers { peers }).await?;
            Ok::<_, ProtocolError>(framed.full_close().await?)
        }
    };
    for _ in 0..4 {
        send(30).await.unwrap();
    }
    send(8).await.unwrap();
    assert_eq!(node.counters().peers_refused, 0);
    let _ = send(1).await;
    assert_eq!(node.counters().peers_refused, 1);
    assert_eq!(node.connected().len(), 1, "only the stream is cut");
}

#[tokio::test]
async fn a_storer_that_knows_only_a_boot_node_finds_the_others_by_hive() {
    for generation in [Generation::Fourteen, Generation::Fifteen] {
        let boot = Node::start(config(0x70, Profile::Public, generation))
            .await
            .unwrap();
        let start = |first| {
            let mut config = config(first, Profile::Public, generation);
            config.neighbours_per_bin = 4;
            config.contacts = vec![Contact {
                address: boot.listen(),
                boot: true,
            }];
            Node::start(config)
        };
        let nodes = [
            start(0x10).await.unwrap(),
            start(0x90).await.unwrap(),
            start(0xd0).await.unwrap(),
        ];
        for _ in 0..500 {
            if nodes.iter().all(|n| n.connected().len() == 3) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for node in &nodes {
            assert_eq!(node.connected().len(), 3, "{generation:?}");
        }
    }
}
