//! Requests of a rust-libp2p client over TCP and QUIC, right and wrong.
mod common;

use bmt::{ChunkAddress, VerifiedChunk};
use bridge::FetchError;
use bridge::backend::Backend;
use common::{Chunks, Client, PATIENCE, Way, config, pattern, publish, set, start};
use content::mantaray::Builder;
use content::{RedundancyLevel, Reference, Splitter};
use fetch::{Record, Walk};
use futures::future::BoxFuture;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::sync::Arc;
use std::time::Duration;

const WAYS: [Way; 2] = [Way::Tcp, Way::Quic];
const MANIFEST: &str = "host-configuration-manifest.json";

/// A release directory: manifest, and a file in a folder.
fn directory(chunks: &mut Chunks, manifest: Reference, file: Reference) -> Reference {
    let mut builder = Builder::new();
    for (path, reference) in [(MANIFEST, manifest), ("boot/kernel", file)] {
        builder.add(path, reference, Default::default());
    }
    builder
        .finish(&mut |chunk: VerifiedChunk| {
            chunks.insert(chunk.address(), chunk);
        })
        .unwrap()
}

/// Reads the records of an answer: chunks, then the end, an error or nothing.
fn records(mut bytes: &[u8]) -> (Vec<(ChunkAddress, Vec<u8>)>, Option<Record<'_>>) {
    let mut chunks = Vec::new();
    loop {
        match Record::decode(bytes).unwrap() {
            Some((Record::Chunk { address, data }, used)) => {
                chunks.push((address, data.to_vec()));
                bytes = &bytes[used..];
            }
            Some((last, used)) => {
                assert!(matches!(last, Record::Missing { .. }) || used == bytes.len());
                return (chunks, Some(last));
            }
            None => {
                assert!(bytes.is_empty());
                return (chunks, None);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_manifests_and_chunks_are_served_over_tcp_and_quic() {
    let mut chunks = Chunks::new();
    let file = pattern(1_500_000, 1);
    let reference = publish(&mut chunks, &file);
    let json = br#"{"schema":"deboot/host-configuration/1"}"#;
    let manifest = publish(&mut chunks, json);
    let release = directory(&mut chunks, manifest, reference);
    let bridge = start(config(), set(&chunks)).await;
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        for request in [
            format!(r#"{{"type":"artifact","hash":"{reference}"}}"#),
            format!(r#"{{"type":"artifact","manifestHash":"{release}/boot/kernel"}}"#),
            format!(r#"{{"type":"artifact","hash":"bzz://{release}","path":"/boot/kernel"}}"#),
        ] {
            let (line, body) = client.ask_line(&(request + "\n")).await;
            assert_eq!(line, serde_json::json!({"ok": true, "size": file.len()}));
            assert!(body == file, "{way:?}");
        }
        for hash in [
            release.to_string(),
            manifest.to_string(),
            format!("{release}/{MANIFEST}"),
        ] {
            let request = format!("{{\"type\":\"manifest\",\"manifest-hash\":\"{hash}\"}}\n");
            let (line, body) = client.ask_line(&request).await;
            assert_eq!(line["size"], json.len());
            assert_eq!(body, json);
        }
        let request = format!("{{\"type\":\"chunks\",\"hash\":\"{reference}\"}}\n");
        let (line, body) = client.ask_line(&request).await;
        assert_eq!(line["size"], file.len());
        let (got, last) = records(&body);
        assert_eq!(last, Some(Record::End));
        let mut walk = Walk::new(reference, 0);
        for (address, data) in &got {
            assert_eq!(walk.expected(), Some(*address));
            walk.advance(&VerifiedChunk::verify(*address, data.clone()).unwrap())
                .unwrap();
        }
        assert_eq!(walk.expected(), None);
        for from in [1, 200, got.len()] {
            let request =
                format!("{{\"type\":\"chunks\",\"hash\":\"{reference}\",\"from\":{from}}}\n");
            let (line, body) = client.ask_line(&request).await;
            assert_eq!(line["size"], file.len());
            let (rest, last) = records(&body);
            assert_eq!(last, Some(Record::End));
            assert!(rest == got[from..], "from {from}");
        }
        // With a path: the directory's chunks first, then the same tree.
        let request = format!("{{\"type\":\"chunks\",\"hash\":\"{release}/boot/kernel\"}}\n");
        let (line, body) = client.ask_line(&request).await;
        assert_eq!(line, serde_json::json!({"ok": true}));
        let (all, last) = records(&body);
        assert_eq!(last, Some(Record::End));
        let (nodes, tree) = all.split_at(all.len() - got.len());
        assert_eq!(nodes[0].0, release.address);
        assert!(tree == got);
        let from = nodes.len() + 3;
        let request =
            format!("{{\"type\":\"chunks\",\"hash\":\"{release}/boot/kernel\",\"from\":{from}}}\n");
        let (_, body) = client.ask_line(&request).await;
        assert!(records(&body).0 == got[3..]);
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_and_redundant_trees_are_walked() {
    let bytes = pattern(900_000, 2);
    let mut chunks = Chunks::new();
    let mut roots = Vec::new();
    for (level, encrypted) in [
        (RedundancyLevel::None, true),
        (RedundancyLevel::Insane, false),
        (RedundancyLevel::Medium, true),
    ] {
        let mut splitter = Splitter::new().with_level(level);
        if encrypted {
            let mut next = 0u64;
            splitter = splitter.with_keys(Box::new(move || {
                next += 1;
                bmt::keccak256(&next.to_le_bytes())
            }));
        }
        let mut sink = |chunk: VerifiedChunk| {
            chunks.insert(chunk.address(), chunk);
        };
        splitter.update(&bytes, &mut sink);
        roots.push(splitter.finish(&mut sink));
    }
    let bridge = start(config(), set(&chunks)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    for root in roots {
        let request = format!("{{\"type\":\"artifact\",\"hash\":\"{root}\"}}\n");
        let (line, body) = client.ask_line(&request).await;
        assert_eq!(line["ok"], true, "{line}");
        assert!(body == bytes, "{root:?}");
        let request = format!("{{\"type\":\"chunks\",\"hash\":\"{root}\"}}\n");
        let (line, body) = client.ask_line(&request).await;
        assert_eq!(line["size"], bytes.len());
        let (got, last) = records(&body);
        assert_eq!(last, Some(Record::End));
        let mut walk = Walk::new(root, 0);
        for (address, data) in got {
            assert_eq!(walk.expected(), Some(address));
            walk.advance(&VerifiedChunk::verify(address, data).unwrap())
                .unwrap();
        }
        assert_eq!(walk.expected(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_where_it_is_missing() {
    let mut chunks = Chunks::new();
    let file = pattern(4096 * 10, 3);
    let reference = publish(&mut chunks, &file);
    let leaf = content::split(&file[4096 * 4..4096 * 5], &mut |_| {}).address;
    chunks.remove(&leaf);
    let bridge = start(config(), set(&chunks)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    let (line, body) = client
        .ask_line(&format!(
            "{{\"type\":\"chunks\",\"hash\":\"{reference}\"}}\n"
        ))
        .await;
    assert_eq!(line["size"], file.len());
    let (before, missing) = records(&body);
    assert_eq!(before.len(), 5, "the root and four leaves");
    assert_eq!(missing, Some(Record::Missing { address: leaf }));
    let skip: usize = before.iter().map(|(_, data)| data.len() + 36).sum();
    let (after, last) = records(&body[skip + 36..]);
    assert_eq!((after.len(), last), (5, Some(Record::End)));
    // A file that cannot be sent whole ends early: fewer bytes than announced.
    let (line, body) = client
        .ask_line(&format!(
            "{{\"type\":\"artifact\",\"hash\":\"{reference}\"}}\n"
        ))
        .await;
    assert_eq!(line["size"], file.len());
    assert!(body.len() < file.len() && body == file[..body.len()]);
    let nowhere = "ab".repeat(32);
    for kind in ["chunks", "artifact", "manifest"] {
        let (line, body) = client
            .ask_line(&format!("{{\"type\":\"{kind}\",\"hash\":\"{nowhere}\"}}\n"))
            .await;
        assert_eq!(line["ok"], false);
        assert_eq!(line["error"], "not found");
        assert_eq!(line["code"], "not-found");
        assert!(body.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_answered_with_their_code() {
    let mut chunks = Chunks::new();
    let reference = publish(&mut chunks, &pattern(100_000, 4));
    let odd = VerifiedChunk::content([0xff; 8], &[1; 64]).unwrap();
    let odd_address = odd.address();
    chunks.insert(odd_address, odd);
    let mut settings = config();
    settings.limits.request_timeout = Duration::from_millis(300);
    let bridge = start(settings, set(&chunks)).await;
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        for (request, code) in [
            (r#"{"type":"blob","hash":"HASH"}"#, "unknown-type"),
            (r#"{"type":"chunks","hash":"12zz"}"#, "bad-hash"),
            (r#"{"type":"chunks","hash":"HASH","from":27}"#, "bad-from"),
            (r#"{"type":"chunks"}"#, "bad-request"),
            ("not json at all", "bad-request"),
            ("\u{0}\u{1}", "bad-request"),
            ("", "bad-request"),
            (r#"{"type":"manifest","hash":"HASH"}"#, "too-large"),
            (r#"{"type":"artifact","hash":"HASH/a/path"}"#, "not-a-file"),
            (r#"{"type":"artifact","hash":"ODD"}"#, "not-a-file"),
        ] {
            let request = request
                .replace("HASH", &reference.to_string())
                .replace("ODD", &odd_address.to_string());
            let (line, body) = client.ask_line(&(request.clone() + "\n")).await;
            assert_eq!(line["ok"], false, "{request}");
            assert_eq!(line["code"], code, "{request}: {line}");
            assert!(body.is_empty());
        }
        // A chunk that is no tree: the chunk, then an error.
        let (_, body) = client
            .ask_line(&format!(
                "{{\"type\":\"chunks\",\"hash\":\"{odd_address}\"}}\n"
            ))
            .await;
        let (got, last) = records(&body);
        assert_eq!(got.len(), 1);
        assert!(matches!(last, Some(Record::Error(_))), "{last:?}");
        let (line, _) = client.ask_line(&" ".repeat(5000)).await;
        assert_eq!(line["code"], "too-long");
        // Half a request, and then nothing.
        let (line, _) = client.ask_line("{\"type\":").await;
        assert_eq!(line["code"], "too-slow");
        // Half-closing ends a request, too.
        let mut stream = client.open().await;
        let request = format!("{{\"type\":\"artifact\",\"hash\":\"{reference}\"}}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.close().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(&pattern(100_000, 4)));
    }
    let text = bridge.metrics.render();
    assert!(
        text.contains("deboot_bridge_errors_total{kind=\"too-long\"} 2"),
        "{text}"
    );
}

/// A back end that answers nothing.
struct Stuck;

impl Backend for Stuck {
    fn chunk(&self, _: ChunkAddress) -> BoxFuture<'_, Result<VerifiedChunk, FetchError>> {
        futures::future::pending().boxed()
    }
}

/// A back end that is down.
struct Down;

impl Backend for Down {
    fn chunk(&self, _: ChunkAddress) -> BoxFuture<'_, Result<VerifiedChunk, FetchError>> {
        let error = FetchError::Unavailable("bee: connection refused".into());
        futures::future::ready(Err(error)).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_that_is_down_or_slow_has_its_code() {
    let hash = "cd".repeat(32);
    let request = format!("{{\"type\":\"chunks\",\"hash\":\"{hash}\"}}\n");
    let bridge = start(config(), Arc::new(Down)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    let (line, _) = client.ask_line(&request).await;
    assert_eq!(line["code"], "unavailable");
    assert_eq!(line["error"], "bee: connection refused");
    let mut settings = config();
    settings.limits.backend_timeout = Duration::from_millis(50);
    let bridge = start(settings, Arc::new(Stuck)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    let (line, _) = client.ask_line(&request).await;
    assert_eq!(line["code"], "timeout");
}

/// What docs/fetch-protocol.md says about spellings and corners.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_read_as_the_page_about_the_protocol_says() {
    let mut chunks = Chunks::new();
    let file = publish(&mut chunks, b"kernel");
    let release = directory(&mut chunks, file, file);
    let node = chunks[&release.address].clone();
    let bridge = start(config(), set(&chunks)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    let release = release.to_string();
    let upper = release.to_uppercase();
    for (rest, code) in [
        (format!(r#""hash":"{release}//boot/kernel""#), None),
        (format!(r#""hash":"{upper}","path":"//boot/kernel""#), None),
        (
            format!(r#""hash":"{release}/boot/kernel","path":"/","from":null"#),
            None,
        ),
        (
            format!(r#""hash":"BZZ://{release}/boot/kernel""#),
            Some("bad-hash"),
        ),
        (
            format!(r#""hash":"0x{release}/boot/kernel""#),
            Some("bad-hash"),
        ),
        (
            format!(r#""hash":"{release}/a","path":"a""#),
            Some("bad-request"),
        ),
        (
            format!(r#""hash":"{release}","manifestHash":"{release}""#),
            Some("bad-request"),
        ),
        (
            format!(r#""hash":"{release}","x":1,"x":1"#),
            Some("bad-request"),
        ),
        (
            format!(r#""hash":"{release}","from":1"#),
            Some("bad-request"),
        ),
        (
            format!(r#""hash":"{release}","from":1e0"#),
            Some("bad-request"),
        ),
    ] {
        let request = format!("{{\"type\":\"artifact\",{rest}}}\n");
        let (line, body) = client.ask_line(&request).await;
        match code {
            Some(code) => assert_eq!(line["code"], code, "{rest}"),
            None => assert_eq!(body, b"kernel", "{rest}: {line}"),
        }
    }
    // A directory is a file, too.
    let request = format!("{{\"type\":\"artifact\",\"hash\":\"{release}\"}}\n");
    let (_, body) = client.ask_line(&request).await;
    assert!(!body.is_empty() && node.data().ends_with(&body));
    let request = format!("{{\"type\":\"chunks\",\"hash\":\"{release}\"}}\n");
    let (line, _) = client.ask_line(&request).await;
    assert_eq!(line["size"], body.len());
    let request = format!("{{\"type\":\"chunks\",\"hash\":\"{release}/nothing\"}}\n");
    let (line, body) = client.ask_line(&request).await;
    assert_eq!(line, serde_json::json!({"ok": true}));
    assert!(matches!(records(&body).1, Some(Record::Error(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_repaired_for_artifact_and_reported_for_chunks() {
    let bytes = pattern(4096 * 300, 9);
    let mut chunks = Chunks::new();
    let mut splitter = Splitter::new().with_level(RedundancyLevel::Medium);
    let mut sink = |chunk: VerifiedChunk| {
        chunks.insert(chunk.address(), chunk);
    };
    splitter.update(&bytes, &mut sink);
    let root = splitter.finish(&mut sink);
    let first = chunks[&root.address].data()[8..40].to_vec();
    let mut without = chunks.clone();
    without.remove(&root.address);
    let bridge = start(config(), set(&without)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    let request = format!("{{\"type\":\"artifact\",\"hash\":\"{root}\"}}\n");
    assert!(client.ask_line(&request).await.1 == bytes);
    let request = format!("{{\"type\":\"chunks\",\"hash\":\"{root}\"}}\n");
    assert_eq!(client.ask_line(&request).await.0["code"], "not-found");
    chunks.retain(|address, _| address.0[..] != first[..]);
    let bridge = start(config(), set(&chunks)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    // The root, and then an intermediate chunk with 119 below it.
    for (from, code) in [(0, None), (1, None), (60, Some("not-found")), (121, None)] {
        let request = format!("{{\"type\":\"chunks\",\"hash\":\"{root}\",\"from\":{from}}}\n");
        let (line, _) = client.ask_line(&request).await;
        assert_eq!(line["code"].as_str(), code, "{from}: {line}");
    }
}

/// The root is asked for, then its replicas, round after round: together they have one deadline.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_begin_is_given_up_in_one_time_limit() {
    let hash = "cd".repeat(32);
    let mut settings = config();
    settings.limits.backend_timeout = Duration::from_secs(2);
    settings.limits.answer_timeout = Duration::from_secs(3);
    let bridge = start(settings, Arc::new(Stuck)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    for kind in ["artifact", "manifest", "chunks"] {
        let request = format!("{{\"type\":\"{kind}\",\"hash\":\"{hash}\"}}\n");
        let answer = client.ask_line(&request);
        let (line, _) = tokio::time::timeout(Duration::from_secs(4), answer)
            .await
            .unwrap();
        assert_eq!(line["code"], "timeout", "{kind}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_content_without_its_key_is_not_a_file() {
    let mut chunks = Chunks::new();
    let mut next = 0u64;
    let mut splitter = Splitter::new().with_keys(Box::new(move || {
        next += 1;
        bmt::keccak256(&next.to_le_bytes())
    }));
    let mut sink = |chunk: VerifiedChunk| {
        chunks.insert(chunk.address(), chunk);
    };
    splitter.update(&pattern(900_000, 8), &mut sink);
    let root = splitter.finish(&mut sink);
    let without = Reference::plain(root.address);
    let wrong = format!("{without}{}", "00".repeat(32));
    let bridge = start(config(), set(&chunks)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    for kind in ["artifact", "manifest"] {
        for hash in [without.to_string(), wrong.clone()] {
            let request = format!("{{\"type\":\"{kind}\",\"hash\":\"{hash}\"}}\n");
            let (line, _) = client.ask_line(&request).await;
            assert_eq!(line["code"], "not-a-file", "{kind}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_streams_are_told_so_and_places_come_back() {
    let mut chunks = Chunks::new();
    let reference = publish(&mut chunks, &pattern(10_000, 5));
    let mut settings = config();
    settings.limits.streams_per_peer_max = 3;
    let bridge = start(settings, set(&chunks)).await;
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        let request = format!("{{\"type\":\"artifact\",\"hash\":\"{reference}\"}}\n");
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = client.open().await;
            stream.write_all(b"{").await.unwrap();
            stream.flush().await.unwrap();
            open.push(stream);
        }
        // The bridge counts a stream when it has seen it.
        let mut code = String::new();
        for _ in 0..100 {
            let (line, _) = client.ask_line(&request).await;
            code = line["code"].as_str().unwrap_or_default().to_owned();
            if code == "busy" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(code, "busy", "{way:?}");
        // Another peer is not concerned.
        let mut other = Client::connect(&bridge, way).await;
        assert_eq!(other.ask_line(&request).await.0["ok"], true);
        drop(open);
        let freed = async {
            while client.ask_line(&request).await.0["ok"] != true {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, freed).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_loses_its_stream() {
    let mut chunks = Chunks::new();
    // More than any window and buffer on the way.
    let reference = publish(&mut chunks, &pattern(24 << 20, 6));
    let mut settings = config();
    settings.limits.reader_timeout = Duration::from_millis(500);
    let bridge = start(settings, set(&chunks)).await;
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        let mut stream = client.open().await;
        let request = format!("{{\"type\":\"chunks\",\"hash\":\"{reference}\"}}\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let before = bridge.metrics.render();
        let lost = async {
            while bridge.metrics.render().matches("kind=\"too-slow\"").count() == 0
                || bridge.metrics.render() == before
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, lost).await.unwrap();
        // Others are served meanwhile and afterwards.
        let mut other = Client::connect(&bridge, way).await;
        let nowhere = "ab".repeat(32);
        let request = format!("{{\"type\":\"chunks\",\"hash\":\"{nowhere}\"}}\n");
        assert_eq!(other.ask_line(&request).await.0["code"], "not-found");
        drop(stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_stops_lets_streams_end_and_exposes_its_figures_until_then() {
    let mut chunks = Chunks::new();
    let reference = publish(&mut chunks, &pattern(8 << 20, 7));
    let mut settings = config();
    settings.metrics = Some("127.0.0.1:0".parse().unwrap());
    let bridge = start(settings, set(&chunks)).await;
    let mut client = Client::connect(&bridge, Way::Tcp).await;
    let mut stream = client.open().await;
    let request = format!("{{\"type\":\"artifact\",\"hash\":\"{reference}\"}}\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    let metrics = scrape(bridge.metrics_address.unwrap()).await;
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    assert!(metrics.contains("deboot_bridge_streams 1"), "{metrics}");
    assert!(metrics.contains("deboot_bridge_backend_latency_seconds_bucket"));
    let stopping = tokio::spawn(bridge.stop());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.ends_with(&pattern(8 << 20, 7)[4 << 20..]),
        "{}",
        rest.len()
    );
    tokio::time::timeout(PATIENCE, stopping)
        .await
        .unwrap()
        .unwrap();
}

async fn scrape(address: std::net::SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}
