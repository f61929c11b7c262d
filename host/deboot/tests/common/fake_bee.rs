//! A pretended bee node: the part of its HTTP API that publishing uses, with a count of every upload, and faults.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// Every upload takes this long.
    Slow(Duration),
    /// Every third upload has this status.
    EveryThird(u16),
    /// After so many uploads all have this status.
    After(usize, u16),
    /// Status and body of the question for the batch.
    Batch(u16, &'static str),
    /// Another reference is answered.
    Lies,
    /// A look-up of a feed ends as in bee when a chunk cannot be asked for.
    FeedLookUpFails,
    /// No storer confirms anything.
    NeverSpreads,
}

struct State {
    fault: Fault,
    buckets: bool,
    requests: usize,
    uploads: usize,
    chunks: BTreeMap<String, usize>,
    soc: Vec<String>,
}

/// The node. Its threads end with the process.
pub(crate) struct FakeBee {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeBee {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            fault,
            buckets: true,
            requests: 0,
            uploads: 0,
            chunks: BTreeMap::new(),
            soc: Vec::new(),
        }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// Behaves like a gateway that does not tell how full each bucket is.
    pub(crate) fn without_buckets(&self) {
        self.state.lock().unwrap().buckets = false;
    }

    /// Uploads that were confirmed.
    pub(crate) fn uploads(&self) -> usize {
        self.state.lock().unwrap().uploads
    }

    /// Different chunks among them.
    pub(crate) fn distinct(&self) -> usize {
        self.state.lock().unwrap().chunks.len()
    }

    pub(crate) fn holds(&self, reference: &str) -> bool {
        self.state.lock().unwrap().chunks.contains_key(reference)
    }

    /// Paths of the single-owner chunks that were uploaded.
    pub(crate) fn single_owner_chunks(&self) -> Vec<String> {
        self.state.lock().unwrap().soc.clone()
    }
}

/// Serves one connection until the other end closes it.
fn serve(stream: &TcpStream, state: &Mutex<State>) {
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let headers = headers(&mut reader);
        let length = headers
            .get("content-length")
            .map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (status, answer) = answer(state, method, path, &headers, &body);
        let head = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let mut writer = stream;
        if writer.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn headers(reader: &mut impl BufRead) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => return headers,
        };
    }
}

fn answer(
    state: &Mutex<State>,
    method: &str,
    path: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> (u16, String) {
    let fault = state.lock().unwrap().fault;
    match (method, path) {
        ("GET", path) if path.starts_with("/stamps/") && path.ends_with("/buckets") => {
            if !state.lock().unwrap().buckets {
                return (404, "{}".to_owned());
            }
            let bucket = |id| format!(r#"{{"bucketID":{id},"collisions":1}}"#);
            let list: Vec<_> = (0..65_536).map(bucket).collect();
            (200, format!(r#"{{"depth":20,"bucketDepth":16,"buckets":[{}]}}"#, list.join(",")))
        }
        ("GET", path) if path.starts_with("/stamps/") => match fault {
            Fault::Batch(status, body) => (status, body.to_owned()),
            _ => (200, r#"{"utilization":1,"usable":true,"depth":20,"bucketDepth":16,"immutableFlag":true,"exists":true,"batchTTL":8640000}"#.to_owned()),
        },
        // This node never finds an update: what was announced before must be remembered by whoever announced it.
        ("GET", path) if path.starts_with("/feeds/") => {
            let message = match fault {
                Fault::FeedLookUpFails => "lookup at failed",
                _ => "no update found",
            };
            (404, format!(r#"{{"code":404,"message":"{message}"}}"#))
        }
        ("POST", "/tags") => (201, r#"{"uid":77}"#.to_owned()),
        ("GET", "/tags/77") => {
            let uploads = state.lock().unwrap().uploads;
            let synced = if matches!(fault, Fault::NeverSpreads) { 0 } else { uploads };
            (200, format!(r#"{{"split":{uploads},"seen":0,"synced":{synced}}}"#))
        }
        ("POST", path) if path == "/chunks" || path.starts_with("/soc/") => {
            assert_eq!(headers["swarm-tag"], "77");
            assert_eq!(headers["swarm-postage-batch-id"].len(), 64);
            upload(state, path, body)
        }
        _ => (404, r#"{"code":404,"message":"Not Found"}"#.to_owned()),
    }
}

fn upload(state: &Mutex<State>, path: &str, body: &[u8]) -> (u16, String) {
    let fault = state.lock().unwrap().fault;
    if let Fault::Slow(time) = fault {
        std::thread::sleep(time);
    }
    let (span, payload) = body.split_first_chunk().unwrap();
    let mut address = bmt::content_address(span, payload).to_string();
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let refused = match fault {
        Fault::EveryThird(status) if state.requests.is_multiple_of(3) => Some(status),
        Fault::After(count, status) if state.uploads >= count => Some(status),
        _ => None,
    };
    if let Some(status) = refused {
        return (status, format!(r#"{{"code":{status},"message":"no"}}"#));
    }
    if let Some(soc) = path.strip_prefix("/soc/") {
        let (owner, rest) = soc.split_once('/').unwrap();
        let (id, _) = rest.split_once("?sig=").unwrap();
        let bytes = |digits: &str| -> Vec<u8> {
            let pairs = digits.as_bytes().chunks(2);
            pairs
                .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
                .collect()
        };
        let owner = bmt::EthAddress(bytes(owner).try_into().unwrap());
        let id: [u8; 32] = bytes(id).try_into().unwrap();
        address = bmt::single_owner_address(&id, &owner).to_string();
        state.soc.push(path.to_owned());
    }
    if matches!(fault, Fault::Lies) {
        return (201, format!(r#"{{"reference":"{}"}}"#, "ab".repeat(32)));
    }
    state.uploads += 1;
    *state.chunks.entry(address.clone()).or_default() += 1;
    (201, format!(r#"{{"reference":"{address}"}}"#))
}
