//! Network interfaces: finds them, opens each exclusively through the Simple Network Protocol, and makes it a smoltcp device.
//!
//! The rules in here are firmware bugs met in the field (see the history of iPXE's SNP driver); each has a comment.
use super::{pci, services};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant as SmolInstant;
use swfetch::device_path;
use swfetch::tx::TxRing;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::network::snp::{NetworkState, ReceiveFlags, SimpleNetwork};
use uefi::{Guid, Handle, Identify, Status, guid};

/// Transmit buffers: below the 64 that EDK2's virtio driver allows to be pending.
const TX_BUFFERS: usize = 48;
/// Largest frame sent: Ethernet header and 1500 bytes.
const FRAME_BYTES_MAX: usize = 1514;
/// Shortest frame without checksum. Firmware does not always pad, and switches drop runts.
const FRAME_BYTES_MIN: usize = 60;
/// Room in a receive buffer beyond header and packet: VLAN tag and checksum. Without it some drivers lose full frames silently.
const RECEIVE_EXTRA: usize = 8;
/// Receive buffers never grow beyond this.
const RECEIVE_BYTES_MAX: usize = 16 * 1024;
/// `GetStatus` calls in one round of collecting finished transmit buffers.
const STATUS_CALLS_MAX: usize = 2 * TX_BUFFERS;
/// A transmit buffer that firmware has held this long is taken back: some drivers forget to report.
const TX_AGE_MAX_US: u64 = 2_000_000;
/// Tries of `Initialize` and the pause between them, for drivers that want a link first.
const INITIALIZE_TRIES: u32 = 10;
const INITIALIZE_PAUSE: Duration = Duration::from_millis(10);

const WIRELESS_MAC: Guid = guid!("0da55bc9-45f8-4bb4-8719-5224f18a4d45");
const WIRELESS_MAC_2: Guid = guid!("1b0fb9bf-699d-4fdd-a7c3-2546681bf63b");

/// Starts firmware's network drivers: an application started from disk finds none running.
///
/// First only PCI network controllers, which is quick; `everything` adds USB adapters and whatever hides behind other buses.
pub(crate) fn connect_drivers(everything: bool) {
    if everything {
        let all = boot::locate_handle_buffer(boot::SearchType::AllHandles);
        for handle in all.map(|all| all.to_vec()).unwrap_or_default() {
            services::connect(handle, true);
        }
        return;
    }
    for handle in services::handles(&pci::PCI_IO) {
        if !pci::is_network_controller(handle) {
            continue;
        }
        // Connecting without children spares starting a whole IP stack above the interface, which takes longer than everything
        // else here. Drivers in two layers (UNDI below, SNP above) need the children too.
        let before = services::handles(&SimpleNetwork::GUID).len();
        services::connect(handle, false);
        if services::handles(&SimpleNetwork::GUID).len() == before {
            services::connect(handle, true);
        }
    }
}

/// A network interface that firmware offers.
pub(crate) struct Found {
    handle: Handle,
    /// Where it is, for people.
    pub(crate) place: String,
    /// Why it cannot be used.
    pub(crate) refused: Option<&'static str>,
}

impl Found {
    /// Says whether both are the same interface.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.handle == other.handle
    }
}

/// Lists the network interfaces, each once.
pub(crate) fn find() -> Vec<Found> {
    services::handles(&SimpleNetwork::GUID)
        .into_iter()
        .map(|handle| (handle, services::device_path(handle)))
        // EDK2's PXE driver shows each interface again on a child handle per IP version.
        .filter(|(_, path)| !device_path::has_ip(path))
        .map(|(handle, path)| {
            let wireless = device_path::is_wireless(&path)
                || services::has_protocol(handle, &WIRELESS_MAC)
                || services::has_protocol(handle, &WIRELESS_MAC_2);
            Found {
                handle,
                place: device_path::place(&path),
                // Vendors' wireless drivers crash when SNP is used or shut down, and there is nobody to type a password.
                refused: wireless.then_some("wireless, left alone"),
            }
        })
        .collect()
}

/// An open interface: started, initialised, exclusively ours. Dropping it shuts it down.
pub(crate) struct Nic {
    snp: ScopedProtocol<SimpleNetwork>,
    handle: Handle,
    name: String,
    transmit: Transmit,
    receive_buffer: Vec<u8>,
    link: Link,
    counters: Counters,
}

/// What went through an interface and what went wrong, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Frames received.
    pub(crate) received: u64,
    /// Frames sent.
    pub(crate) sent: u64,
    /// `Receive` errors other than "nothing there".
    pub(crate) receive_errors: u64,
    /// Frames firmware refused to send.
    pub(crate) send_errors: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Link {
    supported: bool,
    up: bool,
}

/// Transmit buffers and who has them. They are freed only after `Shutdown`, because firmware reads them until then.
struct Transmit {
    buffers: Vec<Vec<u8>>,
    ring: TxRing,
    sent: u64,
    errors: u64,
}

