//! `debootd status` over a unix socket: whoever connects is sent one JSON object and the end of the stream.
use crate::status::Status;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the daemon listens.
pub const SOCKET_PATH: &str = "/run/deboot/debootd.sock";
/// Largest answer a client reads: stops a stranger on the socket from filling memory.
pub const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// How long the daemon waits for one client to take its answer. It fits into the socket's buffer, so nobody waits in practice.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client waits unless told otherwise.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the socket cannot be served or asked.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error("{0}: another debootd is running")]
    AlreadyRunning(PathBuf),
    /// The socket cannot be made.
    #[error("{path}: {error}")]
    Bind {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Nobody listens.
    #[error(
        "{path}: {error}; debootd is not running (it does not run when its check failed: see the console)"
    )]
    Connect {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// No whole answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// An answer that is not a status.
    #[error("bad answer: {0}")]
    Answer(String),
}

/// The listening socket; its file goes away with it.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Listens at `path`, whose directory is made when missing. A file left by a daemon that died is replaced.
    ///
    /// # Errors
    /// [`SocketError::AlreadyRunning`], [`SocketError::Bind`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        if UnixStream::connect(path).is_ok() {
            return Err(SocketError::AlreadyRunning(path.to_owned()));
        }
        let bind = || {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(path)?;
            // Anybody may ask: the status has no secrets, and connecting needs write permission.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
            Ok(listener)
        };
        let listener = bind().map_err(|error| SocketError::Bind {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Answers clients, one after the other, for ever.
    pub fn serve(&self, status: impl Fn() -> Status) {
        for stream in self.listener.incoming() {
            // A client that fails only hurts itself; a failed accept (no file descriptors) must not spin.
            match stream {
                Ok(stream) => drop(answer(stream, &status())),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a file that is gone already.
        drop(std::fs::remove_file(&self.path));
    }
}

fn answer(mut stream: UnixStream, status: &Status) -> std::io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.write_all(&serde_json::to_vec(status)?)
}

/// Asks the daemon at `path`.
///
/// # Errors
/// [`SocketError::Connect`] when nobody listens, [`SocketError::Timeout`], [`SocketError::Answer`].
pub fn ask(path: &Path, timeout: Duration) -> Result<Status, SocketError> {
    let deadline = std::time::Instant::now() + timeout;
    let mut stream = UnixStream::connect(path).map_err(|error| SocketError::Connect {
        path: path.to_owned(),
        error,
    })?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Err(SocketError::Timeout(timeout));
        }
        stream
            .set_read_timeout(Some(left))
            .map_err(|e| SocketError::Answer(e.to_string()))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(SocketError::Timeout(timeout));
            }
            Err(error) => return Err(SocketError::Answer(error.to_string())),
        }
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > ANSWER_BYTES_MAX {
            return Err(SocketError::Answer(format!(
                "more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
    }
    serde_json::from_slice(&bytes).map_err(|error| SocketError::Answer(error.to_string()))
}
