//! `deboot publish --bee-url` against a pretended node that counts, refuses and lies.
mod common;

use common::fake_bee::{FakeBee, Fault};
use common::{expect, pattern, program};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

const BATCH: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn publish(directory: &Path, url: &str, extra: &[&str]) -> Output {
    let mut command = program();
    command
        .current_dir(directory)
        .args(["publish", "file", "--bee-url", url, "--batch", BATCH])
        .args(["--state", "state", "--json"])
        .args(extra);
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn directory(bytes: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), pattern(bytes, 3)).unwrap();
    dir
}

#[test]
fn every_chunk_is_sent_once_and_the_second_run_sends_nothing() {
    let node = FakeBee::start(Fault::None);
    let dir = directory(1_000_000);
    let (reference, _) = expect(dir.path(), 0, &["hash", "file"]);
    let first = publish(dir.path(), &node.url(), &[]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let value = json(&first);
    assert_eq!(value["reference"], reference.trim());
    // 245 leaves, two parents, the root.
    assert_eq!(
        (&value["chunks"], &value["bee"]["uploaded"]),
        (&248.into(), &248.into())
    );
    assert_eq!(value["bee"]["stored_before"], 0);
    assert!(node.holds(reference.trim()));
    assert_eq!((node.uploads(), node.distinct()), (248, 248));
    assert!(
        stderr(&first).contains("batch 11111111: depth 20"),
        "{}",
        stderr(&first)
    );
    let second = json(&publish(dir.path(), &node.url(), &[]));
    assert_eq!(
        (&second["bee"]["uploaded"], &second["bee"]["stored_before"]),
        (&0.into(), &248.into())
    );
    assert_eq!(node.uploads(), 248);
    // A change of one chunk costs that chunk and those above it.
    let mut bytes = pattern(1_000_000, 3);
    bytes[500_000] ^= 1;
    fs::write(dir.path().join("file"), bytes).unwrap();
    let third = json(&publish(dir.path(), &node.url(), &[]));
    assert_eq!(
        (&third["bee"]["uploaded"], &third["bee"]["stored_before"]),
        (&3.into(), &245.into())
    );
    let fresh = json(&publish(dir.path(), &node.url(), &["--fresh"]));
    assert_eq!(fresh["bee"]["uploaded"], 248);
}

#[test]
fn killed_in_the_middle_it_goes_on_and_repeats_at_most_what_was_in_flight() {
    const PARALLEL: usize = 8;
    let node = FakeBee::start(Fault::Slow(Duration::from_millis(20)));
    let dir = directory(2_000_000);
    let mut command = program();
    command
        .current_dir(dir.path())
        .args([
            "publish",
            "file",
            "--bee-url",
            &node.url(),
            "--batch",
            BATCH,
        ])
        .args(["--state", "state", "--parallel", "8"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while node.uploads() < 150 {
        assert!(Instant::now() < deadline, "{} uploads", node.uploads());
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let second = publish(dir.path(), &node.url(), &["--parallel", "8"]);
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    let value = json(&second);
    let total = value["chunks"].as_u64().unwrap();
    let bee = &value["bee"];
    let (sent, before) = (
        bee["uploaded"].as_u64().unwrap(),
        bee["stored_before"].as_u64().unwrap(),
    );
    assert_eq!(sent + before, total);
    assert!(before >= 150 - PARALLEL as u64, "{before}");
    assert_eq!(node.distinct() as u64, total);
    let repeated = node.uploads() - node.distinct();
    assert!(repeated <= PARALLEL, "{repeated} chunks sent twice");
}

#[test]
fn errors_that_pass_are_tried_again() {
    for status in [429, 500, 503] {
        let node = FakeBee::start(Fault::EveryThird(status));
        let dir = directory(100_000);
        let output = publish(dir.path(), &node.url(), &["--parallel", "4"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{status}: {}",
            stderr(&output)
        );
        let bee = &json(&output)["bee"];
        assert!(bee["retries"].as_u64().unwrap() > 0, "{bee}");
        assert_eq!(bee["uploaded"], 26);
    }
}

#[test]
fn each_refusal_says_what_to_do_and_what_is_stored_stays_stored() {
    let cases = [
        (402, "dilute", 1),
        (413, "limits the size of requests", 1),
        (422, "not usable yet", 1),
        (401, "credentials", 1),
        (501, "takes no uploads", 1),
        // Transient, but not for ever.
        (503, "still starting or synchronising", 1),
    ];
    for (status, words, exit) in cases {
        let node = FakeBee::start(Fault::After(10, status));
        let dir = directory(400_000);
        let output = publish(
            dir.path(),
            &node.url(),
            &["--parallel", "2", "--retry-for", "1"],
        );
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(exit), "{status}: {stderr}");
        assert!(stderr.contains(&format!("HTTP {status}")), "{stderr}");
        assert!(stderr.contains(words), "{status}: {stderr}");
        assert!(
            stderr.contains("(the node has 10 of 99 chunks)"),
            "{stderr}"
        );
        let value = json(&output);
        assert_eq!(value["error"]["status"], exit);
        node.set(Fault::None);
        let again = json(&publish(dir.path(), &node.url(), &[]));
        assert_eq!(again["bee"]["stored_before"], 10);
    }
}

#[test]
fn an_unknown_batch_is_not_found() {
    let node = FakeBee::start(Fault::Batch(
        404,
        r#"{"code":404,"message":"issuer does not exist"}"#,
    ));
    let dir = directory(10);
    let output = publish(dir.path(), &node.url(), &[]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = stderr(&output);
    assert!(
        stderr.contains("issuer does not exist") && stderr.contains("does not own that batch"),
        "{stderr}"
    );
    assert_eq!(node.uploads(), 0);
}

#[test]
fn a_batch_without_room_or_life_is_refused_before_anything_is_sent() {
    let full = r#"{"depth":17,"bucketDepth":16,"utilization":2,"usable":true,"immutableFlag":true,"batchTTL":8640000}"#;
    let mutable = full.replace("true,\"batchTTL\"", "false,\"batchTTL\"");
    let short = r#"{"depth":20,"bucketDepth":16,"utilization":2,"usable":true,"immutableFlag":true,"batchTTL":3600}"#;
    let unusable = short.replace("\"usable\":true", "\"usable\":false");
    let cases = [
        (full.to_owned(), "no room for 1 of 1 chunks", 1),
        (mutable, "would overwrite older chunks", 1),
        (short.to_owned(), "less than the 24 h asked for", 1),
        (unusable, "not usable", 1),
        ("{}".to_owned(), "the answer is not bee's: no depth", 6),
        ("<html>".to_owned(), "the answer is not bee's: no JSON", 6),
    ];
    for (body, words, exit) in cases {
        let node = FakeBee::start(Fault::Batch(200, Box::leak(body.clone().into_boxed_str())));
        node.without_buckets();
        let dir = directory(10);
        let output = publish(dir.path(), &node.url(), &[]);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(exit), "{body}: {stderr}");
        assert!(stderr.contains(words), "{body}: {stderr}");
        assert_eq!(node.uploads(), 0);
    }
}

#[test]
fn a_node_that_answers_another_reference_ends_the_upload() {
    let node = FakeBee::start(Fault::Lies);
    let dir = directory(100_000);
    let output = publish(dir.path(), &node.url(), &[]);
    assert_eq!(output.status.code(), Some(6));
    assert!(
        stderr(&output).contains("the node says it stored"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nobody_there_is_status_4_and_a_wrong_command_line_status_2() {
    let dir = directory(10);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let output = publish(dir.path(), &format!("http://127.0.0.1:{port}"), &[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("connection refused") && stderr(&output).contains("1633"));
    let url = "http://127.0.0.1:1";
    for wrong in [
        &["publish", "file", "--bee-url", url][..],
        &["publish", "file", "--batch", BATCH],
        &[
            "publish",
            "file",
            "--bee-url",
            "localhost:1633",
            "--batch",
            BATCH,
        ],
        &["publish", "file", "--bee-url", url, "--batch", "12"],
        &["publish", "file", "--output", "x", "--parallel", "4"],
        &[
            "publish",
            "file",
            "--bee-url",
            url,
            "--batch",
            BATCH,
            "--parallel",
            "0",
        ],
    ] {
        expect(dir.path(), 2, wrong);
    }
}

#[test]
fn waiting_for_storers_ends_when_they_have_everything_or_the_time_is_over() {
    let dir = directory(100_000);
    let node = FakeBee::start(Fault::None);
    let done = publish(dir.path(), &node.url(), &["--wait", "60"]);
    assert_eq!(json(&done)["bee"]["synced"], 26);
    let node = FakeBee::start(Fault::NeverSpreads);
    let output = publish(dir.path(), &node.url(), &["--wait", "1"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(
        stderr(&output).contains("confirmed only 0 of 26 chunks"),
        "{}",
        stderr(&output)
    );
    // What the hint says: the same again has nothing to send, and waits all the same.
    let again = publish(dir.path(), &node.url(), &["--wait", "1"]);
    assert_eq!(again.status.code(), Some(5), "{}", stderr(&again));
    node.set(Fault::None);
    let again = publish(dir.path(), &node.url(), &["--wait", "60"]);
    assert_eq!(json(&again)["bee"]["synced"], 26);
}
