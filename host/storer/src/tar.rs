//! Chunk sets in bee's pinning export form.
//!
//! A tar whose entries are named `<root hex>/<chunk hex>`; the body is the chunk's length as u32 BE, the chunk (span ‖ payload,
//! or a whole single-owner chunk), and, in exports from a bee with postage, a stamp of 113 bytes, which is skipped.
//! Streaming in both directions: one chunk is in memory at a time, whatever the archive claims.
use bmt::{CHUNK_DATA_BYTES_MAX, ChunkAddress, SPAN_BYTES, VerifiedChunk};
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// Length field, largest chunk, stamp.
const BODY_BYTES_MAX: usize = 4 + CHUNK_DATA_BYTES_MAX + STAMP_BYTES;
const STAMP_BYTES: usize = 113;
/// Longest extended header (pax or long name) that is skipped.
const EXTENSION_BYTES_MAX: u64 = 64 * 1024;

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The reader or writer failed.
    #[error("chunk archive: {0}")]
    Io(#[from] io::Error),
    /// Bytes that are not what the form wants.
    #[error("chunk archive: entry {entry}: {what}")]
    Malformed {
        /// Number of the entry, from 0.
        entry: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A chunk that does not hash to the name of its entry.
    #[error("chunk archive: entry {entry}: {source}")]
    Chunk {
        /// Number of the entry, from 0.
        entry: u64,
        /// What is wrong.
        source: bmt::ChunkError,
    },
}

/// One entry: a verified chunk and the root it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Address of the root chunk the chunk was exported for.
    pub root: ChunkAddress,
    /// The chunk.
    pub chunk: VerifiedChunk,
}

/// Writes an archive. [`finish`](Self::finish) must be called, else it has no end mark.
#[derive(Debug)]
pub struct TarWriter<W: Write> {
    inner: W,
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive. Bytes are the same for the same chunks in the same order (no times, no owners).
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Adds a chunk that belongs to `root`. Writing the same chunk twice is allowed (readers take the first).
    ///
    /// # Errors
    /// The writer's.
    pub fn append(&mut self, root: ChunkAddress, chunk: &VerifiedChunk) -> Result<(), TarError> {
        let data = chunk.data();
        let len = data.len() as u32;
        self.inner
            .write_all(&header(&root, &chunk.address(), data.len() + 4))?;
        self.inner.write_all(&len.to_be_bytes())?;
        self.inner.write_all(data)?;
        let padding = (data.len() + 4).next_multiple_of(BLOCK) - (data.len() + 4);
        self.inner.write_all(&[0; BLOCK][..padding])?;
        Ok(())
    }

