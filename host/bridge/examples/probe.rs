//! An independent check of a bridge: rust-libp2p over TCP or QUIC, written after docs/fetch-protocol.md.
//!
//! `probe MULTIADDR REFERENCE [PATH]` fetches the manifest (if there is one), the file as an artifact and the same file as chunks,
//! verifies each chunk, compares the two, and prints one JSON object. `--clients N` measures N clients at once instead, which read the
//! chunks and throw them away.
#![allow(missing_docs, reason = "a program")]

use bmt::{ChunkAddress, VerifiedChunk};
use clap::Parser;
use content::{Collect, Reference};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, noise, tcp, yamux};
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

#[path = "../tests/common/driver.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod driver;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/deboot/fetch/1.0.0");

#[derive(Parser, Debug)]
struct Args {
    /// The bridge, /p2p/PEER included
    bridge: Multiaddr,
    /// What to fetch
    reference: Reference,
    /// A file in the directory that the reference names
    path: Option<String>,
    /// Expect this directory to hold a manifest
    #[arg(long)]
    manifest: bool,
    /// Measure so many clients at once
    #[arg(long)]
    clients: Option<usize>,
    /// Measure the way to the first verified chunk, with our client, through a wire of this many milliseconds there and back
    #[arg(long)]
    round_trip_ms: Option<u64>,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

/// Room for what one QUIC connection receives: 10 MB/s at a round trip of 100 ms.
const QUIC_WINDOW_BYTES: u32 = 1024 * 1024;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let limit = Duration::from_secs(args.timeout);
    let result = match (args.clients, args.round_trip_ms) {
        (Some(clients), _) => tokio::time::timeout(limit, measure(args, clients)).await,
        (None, Some(ms)) => tokio::time::timeout(limit, first_chunk(args, ms)).await,
        (None, None) => tokio::time::timeout(limit, check(args)).await,
    };
    match result {
        Ok(Ok(report)) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!("probe: not within {} s", limit.as_secs());
            ExitCode::FAILURE
        }
    }
}

/// A connection to a bridge.
struct Client {
    peer: PeerId,
    control: libp2p_stream::Control,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    async fn connect(bridge: &Multiaddr) -> Outcome<Self> {
        let Some(Protocol::P2p(peer)) = bridge.iter().last() else {
            return Err("the address must end with /p2p/PEER".into());
        };
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default().nodelay(true),
                noise::Config::new,
                yamux::Config::default,
            )?
            .with_quic_config(|mut config| {
                // What there is room for here and is not acknowledged yet stays in the bridge's memory.
                config.max_stream_data = QUIC_WINDOW_BYTES;
                config.max_connection_data = QUIC_WINDOW_BYTES;
                config
            })
            .with_behaviour(|_| libp2p_stream::Behaviour::new())?
            .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(bridge.clone())?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                _ => {}
            }
        }
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Ok(Self {
            peer,
            control,
            task,
        })
    }

    /// Sends a request; returns the stream behind the first line, and the line.
    async fn ask(&mut self, kind: &str, args: &Args) -> Outcome<(Stream, serde_json::Value)> {
        let mut stream = self.control.open_stream(self.peer, PROTOCOL).await?;
        let mut request = serde_json::json!({"type": kind, "hash": args.reference.to_hex()});
        if let Some(path) = &args.path {
            request["path"] = path.as_str().into();
        }
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        stream.flush().await?;
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            stream.read_exact(&mut byte).await?;
            if byte == *b"\n" {
                break;
            }
            line.push(byte[0]);
            if line.len() > 1024 {
                return Err("the first line does not end".into());
            }
        }
        let line: serde_json::Value = serde_json::from_slice(&line)?;
        if line["ok"] != true {
            return Err(format!("{kind}: {line}").into());
        }
        Ok((stream, line))
    }

    /// Fetches raw bytes, exactly as many as announced.
    async fn bytes(&mut self, kind: &str, args: &Args) -> Outcome<Vec<u8>> {
        let (mut stream, line) = self.ask(kind, args).await?;
        let size = line["size"].as_u64().ok_or("an answer without a size")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        if bytes.len() as u64 != size {
            return Err(format!("{kind}: {} bytes instead of {size}", bytes.len()).into());
        }
        Ok(bytes)
    }
}

/// Reads one chunk record; `None` at the end.
async fn record(stream: &mut Stream) -> Outcome<Option<(ChunkAddress, Vec<u8>)>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    match u32::from_be_bytes(length) {
        0 => Ok(None),
        length @ 40..=4233 => {
            let mut address = [0; 32];
            stream.read_exact(&mut address).await?;
            let mut data = vec![0; length as usize - 32];
            stream.read_exact(&mut data).await?;
            Ok(Some((ChunkAddress(address), data)))
        }
        u32::MAX => {
            let mut line = String::new();
            stream.read_to_string(&mut line).await?;
            Err(line.into())
        }
        other => Err(format!("a record of length {other:#x}").into()),
    }
}

