//! From no driver at all to one interface with an address.
use super::machine::Machine;
use super::source::Source;
use crate::efi::nic::{self, Found, Nic};
use crate::efi::waiting::Waiting;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use netstack::{Event, Stack};
use p2p::Instant;
use release::config::BootConfig;
use swfetch::failure::{Failure, id};
use swfetch::handover::Mark;

/// Link state is asked for this often: the question costs a device access.
const LINK_EVERY: Duration = Duration::from_millis(100);
/// Without an address after this long, every driver is started: the right interface may be one that nobody has woken up.
const LATE_CONNECT_AFTER: Duration = Duration::from_secs(6);
/// After something moved, look again without sleeping for this long: an answer is probably on its way, and firmware's sleep
/// lasts until its next timer tick, 10 ms in EDK2.
const AWAKE: Duration = Duration::from_millis(20);
/// Sockets for connections on their way out.
const SOCKETS_CLOSING: usize = 16;
/// Longest sleep: links, keys and the console want attention.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// One interface with its stack, and when to look at it.
pub(crate) struct Network {
    stack: Stack<Nic>,
    waiting: Waiting,
    link_asked: Instant,
    last_moved: Instant,
}

impl Network {
    fn new(nic: Nic, config: netstack::Config, now: Instant) -> Self {
        let waiting = Waiting::new(nic.packet_event());
        Self {
            stack: Stack::new(nic, config, now),
            waiting,
            link_asked: now,
            last_moved: now,
        }
    }

    /// One turn with the source. Returns whether anything moved.
    pub(crate) fn turn(
        &mut self,
        machine: &mut Machine,
        now: Instant,
        source: &mut Source,
    ) -> bool {
        self.ask_link(now);
        let moved = self.stack.poll(now, source);
        if moved {
            self.last_moved = now;
        }
        self.report(machine);
        moved
    }

    fn turn_idle(&mut self, machine: &mut Machine, now: Instant) {
        self.ask_link(now);
        self.stack.poll_idle(now);
        self.report(machine);
    }

    fn ask_link(&mut self, now: Instant) {
        if now.saturating_since(self.link_asked) < LINK_EVERY {
            return;
        }
        self.link_asked = now;
        if let Some(up) = self.stack.device_mut().poll_link() {
            self.stack.handle_link(now, up);
        }
    }

    /// Waits until a frame, the stack's next deadline or `until`; not at all shortly after something moved.
    pub(crate) fn wait(&mut self, now: Instant, until: Instant) {
        if now.saturating_since(self.last_moved) < AWAKE {
            core::hint::spin_loop();
            return;
        }
        let deadline = self.stack.poll_at(now).map_or(until, |at| at.min(until));
        let pause = deadline.saturating_since(now).min(SLEEP_MAX);
        if !pause.is_zero() {
            self.waiting.sleep(pause);
        }
    }

    /// Says whether the cable is out, as far as the driver can tell.
    pub(crate) fn is_link_down(&mut self) -> bool {
        self.stack.device_mut().link() == Some(false)
    }

    /// Says whether an address is set.
    pub(crate) fn is_configured(&self) -> bool {
        self.stack.is_configured()
    }

    fn report(&mut self, machine: &mut Machine) {
        while let Some(event) = self.stack.poll_event() {
            let name = self.stack.device_mut().name();
            match &event {
                Event::Configured {
                    address,
                    prefix_length,
                    gateway,
                    dns,
                } => {
                    let gateway = gateway.map_or(String::from("none"), |g| format!("{g}"));
                    let text = format!(
                        "network: {name} has {address}/{prefix_length}, router {gateway}, DNS {}",
                        list(dns)
                    );
                    machine.console.line(&text);
                }
                Event::DhcpAttempt(1) => {
                    machine.console.note(&format!("network: {name} asks DHCP"));
                }
                Event::DhcpAttempt(_) | Event::Deconfigured => {
                    machine
                        .console
                        .line(&format!("network: {name} {}", describe(&event)));
                }
                other => machine
                    .console
                    .note(&format!("network: {name} {}", describe(other))),
            }
        }
    }

