//! Writes the seeds that are made by a program: good input of every kind. `cargo run -p deboot-fuzz --example seeds`
//!
//! Seeds found by fuzzing have other names and stay.
use bmt::{EthAddress, SecretKey, VerifiedChunk};
use content::feed::{Index, Topic, sign_reference, sign_root};
use content::mantaray::Builder;
use content::{Reference, split};
use p2p::{Keypair, Multiaddr};
use std::collections::BTreeMap;
use std::path::Path;
use swarm::messages::{
    Ack, AddressRecord, AnnouncePaymentThreshold, Delivery, Payment, PaymentAck, Peers, Request,
    Snapshot, StatusGet, Syn, SynAck, Version, encode_underlays,
};

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = fuzz::corpus(target);
    std::fs::create_dir_all(&directory).expect("the corpus can be written");
    std::fs::write(directory.join(name), bytes).expect("the corpus can be written");
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32]).expect("a valid key")
}

fn main() {
    chunks();
    trees();
    names();
    fetch();
    libp2p();
    messages();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deboot.toml");
    write(
        "config",
        "documented",
        &std::fs::read(docs).expect("docs/deboot.toml"),
    );
    write(
        "config",
        "short",
        b"reference = \"\"\n[network]\ndhcp = true\n",
    );
}

fn with_address(chunk: &VerifiedChunk) -> Vec<u8> {
    [&chunk.address().0, chunk.data()].concat()
}

fn chunks() {
    let content = VerifiedChunk::content(5u64.to_le_bytes(), b"hello").expect("short");
    write("chunk", "content", &with_address(&content));
    let empty = VerifiedChunk::content([0; 8], b"").expect("short");
    write("chunk", "empty", &with_address(&empty));
    let full = VerifiedChunk::content(4096u64.to_le_bytes(), &[0xa5; 4096]).expect("4096 bytes");
    write("chunk", "full", &with_address(&full));
    let owned = VerifiedChunk::single_owner([3; 32], &key(), 5u64.to_le_bytes(), b"hello");
    write(
        "chunk",
        "single-owner",
        &with_address(&owned.expect("short")),
    );
}

/// One record of a tape: see `tape.rs`.
fn record(span: u64, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = span.to_le_bytes().to_vec();
    out.push(u8::try_from(parts.len()).expect("few parts"));
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Bytes as they are.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in bytes.chunks(127) {
        out.push(u8::try_from(piece.len()).expect("at most 127"));
        out.extend_from_slice(piece);
    }
    out
}

fn trees() {
    write(
        "tree",
        "one-leaf",
        &[vec![0], record(3, &[&plain(b"abc")])].concat(),
    );
    // 4096 bytes in 33 parts.
    let parts: Vec<Vec<u8>> = [7u8; 4096].chunks(127).map(plain).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let full = record(4096, &parts);
    let tail = record(4, &[&plain(b"tail")]);
    let two = record(4100, &[&[129, 0], &[128, 0]]);
    write(
        "tree",
        "two-leaves",
        &[&[0], full.as_slice(), &tail, &two].concat(),
    );
    write(
        "tree",
        "two-leaves-encrypted",
        &[&[1], full.as_slice(), &tail, &two].concat(),
    );
    // The same leaf 128 times.
    let many: Vec<&[u8]> = vec![&[128, 0]; 128];
    let many = record(128 * 4096, &many);
    let higher = record(256 * 4096, &[&[128, 0], &[128, 0]]);
    let two_levels = [&[0], full.as_slice(), &many, &higher].concat();
    write("tree", "two-levels", &two_levels);
    for from in [0, 1, 130, 255] {
        let bytes = [&[0, from], two_levels.get(1..).unwrap_or(&[])].concat();
        write("fetch_walk", &format!("from-{from}"), &bytes);
    }
    // Redundancy level 1 in the span of the root: two data references and as many parities as there are.
    let level = 4100 | (0x81 << 56);
    let parities: Vec<&[u8]> = [&[129u8, 0][..], &[128, 0]]
        .into_iter()
        .chain(vec![&[128u8, 0][..]; 3])
        .collect();
    let redundant = record(level, &parities);
    write(
        "tree",
        "redundant",
        &[&[0], full.as_slice(), &tail, &redundant].concat(),
    );
    write("feed", "root", &tail);
    write(
        "feed",
        "reference",
        &record(40, &[&plain(&[0; 8]), &plain(&[9; 32])]),
    );
    write(
        "feed",
        "encrypted-reference",
        &record(72, &[&plain(&[0; 8]), &plain(&[9; 64])]),
    );
    directories();
}

