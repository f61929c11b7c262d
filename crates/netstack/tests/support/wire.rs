//! Two ports and a link with faults.
use p2p::Instant;
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What a link does to frames.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub seed: u64,
    /// One way.
    pub delay: Duration,
    /// Added at random, so that frames overtake each other.
    pub jitter: Duration,
    /// Of 1000.
    pub lost_per_mille: u64,
    /// Of 1000.
    pub doubled_per_mille: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
            lost_per_mille: 0,
            doubled_per_mille: 0,
        }
    }
}

#[derive(Debug)]
struct Inner {
    faults: Faults,
    random: u64,
    is_cut: bool,
    sequence: u64,
    /// Frames under way to each side, by time of arrival.
    frames: [BTreeMap<(u64, u64), Vec<u8>>; 2],
    spare: Vec<Vec<u8>>,
    carried: [u64; 2],
    records: Option<[Vec<Vec<u8>>; 2]>,
    ignores_checksums: bool,
}

/// A link.
#[derive(Clone, Debug)]
pub struct Wire(Rc<RefCell<Inner>>);

/// One end of it.
#[derive(Clone, Debug)]
pub struct Port {
    wire: Wire,
    side: usize,
}

impl Wire {
    pub fn new(faults: Faults) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            faults,
            random: faults.seed,
            is_cut: false,
            sequence: 0,
            frames: [BTreeMap::new(), BTreeMap::new()],
            spare: Vec::new(),
            carried: [0; 2],
            records: None,
            ignores_checksums: false,
        })))
    }

    pub fn ports(&self) -> (Port, Port) {
        let port = |side| Port {
            wire: self.clone(),
            side,
        };
        (port(0), port(1))
    }

    /// A cut cable loses everything, what is under way included.
    pub fn cut(&self, is_cut: bool) {
        let mut inner = self.0.borrow_mut();
        inner.is_cut = is_cut;
        inner.frames = [BTreeMap::new(), BTreeMap::new()];
    }

    /// Keeps a copy of every frame from now on.
    pub fn record(&self) {
        self.0.borrow_mut().records = Some(Default::default());
    }

    /// Frames recorded on their way to one side.
    pub fn recorded(&self, side: usize) -> Vec<Vec<u8>> {
        self.0.borrow().records.clone().unwrap_or_default()[side].clone()
    }

    /// Makes our side accept wrong checksums, as with a card that checks them.
    pub fn ignore_checksums(&self) {
        self.0.borrow_mut().ignores_checksums = true;
    }

    /// Puts a frame on our side's doorstep.
    pub fn inject(&self, now: Instant, frame: Vec<u8>) {
        let mut inner = self.0.borrow_mut();
        inner.sequence += 1;
        let key = (now.as_micros(), inner.sequence);
        inner.frames[0].insert(key, frame);
    }

    pub fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    /// Frames that one side has handed to the link so far, lost ones included.
    pub fn sent_by(&self, side: usize) -> u64 {
        self.0.borrow().carried[side]
    }

    pub fn poll_at(&self) -> Option<Instant> {
        let inner = self.0.borrow();
        let first = |side: usize| inner.frames[side].keys().next().map(|(at, _)| *at);
        [first(0), first(1)]
            .into_iter()
            .flatten()
            .min()
            .map(Instant::from_micros)
    }
}

impl Inner {
    fn draw(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.random >> 33
    }

    fn send(&mut self, now: u64, to: usize, frame: Vec<u8>) {
        self.carried[1 - to] += 1;
        if let Some(records) = &mut self.records {
            records[to].push(frame.clone());
        }
        let copies = 1 + u64::from(self.draw() % 1000 < self.faults.doubled_per_mille);
        for _ in 0..copies {
            if self.is_cut || self.draw() % 1000 < self.faults.lost_per_mille {
                continue;
            }
            let jitter = u64::try_from(self.faults.jitter.as_micros()).unwrap();
            let delay = u64::try_from(self.faults.delay.as_micros()).unwrap();
            let at = now + delay + self.draw() % (jitter + 1);
            self.sequence += 1;
            self.frames[to].insert((at, self.sequence), frame.clone());
        }
        self.spare.push(frame);
    }
}

impl Port {
    /// Takes the next frame that has arrived.
    pub fn take(&self, now: Instant) -> Option<Vec<u8>> {
        let mut inner = self.wire.0.borrow_mut();
        let entry = inner.frames[self.side].first_entry()?;
        (entry.key().0 <= now.as_micros()).then(|| entry.remove())
    }

    /// Sends a frame.
    pub fn put(&self, now: Instant, frame: Vec<u8>) {
        self.wire
            .0
            .borrow_mut()
            .send(now.as_micros(), 1 - self.side, frame);
    }
}

pub struct Rx(Vec<u8>, Wire);
pub struct Tx(Port, u64);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.0.borrow_mut().spare.push(self.0);
        result
    }
}

impl TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = self.0.wire.0.borrow_mut().spare.pop().unwrap_or_default();
        frame.clear();
        frame.resize(len, 0);
        let result = f(&mut frame);
        self.0.put(Instant::from_micros(self.1), frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;

    fn receive(&mut self, now: smoltcp::time::Instant) -> Option<(Rx, Tx)> {
        let micros = u64::try_from(now.total_micros()).unwrap();
        let frame = self.take(Instant::from_micros(micros))?;
        Some((Rx(frame, self.wire.clone()), Tx(self.clone(), micros)))
    }

    fn transmit(&mut self, now: smoltcp::time::Instant) -> Option<Tx> {
        let micros = u64::try_from(now.total_micros()).unwrap();
        Some(Tx(self.clone(), micros))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        if self.side == 0 && self.wire.0.borrow().ignores_checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
            let tx = Checksum::Tx;
            (capabilities.checksum.ipv4, capabilities.checksum.udp) = (tx, tx);
            (capabilities.checksum.tcp, capabilities.checksum.icmpv4) = (tx, tx);
        }
        capabilities
    }
}