    /// Writes the end mark, flushes, gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> Result<W, TarError> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// A ustar header; the name of 129 characters is split at its slash into prefix and name.
fn header(root: &ChunkAddress, chunk: &ChunkAddress, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    header[..64].copy_from_slice(hex(chunk).as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[345..409].copy_from_slice(hex(root).as_bytes());
    let sum = checksum(&header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Sum of the header's bytes with the checksum field taken as spaces.
fn checksum(header: &[u8; BLOCK]) -> u64 {
    header
        .iter()
        .enumerate()
        .map(|(i, b)| {
            if (148..156).contains(&i) {
                32
            } else {
                u64::from(*b)
            }
        })
        .sum()
}

/// Reads an archive entry by entry: an iterator of verified chunks. After an error it ends.
#[derive(Debug)]
pub struct TarReader<R: Read> {
    inner: R,
    entry: u64,
    done: bool,
}

impl<R: Read> TarReader<R> {
    /// Starts reading.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            entry: 0,
            done: false,
        }
    }

    fn malformed(&self, what: &'static str) -> TarError {
        TarError::Malformed {
            entry: self.entry,
            what,
        }
    }

    /// Reads the next chunk; `None` at the end mark or the end of the input.
    fn read_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long_name: Option<String> = None;
        loop {
            let mut header = [0; BLOCK];
            if !self.read_block(&mut header)? || header == [0; BLOCK] {
                return Ok(None);
            }
            let stated = octal(&header[148..156]).ok_or_else(|| self.malformed("checksum"))?;
            if stated != checksum(&header) {
                return Err(self.malformed("header checksum does not match"));
            }
            let size = octal(&header[124..136]).ok_or_else(|| self.malformed("size field"))?;
            match header[156] {
                b'0' | 0 => {
                    let name = long_name.take().unwrap_or_else(|| name(&header));
                    let entry = self.read_chunk(&name, size)?;
                    self.entry += 1;
                    return Ok(Some(entry));
                }
                b'x' => long_name = pax_path(&self.read_extension(size)?).or(long_name),
                b'L' => {
                    let bytes = self.read_extension(size)?;
                    long_name = Some(text(&bytes));
                }
                b'g' => drop(self.read_extension(size)?),
                // Directories carry nothing.
                b'5' if size == 0 => long_name = None,
                _ => return Err(self.malformed("neither file nor directory")),
            }
        }
    }

    fn read_chunk(&mut self, name: &str, size: u64) -> Result<Entry, TarError> {
        let (root, chunk) = name
            .split_once('/')
            .and_then(|(root, chunk)| Some((unhex(root)?, unhex(chunk)?)))
            .ok_or_else(|| self.malformed("name is not <64 hex>/<64 hex>"))?;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| (4 + SPAN_BYTES..=BODY_BYTES_MAX).contains(size))
            .ok_or_else(|| self.malformed("size is not that of a chunk"))?;
        let mut body = vec![0; size];
        self.read_padded(&mut body)?;
        let mut data = body.split_off(4);
        let len = body.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        // With a stamp behind it, or without.
        if len != data.len() && len + STAMP_BYTES != data.len() {
            return Err(self.malformed("chunk length does not match the entry's"));
        }
        data.truncate(len);
        let chunk = VerifiedChunk::verify(chunk, data).map_err(|source| TarError::Chunk {
            entry: self.entry,
            source,
        })?;
        Ok(Entry { root, chunk })
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENSION_BYTES_MAX {
            return Err(self.malformed("extended header is too long"));
        }
        let mut bytes = vec![0; size as usize];
        self.read_padded(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a body and the padding to the next block.
    fn read_padded(&mut self, body: &mut [u8]) -> Result<(), TarError> {
        self.inner.read_exact(body)?;
        let padding = body.len().next_multiple_of(BLOCK) - body.len();
        self.inner.read_exact(&mut [0; BLOCK][..padding])?;
        Ok(())
    }

    /// Reads a header block; `false` at the end of the input.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut have = 0;
        while have < BLOCK {
            match self.inner.read(&mut block[have..]) {
                Ok(0) if have == 0 => return Ok(false),
                Ok(0) => return Err(self.malformed("archive ends in the middle of a header")),
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }
}

impl<R: Read> Iterator for TarReader<R> {
    type Item = Result<Entry, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let entry = self.read_entry();
        self.done = !matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}

/// Name from the header: `prefix/name` in ustar, else the name alone.
fn name(header: &[u8; BLOCK]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    if header[257..262] == *b"ustar" && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

/// The text up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The `path` record of a pax header: lines of `<length> <key>=<value>\n`.
fn pax_path(mut bytes: &[u8]) -> Option<String> {
    while !bytes.is_empty() {
        let space = bytes.iter().position(|b| *b == b' ')?;
        let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let line = bytes.get(space + 1..len.checked_sub(1)?)?;
        if let Some(path) = line.strip_prefix(b"path=") {
            return Some(String::from_utf8_lossy(path).into_owned());
        }
        bytes = bytes.get(len..)?;
    }
    None
}

/// An octal field, padded with spaces or zero bytes.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().skip_while(|b| **b == b' ');
    let mut value = 0u64;
    for digit in digits.take_while(|b| !matches!(b, 0 | b' ')) {
        value = value.checked_mul(8)? + u64::from(digit.checked_sub(b'0').filter(|d| *d < 8)?);
    }
    Some(value)
}

fn hex(address: &ChunkAddress) -> String {
    address.0.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<ChunkAddress> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(ChunkAddress(out))
}

#[cfg(test)]
mod tests;
