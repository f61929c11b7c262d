//! One connection of a storer: handshake, pricing, hive, retrieval, settlement.
use super::{Fault, NETWORK_ID, Storer};
use bmt::{ChunkAddress, Overlay, proximity};
use p2p::{Connection, Event, Instant, Role, StreamId};
use std::collections::BTreeMap;
use std::time::Duration;
use swarm::ConnId;
use swarm::messages::{
    Ack, AddressRecord, AnnouncePaymentThreshold, Delivery, EMPTY_HEADERS, Payment, PaymentAck,
    Peers, Request, Syn, SynAck, Version, decode_headers, protocol,
};

/// bee drops a client that does not take the threshold announcement in this time.
const PRICING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an overdrawn client is blocked.
const BLOCK: Duration = Duration::from_secs(4);

const HANDSHAKE: usize = 0;
const RETRIEVAL: usize = 1;

pub(super) fn protocols(version: Version) -> Vec<String> {
    [
        version.handshake(),
        protocol::RETRIEVAL,
        protocol::PSEUDOSETTLE,
    ]
    .map(String::from)
    .to_vec()
}

enum Stream {
    Syn,
    Ack,
    /// Retrieval or settlement, waiting for headers or for the message.
    Serve {
        retrieval: bool,
        headers_read: bool,
    },
    Pricing {
        deadline: Instant,
    },
    Hive {
        records: Vec<AddressRecord>,
    },
    /// Nothing more is read from it: not kept.
    Idle,
}

/// A client's connection.
pub(crate) struct ServerConn {
    pub(crate) link: Connection,
    client: Option<Overlay>,
    streams: BTreeMap<StreamId, Stream>,
    /// Answers that take time: when, where, for what.
    work: BTreeMap<(Instant, StreamId), (ChunkAddress, bool)>,
    pub(crate) closing: bool,
    mute: bool,
}

impl ServerConn {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let link = self.link.poll_timeout().map(|(at, _)| at);
        let work = self.work.first_key_value().map(|((at, _), _)| *at);
        let pricing = self.streams.values().filter_map(|stream| match stream {
            Stream::Pricing { deadline } => Some(*deadline),
            _ => None,
        });
        link.into_iter().chain(work).chain(pricing).min()
    }
}

impl Storer {
    pub(crate) fn accept(&mut self, now: Instant, id: ConnId) {
        let link = Connection::new(Role::Listener, self.listen_config(), now);
        let conn = ServerConn {
            link,
            client: None,
            streams: BTreeMap::new(),
            work: BTreeMap::new(),
            closing: false,
            mute: self.spec.fault == Fault::Mute,
        };
        self.conns.insert(id, conn);
    }

