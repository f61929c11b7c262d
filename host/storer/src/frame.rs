//! Length-delimited messages on a stream, and the ways a Swarm stream ends.
use crate::wire::Headers;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use std::time::Duration;

/// Longest message accepted, as bee: 128 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// How long the other side may take to end a stream we ended.
const FULL_CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("stream: {0}")]
    Io(#[from] std::io::Error),
    #[error("the peer ended the stream in the middle of a message")]
    Ended,
    #[error("message of {0} bytes, at most {MESSAGE_BYTES_MAX} are accepted")]
    TooLong(u64),
    #[error("length prefix is not a varint")]
    Length,
    #[error("malformed message: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error("bytes after the last message")]
    Trailing,
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// A stream with the bytes read ahead of the next message.
pub(crate) struct Framed {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
}

impl Framed {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Reads one message of at most [`MESSAGE_BYTES_MAX`] bytes.
    pub(crate) async fn read<M: prost::Message + Default>(&mut self) -> Result<M, FrameError> {
        loop {
            let have = &self.buffer[self.start..];
            match parse_prefix(have)? {
                Some((len, prefix)) if have.len() >= prefix + len => {
                    let message = M::decode(&have[prefix..prefix + len])?;
                    self.start += prefix + len;
                    return Ok(message);
                }
                Some((len, prefix)) => self.fill(prefix + len).await?,
                None => self.fill(1).await?,
            }
        }
    }

    /// Writes one message and flushes it.
    pub(crate) async fn write<M: prost::Message>(&mut self, message: &M) -> Result<(), FrameError> {
        self.write_raw(&message.encode_length_delimited_to_vec())
            .await
    }

    /// Writes bytes as they are and flushes them.
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Opener's half of the headers exchange: nothing may be sent before the answer is here, because bee throws away what
    /// arrives together with the headers.
    pub(crate) async fn open_headers(&mut self) -> Result<(), FrameError> {
        self.write(&Headers::default()).await?;
        self.read::<Headers>().await.map(|_| ())
    }

    /// Acceptor's half of the headers exchange.
    pub(crate) async fn accept_headers(&mut self) -> Result<(), FrameError> {
        self.read::<Headers>().await?;
        self.write(&Headers::default()).await
    }

    /// Ends our direction, then waits for the end of the other one. Anything but an end is an error.
    pub(crate) async fn full_close(mut self) -> Result<(), FrameError> {
        self.stream.close().await?;
        if self.start < self.buffer.len() {
            return Err(FrameError::Trailing);
        }
        let mut byte = [0; 1];
        let read = tokio::time::timeout(FULL_CLOSE_TIMEOUT, self.stream.read(&mut byte)).await??;
        if read == 0 {
            Ok(())
        } else {
            Err(FrameError::Trailing)
        }
    }

    /// Ends our direction only.
    pub(crate) async fn close_write(&mut self) -> Result<(), FrameError> {
        Ok(self.stream.close().await?)
    }

    /// Reads until the other side ends or resets the stream; what arrives is thrown away.
    pub(crate) async fn drain(&mut self) {
        let mut sink = [0; 256];
        while matches!(self.stream.read(&mut sink).await, Ok(n) if n > 0) {}
    }

    /// Reads at least once, with room for `want` bytes from `start` on.
    async fn fill(&mut self, want: usize) -> Result<(), FrameError> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let have = self.buffer.len();
        self.buffer
            .resize(have + READ_BYTES.max(want.saturating_sub(have)), 0);
        let read = self.stream.read(&mut self.buffer[have..]).await;
        let got = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(have + got);
        read?;
        if got == 0 {
            return Err(FrameError::Ended);
        }
        Ok(())
    }
}

/// Splits a length prefix off: (message length, prefix length), `None` when more bytes are needed.
fn parse_prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        if i == 9 && *byte > 1 {
            return Err(FrameError::Length);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let len = usize::try_from(value).map_err(|_| FrameError::TooLong(value))?;
            if len > MESSAGE_BYTES_MAX {
                return Err(FrameError::TooLong(value));
            }
            return Ok(Some((len, i + 1)));
        }
    }
    if bytes.len() >= 10 {
        return Err(FrameError::Length);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_parsed_and_bounded() {
        assert!(parse_prefix(&[]).unwrap().is_none());
        assert!(parse_prefix(&[0x80]).unwrap().is_none());
        assert_eq!(parse_prefix(&[0]).unwrap(), Some((0, 1)));
        assert_eq!(parse_prefix(&[0x8b, 0x20, 9]).unwrap(), Some((4107, 2)));
        assert_eq!(
            parse_prefix(&[0x80, 0x80, 0x08]).unwrap(),
            Some((131072, 3))
        );
        for (bytes, claim) in [
            (&[0x81u8, 0x80, 0x08][..], "one over the limit"),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f],
                "2^62",
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                "65 bits",
            ),
            (&[0x80; 10], "endless"),
        ] {
            assert!(parse_prefix(bytes).is_err(), "{claim}");
        }
    }
}
