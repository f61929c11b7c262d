//! The few requests of bee's HTTP API that publishing needs. SPEC bee openapi/Swarm.yaml 7.4 and 8.0.
use super::batch::Batch;
use crate::source::hex;
use bmt::{ChunkAddress, ChunkKind, SPAN_BYTES, VerifiedChunk};
use content::feed::Feed;
use serde_json::Value;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

/// Largest answer that is read: the fill levels of 65,536 buckets are about 2.5 MB.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Part of an error answer that is shown.
const MESSAGE_CHARS_MAX: usize = 200;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Whole request. A deferred upload only writes to the node's disk; a loaded node may still take its time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const BATCH_HEADER: &str = "swarm-postage-batch-id";
const TAG_HEADER: &str = "swarm-tag";
const DEFERRED_HEADER: &str = "swarm-deferred-upload";
/// Identifier and signature in front of a single-owner chunk's span.
/// The request for single-owner chunks, as errors name it.
const POST_SOC: &str = "POST /soc/OWNER/ID";
const SOC_ID_BYTES: usize = 32;
const SOC_SIGNATURE_BYTES: usize = 65;

/// What bee says of a feed that was never updated.
const NO_UPDATE: &str = "no update found";

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// Where a node's HTTP API is: `http://host:port`, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BeeUrl(String);

/// Why text is no URL of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme or none.
    #[error("write the node's API as http://HOST:PORT, for example http://localhost:1633")]
    Scheme,
    /// TLS in a program without it.
    #[error(
        "this program was built without TLS; build it with `--features https`, or use a tunnel: ssh -L 1633:localhost:1633 HOST"
    )]
    NoTls,
    /// A query, a fragment, a user name, white space.
    #[error("the URL has parts that a node's API has not; write http://HOST:PORT")]
    Form,
}

impl FromStr for BeeUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        match scheme {
            "http" => {}
            "https" if cfg!(feature = "https") => {}
            "https" => return Err(UrlError::NoTls),
            _ => return Err(UrlError::Scheme),
        }
        let rest = rest.trim_end_matches('/');
        let odd = |c: char| c.is_whitespace() || c.is_control() || "?#@\"<>".contains(c);
        if rest.is_empty() || rest.starts_with('/') || rest.contains(odd) {
            return Err(UrlError::Form);
        }
        Ok(Self(format!("{scheme}://{rest}")))
    }
}

impl fmt::Display for BeeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BeeUrl {
    fn is_loopback(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        ["localhost", "127.", "[::1]"]
            .iter()
            .any(|name| rest.starts_with(name))
    }
}

/// A postage batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub [u8; 32]);

impl FromStr for BatchId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "a batch is 64 hexadecimal digits; the node lists its own at GET /stamps";
        let digits = text.strip_prefix("0x").unwrap_or(text);
        parse_hex(digits).map(Self).ok_or(FORM)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Reads exactly `2 * N` hexadecimal digits.
pub(crate) fn parse_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Why a request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody listens there.
    #[error("{url}: connection refused")]
    Refused {
        /// The node.
        url: BeeUrl,
    },
    /// No connection or no answer in time.
    #[error("{url}: {request}: no answer in time ({what})")]
    TimedOut {
        /// The node.
        url: BeeUrl,
        /// Which request.
        request: &'static str,
        /// Which part of it.
        what: String,
    },
    /// The connection broke, the name is unknown, or the other end does not speak HTTP.
    #[error("{url}: {request}: {what}")]
    Transport {
        /// The node.
        url: BeeUrl,
        /// Which request.
        request: &'static str,
        /// What happened.
        what: String,
    },
    /// A status that is no success.
    #[error("{url}: {request}: HTTP {status}: {message}")]
    Status {
        /// The node.
        url: BeeUrl,
        /// Which request.
        request: &'static str,
        /// HTTP status.
        status: u16,
        /// The node's words.
        message: String,
        /// What a gateway asks to wait, seconds.
        retry_after: Option<u64>,
    },
    /// An answer that bee does not give.
    #[error("{url}: {request}: the answer is not bee's: {what}")]
    Answer {
        /// The node.
        url: BeeUrl,
        /// Which request.
        request: &'static str,
        /// What is missing or wrong.
        what: &'static str,
    },
    /// The node stored something else.
    #[error("{url}: the node says it stored {answered} where chunk {sent} was sent")]
    Reference {
        /// The node.
        url: BeeUrl,
        /// Address computed here.
        sent: String,
        /// Address the node answered.
        answered: String,
    },
}