    /// Gives the interface back to firmware and notes its figures.
    pub(crate) fn shut_down(mut self, machine: &mut Machine) {
        let nic = self.stack.device_mut();
        let counters = nic.counters();
        let (odd, forgotten) = nic.oddities();
        let text = format!(
            "network: {} received {} frames, sent {}; errors: {} receive, {} send, {odd} odd and {forgotten} missing completions",
            nic.name(),
            counters.received,
            counters.sent,
            counters.receive_errors,
            counters.send_errors,
        );
        machine.console.note(&text);
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::DhcpAttempt(n) => format!("asks DHCP, attempt {n}: no answer so far"),
        Event::Deconfigured => String::from("has lost its address"),
        other => format!("{other:?}"),
    }
}

fn list(addresses: &[Ipv4Addr]) -> String {
    if addresses.is_empty() {
        return String::from("none");
    }
    let texts: Vec<String> = addresses.iter().map(|a| format!("{a}")).collect();
    texts.join(" ")
}

/// Brings up every wired interface and returns the first that gets an address.
pub(crate) fn bring_up(machine: &mut Machine, config: &BootConfig) -> Result<Network, Failure> {
    let mut bringing = BringUp {
        networks: Vec::new(),
        refusals: Vec::new(),
        connected_everything: false,
    };
    if nic::find().is_empty() {
        nic::connect_drivers(false);
    }
    bringing.open_new(machine, config)?;
    if bringing.networks.is_empty() {
        bringing.connect_everything(machine, config)?;
    }
    if bringing.networks.is_empty() {
        return Err(bringing.no_interface());
    }
    machine.mark(Mark::Nic);
    bringing.wait_for_address(machine, config)
}

struct BringUp {
    networks: Vec<Network>,
    refusals: Vec<(Found, String)>,
    connected_everything: bool,
}

impl BringUp {
    /// Opens interfaces that were not seen before.
    fn open_new(&mut self, machine: &mut Machine, whole: &BootConfig) -> Result<(), Failure> {
        for found in nic::find() {
            let known = self.refusals.iter().any(|(other, _)| other.is_same(&found))
                || self
                    .networks
                    .iter_mut()
                    .any(|network| network.stack.device_mut().is(&found));
            if known {
                continue;
            }
            let opened = match found.refused {
                Some(reason) => Err(String::from(reason)),
                None => Nic::open(&found),
            };
            match opened {
                Ok(nic) => {
                    let link = match nic.link() {
                        Some(true) => "link up",
                        Some(false) => "no link",
                        None => "link state unknown",
                    };
                    let text = format!("network: {} ({}): {link}", nic.name(), found.place);
                    machine.console.line(&text);
                    let settings = settings(machine, whole, nic.mac())?;
                    let now = machine.now();
                    let down = nic.link() == Some(false);
                    let mut network = Network::new(nic, settings, now);
                    if down {
                        network.stack.handle_link(now, false);
                    }
                    self.networks.push(network);
                }
                Err(reason) => {
                    machine
                        .console
                        .line(&format!("network: interface at {}: {reason}", found.place));
                    self.refusals.push((found, reason));
                }
            }
        }
        Ok(())
    }

    fn connect_everything(
        &mut self,
        machine: &mut Machine,
        whole: &BootConfig,
    ) -> Result<(), Failure> {
        self.connected_everything = true;
        machine
            .console
            .line("network: starting every driver firmware has");
        nic::connect_drivers(true);
        self.open_new(machine, whole)
    }

