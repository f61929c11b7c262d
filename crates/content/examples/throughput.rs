//! Measures one thing at a time, in a process of its own: `throughput hash|split|join|recover [MIB]` or
//! `throughput directory TREE [FILES]` prints a line of JSON.
//!
//! The first four go over the same bytes. `hash` hashes leaves and does nothing else; `recover` joins a file of redundancy level 1 of
//! which one chunk in every group is lost. `directory` builds a directory of as many files as asked for, with the paths that files have
//! below TREE (the first in the order of bytes), and looks every one of them up.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "measures with the real clock"
)]
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, ChunkAddress, ChunkConsumer, VerifiedChunk, content_address};
use content::mantaray::{Builder, Lookup};
use content::{Join, JoinConfig, RedundancyLevel, Reference, Splitter};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

const LEAF_BYTES: usize = CHUNK_PAYLOAD_BYTES_MAX;
/// Chunks in flight.
const WINDOW: usize = 256;
/// Of this many data chunks in a group (level 1: up to 119) one is lost.
const GROUP: usize = 119;
const LOST: usize = 7;
/// Chunks that a look-up may read for each component of its path.
const READS_MAX: f64 = 4.0;
const VERBS: &str = "hash, split, join, recover or directory?";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or(VERBS)?;
    if what == "directory" {
        let tree = arguments.next().ok_or("of which tree?")?;
        let files = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
        return directory(Path::new(&tree), files);
    }
    let mib: usize = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let file = File::new(mib << 20);
    let time = match what.as_str() {
        "hash" => hash(&file),
        "split" => split(&file),
        "join" => Source::new(&file, RedundancyLevel::None).join()?,
        "recover" => Source::new(&file, RedundancyLevel::Medium).join()?,
        _ => return Err(VERBS.into()),
    };
    let rate = file.leaves as f64 * LEAF_BYTES as f64 / f64::from(1 << 20) / time.as_secs_f64();
    let peak = peak_kib().unwrap_or(0);
    println!("{{\"what\":\"{what}\",\"mib\":{mib},\"mib_s\":{rate:.1},\"peak_rss_kib\":{peak}}}");
    Ok(())
}

/// A file that exists only leaf by leaf: the same noise, with a number that looks random in front (with plain numbers, parities of some
/// leaves would be other leaves).
struct File {
    noise: Vec<u8>,
    leaves: usize,
}

impl File {
    fn new(bytes: usize) -> Self {
        let mut x = 1u64;
        let words = (0..LEAF_BYTES / 8).flat_map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_le_bytes()
        });
        Self {
            noise: words.collect(),
            leaves: bytes / LEAF_BYTES,
        }
    }

    fn leaf(&self, index: usize, leaf: &mut Vec<u8>) {
        // SplitMix64.
        let mut z = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        leaf.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        leaf.extend_from_slice(self.noise.get(8..).unwrap_or(&[]));
    }
}

fn hash(file: &File) -> Duration {
    let span = (LEAF_BYTES as u64).to_le_bytes();
    let mut leaf = Vec::new();
    let start = Instant::now();
    for index in 0..file.leaves {
        leaf.clear();
        file.leaf(index, &mut leaf);
        black_box(content_address(&span, black_box(&leaf)));
    }
    start.elapsed()
}

fn split(file: &File) -> Duration {
    let mut leaf = Vec::new();
    let mut splitter = Splitter::new();
    let mut sink = |chunk: VerifiedChunk| drop(black_box(chunk));
    let start = Instant::now();
    for index in 0..file.leaves {
        leaf.clear();
        file.leaf(index, &mut leaf);
        splitter.update(&leaf, &mut sink);
    }
    black_box(splitter.finish(&mut sink));
    start.elapsed()
}

/// A network that makes leaves when they are asked for, and has kept everything else.
struct Source<'a> {
    file: &'a File,
    root: Reference,
    leaves: Vec<ChunkAddress>,
    others: BTreeMap<ChunkAddress, Vec<u8>>,
    lossy: bool,
    /// The leaf that will be asked for next, in all likelihood: there is nothing to search for.
    next: usize,
}

impl<'a> Source<'a> {
    fn new(file: &'a File, level: RedundancyLevel) -> Self {
        let mut splitter = Splitter::new().with_level(level);
        let mut others = BTreeMap::new();
        let mut leaves = Vec::with_capacity(file.leaves);
        let mut leaf = Vec::new();
        for index in 0..file.leaves {
            leaf.clear();
            file.leaf(index, &mut leaf);
            let mut made = Vec::new();
            splitter.update(&leaf, &mut |chunk| made.push(chunk));
            let mut made = made.into_iter();
            leaves.extend(made.next().map(|leaf| leaf.address()));
            keep(made, level, &mut others);
        }
        let mut made = Vec::new();
        let root = splitter.finish(&mut |chunk| made.push(chunk));
        keep(made.into_iter(), level, &mut others);
        Self {
            file,
            root,
            leaves,
            others,
            lossy: level != RedundancyLevel::None,
            next: 0,
        }
    }