impl ApiError {
    /// Says whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::TimedOut { .. } | Self::Transport { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            Self::Answer { .. } | Self::Reference { .. } => false,
        }
    }

    /// How long the node asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => retry_after.map(Duration::from_secs),
            _ => None,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Refused { .. } => {
                "start the node, or correct --bee-url; bee listens on port 1633 (api-addr) unless it is told otherwise"
            }
            // SPEC bee 2.7 pkg/api/soc.go: not deferred, whatever the header says.
            Self::TimedOut { request, .. } if *request == POST_SOC => {
                "bee before 2.8 answers only when the network has taken a single-owner chunk: see that the node has peers (GET /peers), then run the same command again, or use bee 2.8"
            }
            Self::TimedOut { .. } | Self::Transport { .. } => {
                "look whether the node is up (GET /health) and reachable, then run the same command again: it sends only what is missing"
            }
            Self::Status {
                status, request, ..
            } => status_hint(*status, request),
            Self::Answer { .. } => "look whether --bee-url is the API of a bee node (GET /health)",
            Self::Reference { .. } => {
                "the node or something between is broken: nothing it answers can be trusted; try another node"
            }
        }
    }
}

fn status_hint(status: u16, request: &str) -> &'static str {
    match status {
        400 if request.contains("/stamps") => {
            "the batch is not usable yet (wait some minutes after buying it) or has run out; GET /stamps shows it"
        }
        400 => "the node refuses the batch or the request; look at its log",
        401 | 403 => {
            "what lies before the node wants credentials; use the node's own API, for example through ssh -L"
        }
        402 => {
            "the batch is full for this part of the address space: dilute it (PATCH /stamps/dilute/ID/DEPTH) or give another --batch, then run the same command again"
        }
        404 => {
            "this node does not own that batch: GET /stamps lists its batches, swarm-cli or POST /stamps/AMOUNT/DEPTH buys one"
        }
        413 => {
            "something between limits the size of requests below 8 KiB; use the node's own API, for example through ssh -L"
        }
        422 => {
            "the batch is not usable yet (wait some minutes after buying it) or has expired; GET /stamps shows usable and batchTTL"
        }
        429 => {
            "the node or gateway limits the rate; give a smaller --parallel, then run the same command again"
        }
        501 => "the node runs in a mode that takes no uploads (dev mode, gateway)",
        503 => {
            "the node is still starting or synchronising; wait (GET /health, GET /status), then run the same command again"
        }
        _ => {
            "look at the node's log, then run the same command again: it sends only what is missing"
        }
    }
}

/// How far the node is with spreading what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// Chunks taken.
    pub split: u64,
    /// Of these, chunks the node had taken before.
    pub seen: u64,
    /// Chunks that storers have confirmed.
    pub synced: u64,
}

impl SyncStatus {
    /// Says whether everything is in the network.
    pub fn is_complete(&self) -> bool {
        self.synced.saturating_add(self.seen) >= self.split
    }
}

/// A bee node. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Bee {
    agent: ureq::Agent,
    url: BeeUrl,
    batch: BatchId,
}

impl Bee {
    /// Prepares to talk to the node with at most `connections` at once; nothing is sent yet.
    pub fn new(url: BeeUrl, batch: BatchId, connections: usize) -> Self {
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .user_agent(concat!("deboot/", env!("CARGO_PKG_VERSION")));
        if url.is_loopback() {
            // A proxy of the environment would mean another machine's loopback.
            config = config.proxy(None);
        }
        Self {
            agent: config.build().into(),
            url,
            batch,
        }
    }

    /// The node.
    pub fn url(&self) -> &BeeUrl {
        &self.url
    }

    /// The batch.
    pub fn batch_id(&self) -> BatchId {
        self.batch
    }

