//! `debootd`: runs in the booted system; `debootd status` asks it.
#![forbid(unsafe_code)]

use debootd::{Status, System, check, serve};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
debootd: reports what was booted

usage:
  debootd run [--root DIR] [--socket PATH]
      checks the kernel command line, the EFI variables and the release file against each other,
      prints one line that starts with \"debootd ready\" and serves the status until SIGTERM;
      or prints one that starts with \"debootd failed\" and exits with 1
  debootd status [--json] [--socket PATH] [--timeout-ms N]
      asks the running daemon; exits with 1 when it does not answer
  debootd --version | --help

exit status: 0 success, 1 failure, 2 wrong usage
";

struct Options {
    root: PathBuf,
    socket: PathBuf,
    json: bool,
    timeout: Duration,
}

enum Verb {
    Run(Options),
    Status(Options),
    Version,
    Help,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Verb::Run(options)) => run(&options),
        Ok(Verb::Status(options)) => status(&options),
        Ok(Verb::Version) => say(concat!("debootd ", env!("CARGO_PKG_VERSION"))),
        Ok(Verb::Help) => say(USAGE.trim_end()),
        Err(error) => {
            eprintln!("debootd: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Verb, String> {
    let verb = arguments.next().ok_or("no verb")?;
    let mut options = Options {
        root: PathBuf::from("/"),
        socket: PathBuf::from(serve::SOCKET_PATH),
        json: false,
        timeout: serve::STATUS_TIMEOUT,
    };
    let is_run = verb == "run";
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--socket" => options.socket = value()?.into(),
            "--root" if is_run => options.root = value()?.into(),
            "--json" if !is_run => options.json = true,
            "--timeout-ms" if !is_run => {
                let text = value()?;
                let ms = text
                    .parse()
                    .map_err(|_| format!("--timeout-ms {text:?} is not a number"))?;
                options.timeout = Duration::from_millis(ms);
            }
            _ => return Err(format!("{verb} does not know {argument:?}")),
        }
    }
    match verb.as_str() {
        "run" => Ok(Verb::Run(options)),
        "status" => Ok(Verb::Status(options)),
        "--version" => Ok(Verb::Version),
        "--help" | "-h" => Ok(Verb::Help),
        _ => Err(format!("unknown verb {verb:?}")),
    }
}

/// Prints one line; a console that cannot be written is a failure, because the line is the result.
fn say(line: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush())
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(reason: &str) -> ExitCode {
    say(&format!("debootd failed: {reason}"));
    ExitCode::FAILURE
}

fn run(options: &Options) -> ExitCode {
    let system = System::new(&options.root);
    let status = match system.read() {
        Err(error) => return fail(&error.to_string()),
        Ok(sources) => match check(&sources) {
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                return fail(&problems.join("; "));
            }
            Ok(status) => status,
        },
    };
    // Signals are caught before the socket exists, so that its file never outlives the daemon.
    let mut signals = match Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    let server = match serve::Server::bind(&options.socket) {
        Ok(server) => server,
        Err(error) => return fail(&error.to_string()),
    };
    if say(&status.to_string()) != ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    let path = server.path().to_owned();
    std::thread::spawn(move || {
        server.serve(|| {
            let uptime_ms = system.uptime_ms().unwrap_or(status.uptime_ms);
            Status {
                uptime_ms,
                ..status.clone()
            }
        });
    });
    let signal = signals.forever().next();
    drop(std::fs::remove_file(path));
    say(match signal {
        Some(SIGTERM) => "debootd: stopped by SIGTERM",
        _ => "debootd: stopped",
    })
}

fn status(options: &Options) -> ExitCode {
    match serve::ask(&options.socket, options.timeout) {
        Err(error) => {
            eprintln!("debootd status: {error}");
            ExitCode::FAILURE
        }
        Ok(status) if options.json => match serde_json::to_string_pretty(&status) {
            Ok(json) => say(&json),
            Err(error) => {
                eprintln!("debootd status: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(status) => say(&status.to_string()),
    }
}
