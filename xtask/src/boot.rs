//! Watches one boot from power-on to its result.
use crate::qemu::{Event, Machine, Running};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

/// First line of SWFETCH.
pub(crate) const APPLICATION_MARK: &str = "swfetch ";
/// Last line of SWFETCH, or first of the kernel's EFI stub.
const HAND_OVER_MARK: &str = "EFI stub: ";
const KERNEL_MARK: &str = "Linux version ";
const READY_MARK: &str = "debootd ready ";
const FAILED_MARK: &str = "debootd failed";
const PANIC_MARK: &str = "Kernel panic";

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// `debootd ready`, with what it says.
    Ready(BTreeMap<String, String>),
    /// The system came up and says that something is wrong.
    Failed(String),
    /// SWFETCH showed an error with this id.
    Error {
        /// `DB0201`
        id: String,
        /// The line with the id.
        line: String,
    },
    /// QEMU ended by itself.
    Ended(String),
    /// Nothing of the above in time.
    Timeout,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(_) => write!(f, "debootd ready"),
            Self::Failed(line) => write!(f, "{line}"),
            Self::Error { line, .. } => write!(f, "SWFETCH stopped: {line}"),
            Self::Ended(how) => write!(f, "the virtual machine ended: {how}"),
            Self::Timeout => write!(f, "no result in time"),
        }
    }
}

/// What was seen of a boot.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Power-on to the first line of the boot loader.
    pub(crate) application: Option<Duration>,
    /// Power-on to the first line of the kernel or its EFI stub.
    pub(crate) kernel: Option<Duration>,
    /// Power-on to the result.
    pub(crate) total: Duration,
    /// Longest time without a line between the loader's first line and the kernel's.
    pub(crate) longest_silence: Duration,
    /// All lines.
    pub(crate) lines: Vec<String>,
}

impl Seen {
    /// Whether any line has this text in it.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }
}

/// Something that is done when a line appears: pulling the cable, restarting the network.
pub(crate) type Action<'a> = dyn FnMut(&str, &Running) -> Result<()> + 'a;

/// What to look for.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// First line of the loader that is watched.
    pub(crate) application_mark: &'static str,
    /// How long it may take.
    pub(crate) limit: Duration,
    /// Whether the console is shown.
    pub(crate) show: bool,
}

/// Powers a machine on and watches it until there is a result; it is off afterwards.
///
/// # Errors
/// QEMU cannot be started, or the action fails.
pub(crate) fn boot(machine: &Machine, watch: &Watch, action: &mut Action<'_>) -> Result<Seen> {
    watch_running(machine.start()?, watch, action)
}

/// Watches a machine that is on.
///
/// # Errors
/// As [`boot`].
pub(crate) fn watch_running(
    mut running: Running,
    watch: &Watch,
    action: &mut Action<'_>,
) -> Result<Seen> {
    let powered_on = running.powered_on();
    let deadline = powered_on + watch.limit;
    let mut seen = Seen {
        outcome: Outcome::Timeout,
        application: None,
        kernel: None,
        total: Duration::ZERO,
        longest_silence: Duration::ZERO,
        lines: Vec::new(),
    };
    let mut last: Option<Instant> = None;
    loop {
        let (at, outcome) = match running.next(deadline)? {
            Event::Silent => (Instant::now(), Some(Outcome::Timeout)),
            Event::Ended(status) => {
                let how = format!("{status} {}", running.complaints());
                (
                    Instant::now(),
                    Some(Outcome::Ended(how.trim_end().to_owned())),
                )
            }
            Event::Line(line) => {
                let since = line.at.duration_since(powered_on);
                if watch.show {
                    println!("{:8.2}  {}", since.as_secs_f64(), line.text);
                }
                if seen.application.is_none() && line.text.contains(watch.application_mark) {
                    seen.application = Some(since);
                }
                if seen.kernel.is_none()
                    && [HAND_OVER_MARK, KERNEL_MARK]
                        .iter()
                        .any(|mark| line.text.contains(mark))
                {
                    seen.kernel = Some(since);
                }
                action(&line.text, &running)?;
                let outcome = outcome_of(&line.text);
                seen.lines.push(line.text);
                (line.at, outcome)
            }
        };
        if seen.application.is_some() && seen.kernel.is_none() {
            let silence = last.map_or(Duration::ZERO, |last| at.duration_since(last));
            seen.longest_silence = seen.longest_silence.max(silence);
            last = Some(at);
        }
        if let Some(outcome) = outcome {
            seen.total = at.duration_since(powered_on);
            seen.outcome = outcome;
            return Ok(seen);
        }
    }
}

fn outcome_of(line: &str) -> Option<Outcome> {
    if let Some(start) = line.find(READY_MARK) {
        return Some(Outcome::Ready(pairs(line.get(start..).unwrap_or_default())));
    }
    if line.contains(FAILED_MARK) || line.contains(PANIC_MARK) {
        return Some(Outcome::Failed(line.to_owned()));
    }
    error_id(line).map(|id| Outcome::Error {
        id,
        line: line.to_owned(),
    })
}

/// Finds the id at the head of an error block: `*** DB0201 no DHCP server answered`.
fn error_id(line: &str) -> Option<String> {
    let (_, text) = line.split_once("*** ")?;
    let id: String = text
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let digits = id.strip_prefix("DB")?;
    (digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

fn pairs(line: &str) -> BTreeMap<String, String> {
    let words = line.split(' ').filter_map(|word| word.split_once('='));
    words
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_from_other_lines() {
        assert_eq!(
            outcome_of("debootd ready name=a peers=3 efi=agree").map(|outcome| match outcome {
                Outcome::Ready(pairs) => pairs.into_iter().collect::<Vec<_>>(),
                other => panic!("{other}"),
            }),
            Some(vec![
                ("efi".into(), "agree".into()),
                ("name".into(), "a".into()),
                ("peers".into(), "3".into())
            ])
        );
        assert!(matches!(
            outcome_of("debootd failed: no"),
            Some(Outcome::Failed(_))
        ));
        assert!(matches!(
            outcome_of("[ 1.0] Kernel panic - not syncing"),
            Some(Outcome::Failed(_))
        ));
        assert!(
            matches!(outcome_of("*** DB0201 no DHCP server answered"), Some(Outcome::Error { id, .. }) if id == "DB0201")
        );
        for line in [
            "DB0201",
            "*** DB02",
            "***",
            "peer failed",
            "*** DB02011",
            "debootd: stopped",
        ] {
            assert_eq!(outcome_of(line), None, "{line}");
        }
    }
}
