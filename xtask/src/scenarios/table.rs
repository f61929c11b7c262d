//! The table of boots.
use super::{Card, Content, Expected, Incident, Origin, Scenario};
use std::time::Duration;

const USUAL: Duration = Duration::from_secs(150);

/// A boot that works, with 8 storers: what the others differ from.
const GOOD: Scenario = Scenario {
    claim: "",
    content: Content::Good,
    after: None,
    origin: Origin::Swarm,
    storers: 8,
    replication: crate::devnet::REPLICATION,
    generation: "both",
    profile: "lan",
    faults: &[],
    card: Card::Working,
    bootnode_exists: true,
    incident: Incident::None,
    expected: Expected::Ready,
    said: &[],
    limit: USUAL,
};

/// Returns all boots.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = good();
    all.extend(names());
    all.extend(bad_content());
    all.extend(bad_storers());
    all.extend(bad_days());
    all.extend(bridges());
    all
}

fn good() -> Vec<Scenario> {
    vec![
        Scenario {
            claim: "a release boots from 24 storers",
            storers: 24,
            ..GOOD
        },
        Scenario {
            claim: "a release boots from storers of generation 14",
            generation: "14",
            ..GOOD
        },
        Scenario {
            claim: "a release boots from storers of generation 15",
            generation: "15",
            ..GOOD
        },
        Scenario {
            claim: "a release boots from storers with the public limits",
            storers: 64,
            profile: "public",
            limit: Duration::from_secs(600),
            ..GOOD
        },
    ]
}

/// Every way to name a release, in a network of either generation.
fn names() -> Vec<Scenario> {
    let boot = |claim, content, generation, said| Scenario {
        claim,
        content,
        generation,
        said,
        ..GOOD
    };
    let feed: &[&str] = &["feed:", ": update 3, made "];
    let manifest: &[&str] = &[": update 0, without a time"];
    use Content::{Encrypted, Feed, FeedManifest, OneInTwentyGone};
    vec![
        boot(
            "an encrypted release boots from generation 14",
            Encrypted,
            "14",
            &["+key"],
        ),
        boot(
            "an encrypted release boots from generation 15",
            Encrypted,
            "15",
            &["+key"],
        ),
        boot(
            "the newest update of a feed boots from generation 14",
            Feed,
            "14",
            feed,
        ),
        boot(
            "the newest update of a feed boots from generation 15",
            Feed,
            "15",
            feed,
        ),
        boot(
            "the newest update that is shown boots on a machine that has seen none",
            Content::WithheldFeed,
            "both",
            &["feed:", ": update 2, made "],
        ),
        boot(
            "a feed manifest boots from generation 14",
            FeedManifest,
            "14",
            manifest,
        ),
        boot(
            "a feed manifest boots from generation 15",
            FeedManifest,
            "15",
            manifest,
        ),
        boot(
            "level 1 boots from generation 14 with one chunk in twenty gone",
            OneInTwentyGone,
            "14",
            &[],
        ),
        boot(
            "level 1 boots from generation 15 with one chunk in twenty gone",
            OneInTwentyGone,
            "15",
            &[],
        ),
    ]
}

fn bad_content() -> Vec<Scenario> {
    let bad = |claim, content, ids| Scenario {
        claim,
        content,
        expected: Expected::Error(ids),
        ..GOOD
    };
    vec![
        bad(
            "a wrong reference is an error",
            Content::WrongReference,
            &["DB0302"],
        ),
        bad(
            "a garbage manifest is an error",
            Content::GarbageManifest,
            &["DB0403"],
        ),
        bad(
            "a directory without a manifest is an error",
            Content::NoManifest,
            &["DB0430"],
        ),
        bad(
            "a manifest that names a missing file is an error",
            Content::MissingFile,
            &["DB0302"],
        ),
        bad(
            "a file of another size than the manifest says is an error",
            Content::WrongSize,
            &["DB0435"],
        ),
        bad(
            "a release for another processor is an error",
            Content::WrongArchitecture,
            &["DB0432"],
        ),
        bad(
            "a kernel that is not a PE image is an error",
            Content::NotAKernel,
            &["DB0437", "DB0601"],
        ),
        bad(
            "a feed without an update is an error",
            Content::EmptyFeed,
            &["DB0440"],
        ),
        Scenario {
            claim: "a feed that shows an older update than the one booted before is an error",
            content: Content::WithheldFeed,
            after: Some(Content::Feed),
            expected: Expected::Error(&["DB0441"]),
            ..GOOD
        },
        Scenario {
            claim: "a chunk that is missing everywhere is an error",
            faults: &["*=drops:{chunk}"],
            expected: Expected::Error(&["DB0302"]),
            said: &["{chunk}"],
            ..GOOD
        },
    ]
}

