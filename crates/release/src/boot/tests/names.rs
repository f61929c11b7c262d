//! Paths and feeds.
use super::*;
use bmt::SecretKey;
use content::feed::{FeedError, FeedManifest, Topic, sign_reference, sign_root};

const TOPIC: Topic = Topic([3; 32]);
const MADE: u64 = 1_795_350_896;

fn key() -> SecretKey {
    SecretKey::from_bytes(&[5; 32]).unwrap()
}

fn feed() -> Feed {
    Feed {
        owner: key().address(),
        topic: TOPIC,
    }
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn feed_target() -> Target {
    target(&std::format!("feed:{}", feed()))
}

impl Release {
    fn put(&mut self, chunk: VerifiedChunk) {
        self.store.chunks.insert(chunk.address(), chunk);
    }

    /// Publishes an update of version 1.
    fn publish(&mut self, index: u64, reference: &Reference) {
        let index = Index::Sequence(index);
        self.put(sign_reference(&key(), TOPIC, index, MADE, reference).unwrap());
    }

    /// Publishes an update of version 2: the root chunk is nowhere else.
    fn publish_root(&mut self, index: u64, reference: &Reference) {
        let root = self.store.chunks.remove(&reference.address).unwrap();
        self.put(sign_root(&key(), TOPIC, Index::Sequence(index), &root).unwrap());
    }
}

/// Runs a boot and returns it done, or its error.
fn boot(target: Target, limits: BootLimits, store: &Store) -> Result<Boot, BootError> {
    let mut boot = Boot::new(target, limits);
    let (mut outstanding, mut asked) = (BTreeSet::new(), BTreeSet::new());
    while !boot.is_done() {
        while let Some(address) = boot.poll_obsolete() {
            assert!(asked.contains(&address), "obsolete and never asked for");
            outstanding.remove(&address);
        }
        while let Some(address) = boot.poll_want() {
            assert!(outstanding.insert(address), "asked twice");
            asked.insert(address);
        }
        let address = outstanding.pop_first().expect("it would hang");
        match store.chunks.get(&address) {
            Some(chunk) => boot.handle_chunk(chunk.clone())?,
            None => {
                boot.handle_delayed(address)?;
                boot.handle_unavailable(address)?;
            }
        }
    }
    Ok(boot)
}

fn error(target: Target, store: &Store) -> BootError {
    boot(target, limits(), store).err().unwrap()
}

#[test]
fn a_release_inside_a_directory_is_found_by_its_path() {
    let mut release = Release::usual();
    let manifest = release.manifest_reference();
    let kernel = release.manifest.kernel.reference;
    let root = release.store.add_directory(&[
        ("x86/stable/host-configuration-manifest.json", manifest),
        ("x86/stable/vmlinuz", kernel),
        ("x86/testing.json", manifest),
        ("x86/stable.old", kernel),
    ]);
    for path in [
        "x86/stable",
        "x86/stable/",
        "/x86/stable",
        "x86/testing.json",
    ] {
        let named = target(&std::format!("bzz://{root}/{path}"));
        let done = boot(named, limits(), &release.store).unwrap();
        assert_eq!(done.reference(), root);
        assert!(
            done.into_payload().unwrap().kernel == release.kernel,
            "{path}"
        );
    }
    for path in [
        "x86",
        "x86/stabl",
        "x86/stable/vmlinu",
        "arm",
        "host-configuration-manifest.json",
    ] {
        let error = error(target(&std::format!("{root}/{path}")), &release.store);
        assert_eq!(
            error,
            BootError::NoManifest {
                path: String::from(path)
            }
        );
    }
    // A file that is no manifest, and a path below what is no directory.
    let error_of = |text: String| error(target(&text), &release.store).id();
    assert_eq!(
        error_of(std::format!("{root}/x86/stable/vmlinuz")),
        "DB0401"
    );
    assert_eq!(error_of(std::format!("{manifest}/x")), "DB0431");
    assert_eq!(
        error(target(&std::format!("{root}/a/b")), &release.store).to_string(),
        "the directory has no file \"a/b/host-configuration-manifest.json\" and no file \"a/b\""
    );
}

#[test]
fn the_newest_update_of_a_feed_is_booted() {
    for (wrapped, by_manifest) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut release = Release::usual();
        let old = release.store.add_file(b"an old release");
        for index in 0..7 {
            release.publish(index, &old);
        }
        let directory = release.directory();
        if wrapped {
            release.publish_root(7, &directory);
        } else {
            release.publish(7, &directory);
        }
        let mut named = feed_target();
        if by_manifest {
            let manifest = FeedManifest {
                feed: feed(),
                kind: FeedType::Sequence,
            };
            let root = manifest.build(&mut |chunk| release.put(chunk)).unwrap();
            named = Target::of(root);
        }
        let done = boot(named, limits(), &release.store).unwrap();
        let followed = done.followed().unwrap();
        assert_eq!((followed.feed, followed.index), (feed(), 7));
        assert_eq!(followed.timestamp, (!wrapped).then_some(MADE));
        assert!(followed.certainty.is_definite());
        assert_eq!(done.reference(), directory);
        assert!(done.into_payload().unwrap().kernel == release.kernel);
    }
}

