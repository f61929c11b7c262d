use crate::tape::Tape;
use bmt::{ChunkAddress, EthAddress, SecretKey, VerifiedChunk};
use content::feed::{Feed, Find, FindConfig, Index, Topic, sign_root};
use content::mantaray::{Listing, ListingConfig, Lookup};
use content::{Collect, Reference};

const FILE_BYTES_MAX: u64 = 1 << 20;
const IN_FLIGHT: usize = 8;

/// A chunk from the network: address (32 bytes), then its bytes.
pub(super) fn chunk(bytes: &[u8]) {
    let Some((address, data)) = bytes.split_first_chunk::<32>() else {
        return;
    };
    if let Ok(chunk) = VerifiedChunk::verify(ChunkAddress(*address), data.to_vec()) {
        assert_eq!(chunk.address().0, *address);
        assert_eq!(chunk.data(), data);
        assert!(chunk.payload().len() <= 4096);
        let wrapped = chunk.into_wrapped();
        let again = VerifiedChunk::verify(wrapped.address(), wrapped.data().to_vec());
        assert!(again.is_ok(), "what was wrapped is no chunk");
    }
    if let Ok(chunk) = VerifiedChunk::content_data(data.to_vec()) {
        assert!(VerifiedChunk::verify(chunk.address(), data.to_vec()).is_ok());
    }
}

/// A reference to the tape's last chunk; the first byte says whether with a key.
fn root(tape: &Tape, flags: u8) -> Option<Reference> {
    Some(Reference {
        address: tape.root()?.address(),
        key: (flags % 2 == 1).then_some([flags; 32]),
    })
}

/// A file tree of hostile chunks.
pub(super) fn tree(bytes: &[u8]) {
    let Some((flags, rest)) = bytes.split_first() else {
        return;
    };
    let tape = Tape::read(rest);
    let Some(root) = root(&tape, *flags) else {
        return;
    };
    let mut file = Collect::new(root, FILE_BYTES_MAX, IN_FLIGHT);
    if tape.feed(&mut file, &mut |_| ()).is_ok() {
        let size = file.size();
        let whole = file.into_bytes().expect("neither done nor failed");
        assert_eq!(u64::try_from(whole.len()).ok(), size);
        assert!(size <= Some(FILE_BYTES_MAX));
    }
}

/// A directory of hostile nodes: a path is looked up, and everything is listed. Nodes are read unmasked from a tape of chunks.
pub(super) fn mantaray(bytes: &[u8]) {
    let Some((flags, rest)) = bytes.split_first() else {
        return;
    };
    let tape = Tape::read(rest);
    let Some(root) = root(&tape, *flags) else {
        return;
    };
    for path in ["", "a", "index.html", "host-configuration-manifest.json"] {
        let mut lookup = Lookup::new(root, path);
        if tape.feed(&mut lookup, &mut |_| ()).is_ok() {
            assert!(lookup.entry().is_some(), "neither found nor failed");
        }
    }
    let config = ListingConfig {
        nodes_max: 300,
        in_flight_max: IN_FLIGHT,
    };
    let mut listing = Listing::new(root, config);
    let mut last: Option<Vec<u8>> = None;
    drop(tape.feed(&mut listing, &mut |listing| {
        while let Some(listed) = listing.poll_listed() {
            assert!(last.as_ref() < Some(&listed.path), "out of order");
            last = Some(listed.path);
        }
    }));
}

/// Updates 0 and 1 of a feed wrap the last two chunks of a tape: somebody signed nonsense.
pub(super) fn feed(bytes: &[u8]) {
    let key = SecretKey::from_bytes(&[1; 32]).expect("a valid key");
    let topic = Topic([2; 32]);
    let mut tape = Tape::read(bytes);
    let Some(first) = tape.root().cloned() else {
        return;
    };
    for index in [0, 1] {
        if let Ok(update) = sign_root(&key, topic, Index::Sequence(index), &first) {
            tape.add(update);
        }
    }
    let feed = Feed {
        owner: key.address(),
        topic,
    };
    let mut find = Find::new(feed, FindConfig::default());
    drop(tape.feed(&mut find, &mut |_| ()));
    if let Some((update, _)) = find.into_result() {
        assert_eq!(update.index(), Index::Sequence(1));
        let _ = update.payload();
        let _ = update.timestamp();
        drop(update.into_roots());
    }
}

/// References and names of feeds as people write them.
pub(super) fn reference(bytes: &[u8]) {
    if let Some(reference) = Reference::from_bytes(bytes) {
        assert_eq!(reference.to_hex().parse(), Ok(reference));
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_hex(), text.to_lowercase());
    }
    if let Ok(feed) = text.parse::<Feed>() {
        assert_ne!(feed.owner, EthAddress([0xee; 20]), "a name nobody wrote");
    }
}
