//! Chunk sets in bee's pinning export form.
//!
//! A tar whose entries are named `<root hex>/<chunk hex>`; the body is the chunk's length as u32 BE, the chunk (span ‖ payload,
//! or a whole single-owner chunk), and, in exports from a bee with postage, a stamp of 113 bytes, which is skipped.
//! Streaming in both directions: one chunk is in memory at a time, whatever the archive claims.
//!
//! Written archives are plain POSIX ustar: the root fits the prefix field and the chunk the name field, so that every tar reader
//! sees the whole name. Read are ustar, pax (Python writes it) and GNU long names; an archive may end without an end mark, because
//! bee's own export writes none.
//!
//! Architecture invariant: depends on `bmt` alone, so that the command line, the storer and developer tools can share it.
#![forbid(unsafe_code)]
use bmt::{CHUNK_DATA_BYTES_MAX, ChunkAddress, VerifiedChunk};
use std::io::{self, Read, Write};

const BLOCK_BYTES: usize = 512;
const ADDRESS_DIGITS: usize = 64;
const STAMP_BYTES: usize = 113;
/// Largest body of an entry: length, chunk, stamp.
const BODY_BYTES_MAX: usize = 4 + CHUNK_DATA_BYTES_MAX + STAMP_BYTES;
/// Largest extension record (pax header, long name): names here have 129 characters, so a hostile one must not fill memory.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The reader or writer failed.
    #[error("chunk archive: {0}")]
    Io(#[from] std::io::Error),
    /// Bytes that are not a tar header.
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
    /// When the writer fails.
    pub fn append(&mut self, root: ChunkAddress, chunk: &VerifiedChunk) -> Result<(), TarError> {
        let data = chunk.data();
        // A chunk has at most 4201 bytes, so its length always fits.
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        let body = data.len() + 4;
        self.inner
            .write_all(&encode_header(root, chunk.address(), body))?;
        self.inner.write_all(&length.to_be_bytes())?;
        self.inner.write_all(data)?;
        let padding = body.next_multiple_of(BLOCK_BYTES) - body;
        self.inner.write_all(&[0; BLOCK_BYTES][..padding])?;
        Ok(())
    }

    /// Writes the end mark, flushes, gives the writer back.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn finish(mut self) -> Result<W, TarError> {
        self.inner.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// SPEC POSIX.1-2017 pax "ustar Interchange Format".
fn encode_header(root: ChunkAddress, chunk: ChunkAddress, size: usize) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, hex(chunk).as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, hex(root).as_bytes());
    let sum = checksum(&header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn checksum(header: &[u8; BLOCK_BYTES]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
    sum(&header[..148]) + 8 * u64::from(b' ') + sum(&header[156..])
}

fn hex(address: ChunkAddress) -> String {
    address.0.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads an archive entry by entry: an iterator of verified chunks. After an error it ends.
#[derive(Debug)]
pub struct TarReader<R: Read> {
    inner: R,
    /// Bytes read so far.
    position: u64,
    body_offset: u64,
    /// Number of the next entry.
    entry: u64,
    ended: bool,
}

/// What a header announces.
struct Header {
    kind: u8,
    size: u64,
    name: Vec<u8>,
}

impl<R: Read> TarReader<R> {
    /// Starts reading.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            position: 0,
            body_offset: 0,
            entry: 0,
            ended: false,
        }
    }

    /// Offset in the input of the first byte of the chunk (after its length) that was returned last.
    pub fn body_offset(&self) -> u64 {
        self.body_offset
    }

    fn malformed(&self, what: &'static str) -> TarError {
        TarError::Malformed {
            entry: self.entry,
            what,
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long_name: Option<Vec<u8>> = None;
        loop {
            let Some(header) = self.read_header()? else {
                return Ok(None);
            };
            match header.kind {
                b'0' | 0 => {
                    let name = long_name.unwrap_or(header.name);
                    return self.read_chunk(&name, header.size).map(Some);
                }
                // SPEC POSIX pax: a record for the next entry. GNU tar: a long name for the next entry.
                b'x' => {
                    let body = self.read_extension(header.size)?;
                    long_name = pax_path(&body).or(long_name);
                }
                b'L' => {
                    let mut body = self.read_extension(header.size)?;
                    while body.last() == Some(&0) {
                        body.pop();
                    }
                    long_name = Some(body);
                }
                // Global pax records say nothing about names.
                b'g' => {
                    self.read_extension(header.size)?;
                }
                b'5' => {}
                _ => return Err(self.malformed("is neither a file nor a directory")),
            }
        }
    }

    /// Reads the next header; `None` at the end mark or the end of the input.
    fn read_header(&mut self) -> Result<Option<Header>, TarError> {
        let mut block = [0; BLOCK_BYTES];
        let got = self.fill(&mut block)?;
        if got == 0 || block == [0; BLOCK_BYTES] {
            return Ok(None);
        }
        if got < BLOCK_BYTES {
            return Err(self.malformed("the archive ends inside a header; copy or make it again"));
        }
        let stated = octal(&block[148..156]);
        if stated != Some(checksum(&block)) {
            return Err(self.malformed("no tar header (the checksum is wrong)"));
        }
        let size = octal(&block[124..136])
            .ok_or_else(|| self.malformed("the header's size is not a number"))?;
        let mut name = until_nul(&block[345..500]).to_vec();
        if &block[257..262] != b"ustar" || name.is_empty() {
            name.clear();
        } else {
            name.push(b'/');
        }
        name.extend_from_slice(until_nul(&block[..100]));
        Ok(Some(Header {
            kind: block[156],
            size,
            name,
        }))
    }

    fn read_chunk(&mut self, name: &[u8], size: u64) -> Result<Entry, TarError> {
        let (root, address) = parse_name(name).ok_or_else(|| {
            self.malformed("its name is not <64 hexadecimal digits>/<64 hexadecimal digits>")
        })?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if !(4..=BODY_BYTES_MAX).contains(&size) {
            return Err(self.malformed("its size is none that a chunk can have"));
        }
        let start = self.position;
        let mut body = self.read_body(size)?;
        let mut length = [0; 4];
        length.copy_from_slice(&body[..4]);
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if size != 4 + length && size != length.saturating_add(4 + STAMP_BYTES) {
            return Err(self.malformed("the length in front of the chunk does not fit the entry"));
        }
        body.truncate(4 + length);
        body.drain(..4);
        let chunk = VerifiedChunk::verify(address, body).map_err(|source| TarError::Chunk {
            entry: self.entry,
            source,
        })?;
        self.body_offset = start + 4;
        self.entry += 1;
        Ok(Entry { root, chunk })
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        match usize::try_from(size) {
            Ok(size) if size <= EXTENSION_BYTES_MAX => self.read_body(size),
            _ => Err(self.malformed("its extension record is too long")),
        }
    }

    /// Reads a body and its padding. The padding of the last entry may be missing, as in bee's exports.
    fn read_body(&mut self, size: usize) -> Result<Vec<u8>, TarError> {
        let mut body = vec![0; size];
        if self.fill(&mut body)? < size {
            return Err(self.malformed("the archive ends inside it; copy or make it again"));
        }
        let padding = size.next_multiple_of(BLOCK_BYTES) - size;
        self.fill(&mut [0; BLOCK_BYTES][..padding])?;
        Ok(body)
    }

    /// Reads until `buffer` is full or the input ends; returns how much was read.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    self.position += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }
}

impl<R: Read> Iterator for TarReader<R> {
    type Item = Result<Entry, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Reads an octal field: digits between spaces, ended by space, NUL or its end.
fn octal(field: &[u8]) -> Option<u64> {
    let text = until_nul(field).trim_ascii();
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'7' => u64::from(digit - b'0'),
            _ => return None,
        };
        value.checked_mul(8)?.checked_add(digit)
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

/// Finds `path` among the records `<length> <key>=<value>\n`.
fn pax_path(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body;
    while !rest.is_empty() {
        let space = rest.iter().position(|b| *b == b' ')?;
        let length: usize = std::str::from_utf8(rest.get(..space)?).ok()?.parse().ok()?;
        let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return Some(path.to_vec());
        }
        rest = rest.get(length..)?;
    }
    None
}

fn parse_name(name: &[u8]) -> Option<(ChunkAddress, ChunkAddress)> {
    let root = name.get(..ADDRESS_DIGITS)?;
    let chunk = name.get(ADDRESS_DIGITS..)?.strip_prefix(b"/")?;
    Some((parse_address(root)?, parse_address(chunk)?))
}

fn parse_address(digits: &[u8]) -> Option<ChunkAddress> {
    if digits.len() != ADDRESS_DIGITS {
        return None;
    }
    let mut address = [0; 32];
    for (byte, pair) in address.iter_mut().zip(digits.chunks_exact(2)) {
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(ChunkAddress(address))
}

#[cfg(test)]
mod tests;
