//! `Noise_XX_25519_ChaChaPoly_SHA256` and the libp2p payload that binds it to peer identities.
//!
//! Spec: the Noise Protocol Framework (revision 34) and libp2p "noise-libp2p - Secure Channel Handshake".
//! Framing (two bytes of length) is the connection's job; here are whole messages, encrypted and decrypted in place.
use crate::connection::Role;
use crate::identity::{Keypair, PublicKey};
use crate::wire::{DecodeError, Fields, Writer};
use alloc::vec::Vec;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use core::fmt;
use core::ops::Range;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use x25519_dalek::x25519;

/// Bytes of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Longest Noise message.
// SPEC Noise 3 "Message format".
pub(crate) const MESSAGE_BYTES_MAX: usize = 65535;
/// Longest handshake message we read; bee's take about 300 bytes. Bounds what an unauthenticated peer makes us hold.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 4096;

/// The name is exactly one hash long, so it is the first `h`.
// SPEC Noise 5.2 "InitializeSymmetric".
const PROTOCOL_NAME: [u8; 32] = *b"Noise_XX_25519_ChaChaPoly_SHA256";
// SPEC noise-libp2p "Static Key Authentication".
const SIGNATURE_PREFIX: &[u8; 24] = b"noise-libp2p-static-key:";
const YAMUX: &[u8] = b"/yamux/1.0.0";

/// Why a handshake or a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message without room for its keys and tags.
    #[error("noise message is too short")]
    TooShort,
    /// A handshake message over the limit.
    #[error("noise handshake message is longer than 4096 bytes")]
    TooLong,
    /// The authentication tag does not fit: the bytes were changed, or the peer has other keys.
    #[error("noise message fails authentication")]
    Authentication,
    /// A public key of small order: the shared secret would be known to everyone.
    #[error("noise public key has small order")]
    SmallOrderKey,
    /// The payload is no NoiseHandshakePayload.
    #[error("noise payload is malformed: {0}")]
    Payload(DecodeError),
    /// The payload has no identity key or no signature.
    #[error("noise payload lacks the identity key or its signature")]
    PayloadIncomplete,
    /// The identity key is not Ed25519, secp256k1 or ECDSA P-256.
    #[error("peer's identity key is malformed or of an unsupported type")]
    IdentityKey,
    /// The signature over the static key is wrong.
    #[error("peer's identity signature over its noise key is wrong")]
    Signature,
    /// 2^64 - 1 messages were exchanged.
    #[error("noise nonces are used up")]
    NoncesUsedUp,
    /// A message came before its turn (a mistake of this crate).
    #[error("noise handshake is out of order")]
    OutOfOrder,
}

/// A node's X25519 key pair with the signed payload that goes into every handshake.
///
/// Making one costs a curve multiplication and a signature; one serves all connections of a node.
#[derive(Clone)]
pub struct StaticKey {
    secret: [u8; 32],
    public: [u8; 32],
    payload: Vec<u8>,
    /// The payload lists `/yamux/1.0.0`. Always, but for tests of peers that do not.
    early_yamux: bool,
}

impl StaticKey {
    /// Makes the key pair of `secret` (random bytes) and has `identity` sign it.
    pub fn new(identity: &Keypair, secret: [u8; 32]) -> Self {
        let public = public_key(&secret);
        let mut signed = [0; 56];
        let (prefix, key) = signed.split_at_mut(SIGNATURE_PREFIX.len());
        prefix.copy_from_slice(SIGNATURE_PREFIX);
        key.copy_from_slice(&public);
        let mut extensions = Vec::with_capacity(16);
        Writer::new(&mut extensions).bytes(2, YAMUX);
        let mut payload = Vec::with_capacity(160);
        let mut writer = Writer::new(&mut payload);
        writer.bytes(1, &identity.public().encode());
        writer.bytes(2, &identity.sign(&signed));
        writer.bytes(4, &extensions);
        Self {
            secret,
            public,
            payload,
            early_yamux: true,
        }
    }

    /// The same key pair with a payload that lists no muxers.
    #[cfg(test)]
    pub(crate) fn without_early_muxer(mut self) -> Self {
        let extension = [0x22, 14, 0x12, 12].len() + YAMUX.len();
        self.payload.truncate(self.payload.len() - extension);
        self.early_yamux = false;
        self
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKey").finish_non_exhaustive()
    }
}

/// What a peer proves about itself in its handshake payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerPayload {
    pub(crate) key: PublicKey,
    signature: Vec<u8>,
    /// The peer listed `/yamux/1.0.0` among its muxers.
    pub(crate) early_yamux: bool,
}

