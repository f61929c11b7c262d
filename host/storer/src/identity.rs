//! The two keys of a node: its libp2p identity and its Swarm key.
use bmt::{Overlay, SecretKey, keccak256};
use libp2p::identity::{Keypair, ecdsa};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Kind of libp2p identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256, as every bee.
    #[default]
    P256,
    /// Ed25519.
    Ed25519,
    /// secp256k1.
    Secp256k1,
}

/// Why an identity cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key file cannot be read or written.
    #[error("key file: {0}")]
    Io(#[from] io::Error),
    /// The file does not hold what was written there.
    #[error("key file is damaged: remove it to get a new identity")]
    Damaged,
    /// No nonce gives the wanted prefix within the limit.
    #[error("no overlay with {bits} wanted leading bits found: ask for 24 at most")]
    Prefix {
        /// Bits asked for.
        bits: u32,
    },
}

/// Keys and overlay of one node.
#[derive(Clone)]
pub struct Identity {
    pub(crate) libp2p: Keypair,
    pub(crate) swarm: SecretKey,
    pub(crate) nonce: [u8; 32],
    pub(crate) network_id: u64,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.libp2p.public().to_peer_id())
    }
}

/// Leading bits an overlay should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// The bits, left-aligned: the first bit of the overlay is bit 31.
    pub value: u32,
    /// How many of them count (0 to 24).
    pub bits: u32,
}

impl Prefix {
    fn matches(self, overlay: &Overlay) -> bool {
        let head = u32::from_be_bytes([overlay.0[0], overlay.0[1], overlay.0[2], overlay.0[3]]);
        self.bits == 0 || (head ^ self.value) >> (32 - self.bits.min(32)) == 0
    }
}

impl Identity {
    /// Derives an identity from 32 secret bytes; equal seeds give equal identities. The nonce is searched for until the overlay
    /// has the wanted prefix.
    ///
    /// # Errors
    /// A prefix of more than 24 bits.
    pub fn derive(
        seed: &[u8; 32],
        kind: KeyKind,
        network_id: u64,
        prefix: Prefix,
    ) -> Result<Self, IdentityError> {
        let swarm = scalar(seed, b"swarm", |bytes| SecretKey::from_bytes(bytes).ok());
        let libp2p = match kind {
            KeyKind::P256 => scalar(seed, b"libp2p", |bytes| {
                let secret = ecdsa::SecretKey::try_from_bytes(bytes).ok()?;
                Some(Keypair::from(ecdsa::Keypair::from(secret)))
            }),
            KeyKind::Ed25519 => scalar(seed, b"libp2p", |bytes| {
                Keypair::ed25519_from_bytes(*bytes).ok()
            }),
            KeyKind::Secp256k1 => scalar(seed, b"libp2p", |bytes| {
                let secret = libp2p::identity::secp256k1::SecretKey::try_from_bytes(*bytes).ok()?;
                Some(Keypair::from(libp2p::identity::secp256k1::Keypair::from(
                    secret,
                )))
            }),
        };
        let nonce = mine(&swarm, network_id, prefix)?;
        Ok(Self {
            libp2p,
            swarm,
            nonce,
            network_id,
        })
    }

