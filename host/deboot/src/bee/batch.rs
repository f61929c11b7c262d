//! What a postage batch has room for.
use bmt::ChunkAddress;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Buckets that an answer may list: bee's batches have 2^16.
const BUCKETS_MAX: usize = 1 << 24;
/// Depths that bee makes; above, shifts would overflow.
const DEPTH_MAX: u8 = 41;
const BUCKET_DEPTH_MAX: u8 = 24;

/// What a node says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whether it may be used now.
    pub usable: bool,
    /// 2^depth chunks in all.
    pub depth: u8,
    /// 2^bucket_depth buckets; a chunk belongs to the bucket that its address begins with.
    pub bucket_depth: u8,
    /// Chunks in the fullest bucket.
    pub utilization: u32,
    /// A full bucket of an immutable batch takes no more; one of a mutable batch overwrites its oldest chunk.
    pub immutable: bool,
    /// Time left to live, seconds; `None` when the node does not know.
    pub ttl_seconds: Option<u64>,
}

/// Why a batch will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not confirmed yet, or expired.
    #[error("the batch is not usable: bought a few minutes ago, or expired")]
    NotUsable,
    /// It ends too early.
    #[error("the batch lives for another {left}, less than the {wanted} asked for with --min-ttl")]
    TimeToLive {
        /// What is left.
        left: String,
        /// What was asked for.
        wanted: String,
    },
    /// An immutable batch without room.
    #[error(
        "the batch is immutable and has no room for {overflow} of {chunks} chunks: its fullest bucket would need {needed} of {capacity} places; depth {depth} has room"
    )]
    Full {
        /// Chunks to be stored.
        chunks: u64,
        /// Of these, chunks without room.
        overflow: u64,
        /// Places needed in the fullest bucket.
        needed: u32,
        /// Places each bucket has.
        capacity: u32,
        /// Depth at which everything fits.
        depth: u8,
    },
    /// A mutable batch without room.
    #[error(
        "{overflow} of {chunks} chunks would overwrite older chunks of this mutable batch: its fullest bucket would need {needed} of {capacity} places; depth {depth} has room"
    )]
    Overwrites {
        /// Chunks to be stored.
        chunks: u64,
        /// Of these, chunks without room.
        overflow: u64,
        /// Places needed in the fullest bucket.
        needed: u32,
        /// Places each bucket has.
        capacity: u32,
        /// Depth at which everything fits.
        depth: u8,
    },
    /// A mutable batch in which the publication would overwrite itself.
    #[error(
        "the batch is too small for this publication alone: {needed} of its chunks belong into one bucket, which has {capacity} places, so \
         it would overwrite itself; depth {depth} has room"
    )]
    OverwritesItself {
        /// Places needed in one bucket.
        needed: u32,
        /// Places each bucket has.
        capacity: u32,
        /// Depth at which everything fits.
        depth: u8,
    },
}