#[test]
fn a_feed_may_lead_to_a_manifest_and_a_path_may_follow_it() {
    let mut release = Release::usual();
    let manifest = release.manifest_reference();
    release.publish_root(0, &manifest);
    assert!(boot(feed_target(), limits(), &release.store).is_ok());

    let mut release = Release::usual();
    let manifest = release.manifest_reference();
    let root = release.store.add_directory(&[("a/b", manifest)]);
    release.publish(0, &root);
    let named = target(&std::format!("feed:{}/a/b", feed()));
    assert!(boot(named, limits(), &release.store).is_ok());
    let error = error(feed_target(), &release.store);
    assert_eq!(error.id(), "DB0430");
}

#[test]
fn an_older_update_is_refused_with_both_indices() {
    let mut release = Release::usual();
    let directory = release.directory();
    for index in 0..3 {
        release.publish(index, &directory);
    }
    let mut limits = limits();
    limits.feeds.remember(feed(), 2);
    assert!(boot(feed_target(), limits.clone(), &release.store).is_ok());
    limits.feeds.remember(feed(), 3);
    let error = boot(feed_target(), limits.clone(), &release.store)
        .err()
        .unwrap();
    let expected = FeedError::Older {
        feed: feed(),
        found: 2,
        at_least: 3,
    };
    assert_eq!(error, BootError::Feed(expected));
    assert_eq!(error.id(), "DB0441");
    // The same by way of a manifest: it is the feed that counts, not how it was named.
    let manifest = FeedManifest {
        feed: feed(),
        kind: FeedType::Sequence,
    };
    let root = manifest.build(&mut |chunk| release.put(chunk)).unwrap();
    let error = boot(Target::of(root), limits.clone(), &release.store)
        .err()
        .unwrap();
    assert_eq!(error.id(), "DB0441");
    release
        .store
        .chunks
        .retain(|_, chunk| chunk.kind() == bmt::ChunkKind::Content);
    let error = boot(feed_target(), limits, &release.store).err().unwrap();
    assert_eq!(error.id(), "DB0441", "{error}");
}

#[test]
fn a_feed_without_update_or_with_strange_content_is_refused() {
    let mut release = Release::usual();
    assert_eq!(error(feed_target(), &release.store).id(), "DB0440");
    // Neither reference nor file: an update that says it is the root of something it is not.
    let strange = VerifiedChunk::content(9_000u64.to_le_bytes(), &[1; 30]).unwrap();
    release.put(sign_root(&key(), TOPIC, Index::Sequence(0), &strange).unwrap());
    let error_0 = error(feed_target(), &release.store);
    assert_eq!(error_0.id(), "DB0443", "{error_0}");
    let noise = VerifiedChunk::content([0xff; 8], &[1; 4096]).unwrap();
    release.put(sign_root(&key(), TOPIC, Index::Sequence(1), &noise).unwrap());
    let error_1 = error(feed_target(), &release.store);
    assert_eq!(error_1.id(), "DB0443", "{error_1}");
    let text = release.store.add_file(b"no manifest");
    release.publish(2, &text);
    assert_eq!(error(feed_target(), &release.store).id(), "DB0431");
    // A reference to nothing. It could be a file of 40 bytes as well, but that is no release, so the missing chunk is the reason.
    let nothing = ChunkAddress([9; 32]);
    release.publish(3, &Reference::plain(nothing));
    let error_3 = error(feed_target(), &release.store);
    assert_eq!(error_3.id(), "DB0302", "{error_3}");
    assert!(error_3.to_string().contains(&nothing.to_string()));
}

#[test]
fn a_feed_that_leads_to_a_feed_is_followed_once() {
    let mut release = Release::usual();
    let manifest = FeedManifest {
        feed: feed(),
        kind: FeedType::Sequence,
    };
    let circle = manifest.build(&mut |chunk| release.put(chunk)).unwrap();
    release.publish(0, &circle);
    let error_0 = error(Target::of(circle), &release.store);
    assert_eq!(error_0.id(), "DB0430", "{error_0}");
    let epoch = FeedManifest {
        feed: feed(),
        kind: FeedType::Epoch,
    };
    let root = epoch.build(&mut |chunk| release.put(chunk)).unwrap();
    let error_1 = error(Target::of(root), &release.store);
    assert_eq!(error_1, BootError::EpochFeed { feed: feed() });
    assert_eq!(error_1.id(), "DB0444");
}

#[test]
fn the_wait_for_a_newer_update_ends_when_the_driver_says_so() {
    let mut release = Release::usual();
    let directory = release.directory();
    release.publish(0, &directory);
    let limits = BootLimits {
        patience: Patience::Absent,
        ..limits()
    };
    let mut boot = Boot::new(feed_target(), limits);
    let wants: Vec<_> = core::iter::from_fn(|| boot.poll_want()).collect();
    for address in wants {
        match release.store.chunks.get(&address) {
            Some(chunk) => boot.handle_chunk(chunk.clone()).unwrap(),
            None => boot.handle_delayed(address).unwrap(),
        }
        boot.note_requests(address, 4);
    }
    assert!(boot.is_feed_provisional());
    assert_eq!((boot.phase(), boot.followed()), (BootPhase::Feed, None));
    boot.settle_feed().unwrap();
    assert_eq!(boot.phase(), BootPhase::Directory);
    let certainty = &boot.followed().unwrap().certainty;
    assert!(!certainty.is_definite());
    assert!(certainty.requests() >= 12);
    let obsolete = core::iter::from_fn(|| boot.poll_obsolete()).count();
    assert!(
        obsolete >= 3,
        "the probes that were refused are still being asked for"
    );
    assert_eq!(boot.poll_want(), Some(directory.address));
}
