//! The client and the program against devnets: storers on rust-libp2p, real sockets, every chunk routed.
mod common;

use client::{Config, RunError, Session};
use common::{NO_SUCH_REFERENCE, expect, pattern, program, run};
use content::split;
use deboot::fetch::{Destination, Fetched, Gauge, Limits, Part, fetch};
use deboot::measure::{PublicProfile, public_profile};
use deboot::source::{Source, SourceError};
use deboot::target::{Name, Target};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use storer::devnet::{ChunkSource, Devnet, DevnetConfig};
use storer::{Fault, Generation, Profile};

const MINUTE: Duration = Duration::from_secs(60);

struct Net {
    devnet: Devnet,
    reference: content::Reference,
    bytes: Vec<u8>,
}

impl Net {
    fn start(length: usize, config: DevnetConfig) -> Self {
        let bytes = pattern(length, 7);
        let mut chunks = Vec::new();
        let reference = split(&bytes, &mut |chunk| chunks.push(chunk));
        let devnet = Devnet::start(DevnetConfig {
            storers: 8,
            chunks: vec![ChunkSource::Chunks(chunks)],
            ..config
        })
        .unwrap();
        Self {
            devnet,
            reference,
            bytes,
        }
    }

    fn source(&self, generation: swarm::Generation) -> Source {
        let bootnode = self.devnet.bootnode().parse().unwrap();
        let mut config = Config::new(10, vec![bootnode]).unwrap();
        config.node.generation = generation;
        Source::Network(Box::new(Session::new(config).unwrap()))
    }

    fn fetch(&self, source: &mut Source, timeout: Duration) -> Fetched {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let target = Target {
            name: Name::Reference(self.reference),
            path: None,
        };
        let limits = Limits {
            timeout: Some(timeout),
            size_max: u64::MAX,
        };
        let destination = Destination::File(path.clone());
        let fetched = fetch(
            source,
            &target,
            (&Part::default(), &destination),
            limits,
            &Gauge::default(),
            &mut (),
        );
        let fetched = fetched.unwrap_or_else(|e| panic!("{e}; {:?}", self.devnet.totals()));
        assert!(std::fs::read(&path).unwrap() == self.bytes, "other bytes");
        fetched
    }
}

#[test]
fn both_generations_fetch_from_both_profiles_and_are_never_blocklisted() {
    use swarm::Generation::{Auto, V14, V15};
    for (network, client, length, profile) in [
        (Generation::Fourteen, Auto, 2_000_001, Profile::Lan),
        (Generation::Fifteen, Auto, 2_000_001, Profile::Lan),
        (Generation::Both, V14, 500_000, Profile::Lan),
        (Generation::Both, V15, 500_000, Profile::Lan),
        (Generation::Fourteen, V14, 300_000, Profile::Public),
        (Generation::Fifteen, V15, 300_000, Profile::Public),
    ] {
        let net = Net::start(
            length,
            DevnetConfig {
                generation: network,
                profile,
                ..DevnetConfig::default()
            },
        );
        let mut source = net.source(client);
        let fetched = net.fetch(&mut source, MINUTE);
        source.close();
        let totals = net.devnet.totals();
        eprintln!("{network:?} {profile:?}: {fetched:?}");
        assert_eq!(totals.blocklistings, 0);
        assert_eq!(totals.disconnects_for_debt, 0);
        assert!(fetched.peers_used >= 4, "{fetched:?}");
        // Leaves, their parents, the root.
        let leaves = length.div_ceil(4096) as u64;
        assert!(fetched.chunks > leaves && fetched.chunks <= leaves + 6);
    }
}

#[test]
fn a_warm_session_serves_several_runs_and_needs_no_new_handshakes() {
    let net = Net::start(400_000, DevnetConfig::default());
    let mut source = net.source(swarm::Generation::Auto);
    net.fetch(&mut source, MINUTE);
    if let Source::Network(session) = &mut source {
        session.idle(Duration::from_secs(1), &mut ()).unwrap();
    }
    let before = net.devnet.totals().handshakes;
    let second = net.fetch(&mut source, MINUTE);
    assert_eq!(net.devnet.totals().handshakes, before);
    assert!(second.elapsed < Duration::from_secs(20), "{second:?}");
}

