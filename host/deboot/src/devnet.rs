//! Reads the devnet verb's options and runs the network until told to stop.
use bmt::ChunkAddress;
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use storer::Fault;
use storer::devnet::{Counters, Devnet, DevnetConfig, DevnetError};

/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Why text is not a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No index.
    #[error("{0:?}: write a fault as INDEX=KIND, for example 3=lies")]
    Form(String),
    /// No such kind.
    #[error(
        "{0:?} is no fault; known are lies, never-answers, resets-after:CHUNKS, truncates, huge-length, junk-peers:COUNT, slow:MILLISECONDS[:BYTES_PER_SECOND], drops:ADDRESS[+ADDRESS]..."
    )]
    Kind(String),
    /// A bad or missing parameter.
    #[error("fault {kind}: {value:?} is not {expected}")]
    Parameter {
        /// Which fault.
        kind: String,
        /// What was given.
        value: String,
        /// What is needed.
        expected: &'static str,
    },
}

/// Reads `INDEX=KIND[:PARAMETER...]`.
///
/// # Errors
/// Names the part that is wrong.
pub fn parse_fault(text: &str) -> Result<(usize, Fault), FaultError> {
    let form = || FaultError::Form(text.to_owned());
    let (index, rest) = text.split_once('=').ok_or_else(form)?;
    let index = index.parse().map_err(|_| form())?;
    let mut parts = rest.split(':');
    let kind = parts.next().unwrap_or_default();
    let parameters: Vec<&str> = parts.collect();
    let number = |at: usize| -> Result<u64, FaultError> {
        let value = parameters.get(at).copied().unwrap_or_default();
        value.parse().map_err(|_| FaultError::Parameter {
            kind: kind.to_owned(),
            value: value.to_owned(),
            expected: "a number",
        })
    };
    let (fault, parameters_max) = match kind {
        "lies" => (Fault::Lies, 0),
        "never-answers" => (Fault::NeverAnswers, 0),
        "truncates" => (Fault::Truncates, 0),
        "huge-length" => (Fault::HugeLength, 0),
        "resets-after" => (Fault::ResetsAfter { chunks: number(0)? }, 1),
        "junk-peers" => {
            let count = usize::try_from(number(0)?).unwrap_or(usize::MAX);
            (Fault::JunkPeers { count }, 1)
        }
        "slow" => {
            let delay = Duration::from_millis(number(0)?);
            let bytes_per_second = if parameters.len() > 1 { number(1)? } else { 0 };
            let fault = Fault::Slow {
                delay,
                bytes_per_second,
            };
            (fault, 2)
        }
        "drops" => {
            let addresses = parameters.first().copied().unwrap_or_default();
            let chunks = parse_addresses(addresses)?;
            (Fault::Drops { chunks }, 1)
        }
        other => return Err(FaultError::Kind(other.to_owned())),
    };
    match parameters.get(parameters_max) {
        Some(extra) => Err(FaultError::Parameter {
            kind: kind.to_owned(),
            value: (*extra).to_owned(),
            expected: "a parameter of this fault",
        }),
        None => Ok((index, fault)),
    }
}

fn parse_addresses(text: &str) -> Result<BTreeSet<ChunkAddress>, FaultError> {
    text.split('+')
        .map(|part| match part.parse::<content::Reference>() {
            Ok(reference) if reference.key.is_none() => Ok(reference.address),
            _ => Err(FaultError::Parameter {
                kind: "drops".to_owned(),
                value: part.to_owned(),
                expected: "a chunk address of 64 hexadecimal digits",
            }),
        })
        .collect()
}

/// When a devnet ends and what it says meanwhile.
pub struct RunOptions<'a> {
    /// Ends the network when set.
    pub stop: Arc<AtomicBool>,
    /// Ends the network when standard input ends, so that a parent that was killed leaves nothing behind.
    pub stop_on_stdin_close: bool,
    /// Hears of the counters while they change.
    pub statistics: Option<Statistics<'a>>,
}

/// Who hears of a network's counters, and how often at most.
pub struct Statistics<'a> {
    /// Time between two calls.
    pub interval: Duration,
    /// Takes the sum over all nodes.
    pub hear: &'a mut dyn FnMut(&Counters),
}

/// Starts a network, says so, and keeps it up until told to stop.
///
/// # Errors
/// When the network does not come up, or `ready` fails.
pub fn run<E: From<DevnetError>>(
    config: DevnetConfig,
    options: RunOptions<'_>,
    ready: &mut dyn FnMut(&Devnet) -> Result<(), E>,
) -> Result<(), E> {
    let RunOptions {
        stop,
        stop_on_stdin_close,
        mut statistics,
    } = options;
    if stop_on_stdin_close {
        watch_stdin(stop.clone());
    }
    let devnet = Devnet::start(config)?;
    ready(&devnet)?;
    let mut last = Counters::default();
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if let Some(statistics) = &mut statistics
            && Instant::now() >= next
        {
            let totals = devnet.totals();
            if totals != last {
                (statistics.hear)(&totals);
                last = totals;
            }
            next = Instant::now() + statistics.interval;
        }
        std::thread::sleep(TICK);
    }
    devnet.stop_all();
    Ok(())
}

/// Sets `stop` when standard input ends.
fn watch_stdin(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        let mut stdin = std::io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_spelling() {
        let address = "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48";
        let cases = [
            ("0=lies".to_owned(), 0, Fault::Lies),
            ("3=never-answers".to_owned(), 3, Fault::NeverAnswers),
            ("4=truncates".to_owned(), 4, Fault::Truncates),
            ("5=huge-length".to_owned(), 5, Fault::HugeLength),
            (
                "1=resets-after:7".to_owned(),
                1,
                Fault::ResetsAfter { chunks: 7 },
            ),
            (
                "0=junk-peers:10000".to_owned(),
                0,
                Fault::JunkPeers { count: 10000 },
            ),
            (
                "2=slow:250".to_owned(),
                2,
                Fault::Slow {
                    delay: Duration::from_millis(250),
                    bytes_per_second: 0,
                },
            ),
            (
                "2=slow:0:4096".to_owned(),
                2,
                Fault::Slow {
                    delay: Duration::ZERO,
                    bytes_per_second: 4096,
                },
            ),
            (
                format!("9=drops:{address}"),
                9,
                Fault::Drops {
                    chunks: [address.parse::<content::Reference>().unwrap().address].into(),
                },
            ),
        ];
        for (text, index, fault) in cases {
            assert_eq!(parse_fault(&text), Ok((index, fault)), "{text}");
        }
    }

    #[test]
    fn bad_faults_are_refused_with_the_part_that_is_wrong() {
        for (text, expected) in [
            ("lies", "write a fault as INDEX=KIND"),
            ("x=lies", "write a fault as INDEX=KIND"),
            ("1=lie", "is no fault"),
            ("1=lies:2", "is not a parameter of this fault"),
            ("1=resets-after", "is not a number"),
            ("1=slow:1:2:3", "is not a parameter of this fault"),
            ("1=drops:zz", "is not a chunk address"),
        ] {
            let error = parse_fault(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
