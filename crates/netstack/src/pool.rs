//! The bounded pool of TCP sockets, their buffers and their ports.
use crate::config::Config;
use crate::random::Random;
use crate::time::duration_to_smoltcp;
use alloc::vec;
use alloc::vec::Vec;
use litemap::LiteMap;
use smoltcp::socket::tcp;

/// First of IANA's dynamic ports.
const PORT_FIRST: u16 = 49152;
/// Number of dynamic ports.
const PORTS: u16 = 16384;
/// SPEC RFC 6056 3.3.5: each port lies a random step of at most this many behind the last one.
const PORT_STEP: u64 = 64;
/// Pause after which data is acknowledged even if nothing goes the other way. A request for the next chunk usually does.
const ACK_DELAY: core::time::Duration = core::time::Duration::from_millis(5);

/// Sockets that are not in use, and a count of those that are. A socket is made when it is first needed, and keeps its buffers.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Vec<tcp::Socket<'static>>,
    made: usize,
    config: Config,
    ports_used: LiteMap<u16, ()>,
    port_last: u16,
    random: Random,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Self {
        let mut random = Random::new(config.seed, 1);
        let port_last = PORT_FIRST.saturating_add(random.next_u16() % PORTS);
        Self {
            idle: Vec::new(),
            made: 0,
            config: config.clone(),
            ports_used: LiteMap::new_vec(),
            port_last,
            random,
        }
    }

    /// Takes a socket in state CLOSED, with the options every connection has; `None` if all are in use.
    pub(crate) fn take(&mut self) -> Option<tcp::Socket<'static>> {
        let mut socket = match self.idle.pop() {
            Some(socket) => socket,
            None if self.made < self.config.sockets_max => {
                self.made = self.made.saturating_add(1);
                tcp::Socket::new(
                    tcp::SocketBuffer::new(vec![0; self.config.receive_bytes]),
                    tcp::SocketBuffer::new(vec![0; self.config.send_bytes]),
                )
            }
            None => return None,
        };
        // Requests are small and each one is waited for.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(Some(duration_to_smoltcp(ACK_DELAY)));
        // `connect` resets everything but the congestion window of the last connection.
        socket.set_congestion_control(tcp::CongestionControl::Reno);
        socket.set_timeout(Some(duration_to_smoltcp(self.config.silence_timeout)));
        socket.set_keep_alive(Some(duration_to_smoltcp(self.config.keep_alive)));
        Some(socket)
    }

    /// Gives a socket back, whatever its state.
    pub(crate) fn give(&mut self, mut socket: tcp::Socket<'static>) {
        socket.abort();
        self.idle.push(socket);
    }

    /// Reserves a port that no connection uses.
    pub(crate) fn take_port(&mut self) -> Option<u16> {
        // More ports are tried than can be in use.
        for _ in 0..=self.config.sockets_max.saturating_mul(2) {
            let step = u16::try_from(self.random.below(PORT_STEP)).unwrap_or(0);
            let offset = self
                .port_last
                .wrapping_sub(PORT_FIRST)
                .wrapping_add(step)
                .wrapping_add(1)
                % PORTS;
            self.port_last = PORT_FIRST.saturating_add(offset);
            if self.ports_used.insert(self.port_last, ()).is_none() {
                return Some(self.port_last);
            }
        }
        None
    }

    /// Frees a port.
    pub(crate) fn give_port(&mut self, port: u16) {
        self.ports_used.remove(&port);
    }

    /// Sockets that own buffers.
    pub(crate) fn made(&self) -> usize {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    fn pool(sockets_max: usize) -> Pool {
        let mut config = Config::new([2, 0, 0, 0, 0, 1], 7);
        config.sockets_max = sockets_max;
        Pool::new(&config)
    }

    #[test]
    fn no_memory_is_taken_before_the_first_socket_and_it_is_used_again() {
        let mut pool = pool(2);
        assert_eq!(pool.made(), 0);
        for _ in 0..100 {
            let socket = pool.take().expect("a socket");
            pool.give(socket);
        }
        assert_eq!(pool.made(), 1);
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = pool(2);
        let a = pool.take();
        let b = pool.take();
        assert!(a.is_some() && b.is_some() && pool.take().is_none());
    }

    #[test]
    fn ports_in_use_are_dynamic_and_unique() {
        let mut pool = pool(64);
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let port = pool.take_port().expect("a port");
            assert!(port >= PORT_FIRST);
            assert!(seen.insert(port));
        }
    }

    #[test]
    fn a_freed_port_is_not_the_next_one() {
        let mut pool = pool(1);
        let first = pool.take_port().expect("a port");
        pool.give_port(first);
        for _ in 0..100 {
            let port = pool.take_port().expect("a port");
            assert_ne!(port, first);
            pool.give_port(port);
        }
    }
}