/// A name server that answers every TXT question with one string.
fn txt_server(text: String) -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // The question without its EDNS record, then one answer that points back to the name.
            let mut reply = buffer[..length - 11].to_vec();
            reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            reply.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9]);
            let part = u8::try_from(text.len()).unwrap();
            reply.extend_from_slice(&(u16::from(part) + 1).to_be_bytes());
            reply.push(part);
            reply.extend_from_slice(text.as_bytes());
            if socket.send_to(&reply, from).is_err() {
                return;
            }
        }
    });
    address
}

#[test]
fn bootnodes_are_found_by_their_txt_records() {
    let net = Net::start(100_000, DevnetConfig::default());
    let server = txt_server(format!("dnsaddr={}", net.devnet.bootnode()));
    let bootnode = "/dnsaddr/testnet.example.org".parse().unwrap();
    let mut config = Config::new(10, vec![bootnode]).unwrap();
    config.nameservers = vec![server];
    let mut source = Source::Network(Box::new(Session::new(config).unwrap()));
    net.fetch(&mut source, MINUTE);
}

#[test]
fn a_name_that_does_not_exist_is_named_in_the_error() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let bootnode = "/dnsaddr/nowhere.example.org".parse().unwrap();
    let mut config = Config::new(10, vec![bootnode]).unwrap();
    config.nameservers = vec![silent.local_addr().unwrap()];
    config.dns_timeout = Duration::from_millis(100);
    config.bootstrap_timeout = Duration::from_secs(2);
    let mut session = Session::new(config).unwrap();
    let mut join = content::Join::new(
        NO_SUCH_REFERENCE.parse().unwrap(),
        content::JoinConfig {
            size_max: 1,
            in_flight_max: 1,
            ordered: true,
        },
    );
    let error = session.run(&mut join, Some(MINUTE), &mut ()).unwrap_err();
    let message = error.to_string();
    let expected = "_dnsaddr.nowhere.example.org: no TXT record found";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn bad_storers_cost_time_and_never_a_wrong_byte() {
    let faults = BTreeMap::from([
        (1, vec![Fault::Lies]),
        (3, vec![Fault::NeverAnswers]),
        (5, vec![Fault::ResetsAfter { chunks: 3 }]),
        (7, vec![Fault::Truncates]),
    ]);
    let net = Net::start(
        400_000,
        DevnetConfig {
            faults,
            replication: 6,
            ..DevnetConfig::default()
        },
    );
    let mut source = net.source(swarm::Generation::Auto);
    net.fetch(&mut source, 2 * MINUTE);
}

#[test]
fn what_is_new_against_a_reference_is_told_from_few_chunks_of_the_network() {
    let net = Net::start(2_000_001, DevnetConfig::default());
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = net.bytes.clone();
    bytes[1_000_000] ^= 1;
    std::fs::write(dir.path().join("file"), bytes).unwrap();
    let (reference, peer) = (net.reference.to_hex(), net.devnet.bootnode());
    let network = ["--peer", &peer, "--network-id", "10", "--timeout", "60"];
    let publish = ["publish", "file", "--output", "set.tar", "--json"];
    let arguments = [&publish[..], &["--previous", &reference], &network].concat();
    let (stdout, stderr) = expect(dir.path(), 0, &arguments);
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let previous = &said["previous"];
    // 489 leaves, their four parents, the root.
    assert_eq!(said["chunks"], 494);
    assert_eq!(
        (&previous["new"], &previous["known"]),
        (&3.into(), &491.into())
    );
    assert_eq!(previous["chunks_read"], 5);
    assert!(stderr.contains("3 of 494 chunks"), "{stderr}");
    // Nobody has it: nothing is published.
    std::fs::remove_file(dir.path().join("set.tar")).unwrap();
    let previous = ["--previous", NO_SUCH_REFERENCE];
    let output = run(dir.path(), &[&publish[..], &previous, &network].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(3 | 5)), "{stderr}");
    assert!(stderr.contains("deadbeef is not available"), "{stderr}");
    assert!(!dir.path().join("set.tar").exists());
}

