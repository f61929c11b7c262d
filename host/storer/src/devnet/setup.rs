//! Makes the nodes of a network and fills their stores.
use super::{ChunkSource, DevnetConfig, DevnetError, plan};
use crate::identity::{Identity, KeyKind, Prefix};
use crate::node::{Limits, NodeConfig, NodeMemory, lock};
use crate::store::{ChunkStore, DiskStore, MemoryStore, StoreError, WhenFull};
use bmt::{VerifiedChunk, keccak256};
use chunkset::TarReader;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// Storers in one network at most.
const STORERS_MAX: usize = 1000;
/// Chunks one node may keep, in bytes.
const STORE_BYTES_MAX: u64 = 64 << 30;

pub(super) fn check(config: &DevnetConfig) -> Result<(), DevnetError> {
    if !(1..=STORERS_MAX).contains(&config.storers) {
        return Err(DevnetError::Config("storers must be 1 to 1000"));
    }
    if config.replication == 0 {
        return Err(DevnetError::Config("replication must be at least 1"));
    }
    if config.neighbours_per_bin == Some(0) {
        return Err(DevnetError::Config("neighbours_per_bin must be at least 1"));
    }
    if config.base_port != 0 && usize::from(config.base_port) + config.storers > 65535 {
        return Err(DevnetError::Config(
            "base_port is too high for so many nodes",
        ));
    }
    if config.faults.keys().any(|index| *index > config.storers) {
        return Err(DevnetError::Config(
            "a fault names a node that does not exist",
        ));
    }
    Ok(())
}

pub(super) fn node_configs(config: &DevnetConfig) -> Result<Vec<NodeConfig>, DevnetError> {
    let fellows = Arc::new(Mutex::new(BTreeSet::new()));
    let mut out = Vec::new();
    for index in 0..=config.storers {
        let seed = keccak256(
            &[
                &b"deboot devnet"[..],
                &config.seed.to_be_bytes(),
                &index.to_be_bytes(),
            ]
            .concat(),
        );
        let prefix = if index == 0 {
            Prefix::default()
        } else {
            plan::prefix(index - 1, config.storers)
        };
        let identity = Identity::derive(&seed, KeyKind::P256, config.network_id, prefix)?;
        lock(&fellows).insert(identity.overlay());
        let port = match config.base_port {
            0 => 0,
            base => base + index as u16,
        };
        out.push(NodeConfig {
            identity,
            generation: config.generation,
            profile: config.profile,
            listen: SocketAddr::new(config.listen_ip, port),
            announce_host: config.announce_host,
            store: store(config, index)?,
            contacts: Vec::new(),
            neighbours_per_bin: 0,
            fellows: fellows.clone(),
            cache_forwarded: config.cache_forwarded,
            faults: config.faults.get(&index).cloned().unwrap_or_default(),
            limits: Limits::default(),
            memory: Arc::new(NodeMemory::default()),
        });
    }
    Ok(out)
}

fn store(config: &DevnetConfig, index: usize) -> Result<Arc<dyn ChunkStore>, DevnetError> {
    Ok(match &config.data_dir {
        None => Arc::new(MemoryStore::new(STORE_BYTES_MAX)),
        Some(dir) => {
            let dir = dir.join(format!("node{index}"));
            let store = DiskStore::open(&dir, STORE_BYTES_MAX, WhenFull::Refuse);
            Arc::new(store.map_err(StoreError::from)?)
        }
    })
}

/// Puts every chunk on the storers closest to it.
pub(super) fn load(config: &DevnetConfig, nodes: &[NodeConfig]) -> Result<(), DevnetError> {
    let storers: Vec<_> = nodes[1..]
        .iter()
        .map(|node| (node.identity.overlay(), &node.store))
        .collect();
    let place = |chunk: &VerifiedChunk| -> Result<(), DevnetError> {
        for holder in plan::closest(&storers, &chunk.address(), config.replication) {
            holder.put(chunk.clone())?;
        }
        Ok(())
    };
    for source in &config.chunks {
        match source {
            ChunkSource::Chunks(chunks) => chunks.iter().try_for_each(place)?,
            ChunkSource::Tar(path) => {
                let file = File::open(path).map_err(|source| DevnetError::Open {
                    path: path.clone(),
                    source,
                })?;
                for entry in TarReader::new(io::BufReader::new(file)) {
                    let entry = entry.map_err(|source| DevnetError::Tar {
                        path: path.clone(),
                        source,
                    })?;
                    place(&entry.chunk)?;
                }
            }
        }
    }
    Ok(())
}
