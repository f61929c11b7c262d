//! Routes and bad days in whole networks, seen by a client that talks to one node only.
use super::*;
use crate::net::Connection;
use crate::node::tests::client::{Client, retrieve};
use crate::node::tests::{chunk, chunks_at};
use crate::wire::Version;
use bmt::ChunkAddress;
use std::collections::BTreeMap;

fn network(storers: usize, chunks: u32, faults: BTreeMap<usize, Vec<Fault>>) -> Devnet {
    Devnet::start(DevnetConfig {
        storers,
        chunks: vec![ChunkSource::Chunks((0..chunks).map(chunk).collect())],
        faults,
        ..DevnetConfig::default()
    })
    .unwrap()
}

/// Asks for a chunk; says whether the right one came.
async fn get(connection: &Connection, n: u32) -> bool {
    let delivery = retrieve(connection, chunk(n).address()).await.unwrap();
    let right = delivery.data == chunk(n).data();
    assert!(
        right || delivery.data.is_empty(),
        "a wrong chunk was passed on"
    );
    right
}

#[test]
fn every_chunk_is_reached_through_any_one_storer_though_none_has_all() {
    let devnet = network(24, 120, BTreeMap::new());
    let nodes = devnet.nodes();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for entry in [1, 13, 24] {
            let client = Client::new(entry as u8).await;
            let connection = client
                .connect_address(&nodes[entry].listen, Version::V15)
                .await;
            for n in 0..120 {
                assert!(get(&connection, n).await, "chunk {n} through node {entry}");
            }
        }
    });
    let totals = devnet.totals();
    // More hops than requests of ours: some routes have three nodes.
    assert!(totals.requests > 2 * 360, "{totals:?}");
    assert!(totals.chunks_forwarded > 300, "{totals:?}");
    assert_eq!(totals.not_found, 0);
}

#[test]
fn a_liar_and_a_silent_storer_on_the_way_are_routed_around() {
    let faults = BTreeMap::from([(2, vec![Fault::Lies]), (4, vec![Fault::NeverAnswers])]);
    let devnet = network(8, 60, faults);
    let nodes = devnet.nodes();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::new(1).await;
        let connection = client.connect_address(&nodes[6].listen, Version::V14).await;
        let requests = (0..60).map(|n| get(&connection, n));
        let got = futures::future::join_all(requests).await;
        let right = got.iter().filter(|right| **right).count();
        // A chunk both of whose holders are bad cannot be had; with two of eight bad these are few.
        assert!(right >= 50, "{right} of 60");
    });
    assert!(devnet.totals().wrong_chunks > 0);
}

#[test]
fn under_public_limits_storers_pay_each_other_and_nobody_is_dropped() {
    let devnet = Devnet::start(DevnetConfig {
        storers: 4,
        chunks: vec![ChunkSource::Chunks((0..400).map(chunk).collect())],
        replication: 1,
        profile: Profile::Public,
        ..DevnetConfig::default()
    })
    .unwrap();
    let nodes = devnet.nodes();
    let target = ChunkAddress(std::array::from_fn(|_| 0xff));
    let runtime = Runtime::new().unwrap();
    // Forty clients at node 1 ask for chunks of the far half: node 1 forwards them all and owes the others for it.
    runtime.block_on(async {
        let far = chunks_at(&bmt::Overlay(target.0), 1, 60);
        let wanted: Vec<_> = far
            .iter()
            .filter(|c| (0..400).any(|n| chunk(n).address() == c.address()))
            .collect();
        assert!(wanted.len() > 40, "{}", wanted.len());
        let clients = (0..40u8).map(|seed| {
            let (nodes, wanted) = (&nodes, &wanted);
            async move {
                let client = Client::new(seed + 1).await;
                let connection = client.connect_address(&nodes[1].listen, Version::V15).await;
                let mut got = 0;
                for chunk in wanted.iter().skip(usize::from(seed)).take(4) {
                    let delivery = retrieve(&connection, chunk.address()).await.unwrap();
                    got += usize::from(delivery.data == chunk.data());
                }
                got
            }
        });
        let got: usize = futures::future::join_all(clients).await.into_iter().sum();
        assert_eq!(got, 160);
    });
    let totals = devnet.totals();
    assert!(totals.chunks_forwarded >= 160, "{totals:?}");
    assert!(totals.settlements > 0, "{totals:?}");
    assert_eq!(totals.blocklistings, 0);
}

