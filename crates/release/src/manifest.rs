//! Host configuration manifest, version 1: JSON, UTF-8, at most 64 KiB.
mod parse;

use crate::help::Help;
use crate::json::{JsonProblem, push_text};
use crate::place::Place;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use content::{Reference, ReferenceError};

/// Path of the manifest inside a release directory.
pub const MANIFEST_PATH: &str = "host-configuration-manifest.json";
/// Value of `schema`.
pub const SCHEMA: &str = "deboot/host-configuration/1";
/// Largest manifest, bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Longest `name`, bytes.
pub const NAME_BYTES_MAX: usize = 253;
/// Longest `version`, bytes.
pub const VERSION_BYTES_MAX: usize = 64;
/// Longest `cmdline`, bytes: Linux on x86 takes 2047 and deboot adds some of its own.
pub const CMDLINE_BYTES_MAX: usize = 1536;
/// Most initramfs archives.
pub const INITRAMFS_COUNT_MAX: usize = 16;
/// Largest number in a manifest: the largest whole number that every JSON reader keeps exact.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Longest topic of a feed, bytes.
pub const TOPIC_BYTES_MAX: usize = 128;
/// Longest ENS name, bytes.
pub const ENS_BYTES_MAX: usize = 253;

/// Processor architecture of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`
    X86_64,
    /// `aarch64`
    Aarch64,
}

impl Architecture {
    /// Returns the word used in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl core::fmt::Display for Architecture {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// File tree.
    pub reference: Reference,
    /// Bytes, 1 to [`NUMBER_MAX`].
    pub size: u64,
}

/// Where newer releases are announced; at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Update {
    /// `<owner>/<topic>`: 40 hexadecimal digits, and a text without slash.
    pub feed: Option<String>,
    /// ENS name.
    pub ens: Option<String>,
}

