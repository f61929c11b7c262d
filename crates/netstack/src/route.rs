//! Which way an address is reached with the settings in force.
use crate::dhcp::Configuration;
use crate::dhcp::message::is_host_address;
use core::net::Ipv4Addr;

/// Shortest prefix that a lease may be widened to so that it holds its router.
const WIDENED_MIN: u32 = 8;

/// An interface's addresses in a form that smoltcp can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) address: Ipv4Addr,
    /// What counts as this link. Shorter than the lease's prefix length if the router lies outside of that.
    pub(crate) prefix_length: u8,
    pub(crate) gateway: Option<Ipv4Addr>,
}

impl Route {
    /// Makes a route of what DHCP or the user says.
    ///
    /// Clouds lease a /32 with a router outside of it. smoltcp asks for a router's hardware address only on the own network, so the
    /// network is widened until it holds the router; the few neighbours in between are then asked for directly.
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let address = configuration.address;
        let leased = configuration.prefix_length.min(32);
        let gateway = configuration
            .gateway
            .filter(|g| is_host_address(*g) && *g != address);
        let Some(router) = gateway else {
            return Self {
                address,
                prefix_length: leased,
                gateway: None,
            };
        };
        let common = (address.to_bits() ^ router.to_bits()).leading_zeros();
        let widened = u32::from(leased).min(common);
        if widened < WIDENED_MIN && widened < u32::from(leased) {
            return Self {
                address,
                prefix_length: leased,
                gateway: None,
            };
        }
        Self {
            address,
            prefix_length: u8::try_from(widened).unwrap_or(leased),
            gateway,
        }
    }

    /// Who gets the frame for a packet to `to`: `to` itself, the router, or nobody.
    pub(crate) fn next_hop(&self, to: Ipv4Addr) -> Option<Ipv4Addr> {
        if !is_host_address(to) || to == self.address {
            return None;
        }
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix_length));
        let hosts = 1_u32
            .checked_shl(host_bits)
            .map_or(u32::MAX, |b| b.wrapping_sub(1));
        if (to.to_bits() ^ self.address.to_bits()) & !hosts != 0 {
            return self.gateway;
        }
        // The broadcast address of this network is nobody's.
        (host_bits < 2 || to.to_bits() & hosts != hosts).then_some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn route(address: [u8; 4], prefix_length: u8, gateway: Option<[u8; 4]>) -> Route {
        Route::new(&Configuration {
            address: address.into(),
            prefix_length,
            gateway: gateway.map(Into::into),
            dns: Vec::new(),
        })
    }

    #[test]
    fn neighbours_are_direct_and_others_go_through_the_router() {
        let r = route([10, 0, 2, 15], 24, Some([10, 0, 2, 2]));
        assert_eq!(r.next_hop([10, 0, 2, 7].into()), Some([10, 0, 2, 7].into()));
        assert_eq!(r.next_hop([10, 0, 3, 7].into()), Some([10, 0, 2, 2].into()));
        let r = route([10, 0, 2, 15], 24, None);
        assert_eq!(r.next_hop([10, 0, 3, 7].into()), None);
    }

    #[test]
    fn addresses_that_no_host_has_are_not_reachable() {
        let r = route([10, 0, 2, 15], 24, Some([10, 0, 2, 2]));
        for bad in [
            [0, 0, 0, 0],
            [127, 0, 0, 1],
            [224, 0, 0, 1],
            [255, 255, 255, 255],
            [10, 0, 2, 15],
            [10, 0, 2, 255],
        ] {
            assert_eq!(r.next_hop(bad.into()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_router_outside_of_a_host_lease_is_made_reachable() {
        let r = route([172, 31, 5, 9], 32, Some([172, 31, 0, 1]));
        assert_eq!(r.prefix_length, 21);
        assert_eq!(
            r.next_hop([172, 31, 0, 1].into()),
            Some([172, 31, 0, 1].into())
        );
        assert_eq!(
            r.next_hop([8, 8, 8, 8].into()),
            Some([172, 31, 0, 1].into())
        );
    }

    #[test]
    fn a_router_in_another_part_of_the_world_is_refused() {
        let r = route([10, 0, 2, 15], 24, Some([200, 0, 0, 1]));
        assert_eq!((r.prefix_length, r.gateway), (24, None));
        assert_eq!(
            route([10, 0, 2, 15], 24, Some([224, 0, 0, 1])).gateway,
            None
        );
        assert_eq!(
            route([10, 0, 2, 15], 24, Some([10, 0, 2, 15])).gateway,
            None
        );
    }
}
