//! Does a manifest fit the files beside it?
use super::PublishedFile;
use release::manifest::{Artifact, HostConfiguration};

/// Where a manifest and the files beside it disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseCheckError {
    /// No file has the reference.
    #[error(
        "{field}: no file in the directory has the reference {reference}; write the file's own (`deboot hash FILE`) or let --kernel write the manifest"
    )]
    NoSuchArtifact {
        /// `kernel` or `initramfs[n]`.
        field: String,
        /// What the manifest says.
        reference: String,
    },
    /// A file has the reference and another size.
    #[error(
        "{field}: size is {stated}, but {path} with that reference has {actual} bytes; correct the size"
    )]
    Size {
        /// `kernel` or `initramfs[n]`.
        field: String,
        /// Path of the file.
        path: String,
        /// What the manifest says.
        stated: u64,
        /// What is true.
        actual: u64,
    },
}

/// Finds every artifact of `manifest` among `files`.
pub(super) fn check(
    manifest: &HostConfiguration,
    files: &[PublishedFile],
) -> Result<(), ReleaseCheckError> {
    check_artifact("kernel", &manifest.kernel, files)?;
    for (i, artifact) in manifest.initramfs.iter().enumerate() {
        check_artifact(&format!("initramfs[{i}]"), artifact, files)?;
    }
    Ok(())
}

fn check_artifact(
    field: &str,
    artifact: &Artifact,
    files: &[PublishedFile],
) -> Result<(), ReleaseCheckError> {
    let found = files.iter().find(|f| f.reference == artifact.reference);
    let Some(file) = found else {
        return Err(ReleaseCheckError::NoSuchArtifact {
            field: field.to_owned(),
            reference: artifact.reference.to_hex(),
        });
    };
    if file.size != artifact.size {
        return Err(ReleaseCheckError::Size {
            field: field.to_owned(),
            path: file.path.clone(),
            stated: artifact.size,
            actual: file.size,
        });
    }
    Ok(())
}
