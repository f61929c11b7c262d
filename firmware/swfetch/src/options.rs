//! Options for one start of the loader: the image's load options, or the file `EFI/deboot/options`.
//!
//! Words separated by white space. A boot manager or the UEFI shell may put the program's own name first; that word is skipped.
use alloc::string::String;
use release::target::{Target, TargetError};

/// The file read when the load options are empty; at most 4 KiB.
pub const OPTIONS_PATH: &str = "EFI/deboot/options";
/// Largest options text, bytes.
pub const OPTIONS_BYTES_MAX: usize = 4096;

/// What this start is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Fetch a release and start it.
    #[default]
    Boot,
    /// `fetch`: fetch the plain file that the reference names, discard the verified bytes, print the rate.
    Fetch,
    /// `selftest` alone: measure hashing and decryption in this machine; touches no network.
    Selftest,
}

/// Parsed options.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// What to do.
    pub mode: Mode,
    /// `selftest` before and after a fetch: a machine's speed drifts, so what is compared is measured in one start.
    pub selftest_around: bool,
    /// `reference=<digits>[/path]` or `feed=<owner>/<topic>[/path]`: replaces what `deboot.toml` names. The last one counts.
    pub target: Option<Target>,
    /// `poweroff`: switch the machine off when a fetch, a self-test or a failed boot ends, and ask nothing.
    pub poweroff: bool,
}

/// Why options are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A word that is no option.
    #[error(
        "unknown option `{0}`: known are fetch, selftest, poweroff, reference=<64 or 128 hex digits>[/path], feed=<owner>/<topic>[/path]"
    )]
    Unknown(String),
    /// A reference or a feed that is none.
    #[error("option {0}=: {1}")]
    Target(&'static str, TargetError),
    /// More than [`OPTIONS_BYTES_MAX`].
    #[error("options are longer than 4096 bytes")]
    Length,
}

impl Options {
    /// Parses options text.
    ///
    /// # Errors
    ///
    /// Refuses unknown words, so that a misspelt `reference=` never boots something else.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        if text.len() > OPTIONS_BYTES_MAX {
            return Err(OptionsError::Length);
        }
        let mut options = Self::default();
        let mut selftest = false;
        let words = text.split(|c: char| c.is_whitespace() || c == '\0');
        for (index, word) in words.filter(|word| !word.is_empty()).enumerate() {
            match word {
                "fetch" => options.mode = Mode::Fetch,
                "selftest" => selftest = true,
                "boot" => options.mode = Mode::Boot,
                "poweroff" => options.poweroff = true,
                _ => match target(word)? {
                    Some(target) => options.target = Some(target),
                    None if index == 0 && is_program_name(word) => {}
                    None => return Err(OptionsError::Unknown(word.chars().take(64).collect())),
                },
            }
        }
        match options.mode {
            Mode::Fetch => options.selftest_around = selftest,
            _ if selftest => options.mode = Mode::Selftest,
            _ => {}
        }
        Ok(options)
    }
}

/// Reads an option that names what to boot.
fn target(word: &str) -> Result<Option<Target>, OptionsError> {
    let (name, target) = match word.split_once('=') {
        Some(("reference", text)) => ("reference", Target::from_reference(text)),
        Some(("feed", text)) => ("feed", Target::from_feed(text)),
        _ => return Ok(None),
    };
    target
        .map(Some)
        .map_err(|error| OptionsError::Target(name, error))
}

fn is_program_name(word: &str) -> bool {
    let end = word.len().saturating_sub(4);
    word.get(end..)
        .is_some_and(|suffix| suffix.eq_ignore_ascii_case(".efi"))
}

/// Decodes load options: UTF-16LE text; anything else (firmware puts binary data there too) counts as none.
pub fn text_of_load_options(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() || bytes.len() > 2 * OPTIONS_BYTES_MAX || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0);
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    text.chars()
        .all(|c| c.is_ascii_graphic() || c.is_ascii_whitespace())
        .then_some(text)
        .filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn empty_options_boot() {
        assert_eq!(Options::parse(""), Ok(Options::default()));
        assert_eq!(Options::parse("FS0:\\SWFETCH.EFI"), Ok(Options::default()));
    }

    #[test]
    fn words_set_mode_and_poweroff() {
        let options = Options::parse("swfetch.efi fetch\r\npoweroff\n").unwrap();
        assert_eq!(options.mode, Mode::Fetch);
        assert!(options.poweroff && !options.selftest_around);
        let options = Options::parse("selftest fetch").unwrap();
        assert_eq!((options.mode, options.selftest_around), (Mode::Fetch, true));
        assert_eq!(Options::parse("selftest").unwrap().mode, Mode::Selftest);
    }

    #[test]
    fn what_to_boot_is_a_reference_or_a_feed() {
        let digits = "ab".repeat(32);
        let options = Options::parse(&alloc::format!("reference=bzz://{digits}/a")).unwrap();
        assert_eq!(options.target.unwrap().path, "a");
        let owner = "cd".repeat(20);
        let options = Options::parse(&alloc::format!("x.efi feed={owner}/stable/a")).unwrap();
        let expected = alloc::format!("feed:{owner}/stable/a").parse().unwrap();
        assert_eq!(options.target, Some(expected));
        for wrong in ["reference=ab", "reference=", "feed=ab/c", "feed=stable"] {
            let error = Options::parse(wrong).unwrap_err();
            assert!(matches!(error, OptionsError::Target(..)), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_word_is_refused() {
        assert_eq!(
            Options::parse("referense=00"),
            Err(OptionsError::Unknown("referense=00".into()))
        );
        assert!(Options::parse("fetch a.efi").is_err());
        assert_eq!(
            Options::parse(&"fetch ".repeat(1000)),
            Err(OptionsError::Length)
        );
    }

    #[test]
    fn binary_load_options_count_as_none() {
        assert_eq!(text_of_load_options(&[]), None);
        assert_eq!(text_of_load_options(&[1, 2, 3]), None);
        assert_eq!(text_of_load_options(&[0x34, 0xd8, 1, 0]), None);
        assert_eq!(text_of_load_options(&utf16("\0\0")), None);
        assert_eq!(
            text_of_load_options(&utf16("fetch poweroff\0")).as_deref(),
            Some("fetch poweroff")
        );
    }
}
