//! `deboot publish --previous`: what is new against a release before.
use super::args::PublishArgs;
use super::fetch_verb::{source, timeout};
use super::progress::{FetchProgress, Line, bytes, note};
use super::publish_verb::show;
use super::{ExitStatus, Failure, Output};
use crate::fetch::Gauge;
use crate::previous::Previous;
use crate::publish::{self, Options};
use crate::source::ChunkSet;
use crate::target::{Name, Target};
use content::Reference;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is known of releases before.
pub(super) struct Before {
    known: Previous,
    /// What references and feeds led to.
    references: Vec<Reference>,
}

/// Reads what `--previous` names; `None` when it is not given.
pub(super) fn read(args: &PublishArgs, out: &Output) -> Result<Option<Before>, Failure> {
    let (mut names, mut sets) = (Vec::new(), Vec::<PathBuf>::new());
    for text in &args.previous {
        match name(text)? {
            Some(name) => names.push(name),
            None => sets.push(text.clone()),
        }
    }
    if names.is_empty() && !(args.source.peer.is_empty() && args.source.chunks.is_empty()) {
        let message =
            "--peer and --chunks say where --previous REF is read from, and there is none";
        return Err(Failure::new(ExitStatus::Usage, message));
    }
    if args.previous.is_empty() {
        return Ok(None);
    }
    let mut before = Before {
        known: Previous::of_set(ChunkSet::open(&sets)?),
        references: Vec::new(),
    };
    if !names.is_empty() {
        let mut source = source(&args.source)?;
        let gauge = Gauge::default();
        let mut progress = FetchProgress::new(out.progress, args.source.verbose, &gauge);
        let timeout = timeout(&args.source);
        for name in names {
            let known = &mut before.known;
            let reference = known.learn(&mut source, name, timeout, &mut progress)?;
            before.references.push(reference);
        }
        source.close();
    }
    Ok(Some(before))
}

/// Tells references and feeds from files.
fn name(text: &Path) -> Result<Option<Name>, Failure> {
    let Some(text) = text.to_str() else {
        return Ok(None);
    };
    let is_name = ["bzz://", "feed:"]
        .iter()
        .any(|start| text.starts_with(start));
    let usage = |message: String| Failure::new(ExitStatus::Usage, format!("--previous: {message}"));
    match text.parse::<Target>() {
        Ok(Target { name, path }) if path.as_deref().unwrap_or_default().is_empty() => {
            Ok(Some(name))
        }
        Ok(_) => Err(usage(
            "a whole directory is compared, no path in it".to_owned(),
        )),
        Err(error) if is_name => Err(usage(error.to_string())),
        Err(_) => Ok(None),
    }
}

/// Counts what is new against it.
pub(super) fn compare(
    before: &Before,
    args: &PublishArgs,
    options: &Options,
    out: &Output,
) -> Result<Value, Failure> {
    let mut line = Line::new(out.progress);
    let known = |chunk: &_| before.known.has(chunk);
    let novelty = publish::novelty(&args.input, options, &known, &mut |done, total| {
        show(&mut line, done, total);
    })?;
    line.clear();
    let all = novelty.new + novelty.known;
    let (new, size) = (novelty.new, bytes(novelty.new_bytes));
    let read = match before.known.chunks_read() {
        0 => String::new(),
        read => format!("; {read} chunks of it were read"),
    };
    note(&format!(
        "{new} of {all} chunks ({size}) are new against the release before{read}"
    ));
    let references = before.references.iter().map(Reference::to_hex);
    Ok(json!({
        "new": new,
        "new_bytes": novelty.new_bytes,
        "known": novelty.known,
        "references": references.collect::<Vec<_>>(),
        "chunks_read": before.known.chunks_read(),
    }))
}
