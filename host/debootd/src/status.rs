//! What the daemon reports, as one line and as JSON.
use std::fmt::{Display, Formatter};

/// One step of the boot.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Name of the step; `docs/handover.md` lists them.
    pub key: String,
    /// Milliseconds to its end: since the application's start, for `init` since power-on.
    pub ms: u64,
}

/// What the loader fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fetched {
    /// Verified bytes of kernel and initramfs.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Chunks delivered.
    #[serde(default)]
    pub chunks: Option<u64>,
    /// Peers that delivered at least one.
    #[serde(default)]
    pub peers: Option<u64>,
}

/// The update of a feed that was booted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Feed {
    /// `<owner>/<topic>`, hexadecimal.
    pub feed: String,
    /// Index of the update.
    pub index: u64,
    /// When it was made, Unix seconds, as its owner says; an update that wraps its content does not say.
    pub time: Option<u64>,
    /// The loader waited until the network gave the next index up; otherwise only the peers nearest to it refused it.
    pub definite: bool,
    /// Requests for newer updates that found nothing.
    pub requests: u64,
}

/// How the EFI variables compare with the kernel command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EfiState {
    /// They say the same.
    Agree,
    /// efivarfs is mounted, but there are no variables of deboot: another loader started this kernel.
    Absent,
    /// efivarfs is not mounted.
    Unavailable,
}

/// What was booted, checked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// `deboot/status/1`
    pub schema: String,
    /// `ready`: a system that fails the check has no daemon to ask.
    pub state: String,
    /// Host or fleet name.
    pub name: String,
    /// Version for people.
    pub version: String,
    /// Only rises.
    pub sequence: u64,
    /// What was booted: the address of its root chunk.
    pub reference: String,
    /// The feed that led there.
    #[serde(default)]
    pub feed: Option<Feed>,
    /// How long it took, in order of time; empty when the loader did not say.
    pub timings: Vec<Timing>,
    /// What was fetched.
    pub fetched: Fetched,
    /// What the loader's heap held at most, payload not counted.
    pub memory_peak_bytes: Option<u64>,
    /// Whether the EFI variables confirm it.
    pub efi: EfiState,
    /// Why the boot before this one failed.
    pub previous_error: Option<String>,
    /// Kernel uptime when the check passed, milliseconds.
    pub ready_uptime_ms: u64,
    /// Kernel uptime when this status was made, milliseconds.
    pub uptime_ms: u64,
}

impl Display for Status {
    /// Writes `key=value` pairs on one line, the form of the console line and of `debootd status`.
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let word = |text: &str| {
            if text.contains([' ', '"']) {
                format!("{text:?}")
            } else {
                text.to_owned()
            }
        };
        let count = |n: Option<u64>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
        let timings: Vec<_> = self
            .timings
            .iter()
            .map(|t| format!("{}:{}", t.key, t.ms))
            .collect();
        let timings = if timings.is_empty() {
            "unknown".to_owned()
        } else {
            timings.join(",")
        };
        write!(
            f,
            "debootd {} name={} version={} sequence={} reference={} timings={timings} bytes={} chunks={} peers={} memory_peak={} \
             efi={} uptime={}.{:03}",
            self.state,
            word(&self.name),
            word(&self.version),
            self.sequence,
            self.reference,
            count(self.fetched.bytes),
            count(self.fetched.chunks),
            count(self.fetched.peers),
            count(self.memory_peak_bytes),
            match self.efi {
                EfiState::Agree => "agree",
                EfiState::Absent => "absent",
                EfiState::Unavailable => "unavailable",
            },
            self.ready_uptime_ms / 1000,
            self.ready_uptime_ms % 1000,
        )?;
        if let Some(feed) = &self.feed {
            write!(f, " feed={} feed_index={}", feed.feed, feed.index)?;
            if let Some(time) = feed.time {
                write!(f, " feed_time={time}")?;
            }
        }
        match &self.previous_error {
            Some(error) => write!(f, " previous_error={error:?}"),
            None => Ok(()),
        }
    }
}
