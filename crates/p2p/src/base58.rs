//! base58btc for peer ids: short inputs only, because the conversion is quadratic.
use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Longest accepted text; a peer id has at most 61 characters.
const TEXT_BYTES_MAX: usize = 128;

/// Encodes `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // Base-58 digits, least significant first.
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes.iter().skip(zeros) {
        let carry = carry_over(&mut digits, u32::from(*byte), 256, 58);
        push_carry(&mut digits, carry, 58);
    }
    let mut text = String::with_capacity(zeros.saturating_add(digits.len()));
    text.extend(core::iter::repeat_n('1', zeros));
    let letters = digits.iter().rev();
    text.extend(letters.filter_map(|digit| Some(char::from(*ALPHABET.get(usize::from(*digit))?))));
    text
}

/// Decodes `text`; `None` for a character outside the alphabet or more than 128 characters.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let zeros = text.bytes().take_while(|byte| *byte == b'1').count();
    // Bytes, least significant first.
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for letter in text.bytes().skip(zeros) {
        let digit = ALPHABET.iter().position(|known| *known == letter)?;
        let carry = carry_over(&mut bytes, u32::try_from(digit).ok()?, 58, 256);
        push_carry(&mut bytes, carry, 256);
    }
    bytes.extend(core::iter::repeat_n(0, zeros));
    bytes.reverse();
    Some(bytes)
}

/// Multiplies the number in `digits` (base `to`) by `from` and adds `carry`; returns what runs over.
fn carry_over(digits: &mut [u8], mut carry: u32, from: u32, to: u32) -> u32 {
    for digit in digits {
        carry = u32::from(*digit).wrapping_mul(from).wrapping_add(carry);
        *digit = u8::try_from(carry.checked_rem(to).unwrap_or(0)).unwrap_or(0);
        carry = carry.checked_div(to).unwrap_or(0);
    }
    carry
}

fn push_carry(digits: &mut Vec<u8>, mut carry: u32, to: u32) {
    while carry > 0 {
        digits.push(u8::try_from(carry.checked_rem(to).unwrap_or(0)).unwrap_or(0));
        carry = carry.checked_div(to).unwrap_or(0);
    }
}
