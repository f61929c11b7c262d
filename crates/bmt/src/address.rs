//! Addresses in Swarm's 256-bit space.
use core::fmt;

/// Address of a chunk: BMT hash (content-addressed) or keccak256(id ‖ owner) (single-owner). Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkAddress(pub [u8; 32]);

/// Overlay address of a node: keccak256(eth address ‖ network id u64 LE ‖ nonce). Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlay(pub [u8; 32]);

/// Largest proximity order: bee counts equal bits in the first four bytes only.
pub const PROXIMITY_MAX: u8 = 31;

impl ChunkAddress {
    /// Returns the proximity order to a node.
    pub fn proximity(&self, overlay: &Overlay) -> u8 {
        proximity(&self.0, &overlay.0)
    }
}

/// Returns the proximity order: the number of equal leading bits, at most 31.
pub fn proximity(a: &[u8; 32], b: &[u8; 32]) -> u8 {
    let [a0, a1, a2, a3, ..] = *a;
    let [b0, b1, b2, b3, ..] = *b;
    let difference = u32::from_be_bytes([a0, a1, a2, a3]) ^ u32::from_be_bytes([b0, b1, b2, b3]);
    u8::try_from(difference.leading_zeros()).map_or(PROXIMITY_MAX, |order| order.min(PROXIMITY_MAX))
}

/// Writes bytes as lower-case hexadecimal.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for ChunkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for ChunkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proximity_counts_equal_leading_bits_up_to_31() {
        let zero = [0u8; 32];
        for bit in 0..256usize {
            let mut other = zero;
            other[bit / 8] = 0x80 >> (bit % 8);
            let expected = bit.min(31) as u8;
            assert_eq!(
                proximity(&zero, &other),
                expected,
                "first different bit {bit}"
            );
            assert_eq!(proximity(&other, &zero), expected);
        }
        assert_eq!(proximity(&zero, &zero), 31);
    }

    #[test]
    fn addresses_print_as_hexadecimal() {
        let mut bytes = [0u8; 32];
        bytes[0] = 0xab;
        bytes[31] = 0x01;
        let expected = std::format!("ab{}01", "0".repeat(60));
        assert_eq!(std::format!("{}", ChunkAddress(bytes)), expected);
        assert_eq!(std::format!("{:?}", Overlay(bytes)), expected);
    }
}
