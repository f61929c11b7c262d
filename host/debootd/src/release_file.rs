//! The release file that the image builder puts into the image.
use std::path::Path;

/// Where it lies.
pub const RELEASE_FILE_PATH: &str = "etc/deboot/release.json";
/// Its only schema.
pub const RELEASE_FILE_SCHEMA: &str = "deboot/release-file/1";

/// What the image says it is. It cannot say its own reference, because the reference is a hash over it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// [`RELEASE_FILE_SCHEMA`]
    pub schema: String,
    /// `name` of the manifest.
    pub name: String,
    /// `version` of the manifest.
    pub version: String,
    /// `sequence` of the manifest.
    pub sequence: u64,
}

/// Why the release file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseFileError {
    /// Not there or not readable.
    #[error("release file {path}: {error}")]
    Read {
        /// Where it was looked for.
        path: String,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Not the JSON that was agreed on.
    #[error("release file {path}: {reason}")]
    Json {
        /// Where it lies.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl ReleaseFile {
    /// Reads and checks the release file below `root`.
    ///
    /// # Errors
    /// [`ReleaseFileError`] when it is missing, not JSON, of another schema, or has unknown or missing fields.
    pub fn read(root: &Path) -> Result<Self, ReleaseFileError> {
        let path = root.join(RELEASE_FILE_PATH);
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| ReleaseFileError::Read {
            path: name(),
            error,
        })?;
        let file: Self = serde_json::from_str(&text).map_err(|e| ReleaseFileError::Json {
            path: name(),
            reason: e.to_string(),
        })?;
        if file.schema != RELEASE_FILE_SCHEMA {
            let reason = format!("schema {:?} is not {RELEASE_FILE_SCHEMA:?}", file.schema);
            return Err(ReleaseFileError::Json {
                path: name(),
                reason,
            });
        }
        Ok(file)
    }
}
