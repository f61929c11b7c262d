//! The verbs that read from Swarm: fetch, ls.
use super::args::{FetchArgs, GenerationArg, LsArgs, SourceArgs, StrategyArg};
use super::progress::{FetchProgress, bytes, note};
use super::{ExitStatus, Failure, Output};
use crate::feed::now;
use crate::fetch::{self, Destination, Fetched, Gauge, Limits, Part};
use crate::list::{self, Item};
use crate::locate::{FeedSeen, locate_directory};
use crate::source::{ChunkSet, Source};
use crate::target::Target;
use client::{Config, Session, default_bootnodes};
use content::Strategy;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use swarm::Generation;

pub(super) fn fetch(args: &FetchArgs, out: &Output) -> Result<(), Failure> {
    let destination = destination(args)?;
    if destination == Destination::Stdout && out.json {
        let message = "--json and `-o -` both write to standard output";
        return Err(Failure::new(ExitStatus::Usage, message).with_hint("give -o a file"));
    }
    let mut source = source(&args.source)?;
    let gauge = Gauge::default();
    let mut progress = FetchProgress::new(out.progress, args.source.verbose, &gauge);
    let limits = Limits {
        timeout: timeout(&args.source),
        size_max: args.size_max,
    };
    let part = Part {
        range: args.range.clone(),
        strategy: match args.strategy {
            StrategyArg::Data => Strategy::Data,
            StrategyArg::DataThenParity => Strategy::DataThenParity,
            StrategyArg::Race => Strategy::Race,
        },
    };
    let result = fetch::fetch(
        &mut source,
        &args.target,
        (&part, &destination),
        limits,
        &gauge,
        &mut progress,
    );
    drop(progress);
    let fetched = result?;
    source.close();
    summary(&fetched);
    match &destination {
        Destination::Stdout => Ok(()),
        Destination::File(path) => {
            let text = path.display().to_string();
            out.result(&fetched_json(&args.target, path, &fetched), &text)
        }
    }
}

pub(super) fn ls(args: &LsArgs, out: &Output) -> Result<(), Failure> {
    if !matches!(args.target.path.as_deref(), None | Some("")) {
        let message = "ls lists whole directories and takes no path";
        return Err(Failure::new(ExitStatus::Usage, message));
    }
    let mut source = source(&args.source)?;
    let gauge = Gauge::default();
    let mut progress = FetchProgress::new(out.progress, args.source.verbose, &gauge);
    let timeout = timeout(&args.source);
    let located = locate_directory(&mut source, &args.target, timeout, &mut progress)?;
    let result = list::list(&mut source, &located.root, timeout, &mut progress);
    drop(progress);
    let listed = result?;
    if let Some(feed) = &located.feed {
        note(&feed_line(feed));
    }
    source.close();
    let items: Vec<Value> = listed.items.iter().map(item_json).collect();
    let value = json!({
        "reference": located.root.reference.to_hex(),
        "chunks": listed.chunks + located.chunks,
        "files": items,
        "feed": located.feed.as_ref().map(feed_json),
    });
    let lines: Vec<String> = listed.items.iter().map(item_line).collect();
    out.result(&value, &lines.join("\n"))
}

fn destination(args: &FetchArgs) -> Result<Destination, Failure> {
    match &args.output {
        Some(path) if path == Path::new("-") => return Ok(Destination::Stdout),
        Some(path) => return Ok(Destination::File(path.clone())),
        None => {}
    }
    let name = match args.target.path.as_deref() {
        None | Some("") => args.target.name.to_string().replace(['/', ':'], "-"),
        Some(path) => path.rsplit('/').next().unwrap_or(path).to_owned(),
    };
    if name.is_empty() || name == ".." || name == "." {
        let message = "the path does not end in a file name";
        return Err(Failure::new(ExitStatus::Usage, message).with_hint("name the output with -o"));
    }
    Ok(Destination::File(PathBuf::from(name)))
}

pub(super) fn timeout(args: &SourceArgs) -> Option<Duration> {
    (!args.timeout.is_zero()).then_some(args.timeout)
}

