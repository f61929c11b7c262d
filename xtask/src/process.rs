//! Child processes that end: each has a deadline, and the kernel kills it when xtask dies, however xtask dies.
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// Prepares a program that is killed when the thread that starts it ends.
///
/// `setpriv` (util-linux, on every Debian and Ubuntu) sets the parent death signal and then becomes the program, so the
/// process id is the program's own.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .stdin(Stdio::null());
    command
}

/// Prepares the cargo that runs xtask, in the root of the clone.
pub(crate) fn cargo() -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::workspace());
    // Set by the outer cargo for xtask; they would rebuild what depends on them.
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_VERSION");
    command
}

/// Returns where a program lies in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    // Ordinary users of Debian have no sbin in PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(sbin)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// A child that is killed when dropped.
#[derive(Debug)]
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only for a child that is gone.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Guard {
    /// Starts a command.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", display(command)))?;
        Ok(Self(child))
    }

    /// Waits until the child ends; `None` when it has not by the deadline.
    ///
    /// # Errors
    /// The child cannot be waited for.
    pub(crate) fn wait_until(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait().context("cannot wait for a child")? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Runs a command whose output goes to the terminal.
///
/// # Errors
/// It cannot be started, fails, or takes longer than `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = Guard::spawn(command)?;
    match child.wait_until(Instant::now() + limit)? {
        None => bail!(
            "{} did not end within {} s",
            display(command),
            limit.as_secs()
        ),
        Some(status) if !status.success() => bail!("{} failed: {status}", display(command)),
        Some(_) => Ok(()),
    }
}

/// Runs a command and returns what it printed, whether it failed or not.
///
/// # Errors
/// It cannot be started or takes longer than `limit`.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Guard::spawn(command)?;
    let stdout = drain(child.0.stdout.take().context("no stdout")?);
    let stderr = drain(child.0.stderr.take().context("no stderr")?);
    let status = child.wait_until(Instant::now() + limit)?;
    let Some(status) = status else {
        bail!(
            "{} did not end within {} s",
            display(command),
            limit.as_secs()
        );
    };
    let join = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok(Output {
        status,
        stdout: join(stdout),
        stderr: join(stderr),
    })
}

/// Runs a command and returns its standard output as text.
///
/// # Errors
/// It cannot be started, fails (the error shows the end of what it wrote), or takes longer than `limit`.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<String> {
    let output = output(command, limit)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = text.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default()
            .join("\n");
        bail!("{} failed: {}\n{tail}", display(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} did not print text", display(command)))
}

fn drain(mut stream: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        drop(stream.read_to_end(&mut bytes));
        bytes
    })
}

/// Returns the command as a person would type it, without the wrapper.
pub(crate) fn display(command: &Command) -> String {
    let words: Vec<_> = command
        .get_args()
        .skip(3)
        .map(|word| word.to_string_lossy())
        .collect();
    let program = words.first().map(|word| {
        Path::new(&**word)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
    });
    let rest = words.get(1..).unwrap_or_default().join(" ");
    format!("{} {rest}", program.unwrap_or_default())
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_failure_of_a_child_are_told() {
        assert_eq!(
            capture(
                command("sh").args(["-c", "echo a b"]),
                Duration::from_secs(20)
            )
            .unwrap(),
            "a b\n"
        );
        let error = capture(
            command("sh").args(["-c", "echo why >&2; exit 3"]),
            Duration::from_secs(20),
        )
        .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("why") && text.contains("3") && text.starts_with("sh -c"),
            "{text}"
        );
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let start = Instant::now();
        let error = run(command("sleep").arg("600"), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(300));
    }

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let deadline = Instant::now() + Duration::from_secs(20);
        let id = std::thread::spawn(move || {
            // Leaked on purpose: nobody but the kernel is left to kill it.
            let child =
                std::mem::ManuallyDrop::new(Guard::spawn(command("sleep").arg("600")).unwrap());
            let id = child.0.id();
            // The wrapper asks for the signal just before it becomes the program; ending sooner would only test who is faster.
            while std::fs::read_to_string(format!("/proc/{id}/comm"))
                .unwrap()
                .trim()
                != "sleep"
            {
                assert!(Instant::now() < deadline, "the program never started");
                std::thread::sleep(POLL);
            }
            id
        })
        .join()
        .unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() {
            assert!(Instant::now() < deadline, "process {id} lives on");
            std::thread::sleep(POLL);
        }
    }
}