#[test]
fn the_whole_network_restarted_in_the_middle_is_survived() {
    let net = Net::start(
        300_000,
        DevnetConfig {
            profile: Profile::Public,
            ..DevnetConfig::default()
        },
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            net.devnet.stop_all();
            std::thread::sleep(Duration::from_secs(2));
            net.devnet.start_all().unwrap();
        });
        let mut source = net.source(swarm::Generation::Auto);
        net.fetch(&mut source, 3 * MINUTE);
    });
}

#[test]
fn a_reference_nobody_has_is_an_error_within_a_bounded_time() {
    let net = Net::start(10_000, DevnetConfig::default());
    let start = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let peer = net.devnet.bootnode();
    let arguments = [
        "fetch",
        NO_SUCH_REFERENCE,
        "--peer",
        &peer,
        "--network-id",
        "10",
    ];
    let output = run(dir.path(), &arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(3 | 5)), "{stderr}");
    // The root and the last of its replicas that was asked for.
    assert!(stderr.contains("deadbeef is not available"), "{stderr}");
    assert!(stderr.contains("was not found"), "{stderr}");
    assert!(start.elapsed() < 2 * MINUTE);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn no_peer_within_reach_is_status_4_and_says_what_was_tried() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let bootnode = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let mut config = Config::new(10, vec![bootnode]).unwrap();
    config.bootstrap_timeout = Duration::from_secs(3);
    let mut source = Source::Network(Box::new(Session::new(config).unwrap()));
    let target: Target = NO_SUCH_REFERENCE.parse().unwrap();
    let limits = Limits {
        timeout: Some(MINUTE),
        size_max: u64::MAX,
    };
    let error = fetch(
        &mut source,
        &target,
        (&Part::default(), &Destination::File("/nowhere/x".into())),
        limits,
        &Gauge::default(),
        &mut (),
    );
    let error = error.unwrap_err();
    assert!(
        matches!(&error, deboot::fetch::FetchError::Output(_)),
        "{error}"
    );
    let dir = tempfile::tempdir().unwrap();
    let error = fetch(
        &mut source,
        &target,
        (&Part::default(), &Destination::File(dir.path().join("x"))),
        limits,
        &Gauge::default(),
        &mut (),
    )
    .unwrap_err();
    let deboot::fetch::FetchError::Download(cause) = &error else {
        panic!("{error}");
    };
    assert!(matches!(
        **cause,
        SourceError::Network(RunError::NoPeers { .. })
    ));
    let message = error.to_string();
    let expected = format!("127.0.0.1:{port}: connection refused");
    assert!(message.contains(&expected), "{message}");
    let failure = deboot::cli::Failure::from(error);
    assert_eq!(failure.status, deboot::cli::ExitStatus::NoPeers);
}

