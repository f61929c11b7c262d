//! `release.toml`: what a release consists of. docs/publish.md is its reference.
mod table;

use crate::publish::{Options, ReleaseOptions};
use crate::tree::TreeFile;
use release::manifest::{Architecture, TOPIC_BYTES_MAX, Update};
use std::path::{Path, PathBuf};
use table::{Item, Table};

/// Value of `schema`.
pub const SCHEMA: &str = "deboot/release/1";
/// Largest description.
const BYTES_MAX: u64 = 64 * 1024;
/// Most files beside kernel and initramfs.
const FILES_MAX: usize = 4096;
const INITRAMFS_MAX: usize = release::manifest::INITRAMFS_COUNT_MAX;

const KEYS: &[&str] = &[
    "schema",
    "name",
    "version",
    "sequence",
    "architecture",
    "kernel",
    "initramfs",
    "cmdline",
    "redundancy_level",
    "encrypt",
    "update",
    "file",
];
const UPDATE_KEYS: &[&str] = &["feed", "ens"];
const FILE_KEYS: &[&str] = &["source", "path"];

/// A release, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its files and its manifest.
    pub options: Options,
    /// Redundancy level, if it names one.
    pub redundancy_level: Option<u8>,
    /// Whether to encrypt.
    pub encrypt: bool,
}

/// Why a description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is too large.
    #[error("{}: larger than {BYTES_MAX} bytes: this is no release description", .0.display())]
    TooLarge(PathBuf),
    /// Something in it is wrong.
    #[error("{}:{line}:{column}: {problem}", .path.display())]
    At {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What, and what to write instead.
        problem: String,
    },
}

/// Reads a description. Paths in it are relative to its own directory.
///
/// # Errors
/// [`DescribeError`], which names line, field and fix.
pub fn read(path: &Path) -> Result<Description, DescribeError> {
    let fail = |source| DescribeError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(fail)?.len() > BYTES_MAX {
        return Err(DescribeError::TooLarge(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(fail)?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&text, base).map_err(|(offset, problem)| {
        let before = text.get(..offset).unwrap_or(&text);
        DescribeError::At {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1,
            problem,
        }
    })
}

/// Byte offset and words.
type Problem = (usize, String);

fn parse(text: &str, base: &Path) -> Result<Description, Problem> {
    let document = table::document(text)?;
    let root = Table::root(document.get_ref(), KEYS)?;
    let schema = root.text("schema")?;
    if schema.value != SCHEMA {
        let problem = format!(
            "schema is {:?}; this version reads \"{SCHEMA}\"",
            schema.value
        );
        return Err((schema.at, problem));
    }
    let mut files = Files {
        base,
        files: Vec::new(),
    };
    let kernel = files.add(&root.need("kernel", "kernel = \"vmlinuz\"")?, "kernel")?;
    let mut initramfs = Vec::new();
    for item in root.list("initramfs", INITRAMFS_MAX)? {
        initramfs.push(files.add(&item, "initramfs")?);
    }
    for item in root.list("file", FILES_MAX)? {
        files.add(&item, "file")?;
    }
    let sequence = root.number("sequence", release::manifest::NUMBER_MAX)?;
    let redundancy_level = match root.optional_number("redundancy_level", 4)? {
        Some(level) => u8::try_from(level.value).ok(),
        None => None,
    };
    let cmdline = root.optional_text("cmdline")?;
    let release = ReleaseOptions {
        kernel,
        initramfs,
        cmdline: cmdline.map_or_else(String::new, |cmdline| cmdline.value.to_owned()),
        name: root.text("name")?.value.to_owned(),
        version: root.text("version")?.value.to_owned(),
        sequence: sequence.value,
        update: update(&root)?,
        architecture: architecture(&root)?,
    };
    files.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Description {
        options: Options {
            release: Some(release),
            files: Some(files.files),
            ..Options::default()
        },
        redundancy_level,
        encrypt: root.boolean("encrypt")?,
    })
}

fn architecture(root: &Table<'_>) -> Result<Option<Architecture>, Problem> {
    let Some(text) = root.optional_text("architecture")? else {
        return Ok(None);
    };
    let known = [Architecture::X86_64, Architecture::Aarch64];
    let found = known.into_iter().find(|a| a.name() == text.value);
    let problem = || {
        let value = text.value;
        format!(
            "architecture is {value:?}; write \"x86_64\" or \"aarch64\", or leave it out: the kernel says it"
        )
    };
    found.map(Some).ok_or_else(|| (text.at, problem()))
}

fn update(root: &Table<'_>) -> Result<Option<Update>, Problem> {
    let Some(table) = root.table("update", UPDATE_KEYS)? else {
        return Ok(None);
    };
    let ens = table.optional_text("ens")?;
    let feed = match table.optional_text("feed")? {
        Some(text) => {
            let plain = plain_feed(text.value);
            Some(plain.map_err(|problem| (text.at, format!("update.feed: {problem}")))?)
        }
        None => None,
    };
    Ok(Some(Update {
        feed,
        ens: ens.map(|text| text.value.to_owned()),
    }))
}

/// Writes a feed as manifests do: without `0x`, and with a topic that they may have.
fn plain_feed(text: &str) -> Result<String, String> {
    text.parse::<content::feed::Feed>()
        .map_err(|error| error.to_string())?;
    let plain = text.strip_prefix("0x").unwrap_or(text);
    let topic = plain.split_once('/').map_or("", |(_, topic)| topic);
    if topic.len() > TOPIC_BYTES_MAX || topic.contains(|c: char| c == '/' || c.is_control()) {
        return Err(format!(
            "a manifest's topic has at most {TOPIC_BYTES_MAX} bytes, no slash and no control characters; any topic may be written as 64 \
             hexadecimal digits"
        ));
    }
    Ok(plain.to_owned())
}

/// Files of the release, each under a path of its own.
struct Files<'a> {
    base: &'a Path,
    files: Vec<TreeFile>,
}

impl Files<'_> {
    /// Adds a file written as `"source"` or `{ source = "..", path = ".." }`; returns its path in the release.
    fn add(&mut self, item: &Item<'_>, field: &str) -> Result<String, Problem> {
        let (source, path) = match item.as_text() {
            Some(source) => (source, None),
            None => {
                let table = item.as_table(field, FILE_KEYS)?;
                (table.text("source")?, table.optional_text("path")?)
            }
        };
        let at = source.at;
        let local = self.base.join(source.value);
        let metadata = std::fs::metadata(&local)
            .map_err(|e| (at, format!("{field}: {}: {e}", local.display())))?;
        if !metadata.is_file() {
            let problem = format!("{field}: {} is no regular file", local.display());
            return Err((at, problem));
        }
        let name = Path::new(source.value).file_name().and_then(|n| n.to_str());
        let (at, path) = match (path, name) {
            (Some(path), _) => (path.at, path.value),
            (None, Some(name)) => (at, name),
            (None, None) => return Err((at, format!("{field}: the path names no file"))),
        };
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !path.split('/').all(plain) {
            let problem = format!(
                "{field}: {path:?} is no path inside a directory; write it without a slash in front, without . and .."
            );
            return Err((at, problem));
        }
        if self.files.iter().any(|file| file.path == path) {
            let problem = format!(
                "{field}: there is a file {path:?} already; give this one another: {{ source = {:?}, path = \"...\" }}",
                source.value
            );
            return Err((at, problem));
        }
        self.files.push(TreeFile {
            path: path.to_owned(),
            source: local,
            size: metadata.len(),
        });
        Ok(path.to_owned())
    }
}

#[cfg(test)]
mod tests;