pub(super) fn source(args: &SourceArgs) -> Result<Source, Failure> {
    if !args.chunks.is_empty() {
        let stop = Arc::new(AtomicBool::new(false));
        stop_on_signals(&stop)?;
        return Ok(Source::Local(ChunkSet::open(&args.chunks)?, stop));
    }
    let bootnodes = if args.peer.is_empty() {
        default_bootnodes(args.network_id)
    } else {
        args.peer.clone()
    };
    if bootnodes.is_empty() {
        let message = format!("network {} has no public bootnodes", args.network_id);
        let failure = Failure::new(ExitStatus::Usage, message);
        return Err(failure.with_hint("name a node of it with --peer"));
    }
    let failed = |e: &dyn std::fmt::Display| Failure::new(ExitStatus::Failed, e.to_string());
    let mut config = Config::new(args.network_id, bootnodes).map_err(|e| failed(&e))?;
    config.node.generation = match args.generation {
        GenerationArg::Auto => Generation::Auto,
        GenerationArg::V14 => Generation::V14,
        GenerationArg::V15 => Generation::V15,
    };
    let session = Session::new(config).map_err(|e| failed(&e))?;
    stop_on_signals(&session.stop_handle().flag())?;
    Ok(Source::Network(Box::new(session)))
}

/// The first signal ends the run in order; the second ends the program at once.
pub(super) fn stop_on_signals(flag: &Arc<AtomicBool>) -> Result<(), Failure> {
    for signal in [SIGINT, SIGTERM] {
        let status = i32::from(ExitStatus::Interrupted.number());
        signal_hook::flag::register_conditional_shutdown(signal, status, flag.clone())
            .and_then(|_| signal_hook::flag::register(signal, flag.clone()))
            .map_err(|e| Failure::new(ExitStatus::Failed, format!("signal handlers: {e}")))?;
    }
    Ok(())
}

fn summary(fetched: &Fetched) {
    let seconds = fetched.elapsed.as_secs_f64();
    let rate = fetched.bytes as f64 / seconds.max(1e-6);
    note(&format!(
        "{} in {} chunks from {} peers, {seconds:.2} s, {}/s",
        bytes(fetched.bytes),
        fetched.chunks,
        fetched.peers_used,
        bytes(rate as u64)
    ));
    if fetched.recovered > 0 {
        let count = fetched.recovered;
        note(&format!(
            "{count} lost chunks were computed from the others"
        ));
    }
    if let Some(feed) = &fetched.feed {
        note(&feed_line(feed));
    }
    if fetched.is_directory {
        note(
            "this is a directory: `deboot ls` shows its paths, `deboot fetch REF/PATH` fetches one",
        );
    }
}

/// What a feed led to, for people.
fn feed_line(seen: &FeedSeen) -> String {
    let age = seen.timestamp.map_or_else(String::new, |time| {
        format!(", {} old", crate::bee::days(now().saturating_sub(time)))
    });
    format!(
        "feed {}: update {}{age}; {}",
        seen.feed, seen.index, seen.certainty
    )
}

fn feed_json(seen: &FeedSeen) -> Value {
    json!({
        "owner": seen.feed.owner.to_string(),
        "topic": seen.feed.topic.to_string(),
        "index": seen.index.to_string(),
        "timestamp": seen.timestamp,
        "age_seconds": seen.timestamp.map(|time| now().saturating_sub(time)),
        "certain": seen.certainty.is_definite(),
    })
}

fn fetched_json(target: &Target, path: &Path, fetched: &Fetched) -> Value {
    json!({
        "target": target.to_string(),
        "reference": fetched.reference.to_hex(),
        "output": path,
        "bytes": fetched.bytes,
        "size": fetched.size,
        "path": fetched.path,
        "recovered_chunks": fetched.recovered,
        "feed": fetched.feed.as_ref().map(feed_json),
        "chunks": fetched.chunks,
        "peers_used": fetched.peers_used,
        "seconds": fetched.elapsed.as_secs_f64(),
        "is_directory": fetched.is_directory,
    })
}

fn item_json(item: &Item) -> Value {
    json!({
        "path": item.path,
        "reference": item.reference.map(|r| r.to_hex()),
        "size": item.size,
        "metadata": item.metadata,
    })
}

fn item_line(item: &Item) -> String {
    let reference = item
        .reference
        .map_or_else(|| "-".repeat(64), |r| r.to_hex());
    let size = item.size.map_or_else(|| "-".to_owned(), |s| s.to_string());
    // Paths come from strangers: what could move the cursor is shown escaped.
    let mut path = String::with_capacity(item.path.len());
    for c in item.path.chars() {
        if c.is_control() {
            path.extend(c.escape_default());
        } else {
            path.push(c);
        }
    }
    format!("{reference} {size:>12} {path}")
}