#[test]
fn faults_can_be_changed_while_the_network_runs() {
    let devnet = network(1, 5, BTreeMap::new());
    let nodes = devnet.nodes();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::new(1).await;
        let connection = client.connect_address(&nodes[1].listen, Version::V15).await;
        assert!(get(&connection, 1).await);
        let chunks = BTreeSet::from([chunk(1).address()]);
        devnet.set_faults(1, vec![Fault::Drops { chunks }]).unwrap();
        assert!(!get(&connection, 1).await);
        devnet.set_faults(1, Vec::new()).unwrap();
        assert!(get(&connection, 1).await);
    });
    assert!(devnet.set_faults(2, Vec::new()).is_err());
}

#[test]
fn senseless_configurations_are_refused_with_the_field_named() {
    for (field, config) in [
        (
            "storers",
            DevnetConfig {
                storers: 0,
                ..DevnetConfig::default()
            },
        ),
        (
            "storers",
            DevnetConfig {
                storers: 1001,
                ..DevnetConfig::default()
            },
        ),
        (
            "replication",
            DevnetConfig {
                replication: 0,
                ..DevnetConfig::default()
            },
        ),
        (
            "neighbours_per_bin",
            DevnetConfig {
                neighbours_per_bin: Some(0),
                ..DevnetConfig::default()
            },
        ),
        (
            "base_port",
            DevnetConfig {
                base_port: 65_530,
                ..DevnetConfig::default()
            },
        ),
        (
            "fault",
            DevnetConfig {
                storers: 2,
                faults: BTreeMap::from([(3, vec![Fault::Lies])]),
                ..DevnetConfig::default()
            },
        ),
        (
            "nowhere.tar",
            DevnetConfig {
                storers: 1,
                chunks: vec![ChunkSource::Tar("/nowhere.tar".into())],
                ..DevnetConfig::default()
            },
        ),
    ] {
        let error = Devnet::start(config).err().unwrap().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = DevnetConfig {
        storers: 1,
        base_port: port.min(65_000),
        ..DevnetConfig::default()
    };
    if port < 65_000 {
        let error = Devnet::start(config).err().unwrap().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
    }
}

#[test]
fn the_announced_host_is_told_and_the_listen_address_is_dialed() {
    let devnet = Devnet::start(DevnetConfig {
        storers: 2,
        announce_host: Some("10.0.2.2".parse().unwrap()),
        ..DevnetConfig::default()
    })
    .unwrap();
    assert!(devnet.bootnode().starts_with("/ip4/10.0.2.2/tcp/"));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::new(1).await;
        let boot = &devnet.nodes()[0].listen;
        assert!(boot.starts_with("/ip4/127.0.0.1/tcp/"));
        client.connect_address(boot, Version::V15).await;
        client
            .wait_for(|_| (client.announced(Version::V15).len() == 2).then_some(()))
            .await;
        for record in client.announced(Version::V15) {
            let underlays = crate::record::decode_underlays(&record.underlay).unwrap();
            assert!(underlays[0].to_string().starts_with("/ip4/10.0.2.2/tcp/"));
        }
    });
}

/// Not a test of anything: prints how fast one connection is. Run with `--ignored --nocapture`, in release.
#[test]
#[ignore = "a measurement"]
fn throughput_of_one_connection() {
    let count = 4000;
    let devnet = Devnet::start(DevnetConfig {
        storers: 1,
        replication: 1,
        chunks: vec![ChunkSource::Chunks((0..count).map(chunk).collect())],
        ..DevnetConfig::default()
    })
    .unwrap();
    let nodes = devnet.nodes();
    let addresses: Vec<_> = (0..count).map(|n| chunk(n).address()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use futures::StreamExt;
        let client = Client::new(1).await;
        let connection = client.connect_address(&nodes[1].listen, Version::V15).await;
        for parallel in [1, 16, 128] {
            let started = Instant::now();
            futures::stream::iter(&addresses)
                .for_each_concurrent(parallel, |address| async {
                    retrieve(&connection, *address).await.unwrap();
                })
                .await;
            let seconds = started.elapsed().as_secs_f64();
            eprintln!(
                "{parallel} at once: {:.0} chunks/s, {:.1} MB/s",
                f64::from(count) / seconds,
                f64::from(count) * 4096e-6 / seconds
            );
        }
    });
}
