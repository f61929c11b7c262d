//! Partition table and file system.
use super::window::Window;
use super::{DISK_BYTES_MIN, DiskError, EspFile, MIB, Made};
use bmt::Keccak256;
use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time};
use gpt::partition::Partition;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use uuid::Uuid;

const SECTOR_BYTES: u64 = 512;
/// Partitions start at a multiple of this, as every current tool does it.
const ALIGNMENT_BYTES: u64 = MIB;
const PARTITION_NAME: &str = "EFI system partition";
const VOLUME_LABEL: [u8; 11] = *b"DEBOOT     ";

/// Cluster sizes by partition size; the usual steps for FAT32.
fn cluster_bytes(partition_bytes: u64) -> u32 {
    match partition_bytes / MIB {
        0..=260 => 512,
        261..=8192 => 4096,
        8193..=16384 => 8192,
        16385..=32768 => 16384,
        _ => 32768,
    }
}

/// Returns the size of the smallest disk for these files, in whole MiB.
pub(super) fn disk_bytes_needed(files: &[EspFile]) -> u64 {
    const CLUSTER_BYTES_MAX: u64 = 32768;
    let mut directories = BTreeSet::new();
    let mut bytes = 0;
    for file in files {
        // Directory entries: a name of 255 characters takes 21 of 32 bytes.
        bytes += (file.bytes.len() as u64).next_multiple_of(CLUSTER_BYTES_MAX) + 21 * 32;
        let mut path = file.path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            directories.insert(parent);
            path = parent;
        }
    }
    bytes += directories.len() as u64 * CLUSTER_BYTES_MAX;
    // Two file allocation tables of 4 bytes per cluster are 1.6 % with the smallest clusters; both ends of the disk are the table's.
    let needed = bytes + bytes / 32 + 4 * MIB;
    needed.next_multiple_of(MIB).max(DISK_BYTES_MIN)
}

/// Writes the whole image of `size` bytes.
pub(super) fn write<F: Read + Write + Seek + std::fmt::Debug>(
    file: &mut F,
    files: &[EspFile],
    size: u64,
) -> Result<Made, DiskError> {
    let fingerprint = fingerprint(files, size);
    let disk_guid = guid(&fingerprint, 0);
    let partition_guid = guid(&fingerprint, 1);
    extend(file, size).map_err(DiskError::FileSystem)?;
    let (first, last) = write_table(file, size, disk_guid, partition_guid)?;
    let start = first * SECTOR_BYTES;
    let length = (last - first + 1) * SECTOR_BYTES;
    let mut window = Window::new(file, start, length);
    let serial = u32::from_le_bytes([
        fingerprint[28],
        fingerprint[29],
        fingerprint[30],
        fingerprint[31],
    ]);
    write_file_system(&mut window, length, serial, files).map_err(DiskError::FileSystem)?;
    Ok(Made {
        bytes: size,
        disk_guid,
        partition_guid,
        files: files
            .iter()
            .map(|f| (f.path.clone(), f.bytes.len() as u64))
            .collect(),
    })
}

/// Hashes everything that makes one disk differ from another.
fn fingerprint(files: &[EspFile], size: u64) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(b"deboot disk 1");
    hasher.update(&size.to_le_bytes());
    for file in files {
        for part in [file.path.as_bytes(), &file.bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize()
}

/// Derives a GUID. SPEC RFC 9562 5.8: version 8 is for GUIDs of one's own making.
fn guid(fingerprint: &[u8; 32], number: u8) -> Uuid {
    let mut hasher = Keccak256::new();
    hasher.update(fingerprint);
    hasher.update(&[number]);
    let digest = hasher.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Makes the file `size` bytes long; what is never written stays a hole.
fn extend<F: Write + Seek>(file: &mut F, size: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(size - 1))?;
    file.write_all(&[0])?;
    file.rewind()
}

/// Writes the protective MBR and both partition tables; returns first and last sector of the partition.
fn write_table<F: Read + Write + Seek + std::fmt::Debug>(
    file: &mut F,
    size: u64,
    disk_guid: Uuid,
    partition_guid: Uuid,
) -> Result<(u64, u64), DiskError> {
    let sectors = size / SECTOR_BYTES;
    let protected = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    gpt::mbr::ProtectiveMBR::with_lb_size(protected)
        .overwrite_lba0(file)
        .map_err(|e| DiskError::FileSystem(io::Error::other(e)))?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .create_from_device(&mut *file, Some(disk_guid))?;
    let alignment = ALIGNMENT_BYTES / SECTOR_BYTES;
    let first = alignment;
    let end = (table.header().last_usable + 1) / alignment * alignment;
    let last = end - 1;
    let partition = Partition {
        part_type_guid: gpt::partition_types::EFI,
        part_guid: partition_guid,
        first_lba: first,
        last_lba: last,
        flags: 0,
        name: PARTITION_NAME.to_owned(),
    };
    table.update_partitions(BTreeMap::from([(1, partition)]))?;
    table.write()?;
    Ok((first, last))
}

/// The one time on the disk: FAT's first representable moment.
#[derive(Debug)]
struct Epoch;

impl fatfs::TimeProvider for Epoch {
    fn get_current_date(&self) -> Date {
        Date {
            year: 1980,
            month: 1,
            day: 1,
        }
    }

    fn get_current_date_time(&self) -> DateTime {
        let time = Time {
            hour: 0,
            min: 0,
            sec: 0,
            millis: 0,
        };
        DateTime {
            date: self.get_current_date(),
            time,
        }
    }
}

static EPOCH: Epoch = Epoch;

fn write_file_system<F: Read + Write + Seek>(
    window: &mut Window<'_, F>,
    length: u64,
    serial: u32,
    files: &[EspFile],
) -> io::Result<()> {
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(cluster_bytes(length))
        .volume_id(serial)
        .volume_label(VOLUME_LABEL);
    fatfs::format_volume(&mut *window, options)?;
    window.rewind()?;
    let options = FsOptions::new()
        .time_provider(&EPOCH)
        .update_accessed_date(false);
    let file_system = FileSystem::new(window, options)?;
    {
        let root = file_system.root_dir();
        for file in files {
            let mut position = 0;
            while let Some(slash) = file.path[position..].find('/') {
                position += slash;
                root.create_dir(&file.path[..position])?;
                position += 1;
            }
            let mut target = root.create_file(&file.path)?;
            target.write_all(&file.bytes)?;
            target.flush()?;
        }
    }
    file_system.unmount()
}