impl Batch {
    /// Reads the answer to `GET /stamps/BATCH`.
    pub(super) fn from_json(value: &Value) -> Result<Self, &'static str> {
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let small = |name: &str| number(name).and_then(|n| u8::try_from(n).ok());
        let depth = small("depth").ok_or("no depth")?;
        let bucket_depth = small("bucketDepth").ok_or("no bucketDepth")?;
        if depth > DEPTH_MAX || bucket_depth > BUCKET_DEPTH_MAX || bucket_depth > depth {
            return Err("a depth that no batch has");
        }
        let exists = value.get("exists").and_then(Value::as_bool);
        let usable = value.get("usable").and_then(Value::as_bool);
        Ok(Self {
            usable: usable.ok_or("no usable")? && exists.unwrap_or(true),
            depth,
            bucket_depth,
            utilization: number("utilization")
                .and_then(|n| u32::try_from(n).ok())
                .ok_or("no utilization")?,
            immutable: value
                .get("immutableFlag")
                .and_then(Value::as_bool)
                .ok_or("no immutableFlag")?,
            // -1 stands for unknown.
            ttl_seconds: value
                .get("batchTTL")
                .and_then(Value::as_i64)
                .and_then(|ttl| u64::try_from(ttl).ok()),
        })
    }

    /// Chunks that fit into one bucket.
    pub fn bucket_capacity(&self) -> u32 {
        1u32.checked_shl(u32::from(self.depth - self.bucket_depth))
            .unwrap_or(u32::MAX)
    }

    fn bucket_of(&self, address: ChunkAddress) -> u32 {
        let [a, b, c, d, ..] = address.0;
        // SPEC bee pkg/postage: the first bucket_depth bits of the address.
        u32::from_be_bytes([a, b, c, d])
            .checked_shr(32 - u32::from(self.bucket_depth))
            .unwrap_or(0)
    }

    /// Checks that the chunks fit and that the batch lives long enough. `buckets`, where the node tells them, make it exact; else every
    /// bucket counts as full as the fullest. A mutable batch may overflow when `overwrite` says so.
    ///
    /// # Errors
    /// [`BatchError`]
    pub fn check(&self, needs: &Needs, buckets: Option<&[u32]>) -> Result<Room, BatchError> {
        if !self.usable {
            return Err(BatchError::NotUsable);
        }
        if let Some(left) = self.ttl_seconds
            && (left == 0 || left < needs.ttl_seconds_min)
        {
            return Err(BatchError::TimeToLive {
                left: days(left),
                wanted: days(needs.ttl_seconds_min),
            });
        }
        let room = self.room(needs, buckets);
        let (chunks, overflow, needed, capacity) =
            (room.chunks, room.overflow, room.needed, room.capacity);
        if overflow == 0 || (needs.overwrite && !self.immutable) {
            return Ok(room);
        }
        let depth = self.depth_for(needed);
        Err(if self.immutable {
            BatchError::Full {
                chunks,
                overflow,
                needed,
                capacity,
                depth,
            }
        } else {
            BatchError::Overwrites {
                chunks,
                overflow,
                needed,
                capacity,
                depth,
            }
        })
    }

    /// Checks that a mutable batch has places for all chunks of a publication at once: nobody can want that one overwrites another.
    ///
    /// # Errors
    /// [`BatchError::OverwritesItself`]
    pub fn check_alone(&self, publication: &BTreeSet<ChunkAddress>) -> Result<(), BatchError> {
        let capacity = self.bucket_capacity();
        match self.per_bucket(publication).into_values().max() {
            Some(needed) if needed > capacity && !self.immutable => {
                Err(BatchError::OverwritesItself {
                    needed,
                    capacity,
                    depth: self.depth_for(needed),
                })
            }
            _ => Ok(()),
        }
    }

    /// The depth at which a bucket has so many places.
    fn depth_for(&self, places: u32) -> u8 {
        let levels = places
            .checked_next_power_of_two()
            .map_or(u32::BITS, u32::trailing_zeros);
        self.bucket_depth + u8::try_from(levels).unwrap_or(u8::MAX - DEPTH_MAX)
    }

    fn per_bucket<'a>(
        &self,
        chunks: impl IntoIterator<Item = &'a ChunkAddress>,
    ) -> BTreeMap<u32, u32> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for address in chunks {
            *counts.entry(self.bucket_of(*address)).or_default() += 1;
        }
        counts
    }

    fn room(&self, needs: &Needs, buckets: Option<&[u32]>) -> Room {
        let capacity = self.bucket_capacity();
        // SPEC bee pkg/postage stampissuer.go: a full bucket of a mutable batch is counted from 0 again, and only the utilization tells.
        let is_counted_anew = !self.immutable && self.utilization >= capacity;
        let whole = |buckets: &&[u32]| buckets.len() == 1 << self.bucket_depth;
        let buckets = buckets.filter(whole).filter(|_| !is_counted_anew);
        let new = self.per_bucket(&needs.chunks);
        let mut room = Room {
            chunks: needs.chunks.len() as u64,
            overflow: 0,
            needed: self.utilization,
            capacity,
            exact: buckets.is_some(),
        };
        for (bucket, count) in new {
            let used = match buckets {
                Some(buckets) => buckets.get(bucket as usize).copied().unwrap_or(0),
                None => self.utilization,
            };
            let needed = used.saturating_add(count);
            room.needed = room.needed.max(needed);
            room.overflow += u64::from(needed.saturating_sub(capacity).min(count));
        }
        room
    }
}