fn fetch() {
    let reference = Reference::plain(bmt::ChunkAddress([0xab; 32]));
    let mut request = fetch::Request::new(fetch::Kind::Manifest, reference);
    write("fetch_request", "manifest", &request.encode());
    request = fetch::Request::new(fetch::Kind::Chunks, reference);
    request.path = Some("boot/vmlinuz".to_owned());
    request.from = 130;
    write("fetch_request", "chunks", &request.encode());
    let older =
        format!("{{\"type\":\"artifact\",\"manifestHash\":\"bzz://{reference}{reference}/a\"}}\n");
    write("fetch_request", "older", older.as_bytes());
    let chunk = VerifiedChunk::content(5u64.to_le_bytes(), b"hello").expect("short");
    let mut answer = Vec::new();
    fetch::Answer::Ok { size: Some(5) }.encode(&mut answer);
    let (address, data) = (chunk.address(), chunk.data());
    fetch::Record::Chunk { address, data }.encode(&mut answer);
    fetch::Record::Missing { address }.encode(&mut answer);
    fetch::Record::End.encode(&mut answer);
    write("fetch_answer", "chunks", &answer);
    let error = fetch::Answer::error(fetch::Code::NotFound, "not found");
    answer.clear();
    error.encode(&mut answer);
    write("fetch_answer", "error", &answer);
    answer.clear();
    fetch::Record::Error(error).encode(&mut answer);
    write("fetch_answer", "error-record", &answer);
}

fn directories() {
    let mut found = Vec::new();
    let mut sink = |chunk: VerifiedChunk| found.push(chunk);
    let file = split(b"a file", &mut sink);
    let mut builder = Builder::new();
    let metadata = BTreeMap::from([("Content-Type".to_owned(), "text/plain".to_owned())]);
    builder.add("index.html", file, metadata);
    builder.add("a/b", file, BTreeMap::new());
    builder.add_metadata(
        "/",
        BTreeMap::from([("website-index-document".to_owned(), "index.html".to_owned())]),
    );
    builder.finish(&mut sink).expect("a small directory");
    // As raw bytes: the references inside lead to nodes that come before in the tape only by accident, so each node is a seed.
    for (number, chunk) in found.iter().enumerate() {
        let span = u64::from_le_bytes(chunk.span_bytes());
        let parts: Vec<Vec<u8>> = chunk.payload().chunks(127).map(plain).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        write(
            "mantaray",
            &format!("node-{number}"),
            &[vec![0], record(span, &parts)].concat(),
        );
    }
    // All of them in one tape, children before parents.
    let mut all = vec![0];
    for chunk in &found {
        let parts: Vec<Vec<u8>> = chunk.payload().chunks(127).map(plain).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        all.extend(record(u64::from_le_bytes(chunk.span_bytes()), &parts));
    }
    write("mantaray", "directory", &all);
}

