use super::*;
use std::string::ToString;

const REFERENCE: &str =
    "reference = \"27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23\"\n";
const EXAMPLE: &str = include_str!("../../../../docs/deboot.toml");

fn parse(rest: &str) -> Result<BootConfig, ConfigError> {
    BootConfig::parse(&format!("{REFERENCE}{rest}"))
}

fn minimal() -> BootConfig {
    parse("").unwrap()
}

#[test]
fn a_reference_alone_is_a_configuration() {
    let config = minimal();
    assert_eq!(config.target.to_string(), &REFERENCE[13..77]);
    assert_eq!(config.cmdline_append, "");
    assert_eq!(config.network.static_address, None);
    assert_eq!(config.swarm.network_id, 1);
    assert_eq!(config.swarm.generation, Generation::Auto);
    assert_eq!(
        config.swarm.bootnodes[0].to_string(),
        "/dnsaddr/mainnet.ethswarm.org"
    );
    // The node's own defaults are the documented ones.
    let node = swarm::Config::new(1, config.swarm.bootnodes.clone(), [0; 32], 0);
    assert_eq!(config.swarm.connections_max, node.connections_max);
    assert_eq!(config.swarm.dial_timeout, node.dial_timeout);
    assert_eq!(config.swarm.handshake_timeout, node.handshake_timeout);
    assert_eq!(config.swarm.attempt_timeout, node.attempt_timeout);
    assert_eq!(config.swarm.hedge_after, node.hedge_after);
    assert_eq!(config.swarm.chunk_timeout, node.chunk_timeout);
}

#[test]
fn the_documented_example_is_the_default() {
    let example = BootConfig::parse(EXAMPLE).unwrap();
    let mut expected = minimal();
    expected.target = example.target.clone();
    assert_eq!(example, expected);
}

/// Every commented line of the form `# key = value` states a default; with all of them active nothing changes.
#[test]
fn the_documented_defaults_are_the_codes() {
    let mut active = std::string::String::new();
    let mut documented = std::vec::Vec::new();
    let mut table = std::string::String::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_string();
        }
        let setting = line.strip_prefix("#~ ").unwrap_or(line);
        if let Some((name, _)) = setting.split_once(" = ")
            && !line.starts_with("# ")
        {
            documented.push((table.clone(), name.to_string()));
        }
        // Lines with `#=` are examples without a default.
        if let Some((name, _)) = line.strip_prefix("#= ").and_then(|l| l.split_once(" = ")) {
            documented.push((table.clone(), name.to_string()));
        }
        active.push_str(setting);
        active.push('\n');
    }
    let config = BootConfig::parse(&active).unwrap();
    let mut expected = minimal();
    expected.target = config.target.clone();
    assert_eq!(config, expected, "a documented default is not the default");
    for key in keys::ALL {
        if [keys::NETWORK, keys::SWARM, keys::BRIDGE].contains(&key) {
            assert!(EXAMPLE.contains(&format!("\n[{}]\n", key.name)));
            continue;
        }
        let stated = documented
            .iter()
            .filter(|(table, name)| table == key.table && name == key.name)
            .count();
        assert_eq!(
            stated, 1,
            "{key} is stated {stated} times in docs/deboot.toml"
        );
    }
}

/// The examples without a default (`#= `) are valid too.
#[test]
fn the_documented_feed_and_static_address_are_valid() {
    let active: std::vec::Vec<_> = EXAMPLE
        .lines()
        // The feed stands in the place of the reference.
        .filter(|line| !line.starts_with("reference = "))
        .map(|line| line.strip_prefix("#= ").unwrap_or(line))
        .collect();
    let config = BootConfig::parse(&active.join("\n")).unwrap();
    assert!(matches!(config.target.name, crate::target::Name::Feed(_)));
    assert_eq!(config.target.path, "x86/stable");
    let address = config.network.static_address.unwrap();
    assert_eq!(address.prefix_length, 24);
    assert!(address.gateway.is_some());
    assert!(!address.dns.is_empty());
}

