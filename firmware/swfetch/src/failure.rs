//! What a failed boot says: a stable id, what happened, the likely cause and the next step.
//!
//! `docs/errors.md` has a section for each id. An id is never reused for another meaning.
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Display, Write as _};

/// Longest text kept in the `DebootLastError` variable, characters.
pub const SUMMARY_CHARS_MAX: usize = 240;

/// Stable ids of what this program itself finds wrong. The release and swarm crates bring their own.
pub mod id {
    /// No source of randomness that can be trusted.
    pub const NO_ENTROPY: &str = "DB0101";
    /// Memory ran out.
    pub const OUT_OF_MEMORY: &str = "DB0102";
    /// The processor's counter could not be calibrated.
    pub const NO_CLOCK: &str = "DB0103";
    /// A broken invariant (panic).
    pub const INTERNAL: &str = "DB0104";
    /// `deboot.toml` is missing or unreadable.
    pub const NO_CONFIG: &str = "DB0105";
    /// The volume the loader came from cannot be read.
    pub const NO_VOLUME: &str = "DB0106";
    /// Load options or the options file make no sense.
    pub const BAD_OPTIONS: &str = "DB0107";
    /// Firmware offers no network interface.
    pub const NO_NIC: &str = "DB0110";
    /// Every network interface failed to initialise.
    pub const NIC_FAILED: &str = "DB0111";
    /// No DHCP server answered.
    pub const NO_DHCP: &str = "DB0201";
    /// No cable on any interface.
    pub const NO_LINK: &str = "DB0202";
    /// No peer became ready.
    pub const NO_PEER: &str = "DB0301";
    /// A chunk is nowhere to be had.
    pub const CHUNK_UNAVAILABLE: &str = "DB0302";
    /// The boot took longer than `boot_timeout`.
    pub const DEADLINE: &str = "DB0303";
    /// A file tree is malformed.
    pub const BAD_TREE: &str = "DB0304";
    /// The bridge cannot be reached.
    pub const NO_BRIDGE: &str = "DB0320";
    /// What answers is no bridge, or one of another version.
    pub const BRIDGE_PROTOCOL: &str = "DB0321";
    /// The bridge sent something that is not what was asked for.
    pub const BRIDGE_LIES: &str = "DB0322";
    /// The bridge stops in the middle.
    pub const BRIDGE_STOPS: &str = "DB0323";
    /// The bridge says no.
    pub const BRIDGE_REFUSES: &str = "DB0324";
    /// Firmware does not accept the kernel as an image.
    pub const NOT_AN_IMAGE: &str = "DB0601";
    /// Secure Boot refuses the kernel.
    pub const SECURE_BOOT: &str = "DB0602";
    /// Firmware could not load the kernel for want of memory or another reason.
    pub const LOAD_FAILED: &str = "DB0603";
    /// The initramfs could not be offered to the kernel.
    pub const INITRD: &str = "DB0604";
    /// The command line is too long for Linux.
    pub const COMMAND_LINE: &str = "DB0605";
    /// The kernel came back.
    pub const KERNEL_RETURNED: &str = "DB0606";
}

/// Every id above.
pub const ALL: &[&str] = &[
    id::NO_ENTROPY,
    id::OUT_OF_MEMORY,
    id::NO_CLOCK,
    id::INTERNAL,
    id::NO_CONFIG,
    id::NO_VOLUME,
    id::BAD_OPTIONS,
    id::NO_NIC,
    id::NIC_FAILED,
    id::NO_DHCP,
    id::NO_LINK,
    id::NO_PEER,
    id::CHUNK_UNAVAILABLE,
    id::DEADLINE,
    id::BAD_TREE,
    id::NO_BRIDGE,
    id::BRIDGE_PROTOCOL,
    id::BRIDGE_LIES,
    id::BRIDGE_STOPS,
    id::BRIDGE_REFUSES,
    id::NOT_AN_IMAGE,
    id::SECURE_BOOT,
    id::LOAD_FAILED,
    id::INITRD,
    id::COMMAND_LINE,
    id::KERNEL_RETURNED,
];

/// One failed boot, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable id, `DB` and four digits.
    pub id: String,
    /// What happened.
    pub what: String,
    /// The likely cause.
    pub cause: String,
    /// The next step.
    pub next: String,
}

impl Failure {
    /// Makes a failure.
    pub fn new(
        id: &str,
        what: impl Into<String>,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            what: what.into(),
            cause: cause.into(),
            next: next.into(),
        }
    }

    /// Returns `<id> <what happened>`, cut to [`SUMMARY_CHARS_MAX`] characters: the value of `DebootLastError`.
    pub fn summary(&self) -> String {
        let text = format!("{} {}", self.id, self.what);
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(SUMMARY_CHARS_MAX)
            .collect()
    }
}

/// The block shown on every console: one line per part, text that runs over several lines indented below its label.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "*** {} {}", self.id, first_line(&self.what))?;
        rest(f, &self.what)?;
        for (label, text) in [("cause: ", &self.cause), ("next:  ", &self.next)] {
            if text.is_empty() {
                continue;
            }
            writeln!(f, "    {label}{}", first_line(text))?;
            rest(f, text)?;
        }
        Ok(())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

fn rest(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for line in text.lines().skip(1) {
        f.write_str("           ")?;
        f.write_str(line)?;
        f.write_char('\n')?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn block_names_id_cause_and_next_step() {
        let failure = Failure::new(
            id::NO_DHCP,
            "no DHCP server answered in 60 s",
            "a\nb",
            "check the cable",
        );
        assert_eq!(
            failure.to_string(),
            "*** DB0201 no DHCP server answered in 60 s\n    cause: a\n           b\n    next:  check the cable\n"
        );
    }

    #[test]
    fn every_id_has_its_section_in_the_documentation() {
        let page = include_str!("../../../docs/errors.md");
        for id in ALL {
            assert!(page.contains(&format!("\n### {id} ")), "{id}");
        }
    }

    #[test]
    fn summary_is_one_short_line() {
        let failure = Failure::new(id::INTERNAL, "x\ny".to_string() + &"z".repeat(999), "", "");
        let summary = failure.summary();
        assert!(summary.starts_with("DB0104 x yzz"));
        assert_eq!(summary.chars().count(), SUMMARY_CHARS_MAX);
    }
}
