//! Networks start, connect, stop and come back.
mod common;

use common::chunks;
use storer::devnet::{ChunkSource, Devnet, DevnetConfig};

#[test]
fn twenty_four_storers_connect_and_share_the_chunks_so_that_none_has_all() {
    let started = std::time::Instant::now();
    let devnet = Devnet::start(DevnetConfig {
        chunks: vec![ChunkSource::Chunks(chunks(500))],
        ..DevnetConfig::default()
    })
    .unwrap();
    eprintln!("24 storers up in {:?}", started.elapsed());
    let nodes = devnet.nodes();
    assert_eq!(nodes.len(), 25);
    assert_eq!(nodes[0].chunks, 0);
    assert_eq!(nodes[0].connected, 24);
    assert_eq!(nodes.iter().map(|n| n.chunks).sum::<usize>(), 1000);
    for node in &nodes[1..] {
        assert!(node.chunks < 150, "{node:?}");
        assert!((4..24).contains(&node.connected), "{node:?}");
    }
    let json = devnet.describe().to_json();
    assert!(json.contains(&devnet.bootnode()));
}

#[test]
fn a_network_and_single_nodes_come_back_with_the_same_identity_and_port() {
    let devnet = Devnet::start(DevnetConfig {
        storers: 5,
        ..DevnetConfig::default()
    })
    .unwrap();
    let addresses = || {
        devnet
            .nodes()
            .into_iter()
            .map(|n| n.listen)
            .collect::<Vec<_>>()
    };
    let before = addresses();
    devnet.restart(0).unwrap();
    devnet.restart(3).unwrap();
    devnet.stop_all();
    assert!(
        devnet
            .nodes()
            .iter()
            .all(|n| !n.running && n.connected == 0)
    );
    devnet.start_all().unwrap();
    assert_eq!(addresses(), before);
    assert!(devnet.nodes().iter().all(|n| n.connected == 5));
}
