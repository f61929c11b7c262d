//! Whom to dial next.
use super::{BACKOFF_MAX, Book, Entry, EntryId, SAMPLE};
use crate::rng::Rng;
use crate::table::{OverlayTable, common_bits};
use crate::types::ConnId;
use bmt::ChunkAddress;
use p2p::Instant;

impl Book {
    /// Compares a random sample of those that may be dialled now.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        taken: &OverlayTable<ConnId>,
        wanted: Option<&ChunkAddress>,
        boot_allowed: bool,
        rng: &mut Rng,
    ) -> Option<EntryId> {
        // A random start and a bounded walk: no entry is privileged by when it came.
        let start = self.entries.last().map_or(0, |(last, _)| {
            rng.below(usize::try_from(last.0).unwrap_or(0).saturating_add(1))
        });
        let start = EntryId(u64::try_from(start).unwrap_or(0));
        let (mut best, mut earliest, mut seen) = (None, None::<Instant>, 0usize);
        for (id, entry) in self.entries_from(start) {
            let is_taken = entry.overlay.is_some_and(|o| taken.get(&o).is_some());
            if entry.busy || is_taken || (entry.boot && !boot_allowed) {
                continue;
            }
            if entry.not_before > now {
                earliest = Some(earliest.map_or(entry.not_before, |at| at.min(entry.not_before)));
                continue;
            }
            seen = seen.saturating_add(1);
            let key = self.rank(entry, taken, wanted);
            if best.as_ref().is_none_or(|(other, _)| key < *other) {
                best = Some((key, *id));
            }
            if seen >= SAMPLE {
                break;
            }
        }
        if best.is_none() {
            // Bootnodes that are not allowed now are not waited for; the caller asks again when that changes.
            self.quiet_until = Some(earliest.unwrap_or(now + BACKOFF_MAX));
        }
        best.map(|(_, id)| id)
    }

    /// Smaller is better.
    fn rank(
        &self,
        entry: &Entry,
        taken: &OverlayTable<ConnId>,
        wanted: Option<&ChunkAddress>,
    ) -> (u32, bool, u32, u16) {
        // Share of a sender's peers that failed, in eighths: an unproven sender counts as half.
        let distrust = entry
            .sender
            .and_then(|sender| self.senders.get(&sender))
            .map_or(0, |sender| {
                let failed = sender.dialed.saturating_sub(sender.worked);
                let total = sender.dialed.saturating_add(2);
                failed
                    .saturating_add(1)
                    .saturating_mul(8)
                    .checked_div(total)
                    .unwrap_or(8)
            });
        let distrust = if entry.proven { 0 } else { distrust };
        let near = entry.overlay.map_or(0, |overlay| match wanted {
            Some(chunk) => 256u16.saturating_sub(common_bits(&overlay.0, &chunk.0)),
            None => taken
                .closest(&overlay.0)
                .next()
                .map_or(0, |(other, _)| common_bits(&overlay.0, &other.0)),
        });
        (entry.failures, entry.boot && entry.proven, distrust, near)
    }
}
