//! The verbs that cut files into chunks: publish, hash.
use super::args::{BeeArgs, DirectoryArgs, HashArgs, PublishArgs};
use super::fetch_verb::stop_on_signals;
use super::progress::{Line, Pace, bytes, note};
use super::{ExitStatus, Failure, Output, feed_verb, previous_verb};
use crate::bee::{Batch, BatchId, Room, UploadOptions, default_state_directory};
use crate::describe;
use crate::feed::{Announce, Memory, open_key};
use crate::publish::{
    self, Archive, BeeOptions, BeePublished, BeeStep, Options, Published, ReleaseOptions,
};
use crate::secret::machine_secret;
use content::RedundancyLevel;
use content::feed::{Feed, FeedNameError};
use release::manifest::Update;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Publishes to a chunk set, a node, or both; then announces it.
pub(super) fn publish(args: &PublishArgs, out: &Output) -> Result<(), Failure> {
    let options = options(args)?;
    let bee = bee_options(&args.bee, args.state.as_deref())?;
    let announce = announcement(args, &options, bee.as_ref())?;
    // First, so that nothing is published when it cannot be read.
    let before = previous_verb::read(args, out)?;
    let mut value = Value::Null;
    let mut reference = None;
    if let Some(output) = &args.output {
        let mut line = Line::new(out.progress);
        let mut progress = |done, total| show(&mut line, done, total);
        let memory = match announce {
            Some(_) => Some(Memory::new(&state_directory(args.state.as_deref())?)),
            None => None,
        };
        let to = Archive {
            output,
            announce: announce.as_ref().zip(memory.as_ref()),
        };
        let published = publish::publish(&args.input, &options, &to, &mut progress)?;
        line.clear();
        summary(&published);
        value = published_json(&published);
        value["output"] = json!(output);
        reference = Some(published.reference);
    }
    if let Some(to) = &bee {
        let stop = stop_flag()?;
        let done = to_bee(args, &options, to, &stop, out)?;
        if value.is_null() {
            summary(&done.published);
            value = published_json(&done.published);
        }
        bee_summary(&done);
        value["bee"] = bee_json(to, &done);
        reference = Some(done.published.reference);
    }
    // clap demands a place to publish to.
    let Some(reference) = reference else {
        return Ok(());
    };
    if let Some(before) = &before {
        value["previous"] = previous_verb::compare(before, args, &options, out)?;
    }
    if let Some(announce) = &announce {
        let state = state_directory(args.state.as_deref())?;
        let announced = feed_verb::send(announce, &reference, &state, bee.as_ref())?;
        value["feed"] = feed_verb::announced_json(&announced);
    }
    out.result(&value, &reference.to_hex())
}

fn options(args: &PublishArgs) -> Result<Options, Failure> {
    let mut options = directory_options(&args.directory);
    let mut encrypt = args.encrypt;
    let is_description = args.input.extension().is_some_and(|e| e == "toml");
    if is_description && !args.plain && !args.input.is_dir() {
        let nothing_else = Options {
            level: options.level,
            ..Options::default()
        };
        if options != nothing_else {
            let message = "a release description says everything about the release itself";
            let failure = Failure::new(ExitStatus::Usage, message);
            return Err(failure.with_hint(
                "leave --kernel, --index-document and the like out, or publish the file as it is with --plain",
            ));
        }
        let described = describe::read(&args.input)?;
        let level = described
            .redundancy_level
            .and_then(RedundancyLevel::from_number);
        let level = args
            .directory
            .redundancy_level
            .or(level)
            .unwrap_or_default();
        encrypt |= described.encrypt;
        options = Options {
            level,
            ..described.options
        };
    }
    if encrypt {
        options.encrypt = Some(machine_secret(&state_directory(args.state.as_deref())?)?);
    }
    Ok(options)
}

