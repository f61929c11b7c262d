//! The good release in other clothes: encrypted, redundant, behind a feed.
use super::{Content, Published};
use crate::chunk_set::ChunkSet;
use crate::image::Built;
use crate::paths::read;
use anyhow::{Context, Result, ensure};
use bmt::SecretKey;
use content::feed::{Feed, FeedManifest, FeedType, Index, Topic, sign_reference, sign_root};
use content::{RedundancyLevel, Reference};
use image::release_directory::{INITRAMFS_PATH, KERNEL_PATH};
use release::manifest::{HostConfiguration, MANIFEST_PATH};
use std::path::PathBuf;

/// What is published here.
pub(super) const CONTENTS: [Content; 6] = [
    Content::Encrypted,
    Content::Feed,
    Content::WithheldFeed,
    Content::FeedManifest,
    Content::OneInTwentyGone,
    Content::EmptyFeed,
];

/// Text of the topic, as people write it.
const TOPIC: &str = "deboot-test";
/// Index of the newest update.
const NEWEST: u64 = 3;
/// When the updates were made: 2026-11-01.
const MADE: u64 = 1_793_491_200;

/// Publishes one of them.
pub(super) fn publish(content: Content, good: &Built, chunks: PathBuf) -> Result<Published> {
    let mut set = match content {
        Content::Encrypted => ChunkSet::encrypted(),
        Content::OneInTwentyGone => ChunkSet::redundant(RedundancyLevel::Medium),
        _ => ChunkSet::default(),
    };
    let root = add_release(&mut set, good)?;
    let mut published = Published::by_reference(&root.to_hex(), &chunks);
    let key = SecretKey::from_bytes(&[0x5a; 32]).context("the test's key")?;
    let topic = Topic::of_text(TOPIC);
    let owner = key.address();
    match content {
        Content::Feed | Content::WithheldFeed => {
            let newest = match content {
                Content::Feed => NEWEST,
                _ => NEWEST - 1,
            };
            // The older updates lead nowhere: whoever takes one of them does not boot.
            let nothing = Reference::plain(bmt::ChunkAddress([0xde; 32]));
            for index in 0..=newest {
                let to = if index == newest { &root } else { &nothing };
                set.put(sign_reference(
                    &key,
                    topic,
                    Index::Sequence(index),
                    MADE,
                    to,
                )?);
            }
            published.line = format!("feed = \"{owner}/{TOPIC}\"");
        }
        Content::FeedManifest => {
            let chunk = set.take(root.address).context("a directory has a root")?;
            set.put(sign_root(&key, topic, Index::Sequence(0), &chunk)?);
            let kind = FeedType::Sequence;
            let feed = Feed { owner, topic };
            let manifest = FeedManifest { feed, kind }.build(&mut |chunk| set.put(chunk))?;
            published.line = format!("reference = \"{manifest}\"");
        }
        Content::OneInTwentyGone => {
            let removed = set.remove_every(20);
            ensure!(removed > 100, "only {removed} chunks were removed");
        }
        Content::EmptyFeed => published.line = format!("feed = \"{owner}/empty\""),
        _ => {}
    }
    set.write_below(root.address, &chunks)?;
    Ok(published)
}

/// Adds the files of the good release and a manifest for them, and returns the directory.
fn add_release(set: &mut ChunkSet, good: &Built) -> Result<Reference> {
    let file = |name: &str| read(&good.directory.join(name));
    let mut manifest = HostConfiguration::parse(&file(MANIFEST_PATH)?)?;
    manifest.kernel.reference = set.add(KERNEL_PATH, &file(KERNEL_PATH)?);
    let initramfs = set.add(INITRAMFS_PATH, &file(INITRAMFS_PATH)?);
    let [artifact] = manifest.initramfs.as_mut_slice() else {
        anyhow::bail!("the release has one initramfs");
    };
    artifact.reference = initramfs;
    set.add(MANIFEST_PATH, manifest.to_json().as_bytes());
    set.add_directory()
}