impl Nic {
    /// Opens an interface: takes it from other drivers, starts and initialises it, sets the receive filter.
    pub(crate) fn open(found: &Found) -> Result<Self, String> {
        // Drivers above (MNP, ARP, DHCP) steal packets; firmware that only half honours EXCLUSIVE must be told per agent.
        services::disconnect_users(found.handle, &SimpleNetwork::GUID);
        let snp = boot::open_protocol_exclusive::<SimpleNetwork>(found.handle)
            .map_err(|error| format!("another program holds it ({:?})", error.status()))?;
        let mode = snp.mode();
        // SPEC IANA "ARP hardware types": 1 is Ethernet.
        if mode.if_type != 1 || mode.hw_address_size != 6 {
            return Err(format!("not Ethernet (type {})", mode.if_type));
        }
        let packet = usize::try_from(mode.max_packet_size).unwrap_or(0);
        let header = usize::try_from(mode.media_header_size).unwrap_or(0);
        let receive = (packet + header).clamp(FRAME_BYTES_MAX, RECEIVE_BYTES_MAX) + RECEIVE_EXTRA;
        let mut nic = Self {
            snp,
            handle: found.handle,
            name: String::new(),
            transmit: Transmit {
                buffers: vec![vec![0; FRAME_BYTES_MAX]; TX_BUFFERS],
                ring: TxRing::new(TX_BUFFERS),
                sent: 0,
                errors: 0,
            },
            receive_buffer: vec![0; receive],
            link: Link {
                supported: false,
                up: true,
            },
            counters: Counters::default(),
        };
        nic.start()?;
        nic.set_filters();
        nic.refresh_link();
        let mac = nic.mac();
        nic.name = format!(
            "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]
        );
        Ok(nic)
    }

    fn start(&mut self) -> Result<(), String> {
        if self.snp.mode().state == NetworkState::INITIALIZED {
            // Left over from another program; its buffers and filters are not ours.
            let _ = self.snp.shutdown();
        }
        if self.snp.mode().state == NetworkState::STOPPED {
            self.snp
                .start()
                .map_err(|error| format!("Start failed ({:?})", error.status()))?;
        }
        let mut status = Status::SUCCESS;
        for attempt in 0..INITIALIZE_TRIES {
            // EDK2's driver tries with cable detection and then without inside one call; others fail until the link is up.
            match self.snp.initialize(0, 0) {
                Ok(()) => return Ok(()),
                Err(error) => status = error.status(),
            }
            if attempt + 1 < INITIALIZE_TRIES {
                boot::stall(INITIALIZE_PAUSE);
            }
        }
        let _ = self.snp.stop();
        Err(format!("Initialize failed ({status:?})"))
    }

    fn set_filters(&mut self) {
        use ReceiveFlags as F;
        let plain = F::UNICAST | F::BROADCAST;
        let supported = F::from_bits_truncate(self.snp.mode().receive_filter_mask);
        // Some drivers refuse the plain filter and take only wider ones; some break when any filter is set, and receive anyway.
        for wanted in [
            plain,
            plain | F::MULTICAST,
            plain | F::PROMISCUOUS_MULTICAST,
            plain | F::MULTICAST | F::PROMISCUOUS_MULTICAST | F::PROMISCUOUS,
        ] {
            let enable = wanted & supported;
            if self
                .snp
                .receive_filters(enable, supported - enable, true, None)
                .is_ok()
            {
                return;
            }
        }
    }

    /// Hardware address.
    pub(crate) fn mac(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.snp.mode().current_address.0[..6]);
        mac
    }

    /// Hardware address as text.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Firmware's event for an arriving frame, where the driver has one.
    pub(crate) fn packet_event(&self) -> Option<uefi::Event> {
        self.snp.wait_for_packet_event().ok()
    }

    /// Says whether this is the interface `found`.
    pub(crate) fn is(&self, found: &Found) -> bool {
        self.handle == found.handle
    }

    /// Whether the cable is in: `None` when the driver cannot tell.
    pub(crate) fn link(&self) -> Option<bool> {
        self.link.supported.then_some(self.link.up)
    }

    /// Asks firmware for the link state; returns the new one if it changed.
    pub(crate) fn poll_link(&mut self) -> Option<bool> {
        let before = self.link;
        self.refresh_link();
        (self.link != before).then_some(self.link.up)
    }

    fn refresh_link(&mut self) {
        // GetStatus is what makes firmware look at the cable; a finished buffer it may report counts as well.
        self.transmit.collect_one(&mut self.snp);
        let mode = self.snp.mode();
        let supported = bool::from(mode.media_present_supported);
        // Drivers that do not support it leave the field at any value.
        self.link = Link {
            supported,
            up: !supported || bool::from(mode.media_present),
        };
    }

    /// Figures so far.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            sent: self.transmit.sent,
            send_errors: self.transmit.errors,
            ..self.counters
        }
    }

    /// Completions with a foreign address, and buffers firmware forgot.
    pub(crate) fn oddities(&self) -> (u64, u64) {
        self.transmit.ring.oddities()
    }

    fn receive_frame(&mut self) -> Option<usize> {
        // Two tries: the second after the buffer has grown.
        for _ in 0..2 {
            let result = self
                .snp
                .receive(&mut self.receive_buffer, None, None, None, None);
            match result {
                Ok(bytes) => {
                    self.counters.received += 1;
                    return Some(bytes.min(self.receive_buffer.len()));
                }
                Err(error) if error.status() == Status::NOT_READY => return None,
                Err(error) if error.status() == Status::BUFFER_TOO_SMALL => {
                    let bytes = (2 * self.receive_buffer.len()).min(RECEIVE_BYTES_MAX);
                    self.receive_buffer.resize(bytes, 0);
                }
                Err(_) => break,
            }
        }
        self.counters.receive_errors += 1;
        None
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        // Errors are of no use here: the handle is given back in any case.
        let _ = self.snp.shutdown();
        let _ = self.snp.stop();
    }
}

