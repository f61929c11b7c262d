//! Clients that leave, or say too much, and bridges that stop.
mod common;

use bridge::Running;
use common::{Chunks, Client, PATIENCE, Way, config, pattern, publish, quic, set, start};
use futures::{AsyncReadExt, AsyncWriteExt};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

const WAYS: [Way; 2] = [Way::Tcp, Way::Quic];
/// What is at once, and not only when a reader's or a request's time is over.
const SOON: Duration = Duration::from_secs(5);

async fn wait_for_streams(bridge: &Running, count: usize) {
    let line = format!("deboot_bridge_streams {count}\n");
    let seen = async {
        while !bridge.metrics.render().contains(&line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let result = tokio::time::timeout(SOON, seen).await;
    assert!(result.is_ok(), "{}", bridge.metrics.render());
}

/// The window of a connection is smaller than the two answers: the bridge is blocked when the client leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_while_the_connection_is_blocked_ends_at_once() {
    let mut chunks = Chunks::new();
    let reference = publish(&mut chunks, &pattern(24 << 20, 1));
    let bridge = start(config(), set(&chunks)).await;
    let (_endpoint, connection) = quic::connect(&bridge).await;
    let request = format!("{{\"type\":\"chunks\",\"hash\":\"{reference}\"}}\n");
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(quic::ask(&connection, request.as_bytes()).await);
    }
    wait_for_streams(&bridge, 2).await;
    let mut before = String::new();
    // Blocked is who sends nothing any more.
    while before != bridge.metrics.render() {
        before = bridge.metrics.render();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // Resetting the writing half says nothing about what is read: only a bridge that listens can know.
    for (send, _) in &mut streams {
        send.reset(0u32.into()).unwrap();
    }
    wait_for_streams(&bridge, 0).await;
    for (_, recv) in &mut streams {
        recv.stop(0u32.into()).unwrap();
    }
    let nowhere = "ab".repeat(32);
    let request = format!("{{\"type\":\"chunks\",\"hash\":\"{nowhere}\"}}\n");
    let next = async {
        let (_send, mut recv) = quic::ask(&connection, request.as_bytes()).await;
        recv.read_to_end(2000).await.unwrap()
    };
    let answer = tokio::time::timeout(SOON, next).await.unwrap();
    assert!(String::from_utf8(answer).unwrap().contains("not-found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_closing_does_not_end_an_answer() {
    let mut chunks = Chunks::new();
    let bytes = pattern(12 << 20, 2);
    let reference = publish(&mut chunks, &bytes);
    let bridge = start(config(), set(&chunks)).await;
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        let mut stream = client.open().await;
        let request = format!("{{\"type\":\"artifact\",\"hash\":\"{reference}\"}}\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.close().await.unwrap();
        // Long enough for the bridge to see the end while it is blocked.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(answer.ends_with(&bytes), "{way:?}: {}", answer.len());
    }
}

/// A client that first writes everything, and then reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_too_much_is_read_or_reset_but_never_left_waiting() {
    let mut chunks = Chunks::new();
    let small = publish(&mut chunks, b"small");
    let large = publish(&mut chunks, &pattern(24 << 20, 3));
    let bridge = start(config(), set(&chunks)).await;
    let flood = " ".repeat(4 << 20);
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        for request in [
            flood.clone(),
            format!("{{\"type\":\"artifact\",\"hash\":\"{small}\"}}\n{flood}"),
            format!("{{\"type\":\"artifact\",\"hash\":\"{large}\"}}\n{flood}"),
        ] {
            let mut stream = client.open().await;
            let talk = async {
                let written = stream.write_all(request.as_bytes()).await;
                let mut answer = Vec::new();
                let read = stream.read_to_end(&mut answer).await;
                (written, read, answer)
            };
            let result = tokio::time::timeout(SOON, talk).await;
            assert!(result.is_ok(), "{way:?}: {}", &request[..20]);
        }
        wait_for_streams(&bridge, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_a_little_too_long_and_bytes_behind_a_request_are_answered() {
    let mut chunks = Chunks::new();
    let small = publish(&mut chunks, b"small");
    let bridge = start(config(), set(&chunks)).await;
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        let (line, _) = client.ask_line(&" ".repeat(60_000)).await;
        assert_eq!(line["code"], "too-long", "{way:?}");
        let request = format!("{{\"type\":\"artifact\",\"hash\":\"{small}\"}}\n");
        let (_, body) = client.ask_line(&(request + &" ".repeat(60_000))).await;
        assert_eq!(body, b"small", "{way:?}");
        // Half-closed requests: the newline that is not there counts.
        for (length, code) in [(4095, "bad-request"), (4096, "too-long")] {
            let mut stream = client.open().await;
            stream.write_all(&vec![b' '; length]).await.unwrap();
            stream.close().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.contains(code), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_stops_says_so_to_unfinished_requests() {
    let bridge = start(config(), set(&Chunks::new())).await;
    let mut streams = Vec::new();
    let mut clients = Vec::new();
    for way in WAYS {
        let mut client = Client::connect(&bridge, way).await;
        let mut stream = client.open().await;
        stream.write_all(b"{").await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
        clients.push(client);
    }
    wait_for_streams(&bridge, 2).await;
    let stopping = tokio::spawn(bridge.stop());
    for mut stream in streams {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(SOON, read).await.unwrap().unwrap();
        assert!(answer.contains("shutting-down"), "{answer}");
    }
    tokio::time::timeout(SOON, stopping).await.unwrap().unwrap();
}

/// Starts the program itself: a runtime that goes on would send what the program leaves unsent.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_closes_quic_connections_before_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let set = directory.path().join("chunks.tar");
    let mut chunks = Chunks::new();
    publish(&mut chunks, b"small");
    common::write_set(&set, &chunks);
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_deboot-bridge"))
        .arg("--chunks")
        .arg(&set)
        .arg("--identity")
        .arg(directory.path().join("identity"))
        .args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
        .args(["--metrics", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut address = None;
    let mut said = Vec::new();
    while said.last().is_none_or(|word| word != "ready") {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(listening) = line.strip_prefix("listening ") {
            address = Some(listening.parse().unwrap());
        }
        said.push(line.split(' ').next().unwrap().to_owned());
    }
    assert_eq!(said, ["listening", "metrics", "ready"]);
    let (_endpoint, connection) = quic::connect_to(&address.unwrap()).await;
    let id = program.id().unwrap().to_string();
    let kill = tokio::process::Command::new("kill").arg(id).status().await;
    assert!(kill.unwrap().success());
    let closed = tokio::time::timeout(SOON, connection.closed()).await;
    let closed = closed.expect("the client is told");
    assert!(
        matches!(closed, quinn::ConnectionError::ApplicationClosed(_)),
        "{closed}"
    );
    let status = tokio::time::timeout(SOON, program.wait()).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(0));
}