fn names() {
    let hex = "27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23";
    write("reference", "plain", hex.as_bytes());
    write("reference", "encrypted", hex.repeat(2).as_bytes());
    write("reference", "bytes", &[0x5a; 32]);
    write("reference", "bytes-encrypted", &[0x5a; 64]);
    let owner = EthAddress([0x8d; 20]);
    let owner: String = owner.0.iter().map(|byte| format!("{byte:02x}")).collect();
    write("reference", "feed", format!("{owner}/{hex}").as_bytes());
    write(
        "reference",
        "feed-text",
        format!("0x{owner}/releases").as_bytes(),
    );
    let manifest = format!(
        r#"{{"schema":"deboot/host-configuration/1","name":"example-host","version":"2026.11.3","sequence":17,"architecture":"x86_64",
"kernel":{{"reference":"{hex}","size":8123456}},"initramfs":[{{"reference":"{hex}{hex}","size":20123456}}],"cmdline":"console=ttyS0 quiet",
"update":{{"feed":"{owner}/{hex}","ens":"name.eth"}}}}"#
    );
    write("manifest", "whole", manifest.as_bytes());
    write("manifest", "empty-object", b"{}");
    write(
        "config",
        "reference",
        format!("reference = \"{hex}\"\n").as_bytes(),
    );
}

fn libp2p() {
    for (name, text) in [
        ("ip4", "/ip4/127.0.0.1/tcp/1634"),
        ("ip6", "/ip6/::1/tcp/1634"),
        ("dns", "/dnsaddr/mainnet.ethswarm.org"),
        (
            "peer",
            "/ip4/10.0.0.1/tcp/1634/p2p/QmP9b7MxjyEfrJrch5jUThmuFaGzvUPpWEJewCpx5Ln6i8",
        ),
    ] {
        write("multiaddr", name, text.as_bytes());
        let address: Multiaddr = text.parse().expect("a multiaddr");
        write("multiaddr", &format!("{name}-bytes"), &address.encode());
    }
    let pair = Keypair::ed25519(&[7; 32]);
    write("peer_key", "ed25519", &pair.public().encode());
    write("peer_key", "id", pair.public().peer_id().as_bytes());
    write(
        "peer_key",
        "base58",
        pair.public().peer_id().to_base58().as_bytes(),
    );
    let token = |text: &str| {
        [
            &[u8::try_from(text.len() + 1).expect("short")],
            text.as_bytes(),
            b"\n",
        ]
        .concat()
    };
    let header = token("/multistream/1.0.0");
    for protocol in [
        "na",
        "/yamux/1.0.0",
        "/swarm/retrieval/1.4.0/retrieval",
        "/unknown/1.0.0",
    ] {
        let name = protocol.trim_matches('/').replace('/', "-");
        let bytes = [header.clone(), token(protocol), token("/ipfs/id/1.0.0")].concat();
        write("multistream", &name, &bytes);
        write("connection", &name, &bytes);
    }
    let noise = [header, token("/noise"), [&[0, 32][..], &[9; 32]].concat()].concat();
    write("connection", "noise", &noise);
    write("noise", "first", &[9; 32]);
    write("noise", "second", &[9; 96 + 150]);
    let signed = [b"noise-libp2p-static-key:".as_slice(), &[1; 32]].concat();
    let signature = pair.sign(&signed);
    let public = pair.public().encode();
    let field =
        |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).expect("short")], body].concat();
    let extension = field(0x22, &field(0x12, b"/yamux/1.0.0"));
    let payload = [field(0x0a, &public), field(0x12, &signature), extension].concat();
    write("noise", "payload", &payload);
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/1634".parse().expect("a multiaddr");
    let identify = [
        field(0x0a, &public),
        field(0x12, &address.encode()),
        field(0x1a, b"/ipfs/ping/1.0.0"),
        field(0x22, &address.encode()),
        field(0x32, b"bee/2.8.1"),
    ]
    .concat();
    write(
        "identify",
        "whole",
        &[vec![u8::try_from(identify.len()).expect("short")], identify].concat(),
    );
    yamux();
}

