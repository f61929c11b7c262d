//! Domain names in the form that messages have.
//!
//! Spec: RFC 1035 3.1 and 4.1.4.
use alloc::vec::Vec;

/// SPEC RFC 1035 2.3.4: bytes of a name on the wire.
const BYTES_MAX: usize = 255;
/// SPEC RFC 1035 2.3.4: bytes of a label.
const LABEL_BYTES_MAX: usize = 63;
/// Pointers followed in one name. Each must point further back than the last, so this only saves time.
const JUMPS_MAX: usize = 32;

/// A domain name: labels in lower case, each after its length, then a zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// Parses `storage.example.org`, with or without a dot at the end; `None` if that cannot be a name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::new();
        for label in text.split('.') {
            push_label(&mut wire, label.as_bytes())?;
        }
        finish(wire)
    }

    /// Reads the name at `at`; returns it and where what follows it begins.
    pub fn decode(message: &[u8], at: usize) -> Option<(Self, usize)> {
        let mut wire = Vec::new();
        let (mut at, mut floor, mut next) = (at, at, None);
        for _ in 0..BYTES_MAX.saturating_add(JUMPS_MAX) {
            let length = *message.get(at)?;
            let after = at.checked_add(1)?;
            match length {
                0 => return Some((finish(wire)?, next.unwrap_or(after))),
                1..=0x3f => {
                    let end = after.checked_add(usize::from(length))?;
                    push_label(&mut wire, message.get(after..end)?)?;
                    at = end;
                }
                0xc0.. => {
                    let low = *message.get(after)?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    // A pointer refers to a prior occurrence: one that never goes back is a loop.
                    if target >= floor {
                        return None;
                    }
                    next = next.or(after.checked_add(1));
                    (at, floor) = (target, target);
                }
                0x40..=0xbf => return None,
            }
        }
        None
    }

    /// The bytes to send.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Option<()> {
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return None;
    }
    wire.push(u8::try_from(label.len()).ok()?);
    wire.extend(label.iter().map(u8::to_ascii_lowercase));
    (wire.len() < BYTES_MAX).then_some(())
}

fn finish(mut wire: Vec<u8>) -> Option<Name> {
    wire.push(0);
    (wire.len() <= BYTES_MAX).then_some(Name(wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_labels_in_lower_case() {
        let name = Name::parse("_dnsaddr.Example.org").expect("a name");
        assert_eq!(name.as_wire(), b"\x08_dnsaddr\x07example\x03org\0");
        assert_eq!(Name::parse("_dnsaddr.example.org."), Some(name));
    }

    #[test]
    fn impossible_names_are_refused() {
        let long = "a".repeat(64);
        let many = "abcdefg.".repeat(32);
        for bad in ["", ".", "a..b", ".a", long.as_str(), many.as_str()] {
            assert_eq!(Name::parse(bad), None, "{bad:?}");
        }
        assert!(Name::parse(&"a".repeat(63)).is_some());
    }

    #[test]
    fn pointers_are_followed_back_and_the_rest_begins_after_the_first() {
        let message = b"\x07example\x03org\0\x03www\xc0\x00rest";
        let (name, next) = Name::decode(message, 13).expect("a name");
        assert_eq!(name.as_wire(), b"\x03www\x07example\x03org\0");
        assert_eq!(&message[next..], b"rest");
    }

    #[test]
    fn pointers_that_do_not_go_back_are_refused() {
        for (message, at) in [
            (&b"\xc0\x00"[..], 0),
            (b"\xc0\x02\xc0\x00", 0),
            (b"\x01a\xc0\x00", 0),
            (b"\x01a\xc0\x00\xc0\x00", 4),
            (b"\x80a\0", 0),
            (b"\x40a\0", 0),
            (b"\xc0", 0),
            (b"\x05abc", 0),
            (b"", 0),
            (b"\x01a", 0),
            (b"\x01a\0", 9),
        ] {
            assert_eq!(Name::decode(message, at), None, "{message:?}");
        }
    }

    #[test]
    fn a_name_grown_by_pointers_is_bounded() {
        // Each piece is 60 bytes and points to the piece before: five of them are too long.
        let mut message = b"\0".to_vec();
        let mut previous = 0_u16;
        let mut starts = std::vec::Vec::new();
        for _ in 0..8 {
            starts.push(message.len());
            message.push(60);
            message.extend([b'a'; 60]);
            message.extend((0xc000 | previous).to_be_bytes());
            previous = u16::try_from(*starts.last().expect("one")).expect("small");
        }
        let lengths: std::vec::Vec<bool> = starts
            .iter()
            .map(|at| Name::decode(&message, *at).is_some())
            .collect();
        assert_eq!(
            lengths,
            [true, true, true, true, false, false, false, false]
        );
    }
}
