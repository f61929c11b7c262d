//! What the stack tells its driver.
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

/// What happened; each is worth a line on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The link came up (reported by the driver through [`handle_link`](crate::Stack::handle_link)).
    LinkUp,
    /// The link went down. Connections outlive it if it comes back within
    /// [`link_loss_max`](crate::Config::link_loss_max) with the same address.
    LinkDown,
    /// A DHCP attempt began (1 is the first since the link came up).
    DhcpAttempt(u32),
    /// No server has answered so far; a new attempt follows.
    DhcpNoAnswer {
        /// Time since the first attempt.
        waited: Duration,
    },
    /// A server offered an address; it is being requested.
    DhcpOffer {
        /// The address.
        address: Ipv4Addr,
        /// Who offers it.
        server: Ipv4Addr,
    },
    /// A server refused what was requested; discovery starts again.
    DhcpRefused {
        /// Who refused.
        server: Ipv4Addr,
    },
    /// There is no address after [`dhcp_patience`](crate::Config::dhcp_patience). Asking goes on; the driver may stop waiting.
    DhcpGaveUp {
        /// Attempts made.
        attempts: u32,
        /// Time since the first.
        waited: Duration,
    },
    /// The lease was confirmed or extended; nothing changed.
    DhcpRenewed {
        /// Until it ends.
        lease: Duration,
    },
    /// Addresses are set.
    Configured {
        /// Own address.
        address: Ipv4Addr,
        /// Prefix length.
        prefix_length: u8,
        /// Router.
        gateway: Option<Ipv4Addr>,
        /// DNS servers.
        dns: Vec<Ipv4Addr>,
    },
    /// The lease was lost.
    Deconfigured,
    /// Nobody on this link answers for an address that dials go through.
    NeighbourSilent {
        /// The address: a peer on this link, or the router.
        address: Ipv4Addr,
    },
    /// A name could not be looked up.
    DnsFailed {
        /// The name.
        name: String,
        /// Why.
        error: crate::dns::LookupError,
    },
}