impl PeerPayload {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut key = None;
        let mut signature = None;
        let mut early_yamux = false;
        for field in Fields::new(bytes) {
            let field = field.map_err(Error::Payload)?;
            match field.number {
                1 => key = Some(field.bytes().map_err(Error::Payload)?),
                2 => signature = Some(field.bytes().map_err(Error::Payload)?),
                4 => {
                    for extension in Fields::new(field.bytes().map_err(Error::Payload)?) {
                        let extension = extension.map_err(Error::Payload)?;
                        if extension.number == 2 {
                            early_yamux |= extension.bytes().map_err(Error::Payload)? == YAMUX;
                        }
                    }
                }
                _ => {}
            }
        }
        let (Some(key), Some(signature)) = (key, signature) else {
            return Err(Error::PayloadIncomplete);
        };
        Ok(Self {
            key: PublicKey::decode(key).ok_or(Error::IdentityKey)?,
            signature: signature.to_vec(),
            early_yamux,
        })
    }

    /// Checks that the identity key signed the static key of the handshake.
    pub(crate) fn verify(&self, static_key: &[u8; 32]) -> Result<(), Error> {
        let mut signed = [0; 56];
        let (prefix, key) = signed.split_at_mut(SIGNATURE_PREFIX.len());
        prefix.copy_from_slice(SIGNATURE_PREFIX);
        key.copy_from_slice(static_key);
        if self.key.verify(&signed, &self.signature) {
            Ok(())
        } else {
            Err(Error::Signature)
        }
    }
}

fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    // The typed API multiplies the base point from its table, if there is one.
    let secret = x25519_dalek::StaticSecret::from(*secret);
    x25519_dalek::PublicKey::from(&secret).to_bytes()
}

/// One direction of encryption: a key and a counter that never comes back.
///
/// Its two operations are compiled here, once, however they are called: what measures them measures what connections do.
// SPEC Noise 5.1 "The CipherState object".
pub struct CipherState {
    cipher: ChaCha20Poly1305,
    nonce: u64,
}

impl CipherState {
    /// Starts with a key; the counter is zero.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            nonce: 0,
        }
    }

    // SPEC Noise 12.3: 32 zero bits, then the counter in little-endian. The last value is reserved (5.1).
    fn next_nonce(&mut self) -> Result<Nonce, Error> {
        let current = self.nonce;
        self.nonce = current.checked_add(1).ok_or(Error::NoncesUsedUp)?;
        let [a, b, c, d, e, f, g, h] = current.to_le_bytes();
        Ok([0, 0, 0, 0, a, b, c, d, e, f, g, h].into())
    }

    /// Encrypts `data` in place and returns its tag.
    ///
    /// # Errors
    /// 2^64 - 1 messages were encrypted, or `data` is longer than the cipher takes (256 GiB).
    #[inline(never)]
    pub fn seal(&mut self, ad: &[u8], data: &mut [u8]) -> Result<[u8; TAG_BYTES], Error> {
        let nonce = self.next_nonce()?;
        self.cipher
            .encrypt_inout_detached(&nonce, ad, data.into())
            .map(Into::into)
            .map_err(|_| Error::TooLong)
    }

    /// Decrypts ciphertext and tag in place; the plaintext is the returned number of bytes in front.
    ///
    /// # Errors
    /// The message is shorter than a tag, not authentic, or one too many. Its bytes are then worthless.
    #[inline(never)]
    pub fn open(&mut self, ad: &[u8], message: &mut [u8]) -> Result<usize, Error> {
        let length = message
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(Error::TooShort)?;
        let (data, tag) = message
            .split_at_mut_checked(length)
            .ok_or(Error::TooShort)?;
        let tag = Tag::try_from(&*tag).map_err(|_| Error::TooShort)?;
        let nonce = self.next_nonce()?;
        self.cipher
            .decrypt_inout_detached(&nonce, ad, data.into(), &tag)
            .map_err(|_| Error::Authentication)?;
        Ok(length)
    }
}

impl fmt::Debug for CipherState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CipherState").finish_non_exhaustive()
    }
}

/// Chaining key and transcript hash.
// SPEC Noise 5.2 "The SymmetricState object".
struct SymmetricState {
    hash: [u8; 32],
    chaining_key: [u8; 32],
    cipher: Option<CipherState>,
}

impl SymmetricState {
    fn new(prologue: &[u8]) -> Self {
        let mut state = Self {
            hash: PROTOCOL_NAME,
            chaining_key: PROTOCOL_NAME,
            cipher: None,
        };
        state.mix_hash(prologue);
        state
    }

    fn mix_hash(&mut self, data: &[u8]) {
        let mut hasher = Sha256::new_with_prefix(self.hash);
        hasher.update(data);
        self.hash = hasher.finalize().into();
    }

    // SPEC Noise 4.3 HKDF with two outputs.
    fn expand(&self, input: &[u8]) -> [[u8; 32]; 2] {
        let temporary = hmac(&self.chaining_key, &[input]);
        let first = hmac(&temporary, &[&[1]]);
        let second = hmac(&temporary, &[&first, &[2]]);
        [first, second]
    }

