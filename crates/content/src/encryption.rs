//! Encryption of chunks: a key stream of Keccak-256 hashes, XORed over span and payload.
//!
//! SPEC bee pkg/encryption: segment i of 32 bytes is XORed with keccak256(keccak256(key ‖ u32 LE (i + start))), start being 0 for the
//! payload and 128 for the span.
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, SPAN_BYTES, keccak256};

/// Bytes of a key, and of a segment of the key stream.
pub(crate) const KEY_BYTES: usize = 32;
/// Counter of the span's segment: the payload has the ones before.
const SPAN_COUNTER: u32 = 128;

/// Key of one encrypted chunk.
pub(crate) type Key = [u8; KEY_BYTES];

/// Encrypts or decrypts a span.
pub(crate) fn apply_to_span(key: &Key, span: &mut [u8; SPAN_BYTES]) {
    xor(span, &segment(key, SPAN_COUNTER));
}

/// Encrypts or decrypts a payload, or the beginning of one.
pub(crate) fn apply_to_payload(key: &Key, payload: &mut [u8]) {
    debug_assert!(payload.len() <= CHUNK_PAYLOAD_BYTES_MAX);
    for (counter, part) in (0..SPAN_COUNTER).zip(payload.chunks_mut(KEY_BYTES)) {
        xor(part, &segment(key, counter));
    }
}

/// Encrypts `data` = span ‖ payload in place, padding the payload to its full 4096 bytes.
///
/// The padding is zeros below the key stream: to who has no key that looks as random as everything else.
pub(crate) fn encrypt(key: &Key, data: &mut alloc::vec::Vec<u8>) {
    data.resize(SPAN_BYTES.saturating_add(CHUNK_PAYLOAD_BYTES_MAX), 0);
    if let Some((span, payload)) = data.split_first_chunk_mut() {
        apply_to_span(key, span);
        apply_to_payload(key, payload);
    }
}

fn segment(key: &Key, counter: u32) -> [u8; KEY_BYTES] {
    let mut block = [0; KEY_BYTES + 4];
    for (to, from) in block
        .iter_mut()
        .zip(key.iter().chain(&counter.to_le_bytes()))
    {
        *to = *from;
    }
    keccak256(&keccak256(&block))
}

fn xor(part: &mut [u8], stream: &[u8; KEY_BYTES]) {
    for (byte, mask) in part.iter_mut().zip(stream) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    const KEY: Key = [
        0x8a, 0xbf, 0x15, 0x02, 0xf5, 0x57, 0xf1, 0x50, 0x26, 0x71, 0x60, 0x30, 0xfb, 0x63, 0x84,
        0x79, 0x25, 0x83, 0xda, 0xf3, 0x96, 0x08, 0xa3, 0xcd, 0x02, 0xff, 0x2f, 0x47, 0xe9, 0xbc,
        0x6e, 0x49,
    ];

    #[test]
    fn the_key_stream_is_that_of_bee() {
        let mut payload = vec![0; 64];
        apply_to_payload(&KEY, &mut payload);
        assert_eq!(
            payload[..32],
            [
                0x35, 0x21, 0x87, 0xaf, 0x3a, 0x84, 0x3d, 0xec, 0xc6, 0x3c, 0xec, 0xa6, 0xcb, 0x01,
                0xea, 0x39, 0xdb, 0xcf, 0x77, 0xca, 0xf0, 0xa8, 0xf7, 0x05, 0xf5, 0xc3, 0x0d, 0x55,
                0x70, 0x44, 0xce, 0xec
            ]
        );
        let mut span = [0; 8];
        apply_to_span(&KEY, &mut span);
        assert_eq!(span, [0x2d, 0x14, 0x1c, 0xfc, 0x46, 0xfa, 0x80, 0x94]);
    }

    #[test]
    fn encryption_pads_and_is_its_own_inverse() {
        let plain = [&5u64.to_le_bytes()[..], b"hello"].concat();
        let mut data = plain.clone();
        encrypt(&KEY, &mut data);
        assert_eq!(data.len(), 4104);
        assert_ne!(data[..13], plain);
        // No run of zeros betrays where the plain text ended.
        assert!(data[13..].windows(8).all(|window| window != [0; 8]));
        encrypt(&KEY, &mut data);
        assert_eq!(data[..13], plain);
        assert!(data[13..].iter().all(|byte| *byte == 0));
    }
}
