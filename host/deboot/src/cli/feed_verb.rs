//! The verbs that concern feeds: show, update, key.
use super::args::{FeedArgs, FeedKeyArgs, FeedShowArgs, FeedUpdateArgs, FeedVerb};
use super::fetch_verb::{source, stop_on_signals, timeout};
use super::progress::{FetchProgress, note};
use super::publish_verb::{bee_options, state_directory};
use super::{ExitStatus, Failure, Output};
use crate::bee::{ApiError, Bee, days};
use crate::feed::{Announce, Announced, FeedUpdateError, Memory, now, open_key};
use crate::fetch::Gauge;
use crate::output::OutputFile;
use crate::publish::BeeOptions;
use crate::secret::{create_key, read_key};
use bmt::SecretKey;
use chunkset::TarWriter;
use content::Reference;
use content::feed::{Feed, Find, FindConfig, Index, Patience, Payload, Topic};
use serde_json::{Value, json};
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) fn feed(args: &FeedArgs, out: &Output) -> Result<(), Failure> {
    match &args.verb {
        FeedVerb::Show(args) => show(args, out),
        FeedVerb::Update(args) => update(args, out),
        FeedVerb::Key(args) => key(args, out),
    }
}

fn show(args: &FeedShowArgs, out: &Output) -> Result<(), Failure> {
    let mut source = source(&args.source)?;
    let gauge = Gauge::default();
    let mut progress = FetchProgress::new(out.progress, args.source.verbose, &gauge);
    let mut find = Find::new(
        args.feed,
        FindConfig {
            at_least: args.at_least,
            // A person who asks wants to know it, not to boot quickly.
            patience: Patience::Absent,
            ..FindConfig::default()
        },
    );
    let result = source.run(&mut find, timeout(&args.source), &mut progress);
    drop(progress);
    result?;
    source.close();
    let certainty = find.certainty();
    let Some(update) = find.latest() else {
        let message = format!("feed {}: the look-up ended without an answer", args.feed);
        return Err(Failure::new(ExitStatus::NotFound, message));
    };
    let (reference, timestamp) = match update.payload() {
        Payload::Reference {
            timestamp,
            reference,
        } => (Some(reference), Some(timestamp)),
        Payload::Root => (None, None),
    };
    let age = timestamp.map(|time| now().saturating_sub(time));
    let index = match update.index() {
        Index::Sequence(number) => number,
        Index::Epoch(_) => 0,
    };
    let value = json!({
        "owner": args.feed.owner.to_string(),
        "topic": args.feed.topic.to_string(),
        "index": index,
        "address": update.chunk().address().to_string(),
        "reference": reference.map(|r| r.to_hex()),
        "content_inside": reference.is_none(),
        "timestamp": timestamp,
        "age_seconds": age,
        "certain": certainty.is_definite(),
        "certainty": certainty.to_string(),
    });
    let age = age.map_or_else(String::new, |age| format!(", {} old", days(age)));
    note(&format!("update {index}{age}; {certainty}"));
    let text = reference.map_or_else(|| update.chunk().address().to_string(), |r| r.to_hex());
    out.result(&value, &text)
}

fn update(args: &FeedUpdateArgs, out: &Output) -> Result<(), Failure> {
    let named: Option<Feed> = args.topic.parse().ok();
    let key = open_key(&args.key, named)?;
    let topic = named.map_or_else(
        || Topic::from_hex(&args.topic).unwrap_or_else(|| Topic::of_text(&args.topic)),
        |feed| feed.topic,
    );
    let state = state_directory(args.state.as_deref())?;
    let bee = bee_options(&args.bee, args.state.as_deref())?;
    let announce = prepare(key, topic, args.index, &state, bee.as_ref())?;
    if let Some(output) = &args.output {
        write(&announce, &args.reference, &state, output)?;
    }
    let announced = send(&announce, &args.reference, &state, bee.as_ref())?;
    let value = announced_json(&announced);
    out.result(&value, &announced.manifest.to_hex())
}

fn key(args: &FeedKeyArgs, out: &Output) -> Result<(), Failure> {
    let key = if args.new {
        create_key(&args.file)?
    } else {
        read_key(&args.file)?
    };
    let owner = key.address().to_string();
    out.result(&json!({"owner": owner, "file": args.file}), &owner)
}

/// Decides which update is made next.
pub(super) fn prepare(
    key: SecretKey,
    topic: Topic,
    asked: Option<u64>,
    state: &Path,
    bee: Option<&BeeOptions>,
) -> Result<Announce, Failure> {
    let feed = Feed {
        owner: key.address(),
        topic,
    };
    let memory = Memory::new(state);
    let last = memory.last(feed)?;
    let found = match (asked, bee) {
        (None, Some(to)) => match node(to).next_feed_index(feed) {
            Ok(found) => found,
            // What was announced from here counts; without it a guess might use an index twice.
            Err(ApiError::Status { status: 404, .. }) if last.is_some() => None,
            Err(source @ ApiError::Status { status: 404, .. }) => {
                let source = Box::new(source);
                return Err(FeedUpdateError::Unknown { feed, source }.into());
            }
            Err(error) => return Err(FeedUpdateError::Api(error).into()),
        },
        (None, None) if last.is_none() => {
            return Err(FeedUpdateError::NobodyKnows { feed }.into());
        }
        _ => None,
    };
    Ok(Announce {
        index: memory.next(feed, asked, found)?,
        is_index_asked: asked.is_some(),
        last,
        timestamp: now(),
        key,
        topic,
    })
}

/// Remembers the update, and puts it into the node if there is one.
pub(super) fn send(
    announce: &Announce,
    reference: &Reference,
    state: &Path,
    bee: Option<&BeeOptions>,
) -> Result<Announced, Failure> {
    let feed = announce.feed();
    if reference.key.is_some() {
        note(&format!(
            "warning: everybody who can read feed {feed} gets the key of this encrypted content"
        ));
    }
    Memory::new(state).remember(feed, &announce.about(reference))?;
    let announced = match bee {
        None => announce.chunks(reference)?.1,
        Some(to) => {
            let stop = Arc::new(AtomicBool::new(false));
            stop_on_signals(&stop)?;
            announce.send(&node(to), reference, to.upload.retry_for, &stop)?
        }
    };
    let again = if announced.is_old { " (as before)" } else { "" };
    note(&format!(
        "feed {feed}: update {} points to it{again}",
        announced.index
    ));
    Ok(announced)
}

fn node(to: &BeeOptions) -> Bee {
    Bee::new(to.url.clone(), to.batch, to.upload.parallel)
}

fn write(
    announce: &Announce,
    reference: &Reference,
    state: &Path,
    output: &Path,
) -> Result<(), Failure> {
    let (chunks, announced) = announce.chunks(reference)?;
    let mut file = OutputFile::create(output)?;
    let failed = |e: chunkset::TarError| {
        let message = format!("{}: {e}", output.display());
        Failure::new(ExitStatus::Failed, message)
    };
    let mut writer = TarWriter::new(BufWriter::new(&mut file));
    for chunk in &chunks {
        writer
            .append(announced.manifest.address, chunk)
            .map_err(failed)?;
    }
    drop(writer.finish().map_err(failed)?);
    Memory::new(state).remember(announce.feed(), &announce.about(reference))?;
    Ok(file.commit()?)
}

pub(super) fn announced_json(announced: &Announced) -> Value {
    json!({
        "owner": announced.feed.owner.to_string(),
        "topic": announced.feed.topic.to_string(),
        "index": announced.index,
        "address": announced.address.to_string(),
        "manifest": announced.manifest.to_hex(),
    })
}
