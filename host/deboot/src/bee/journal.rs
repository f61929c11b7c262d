//! What a node has taken, on disk: an upload that was killed goes on where it stopped.
//!
//! One file per node, batch and reference: 32 bytes that say which node and batch, then 32 bytes per chunk, appended as soon as the node
//! confirmed it. A kill loses nothing that was appended; a power cut loses at most what was appended since the last synchronisation. A
//! record counts only if it is the address of a chunk that is to be uploaded, so a torn or damaged file costs repeated uploads and
//! nothing else.
use super::api::{BatchId, BeeUrl};
use crate::source::hex;
use bmt::{ChunkAddress, keccak256};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const RECORD_BYTES: usize = 32;
const MAGIC: &[u8] = b"deboot/uploaded/1";
const SUFFIX: &str = "uploaded";
const TAG_SUFFIX: &str = "tag";
/// Largest journal that is read: 16 Mi chunks, 64 GiB of content.
const JOURNAL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Journals kept per node and batch; the oldest go first. Earlier releases of the same batch make later ones cheap.
const JOURNALS_MAX: usize = 16;
/// Records and time between two synchronisations.
const SYNC_RECORDS: u32 = 1024;
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Where journals lie, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Directory of all journals.
    pub state: PathBuf,
    /// The node.
    pub url: BeeUrl,
    /// The batch.
    pub batch: BatchId,
    /// What is uploaded.
    pub reference: ChunkAddress,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refuses.
    #[error("{}: {source}; --state names another directory", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Somebody else uploads the same.
    #[error("{}: another deboot uploads the same to the same node; wait for it", .0.display())]
    Busy(PathBuf),
    /// No home directory.
    #[error(
        "there is no place for the upload's state: set HOME or XDG_STATE_HOME, or give --state DIR"
    )]
    NoHome,
}

/// `$XDG_STATE_HOME/deboot/publish`, else `~/.local/state/deboot/publish`.
///
/// # Errors
/// [`JournalError::NoHome`]
pub fn default_state_directory() -> Result<PathBuf, JournalError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state")));
    Ok(state.ok_or(JournalError::NoHome)?.join("deboot/publish"))
}

/// A journal that is being written. It is locked until it is dropped.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    unsynced: u32,
    synced: Instant,
}

