//! The volume the loader was started from: configuration in, log out.
use super::services;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use swfetch::{device_path, options};
use uefi::boot;
use uefi::fs::{Error, FileSystem};
use uefi::proto::loaded_image::LoadedImage;
use uefi::{CString16, Status};

/// Largest text file read.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
const LOG_PATH: &str = "EFI/deboot/boot.log";

/// Why a file could not be read.
pub(crate) enum ReadError {
    /// No such file.
    Missing,
    /// Anything else, in words.
    Failed(String),
}

/// Reads a text file of at most 64 KiB.
pub(crate) fn read_text(path: &str) -> Result<String, ReadError> {
    let bytes = read(path)?;
    String::from_utf8(bytes).map_err(|error| {
        ReadError::Failed(format!(
            "byte {} of the file is not UTF-8",
            error.utf8_error().valid_up_to()
        ))
    })
}

fn read(path: &str) -> Result<Vec<u8>, ReadError> {
    let path = to_efi(path)?;
    let mut volume = open()?;
    let info = volume.metadata(path.as_ref()).map_err(describe)?;
    if info.file_size() > TEXT_BYTES_MAX {
        return Err(ReadError::Failed(format!(
            "the file has {} bytes, at most {TEXT_BYTES_MAX} are read",
            info.file_size()
        )));
    }
    volume.read(path.as_ref()).map_err(describe)
}

/// Replaces the log file.
pub(crate) fn write_log(text: &str) -> Result<(), ReadError> {
    let path = to_efi(LOG_PATH)?;
    open()?
        .write(path.as_ref(), text.as_bytes())
        .map_err(describe)
}

/// Reads the log of earlier boots; nothing when there is none.
pub(crate) fn read_log() -> String {
    read_text(LOG_PATH).unwrap_or_default()
}

fn open() -> Result<FileSystem, ReadError> {
    boot::get_image_file_system(boot::image_handle())
        .map(FileSystem::new)
        .map_err(|error| {
            ReadError::Failed(format!(
                "the loader was not started from a file system ({:?})",
                error.status()
            ))
        })
}

fn to_efi(path: &str) -> Result<CString16, ReadError> {
    CString16::try_from(path.replace('/', "\\").as_str())
        .map_err(|_| ReadError::Failed("bad path".into()))
}

fn describe(error: Error) -> ReadError {
    match error {
        Error::Io(io) if io.uefi_error.status() == Status::NOT_FOUND => ReadError::Missing,
        Error::Io(io) => ReadError::Failed(format!("{:?}", io.uefi_error.status())),
        Error::Path(_) | Error::Utf8Encoding(_) => ReadError::Failed("bad path".into()),
    }
}

/// Facts about how this image was started.
#[derive(Default)]
pub(crate) struct Origin {
    /// Load options, when they are text.
    pub(crate) load_options: Option<String>,
    /// GPT partition the image came from.
    pub(crate) partition: Option<String>,
}

/// Reads how this image was started.
pub(crate) fn origin() -> Origin {
    let Some(image) = services::peek::<LoadedImage>(boot::image_handle()) else {
        return Origin::default();
    };
    let partition = image
        .device()
        .and_then(|device| device_path::gpt_partition(&services::device_path(device)));
    Origin {
        load_options: image
            .load_options_as_bytes()
            .and_then(options::text_of_load_options),
        partition,
    }
}
