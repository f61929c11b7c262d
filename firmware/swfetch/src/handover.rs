//! The record handed to Linux: command line and variables. `docs/handover.md` is the specification; both must change together.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest x86 command line Linux keeps, without the terminating zero.
pub const COMMAND_LINE_BYTES_MAX: usize = 2047;
/// `init` longer than this is a counter that did not start at power-on.
pub const INIT_MS_MAX: u64 = 3_600_000;

/// A step whose end is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Counter zero to application start; all others count from application start.
    Init,
    /// Configuration read, entropy and clock ready.
    Config,
    /// First network interface initialised.
    Nic,
    /// Address set.
    Dhcp,
    /// First peer ready.
    Peers,
    /// Manifest fetched and checked.
    Manifest,
    /// Kernel and initramfs complete.
    Fetch,
    /// Just before `StartImage`.
    Exec,
}

impl Mark {
    /// All marks, in order of time.
    pub const ALL: [Self; 8] = [
        Self::Init,
        Self::Config,
        Self::Nic,
        Self::Dhcp,
        Self::Peers,
        Self::Manifest,
        Self::Fetch,
        Self::Exec,
    ];

    /// The key in `deboot.timings`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Config => "config",
            Self::Nic => "nic",
            Self::Dhcp => "dhcp",
            Self::Peers => "peers",
            Self::Manifest => "manifest",
            Self::Fetch => "fetch",
            Self::Exec => "exec",
        }
    }
}

/// When each step ended, milliseconds. A mark that is set again keeps its first value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    marks: Vec<(Mark, u64)>,
}

impl Timings {
    /// Records the end of a step.
    pub fn mark(&mut self, mark: Mark, ms: u64) {
        if self.ms_of(mark).is_none() && !(mark == Mark::Init && ms > INIT_MS_MAX) {
            self.marks.push((mark, ms));
            self.marks.sort_by_key(|(mark, _)| *mark);
        }
    }

    /// Returns when a step ended.
    pub fn ms_of(&self, mark: Mark) -> Option<u64> {
        self.marks
            .iter()
            .find(|(known, _)| *known == mark)
            .map(|(_, ms)| *ms)
    }

    /// Forgets everything after the configuration: a new attempt begins.
    pub fn restart(&mut self) {
        self.marks
            .retain(|(mark, _)| matches!(mark, Mark::Init | Mark::Config | Mark::Nic));
    }

    fn joined(&self, quote: &str) -> String {
        let parts: Vec<String> = self
            .marks
            .iter()
            .map(|(mark, ms)| format!("{quote}{}{quote}:{ms}", mark.key()))
            .collect();
        parts.join(",")
    }
}

/// What was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Verified bytes of kernel and initramfs.
    pub bytes: u64,
    /// Chunks delivered.
    pub chunks: u64,
    /// Peers that delivered at least one.
    pub peers: u64,
}

/// The update of a feed that was booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRecord {
    /// `<owner>/<topic>`, hexadecimal.
    pub feed: String,
    /// Index of the update.
    pub index: u64,
    /// When it was made, Unix seconds, as its owner says.
    pub timestamp: Option<u64>,
    /// The source gave the next index up; otherwise only the peers nearest to it refused it.
    pub definite: bool,
    /// Requests for newer updates that found nothing.
    pub requests: u32,
}

impl FeedRecord {
    /// Returns the value of `deboot.feed_update` and, behind the feed, of the `DebootFeed` variable.
    fn update(&self) -> String {
        let mut text = format!("index:{}", self.index);
        if let Some(timestamp) = self.timestamp {
            text += &format!(",time:{timestamp}");
        }
        let sure = u8::from(self.definite);
        text += &format!(",definite:{sure},requests:{}", self.requests);
        text
    }

    /// Returns the text of the `DebootFeed` variable.
    pub fn variable(&self) -> String {
        format!("{} {}", self.feed, self.update())
    }
}

/// Everything the loader says about a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Hexadecimal address of the root chunk; the key of encrypted content stays here.
    pub reference: String,
    /// The feed that led there.
    pub feed: Option<FeedRecord>,
    /// Name of the manifest.
    pub name: String,
    /// Version of the manifest.
    pub version: String,
    /// Sequence of the manifest.
    pub sequence: u64,
    /// When each step ended.
    pub timings: Timings,
    /// What was fetched.
    pub fetched: Fetched,
}

/// The command line does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command line has {bytes} bytes, Linux keeps {COMMAND_LINE_BYTES_MAX}")]
pub struct CommandLineTooLong {
    /// Bytes of the shortest form.
    pub bytes: usize,
}

impl Record {
    /// Composes the kernel command line: the deboot block, the manifest's, the configuration's.
    ///
    /// # Errors
    ///
    /// Refuses when even the shortest block (reference and sequence) makes the line longer than Linux keeps.
    pub fn command_line(&self, manifest: &str, append: &str) -> Result<String, CommandLineTooLong> {
        let mut bytes = 0;
        for detail in [Detail::Full, Detail::Names, Detail::Least] {
            let parts = [
                &self.block(detail),
                one_line(manifest).trim(),
                one_line(append).trim(),
            ]
            .map(String::from);
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let line = parts.join(" ");
            if line.len() <= COMMAND_LINE_BYTES_MAX {
                return Ok(line);
            }
            bytes = line.len();
        }
        Err(CommandLineTooLong { bytes })
    }

    fn block(&self, detail: Detail) -> String {
        let mut block = format!("deboot.reference={}", self.reference);
        if let Some(feed) = &self.feed {
            block += &format!(
                " deboot.feed={} deboot.feed_update={}",
                feed.feed,
                feed.update()
            );
        }
        if detail >= Detail::Names {
            block += &format!(
                " deboot.name={} deboot.version={}",
                percent_encode(&self.name),
                percent_encode(&self.version)
            );
        }
        block += &format!(" deboot.sequence={}", self.sequence);
        if detail >= Detail::Full {
            let Fetched {
                bytes,
                chunks,
                peers,
            } = self.fetched;
            block += &format!(
                " deboot.timings={} deboot.fetched=bytes:{bytes},chunks:{chunks},peers:{peers}",
                self.timings.joined("")
            );
        }
        block
    }

    /// Returns the JSON of the `DebootTimings` variable.
    pub fn timings_json(&self, memory_peak_bytes: u64) -> String {
        let Fetched {
            bytes,
            chunks,
            peers,
        } = self.fetched;
        format!(
            "{{\"schema\":\"deboot/timings/1\",\"unit\":\"ms\",\"timings\":{{{}}},\"fetched\":{{\"bytes\":{bytes},\"chunks\":{chunks},\"peers\":{peers}}},\"memory_peak_bytes\":{memory_peak_bytes}}}",
            self.timings.joined("\"")
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Least,
    Names,
    Full,
}

/// Replaces control characters (a newline among them) by spaces: the command line is one line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Encodes everything but `A-Z a-z 0-9 . _ ~ : + @ / -` as `%` and two upper-case hexadecimal digits, over UTF-8.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._~:+@/-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

/// Encodes text as UTF-16LE with a terminating zero: load options and variable values.
pub fn utf16_nul(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[cfg(test)]
mod tests;
