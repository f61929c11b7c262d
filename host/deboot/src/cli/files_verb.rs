//! The verbs that work on files: disk, check.
use super::args::{CheckArgs, DiskArgs, GenerationArg};
use super::progress::bytes;
use super::{ExitStatus, Failure, Output};
use crate::check::{self, Checked};
use crate::disk::{self, ConfigText, Contents};
use release::target::Name;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Name of the loader that is looked for beside the program.
const LOADER: &str = "SWFETCH.EFI";

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
    // clap demands one of them without --config and --no-config.
    let Some(target) = args.reference.as_ref().or(args.feed.as_ref()) else {
        let message = "what shall it boot?";
        let failure = Failure::new(ExitStatus::Usage, message);
        return Err(failure.with_hint("give --reference, --feed, --config or --no-config"));
    };
    let generation = args.generation.map(|generation| match generation {
        GenerationArg::Auto => "auto",
        GenerationArg::V14 => "14",
        GenerationArg::V15 => "15",
    });
    let text = ConfigText {
        target: target.clone(),
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
            let target = config.target.to_string();
            let text = format!("{file}: a valid boot configuration for {target}");
            let kind = "boot configuration";
            let name = match config.target.name {
                Name::Reference(_) => "reference",
                Name::Feed(_) => "feed",
            };
            (json!({"valid": true, "kind": kind, name: target}), text)
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