    fn wait_for_address(
        mut self,
        machine: &mut Machine,
        whole: &BootConfig,
    ) -> Result<Network, Failure> {
        let config = &whole.network;
        let start = machine.now();
        loop {
            let now = machine.now();
            for index in 0..self.networks.len() {
                let Some(network) = self.networks.get_mut(index) else {
                    break;
                };
                network.turn_idle(machine, now);
                let usable = config.static_address.is_none() || !network.is_link_down();
                if network.is_configured() && usable {
                    machine.mark(Mark::Dhcp);
                    // The others are shut down as they are dropped.
                    return Ok(self.networks.swap_remove(index));
                }
            }
            let waited = now.saturating_since(start);
            let links_down = self.networks.iter_mut().all(Network::is_link_down);
            if links_down && waited >= config.link_timeout {
                return Err(no_link(waited));
            }
            if waited >= config.link_timeout.max(config.dhcp_timeout) {
                return Err(no_dhcp(waited));
            }
            if waited >= LATE_CONNECT_AFTER && !self.connected_everything {
                self.connect_everything(machine, whole)?;
            }
            self.show(machine, now, waited, links_down);
            let until = now + SLEEP_MAX;
            match self.networks.as_mut_slice() {
                [only] => only.wait(now, until),
                // Several interfaces share one short sleep.
                all => {
                    let awake = all
                        .iter()
                        .any(|network| now.saturating_since(network.last_moved) < AWAKE);
                    if let Some(first) = all.first_mut().filter(|_| !awake) {
                        first.waiting.sleep(Duration::from_millis(10));
                    }
                }
            }
        }
    }

    fn show(&self, machine: &mut Machine, now: Instant, waited: Duration, links_down: bool) {
        if waited.as_secs() >= 2 && machine.console.is_progress_due(now) {
            let what = if links_down {
                "no interface has a link: is the cable in?"
            } else {
                "waiting for a DHCP server"
            };
            let text = format!("network: {what} ({} s)", waited.as_secs());
            machine.console.progress(now, &text, true);
        }
    }

    fn no_interface(self) -> Failure {
        if self.refusals.is_empty() {
            return Failure::new(
                id::NO_NIC,
                "firmware offers no network interface",
                "its network drivers are switched off, or it has none for this adapter",
                "switch on \"UEFI network stack\" (also called \"Network boot\" or \"PXE\") in the firmware setup;\nfor a USB or add-in adapter check that its maker has a UEFI driver for it",
            );
        }
        let reasons: Vec<String> = self
            .refusals
            .iter()
            .map(|(found, reason)| format!("{}: {reason}", found.place))
            .collect();
        Failure::new(
            id::NIC_FAILED,
            "no network interface can be used",
            reasons.join("\n"),
            "use a wired adapter; a cold restart (power off) helps when a driver is stuck",
        )
    }
}

fn settings(
    machine: &mut Machine,
    whole: &BootConfig,
    mac: [u8; 6],
) -> Result<netstack::Config, Failure> {
    let seed = machine.fresh_seed("netstack")?;
    let (word, _) = seed.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let mut settings = netstack::Config::new(mac, u64::from_le_bytes(*word));
    let config = &whole.network;
    settings.dns_timeout = config.dns_timeout / settings.dns_rounds.max(1);
    settings.dhcp_patience = config.dhcp_timeout;
    settings.dial_timeout = whole.swarm.dial_timeout;
    settings.sockets_max = whole.swarm.connections_max.saturating_add(SOCKETS_CLOSING);
    settings.static_address = config.static_address.as_ref().map(|fixed| {
        (
            fixed.address,
            fixed.prefix_length,
            fixed.gateway,
            fixed.dns.clone(),
        )
    });
    Ok(settings)
}

fn no_link(waited: Duration) -> Failure {
    Failure::new(
        id::NO_LINK,
        format!("no interface has a link after {} s", waited.as_secs()),
        "the cable is out, or the switch port is off",
        "check cable and switch; slow switches need a larger network.link_timeout",
    )
}

fn no_dhcp(waited: Duration) -> Failure {
    Failure::new(
        id::NO_DHCP,
        format!("no DHCP server answered in {} s", waited.as_secs()),
        "no server in this network segment, or a switch port that forwards nothing yet (spanning tree, LACP)",
        "check the server, raise network.dhcp_timeout, or set network.address in deboot.toml",
    )
}