#[test]
fn a_deadline_is_kept() {
    let net = Net::start(
        3_000_000,
        DevnetConfig {
            profile: Profile::Public,
            ..DevnetConfig::default()
        },
    );
    let dir = tempfile::tempdir().unwrap();
    let reference = net.reference.to_hex();
    let peer = net.devnet.bootnode();
    let start = Instant::now();
    let arguments = [
        "fetch",
        &reference,
        "--peer",
        &peer,
        "--network-id",
        "10",
        "--timeout",
        "4",
        "--progress",
        "-v",
    ];
    let (_, stderr) = expect(dir.path(), 5, &arguments);
    assert!(start.elapsed() < Duration::from_secs(15));
    assert!(stderr.contains("not finished within 4 s"), "{stderr}");
    assert!(stderr.contains("ready (generation 15"), "{stderr}");
    assert!(stderr.contains("% "), "no progress: {stderr}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The devnet verb as a user runs it: publish, serve, list, fetch, end with standard input.
#[test]
fn the_devnet_verb_serves_what_was_published_and_ends_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    common::release_directory(dir.path());
    let publish = ["publish", "release", "--output", "chunks.tar"];
    let reference = expect(dir.path(), 0, &publish).0.trim().to_owned();
    let mut devnet = program()
        .current_dir(dir.path())
        .args(["devnet", "--storers", "6", "--chunks", "chunks.tar"])
        .args(["--description", "net.json", "--stop-on-stdin-close"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(devnet.stdout.take().unwrap());
    let mut text = String::new();
    while !text.ends_with("\n}\n") {
        assert!(
            stdout.read_line(&mut text).unwrap() > 0,
            "no description: {text}"
        );
    }
    let description: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        std::fs::read_to_string(dir.path().join("net.json")).unwrap(),
        text
    );
    let peer = description["bootnode"].as_str().unwrap();
    let network = ["--peer", peer, "--network-id", "10", "--timeout", "60"];

    let mut ls = vec!["ls", &reference];
    ls.extend(network);
    let (listing, _) = expect(dir.path(), 0, &ls);
    assert!(listing.contains("     1200003 initramfs.img"), "{listing}");
    let target = format!("{reference}/initramfs.img");
    let mut fetch = vec!["fetch", &target, "--json"];
    fetch.extend(network);
    let (summary, _) = expect(dir.path(), 0, &fetch);
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert!(summary["peers_used"].as_u64().unwrap() >= 3, "{summary}");
    let fetched = std::fs::read(dir.path().join("initramfs.img")).unwrap();
    assert!(fetched == pattern(1_200_003, 2), "other bytes");
    let target = format!("{reference}/initramfs.im");
    let mut fetch = vec!["fetch", &target];
    fetch.extend(network);
    expect(dir.path(), 3, &fetch);

    drop(devnet.stdin.take());
    let ended = wait(&mut devnet, Duration::from_secs(20));
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

fn wait(child: &mut std::process::Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// The claim for the public profile, in a short form; `cargo xtask bench` measures for longer.
#[test]
fn at_least_nine_tenths_of_the_public_allowance_are_used_without_being_blocklisted() {
    let report = public_profile(&PublicProfile {
        window: Duration::from_secs(20),
        ..PublicProfile::default()
    })
    .unwrap();
    eprintln!("{:.3} of the allowance: {report:?}", report.ratio());
    assert_eq!(report.counters.blocklistings, 0);
    assert_eq!(report.counters.disconnects_for_debt, 0);
    assert!(report.ratio() >= 0.9, "{:.3}: {report:?}", report.ratio());
}

/// Ctrl-C ends a fetch in order: status 130, no file and no temporary file.
#[test]
fn a_signal_ends_a_fetch_without_leaving_anything() {
    let net = Net::start(
        3_000_000,
        DevnetConfig {
            profile: Profile::Public,
            ..DevnetConfig::default()
        },
    );
    let dir = tempfile::tempdir().unwrap();
    let mut fetch = program()
        .current_dir(dir.path())
        .args(["fetch", &net.reference.to_hex(), "--network-id", "10"])
        .args(["--peer", &net.devnet.bootnode()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    let start = Instant::now();
    while files() == 0 {
        assert!(start.elapsed() < MINUTE, "the fetch does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = fetch.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &id]).status().unwrap().success());
    let ended = wait(&mut fetch, Duration::from_secs(10));
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
    assert_eq!(files(), 0);
}

#[test]
fn a_devnet_that_cannot_start_is_status_1() {
    let (_, stderr) = expect(Path::new("."), 1, &["devnet", "--storers", "0"]);
    assert!(!stderr.is_empty());
    let (_, stderr) = expect(Path::new("."), 1, &["devnet", "--chunks", "none.tar"]);
    assert!(stderr.contains("none.tar"), "{stderr}");
}
