//! The libp2p half of a storer: connections, and streams on them.
//!
//! A small behaviour of our own instead of `libp2p-stream`: streams are opened on a certain connection, several protocol ids can be
//! proposed on one stream (15.0.0, then 14.0.0), inbound streams are counted per connection, and an inbound stream goes straight
//! from the connection's task to a task of its own, without a queue that all streams of a node share.
mod behaviour;
mod driver;

pub(crate) use behaviour::{Connection, OpenError};
pub(crate) use driver::{Cancel, Command, Listening, Network, start};

use libp2p::{Stream, StreamProtocol};
use std::sync::Arc;

/// What a network reports to.
pub(crate) trait Host: Send + Sync + 'static {
    /// A stream was opened by the other side and its protocol agreed on.
    fn handle_stream(
        self: Arc<Self>,
        connection: Arc<Connection>,
        protocol: StreamProtocol,
        stream: Stream,
    );
    /// A connection is up; `dialer` tells who made it.
    fn handle_connected(self: Arc<Self>, connection: Arc<Connection>);
    /// A connection is gone.
    fn handle_disconnected(self: Arc<Self>, connection: Arc<Connection>);
}