/// Ranges stated in the example: `(min to max)` at the end of the comment above a key.
#[test]
fn the_documented_ranges_are_the_codes() {
    let times = [
        keys::FEED_PATIENCE,
        keys::BOOT_TIMEOUT,
        keys::RETRY_AFTER,
        keys::LINK_TIMEOUT,
        keys::DHCP_TIMEOUT,
        keys::DNS_TIMEOUT,
        keys::DIAL_TIMEOUT,
        keys::HANDSHAKE_TIMEOUT,
        keys::ATTEMPT_TIMEOUT,
        keys::HEDGE_AFTER,
        keys::CHUNK_TIMEOUT,
        keys::BOOTSTRAP_TIMEOUT,
    ]
    .map(|time| {
        (
            time.key,
            Span(time.min).to_string(),
            Span(time.max).to_string(),
        )
    });
    let numbers = [
        keys::RETRIES_MAX,
        keys::KERNEL_BYTES_MAX,
        keys::INITRAMFS_BYTES_MAX,
        keys::CONNECTIONS_MAX,
    ]
    .map(|number| (number.key, number.min.to_string(), number.max.to_string()));
    for (key, min, max) in times.into_iter().chain(numbers) {
        let before = EXAMPLE
            .split_once(&format!("\n#~ {} = ", key.name))
            .unwrap()
            .0;
        let comment = before.lines().last().unwrap();
        let range = format!("({min} to {max})");
        assert!(
            comment.ends_with(&range),
            "{key}: {comment:?} lacks {range}"
        );
    }
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
cmdline_append = "debug"
boot_timeout = "0s"
retry_after = "2h"
retries_max = 0
kernel_bytes_max = 0x1000000
initramfs_bytes_max = 2_000_000

[network]
address = "192.0.2.10/24"
gateway = "192.0.2.1"
dns = ["192.0.2.2", "192.0.2.3"]
link_timeout = "1 min"
dhcp_timeout = "2min"
dns_timeout = "1500ms"

[swarm]
network_id = 4020
generation = "14"
bootnodes = ["/ip4/127.0.0.1/tcp/1634"]
connections_max = 7
dial_timeout = "1s"
handshake_timeout = "2s"
attempt_timeout = "3s"
hedge_after = "400ms"
chunk_timeout = "5s"
bootstrap_timeout = "6s"
"#,
    )
    .unwrap();
    assert_eq!(config.cmdline_append, "debug");
    assert_eq!(config.boot_timeout, Duration::ZERO);
    assert_eq!(config.retry_after, Duration::from_secs(7200));
    assert_eq!(config.retries_max, 0);
    assert_eq!(config.kernel_bytes_max, 0x100_0000);
    assert_eq!(config.initramfs_bytes_max, 2_000_000);
    let address = config.network.static_address.unwrap();
    assert_eq!(address.address, Ipv4Addr::new(192, 0, 2, 10));
    assert_eq!(address.prefix_length, 24);
    assert_eq!(address.gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(address.dns.len(), 2);
    assert_eq!(config.network.link_timeout, Duration::from_secs(60));
    assert_eq!(config.network.dhcp_timeout, Duration::from_secs(120));
    assert_eq!(config.network.dns_timeout, Duration::from_millis(1500));
    assert_eq!(config.swarm.network_id, 4020);
    assert_eq!(config.swarm.generation, Generation::V14);
    assert_eq!(config.swarm.bootnodes.len(), 1);
    assert_eq!(config.swarm.connections_max, 7);
    assert_eq!(config.swarm.dial_timeout, Duration::from_secs(1));
    assert_eq!(config.swarm.handshake_timeout, Duration::from_secs(2));
    assert_eq!(config.swarm.attempt_timeout, Duration::from_secs(3));
    assert_eq!(config.swarm.hedge_after, Duration::from_millis(400));
    assert_eq!(config.swarm.chunk_timeout, Duration::from_secs(5));
    assert_eq!(config.swarm.bootstrap_timeout, Duration::from_secs(6));
}

#[test]
fn references_may_be_written_as_addresses() {
    let digits = &REFERENCE[13..77];
    for text in [
        format!("bzz://{digits}"),
        format!("bzz://{digits}/"),
        digits.to_uppercase(),
    ] {
        let config = BootConfig::parse(&format!("reference = '{text}'")).unwrap();
        assert_eq!(config.target.to_string(), digits);
    }
}

