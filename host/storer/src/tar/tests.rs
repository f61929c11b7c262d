use super::*;

fn chunk(n: usize) -> VerifiedChunk {
    let payload: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
    VerifiedChunk::content((n as u64).to_le_bytes(), &payload).unwrap()
}

fn archive(sizes: &[usize]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    let root = chunk(sizes[0]).address();
    for n in sizes {
        writer.append(root, &chunk(*n)).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, TarError> {
    TarReader::new(bytes).collect()
}

/// Makes the checksum of the first header right again.
fn reseal(bytes: &mut [u8]) {
    let mut block: [u8; BLOCK] = bytes[..BLOCK].try_into().unwrap();
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes[..BLOCK].copy_from_slice(&block);
}

#[test]
fn what_was_written_is_read() {
    let sizes = [4096, 0, 1, 499, 500, 501, 4096];
    let entries = read(&archive(&sizes)).unwrap();
    assert_eq!(entries.len(), sizes.len());
    for (entry, n) in entries.iter().zip(sizes) {
        assert_eq!(entry.chunk, chunk(n));
        assert_eq!(entry.root, chunk(4096).address());
    }
}

#[test]
fn the_archive_is_the_one_of_gnu_tar_readers() {
    let bytes = archive(&[3]);
    assert_eq!(bytes.len(), 4 * BLOCK);
    let text = String::from_utf8_lossy(&bytes[..64]).into_owned();
    assert_eq!(text, hex(&chunk(3).address()));
    assert_eq!(&bytes[257..263], b"ustar\0");
    assert_eq!(&bytes[124..136], b"00000000017\0");
    assert_eq!(
        &bytes[512..527],
        &[0, 0, 0, 11, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    );
}

#[test]
fn a_stamp_behind_the_chunk_is_skipped() {
    let chunk = chunk(10);
    let mut bytes = header(&chunk.address(), &chunk.address(), 4 + 18 + STAMP_BYTES).to_vec();
    bytes.extend_from_slice(&18u32.to_be_bytes());
    bytes.extend_from_slice(chunk.data());
    bytes.resize(2 * BLOCK, 9);
    assert_eq!(read(&bytes).unwrap()[0].chunk, chunk);
}

#[test]
fn pax_and_gnu_long_names_are_understood() {
    let plain = archive(&[10]);
    let path = format!(
        "{}/{}",
        hex(&chunk(10).address()),
        hex(&chunk(10).address())
    );
    let record = format!("{} path={path}\n", path.len() + 10);
    assert_eq!(record.len(), path.len() + 10);
    for (kind, body) in [(b'x', record), (b'L', path)] {
        let mut extension = header(&ChunkAddress([0; 32]), &ChunkAddress([0; 32]), body.len());
        extension[156] = kind;
        let mut bytes = extension.to_vec();
        reseal(&mut bytes);
        bytes.extend_from_slice(body.as_bytes());
        bytes.resize(2 * BLOCK, 0);
        let mut file = plain.clone();
        file[..BLOCK][..100].fill(b'n');
        file[345..500].fill(0);
        reseal(&mut file);
        bytes.extend_from_slice(&file);
        assert_eq!(read(&bytes).unwrap()[0].chunk, chunk(10));
    }
}

#[test]
fn hostile_archives_are_refused_without_reading_what_they_claim() {
    let altered = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = archive(&[100]);
        change(&mut bytes);
        bytes
    };
    let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
        altered(&|bytes| {
            change(bytes);
            reseal(bytes);
        })
    };
    for (claim, bytes) in [
        ("checksum", altered(&|b| b[0] = b'x')),
        ("size of 8 GiB", sealed(&|b| b[124..135].fill(b'7'))),
        ("size that is no number", sealed(&|b| b[124] = b'9')),
        ("size in binary", sealed(&|b| b[124] = 0x80)),
        ("size zero", sealed(&|b| b[124..135].fill(b'0'))),
        ("name", sealed(&|b| b[3] = b'g')),
        ("no root", sealed(&|b| b[345..409].fill(0))),
        ("symbolic link", sealed(&|b| b[156] = b'2')),
        (
            "huge extension",
            sealed(&|b| {
                b[156] = b'x';
                b[124..135].fill(b'7');
            }),
        ),
        ("chunk length", altered(&|b| b[515] ^= 1)),
        ("chunk length of 4 GiB", altered(&|b| b[512..516].fill(255))),
        ("chunk byte", altered(&|b| b[600] ^= 1)),
        ("cut header", altered(&|b| b.truncate(511))),
        ("cut body", altered(&|b| b.truncate(600))),
    ] {
        assert!(read(&bytes).is_err(), "{claim}");
    }
}

#[test]
fn every_cut_ends_in_an_error_or_at_an_entry() {
    let bytes = archive(&[100, 5]);
    for cut in 0..bytes.len() {
        match read(&bytes[..cut]) {
            // Between entries, or behind the first of the two blocks of the end mark.
            Ok(_) => assert!(
                cut % BLOCK == 0 || cut > bytes.len() - BLOCK,
                "cut at {cut}"
            ),
            Err(_) => assert!(cut > 0),
        }
    }
}

#[test]
fn after_an_error_the_reader_ends() {
    let mut bytes = archive(&[100, 5]);
    bytes[600] ^= 1;
    let mut reader = TarReader::new(&bytes[..]);
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}