    fn mix_shared_secret(&mut self, secret: &[u8; 32], public: &[u8; 32]) -> Result<(), Error> {
        let shared = x25519(*secret, *public);
        // SPEC Noise 12.1 allows the check, libp2p's peers make it: a key of small order gives zero whatever our secret is.
        if shared == [0; 32] {
            return Err(Error::SmallOrderKey);
        }
        let [chaining_key, key] = self.expand(&shared);
        self.chaining_key = chaining_key;
        self.cipher = Some(CipherState::new(&key));
        Ok(())
    }

    fn encrypt_and_hash(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        if let Some(cipher) = &mut self.cipher {
            let data = out.get_mut(start..).unwrap_or(&mut []);
            let tag = cipher.seal(&self.hash, data)?;
            out.extend_from_slice(&tag);
        }
        self.mix_hash(out.get(start..).unwrap_or(&[]));
        Ok(())
    }

    /// Decrypts in place; the plaintext is the returned number of bytes in front.
    fn decrypt_and_hash(&mut self, data: &mut [u8]) -> Result<usize, Error> {
        let Some(cipher) = &mut self.cipher else {
            self.mix_hash(data);
            return Ok(data.len());
        };
        let hash = self.hash;
        let mut hasher = Sha256::new_with_prefix(hash);
        hasher.update(&*data);
        let length = cipher.open(&hash, data)?;
        self.hash = hasher.finalize().into();
        Ok(length)
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&pad_key(key).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A key of a whole hash block: HMAC pads with zeros anyway, and this type cannot be too long.
fn pad_key(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    if let Some((front, _)) = block.split_first_chunk_mut::<32>() {
        *front = *key;
    }
    block
}

/// Both directions after the handshake.
pub(crate) struct Transport {
    pub(crate) send: CipherState,
    pub(crate) receive: CipherState,
}

/// The three messages of pattern XX: `-> e`, `<- e, ee, s, es`, `-> s, se`.
pub(crate) struct Handshake {
    role: Role,
    symmetric: SymmetricState,
    static_secret: [u8; 32],
    static_public: [u8; 32],
    ephemeral_secret: [u8; 32],
    remote_ephemeral: [u8; 32],
    remote_static: [u8; 32],
    /// How many of the three messages were written or read.
    messages: u8,
}

impl Handshake {
    pub(crate) fn new(
        role: Role,
        static_key: &StaticKey,
        ephemeral: [u8; 32],
        prologue: &[u8],
    ) -> Self {
        Self {
            role,
            symmetric: SymmetricState::new(prologue),
            static_secret: static_key.secret,
            static_public: static_key.public,
            ephemeral_secret: ephemeral,
            remote_ephemeral: [0; 32],
            remote_static: [0; 32],
            messages: 0,
        }
    }

    /// Whether the next message is ours to write; `None` when there is none.
    pub(crate) const fn writes_next(&self) -> Option<bool> {
        match (self.messages, self.role) {
            (0 | 2, Role::Dialer) | (1, Role::Listener) => Some(true),
            (0 | 2, Role::Listener) | (1, Role::Dialer) => Some(false),
            _ => None,
        }
    }

    /// Appends the next message to `out`.
    pub(crate) fn write_message(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.writes_next() != Some(true) {
            return Err(Error::OutOfOrder);
        }
        if self.messages == 2 {
            let public = self.static_public;
            self.symmetric.encrypt_and_hash(&public, out)?;
            self.mix_static_ephemeral()?;
        } else {
            let public = public_key(&self.ephemeral_secret);
            out.extend_from_slice(&public);
            self.symmetric.mix_hash(&public);
            if self.messages == 1 {
                self.mix_ephemeral_ephemeral()?;
                let public = self.static_public;
                self.symmetric.encrypt_and_hash(&public, out)?;
                self.mix_ephemeral_static()?;
            }
        }
        self.messages = self.messages.saturating_add(1);
        self.symmetric.encrypt_and_hash(payload, out)
    }

    /// Reads the peer's next message, decrypting in place; the payload is at the returned range.
    pub(crate) fn read_message(&mut self, message: &mut [u8]) -> Result<Range<usize>, Error> {
        if self.writes_next() != Some(false) {
            return Err(Error::OutOfOrder);
        }
        let length = message.len();
        let mut rest = message;
        if self.messages == 2 {
            rest = self.read_static(rest)?;
            self.mix_static_ephemeral()?;
        } else {
            let (ephemeral, after) = rest.split_first_chunk_mut::<32>().ok_or(Error::TooShort)?;
            self.remote_ephemeral = *ephemeral;
            self.symmetric.mix_hash(ephemeral);
            rest = after;
            if self.messages == 1 {
                self.mix_ephemeral_ephemeral()?;
                rest = self.read_static(rest)?;
                self.mix_ephemeral_static()?;
            }
        }
        let start = length.saturating_sub(rest.len());
        let payload = self.symmetric.decrypt_and_hash(rest)?;
        self.messages = self.messages.saturating_add(1);
        Ok(start..start.saturating_add(payload))
    }

    fn read_static<'m>(&mut self, message: &'m mut [u8]) -> Result<&'m mut [u8], Error> {
        let (sealed, rest) = message
            .split_first_chunk_mut::<48>()
            .ok_or(Error::TooShort)?;
        self.symmetric.decrypt_and_hash(sealed)?;
        self.remote_static = *sealed.first_chunk::<32>().ok_or(Error::TooShort)?;
        Ok(rest)
    }