/// Decides which update will be made, before anything is published.
fn announcement(
    args: &PublishArgs,
    options: &Options,
    bee: Option<&BeeOptions>,
) -> Result<Option<Announce>, Failure> {
    let Some(key) = &args.feed.key else {
        return Ok(None);
    };
    let named = options
        .release
        .as_ref()
        .and_then(|release| release.update.as_ref()?.feed.as_deref());
    let named: Option<Feed> = match (args.feed.feed_topic, named) {
        (None, Some(text)) => {
            let failed =
                |e: FeedNameError| Failure::new(ExitStatus::Failed, format!("update feed: {e}"));
            Some(text.parse().map_err(failed)?)
        }
        _ => None,
    };
    let topic = match (args.feed.feed_topic, named) {
        (Some(topic), _) => topic,
        (None, Some(feed)) => feed.topic,
        (None, None) => {
            let failure = Failure::new(ExitStatus::Usage, "--key needs a feed to announce in");
            return Err(
                failure.with_hint("give --feed-topic TOPIC, or name an update feed in the release")
            );
        }
    };
    let state = state_directory(args.state.as_deref())?;
    let key = open_key(key, named)?;
    feed_verb::prepare(key, topic, args.feed.feed_index, &state, bee).map(Some)
}

pub(super) fn state_directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    match given {
        Some(state) => Ok(state.to_owned()),
        None => Ok(default_state_directory()?),
    }
}

fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    Ok(stop)
}

pub(super) fn bee_options(
    args: &BeeArgs,
    state: Option<&Path>,
) -> Result<Option<BeeOptions>, Failure> {
    // clap demands both or none.
    let (Some(url), Some(batch)) = (&args.bee_url, args.batch) else {
        return Ok(None);
    };
    Ok(Some(BeeOptions {
        url: url.clone(),
        batch,
        state: state_directory(state)?,
        fresh: args.fresh,
        upload: UploadOptions {
            parallel: args.parallel.into(),
            retry_for: args.retry_for,
        },
        ttl_seconds_min: args.min_ttl.as_secs(),
        overwrite: args.overwrite,
        wait: args.wait,
    }))
}

fn to_bee(
    args: &PublishArgs,
    options: &Options,
    to: &BeeOptions,
    stop: &AtomicBool,
    out: &Output,
) -> Result<BeePublished, Failure> {
    let mut line = Line::new(out.progress);
    let mut pace = Pace::default();
    let mut progress = |step: BeeStep<'_>| match step {
        BeeStep::Cutting(done, total) => show(&mut line, done, total),
        BeeStep::Fits(batch, room) => line.say(&batch_line(to.batch, batch, room)),
        BeeStep::Uploading {
            before,
            done,
            total,
            retries,
        } => {
            let rate = pace.measure(done);
            line.show(|| upload_line(before, done, total, rate, retries));
        }
        BeeStep::Spreading(status) => line.show(|| {
            let total = status.split.saturating_sub(status.seen);
            format!("{} of {total} chunks confirmed by storers", status.synced)
        }),
    };
    Ok(publish::publish_to_bee(
        &args.input,
        options,
        to,
        stop,
        &mut progress,
    )?)
}

fn batch_line(id: BatchId, batch: &Batch, room: &Room) -> String {
    let id = id.to_string();
    let short = id.get(..8).unwrap_or(&id);
    let life = batch.ttl_seconds.map_or_else(
        || "the node does not know how long it lives".to_owned(),
        |ttl| format!("lives for {}", crate::bee::days(ttl)),
    );
    let kind = if batch.immutable {
        "immutable"
    } else {
        "mutable"
    };
    let fullest = if room.exact {
        "fullest bucket"
    } else {
        "fullest bucket at most"
    };
    let mut text = format!(
        "batch {short}: depth {}, {kind}, {fullest} {} of {} with the {} chunks to come (now {}), {life}",
        batch.depth, room.needed, room.capacity, room.chunks, batch.utilization
    );
    if room.overflow > 0 {
        text += &format!("; {} older chunks may be overwritten", room.overflow);
    }
    text
}

fn upload_line(before: u64, done: u64, total: u64, rate: Option<f64>, retries: u64) -> String {
    let at = before + done;
    let percent = at as f64 * 100.0 / total.max(1) as f64;
    let mut text = format!("{percent:3.0} %  {at} of {total} chunks at the node");
    if let Some(rate) = rate {
        text += &format!("  {rate:.0} chunks/s");
        if rate > 0.0 {
            text += &format!("  ETA {:.0} s", total.saturating_sub(at) as f64 / rate);
        }
    }
    if retries > 0 {
        text += &format!("  {retries} requests repeated");
    }
    text
}

