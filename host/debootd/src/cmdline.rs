//! The `deboot.*` block of the kernel command line.
use crate::status::{Feed, Fetched, Timing};
use std::collections::BTreeSet;

/// What the block says; a key that is missing is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `deboot.reference`
    pub reference: Option<String>,
    /// `deboot.feed` and `deboot.feed_update`.
    pub feed: Option<Feed>,
    /// Both as they stand there, with a space between: what `DebootFeed` says too.
    pub feed_text: Option<String>,
    /// `deboot.name`, decoded.
    pub name: Option<String>,
    /// `deboot.version`, decoded.
    pub version: Option<String>,
    /// `deboot.sequence`
    pub sequence: Option<u64>,
    /// `deboot.timings`, in the order given.
    pub timings: Option<Vec<Timing>>,
    /// `deboot.fetched`
    pub fetched: Option<Fetched>,
}

/// Why the block cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// Not a decimal number of at most 64 bits.
    #[error("{key}={value:?} on the kernel command line: not a decimal number")]
    Number {
        /// Which key.
        key: String,
        /// What it says.
        value: String,
    },
    /// An item of a list without a colon.
    #[error("{key} on the kernel command line: {item:?} is not key:number")]
    Item {
        /// Which key.
        key: &'static str,
        /// Which item.
        item: String,
    },
    /// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("{key}={value:?} on the kernel command line: bad percent-encoding")]
    Encoding {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: String,
    },
}

impl CommandLine {
    /// Reads the block from the text of `/proc/cmdline`.
    ///
    /// The first occurrence of a key counts, so that nothing in a manifest's command line can replace what the loader said.
    ///
    /// # Errors
    /// [`CommandLineError`] when a known key has a value of the wrong form. Unknown keys are ignored.
    pub fn parse(text: &str) -> Result<Self, CommandLineError> {
        let mut block = Self::default();
        let mut seen = BTreeSet::new();
        let mut feed = None;
        for word in text.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            if !key.starts_with("deboot.") || !seen.insert(key) {
                continue;
            }
            match (key, feed) {
                ("deboot.feed", _) => feed = Some(value),
                ("deboot.feed_update", Some(name)) => block.take_feed(name, value)?,
                _ => block.take(key, value)?,
            }
        }
        Ok(block)
    }

    /// The loader writes the feed first and the update right behind it.
    fn take_feed(&mut self, name: &str, update: &str) -> Result<(), CommandLineError> {
        let mut feed = Feed {
            feed: name.to_owned(),
            index: 0,
            time: None,
            definite: false,
            requests: 0,
        };
        for (key, n) in pairs("deboot.feed_update", update)? {
            match key.as_str() {
                "index" => feed.index = n,
                "time" => feed.time = Some(n),
                "definite" => feed.definite = n != 0,
                "requests" => feed.requests = n,
                _ => {}
            }
        }
        self.feed = Some(feed);
        self.feed_text = Some(format!("{name} {update}"));
        Ok(())
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), CommandLineError> {
        match key {
            "deboot.reference" => self.reference = Some(value.to_owned()),
            "deboot.name" => self.name = Some(percent_decode("deboot.name", value)?),
            "deboot.version" => self.version = Some(percent_decode("deboot.version", value)?),
            "deboot.sequence" => self.sequence = Some(number(key, value)?),
            "deboot.timings" => {
                let items = pairs("deboot.timings", value)?;
                self.timings = Some(
                    items
                        .into_iter()
                        .map(|(key, ms)| Timing { key, ms })
                        .collect(),
                );
            }
            "deboot.fetched" => {
                let mut fetched = Fetched::default();
                for (key, n) in pairs("deboot.fetched", value)? {
                    match key.as_str() {
                        "bytes" => fetched.bytes = Some(n),
                        "chunks" => fetched.chunks = Some(n),
                        "peers" => fetched.peers = Some(n),
                        _ => {}
                    }
                }
                self.fetched = Some(fetched);
            }
            _ => {}
        }
        Ok(())
    }
}

