//! Bookkeeping of transmit buffers that firmware owns until it gives them back through `GetStatus`.
//!
//! The buffers themselves live in the SNP driver; here they are numbers. Rules learnt from iPXE's SNP driver: some firmware
//! reports completion with a wrong address, some reports one completion per call, some forgets some.
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Which buffers are free and which firmware still reads.
#[derive(Clone, Debug)]
pub struct TxRing {
    free: Vec<usize>,
    pending: VecDeque<(usize, u64)>,
    odd_completions: u64,
    expired: u64,
}

impl TxRing {
    /// Makes a ring of `count` free buffers.
    pub fn new(count: usize) -> Self {
        Self {
            free: (0..count).rev().collect(),
            pending: VecDeque::with_capacity(count),
            odd_completions: 0,
            expired: 0,
        }
    }

    /// Buffers that may be filled.
    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Buffers that firmware has not given back.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Takes a free buffer for filling.
    pub fn take(&mut self) -> Option<usize> {
        self.free.pop()
    }

    /// Returns a buffer that firmware did not accept.
    pub fn give_back(&mut self, buffer: usize) {
        self.free.push(buffer);
    }

    /// Firmware accepted the buffer at `now_us`.
    pub fn sent(&mut self, buffer: usize, now_us: u64) {
        self.pending.push_back((buffer, now_us));
    }

    /// Firmware reported a completion; `buffer` is `None` when the address it gave is none of ours, then the oldest counts as done.
    pub fn completed(&mut self, buffer: Option<usize>) {
        let index = buffer
            .and_then(|buffer| self.pending.iter().position(|(other, _)| *other == buffer))
            .unwrap_or_else(|| {
                self.odd_completions = self.odd_completions.saturating_add(1);
                0
            });
        if let Some((buffer, _)) = self.pending.remove(index) {
            self.free.push(buffer);
        }
    }

    /// Frees buffers that firmware has held since before `now_us - age_us`: it forgot to report them. Returns how many.
    pub fn expire(&mut self, now_us: u64, age_us: u64) -> usize {
        let mut count = 0;
        while let Some((buffer, since)) = self.pending.front().copied() {
            if now_us.saturating_sub(since) < age_us {
                break;
            }
            self.pending.pop_front();
            self.free.push(buffer);
            count += 1;
        }
        self.expired = self
            .expired
            .saturating_add(u64::try_from(count).unwrap_or(0));
        count
    }

    /// Completions with a foreign address, and buffers never reported: figures for the log.
    pub fn oddities(&self) -> (u64, u64) {
        (self.odd_completions, self.expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_in_any_order() {
        let mut ring = TxRing::new(2);
        let (a, b) = (ring.take().unwrap(), ring.take().unwrap());
        assert_eq!(ring.take(), None);
        ring.sent(a, 0);
        ring.sent(b, 1);
        ring.completed(Some(b));
        assert_eq!(ring.take(), Some(b));
        ring.give_back(b);
        ring.completed(Some(a));
        assert_eq!((ring.free_count(), ring.pending_count()), (2, 0));
        assert_eq!(ring.oddities(), (0, 0));
    }

    #[test]
    fn a_foreign_address_frees_the_oldest() {
        let mut ring = TxRing::new(3);
        let (a, b) = (ring.take().unwrap(), ring.take().unwrap());
        ring.sent(a, 0);
        ring.sent(b, 0);
        ring.completed(None);
        assert_eq!(ring.pending_count(), 1);
        assert_eq!(ring.take(), Some(a));
        // A completion when nothing is pending does not invent a buffer.
        ring.completed(None);
        ring.completed(None);
        assert_eq!((ring.free_count(), ring.pending_count()), (2, 0));
    }

    #[test]
    fn forgotten_buffers_expire_by_age() {
        let mut ring = TxRing::new(2);
        let (a, b) = (ring.take().unwrap(), ring.take().unwrap());
        ring.sent(a, 100);
        ring.sent(b, 900);
        assert_eq!(ring.expire(1000, 500), 1);
        assert_eq!((ring.free_count(), ring.pending_count()), (1, 1));
        assert_eq!(ring.oddities(), (0, 1));
    }
}
