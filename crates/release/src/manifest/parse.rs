//! From JSON to a checked manifest.
use super::{
    Architecture, Artifact, CMDLINE_BYTES_MAX, ENS_BYTES_MAX, HostConfiguration,
    INITRAMFS_COUNT_MAX, MANIFEST_BYTES_MAX, ManifestError, NAME_BYTES_MAX, NUMBER_MAX, SCHEMA,
    TOPIC_BYTES_MAX, Update, VERSION_BYTES_MAX,
};
use crate::json::{self, Member, Node, Value};
use crate::place::Place;
use crate::suggest::nearest;
use alloc::string::String;
use alloc::vec::Vec;
use content::Reference;

/// Longest piece of the input repeated in an error, characters.
const QUOTED_CHARS_MAX: usize = 64;

const ROOT_FIELDS: [&str; 9] = [
    "schema",
    "name",
    "version",
    "sequence",
    "architecture",
    "kernel",
    "initramfs",
    "cmdline",
    "update",
];

pub(super) fn parse(bytes: &[u8]) -> Result<HostConfiguration, ManifestError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLarge { len: bytes.len() });
    }
    let text = core::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or(&[]);
        let valid = core::str::from_utf8(valid).unwrap_or("");
        ManifestError::Encoding {
            at: Place::of(valid, valid.len()),
        }
    })?;
    let root = json::parse(text).map_err(|error| ManifestError::Syntax {
        at: Place::of(text, error.at),
        problem: error.problem,
    })?;
    Parser { text }.manifest(root)
}

struct Parser<'a> {
    text: &'a str,
}

/// The fields of one object, in the order of the names asked for.
type Fields<const N: usize> = [Option<Node>; N];