/// A valid manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfiguration {
    /// Host or fleet name.
    pub name: String,
    /// Version for people.
    pub version: String,
    /// Only rises.
    pub sequence: u64,
    /// Architecture of the kernel.
    pub architecture: Architecture,
    /// Linux kernel, a PE image with the EFI stub.
    pub kernel: Artifact,
    /// initramfs archives, in order; may be empty.
    pub initramfs: Vec<Artifact>,
    /// Kernel command line.
    pub cmdline: String,
    /// Where newer releases are announced.
    pub update: Option<Update>,
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// More than [`MANIFEST_BYTES_MAX`].
    #[error("the manifest has {len} bytes, at most {MANIFEST_BYTES_MAX} are read")]
    TooLarge {
        /// Bytes it has.
        len: usize,
    },
    /// Not text.
    #[error("the manifest is not UTF-8 text: {at}")]
    Encoding {
        /// First wrong byte.
        at: Place,
    },
    /// Not JSON.
    #[error("the manifest is not JSON: {at}: {problem}")]
    Syntax {
        /// Where reading stopped.
        at: Place,
        /// What was expected.
        problem: JsonProblem,
    },
    /// Another schema or a later version.
    #[error("{at}: schema is {found:?}, this program reads \"{SCHEMA}\"")]
    Schema {
        /// The value.
        at: Place,
        /// What it says, cut to 64 characters.
        found: String,
    },
    /// A field nobody defined.
    #[error("{at}: unknown field {name:?}{}", did_you_mean(.suggestion))]
    UnknownField {
        /// Its name.
        at: Place,
        /// The name, cut to 64 characters.
        name: String,
        /// The field it resembles.
        suggestion: Option<&'static str>,
    },
    /// The same field twice.
    #[error("{at}: field {field} is given twice; remove one")]
    Duplicate {
        /// The second one.
        at: Place,
        /// Which.
        field: &'static str,
    },
    /// A required field is not there.
    #[error("{at}: field {field} is missing")]
    Missing {
        /// The object that lacks it.
        at: Place,
        /// Which.
        field: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{at}: {field} is {found}, it must be {expected}")]
    Kind {
        /// The value.
        at: Place,
        /// Which field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Not a reference.
    #[error("{at}: {field}: {error}")]
    Reference {
        /// The value.
        at: Place,
        /// Which field.
        field: &'static str,
        /// Why.
        error: ReferenceError,
    },
    /// A number outside its range.
    #[error("{at}: {field} must be a whole number from {min} to {max}")]
    Range {
        /// The value.
        at: Place,
        /// Which field.
        field: &'static str,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A text that is empty where it may not be, or too long.
    #[error("{at}: {field} has {len} bytes, it must have {min} to {max}")]
    Length {
        /// The value.
        at: Place,
        /// Which field.
        field: &'static str,
        /// Bytes it has.
        len: usize,
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
    },
    /// A line break or another control character.
    #[error("{at}: {field} contains the control character U+{code:04X}; remove it")]
    Control {
        /// The value.
        at: Place,
        /// Which field.
        field: &'static str,
        /// Which character.
        code: u32,
    },
    /// An unknown architecture.
    #[error("{at}: architecture {found:?} is unknown; write \"x86_64\" or \"aarch64\"")]
    Architecture {
        /// The value.
        at: Place,
        /// What it says, cut to 64 characters.
        found: String,
    },
    /// More archives than [`INITRAMFS_COUNT_MAX`].
    #[error(
        "{at}: initramfs has {count} archives, at most {INITRAMFS_COUNT_MAX}; join them with cat"
    )]
    TooManyArchives {
        /// The list.
        at: Place,
        /// Archives it has.
        count: usize,
    },
    /// A feed that is not `<owner>/<topic>`.
    #[error(
        "{at}: update.feed must be \"<owner>/<topic>\": 40 hexadecimal digits, a slash, and a topic of 1 to {TOPIC_BYTES_MAX} bytes without slash"
    )]
    Feed {
        /// The value.
        at: Place,
    },
    /// A text that is no ENS name.
    #[error(
        "{at}: update.ens must be a name with a dot and without spaces, such as \"host.example.eth\""
    )]
    Ens {
        /// The value.
        at: Place,
    },
    /// `update` without content.
    #[error("{at}: update names neither feed nor ens; add one of them or remove update")]
    EmptyUpdate {
        /// The object.
        at: Place,
    },
}

/// Ids of [`ManifestError`].
pub const HELP: [Help; 16] = [
    Help::new(
        "DB0401",
        "A file that is not a manifest was published under the manifest's name.",
        "Publish the release again; a manifest has a few hundred bytes.",
    ),
    Help::new(
        "DB0402",
        "The manifest was saved in another encoding than UTF-8, or it is a binary file.",
        "Save it as UTF-8 and publish it again.",
    ),
    Help::new(
        "DB0403",
        "A typing error in the manifest.",
        "Correct the place named; `deboot check FILE` finds the next one.",
    ),
    Help::new(
        "DB0404",
        "The release was made for another version of deboot, or the field `schema` is wrong.",
        "Update the loader, or publish the release with the schema it reads.",
    ),
    Help::new(
        "DB0405",
        "A typing error in a field's name, or a manifest for a later version of deboot.",
        "Correct or remove the field. Unknown fields are refused because ignoring one could change what is booted.",
    ),
    Help::new(
        "DB0406",
        "A field was copied and not removed.",
        "Remove one of the two.",
    ),
    Help::new(
        "DB0407",
        "The manifest is incomplete.",
        "Add the field; `deboot publish` writes complete manifests.",
    ),
    Help::new(
        "DB0408",
        "A value of another kind than the field has, such as a number in quotes.",
        "Write the value in the form the message names.",
    ),
    Help::new(
        "DB0409",
        "A reference was cut or mistyped.",
        "Copy the whole reference: 64 hexadecimal digits, or 128 for encrypted content.",
    ),
    Help::new(
        "DB0410",
        "A number outside the range of its field.",
        "Write a whole number within the range.",
    ),
    Help::new(
        "DB0411",
        "A text that is empty or too long for its field.",
        "Shorten it, or fill it in.",
    ),
    Help::new(
        "DB0412",
        "A line break or another control character inside a text.",
        "Remove the character; a kernel command line is a single line.",
    ),
    Help::new(
        "DB0413",
        "A typing error, or an architecture deboot does not know.",
        "Write `x86_64` or `aarch64`.",
    ),
    Help::new(
        "DB0414",
        "More initramfs archives than a loader will join.",
        "Join archives before publishing: `cat a.img b.img > both.img`, each padded to four bytes.",
    ),
    Help::new(
        "DB0415",
        "The feed is not given as owner and topic.",
        "Write the owner's 40 hexadecimal digits, a slash, and the topic.",
    ),
    Help::new(
        "DB0416",
        "The field `update` has no usable content.",
        "Name a feed or an ENS name, or remove the field.",
    ),
];

