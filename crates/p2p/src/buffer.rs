//! A queue of bytes that is contiguous to read and cheap to consume from the front.
use alloc::vec::Vec;

/// Bytes in order of arrival. Consuming moves a mark; the storage is moved only when that makes room for at least as much as it moves.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// What is queued.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.data.get(self.start..).unwrap_or(&[])
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len().saturating_sub(self.start)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.reclaim(bytes.len());
        self.data.extend_from_slice(bytes);
    }

    /// The storage, to append to it (never to remove from it).
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.reclaim(0);
        &mut self.data
    }

    /// Drops the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count);
        if self.start >= self.data.len() {
            self.data.clear();
            self.start = 0;
        }
    }

    /// Moves as many bytes as fit to `room`; returns how many.
    pub(crate) fn move_to(&mut self, room: &mut [u8]) -> usize {
        let queued = self.bytes();
        let count = queued.len().min(room.len());
        if let (Some(from), Some(to)) = (queued.get(..count), room.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        count
    }

    /// Moves the queued bytes to the front if `extra` would not fit behind them and the move is cheaper than what it frees.
    fn reclaim(&mut self, extra: usize) {
        let needed = self.data.len().saturating_add(extra);
        if self.start >= self.len() && self.start > 0 && needed >= self.data.capacity() {
            self.data.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_out_once_and_in_order(steps in prop::collection::vec((0usize..50, 0usize..60), 0..60)) {
            let mut buffer = Buffer::default();
            let (mut written, mut read) = (0usize, 0usize);
            for (push, take) in steps {
                let bytes: Vec<u8> = (written..written + push).map(|n| n as u8).collect();
                buffer.push(&bytes);
                written += push;
                let mut room = std::vec![0; take];
                let got = buffer.move_to(&mut room);
                prop_assert_eq!(got, take.min(written - read));
                prop_assert!(room[..got].iter().enumerate().all(|(i, b)| *b == (read + i) as u8));
                read += got;
                prop_assert_eq!(buffer.len(), written - read);
                prop_assert!(buffer.data.capacity() <= 1024);
            }
        }
    }
}
