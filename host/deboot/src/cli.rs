//! The program: arguments in, one verb, one exit status out.
mod args;
mod devnet_verb;
mod failure;
mod feed_verb;
mod fetch_verb;
mod files_verb;
mod previous_verb;
mod progress;
mod publish_verb;
mod shell_verb;

pub use args::Arguments;
pub use failure::{ExitStatus, Failure};

use args::Verb;
use clap::Parser;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with `arguments` (the first is its name) and returns its exit status.
pub fn main<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors and go to standard output.
            let status = if error.use_stderr() {
                ExitStatus::Usage
            } else {
                ExitStatus::Ok
            };
            // Nothing is left to say when the terminal is gone.
            let _ = error.print();
            return status.into();
        }
    };
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitStatus::Ok.into(),
        Err(failure) => {
            failure.print(json);
            failure.status.into()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let out = Output {
        json: arguments.json,
        progress: arguments.progress,
    };
    match arguments.verb {
        Verb::Publish(args) => publish_verb::publish(&args, &out),
        Verb::Hash(args) => publish_verb::hash(&args, &out),
        Verb::Feed(args) => feed_verb::feed(&args, &out),
        Verb::Disk(args) => files_verb::disk(&args, &out),
        Verb::Check(args) => files_verb::check(&args, &out),
        Verb::Fetch(args) => fetch_verb::fetch(&args, &out),
        Verb::Ls(args) => fetch_verb::ls(&args, &out),
        Verb::Completions(args) => shell_verb::completions(&args),
        Verb::Man(args) => shell_verb::man(&args, &out),
        Verb::Devnet(args) => devnet_verb::devnet(&args),
    }
}

/// How results are shown.
struct Output {
    json: bool,
    progress: bool,
}

impl Output {
    /// Prints the result: `value` with `--json`, else `text`.
    fn result(&self, value: &Value, text: &str) -> Result<(), Failure> {
        use std::io::Write;
        let mut stdout = std::io::stdout().lock();
        let written = if self.json {
            writeln!(stdout, "{value:#}")
        } else {
            writeln!(stdout, "{text}")
        };
        written
            .and_then(|()| stdout.flush())
            .map_err(|e| Failure::new(ExitStatus::Failed, format!("standard output: {e}")))
    }
}

/// The JSON form of an error, for programs that read standard output.
fn error_json(failure: &Failure) -> Value {
    json!({
        "error": {
            "status": failure.status.number(),
            "message": failure.message,
            "hint": failure.hint,
        }
    })
}