    /// Reads the identity kept in `directory`, or makes one from `seed` and keeps it there.
    ///
    /// # Errors
    /// Files that cannot be read or written or are damaged; a prefix of more than 24 bits.
    pub fn load_or_derive(
        directory: &Path,
        seed: &[u8; 32],
        kind: KeyKind,
        network_id: u64,
        prefix: Prefix,
    ) -> Result<Self, IdentityError> {
        let path = directory.join("identity");
        match fs::read(&path) {
            Ok(bytes) => Self::from_file(&bytes, network_id),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let identity = Self::derive(seed, kind, network_id, prefix)?;
                fs::create_dir_all(directory)?;
                let kind_byte = match kind {
                    KeyKind::P256 => 0u8,
                    KeyKind::Ed25519 => 1,
                    KeyKind::Secp256k1 => 2,
                };
                let mut body = vec![FILE_VERSION, kind_byte];
                body.extend_from_slice(seed);
                body.extend_from_slice(&identity.nonce);
                body.extend_from_slice(&keccak256(&body));
                write_private(&path, &body)?;
                Ok(identity)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn from_file(bytes: &[u8], network_id: u64) -> Result<Self, IdentityError> {
        let (body, check) = bytes.split_at_checked(66).ok_or(IdentityError::Damaged)?;
        if check != keccak256(body) || body[0] != FILE_VERSION {
            return Err(IdentityError::Damaged);
        }
        let kind = match body[1] {
            0 => KeyKind::P256,
            1 => KeyKind::Ed25519,
            2 => KeyKind::Secp256k1,
            _ => return Err(IdentityError::Damaged),
        };
        let seed = body[2..34].try_into().map_err(|_| IdentityError::Damaged)?;
        let nonce = body[34..66]
            .try_into()
            .map_err(|_| IdentityError::Damaged)?;
        let mut identity = Self::derive(seed, kind, network_id, Prefix::default())?;
        identity.nonce = nonce;
        Ok(identity)
    }

    /// The overlay address.
    pub fn overlay(&self) -> Overlay {
        self.swarm.address().overlay(self.network_id, &self.nonce)
    }

    /// The libp2p peer id, as text.
    pub fn peer_id(&self) -> String {
        self.libp2p.public().to_peer_id().to_string()
    }
}

const FILE_VERSION: u8 = 1;

/// Hashes the seed with a label, and again until `take` accepts the bytes (about once in 2^32 it does not).
fn scalar<T>(seed: &[u8; 32], label: &[u8], take: impl Fn(&[u8; 32]) -> Option<T>) -> T {
    let mut bytes = keccak256(&[label, &seed[..]].concat());
    loop {
        if let Some(taken) = take(&bytes) {
            return taken;
        }
        bytes = keccak256(&bytes);
    }
}

fn mine(key: &SecretKey, network_id: u64, prefix: Prefix) -> Result<[u8; 32], IdentityError> {
    let address = key.address();
    let mut nonce = [0; 32];
    // 2^28 tries miss a 24-bit prefix with a probability of e^-16.
    for n in 0u64..1 << 28 {
        if prefix.bits > 24 {
            break;
        }
        nonce[24..].copy_from_slice(&n.to_be_bytes());
        if prefix.matches(&address.overlay(network_id, &nonce)) {
            return Ok(nonce);
        }
    }
    Err(IdentityError::Prefix { bits: prefix.bits })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_identities_of_every_kind() {
        for (kind, id_start) in [
            (KeyKind::P256, "Qm"),
            (KeyKind::Ed25519, "12D3Koo"),
            (KeyKind::Secp256k1, "16Uiu2"),
        ] {
            let make = || Identity::derive(&[7; 32], kind, 10, Prefix::default()).unwrap();
            assert_eq!(make().peer_id(), make().peer_id());
            assert_eq!(make().overlay(), make().overlay());
            assert!(
                make().peer_id().starts_with(id_start),
                "{}",
                make().peer_id()
            );
        }
        let other = Identity::derive(&[8; 32], KeyKind::P256, 10, Prefix::default()).unwrap();
        let one = Identity::derive(&[7; 32], KeyKind::P256, 10, Prefix::default()).unwrap();
        assert_ne!(one.overlay(), other.overlay());
    }

    #[test]
    fn the_overlay_gets_the_wanted_prefix() {
        let prefix = Prefix {
            value: 0xabc0_0000,
            bits: 12,
        };
        let identity = Identity::derive(&[1; 32], KeyKind::Ed25519, 10, prefix).unwrap();
        assert_eq!(identity.overlay().0[0], 0xab);
        assert_eq!(identity.overlay().0[1] >> 4, 0xc);
        let too_long = Prefix { value: 0, bits: 25 };
        assert!(Identity::derive(&[1; 32], KeyKind::Ed25519, 10, too_long).is_err());
    }

    #[test]
    fn an_identity_is_kept_in_its_directory_and_damage_is_noticed() {
        let dir = crate::testing::TempDir::new("identity");
        let load = |seed| {
            Identity::load_or_derive(
                dir.path(),
                &[seed; 32],
                KeyKind::P256,
                10,
                Prefix::default(),
            )
        };
        let first = load(1).unwrap();
        let second = load(2).unwrap();
        assert_eq!(first.peer_id(), second.peer_id());
        assert_eq!(first.overlay(), second.overlay());
        let path = dir.path().join("identity");
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(load(1), Err(IdentityError::Damaged)));
    }
}