fn number(key: &str, value: &str) -> Result<u64, CommandLineError> {
    let error = || CommandLineError::Number {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    // `parse` alone would take "+5".
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    value.parse().map_err(|_| error())
}

fn pairs(key: &'static str, value: &str) -> Result<Vec<(String, u64)>, CommandLineError> {
    let pair = |item: &str| {
        let (name, n) = item.split_once(':').ok_or_else(|| CommandLineError::Item {
            key,
            item: item.to_owned(),
        })?;
        Ok((name.to_owned(), number(&format!("{key}:{name}"), n)?))
    };
    value
        .split(',')
        .filter(|item| !item.is_empty())
        .map(pair)
        .collect()
}

fn percent_decode(key: &'static str, value: &str) -> Result<String, CommandLineError> {
    let error = || CommandLineError::Encoding {
        key,
        value: value.to_owned(),
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|b| char::from(b).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        let (high, low) = (digit().ok_or_else(error)?, digit().ok_or_else(error)?);
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_block_is_read() {
        let line = CommandLine::parse(
            "deboot.reference=ab deboot.name=caf%C3%A9%20one deboot.version=2026.11.3 deboot.sequence=17 \
             deboot.timings=init:3602,config:61,exec:3171 deboot.fetched=bytes:15204352,chunks:3742,peers:24 console=ttyS0\n",
        )
        .unwrap();
        assert_eq!(line.reference.as_deref(), Some("ab"));
        assert_eq!(line.name.as_deref(), Some("café one"));
        assert_eq!(line.version.as_deref(), Some("2026.11.3"));
        assert_eq!(line.sequence, Some(17));
        let timings: Vec<_> = line
            .timings
            .unwrap()
            .into_iter()
            .map(|t| (t.key, t.ms))
            .collect();
        assert_eq!(
            timings,
            [
                ("init".into(), 3602),
                ("config".into(), 61),
                ("exec".into(), 3171)
            ]
        );
        assert_eq!(
            line.fetched.unwrap(),
            Fetched {
                bytes: Some(15_204_352),
                chunks: Some(3742),
                peers: Some(24)
            }
        );
    }

    #[test]
    fn a_feed_is_read_with_its_update() {
        let line = CommandLine::parse(
            "deboot.reference=ab deboot.feed=1f/9c deboot.feed_update=index:39,time:1795350896,definite:1,requests:12,later:7 \
             deboot.feed=a/b deboot.feed_update=index:99",
        )
        .unwrap();
        let feed = line.feed.unwrap();
        assert_eq!(
            (feed.feed.as_str(), feed.index, feed.time),
            ("1f/9c", 39, Some(1_795_350_896))
        );
        assert_eq!((feed.definite, feed.requests), (true, 12));
        assert!(line.feed_text.unwrap().starts_with("1f/9c index:39,"));
        let none = CommandLine::parse("deboot.feed_update=index:1").unwrap();
        assert_eq!(none.feed, None);
        let error = CommandLine::parse("deboot.feed=a/b deboot.feed_update=index:x").unwrap_err();
        assert!(error.to_string().contains("deboot.feed_update:index"));
    }

    #[test]
    fn the_first_occurrence_counts_so_a_manifest_cannot_replace_what_the_loader_said() {
        let line =
            CommandLine::parse("deboot.sequence=17 deboot.sequence=99 deboot.name=a deboot.name=b")
                .unwrap();
        assert_eq!((line.sequence, line.name.as_deref()), (Some(17), Some("a")));
    }

    #[test]
    fn unknown_keys_and_items_are_ignored_and_missing_ones_are_none() {
        let line = CommandLine::parse(
            "quiet deboot.colour=red deboot.fetched=bytes:1,colour:2 root=/dev/sda",
        )
        .unwrap();
        assert_eq!(
            line.fetched.unwrap(),
            Fetched {
                bytes: Some(1),
                chunks: None,
                peers: None
            }
        );
        assert_eq!((line.reference, line.timings), (None, None));
    }

    #[test]
    fn illegal_values_name_the_key() {
        let cases = [
            ("deboot.sequence=", "deboot.sequence"),
            ("deboot.sequence=-1", "deboot.sequence"),
            ("deboot.sequence=+1", "deboot.sequence"),
            ("deboot.sequence=18446744073709551616", "deboot.sequence"),
            ("deboot.timings=init", "deboot.timings"),
            ("deboot.timings=init:x", "deboot.timings:init"),
            ("deboot.fetched=bytes:1e3", "deboot.fetched:bytes"),
            ("deboot.name=%4", "deboot.name"),
            ("deboot.name=%zz", "deboot.name"),
            ("deboot.version=%ff", "deboot.version"),
        ];
        for (text, key) in cases {
            let error = CommandLine::parse(text).expect_err(text).to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
