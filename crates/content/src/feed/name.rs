//! What names a feed: owner and topic.
use super::Index;
use bmt::{ChunkAddress, EthAddress, Keccak256, keccak256, single_owner_address};
use core::fmt;
use core::str::FromStr;

/// Topic of a feed. Displayed as 64 hexadecimal digits.
///
/// Parsed from 64 hexadecimal digits, or from any other text, which is hashed with Keccak-256 as bee-js and swarm-cli do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub [u8; 32]);

impl Topic {
    /// Returns the topic a text stands for.
    pub fn of_text(text: &str) -> Self {
        Self(keccak256(text.as_bytes()))
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A feed. Written `<owner>/<topic>`: 40 hexadecimal digits (with or without `0x`), and a topic as [`Topic`] reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feed {
    /// Who signs the updates.
    pub owner: EthAddress,
    /// Which of the owner's feeds.
    pub topic: Topic,
}

/// Why text is no feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedNameError {
    /// No slash.
    #[error("a feed is written \"<owner>/<topic>\", there is no slash in this")]
    NoTopic,
    /// Not an address.
    #[error("the owner of a feed is an Ethereum address of 40 hexadecimal digits")]
    Owner,
    /// Nothing behind the slash.
    #[error("the topic of the feed is empty; write 64 hexadecimal digits or a text")]
    EmptyTopic,
}

impl Feed {
    /// Returns keccak256(topic ‖ index bytes): the identifier of an update's single-owner chunk.
    // SPEC swarm-wire 10: a sequence index is u64 big-endian, an epoch keccak256(start u64 big-endian ‖ level).
    pub fn identifier(&self, index: Index) -> [u8; 32] {
        let mut hasher = Keccak256::new();
        hasher.update(&self.topic.0);
        match index {
            Index::Sequence(number) => hasher.update(&number.to_be_bytes()),
            Index::Epoch(epoch) => hasher.update(&epoch.to_hash()),
        }
        hasher.finalize()
    }

    /// Returns where an update lives.
    pub fn address(&self, index: Index) -> ChunkAddress {
        single_owner_address(&self.identifier(index), &self.owner)
    }

    /// Reads owner and topic from hexadecimal digits, as feed manifests hold them.
    pub(super) fn from_hex(owner: &str, topic: &str) -> Option<Self> {
        Some(Self {
            owner: EthAddress(unhex(owner)?),
            topic: Topic(unhex(topic)?),
        })
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.topic)
    }
}

impl FromStr for Feed {
    type Err = FeedNameError;

    /// Reads `<owner>/<topic>`; everything behind the first slash is the topic.
    fn from_str(text: &str) -> Result<Self, FeedNameError> {
        let (owner, topic) = text.split_once('/').ok_or(FeedNameError::NoTopic)?;
        let owner = owner.strip_prefix("0x").unwrap_or(owner);
        let owner = EthAddress(unhex(owner).ok_or(FeedNameError::Owner)?);
        if topic.is_empty() {
            return Err(FeedNameError::EmptyTopic);
        }
        let topic = Topic::from_hex(topic).unwrap_or_else(|| Topic::of_text(topic));
        Ok(Self { owner, topic })
    }
}

/// Reads exactly `2 * N` hexadecimal digits of either case.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut digits = text.chars().map(|digit| digit.to_digit(16));
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const OWNER: &str = "2f63cbeb054ce76050827e42dd75268f6b9d87c5";

    fn topic_one() -> Topic {
        let mut topic = [0; 32];
        topic[31] = 1;
        Topic(topic)
    }

    #[test]
    fn addresses_of_the_published_vectors() {
        let feed: Feed = std::format!("0x{OWNER}/{}", topic_one()).parse().unwrap();
        assert_eq!(feed.topic, topic_one());
        let index = Index::Sequence(0);
        assert_eq!(
            Topic(feed.identifier(index)).to_string(),
            "cfa35e2921c9f000623187e323e5d528a05b83783c71ac60bb9f358b3766f67c"
        );
        assert_eq!(
            feed.address(index).to_string(),
            "0d0c9523a5d056ec146a1f682d8065a934b60ee2308fb92c844bf961d1b8cd18"
        );
    }

    #[test]
    fn a_topic_is_digits_or_any_text_hashed() {
        let read = |topic: &str| {
            std::format!("{OWNER}/{topic}")
                .parse::<Feed>()
                .unwrap()
                .topic
        };
        let digits = "9C3D9bb07e3fa5ba4889a0fdf60d7f86c79c6b811cf11a683f57ecca9733c21c";
        assert_eq!(read(digits).to_string(), digits.to_lowercase());
        // keccak256("foo"), a value every Ethereum library knows.
        assert_eq!(
            read("foo").to_string(),
            "41b1a0649752af1b28b3dc29a1556eee781e4a4c3a1f7f53f90fa834de098c4d"
        );
        assert_eq!(read("a/b"), Topic::of_text("a/b"));
        assert_eq!(read(&digits[1..]), Topic::of_text(&digits[1..]));
    }

    #[test]
    fn text_that_is_no_feed_is_refused() {
        for (text, error) in [
            ("", FeedNameError::NoTopic),
            (OWNER, FeedNameError::NoTopic),
            ("/t", FeedNameError::Owner),
            ("2f63/t", FeedNameError::Owner),
            ("0x0x/t", FeedNameError::Owner),
            (&std::format!("{OWNER}00/t"), FeedNameError::Owner),
            (&std::format!("{}g/t", &OWNER[1..]), FeedNameError::Owner),
            (&std::format!("{OWNER}/"), FeedNameError::EmptyTopic),
        ] {
            assert_eq!(text.parse::<Feed>(), Err(error), "{text}");
        }
    }
}