    /// Asks what the batch is and how much of it is used.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn batch(&self) -> Result<Batch, ApiError> {
        const REQUEST: &str = "GET /stamps/BATCH";
        let value = self.get(REQUEST, &format!("/stamps/{}", self.batch))?;
        Batch::from_json(&value).map_err(|what| self.answer(REQUEST, what))
    }

    /// Asks how full each bucket of the batch is.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn buckets(&self) -> Result<Vec<u32>, ApiError> {
        const REQUEST: &str = "GET /stamps/BATCH/buckets";
        let value = self.get(REQUEST, &format!("/stamps/{}/buckets", self.batch))?;
        super::batch::buckets_from_json(&value).map_err(|what| self.answer(REQUEST, what))
    }

    /// Opens an upload session. Chunks that name it are stored by the node and spread in the background.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn create_tag(&self) -> Result<u64, ApiError> {
        const REQUEST: &str = "POST /tags";
        let request = self.agent.post(format!("{}/tags", self.url));
        let value = self.json(REQUEST, request.send_empty())?;
        let tag = value.get("uid").and_then(Value::as_u64);
        tag.ok_or_else(|| self.answer(REQUEST, "no uid"))
    }

    /// Asks how far the node is with spreading the chunks of a session.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn sync_status(&self, tag: u64) -> Result<SyncStatus, ApiError> {
        const REQUEST: &str = "GET /tags/UID";
        let value = self.get(REQUEST, &format!("/tags/{tag}"))?;
        let field = |name: &str| value.get(name).and_then(Value::as_u64);
        match (field("split"), field("seen"), field("synced")) {
            (Some(split), Some(seen), Some(synced)) => Ok(SyncStatus {
                split,
                seen,
                synced,
            }),
            _ => Err(self.answer(REQUEST, "no split, seen and synced")),
        }
    }

    /// Uploads one chunk and compares the address that the node answers.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn upload(&self, tag: u64, chunk: &VerifiedChunk) -> Result<(), ApiError> {
        let (request, path, body) = match chunk.kind() {
            ChunkKind::Content => ("POST /chunks", "/chunks".to_owned(), chunk.data()),
            // A short single-owner chunk sent to /chunks would be taken for a content-addressed one.
            ChunkKind::SingleOwner { .. } => {
                let (path, body) =
                    soc_request(chunk).ok_or_else(|| self.answer(POST_SOC, "a malformed chunk"))?;
                (POST_SOC, path, body)
            }
        };
        let sent = self
            .agent
            .post(format!("{}{path}", self.url))
            .header(BATCH_HEADER, self.batch.to_string())
            .header(TAG_HEADER, tag.to_string())
            .header(DEFERRED_HEADER, "true")
            .content_type("application/octet-stream")
            .send(body);
        let value = self.json(request, sent)?;
        let answered = value.get("reference").and_then(Value::as_str);
        let answered = answered.ok_or_else(|| self.answer(request, "no reference"))?;
        if parse_hex(answered).map(ChunkAddress) == Some(chunk.address()) {
            return Ok(());
        }
        Err(ApiError::Reference {
            url: self.url.clone(),
            sent: hex(&chunk.address().0),
            answered: shorten(answered),
        })
    }

    /// Asks for the index behind the newest update of a sequence feed; `None` when the node finds no update.
    ///
    /// # Errors
    /// [`ApiError`]
    pub fn next_feed_index(&self, feed: Feed) -> Result<Option<u64>, ApiError> {
        const REQUEST: &str = "GET /feeds/OWNER/TOPIC";
        let sent = self
            .agent
            .get(format!("{}/feeds/{}/{}", self.url, feed.owner, feed.topic))
            .header("swarm-only-root-chunk", "true")
            .call();
        let answer = match self.exchange(REQUEST, sent) {
            Ok(answer) => answer,
            Err(ApiError::Status {
                status: 404,
                message,
                ..
            }) if message.contains(NO_UPDATE) => return Ok(None),
            Err(error) => return Err(error),
        };
        let index = answer.0.get("swarm-feed-index-next");
        let index = index.and_then(|value| parse_hex(value.to_str().ok()?));
        let index = index.ok_or_else(|| self.answer(REQUEST, "no swarm-feed-index-next"))?;
        Ok(Some(u64::from_be_bytes(index)))
    }

    fn get(&self, request: &'static str, path: &str) -> Result<Value, ApiError> {
        let sent = self.agent.get(format!("{}{path}", self.url)).call();
        self.json(request, sent)
    }

    fn json(&self, request: &'static str, sent: Sent) -> Result<Value, ApiError> {
        let (_, body) = self.exchange(request, sent)?;
        serde_json::from_slice(&body).map_err(|_| self.answer(request, "no JSON"))
    }

    /// Reads headers and body of a success.
    fn exchange(
        &self,
        request: &'static str,
        sent: Sent,
    ) -> Result<(ureq::http::HeaderMap, Vec<u8>), ApiError> {
        let mut response = sent.map_err(|error| self.transport(request, &error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        // Read to its end in any case: only then can the connection be used again.
        let body = body.read_to_vec();
        if !(200..300).contains(&status) {
            return Err(ApiError::Status {
                url: self.url.clone(),
                request,
                status,
                message: error_message(&body.unwrap_or_default()),
                retry_after,
            });
        }
        let body = body.map_err(|error| self.transport(request, &error))?;
        Ok((std::mem::take(response.headers_mut()), body))
    }

    fn answer(&self, request: &'static str, what: &'static str) -> ApiError {
        ApiError::Answer {
            url: self.url.clone(),
            request,
            what,
        }
    }

    fn transport(&self, request: &'static str, error: &ureq::Error) -> ApiError {
        let url = self.url.clone();
        match error {
            ureq::Error::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                ApiError::Refused { url }
            }
            ureq::Error::Timeout(what) => ApiError::TimedOut {
                url,
                request,
                what: what.to_string(),
            },
            other => ApiError::Transport {
                url,
                request,
                what: other.to_string(),
            },
        }
    }
}

