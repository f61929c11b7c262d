//! The binary Merkle tree over one chunk.
use crate::keccak::{Lanes, from_bytes, keccak_pair, keccak_span, to_bytes};
use crate::{CHUNK_PAYLOAD_BYTES_MAX, ChunkAddress};

/// Bytes of one segment, the leaf of the tree.
pub(crate) const SEGMENT_BYTES: usize = 32;
/// Levels above the segments: 2^7 segments of 32 bytes.
pub(crate) const LEVELS: usize = 7;

/// Roots of all-zero subtrees: entry n covers 2^n segments. Padding is never hashed, it is looked up here.
pub(crate) const ZERO_SUBTREES: [Lanes; LEVELS + 1] = [
    [0; 4],
    [
        0xcdd3_f776_b628_32ad,
        0x96f1_173f_44a5_8442,
        0xb240_0ab3_91e4_362b,
        0xb55f_ba97_e549_5840,
    ],
    [
        0x8f6f_7c95_5119_c1b4,
        0x46b2_d61c_f64a_2c64,
        0xee07_c67f_dcc6_fe40,
        0x300d_4192_9ea9_0682,
    ],
    [
        0x3f5c_8156_a3b9_dd21,
        0x31df_c5de_b626_10ac,
        0xa59b_5c48_dbba_af24,
        0x85ba_b704_8a39_e3a3,
    ],
    [
        0xf1ea_1b2a_b369_87e5,
        0x0d5a_0944_5a37_27ea,
        0xe758_d32d_ce64_b61f,
        0x4493_a126_8cb7_bffc,
    ],
    [
        0x5027_edc9_bf1e_b00e,
        0x1f2d_2779_c9df_d40c,
        0x7e0d_5466_9fcc_1309,
        0x2dcf_e109_1181_0580,
    ],
    [
        0x40d3_5087_bd22_7c88,
        0x2d10_ffb5_663c_ac16,
        0x10e7_14b0_f673_ddac,
        0x6819_9aaf_2280_1eb5,
    ],
    [
        0xfc63_80e4_5701_d7ff,
        0x0264_7f0f_057a_c933,
        0x2495_8dc9_6c64_bf33,
        0x836f_b53a_cf2b_b9c6,
    ],
];

/// Returns the BMT root of `payload` (at most 4096 bytes; longer input is cut, debug builds panic).
pub fn bmt_root(payload: &[u8]) -> [u8; 32] {
    to_bytes(&root(payload))
}

/// Returns the content address keccak256(span ‖ BMT root).
pub fn content_address(span: &[u8; 8], payload: &[u8]) -> ChunkAddress {
    ChunkAddress(to_bytes(&keccak_span(
        u64::from_le_bytes(*span),
        &root(payload),
    )))
}

fn root(payload: &[u8]) -> Lanes {
    debug_assert!(payload.len() <= CHUNK_PAYLOAD_BYTES_MAX);
    let payload = payload.get(..CHUNK_PAYLOAD_BYTES_MAX).unwrap_or(payload);
    let payload = without_zero_tail(payload);
    #[cfg(all(
        target_arch = "x86_64",
        not(any(target_os = "none", target_os = "uefi"))
    ))]
    if let Some(root) = crate::wide::root(payload) {
        return root;
    }
    scalar_root(payload)
}

/// The root without vector units.
pub(crate) fn scalar_root(payload: &[u8]) -> Lanes {
    subtree(payload, &ZERO_SUBTREES)
}

/// Cuts whole zero words off the end: they hash like absent bytes. One comparison for ordinary payloads.
fn without_zero_tail(payload: &[u8]) -> &[u8] {
    let mut rest = payload;
    while let Some((front, [0, 0, 0, 0, 0, 0, 0, 0])) = rest.split_last_chunk::<8>() {
        rest = front;
    }
    rest
}

/// Root of the subtree whose size is given by the length of `zeros`: the roots of the all-zero subtrees up to this one.
fn subtree(payload: &[u8], zeros: &[Lanes]) -> Lanes {
    let Some((zero, below)) = zeros.split_last() else {
        return [0; 4];
    };
    if payload.is_empty() {
        return *zero;
    }
    if below.len() <= 1 {
        return keccak_of_block(payload);
    }
    // The left half covers 2^(n-1) segments; `below` has one entry for each level 0 to n-1.
    let half = SEGMENT_BYTES << below.len().saturating_sub(1);
    match payload.split_at_checked(half) {
        Some((left, right)) => keccak_pair(&subtree(left, below), &subtree(right, below)),
        None => keccak_pair(&subtree(payload, below), below.last().unwrap_or(zero)),
    }
}

/// Hashes two segments, the second or both possibly cut short.
#[inline]
fn keccak_of_block(payload: &[u8]) -> Lanes {
    if let Some((left, right)) = payload.split_first_chunk::<SEGMENT_BYTES>()
        && let Some((right, [])) = right.split_first_chunk::<SEGMENT_BYTES>()
    {
        return keccak_pair(&from_bytes(left), &from_bytes(right));
    }
    let [left, right] = padded_block(payload);
    keccak_pair(&left, &right)
}

/// Two segments, the second or both cut short.
pub(crate) fn padded_block(payload: &[u8]) -> [Lanes; 2] {
    let mut padded = [0u8; 2 * SEGMENT_BYTES];
    for (to, from) in padded.iter_mut().zip(payload) {
        *to = *from;
    }
    let (left, right) = padded.split_at(SEGMENT_BYTES);
    let lanes = |half: &[u8]| half.first_chunk().map_or([0; 4], from_bytes);
    [lanes(left), lanes(right)]
}

#[cfg(test)]
mod tests;