impl Parser<'_> {
    fn place(&self, at: usize) -> Place {
        Place::of(self.text, at)
    }

    fn manifest(&self, root: Node) -> Result<HostConfiguration, ManifestError> {
        let at = root.at;
        let members = self.object(root, "the manifest")?;
        // Before anything else: another schema may have other fields.
        self.check_schema(&members, at)?;
        let fields: Fields<9> = self.fields(members, ROOT_FIELDS)?;
        let [
            _,
            name,
            version,
            sequence,
            architecture,
            kernel,
            initramfs,
            cmdline,
            update,
        ] = fields;
        let need = |node: Option<Node>, field| node.ok_or_else(|| self.missing(at, field));
        Ok(HostConfiguration {
            name: self.text_field(need(name, "name")?, "name", 1, NAME_BYTES_MAX)?,
            version: self.text_field(need(version, "version")?, "version", 1, VERSION_BYTES_MAX)?,
            sequence: self.number(need(sequence, "sequence")?, "sequence", 0)?,
            architecture: self.architecture(need(architecture, "architecture")?)?,
            kernel: self.artifact(
                need(kernel, "kernel")?,
                ["kernel", "kernel.reference", "kernel.size"],
            )?,
            initramfs: self.initramfs(need(initramfs, "initramfs")?)?,
            cmdline: self.text_field(need(cmdline, "cmdline")?, "cmdline", 0, CMDLINE_BYTES_MAX)?,
            update: update.map(|node| self.update(node)).transpose()?,
        })
    }

    fn check_schema(&self, members: &[Member], at: usize) -> Result<(), ManifestError> {
        let schema = members
            .iter()
            .find(|member| member.name == "schema")
            .ok_or_else(|| self.missing(at, "schema"))?;
        match &schema.node.value {
            Value::Text(found) if found == SCHEMA => Ok(()),
            Value::Text(found) => Err(ManifestError::Schema {
                at: self.place(schema.node.at),
                found: cut(found),
            }),
            _ => Err(self.wrong_kind(&schema.node, "schema", "a text")),
        }
    }

    /// Sorts members by name; refuses unknown and repeated ones.
    fn fields<const N: usize>(
        &self,
        members: Vec<Member>,
        names: [&'static str; N],
    ) -> Result<Fields<N>, ManifestError> {
        let mut fields = [const { None }; N];
        for member in members {
            let at = member.at;
            let slot = names
                .iter()
                .zip(fields.iter_mut())
                .find(|(name, _)| **name == member.name);
            match slot {
                None => {
                    return Err(ManifestError::UnknownField {
                        at: self.place(at),
                        name: cut(&member.name),
                        suggestion: nearest(&member.name, &names),
                    });
                }
                Some((field, Some(_))) => {
                    return Err(ManifestError::Duplicate {
                        at: self.place(at),
                        field,
                    });
                }
                Some((_, slot)) => *slot = Some(member.node),
            }
        }
        Ok(fields)
    }

    fn missing(&self, at: usize, field: &'static str) -> ManifestError {
        ManifestError::Missing {
            at: self.place(at),
            field,
        }
    }

    fn wrong_kind(
        &self,
        node: &Node,
        field: &'static str,
        expected: &'static str,
    ) -> ManifestError {
        ManifestError::Kind {
            at: self.place(node.at),
            field,
            expected,
            found: node.value.kind(),
        }
    }

    fn object(&self, node: Node, field: &'static str) -> Result<Vec<Member>, ManifestError> {
        match node.value {
            Value::Object(members) => Ok(members),
            _ => Err(self.wrong_kind(&node, field, "an object in braces")),
        }
    }

    fn plain_text(&self, node: Node, field: &'static str) -> Result<String, ManifestError> {
        match node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong_kind(&node, field, "a text in double quotes")),
        }
    }

    fn text_field(
        &self,
        node: Node,
        field: &'static str,
        min: usize,
        max: usize,
    ) -> Result<String, ManifestError> {
        let at = self.place(node.at);
        let text = self.plain_text(node, field)?;
        let len = text.len();
        if len < min || len > max {
            return Err(ManifestError::Length {
                at,
                field,
                len,
                min,
                max,
            });
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            let code = u32::from(control);
            return Err(ManifestError::Control { at, field, code });
        }
        Ok(text)
    }

    fn number(&self, node: Node, field: &'static str, min: u64) -> Result<u64, ManifestError> {
        let at = self.place(node.at);
        match node.value {
            Value::Number(Some(number)) if (min..=NUMBER_MAX).contains(&number) => Ok(number),
            Value::Number(_) => Err(ManifestError::Range {
                at,
                field,
                min,
                max: NUMBER_MAX,
            }),
            _ => Err(self.wrong_kind(&node, field, "a whole number without quotes")),
        }
    }

    fn architecture(&self, node: Node) -> Result<Architecture, ManifestError> {
        let at = self.place(node.at);
        let found = self.plain_text(node, "architecture")?;
        [Architecture::X86_64, Architecture::Aarch64]
            .into_iter()
            .find(|architecture| architecture.name() == found)
            .ok_or_else(|| ManifestError::Architecture {
                at,
                found: cut(&found),
            })
    }

    /// Reads an artifact; `names` are those of the object, its reference and its size in errors.
    fn artifact(&self, node: Node, names: [&'static str; 3]) -> Result<Artifact, ManifestError> {
        let [object_name, reference_name, size_name] = names;
        let at = node.at;
        let members = self.object(node, object_name)?;
        let [reference, size] = self.fields(members, ["reference", "size"])?;
        let reference = reference.ok_or_else(|| self.missing(at, reference_name))?;
        let size = size.ok_or_else(|| self.missing(at, size_name))?;
        Ok(Artifact {
            reference: self.reference(reference, reference_name)?,
            size: self.number(size, size_name, 1)?,
        })
    }

    fn reference(&self, node: Node, field: &'static str) -> Result<Reference, ManifestError> {
        let at = self.place(node.at);
        let text = self.plain_text(node, field)?;
        text.parse()
            .map_err(|error| ManifestError::Reference { at, field, error })
    }

    fn initramfs(&self, node: Node) -> Result<Vec<Artifact>, ManifestError> {
        let at = self.place(node.at);
        let items = match node.value {
            Value::List(items) => items,
            _ => return Err(self.wrong_kind(&node, "initramfs", "a list in brackets")),
        };
        let count = items.len();
        if count > INITRAMFS_COUNT_MAX {
            return Err(ManifestError::TooManyArchives { at, count });
        }
        items
            .into_iter()
            .map(|item| self.artifact(item, ["initramfs", "initramfs.reference", "initramfs.size"]))
            .collect()
    }

    fn update(&self, node: Node) -> Result<Update, ManifestError> {
        let at = node.at;
        let members = self.object(node, "update")?;
        let [feed, ens] = self.fields(members, ["feed", "ens"])?;
        if feed.is_none() && ens.is_none() {
            return Err(ManifestError::EmptyUpdate { at: self.place(at) });
        }
        Ok(Update {
            feed: feed.map(|node| self.feed(node)).transpose()?,
            ens: ens.map(|node| self.ens(node)).transpose()?,
        })
    }

    fn feed(&self, node: Node) -> Result<String, ManifestError> {
        let at = self.place(node.at);
        let text = self.plain_text(node, "update.feed")?;
        let is_feed = text.split_once('/').is_some_and(|(owner, topic)| {
            owner.len() == 40
                && owner.bytes().all(|digit| digit.is_ascii_hexdigit())
                && (1..=TOPIC_BYTES_MAX).contains(&topic.len())
                && !topic.contains(|c: char| c == '/' || c.is_control())
        });
        if is_feed {
            Ok(text)
        } else {
            Err(ManifestError::Feed { at })
        }
    }

    fn ens(&self, node: Node) -> Result<String, ManifestError> {
        let at = self.place(node.at);
        let text = self.text_field(node, "update.ens", 1, ENS_BYTES_MAX)?;
        let is_name = text.contains('.')
            && text.split('.').all(|label| !label.is_empty())
            && !text.contains(char::is_whitespace);
        if is_name {
            Ok(text)
        } else {
            Err(ManifestError::Ens { at })
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}
