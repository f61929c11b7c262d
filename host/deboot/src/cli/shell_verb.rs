//! What packagers need: shell completions and manual pages, made from the command line itself.
use super::args::{CompletionsArgs, ManArgs};
use super::{Arguments, ExitStatus, Failure, Output};
use clap::CommandFactory;
use serde_json::json;
use std::io::Write;

const NAME: &str = "deboot";

/// Prints completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), NAME, &mut script);
    std::io::stdout()
        .write_all(&script)
        .map_err(|e| Failure::new(ExitStatus::Failed, format!("standard output: {e}")))
}

/// Writes a page for the program and for each verb.
pub(super) fn man(args: &ManArgs, out: &Output) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        let message = format!("{}: {e}", args.directory.display());
        Failure::new(ExitStatus::Failed, message)
    };
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), &args.directory).map_err(failed)?;
    let mut pages: Vec<String> = std::fs::read_dir(&args.directory)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(NAME) && name.ends_with(".1"))
        .collect();
    pages.sort();
    out.result(&json!({"pages": pages}), &pages.join("\n"))
}
