//! Reads files in order, cuts them, makes manifest and directory.
use super::sink::Sink;
use super::{Options, Progress, PublishError, Published, PublishedFile, ReleaseOptions};
use super::{keys, release_check};
use crate::mime::content_type;
use crate::pe;
use crate::secret::Secret;
use crate::tree::{self, TreeError, TreeFile};
use content::mantaray::Builder;
use content::{Reference, Splitter};
use release::manifest::{Artifact, HostConfiguration, MANIFEST_BYTES_MAX, MANIFEST_PATH};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const READ_BYTES: usize = 128 * 1024;
/// Metadata keys. SPEC swarm-wire 9 "Well-known".
const KEY_CONTENT_TYPE: &str = "Content-Type";
const KEY_FILENAME: &str = "Filename";
const KEY_INDEX_DOCUMENT: &str = "website-index-document";
const KEY_ERROR_DOCUMENT: &str = "website-error-document";

/// What is to be read, in order.
pub(super) struct Plan<'a> {
    input: &'a Path,
    directory: bool,
    files: Vec<TreeFile>,
    pub(super) bytes: u64,
    options: &'a Options,
    /// With encryption, the reference each file would have without, which its keys are made from.
    plain: Vec<Reference>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(input: &'a Path, options: &'a Options) -> Result<Self, PublishError> {
        let metadata = std::fs::metadata(input).map_err(|source| PublishError::Read {
            path: input.to_owned(),
            source,
        })?;
        let directory = metadata.is_dir() || options.files.is_some();
        let files = if let Some(files) = &options.files {
            files.clone()
        } else if directory {
            tree::list(input)?
        } else {
            refuse_directory_options(input, options)?;
            let name = input.file_name().unwrap_or(input.as_os_str());
            vec![TreeFile {
                path: name.to_string_lossy().into_owned(),
                source: input.to_owned(),
                size: metadata.len(),
            }]
        };
        let bytes = files.iter().map(|f| f.size).sum();
        let mut plan = Self {
            input,
            directory,
            files,
            bytes,
            options,
            plain: Vec::new(),
        };
        plan.check_options()?;
        if options.encrypt.is_some() {
            let mut nowhere = Sink::recent(None);
            let mut silent = |_, _| {};
            let mut meter = Meter::new(bytes, &mut silent);
            for file in &plan.files {
                let plain = split_file(&file.source, Splitter::new(), &mut nowhere, &mut meter)?;
                plan.plain.push(plain.0);
            }
        }
        Ok(plan)
    }

    pub(super) fn input(&self) -> &Path {
        self.input
    }

    fn check_options(&self) -> Result<(), PublishError> {
        if let Some(name) = &self.options.index_document
            && name.contains('/')
        {
            return Err(PublishError::IndexDocument(name.clone()));
        }
        let documents = [&self.options.index_document, &self.options.error_document];
        for name in documents.into_iter().flatten() {
            self.file(name)?;
        }
        if let Some(release) = &self.options.release {
            self.file(&release.kernel)?;
            for path in &release.initramfs {
                self.file(path)?;
            }
            if self.file(MANIFEST_PATH).is_ok() {
                return Err(PublishError::ManifestExists);
            }
        }
        Ok(())
    }

    fn file(&self, path: &str) -> Result<&TreeFile, PublishError> {
        self.files
            .iter()
            .find(|f| f.path == path)
            .ok_or_else(|| PublishError::NoSuchFile(path.to_owned()))
    }

    /// Reads everything once; every chunk goes to `sink`.
    pub(super) fn run(
        &self,
        sink: &mut Sink<'_>,
        meter: &mut Meter<'_>,
    ) -> Result<Published, PublishError> {
        let mut files = Vec::with_capacity(self.files.len() + 1);
        for (i, file) in self.files.iter().enumerate() {
            let splitter = self.splitter(self.plain.get(i));
            let (reference, size) = split_file(&file.source, splitter, sink, meter)?;
            let path = file.path.clone();
            files.push(PublishedFile {
                path,
                reference,
                size,
            });
        }
        let mut manifest = None;
        let mut reference = files.first().map(|f| f.reference);
        if self.directory {
            manifest = match &self.options.release {
                Some(release) => Some(self.write_manifest(release, &mut files, sink)?),
                None => self.read_manifest(&files)?,
            };
            reference = Some(self.build_directory(&files, sink)?);
        }
        // `Plan::new` lists at least one file.
        let Some(reference) = reference else {
            return Err(TreeError::Empty(self.input.to_owned()).into());
        };
        Ok(Published {
            reference,
            bytes: files.iter().map(|f| f.size).sum(),
            chunks: sink.chunks(),
            files,
            manifest,
        })
    }

    /// Prepares to cut a file that would have the reference `plain` without encryption.
    fn splitter(&self, plain: Option<&Reference>) -> Splitter {
        let level = self.options.level;
        let splitter = Splitter::new().with_level(level);
        match (&self.options.encrypt, plain) {
            (Some(secret), Some(plain)) => splitter.with_keys(keys::of_file(secret, level, plain)),
            _ => splitter,
        }
    }

    /// Makes the manifest of a release and adds it to the files.
    fn write_manifest(
        &self,
        release: &ReleaseOptions,
        files: &mut Vec<PublishedFile>,
        sink: &mut Sink<'_>,
    ) -> Result<HostConfiguration, PublishError> {
        let kernel = self.file(&release.kernel)?;
        let head = read_head(&kernel.source)?;
        let architecture = pe::efi_application(&head).map_err(|source| PublishError::Kernel {
            path: release.kernel.clone(),
            source,
        })?;
        if let Some(expected) = release.architecture
            && expected != architecture
        {
            return Err(PublishError::Architecture {
                path: release.kernel.clone(),
                found: architecture,
                expected,
            });
        }
        let artifact = |path: &str| {
            files
                .iter()
                .find(|f| f.path == path)
                .map(|f| Artifact {
                    reference: f.reference,
                    size: f.size,
                })
                .ok_or_else(|| PublishError::NoSuchFile(path.to_owned()))
        };
        let manifest = HostConfiguration {
            name: release.name.clone(),
            version: release.version.clone(),
            sequence: release.sequence,
            architecture,
            kernel: artifact(&release.kernel)?,
            initramfs: release
                .initramfs
                .iter()
                .map(|path| artifact(path))
                .collect::<Result<_, _>>()?,
            cmdline: release.cmdline.clone(),
            update: release.update.clone(),
        };
        let json = manifest.to_json();
        // What the loader would refuse must not be published.
        HostConfiguration::parse(json.as_bytes()).map_err(PublishError::Manifest)?;
        let plain = content::split(json.as_bytes(), &mut |_| {});
        let mut splitter = self.splitter(Some(&plain));
        splitter.update(json.as_bytes(), &mut |chunk| sink.put(&chunk));
        let reference = splitter.finish(&mut |chunk| sink.put(&chunk));
        files.push(PublishedFile {
            path: MANIFEST_PATH.to_owned(),
            reference,
            size: json.len() as u64,
        });
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(manifest)
    }

    /// Reads and checks the manifest that lies in the directory, if one does.
    fn read_manifest(
        &self,
        files: &[PublishedFile],
    ) -> Result<Option<HostConfiguration>, PublishError> {
        let Ok(file) = self.file(MANIFEST_PATH) else {
            return Ok(None);
        };
        if file.size > MANIFEST_BYTES_MAX as u64 {
            return Err(PublishError::ManifestSize(file.size));
        }
        let json = std::fs::read(&file.source).map_err(|source| PublishError::Read {
            path: file.source.clone(),
            source,
        })?;
        let manifest = HostConfiguration::parse(&json).map_err(PublishError::Manifest)?;
        release_check::check(&manifest, files)?;
        Ok(Some(manifest))
    }

    fn build_directory(
        &self,
        files: &[PublishedFile],
        sink: &mut Sink<'_>,
    ) -> Result<Reference, PublishError> {
        let metadata = self.directory_metadata();
        let mut builder = self.builder(files, &metadata);
        for file in files {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            let metadata = BTreeMap::from([
                (KEY_CONTENT_TYPE.to_owned(), content_type(name).to_owned()),
                (KEY_FILENAME.to_owned(), name.to_owned()),
            ]);
            builder.add(&file.path, file.reference, metadata);
        }
        if !metadata.is_empty() {
            // SPEC swarm-wire 9: the directory's own metadata lies on `/`. bee adds it last, which its reference depends on.
            builder.add_metadata("/", metadata);
        }
        Ok(builder.finish(&mut |chunk| sink.put(&chunk))?)
    }

    fn builder(&self, files: &[PublishedFile], metadata: &BTreeMap<String, String>) -> Builder {
        let level = self.options.level;
        let builder = Builder::new().with_level(level);
        let keys = |secret: &Secret| keys::of_directory(secret, level, files, metadata);
        match &self.options.encrypt {
            Some(secret) => builder.with_keys(keys(secret)),
            None => builder,
        }
    }

    fn directory_metadata(&self) -> BTreeMap<String, String> {
        let documents = [
            (KEY_INDEX_DOCUMENT, &self.options.index_document),
            (KEY_ERROR_DOCUMENT, &self.options.error_document),
        ];
        let named = documents.into_iter();
        named
            .filter_map(|(key, name)| Some((key.to_owned(), name.clone()?)))
            .collect()
    }
}