/// What is to be stored, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Chunks that the batch has not stamped yet, as far as is known.
    pub chunks: Vec<ChunkAddress>,
    /// Time that the batch must still live.
    pub ttl_seconds_min: u64,
    /// Whether older chunks of a mutable batch may go.
    pub overwrite: bool,
}

/// How the chunks fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Chunks to be stored.
    pub chunks: u64,
    /// Chunks beyond the room of their bucket.
    pub overflow: u64,
    /// Places taken in the fullest bucket afterwards.
    pub needed: u32,
    /// Places each bucket has.
    pub capacity: u32,
    /// Whether the node told how full each bucket is.
    pub exact: bool,
}

/// Reads the answer to `GET /stamps/BATCH/buckets`.
pub(super) fn buckets_from_json(value: &Value) -> Result<Vec<u32>, &'static str> {
    let list = value.get("buckets").and_then(Value::as_array);
    let list = list.ok_or("no buckets")?;
    if list.len() > BUCKETS_MAX {
        return Err("more buckets than any batch has");
    }
    let mut buckets = vec![0; list.len()];
    for entry in list {
        let number = |name: &str| entry.get(name)?.as_u64();
        let (Some(id), Some(used)) = (number("bucketID"), number("collisions")) else {
            return Err("a bucket without bucketID and collisions");
        };
        let place = usize::try_from(id).ok().and_then(|i| buckets.get_mut(i));
        *place.ok_or("a bucketID out of range")? =
            u32::try_from(used).map_err(|_| "a bucket with too many collisions")?;
    }
    Ok(buckets)
}