    fn get(&mut self, address: ChunkAddress) -> Option<VerifiedChunk> {
        if let Some(data) = self.others.get(&address) {
            return VerifiedChunk::verify(address, data.clone()).ok();
        }
        // Lost ones are asked for and are not there; nothing else is skipped.
        let index = self.next;
        self.next = index.saturating_add(1);
        if self.leaves.get(index) != Some(&address) || (self.lossy && index % GROUP == LOST) {
            return None;
        }
        let mut data = Vec::with_capacity(8 + LEAF_BYTES);
        data.extend_from_slice(&(LEAF_BYTES as u64).to_le_bytes());
        self.file.leaf(index, &mut data);
        VerifiedChunk::verify(address, data).ok()
    }

    fn join(mut self) -> Result<Duration, Box<dyn Error>> {
        let config = JoinConfig {
            size_max: u64::MAX,
            in_flight_max: WINDOW,
            ordered: true,
        };
        let mut join = Join::new(self.root, config);
        let mut waiting = VecDeque::new();
        let mut bytes = 0u64;
        let start = Instant::now();
        while !join.is_done() {
            while let Some(address) = join.poll_want() {
                waiting.push_back(address);
            }
            let address = waiting.pop_front().ok_or("nothing is wanted")?;
            match self.get(address) {
                Some(chunk) => join.handle_chunk(chunk)?,
                None => join.handle_unavailable(address)?,
            }
            while let Some(piece) = join.poll_piece() {
                bytes += black_box(piece.bytes()).len() as u64;
            }
        }
        let time = start.elapsed();
        let lost = self.leaves.len().saturating_sub(LOST).div_ceil(GROUP) as u64;
        let expected = if self.lossy { lost } else { 0 };
        if bytes != (self.leaves.len() * LEAF_BYTES) as u64 || join.recovered_chunks() != expected {
            return Err(format!("{bytes} bytes, {} recovered", join.recovered_chunks()).into());
        }
        Ok(time)
    }
}

/// Keeps intermediate chunks and, of each group, the first parity.
fn keep(
    made: impl Iterator<Item = VerifiedChunk>,
    level: RedundancyLevel,
    others: &mut BTreeMap<ChunkAddress, Vec<u8>>,
) {
    let mut parity_kept = level == RedundancyLevel::None;
    for chunk in made {
        let [.., top] = chunk.span_bytes();
        let parent = chunk.payload().len() <= LEAF_BYTES
            && (level == RedundancyLevel::None || top == level.number() | 0x80);
        if parent || !parity_kept {
            parity_kept = !parent;
            others.insert(chunk.address(), chunk.into_data());
        }
    }
}

/// Builds a directory with the paths of a tree, and counts the chunks that each look-up reads.
fn directory(tree: &Path, files: usize) -> Result<(), Box<dyn Error>> {
    let mut paths = Vec::new();
    list(tree, tree, &mut paths)?;
    paths.sort();
    paths.truncate(files);
    if paths.len() < files {
        return Err(format!("{} has only {} files", tree.display(), paths.len()).into());
    }
    let mut nodes = BTreeMap::new();
    let start = Instant::now();
    let mut builder = Builder::new();
    for path in &paths {
        // One chunk of content each; as long as a path is.
        let file = content::split(path.as_bytes(), &mut |chunk| drop(black_box(chunk)));
        let name = path.rsplit('/').next().unwrap_or(path);
        let metadata = [
            ("Content-Type", "application/octet-stream"),
            ("Filename", name),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        builder.add(path, file, metadata.into());
    }
    let root = builder.finish(&mut |chunk| {
        nodes.insert(chunk.address(), chunk);
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let mut reads = Vec::with_capacity(files);
    for path in &paths {
        let components = path.split('/').count() as f64;
        reads.push(look_up(root, path, &nodes)? as f64 / components);
    }
    let mean = reads.iter().sum::<f64>() / files as f64;
    let most = reads.iter().copied().fold(0.0, f64::max);
    let over = reads.iter().filter(|reads| **reads > READS_MAX).count();
    let (chunks, peak) = (nodes.len(), peak_kib().unwrap_or(0));
    println!(
        "{{\"what\":\"directory\",\"files\":{files},\"seconds\":{seconds:.3},\"chunks\":{chunks},\"reads_mean\":{mean:.2},\
         \"reads_max\":{most:.2},\"paths_over_{READS_MAX}\":{over},\"peak_rss_kib\":{peak}}}"
    );
    Ok(())
}

/// Lists what is below a directory and is none itself, relative to `tree`; names that are no UTF-8 are left out.
fn list(tree: &Path, directory: &Path, paths: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        // Links are not followed.
        if entry.file_type()?.is_dir() {
            list(tree, &path, paths)?;
        } else if let Some(path) = path.strip_prefix(tree)?.to_str() {
            paths.push(path.to_owned());
        }
    }
    Ok(())
}

/// Looks a path up in a look-up of its own; returns the chunks read.
fn look_up(
    root: Reference,
    path: &str,
    nodes: &BTreeMap<ChunkAddress, VerifiedChunk>,
) -> Result<usize, Box<dyn Error>> {
    let mut lookup = Lookup::new(root, path);
    let mut reads = 0;
    while !lookup.is_done() {
        let address = lookup.poll_want().ok_or("nothing is wanted")?;
        let chunk = nodes.get(&address).ok_or("a node that was not built")?;
        lookup.handle_chunk(chunk.clone())?;
        reads += 1;
    }
    match lookup.entry() {
        Some(entry) if entry.reference.is_some() => Ok(reads),
        _ => Err(format!("{path} was added and is not found").into()),
    }
}

/// Peak memory of this process (Linux).
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
