//! The EFI variables that SWFETCH sets, read through efivarfs.
use crate::status::{Fetched, Timing};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Vendor GUID of deboot's own variables.
pub const DEBOOT_GUID: &str = "75a9eda8-28ce-475b-97bd-144eb59c1cec";
/// Largest variable read, bytes: firmware's own limit is usually 32 KiB.
pub const VARIABLE_BYTES_MAX: u64 = 64 * 1024;
/// efivarfs puts the attributes in front of the value.
const ATTRIBUTES_BYTES: usize = 4;

/// What the variables say; one that is missing is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EfiVariables {
    /// `DebootReference`
    pub reference: Option<String>,
    /// `DebootFeed`
    pub feed: Option<String>,
    /// `DebootSequence`
    pub sequence: Option<u64>,
    /// `DebootTimings`
    pub timings: Option<TimingsVariable>,
    /// `DebootPreviousError`
    pub previous_error: Option<String>,
}

/// The JSON in `DebootTimings`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct TimingsVariable {
    schema: String,
    timings: BTreeMap<String, u64>,
    /// What was fetched.
    #[serde(default)]
    pub fetched: Fetched,
    /// What the loader's heap held at most, payload not counted.
    #[serde(default)]
    pub memory_peak_bytes: Option<u64>,
}

impl TimingsVariable {
    /// How long after the application's start that step ended.
    pub fn timing(&self, key: &str) -> Option<u64> {
        self.timings.get(key).copied()
    }
    /// All steps, in order of time; `init` has another origin and comes first.
    pub fn to_timings(&self) -> Vec<Timing> {
        let mut all: Vec<_> = self
            .timings
            .iter()
            .map(|(key, ms)| Timing {
                key: key.clone(),
                ms: *ms,
            })
            .collect();
        all.sort_by_key(|timing| (timing.key != "init", timing.ms));
        all
    }
}

/// Why a variable cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EfiError {
    /// The file is there and cannot be read.
    #[error("EFI variable {name}: {error}")]
    Read {
        /// Which variable.
        name: &'static str,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Not UTF-16LE with a terminating NUL.
    #[error("EFI variable {name}: not UTF-16LE text that ends with a NUL ({bytes} bytes)")]
    Text {
        /// Which variable.
        name: &'static str,
        /// Its size, attributes included.
        bytes: usize,
    },
    /// Not a decimal number.
    #[error("EFI variable {name}: {value:?} is not a decimal number")]
    Number {
        /// Which variable.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// Not the JSON that was agreed on.
    #[error("EFI variable {name}: {reason}")]
    Json {
        /// Which variable.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl EfiVariables {
    /// Reads deboot's variables below `directory`, the mount point of efivarfs; `None` when nothing is mounted there.
    ///
    /// # Errors
    /// [`EfiError`] when a variable is there but is not what `docs/handover.md` says. A missing variable is no error.
    pub fn read(directory: &Path) -> Result<Option<Self>, EfiError> {
        // Firmware always has variables of its own (Boot0000, …): an empty directory is one without efivarfs.
        let mounted =
            std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
        if !mounted {
            return Ok(None);
        }
        let sequence = match text(directory, "DebootSequence")? {
            None => None,
            Some(value) => Some(value.parse().map_err(|_| EfiError::Number {
                name: "DebootSequence",
                value,
            })?),
        };
        let timings = match text(directory, "DebootTimings")? {
            None => None,
            Some(json) => Some(timings(&json)?),
        };
        Ok(Some(Self {
            reference: text(directory, "DebootReference")?,
            feed: text(directory, "DebootFeed")?,
            sequence,
            timings,
            previous_error: text(directory, "DebootPreviousError")?,
        }))
    }
}

fn timings(json: &str) -> Result<TimingsVariable, EfiError> {
    let error = |reason| EfiError::Json {
        name: "DebootTimings",
        reason,
    };
    let variable: TimingsVariable = serde_json::from_str(json).map_err(|e| error(e.to_string()))?;
    if variable.schema != "deboot/timings/1" {
        return Err(error(format!(
            "schema {:?} is not \"deboot/timings/1\"",
            variable.schema
        )));
    }
    Ok(variable)
}

fn text(directory: &Path, name: &'static str) -> Result<Option<String>, EfiError> {
    let file = match std::fs::File::open(directory.join(format!("{name}-{DEBOOT_GUID}"))) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| EfiError::Read { name, error })?,
    };
    let mut bytes = Vec::new();
    file.take(VARIABLE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| EfiError::Read { name, error })?;
    decode(&bytes).map(Some).ok_or(EfiError::Text {
        name,
        bytes: bytes.len(),
    })
}

/// Takes the attributes off and decodes the text.
fn decode(bytes: &[u8]) -> Option<String> {
    let value = bytes.get(ATTRIBUTES_BYTES..)?;
    let (units, rest) = value.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let text = units.strip_suffix(&[0])?;
    (rest.is_empty() && !text.contains(&0)).then(|| String::from_utf16(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_after_four_bytes_of_attributes() {
        assert_eq!(decode(b"\x06\0\0\0a\0b\0\0\0").as_deref(), Some("ab"));
        assert_eq!(decode(b"\x06\0\0\0\0\0").as_deref(), Some(""));
    }

    #[test]
    fn values_that_are_not_terminated_text_are_refused() {
        let illegal: [&[u8]; 7] = [
            b"",
            b"\x06\0\0",
            b"\x06\0\0\0",
            b"\x06\0\0\0a\0",
            b"\x06\0\0\0a\0\0\0b",
            b"\x06\0\0\0a\0\0\0b\0\0\0",
            b"\x06\0\0\0\x00\xd8\0\0",
        ];
        for bytes in illegal {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn timings_of_an_unknown_schema_are_refused() {
        let known = r#"{"schema":"deboot/timings/1","unit":"ms","timings":{"init":9,"config":1},"fetched":{"bytes":5},"later":0}"#;
        let variable = timings(known).unwrap();
        assert_eq!(variable.timing("config"), Some(1));
        assert_eq!(variable.fetched.bytes, Some(5));
        assert_eq!(
            variable.to_timings().first().map(|t| t.key.as_str()),
            Some("init")
        );
        assert!(timings(&known.replace("timings/1", "timings/2")).is_err());
        assert!(timings("{").is_err());
    }
}