/// Line 1 is the reference: what is tested begins on line 2.
#[test]
fn errors_name_place_key_and_fix() {
    for (rest, message, id) in [
        ("x = [", "DB0502", "DB0502"),
        (
            "cmdline_apend = \"\"",
            "line 2, column 1: unknown key \"cmdline_apend\"; did you mean cmdline_append?",
            "DB0503",
        ),
        (
            "dhcp_timeout = \"5s\"",
            "line 2, column 1: unknown key \"dhcp_timeout\"; did you mean network.dhcp_timeout?",
            "DB0503",
        ),
        (
            "[swarm]\nnetworkid = 1",
            "line 3, column 1: unknown key \"networkid\"; did you mean swarm.network_id?",
            "DB0503",
        ),
        (
            "[colour]",
            "line 2, column 2: unknown key \"colour\"; remove it",
            "DB0503",
        ),
        (
            "[netwrok]",
            "line 2, column 2: unknown key \"netwrok\"; did you mean network?",
            "DB0503",
        ),
        (
            "network = 1",
            "line 2, column 11: network is a whole number, it must be a table: [name]",
            "DB0505",
        ),
        (
            "boot_timeout = 600",
            "line 2, column 16: boot_timeout is a whole number, it must be a text with a unit, such as \"75s\"",
            "DB0505",
        ),
        (
            "boot_timeout = \"600\"",
            "line 2, column 16: boot_timeout must be a whole number with a unit, such as \"1500ms\", \"75s\", \"10min\" or \"2h\"",
            "DB0505",
        ),
        (
            "boot_timeout = \"25h\"",
            "line 2, column 16: boot_timeout must be from 0s to 24h",
            "DB0507",
        ),
        (
            "[network]\ndns_timeout = \"0s\"",
            "line 3, column 15: network.dns_timeout must be from 100ms to 5min",
            "DB0507",
        ),
        (
            "retries_max = -1",
            "line 2, column 15: retries_max must be a whole number from 0 to 1000000",
            "DB0507",
        ),
        (
            "retries_max = \"1\"",
            "line 2, column 15: retries_max is a text, it must be a whole number without quotes",
            "DB0505",
        ),
        (
            "[swarm]\nconnections_max = 0",
            "line 3, column 19: swarm.connections_max must be a whole number from 1 to 1024",
            "DB0507",
        ),
        (
            "[swarm]\ngeneration = \"16\"",
            "line 3, column 14: swarm.generation \"16\" is unknown; write \"auto\", \"14\" or \"15\"",
            "DB0508",
        ),
        (
            "[swarm]\ngeneration = 15",
            "line 3, column 14: swarm.generation is a whole number, it must be a text in quotes",
            "DB0505",
        ),
        (
            "[swarm]\nbootnodes = [\n  \"/ip4/127.0.0.1/tcp/1634\",\n  \"ip4\" ]",
            "line 5, column 3: swarm.bootnodes: multiaddr text must begin with '/'; write it like \"/ip4/192.0.2.1/tcp/1634/p2p/16Uiu2...\" or \"/dnsaddr/mainnet.ethswarm.org\"",
            "DB0509",
        ),
        (
            "[swarm]\nbootnodes = \"/x\"",
            "line 3, column 13: swarm.bootnodes is a text, it must be a list in brackets",
            "DB0505",
        ),
        (
            "[swarm]\nnetwork_id = 77",
            "swarm.bootnodes is missing, and network 77 has no public ones; add a line such as: bootnodes = [\"/ip4/192.0.2.1/tcp/1634/p2p/16Uiu2...\"]",
            "DB0509",
        ),
        (
            "[network]\naddress = \"192.0.2.10\"",
            "line 3, column 11: network.address \"192.0.2.10\" is no IPv4 address; write it like \"192.0.2.10/24\"",
            "DB0511",
        ),
        (
            "[network]\naddress = \"192.0.2.10/33\"",
            "line 3, column 11: network.address \"192.0.2.10/33\" is no IPv4 address; write it like \"192.0.2.10/24\"",
            "DB0511",
        ),
        (
            "[network]\ngateway = \"192.0.2.1\"",
            "line 3, column 11: network.gateway needs network.address too; add it, or remove network.gateway and DHCP is used",
            "DB0511",
        ),
        (
            "[network]\ndns = [\"x\"]",
            "line 3, column 8: network.dns \"x\" is no IPv4 address; write it like \"192.0.2.1\"",
            "DB0511",
        ),
        (
            "[network]\ndns = [\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\"]",
            "line 3, column 7: network.dns has 4 items, at most 3 are allowed",
            "DB0510",
        ),
        (
            "cmdline_append = \"a\\nb\"",
            "line 2, column 18: cmdline_append contains the control character U+000A; remove it",
            "DB0512",
        ),
    ] {
        let error = parse(rest).unwrap_err();
        assert_eq!(error.id(), id, "{rest}: {error}");
        if message != id {
            assert_eq!(error.to_string(), message, "{rest}");
        }
    }
}