impl ManifestError {
    /// Returns the stable id, cause and next step.
    pub fn help(&self) -> &'static Help {
        let [
            too_large,
            encoding,
            syntax,
            schema,
            unknown,
            duplicate,
            missing,
            kind,
            reference,
            range,
            length,
            control,
            architecture,
            archives,
            feed,
            update,
        ] = &HELP;
        match self {
            Self::TooLarge { .. } => too_large,
            Self::Encoding { .. } => encoding,
            Self::Syntax { .. } => syntax,
            Self::Schema { .. } => schema,
            Self::UnknownField { .. } => unknown,
            Self::Duplicate { .. } => duplicate,
            Self::Missing { .. } => missing,
            Self::Kind { .. } => kind,
            Self::Reference { .. } => reference,
            Self::Range { .. } => range,
            Self::Length { .. } => length,
            Self::Control { .. } => control,
            Self::Architecture { .. } => architecture,
            Self::TooManyArchives { .. } => archives,
            Self::Feed { .. } => feed,
            Self::Ens { .. } | Self::EmptyUpdate { .. } => update,
        }
    }

    /// Returns the stable id, such as `DB0405`.
    pub fn id(&self) -> &'static str {
        self.help().id
    }
}

impl HostConfiguration {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place and what to write instead.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        parse::parse(json)
    }

    /// Writes the manifest in its canonical form (two-space indent, fields in the order of the specification, newline at the end).
    pub fn to_json(&self) -> String {
        let mut out = String::from("{\n");
        for (name, value) in [
            ("schema", SCHEMA),
            ("name", &self.name),
            ("version", &self.version),
        ] {
            out.push_str(&format!("  \"{name}\": "));
            push_text(&mut out, value);
            out.push_str(",\n");
        }
        out.push_str(&format!(
            "  \"sequence\": {},\n  \"architecture\": \"{}\",\n  \"kernel\": {},\n  \"initramfs\": [",
            self.sequence,
            self.architecture,
            artifact_json(&self.kernel)
        ));
        for (index, artifact) in self.initramfs.iter().enumerate() {
            out.push_str(if index == 0 { "\n    " } else { ",\n    " });
            out.push_str(&artifact_json(artifact));
        }
        out.push_str(if self.initramfs.is_empty() {
            "],\n"
        } else {
            "\n  ],\n"
        });
        out.push_str("  \"cmdline\": ");
        push_text(&mut out, &self.cmdline);
        if let Some(update) = &self.update {
            out.push_str(",\n  \"update\": { ");
            let fields = [("feed", &update.feed), ("ens", &update.ens)];
            let mut separator = "";
            for (name, value) in fields {
                if let Some(value) = value {
                    out.push_str(&format!("{separator}\"{name}\": "));
                    push_text(&mut out, value);
                    separator = ", ";
                }
            }
            out.push_str(" }");
        }
        out.push_str("\n}\n");
        out
    }
}

fn artifact_json(artifact: &Artifact) -> String {
    format!(
        "{{ \"reference\": \"{}\", \"size\": {} }}",
        artifact.reference, artifact.size
    )
}

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    match suggestion {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::from("; remove it"),
    }
}

#[cfg(test)]
mod tests;
