//! The verbs that work on files: publish, hash, disk, check.
use super::args::{
    CheckArgs, DirectoryArgs, DiskArgs, GenerationArg, HashArgs, PublishArgs, plain_reference,
};
use super::progress::{Line, bytes, note};
use super::{ExitStatus, Failure, Output};
use crate::check::{self, Checked};
use crate::disk::{self, ConfigText, Contents};
use crate::publish::{self, Options, Published, ReleaseOptions};
use release::manifest::Update;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Name of the loader that is looked for beside the program.
const LOADER: &str = "SWFETCH.EFI";

pub(super) fn publish(args: &PublishArgs, out: &Output) -> Result<(), Failure> {
    let options = directory_options(&args.directory);
    let mut line = Line::new(out.progress);
    let published = publish::publish(&args.input, &options, &args.output, &mut |done, total| {
        show(&mut line, done, total);
    })?;
    line.clear();
    let mut value = published_json(&published);
    value["output"] = json!(args.output);
    summary(&published);
    out.result(&value, &published.reference.to_hex())
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

fn show(line: &mut Line, done: u64, total: u64) {
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
        feed: release.update_feed.clone(),
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
    });
    Options {
        index_document: args.index_document.clone(),
        error_document: args.error_document.clone(),
        release,
    }
}

pub(super) fn disk(args: &DiskArgs, out: &Output) -> Result<(), Failure> {
    let contents = Contents {
        efi: loader(args)?,
        config: config_text(args)?,
        add: args.add.clone(),
        size: args.size,
    };
    let made = disk::make(&contents, &args.output)?;
    let files: Vec<Value> = made
        .files
        .iter()
        .map(|(path, size)| json!({"path": path, "size": size}))
        .collect();
    let value = json!({
        "output": args.output,
        "bytes": made.bytes,
        "disk_guid": made.disk_guid.to_string(),
        "partition_guid": made.partition_guid.to_string(),
        "files": files,
        "config": contents.config,
    });
    let text = format!(
        "{}: {} with {} files",
        args.output.display(),
        bytes(made.bytes),
        made.files.len()
    );
    out.result(&value, &text)
}

fn loader(args: &DiskArgs) -> Result<PathBuf, Failure> {
    if let Some(efi) = &args.efi {
        return Ok(efi.clone());
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join(LOADER)))
        .filter(|path| path.is_file());
    beside.ok_or_else(|| {
        let message = format!("there is no {LOADER} beside this program");
        Failure::new(ExitStatus::Usage, message).with_hint("name it with --efi")
    })
}

fn config_text(args: &DiskArgs) -> Result<Option<String>, Failure> {
    if args.no_config {
        return Ok(None);
    }
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let message = format!("{}: cannot be read: {e}", path.display());
            Failure::new(ExitStatus::Failed, message)
        })?;
        return Ok(Some(text));
    }
    // clap demands a reference without --config and --no-config.
    let reference = args.reference.as_ref().and_then(plain_reference);
    let Some(reference) = reference else {
        let message = "--reference is a whole release directory or manifest and takes no path";
        return Err(Failure::new(ExitStatus::Usage, message));
    };
    let generation = args.generation.map(|generation| match generation {
        GenerationArg::Auto => "auto",
        GenerationArg::V14 => "14",
        GenerationArg::V15 => "15",
    });
    let text = ConfigText {
        reference,
        cmdline_append: args.cmdline_append.clone(),
        network_id: args.network_id,
        generation: generation.map(str::to_owned),
        bootnodes: args.bootnode.clone(),
        static_address: args.static_address.clone(),
    };
    Ok(Some(text.to_string()))
}

pub(super) fn check(args: &CheckArgs, out: &Output) -> Result<(), Failure> {
    let file = args.file.display();
    let (value, text) = match check::check(&args.file)? {
        Checked::BootConfig(config) => {
            let reference = config.reference.to_hex();
            let text = format!("{file}: a valid boot configuration for {reference}");
            let kind = "boot configuration";
            (
                json!({"valid": true, "kind": kind, "reference": reference}),
                text,
            )
        }
        Checked::Manifest(manifest) => (
            json!({
                "valid": true,
                "kind": "host configuration manifest",
                "name": manifest.name,
                "version": manifest.version,
                "sequence": manifest.sequence,
            }),
            format!(
                "{file}: a valid host configuration manifest, {} {} (sequence {})",
                manifest.name, manifest.version, manifest.sequence
            ),
        ),
    };
    out.result(&value, &text)
}