#[test]
fn errors_of_the_reference_are_precise() {
    let error = |text: &str| BootConfig::parse(text).unwrap_err();
    assert_eq!(
        error("cmdline_append = \"\"").to_string(),
        "reference is missing; add a line such as: reference = \"<64 hexadecimal digits>\""
    );
    assert_eq!(
        error("reference = \"abc\"").to_string(),
        "line 1, column 13: reference: a reference has 64 or 128 hexadecimal digits, this has 3 characters"
    );
    assert_eq!(error("reference = 5").id(), "DB0505");
    assert_eq!(
        error("feed = \"abc\"").to_string(),
        "line 1, column 8: feed: a feed is written \"<owner>/<topic>\", there is no slash in this"
    );
    assert_eq!(error("feed = \"abc/x\"").id(), "DB0513");
    let both = error(&format!("{REFERENCE}feed = \"abc/x\""));
    assert_eq!(
        both.to_string(),
        "line 2, column 8: feed and reference are both there; remove one of them"
    );
    assert_eq!(both.id(), "DB0514");
    let path = format!(
        "reference = \"{}/{}\"",
        &REFERENCE[13..77],
        "x".repeat(2000)
    );
    assert_eq!(error(&path).id(), "DB0506");
    let twice = error(&format!("{REFERENCE}{REFERENCE}"));
    assert!(
        matches!(&twice, ConfigError::Syntax { at, .. } if at.line == 2),
        "{twice}"
    );
}

#[test]
fn limits_are_kept_to_the_byte() {
    let line = |len: usize| format!("cmdline_append = \"{}\"", "x".repeat(len));
    assert!(parse(&line(CMDLINE_APPEND_BYTES_MAX)).is_ok());
    assert!(matches!(
        parse(&line(CMDLINE_APPEND_BYTES_MAX + 1)),
        Err(ConfigError::Length {
            len: 513,
            max: 512,
            ..
        })
    ));
    let nodes = |count: usize| {
        let list = std::vec!["\"/ip4/127.0.0.1/tcp/1\""; count].join(",");
        parse(&format!("[swarm]\nbootnodes = [{list}]"))
    };
    assert_eq!(nodes(64).unwrap().swarm.bootnodes.len(), 64);
    assert!(matches!(
        nodes(65),
        Err(ConfigError::TooMany { count: 65, .. })
    ));
    let padded = |len: usize| format!("{REFERENCE}#{}", "x".repeat(len - REFERENCE.len() - 1));
    assert!(BootConfig::parse(&padded(CONFIG_BYTES_MAX)).is_ok());
    assert_eq!(
        BootConfig::parse(&padded(CONFIG_BYTES_MAX + 1)),
        Err(ConfigError::TooLarge {
            len: CONFIG_BYTES_MAX + 1
        })
    );
}

#[test]
fn cut_or_nested_texts_are_errors_and_no_panic() {
    for at in 0..EXAMPLE.len() {
        if let Some(part) = EXAMPLE.get(..at) {
            let _ = BootConfig::parse(part);
        }
    }
    let nested = format!("x = {}", "[".repeat(30_000));
    assert!(parse(&nested).is_err());
}

#[test]
fn a_bridge_is_an_address_and_perhaps_a_peer() {
    let config = minimal();
    assert_eq!(config.source, Source::Swarm);
    assert_eq!(config.bridge.address.to_string(), "10.0.2.2:4001");
    assert_eq!(config.bridge.peer, None);
    let text = format!(
        "{REFERENCE}source = \"bridge\"\n[bridge]\naddress = \"192.0.2.7:4002\"\n\
         peer = \"12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp\"\n"
    );
    let config = BootConfig::parse(&text).unwrap();
    assert_eq!(config.source, Source::Bridge);
    assert_eq!(config.bridge.address.to_string(), "192.0.2.7:4002");
    assert!(config.bridge.peer.is_some());
    let error = |text: &str| parse(text).unwrap_err();
    assert_eq!(
        error("source = \"Bridge\"").to_string(),
        "line 2, column 10: source is \"Bridge\", expected \"swarm\" or \"bridge\""
    );
    assert_eq!(error("source = \"Bridge\"").id(), "DB0515");
    for wrong in [
        "address = \"host:1\"",
        "address = \"1.2.3.4\"",
        "address = \"1.2.3.4:0\"",
        "peer = \"Q\"",
    ] {
        let error = error(&format!("[bridge]\n{wrong}"));
        assert_eq!(error.id(), "DB0516", "{error}");
        assert!(error.to_string().starts_with("line 3, column "), "{error}");
    }
    assert_eq!(error("[bridge]\nadress = \"x\"").id(), "DB0503");
}