fn bad_storers() -> Vec<Scenario> {
    let storer = |claim, faults, said| Scenario {
        claim,
        faults,
        said,
        ..GOOD
    };
    vec![
        storer(
            "a storer that lies about every chunk is dropped by name",
            &["3=lies"],
            &["delivered wrong bytes"],
        ),
        storer(
            "a storer that never answers does not stop the boot",
            &["3=never-answers"],
            &[],
        ),
        storer(
            "a storer that resets after 20 chunks does not stop the boot",
            &["3=resets-after:20"],
            &[],
        ),
        storer(
            "truncated deliveries do not stop the boot",
            &["3=truncates"],
            &[],
        ),
        storer(
            "huge length prefixes do not stop the boot",
            &["3=huge-length"],
            &[],
        ),
        storer(
            "a bootnode that sends 10,000 junk peers does not stop the boot",
            &["0=junk-peers:10000"],
            &[],
        ),
        Scenario {
            claim: "half of the storers being bad in every way does not stop the boot",
            faults: &["1=lies", "2=never-answers", "3=truncates", "4=huge-length"],
            said: &["delivered wrong bytes"],
            // One more than there are bad ones: every chunk is somewhere, it is only hard to get.
            replication: 5,
            ..GOOD
        },
        Scenario {
            claim: "nothing but liars is an error",
            faults: &["*=lies"],
            expected: Expected::Error(&["DB0301", "DB0302"]),
            said: &["delivered wrong bytes"],
            ..GOOD
        },
    ]
}

fn bad_days() -> Vec<Scenario> {
    let slow: &[&str] = &["*=slow:0:100000"];
    vec![
        Scenario {
            claim: "no DHCP server is an error",
            card: Card::Silent,
            expected: Expected::Error(&["DB0201"]),
            ..GOOD
        },
        Scenario {
            claim: "no network card is an error",
            card: Card::Missing,
            expected: Expected::Error(&["DB0110"]),
            ..GOOD
        },
        Scenario {
            claim: "no reachable bootnode is an error",
            bootnode_exists: false,
            expected: Expected::Error(&["DB0301"]),
            ..GOOD
        },
        Scenario {
            claim: "a cable pulled for 20 s in the middle delays the boot and does not stop it",
            faults: slow,
            incident: Incident::CablePulled(Duration::from_secs(20)),
            limit: Duration::from_secs(240),
            ..GOOD
        },
        Scenario {
            claim: "a restart of the whole network in the middle delays the boot and does not stop it",
            faults: slow,
            incident: Incident::NetworkRestarted(Duration::from_secs(5)),
            limit: Duration::from_secs(240),
            ..GOOD
        },
    ]
}

fn bridges() -> Vec<Scenario> {
    let bridge = |claim, fault, expected, said| Scenario {
        claim,
        origin: Origin::Bridge(fault),
        expected,
        said,
        ..GOOD
    };
    let error = Expected::Error;
    vec![
        bridge(
            "a release boots through a bridge",
            None,
            Expected::Ready,
            &["bridge: connected to"],
        ),
        bridge(
            "a bridge that flips one bit is refused at that chunk",
            Some("flip-bit=300"),
            error(&["DB0322"]),
            &["chunk 300 of a stream does not hash to"],
        ),
        bridge(
            "a bridge that lies about the size is refused",
            Some("wrong-size"),
            error(&["DB0322"]),
            &["bytes, the content has"],
        ),
        bridge(
            "a bridge that stops in the middle is given up",
            Some("stop-at=300"),
            error(&["DB0323"]),
            &["the stream ends at chunk 300"],
        ),
        bridge(
            "a bridge that falls silent in the middle is given up",
            Some("silent-at=300"),
            error(&["DB0323"]),
            &["the bridge sent nothing for"],
        ),
        bridge(
            "a bridge that speaks another version of the protocol is named so",
            Some("other-version"),
            error(&["DB0321"]),
            &["does not speak /deboot/fetch/1.0.0"],
        ),
        bridge(
            "a release boots through a bridge that serves whole files only",
            Some("files-only"),
            Expected::Ready,
            &["it serves whole files only"],
        ),
        Scenario {
            claim: "a bridge that is not there is an error",
            origin: Origin::NoBridge,
            expected: error(&["DB0320"]),
            ..GOOD
        },
        Scenario {
            claim: "a bridge killed and restarted in the middle delays the boot and does not stop it",
            origin: Origin::Bridge(None),
            incident: Incident::NetworkRestarted(Duration::from_secs(3)),
            said: &["again in"],
            ..GOOD
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn claims_differ_and_every_bad_boot_names_the_ids_it_may_end_with() {
        let all = all();
        let claims: BTreeSet<_> = all.iter().map(|scenario| scenario.claim).collect();
        assert_eq!(claims.len(), all.len());
        for scenario in &all {
            if let Expected::Error(ids) = scenario.expected {
                assert!(!ids.is_empty(), "{}", scenario.claim);
            }
        }
    }
}