fn bee_summary(done: &BeePublished) {
    let (uploaded, before) = (done.uploaded.uploaded, done.stored_before);
    let seconds = done.uploaded.elapsed.as_secs_f64();
    let rate = uploaded as f64 / seconds.max(1e-6);
    let mut text = match uploaded {
        0 => format!("nothing to send: the node has all {before} chunks"),
        _ => format!("{uploaded} chunks sent in {seconds:.1} s, {rate:.0} chunks/s"),
    };
    if before > 0 && uploaded > 0 {
        text += &format!("; {before} were there from earlier runs");
    }
    if let Some(sync) = done.sync {
        text += &format!("; storers confirmed {}", sync.synced);
    }
    note(&text);
}

fn bee_json(to: &BeeOptions, done: &BeePublished) -> Value {
    let mut value = json!({
        "url": to.url.to_string(),
        "batch": {
            "id": to.batch.to_string(),
            "depth": done.batch.depth,
            "bucket_depth": done.batch.bucket_depth,
            "immutable": done.batch.immutable,
            "utilization_before": done.batch.utilization,
            "utilization_needed": done.room.needed,
            "bucket_capacity": done.room.capacity,
            "overwritten_at_most": done.room.overflow,
            "ttl_seconds": done.batch.ttl_seconds,
        },
        "stored_before": done.stored_before,
        "uploaded": done.uploaded.uploaded,
        "retries": done.uploaded.retries,
        "seconds": done.uploaded.elapsed.as_secs_f64(),
        "tag": done.tag,
    });
    if let Some(sync) = done.sync {
        value["synced"] = json!(sync.synced);
    }
    value
}

pub(super) fn hash(args: &HashArgs, out: &Output) -> Result<(), Failure> {
    let options = directory_options(&args.directory);
    let mut line = Line::new(out.progress);
    let published = publish::hash(&args.input, &options, &mut |done, total| {
        show(&mut line, done, total);
    })?;
    line.clear();
    out.result(&published_json(&published), &published.reference.to_hex())
}

pub(super) fn show(line: &mut Line, done: u64, total: u64) {
    line.show(|| {
        let percent = done as f64 * 100.0 / total.max(1) as f64;
        format!("{percent:3.0} %  {} read", bytes(done))
    });
}

/// The reference is the result; figures are for people and go where people look.
fn summary(published: &Published) {
    let files = published.files.len();
    let plural = if files == 1 { "" } else { "s" };
    let size = bytes(published.bytes);
    let chunks = published.chunks;
    note(&format!("{size} in {files} file{plural}, {chunks} chunks"));
}

fn published_json(published: &Published) -> Value {
    let files: Vec<Value> = published
        .files
        .iter()
        .map(|f| json!({"path": f.path, "reference": f.reference.to_hex(), "size": f.size}))
        .collect();
    let mut value = json!({
        "reference": published.reference.to_hex(),
        "bytes": published.bytes,
        "chunks": published.chunks,
        "files": files,
    });
    if let Some(manifest) = &published.manifest {
        value["release"] = json!({
            "name": manifest.name,
            "version": manifest.version,
            "sequence": manifest.sequence,
        });
    }
    value
}

fn directory_options(args: &DirectoryArgs) -> Options {
    let release = &args.release;
    let update = Update {
        // As manifests have it.
        feed: release
            .update_feed
            .as_deref()
            .map(|feed| feed.strip_prefix("0x").unwrap_or(feed).to_owned()),
        ens: release.update_ens.clone(),
    };
    // clap demands name, version and sequence with a kernel.
    let release = release.kernel.as_ref().map(|kernel| ReleaseOptions {
        kernel: kernel.clone(),
        initramfs: release.initramfs.clone(),
        cmdline: release.cmdline.clone().unwrap_or_default(),
        name: release.name.clone().unwrap_or_default(),
        version: release.version.clone().unwrap_or_default(),
        sequence: release.sequence.unwrap_or_default(),
        update: (update != Update::default()).then_some(update),
        architecture: None,
    });
    Options {
        index_document: args.index_document.clone(),
        error_document: args.error_document.clone(),
        release,
        level: args.redundancy_level.unwrap_or_default(),
        ..Options::default()
    }
}
