//! Every fault does what its description says.
use super::client::{Client, Seen, is_cut, retrieve};
use super::*;
use crate::Fault;
use crate::frame::FrameError;
use futures::TryFutureExt;

async fn faulty(fault: Fault) -> (Node, Client, Arc<Connection>) {
    let mut config = config(0x10, Profile::Lan, Generation::Both);
    for n in 0..20 {
        config.store.put(chunk(n)).unwrap();
    }
    config.faults = vec![fault];
    let node = Node::start(config).await.unwrap();
    let client = Client::new(1).await;
    let connection = client.connect(&node, Version::V15).await;
    (node, client, connection)
}

#[tokio::test]
async fn a_liar_delivers_chunks_that_do_not_verify() {
    let (_node, _client, connection) = faulty(Fault::Lies).await;
    for n in 0..5 {
        let delivery = retrieve(&connection, chunk(n).address()).await.unwrap();
        assert_eq!(delivery.data.len(), chunk(n).data().len());
        assert!(VerifiedChunk::verify(chunk(n).address(), delivery.data.into()).is_err());
    }
}

#[tokio::test]
async fn a_silent_one_takes_the_request_and_keeps_the_stream_open() {
    let (_node, client, connection) = faulty(Fault::NeverAnswers).await;
    let answer = tokio::time::timeout(
        Duration::from_secs(2),
        retrieve(&connection, chunk(0).address()),
    )
    .await;
    assert!(answer.is_err(), "{answer:?}");
    assert!(!client.seen().contains(&Seen::Closed));
}

#[tokio::test]
async fn a_resetting_one_closes_the_connection_after_its_number_of_chunks() {
    let (_node, client, connection) = faulty(Fault::ResetsAfter { chunks: 3 }).await;
    for n in 0..3 {
        retrieve(&connection, chunk(n).address()).await.unwrap();
    }
    let error = retrieve(&connection, chunk(3).address())
        .await
        .err()
        .unwrap();
    assert!(is_cut(&error), "{error}");
    client.wait_closed().await;
}

#[tokio::test]
async fn a_truncating_one_ends_in_the_middle_of_the_message() {
    let (_node, _client, connection) = faulty(Fault::Truncates).await;
    let error = retrieve(&connection, chunk(0).address())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, ProtocolError::Frame(FrameError::Ended)),
        "{error}"
    );
}

#[tokio::test]
async fn a_huge_length_prefix_announces_2_to_the_62_bytes() {
    let (_node, _client, connection) = faulty(Fault::HugeLength).await;
    let error = retrieve(&connection, chunk(0).address())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, ProtocolError::Frame(FrameError::TooLong(len)) if len == 1 << 62),
        "{error}"
    );
}

#[tokio::test]
async fn a_slow_one_waits_before_each_delivery_and_keeps_its_rate_over_all_streams() {
    let (_node, _client, connection) = faulty(Fault::Slow {
        delay: Duration::from_millis(100),
        bytes_per_second: 20_000,
    })
    .await;
    let started = Instant::now();
    let requests = (0..5).map(|n| retrieve(&connection, chunk(n).address()).map_ok(|_| ()));
    futures::future::try_join_all(requests).await.unwrap();
    assert!(
        started.elapsed() > Duration::from_millis(1_100),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_dropper_never_has_the_chunks_it_drops() {
    let chunks = BTreeSet::from([chunk(1).address()]);
    let (_node, _client, connection) = faulty(Fault::Drops { chunks }).await;
    let refusal = retrieve(&connection, chunk(1).address()).await.unwrap();
    assert_eq!(refusal.err, "retrieve chunk: storage: not found");
    let delivery = retrieve(&connection, chunk(2).address()).await.unwrap();
    assert_eq!(delivery.data, chunk(2).data());
}

#[tokio::test]
async fn junk_peers_are_well_formed_and_signed_on_hive_2_0_0_only() {
    for version in [Version::V14, Version::V15] {
        let mut config = config(0x10, Profile::Lan, Generation::Both);
        config.faults = vec![Fault::JunkPeers { count: 95 }];
        let node = Node::start(config).await.unwrap();
        let client = Client::new(1).await;
        client.connect(&node, version).await;
        client
            .wait_for(|_| (client.announced(version).len() == 95).then_some(()))
            .await;
        let records = client.announced(version);
        let overlays: BTreeSet<_> = records.iter().map(|r| r.overlay.clone()).collect();
        assert_eq!(overlays.len(), 95);
        for record in &records {
            let now_s = now_ms() / 1000;
            let check = |version| {
                record::check(
                    version,
                    record::Source::Gossip,
                    record,
                    &[],
                    NETWORK_ID,
                    None,
                    now_s,
                )
            };
            assert!(check(version).is_ok());
            assert_eq!(check(Version::V15).is_ok(), version == Version::V15);
        }
    }
}
