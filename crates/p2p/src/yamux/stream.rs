//! One stream's buffers, windows and flags.
use super::frame::{FIN, HEADER_BYTES, Header, Kind, SYN};
use super::{SEND_FRAME_BYTES_MAX, WINDOW_BYTES_INITIAL};
use crate::buffer::Buffer;
use crate::time::Instant;
use core::time::Duration;

#[derive(Debug)]
pub(super) struct Stream<T> {
    /// Received and not consumed.
    pub(super) receive: Buffer,
    /// Queued and not sent.
    pub(super) send: Buffer,
    /// What the peer may still send.
    pub(super) receive_window: u32,
    /// The window that is kept open for the peer.
    window: u32,
    /// Consumed since the last grant.
    consumed: u32,
    /// To be granted with the next window update.
    pub(super) grant: u32,
    granted_at: Instant,
    /// What we may still send.
    pub(super) send_window: u32,
    /// SYN or ACK, until it has gone out with a frame.
    pub(super) opening: u16,
    pub(super) fin_queued: bool,
    pub(super) fin_sent: bool,
    pub(super) fin_received: bool,
    pub(super) finish_told: bool,
    pub(super) user: T,
}

impl<T: Default> Stream<T> {
    pub(super) fn new(opening: u16, now: Instant) -> Self {
        Self {
            receive: Buffer::default(),
            send: Buffer::default(),
            receive_window: WINDOW_BYTES_INITIAL,
            window: WINDOW_BYTES_INITIAL,
            consumed: 0,
            grant: 0,
            granted_at: now,
            send_window: WINDOW_BYTES_INITIAL,
            opening,
            fin_queued: false,
            fin_sent: false,
            fin_received: false,
            finish_told: false,
            user: T::default(),
        }
    }
}

impl<T> Stream<T> {
    /// Says whether there is something to send now. An ACK alone waits for company: the answer of the negotiation, or a reset.
    pub(super) fn has_frame(&self) -> bool {
        self.opening & SYN != 0 || self.grant > 0 || self.can_send_data() || self.must_send_fin()
    }

    fn can_send_data(&self) -> bool {
        self.send_window > 0 && !self.send.is_empty()
    }

    fn must_send_fin(&self) -> bool {
        self.fin_queued && !self.fin_sent && self.send.is_empty()
    }

    /// Both sides closed, all was consumed, and the owner knows.
    pub(super) fn is_done(&self) -> bool {
        self.fin_sent && self.fin_received && self.finish_told && self.receive.is_empty()
    }

    /// Writes one frame to `room`, which is longer than a header; returns its length.
    pub(super) fn write_frame(&mut self, id: u32, now: Instant, room: &mut [u8]) -> usize {
        if !self.can_send_data() {
            // SPEC yamux "Flow Control": SYN, ACK and FIN may go with a window update. FIN never shares a data frame: go-yamux
            // handles flags before data, and its reader could see the end before the last bytes.
            let mut flags = core::mem::take(&mut self.opening);
            if self.must_send_fin() {
                flags |= FIN;
                self.fin_sent = true;
            }
            let grant = core::mem::take(&mut self.grant);
            if grant > 0 {
                self.receive_window = self.receive_window.saturating_add(grant);
                self.granted_at = now;
            }
            return Header::new(Kind::WindowUpdate, flags, id, grant).write(room);
        }
        let Some((front, rest)) = room.split_first_chunk_mut::<HEADER_BYTES>() else {
            return 0;
        };
        let window = usize::try_from(self.send_window).unwrap_or(usize::MAX);
        let count = window.min(rest.len()).min(SEND_FRAME_BYTES_MAX);
        let count = self.send.move_to(rest.get_mut(..count).unwrap_or(&mut []));
        let length = u32::try_from(count).unwrap_or(0);
        self.send_window = self.send_window.saturating_sub(length);
        let flags = core::mem::take(&mut self.opening);
        *front = Header::new(Kind::Data, flags, id, length).encode();
        HEADER_BYTES.saturating_add(count)
    }

    /// Counts consumed bytes; true when a window update becomes due.
    pub(super) fn note_consumed(
        &mut self,
        count: usize,
        now: Instant,
        growth_time: Duration,
        window_max: u32,
    ) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.consumed = self.consumed.saturating_add(count);
        // Half a window at a time: fewer updates, and the sender never runs dry if the round trip fits half the window.
        if self.fin_received || self.consumed < self.window / 2 {
            return false;
        }
        let mut grant = core::mem::take(&mut self.consumed);
        if now.saturating_since(self.granted_at) < growth_time && self.window < window_max {
            let grown = self.window.saturating_mul(2).min(window_max);
            grant = grant.saturating_add(grown.saturating_sub(self.window));
            self.window = grown;
        }
        self.grant = self.grant.saturating_add(grant);
        true
    }
}