    /// Token `ee`.
    fn mix_ephemeral_ephemeral(&mut self) -> Result<(), Error> {
        self.symmetric
            .mix_shared_secret(&self.ephemeral_secret, &self.remote_ephemeral)
    }

    /// Token `es`: the dialer's ephemeral key and the listener's static key.
    fn mix_ephemeral_static(&mut self) -> Result<(), Error> {
        match self.role {
            Role::Dialer => self
                .symmetric
                .mix_shared_secret(&self.ephemeral_secret, &self.remote_static),
            Role::Listener => self
                .symmetric
                .mix_shared_secret(&self.static_secret, &self.remote_ephemeral),
        }
    }

    /// Token `se`: the dialer's static key and the listener's ephemeral key.
    fn mix_static_ephemeral(&mut self) -> Result<(), Error> {
        match self.role {
            Role::Dialer => self
                .symmetric
                .mix_shared_secret(&self.static_secret, &self.remote_ephemeral),
            Role::Listener => self
                .symmetric
                .mix_shared_secret(&self.ephemeral_secret, &self.remote_static),
        }
    }

    /// The peer's static key, known after its message with `s`.
    pub(crate) const fn remote_static(&self) -> &[u8; 32] {
        &self.remote_static
    }

    /// Derives the transport keys after the third message.
    pub(crate) fn split(&self) -> Result<Transport, Error> {
        if self.messages != 3 {
            return Err(Error::OutOfOrder);
        }
        let [first, second] = self.symmetric.expand(&[]);
        let (send, receive) = match self.role {
            Role::Dialer => (first, second),
            Role::Listener => (second, first),
        };
        Ok(Transport {
            send: CipherState::new(&send),
            receive: CipherState::new(&receive),
        })
    }
}

/// A handshake with libp2p's payloads in it.
pub(crate) struct SecureHandshake {
    noise: Handshake,
    payload: Vec<u8>,
    early_yamux: bool,
    peer: Option<PeerPayload>,
}

impl SecureHandshake {
    pub(crate) fn new(role: Role, static_key: &StaticKey, ephemeral: [u8; 32]) -> Self {
        Self {
            // SPEC noise-libp2p "The Noise Handshake": the prologue is empty.
            noise: Handshake::new(role, static_key, ephemeral, &[]),
            payload: static_key.payload.clone(),
            early_yamux: static_key.early_yamux,
            peer: None,
        }
    }

    pub(crate) const fn writes_next(&self) -> Option<bool> {
        self.noise.writes_next()
    }

    /// Appends the next message; our identity goes with the static key, and only there.
    pub(crate) fn write_message(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        // SPEC noise-libp2p "Libp2p Data in Handshake Messages": the first message has an empty payload.
        let payload = if self.noise.messages == 0 {
            &[][..]
        } else {
            &self.payload
        };
        self.noise.write_message(payload, out)
    }

    /// Reads the peer's next message; the payload that came with its static key is not yet verified.
    pub(crate) fn read_message(&mut self, message: &mut [u8]) -> Result<(), Error> {
        let range = self.noise.read_message(message)?;
        if self.noise.messages >= 2 {
            self.peer = Some(PeerPayload::decode(message.get(range).unwrap_or(&[]))?);
        }
        Ok(())
    }

    /// The peer's claims, once its payload was read.
    pub(crate) const fn peer(&self) -> Option<&PeerPayload> {
        self.peer.as_ref()
    }

    /// Both sides listed `/yamux/1.0.0`, so its negotiation is skipped.
    pub(crate) fn early_yamux(&self) -> bool {
        self.early_yamux && self.peer.as_ref().is_some_and(|peer| peer.early_yamux)
    }

    /// Checks the peer's signature.
    pub(crate) fn verify_peer(&self) -> Result<(), Error> {
        self.peer
            .as_ref()
            .ok_or(Error::OutOfOrder)?
            .verify(self.noise.remote_static())
    }

    pub(crate) fn split(&self) -> Result<Transport, Error> {
        self.noise.split()
    }
}

#[cfg(test)]
mod tests;