    pub(crate) fn receive(&mut self, now: Instant, id: ConnId, bytes: &[u8]) -> usize {
        let Some(mut conn) = self.conns.remove(&id) else {
            return bytes.len();
        };
        let mut used = bytes.len();
        if !conn.mute {
            used = conn.link.handle_input(now, bytes).unwrap_or(bytes.len());
            self.events(now, &mut conn);
        }
        self.conns.insert(id, conn);
        used
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            let Some(mut conn) = self.conns.remove(&id) else {
                continue;
            };
            if conn.poll_timeout().is_some_and(|at| at <= now) {
                conn.link.handle_timeout(now);
                self.events(now, &mut conn);
                while let Some(entry) = conn.work.first_entry()
                    && entry.key().0 <= now
                {
                    let ((_, stream), (address, found)) = entry.remove_entry();
                    self.deliver(now, &mut conn, stream, address, found);
                }
                let unread = conn.streams.values().any(
                    |stream| matches!(stream, Stream::Pricing { deadline } if *deadline <= now),
                );
                conn.closing |= unread;
            }
            self.conns.insert(id, conn);
        }
    }

    fn events(&mut self, now: Instant, conn: &mut ServerConn) {
        while let Some(event) = conn.link.poll_event() {
            match event {
                Event::Incoming { stream, index } => {
                    let state = if index == HANDSHAKE {
                        Stream::Syn
                    } else {
                        Stream::Serve {
                            retrieval: index == RETRIEVAL,
                            headers_read: false,
                        }
                    };
                    conn.streams.insert(stream, state);
                    self.progress(now, conn, stream);
                }
                Event::Readable { stream } | Event::Finished { stream } => {
                    self.progress(now, conn, stream);
                }
                Event::Reset { stream } => {
                    conn.streams.remove(&stream);
                    if let Some(key) = conn.work.keys().find(|key| key.1 == stream).copied() {
                        conn.work.remove(&key);
                    }
                }
                Event::NotSupported { .. } | Event::Closed { .. } => conn.closing = true,
                _ => {}
            }
        }
    }

    fn progress(&mut self, now: Instant, conn: &mut ServerConn, id: StreamId) {
        let Some(stream) = conn.streams.remove(&id) else {
            return;
        };
        let next = match stream {
            Stream::Syn => self.read_syn(conn, id),
            Stream::Ack => self.read_ack(now, conn, id),
            Stream::Pricing { .. } => match decode_headers(conn.link.received(id)) {
                Ok(Some(used)) => {
                    conn.link.consume(id, used);
                    let threshold = match self.spec.fault {
                        Fault::Stingy => 5_000,
                        _ => self.spec.profile.threshold,
                    };
                    let message = AnnouncePaymentThreshold { threshold };
                    let _ = conn.link.write(id, &message.encode());
                    conn.link.close_write(id);
                    Stream::Idle
                }
                _ => stream,
            },
            Stream::Hive { records } => match decode_headers(conn.link.received(id)) {
                Ok(Some(used)) => {
                    conn.link.consume(id, used);
                    let message = Peers {
                        records,
                        refused: 0,
                    };
                    let _ = conn.link.write(id, &message.encode(self.spec.version));
                    conn.link.close_write(id);
                    Stream::Idle
                }
                _ => Stream::Hive { records },
            },
            Stream::Serve {
                retrieval,
                headers_read,
            } => self.serve(now, conn, id, retrieval, headers_read),
            Stream::Idle => Stream::Idle,
        };
        if !matches!(next, Stream::Idle) {
            conn.streams.insert(id, next);
        }
    }

    fn read_syn(&self, conn: &mut ServerConn, id: StreamId) -> Stream {
        let Ok(Some((syn, used))) = Syn::decode(conn.link.received(id)) else {
            return Stream::Syn;
        };
        assert_eq!(
            syn.observed_underlay,
            self.underlay.encode(),
            "the client says where it sees us, with our peer id"
        );
        conn.link.consume(id, used);
        let seen = p2p::Multiaddr::from_tcp(([127, 0, 0, 1], 4000).into());
        let reply = SynAck {
            syn: Syn {
                observed_underlay: seen.encode(),
            },
            ack: Ack {
                record: self.record.clone(),
                network_id: NETWORK_ID,
                full_node: true,
                welcome: "welcome".into(),
            },
        };
        let _ = conn.link.write(id, &reply.encode(self.spec.version));
        Stream::Ack
    }

    fn read_ack(&mut self, now: Instant, conn: &mut ServerConn, id: StreamId) -> Stream {
        let version = self.spec.version;
        let Ok(Some((ack, used))) = Ack::decode(version, conn.link.received(id)) else {
            return Stream::Ack;
        };
        conn.link.consume(id, used);
        let overlay = ack.record.overlay;
        let verified = ack.record.verify(version, NETWORK_ID);
        assert!(verified.is_ok() && ack.network_id == NETWORK_ID && !ack.full_node);
        let account = self.accounts.entry(overlay).or_default();
        if now < account.blocked_until {
            conn.link.reset(id);
            conn.closing = true;
            return Stream::Idle;
        }
        account.connect();
        conn.client = Some(overlay);
        conn.link.close_write(id);
        self.announce(now, conn);
        Stream::Idle
    }

    fn announce(&mut self, now: Instant, conn: &mut ServerConn) {
        if self.spec.fault != Fault::NoPricing
            && let Ok(stream) = conn.link.open(now, &[protocol::PRICING], &EMPTY_HEADERS)
        {
            let deadline = now + PRICING_TIMEOUT;
            conn.streams.insert(stream, Stream::Pricing { deadline });
        }
        let mut records = self.neighbours.clone();
        if let Fault::JunkHive(count) = self.spec.fault {
            let mut all = self.junk(count);
            all.append(&mut records);
            records = all;
        }
        for part in records.chunks(30) {
            let hive = self.spec.version.hive();
            if let Ok(stream) = conn.link.open(now, &[hive], &EMPTY_HEADERS) {
                let records = part.to_vec();
                conn.streams.insert(stream, Stream::Hive { records });
            }
        }
    }

    fn serve(
        &mut self,
        now: Instant,
        conn: &mut ServerConn,
        id: StreamId,
        retrieval: bool,
        headers_read: bool,
    ) -> Stream {
        if conn.client.is_none() {
            conn.link.reset(id);
            return Stream::Idle;
        }
        if !headers_read {
            if let Ok(Some(_)) = decode_headers(conn.link.received(id)) {
                // SPEC swarm-wire 2: what came together with the headers is lost.
                let all = conn.link.received(id).len();
                self.pipelined += u32::from(all > 1);
                conn.link.consume(id, all);
                let _ = conn.link.write(id, &EMPTY_HEADERS);
                return Stream::Serve {
                    retrieval,
                    headers_read: true,
                };
            }
        } else if !retrieval {
            return self.settle(now, conn, id);
        } else if let Ok(Some((request, used))) = Request::decode(conn.link.received(id)) {
            conn.link.consume(id, used);
            let mut at = now + self.spec.work;
            if let Fault::Slow(more) = self.spec.fault {
                at = at + more;
            }
            let spread = self.spread.as_ref();
            let (took, found) = spread.map_or((Duration::ZERO, true), |spread| {
                spread.find(&self.overlay, &request.address)
            });
            if self.spec.fault != Fault::Silent {
                conn.work.insert((at + took, id), (request.address, found));
            }
            return Stream::Idle;
        }
        Stream::Serve {
            retrieval,
            headers_read,
        }
    }

    fn settle(&mut self, now: Instant, conn: &mut ServerConn, id: StreamId) -> Stream {
        let Ok(Some((payment, used))) = Payment::decode(conn.link.received(id)) else {
            return Stream::Serve {
                retrieval: false,
                headers_read: true,
            };
        };
        conn.link.consume(id, used);
        let account = conn.client.and_then(|o| self.accounts.get_mut(&o));
        let accepted = account.and_then(|a| a.settle(now, self.spec.profile, payment.amount));
        match accepted {
            None => conn.link.reset(id),
            Some((amount, second)) => {
                let timestamp = i64::try_from(second).expect("this century");
                let ack = PaymentAck { amount, timestamp };
                let _ = conn.link.write(id, &ack.encode());
                conn.link.close_write(id);
            }
        }
        Stream::Idle
    }

    fn deliver(
        &mut self,
        now: Instant,
        conn: &mut ServerConn,
        id: StreamId,
        address: ChunkAddress,
        found: bool,
    ) {
        let data = match self.spec.fault {
            Fault::NotFound => None,
            _ if !found => None,
            Fault::ResetsAfter(count) if self.delivered >= count => {
                return conn.link.reset(id);
            }
            Fault::ClosesAfter(count) if self.delivered >= count => {
                self.delivered = 0;
                conn.closing = true;
                return;
            }
            _ => self.chunks.get(&address).cloned(),
        };
        let Some(mut data) = data else {
            let refusal = Delivery {
                data: &[],
                error: b"retrieve chunk: storage: not found",
            };
            let _ = conn.link.write(id, &refusal.encode());
            return conn.link.close_write(id);
        };
        if self.spec.fault == Fault::Liar
            && let Some(last) = data.last_mut()
        {
            *last ^= 1;
        }
        let order = u64::from(proximity(&self.overlay.0, &address.0).min(31));
        let price = (32 - order) * 10_000;
        let Some(account) = conn.client.and_then(|o| self.accounts.get_mut(&o)) else {
            return;
        };
        account.prepare(price);
        let delivery = Delivery {
            data: &data,
            error: &[],
        }
        .encode();
        let written = match self.spec.fault {
            Fault::Truncates => conn.link.write(id, &delivery[..delivery.len() / 2]),
            Fault::HugePrefix => conn.link.write(id, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x20]),
            Fault::Garbage => conn.link.write(id, &vec![0xff; 100_000]),
            _ => conn.link.write(id, &delivery),
        };
        let profile = self.spec.profile;
        let solvent = if written.is_ok() {
            account.apply(now, profile, price)
        } else {
            account.abandon(profile, price)
        };
        if !solvent {
            account.blocked_until = now + BLOCK;
            self.blocked += 1;
            conn.link.reset(id);
            conn.closing = true;
            return;
        }
        self.delivered += 1;
        conn.link.close_write(id);
    }
}