/// Path and body for a single-owner chunk. SPEC bee pkg/api/soc.go: owner and id in the path, signature as query, span ‖ payload as body.
fn soc_request(chunk: &VerifiedChunk) -> Option<(String, &[u8])> {
    let ChunkKind::SingleOwner { id, owner, .. } = chunk.kind() else {
        return None;
    };
    let data = chunk.data();
    let signature = data.get(SOC_ID_BYTES..SOC_ID_BYTES + SOC_SIGNATURE_BYTES)?;
    let body = data.get(SOC_ID_BYTES + SOC_SIGNATURE_BYTES..)?;
    let path = format!("/soc/{owner}/{}?sig={}", hex(&id), hex(signature));
    (body.len() >= SPAN_BYTES).then_some((path, body))
}

/// The node's words: bee's `message`, else the beginning of the body, without what could move a cursor.
fn error_message(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let text = match value.as_ref().and_then(|v| v.get("message")?.as_str()) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    match shorten(&text) {
        text if text.is_empty() => "no further words".to_owned(),
        text => text,
    }
}

fn shorten(text: &str) -> String {
    let visible = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bmt::SecretKey;

    #[test]
    fn urls_of_nodes_are_read_and_others_refused() {
        let url = |text: &str| text.parse::<BeeUrl>().map(|u| u.to_string());
        assert_eq!(
            url("http://localhost:1633/").unwrap(),
            "http://localhost:1633"
        );
        assert_eq!(
            url("http://10.0.0.1:80/bee").unwrap(),
            "http://10.0.0.1:80/bee"
        );
        assert_eq!(url("localhost:1633"), Err(UrlError::Scheme));
        assert_eq!(url("ftp://a"), Err(UrlError::Scheme));
        for odd in [
            "http://",
            "http:///a",
            "http://a b",
            "http://a?b",
            "http://u@a",
            "http://a#b",
        ] {
            assert_eq!(url(odd), Err(UrlError::Form), "{odd}");
        }
        let https = url("https://example.org");
        assert_eq!(https.is_ok(), cfg!(feature = "https"));
    }

    #[test]
    fn batches_are_64_digits() {
        let digits = "ab".repeat(32);
        assert_eq!(digits.parse(), Ok(BatchId([0xab; 32])));
        assert_eq!(format!("0x{digits}").parse(), Ok(BatchId([0xab; 32])));
        for bad in ["", "ab", &digits[1..], &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<BatchId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_single_owner_chunk_goes_apart_from_its_id_and_signature() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let chunk = VerifiedChunk::single_owner([9; 32], &key, [3, 0, 0, 0, 0, 0, 0, 0], b"abc");
        let chunk = chunk.unwrap();
        let (path, body) = soc_request(&chunk).unwrap();
        assert_eq!(body, b"\x03\0\0\0\0\0\0\0abc");
        let signature = hex(&chunk.data()[32..97]);
        let owner = key.address().to_string();
        assert_eq!(
            path,
            format!("/soc/{owner}/{}?sig={signature}", "09".repeat(32))
        );
        let plain = VerifiedChunk::content([0; 8], b"").unwrap();
        assert_eq!(soc_request(&plain), None);
    }

    #[test]
    fn the_nodes_words_are_shown_without_control_characters() {
        assert_eq!(
            error_message(br#"{"code":402,"message":"batch is overissued"}"#),
            "batch is overissued"
        );
        assert_eq!(error_message(b"<html>\x1b[2J"), "<html> [2J");
        assert_eq!(error_message(b""), "no further words");
        assert_eq!(error_message(&[b'a'; 1000]).len(), MESSAGE_CHARS_MAX);
    }
}
