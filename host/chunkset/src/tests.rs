use super::*;

fn chunk(text: &[u8]) -> VerifiedChunk {
    VerifiedChunk::content((text.len() as u64).to_le_bytes(), text).unwrap()
}

fn archive(chunks: &[VerifiedChunk]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for chunk in chunks {
        writer.append(ROOT, chunk).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, TarError> {
    TarReader::new(bytes).collect()
}

const ROOT: ChunkAddress = ChunkAddress([0xab; 32]);

#[test]
fn an_archive_has_the_bytes_of_posix_ustar() {
    let bytes = archive(&[chunk(b"foo")]);
    assert_eq!(bytes.len(), 4 * 512);
    let name = "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48";
    assert_eq!(&bytes[..64], name.as_bytes());
    assert_eq!(&bytes[64..100], [0; 36]);
    assert_eq!(
        &bytes[100..136],
        b"0000600\x000000000\x000000000\x0000000000017\0"
    );
    assert_eq!(&bytes[156..158], b"0\0");
    assert_eq!(&bytes[257..265], b"ustar\x0000");
    assert_eq!(&bytes[345..409], "ab".repeat(32).as_bytes());
    assert_eq!(&bytes[512..527], b"\0\0\0\x0b\x03\0\0\0\0\0\0\0foo");
    assert!(bytes[527..].iter().all(|b| *b == 0));
}

#[test]
fn what_is_written_is_read_back_with_the_offsets_of_the_chunks() {
    let chunks = [chunk(b"foo"), chunk(b""), chunk(&[7; 4096]), chunk(b"foo")];
    let bytes = archive(&chunks);
    let mut reader = TarReader::new(&bytes[..]);
    for chunk in &chunks {
        let entry = reader.next().unwrap().unwrap();
        assert_eq!((entry.root, &entry.chunk), (ROOT, chunk));
        let at = usize::try_from(reader.body_offset()).unwrap();
        assert_eq!(&bytes[at..at + chunk.data().len()], chunk.data());
    }
    assert!(reader.next().is_none());
}

#[test]
fn an_archive_like_bees_without_padding_and_end_mark_is_whole() {
    let bytes = archive(&[chunk(b"foo"), chunk(b"bar")]);
    assert_eq!(read(&bytes[..3 * 512 + 15]).unwrap().len(), 2);
}

#[test]
fn every_cut_inside_an_entry_is_an_error_and_every_cut_between_entries_is_the_end() {
    let bytes = archive(&[chunk(b"foo"), chunk(b"bar")]);
    for end in 0..4 * 512 {
        let result = read(&bytes[..end]);
        let inside = match end % 1024 {
            0 => false,
            1..=511 => true,
            at => at - 512 < 15,
        };
        assert_eq!(result.is_err(), inside, "{end}: {result:?}");
    }
}

#[test]
fn a_stamp_behind_the_chunk_is_skipped() {
    let foo = chunk(b"foo");
    let mut bytes = encode_header(ROOT, foo.address(), 4 + 11 + 113).to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 11]);
    bytes.extend_from_slice(foo.data());
    bytes.extend_from_slice(&[0x55; 113]);
    assert_eq!(read(&bytes).unwrap()[0].chunk, foo);
}

/// A name of 129 characters as other writers store it: Python as pax record, GNU tar as long name.
#[test]
fn long_names_of_other_writers_are_read() {
    let foo = chunk(b"foo");
    let name = format!("{}/{}", hex(ROOT), hex(foo.address()));
    let pax = format!("139 path={name}\n");
    assert_eq!(pax.len(), 139);
    let gnu = format!("{name}\0");
    for (kind, record) in [(b'x', pax), (b'L', gnu)] {
        let mut header = encode_header(ROOT, ROOT, record.len());
        header[156] = kind;
        fix_checksum(&mut header);
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(record.as_bytes());
        bytes.resize(1024, 0);
        // The short name is cut off, as those writers leave it.
        let mut plain = encode_header(ROOT, foo.address(), 15);
        plain[345..409].fill(0);
        plain[..100].copy_from_slice(&name.as_bytes()[..100]);
        fix_checksum(&mut plain);
        bytes.extend_from_slice(&plain);
        bytes.extend_from_slice(&[0, 0, 0, 11]);
        bytes.extend_from_slice(foo.data());
        let entries = read(&bytes).unwrap();
        assert_eq!((entries[0].root, &entries[0].chunk), (ROOT, &foo));
    }
}

fn fix_checksum(header: &mut [u8; BLOCK_BYTES]) {
    let sum = checksum(header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn a_flipped_bit_in_a_chunk_is_found() {
    let mut bytes = archive(&[chunk(b"foo")]);
    bytes[512 + 4 + 8] ^= 1;
    let error = read(&bytes).unwrap_err();
    assert!(matches!(
        error,
        TarError::Chunk {
            entry: 0,
            source: bmt::ChunkError::Address
        }
    ));
}

#[test]
fn illegal_archives_are_refused_with_their_reasons() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change); 8] = [
        ("checksum", |b| b[0] ^= 1),
        ("name is not", |b| edit(b, |h| h[0] = b'g')),
        ("name is not", |b| edit(b, |h| h[345..500].fill(0))),
        ("not a number", |b| edit(b, |h| h[124] = b'8')),
        ("size is none", |b| {
            edit(b, |h| h[124..135].copy_from_slice(b"00000010340"))
        }),
        ("size is none", |b| {
            edit(b, |h| h[124..135].copy_from_slice(b"00000000003"))
        }),
        ("neither a file", |b| edit(b, |h| h[156] = b'2')),
        ("does not fit", |b| b[512 + 3] = 12),
    ];
    for (expected, change) in cases {
        let mut bytes = archive(&[chunk(b"foo")]);
        change(&mut bytes);
        let mut reader = TarReader::new(&bytes[..]);
        let error = reader.next().unwrap().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(reader.next().is_none(), "after an error it ends");
    }
}

#[test]
fn an_extension_record_cannot_fill_memory() {
    let mut header = encode_header(ROOT, ROOT, 1 << 30);
    header[156] = b'x';
    fix_checksum(&mut header);
    let error = read(&header).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

fn edit(bytes: &mut [u8], change: impl FnOnce(&mut [u8; BLOCK_BYTES])) {
    let header = bytes.first_chunk_mut::<BLOCK_BYTES>().unwrap();
    change(header);
    fix_checksum(header);
}