async fn check(args: Args) -> Outcome<serde_json::Value> {
    let start = Instant::now();
    let mut client = Client::connect(&args.bridge).await?;
    let manifest = match args.manifest {
        true => Some(client.bytes("manifest", &args).await?.len()),
        false => None,
    };
    let artifact = client.bytes("artifact", &args).await?;
    // With a path the directory's chunks come first: they are verified, and the file below is found by its size alone here.
    let (mut stream, _) = client.ask("chunks", &args).await?;
    let mut chunks = Vec::new();
    while let Some((address, data)) = record(&mut stream).await? {
        chunks.push(VerifiedChunk::verify(address, data)?);
    }
    if args.path.is_none() {
        let mut file = Collect::new(args.reference, u64::MAX, usize::MAX);
        use bmt::ChunkConsumer;
        for chunk in &chunks {
            while file.poll_want().is_some() {}
            file.handle_chunk(chunk.clone())?;
        }
        let bytes = file
            .into_bytes()
            .ok_or("the chunks are not the whole file")?;
        if bytes != artifact {
            return Err("artifact and chunks differ".into());
        }
    }
    Ok(serde_json::json!({
        "bridge": args.bridge.to_string(),
        "manifest_bytes": manifest,
        "artifact_bytes": artifact.len(),
        "chunks": chunks.len(),
        "ms": start.elapsed().as_millis() as u64,
    }))
}

/// Many clients at once, each on a connection of its own.
async fn measure(args: Args, count: usize) -> Outcome<serde_json::Value> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(&args.bridge).await?);
    }
    let start = Instant::now();
    let args = std::sync::Arc::new(args);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let args = args.clone();
            tokio::spawn(async move {
                let (mut stream, _) = client.ask("chunks", &args).await?;
                let mut room = vec![0; 64 * 1024];
                let mut bytes = 0u64;
                let mut last = [1; 4];
                loop {
                    match stream.read(&mut room).await? {
                        0 => break,
                        count => {
                            bytes += count as u64;
                            if count >= 4 {
                                last.copy_from_slice(&room[count - 4..count]);
                            } else {
                                last.rotate_left(count);
                                last[4 - count..].copy_from_slice(&room[..count]);
                            }
                        }
                    }
                }
                if last != [0; 4] {
                    return Err("a stream was cut off".into());
                }
                Outcome::Ok(bytes)
            })
        })
        .collect();
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "clients": count,
        "bytes": bytes,
        "seconds": seconds,
        "megabytes_per_second": bytes as f64 / seconds / 1e6,
    }))
}

/// Counts round trips to the first verified chunk: on a connection that stands, and from dialling on.
async fn first_chunk(args: Args, round_trip_ms: u64) -> Outcome<serde_json::Value> {
    let bridge: p2p::Multiaddr = args.bridge.to_string().parse()?;
    let bridge = bridge.tcp_socket_addr().ok_or("a TCP address is needed")?;
    let wire = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = wire.local_addr()?;
    let delay = Duration::from_micros(round_trip_ms * 500);
    let relay = tokio::spawn(async move {
        while let Ok((near, _)) = wire.accept().await {
            let Ok(far) = TcpStream::connect(bridge).await else {
                continue;
            };
            for socket in [&near, &far] {
                drop(socket.set_nodelay(true));
            }
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            tokio::spawn(delayed(near_in, far_out, delay));
            tokio::spawn(delayed(far_in, near_out, delay));
        }
    });
    let root = args.reference;
    let measured = tokio::task::spawn_blocking(move || {
        let limit = Duration::from_secs(60);
        let start = Instant::now();
        let mut driver = driver::Driver::new(fetch::Config::new(address, [7; 32]));
        let mut one = One::new(root.address);
        driver.run(&mut one, true, limit).ok()?;
        let dialled = start.elapsed();
        // The first child of the root: nothing of it is on its way. The rest of the root's tree is, but a wire has no limit here.
        let child = one.chunk?.payload().first_chunk().copied()?;
        let mut driver = driver::Driver::new(fetch::Config::new(address, [8; 32]));
        let mut nothing = One::new(ChunkAddress([0; 32]));
        // A chunk that does not exist: the connection stands, and no stream is open.
        drop(driver.run(&mut nothing, true, limit));
        let mut one = One::new(ChunkAddress(child));
        let start = Instant::now();
        driver.run(&mut one, true, limit).ok()?;
        Some((dialled, start.elapsed()))
    });
    let (dialled, asked) = measured.await?.ok_or("nothing came through the wire")?;
    relay.abort();
    let trips = |time: Duration| time.as_secs_f64() * 1000.0 / round_trip_ms as f64;
    Ok(serde_json::json!({
        "round_trip_ms": round_trip_ms,
        "round_trips_to_first_chunk": trips(asked),
        "round_trips_from_dial": trips(dialled),
    }))
}

/// Moves bytes one way, each `delay` later than it came.
async fn delayed(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<(_, Vec<u8>)>();
    let writer = tokio::spawn(async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if tokio::io::AsyncWriteExt::write_all(&mut to, &bytes)
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let mut room = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut from, &mut room).await {
        let due = tokio::time::Instant::now() + delay;
        if sender.send((due, room[..count].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    drop(writer.await);
}

/// Wants one chunk.
struct One {
    want: Option<ChunkAddress>,
    chunk: Option<VerifiedChunk>,
    missing: bool,
}

impl One {
    fn new(address: ChunkAddress) -> Self {
        Self {
            want: Some(address),
            chunk: None,
            missing: false,
        }
    }
}

impl bmt::ChunkConsumer for One {
    type Error = std::convert::Infallible;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.want.take()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), Self::Error> {
        self.chunk = Some(chunk);
        Ok(())
    }
    fn handle_unavailable(&mut self, _: ChunkAddress) -> Result<(), Self::Error> {
        self.missing = true;
        Ok(())
    }
    fn is_done(&self) -> bool {
        self.chunk.is_some() || self.missing
    }
}