fn refuse_directory_options(input: &Path, options: &Options) -> Result<(), PublishError> {
    let given = [
        (options.index_document.is_some(), "--index-document"),
        (options.error_document.is_some(), "--error-document"),
        (options.release.is_some(), "--kernel"),
    ];
    for (given, option) in given {
        if given {
            return Err(PublishError::NotADirectory {
                path: input.to_owned(),
                option,
            });
        }
    }
    Ok(())
}

fn split_file(
    path: &Path,
    mut splitter: Splitter,
    sink: &mut Sink<'_>,
    meter: &mut Meter<'_>,
) -> Result<(Reference, u64), PublishError> {
    let fail = |source| PublishError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(fail)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        let received = match file.read(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fail(error)),
        };
        if received == 0 || sink.is_stopped() {
            break;
        }
        splitter.update(&buffer[..received], &mut |chunk| sink.put(&chunk));
        size += received as u64;
        meter.add(received as u64);
    }
    let reference = splitter.finish(&mut |chunk| sink.put(&chunk));
    Ok((reference, size))
}

fn read_head(path: &Path) -> Result<Vec<u8>, PublishError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64 * 1024).read_to_end(&mut head))
        .map_err(|source| PublishError::Read {
            path: path.to_owned(),
            source,
        })?;
    Ok(head)
}

pub(super) struct Meter<'a> {
    done: u64,
    total: u64,
    progress: Progress<'a>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(total: u64, progress: Progress<'a>) -> Self {
        Self {
            done: 0,
            total,
            progress,
        }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        (self.progress)(self.done, self.total);
    }
}