impl Transmit {
    /// Frees finished buffers until one half is free or firmware reports nothing more.
    fn collect(&mut self, snp: &mut SimpleNetwork, now_us: u64) {
        for _ in 0..STATUS_CALLS_MAX {
            if self.ring.pending_count() == 0 || !self.collect_one(snp) {
                break;
            }
        }
        self.ring.expire(now_us, TX_AGE_MAX_US);
    }

    fn collect_one(&mut self, snp: &mut SimpleNetwork) -> bool {
        let Ok(Some(done)) = snp.get_recycled_transmit_buffer_status() else {
            return false;
        };
        let address = done.as_ptr().cast_const();
        let index = self
            .buffers
            .iter()
            .position(|buffer| buffer.as_ptr() == address);
        self.ring.completed(index);
        true
    }

    fn room(&mut self, snp: &mut SimpleNetwork, now_us: u64) -> bool {
        if self.ring.free_count() < TX_BUFFERS / 2 {
            self.collect(snp, now_us);
        }
        self.ring.free_count() > 0
    }

    fn send<R>(
        &mut self,
        snp: &mut SimpleNetwork,
        now_us: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let taken = self.ring.take();
        let slot = taken.and_then(|index| Some((index, self.buffers.get_mut(index)?)));
        let Some((index, buffer)) = slot.filter(|_| len <= FRAME_BYTES_MAX) else {
            // smoltcp asks for a token first and knows the frame limit, so this is never reached; losing a frame is harmless.
            self.errors += 1;
            if let Some(index) = taken {
                self.ring.give_back(index);
            }
            return fill(&mut vec![0; len]);
        };
        let result = fill(&mut buffer[..len]);
        let padded = len.max(FRAME_BYTES_MIN);
        buffer[len..padded].fill(0);
        let mut status = snp.transmit(0, &mut buffer[..padded], None, None, None);
        if status.is_err() {
            // The queue is full (NOT_READY): collect and try once more. TCP repeats what is lost after that.
            for _ in 0..STATUS_CALLS_MAX {
                if !self.collect_one(snp) {
                    break;
                }
            }
            if let Some(buffer) = self.buffers.get_mut(index) {
                status = snp.transmit(0, &mut buffer[..padded], None, None, None);
            }
        }
        match status {
            Ok(()) => {
                self.sent += 1;
                self.ring.sent(index, now_us);
            }
            Err(_) => {
                self.errors += 1;
                self.ring.give_back(index);
            }
        }
        result
    }
}

/// A received frame, still in the interface's buffer.
pub(crate) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Permission to send one frame.
pub(crate) struct Sending<'a> {
    snp: &'a mut SimpleNetwork,
    transmit: &'a mut Transmit,
    now_us: u64,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.transmit.send(self.snp, self.now_us, len, f)
    }
}

fn micros(now: SmolInstant) -> u64 {
    u64::try_from(now.total_micros()).unwrap_or(0)
}

impl Device for Nic {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES_MAX;
        capabilities.max_burst_size = None;
        capabilities
    }

    fn receive(&mut self, now: SmolInstant) -> Option<(Received<'_>, Sending<'_>)> {
        let now_us = micros(now);
        if !self.transmit.room(&mut self.snp, now_us) {
            return None;
        }
        // How many are taken in a row is the stack's business: `frames_per_turn`.
        let bytes = self.receive_frame()?;
        Some((
            Received(&self.receive_buffer[..bytes]),
            Sending {
                snp: &mut self.snp,
                transmit: &mut self.transmit,
                now_us,
            },
        ))
    }

    fn transmit(&mut self, now: SmolInstant) -> Option<Sending<'_>> {
        let now_us = micros(now);
        self.transmit.room(&mut self.snp, now_us).then(|| Sending {
            snp: &mut self.snp,
            transmit: &mut self.transmit,
            now_us,
        })
    }
}