/// Writes a time for people.
pub(crate) fn days(seconds: u64) -> String {
    match seconds {
        0..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Four buckets of two places each.
    fn batch(immutable: bool) -> Batch {
        Batch::from_json(&json!({
            "batchID": "00", "utilization": 1, "usable": true, "depth": 3, "amount": "1", "bucketDepth": 2,
            "immutableFlag": immutable, "exists": true, "batchTTL": 864_000,
        }))
        .unwrap()
    }

    fn needs(first_bytes: &[u8]) -> Needs {
        let chunk = |byte: &u8| {
            let mut address = [0; 32];
            address[0] = *byte;
            ChunkAddress(address)
        };
        Needs {
            chunks: first_bytes.iter().map(chunk).collect(),
            ..Needs::default()
        }
    }

    #[test]
    fn every_bucket_counts_for_itself() {
        let batch = batch(true);
        assert_eq!(batch.bucket_capacity(), 2);
        // Buckets 0, 1, 2, 3 by the first two bits.
        let spread = needs(&[0x00, 0x40, 0x80, 0xc0, 0xff]);
        let buckets = [0, 1, 1, 0];
        let room = batch.check(&spread, Some(&buckets)).unwrap();
        assert_eq!((room.chunks, room.overflow, room.needed), (5, 0, 2));
        // The same number in one bucket does not fit.
        let crowded = needs(&[0x40, 0x41, 0x42]);
        assert_eq!(
            batch.check(&crowded, Some(&buckets)),
            Err(BatchError::Full {
                chunks: 3,
                overflow: 2,
                needed: 4,
                capacity: 2,
                depth: 4
            })
        );
        // Without figures every bucket counts as full as the fullest.
        assert!(batch.check(&needs(&[0x00, 0x01]), None).is_err());
        assert!(batch.check(&needs(&[0x00, 0x40]), None).is_ok());
    }

    #[test]
    fn a_mutable_batch_overwrites_only_when_told() {
        let batch = batch(false);
        let mut crowded = needs(&[0, 1, 2]);
        let buckets = [2, 0, 0, 0];
        let error = batch.check(&crowded, Some(&buckets)).unwrap_err();
        assert!(
            matches!(
                error,
                BatchError::Overwrites {
                    overflow: 3,
                    needed: 5,
                    depth: 5,
                    ..
                }
            ),
            "{error:?}"
        );
        crowded.overwrite = true;
        assert_eq!(batch.check(&crowded, Some(&buckets)).unwrap().overflow, 3);
        // An immutable one never does.
        assert!(
            super::tests::batch(true)
                .check(&crowded, Some(&buckets))
                .is_err()
        );
    }

    #[test]
    fn a_mutable_batch_that_was_full_once_counts_as_full_whatever_its_buckets_say() {
        let mut batch = batch(false);
        batch.utilization = 2;
        let mut want = needs(&[0x00, 0x40]);
        let buckets = [0, 1, 2, 0];
        let error = batch.check(&want, Some(&buckets)).unwrap_err();
        assert!(
            matches!(error, BatchError::Overwrites { overflow: 2, .. }),
            "{error:?}"
        );
        want.overwrite = true;
        let room = batch.check(&want, Some(&buckets)).unwrap();
        assert_eq!((room.overflow, room.exact), (2, false));
        // An immutable one is never counted anew.
        batch.immutable = true;
        assert!(batch.check(&needs(&[0x00]), Some(&buckets)).is_ok());
    }

    #[test]
    fn a_publication_never_overwrites_itself() {
        let all = |bytes: &[u8]| needs(bytes).chunks.into_iter().collect();
        let batch = batch(false);
        assert_eq!(batch.check_alone(&all(&[0, 1, 0x40, 0x41])), Ok(()));
        assert_eq!(
            batch.check_alone(&all(&[0, 1, 2])),
            Err(BatchError::OverwritesItself {
                needed: 3,
                capacity: 2,
                depth: 4
            })
        );
    }

    #[test]
    fn figures_that_no_node_has_neither_panic_nor_count_as_exact() {
        let batch = batch(true);
        let few = batch.check(&needs(&[0]), Some(&[])).unwrap();
        assert_eq!((few.exact, few.needed), (false, 2));
        let huge = [u32::MAX, 0, 0, 0];
        let error = batch.check(&needs(&[0]), Some(&huge)).unwrap_err();
        assert!(
            matches!(error, BatchError::Full { depth: 34, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_batch_that_is_not_usable_or_ends_too_early_is_refused() {
        let mut batch = batch(true);
        let mut want = needs(&[0]);
        want.ttl_seconds_min = 864_001;
        assert!(matches!(
            batch.check(&want, None),
            Err(BatchError::TimeToLive { .. })
        ));
        want.ttl_seconds_min = 864_000;
        assert!(batch.check(&want, None).is_ok());
        batch.ttl_seconds = Some(0);
        want.ttl_seconds_min = 0;
        assert!(batch.check(&want, None).is_err());
        // A node that does not know is no reason to refuse.
        batch.ttl_seconds = None;
        assert!(batch.check(&want, None).is_ok());
        batch.usable = false;
        assert_eq!(batch.check(&want, None), Err(BatchError::NotUsable));
    }

    #[test]
    fn answers_that_are_not_bees_are_refused() {
        let good = json!({"utilization": 0, "usable": true, "depth": 20, "bucketDepth": 16, "immutableFlag": true, "batchTTL": -1});
        assert_eq!(Batch::from_json(&good).unwrap().ttl_seconds, None);
        let bad = [
            ("depth", json!(300)),
            ("depth", json!(63)),
            ("depth", json!(15)),
            ("bucketDepth", json!("16")),
            ("usable", json!(null)),
            ("utilization", json!(-1)),
            ("immutableFlag", json!(0)),
        ];
        for (key, value) in bad {
            let mut answer = good.clone();
            answer[key] = value;
            assert!(Batch::from_json(&answer).is_err(), "{answer}");
        }
        let buckets = |value| buckets_from_json(&json!({"buckets": value}));
        assert_eq!(
            buckets(json!([{"bucketID": 1, "collisions": 5}, {"bucketID": 0, "collisions": 2}])),
            Ok(vec![2, 5])
        );
        assert!(buckets(json!([{"bucketID": 1, "collisions": 5}])).is_err());
        assert!(buckets(json!([{"bucketID": 0}])).is_err());
        assert!(buckets_from_json(&json!({})).is_err());
    }
}