fn yamux() {
    let frame = |kind: u8, flags: u8, stream: u32, length: u32, data: &[u8]| {
        [
            &[0, kind, 0, flags],
            stream.to_be_bytes().as_slice(),
            &length.to_be_bytes(),
            data,
        ]
        .concat()
    };
    let open = frame(1, 1, 1, 0, &[]);
    let data = frame(0, 0, 1, 5, b"hello");
    let end = frame(0, 4, 1, 0, &[]);
    write(
        "yamux",
        "stream",
        &[open.clone(), data.clone(), end].concat(),
    );
    write(
        "yamux",
        "reset",
        &[open.clone(), frame(0, 8, 1, 0, &[])].concat(),
    );
    write(
        "yamux",
        "even",
        &[
            frame(1, 2, 2, 0, &[]),
            frame(1, 1, 2, 65536, &[]),
            data.clone(),
        ]
        .concat(),
    );
    write(
        "yamux",
        "ping",
        &[frame(2, 1, 0, 7, &[]), frame(2, 2, 0, 7, &[])].concat(),
    );
    write("yamux", "go-away", &frame(3, 0, 0, 1, &[]));
    let many: Vec<u8> = (0..12)
        .flat_map(|n| frame(0, 1, 2 * n + 1, 4, b"data"))
        .collect();
    write("yamux", "many", &many);
    write(
        "yamux",
        "window",
        &[open, frame(1, 0, 1, u32::MAX, &[]), data].concat(),
    );
}

fn messages() {
    let underlay: Multiaddr = "/ip4/127.0.0.1/tcp/1634".parse().expect("a multiaddr");
    for (version, name) in [(Version::V14, "14"), (Version::V15, "15")] {
        let underlays = encode_underlays(std::slice::from_ref(&underlay));
        let record = AddressRecord::sign(version, &key(), 10, [2; 32], 1_700_000_000, underlays);
        let ack = Ack {
            record: record.clone(),
            network_id: 10,
            full_node: true,
            welcome: "hello".to_owned(),
        };
        write("handshake", &format!("ack-{name}"), &ack.encode(version));
        let observed = encode_underlays(std::slice::from_ref(&underlay));
        let syn = Syn {
            observed_underlay: observed,
        };
        write("handshake", &format!("syn-{name}"), &syn.encode());
        write(
            "handshake",
            &format!("syn-ack-{name}"),
            &SynAck { syn, ack }.encode(version),
        );
        let peers = Peers {
            records: vec![record; 2],
            refused: 0,
        };
        write("hive", name, &peers.encode(version));
    }
    small_messages();
    let reference = Reference::plain(bmt::ChunkAddress([9; 32]));
    let topic = Topic([2; 32]);
    let v1 = sign_reference(&key(), topic, Index::Sequence(0), 1_700_000_000, &reference);
    write("chunk", "feed-v1", &with_address(&v1.expect("a good key")));
    let root = VerifiedChunk::content(5u64.to_le_bytes(), b"hello").expect("short");
    let v2 = sign_root(&key(), topic, Index::Sequence(1), &root).expect("a good key");
    write("chunk", "feed-v2", &with_address(&v2));
}

fn small_messages() {
    write("messages", "empty", &[0]);
    write(
        "messages",
        "request",
        &Request {
            address: bmt::ChunkAddress([3; 32]),
        }
        .encode(),
    );
    write(
        "messages",
        "delivery",
        &Delivery {
            data: &[5; 300],
            error: &[],
        }
        .encode(),
    );
    write(
        "messages",
        "refusal",
        &Delivery {
            data: &[],
            error: b"not found",
        }
        .encode(),
    );
    write(
        "messages",
        "threshold",
        &AnnouncePaymentThreshold {
            threshold: 13_500_000,
        }
        .encode(),
    );
    write(
        "messages",
        "payment",
        &Payment { amount: 4_500_000 }.encode(),
    );
    write(
        "messages",
        "payment-ack",
        &PaymentAck {
            amount: 4_500_000,
            timestamp: 1_700_000_000,
        }
        .encode(),
    );
    write("messages", "status-get", &StatusGet.encode());
    write("messages", "snapshot", &Snapshot::default().encode());
}
