//! Figures for Prometheus.
use fetch::Code;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Mutex;
use std::time::Duration;

/// One label with one value.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Label {
    /// The value; the name in the exposition is `kind`.
    kind: &'static str,
}

/// Counters, gauges and histograms of one bridge.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) bytes_sent: Counter,
    pub(crate) chunks_sent: Counter,
    requests: Family<Label, Counter>,
    errors: Family<Label, Counter>,
    chunks_found: Family<Label, Counter>,
    pub(crate) backend_latency: Histogram,
    pub(crate) streams: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) backend_pending: Gauge,
}

impl Metrics {
    /// Makes the figures, all zero.
    pub fn new() -> Self {
        let bytes_sent = Counter::default();
        let chunks_sent = Counter::default();
        let requests = Family::default();
        let errors = Family::default();
        let chunks_found = Family::default();
        // 1 ms to 32 s.
        let backend_latency = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let streams = Gauge::default();
        let connections = Gauge::default();
        let backend_pending = Gauge::default();
        let mut registry = Registry::with_prefix("deboot_bridge");
        let r = &mut registry;
        r.register("sent_bytes", "Bytes of answers", bytes_sent.clone());
        r.register("sent_chunks", "Chunks sent", chunks_sent.clone());
        r.register("requests", "Requests by type", requests.clone());
        r.register("errors", "Errors by code", errors.clone());
        let help = "Chunks needed, by where they were found";
        r.register("chunks", help, chunks_found.clone());
        let help = "Time for one chunk to come from the back end";
        r.register_with_unit(
            "backend_latency",
            help,
            Unit::Seconds,
            backend_latency.clone(),
        );
        r.register("streams", "Streams being served", streams.clone());
        r.register("connections", "Connections open", connections.clone());
        let help = "Chunks asked of the back end and not answered";
        r.register("backend_pending", help, backend_pending.clone());
        Self {
            registry: Mutex::new(registry),
            bytes_sent,
            chunks_sent,
            requests,
            errors,
            chunks_found,
            backend_latency,
            streams,
            connections,
            backend_pending,
        }
    }

    pub(crate) fn count_request(&self, kind: &'static str) {
        self.requests.get_or_create(&Label { kind }).inc();
    }

    pub(crate) fn count_error(&self, code: Code) {
        self.errors
            .get_or_create(&Label {
                kind: code.as_str(),
            })
            .inc();
    }

    /// Counts a chunk: `memory`, `disk`, `backend`, `joined` (somebody else was asking already), `missing` or `failed`.
    pub(crate) fn count_chunk(&self, kind: &'static str) {
        self.chunks_found.get_or_create(&Label { kind }).inc();
    }

    pub(crate) fn observe_backend(&self, time: Duration) {
        self.backend_latency.observe(time.as_secs_f64());
    }

    /// Returns everything in the text format of OpenMetrics.
    pub fn render(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(|e| e.into_inner());
        let mut text = String::new();
        let written = encode(&mut text, &registry);
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