impl Journal {
    /// Opens the journal and returns which of the `wanted` chunks the node has taken, by this journal and by those of other references
    /// with the same batch. With `fresh`, everything that was known of this node and batch is forgotten.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn open(
        place: &Place,
        fresh: bool,
        wanted: &BTreeSet<ChunkAddress>,
    ) -> Result<(Self, BTreeSet<ChunkAddress>), JournalError> {
        let head = place.head();
        let directory = place.state.join(hex(&head[..16]));
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { path, source }
        };
        fs::create_dir_all(&directory).map_err(fail(&directory))?;
        let path = directory.join(format!("{}.{SUFFIX}", hex(&place.reference.0)));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(fail(&path))?;
        if file.try_lock().is_err() {
            return Err(JournalError::Busy(path));
        }
        let mut stored = BTreeSet::new();
        let others = siblings(&directory, &path).map_err(fail(&directory))?;
        for other in others {
            if fresh {
                fs::remove_file(&other).map_err(fail(&other))?;
            } else if let Ok(file) = File::open(&other) {
                // What cannot be read costs repeated uploads.
                let _ = read_records(&file, &head, wanted, &mut stored);
            }
        }
        let whole = if fresh {
            None
        } else {
            read_records(&file, &head, wanted, &mut stored).map_err(fail(&path))?
        };
        // A record torn by a power cut goes; a file of something else is begun anew.
        file.set_len(whole.unwrap_or(0)).map_err(fail(&path))?;
        let end = file.seek(SeekFrom::End(0)).map_err(fail(&path))?;
        if end == 0 {
            file.write_all(&head).map_err(fail(&path))?;
        }
        let journal = Self {
            path,
            file,
            unsynced: 0,
            synced: Instant::now(),
        };
        Ok((journal, stored))
    }

    /// Forgets what the journals of other references say about this node and batch, because an upload will overwrite chunks of theirs;
    /// returns what is known of the `wanted` chunks then.
    ///
    /// # Errors
    /// [`JournalError::Io`]
    pub fn forget_others(
        &self,
        place: &Place,
        wanted: &BTreeSet<ChunkAddress>,
    ) -> Result<BTreeSet<ChunkAddress>, JournalError> {
        let forget = || {
            let directory = self.path.parent().unwrap_or(Path::new("."));
            for other in siblings(directory, &self.path)? {
                fs::remove_file(other)?;
            }
            let mut stored = BTreeSet::new();
            read_records(&File::open(&self.path)?, &place.head(), wanted, &mut stored)?;
            Ok(stored)
        };
        forget().map_err(|error| self.fail(error))
    }

    /// Remembers the node's session of an upload, so that a later run can ask how far its chunks are spread.
    ///
    /// # Errors
    /// [`JournalError::Io`]
    pub fn set_tag(&self, tag: u64) -> Result<(), JournalError> {
        fs::write(self.path.with_extension(TAG_SUFFIX), tag.to_string()).map_err(|e| self.fail(e))
    }

    /// The session of the last upload, if one is remembered.
    pub fn tag(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.with_extension(TAG_SUFFIX));
        text.ok()?.trim().parse().ok()
    }

    /// Remembers that the node took a chunk.
    ///
    /// # Errors
    /// [`JournalError::Io`]
    pub fn append(&mut self, address: ChunkAddress) -> Result<(), JournalError> {
        // One write without a buffer: a kill right behind it loses nothing.
        let written = self.file.write_all(&address.0);
        self.unsynced += 1;
        written.map_err(|e| self.fail(e))?;
        if self.unsynced >= SYNC_RECORDS || self.synced.elapsed() >= SYNC_INTERVAL {
            self.sync()?;
        }
        Ok(())
    }

    /// Brings what was appended to the disk.
    ///
    /// # Errors
    /// [`JournalError::Io`]
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(|e| self.fail(e))?;
        self.unsynced = 0;
        self.synced = Instant::now();
        Ok(())
    }

    fn fail(&self, source: io::Error) -> JournalError {
        JournalError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Place {
    fn head(&self) -> [u8; RECORD_BYTES] {
        let url = self.url.to_string();
        keccak256(&[MAGIC, &self.batch.0, url.as_bytes()].concat())
    }
}

/// The other journals of a directory, at most [`JOURNALS_MAX`]; older ones are removed.
fn siblings(directory: &Path, own: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if path != own && path.extension().is_some_and(|e| e == SUFFIX) {
            found.push((entry.metadata()?.modified()?, path));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    let old = found.split_off(found.len().min(JOURNALS_MAX));
    for (_, path) in old {
        // One that stays costs a few megabytes.
        let _ = fs::remove_file(path.with_extension(TAG_SUFFIX));
        let _ = fs::remove_file(path);
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads records that are wanted into `stored`; returns the length of the whole records, `None` when the file is not this node's and
/// batch's.
fn read_records(
    file: &File,
    head: &[u8; RECORD_BYTES],
    wanted: &BTreeSet<ChunkAddress>,
    stored: &mut BTreeSet<ChunkAddress>,
) -> io::Result<Option<u64>> {
    let mut reader = BufReader::with_capacity(1 << 16, file.take(JOURNAL_BYTES_MAX));
    let mut length = 0;
    loop {
        let mut record = [0; RECORD_BYTES];
        match reader.read_exact(&mut record) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let address = ChunkAddress(record);
        if length == 0 && record != *head {
            return Ok(None);
        }
        if length > 0 && wanted.contains(&address) {
            stored.insert(address);
        }
        length += RECORD_BYTES as u64;
    }
    Ok((length > 0).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> ChunkAddress {
        ChunkAddress([n; 32])
    }

    fn place(state: &Path, reference: u8) -> Place {
        Place {
            state: state.to_owned(),
            url: "http://localhost:1633".parse().unwrap(),
            batch: BatchId([1; 32]),
            reference: address(reference),
        }
    }

    fn wanted() -> BTreeSet<ChunkAddress> {
        (0..10).map(address).collect()
    }

    fn open(place: &Place) -> (Journal, Vec<u8>) {
        let (journal, stored) = Journal::open(place, false, &wanted()).unwrap();
        (journal, stored.iter().map(|a| a.0[0]).collect())
    }

    #[test]
    fn what_was_appended_is_known_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let here = place(dir.path(), 0xaa);
        let (mut journal, stored) = open(&here);
        assert!(stored.is_empty());
        for n in [3, 4, 200] {
            journal.append(address(n)).unwrap();
        }
        // No sync: a killed process does not get to it.
        drop(journal);
        assert_eq!(open(&here).1, [3, 4], "200 is not wanted");
    }

    #[test]
    fn another_release_with_the_same_batch_profits_and_another_batch_or_node_does_not() {
        let dir = tempfile::tempdir().unwrap();
        open(&place(dir.path(), 0xaa)).0.append(address(1)).unwrap();
        assert_eq!(open(&place(dir.path(), 0xbb)).1, [1]);
        let mut other = place(dir.path(), 0xaa);
        other.batch = BatchId([2; 32]);
        assert!(open(&other).1.is_empty());
        let mut other = place(dir.path(), 0xaa);
        other.url = "http://localhost:1733".parse().unwrap();
        assert!(open(&other).1.is_empty());
    }

    #[test]
    fn a_torn_record_goes_and_a_foreign_file_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let here = place(dir.path(), 0xaa);
        let (mut journal, _) = open(&here);
        journal.append(address(1)).unwrap();
        let path = journal.path.clone();
        drop(journal);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([2; 20]);
        fs::write(&path, &bytes).unwrap();
        let (mut journal, stored) = open(&here);
        assert_eq!(stored, [1]);
        journal.append(address(5)).unwrap();
        drop(journal);
        assert_eq!(open(&here).1, [1, 5]);
        // The head of another node: every record is forgotten.
        bytes[0] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(open(&here).1.is_empty());
        assert_eq!(fs::metadata(&path).unwrap().len(), 32);
    }

    #[test]
    fn fresh_forgets_everything_of_this_node_and_batch() {
        let dir = tempfile::tempdir().unwrap();
        for reference in [0xaa, 0xbb] {
            open(&place(dir.path(), reference))
                .0
                .append(address(1))
                .unwrap();
        }
        let here = place(dir.path(), 0xaa);
        let (journal, stored) = Journal::open(&here, true, &wanted()).unwrap();
        assert!(stored.is_empty());
        drop(journal);
        assert!(open(&here).1.is_empty());
    }

    #[test]
    fn an_upload_that_overwrites_trusts_only_its_own_journal() {
        let dir = tempfile::tempdir().unwrap();
        open(&place(dir.path(), 0xbb)).0.append(address(1)).unwrap();
        let here = place(dir.path(), 0xaa);
        let (mut journal, stored) = open(&here);
        assert_eq!(stored, [1]);
        journal.append(address(2)).unwrap();
        let known = journal.forget_others(&here, &wanted()).unwrap();
        assert_eq!(known, BTreeSet::from([address(2)]));
        journal.append(address(3)).unwrap();
        drop(journal);
        assert_eq!(open(&here).1, [2, 3]);
        assert!(!open(&place(dir.path(), 0xcc)).1.contains(&1));
    }

    #[test]
    fn two_at_once_are_refused_and_old_journals_go() {
        let dir = tempfile::tempdir().unwrap();
        let here = place(dir.path(), 0xaa);
        let (first, _) = open(&here);
        assert!(matches!(
            Journal::open(&here, false, &wanted()),
            Err(JournalError::Busy(_))
        ));
        drop(first);
        for reference in 0..40 {
            open(&place(dir.path(), reference));
        }
        let directory = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        let kept = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept, JOURNALS_MAX + 1);
    }
}
