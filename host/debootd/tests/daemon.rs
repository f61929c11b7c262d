//! The daemon as a process, over directories that stand for the root of a system.
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const REFERENCE: &str = "5d5e0f6b3a1c4e2d9b8a7766554433221100ffeeddccbbaa99887766554433c9";
const GUID: &str = "75a9eda8-28ce-475b-97bd-144eb59c1cec";
const TIMINGS: &str = r#"{"schema":"deboot/timings/1","unit":"ms",
    "timings":{"init":3602,"config":61,"nic":143,"dhcp":160,"peers":402,"manifest":455,"fetch":3120,"exec":3171},
    "fetched":{"bytes":15204352,"chunks":3742,"peers":24},"memory_peak_bytes":7340032}"#;

fn command_line() -> String {
    format!(
        "deboot.reference={REFERENCE} deboot.name=example-host deboot.version=2026.11.3 deboot.sequence=17 \
         deboot.timings=init:3602,config:61,nic:143,dhcp:160,peers:402,manifest:455,fetch:3120,exec:3171 \
         deboot.fetched=bytes:15204352,chunks:3742,peers:24 console=ttyS0 deboot.sequence=99\n"
    )
}

/// A root directory that goes away with the test.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("debootd-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        let root = Self(path);
        root.write("proc/cmdline", command_line().as_bytes());
        root.write("proc/uptime", b"4.25 3.00\n");
        root.write(
            "etc/deboot/release.json",
            br#"{"schema":"deboot/release-file/1","name":"example-host","version":"2026.11.3","sequence":17}"#,
        );
        root.variable("DebootReference", REFERENCE);
        root.variable("DebootSequence", "17");
        root.variable("DebootTimings", TIMINGS);
        root
    }
    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    fn variable(&self, name: &str, text: &str) {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        self.write(&format!("sys/firmware/efi/efivars/{name}-{GUID}"), &bytes);
    }
    fn socket(&self) -> PathBuf {
        self.0.join("run/debootd.sock")
    }
    fn debootd(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debootd"));
        command.arg(verb).arg("--socket").arg(self.socket());
        if verb == "run" {
            command.arg("--root").arg(&self.0);
        }
        command
    }
    /// Runs a daemon that must refuse.
    fn refused(&self) -> String {
        let output = self.debootd("run").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(!self.socket().exists());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("debootd failed: "), "{text}");
        assert!(!text.contains("ready"), "{text}");
        text
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A running daemon and its first line.
struct Daemon {
    child: Child,
    line: String,
    rest: BufReader<std::process::ChildStdout>,
}

impl Daemon {
    fn start(root: &Root) -> Self {
        let mut child = root.debootd("run").stdout(Stdio::piped()).spawn().unwrap();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        rest.read_line(&mut line).unwrap();
        Self { child, line, rest }
    }
    /// Sends SIGTERM; returns the exit status and what the daemon printed after its first line.
    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let code = self.child.wait().unwrap().code();
        let mut text = String::new();
        self.rest.read_to_string(&mut text).unwrap();
        (code, text)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_boot_whose_sources_agree_is_ready_and_says_everything() {
    let root = Root::new("ready");
    let daemon = Daemon::start(&root);
    assert_eq!(
        daemon.line,
        format!(
            "debootd ready name=example-host version=2026.11.3 sequence=17 reference={REFERENCE} \
             timings=init:3602,config:61,nic:143,dhcp:160,peers:402,manifest:455,fetch:3120,exec:3171 \
             bytes=15204352 chunks=3742 peers=24 memory_peak=7340032 efi=agree uptime=4.250\n"
        )
    );
}

#[test]
fn status_asks_the_daemon_as_text_and_as_json_and_sigterm_ends_it() {
    let root = Root::new("status");
    let daemon = Daemon::start(&root);
    let line = root.debootd("status").output().unwrap();
    assert_eq!(
        (line.status.code(), text(&line)),
        (Some(0), daemon.line.clone())
    );
    root.write("proc/uptime", b"9.00 3.00\n");
    let json = root.debootd("status").arg("--json").output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(status["schema"], "deboot/status/1");
    assert_eq!(
        (&status["reference"], &status["sequence"]),
        (&REFERENCE.into(), &17.into())
    );
    assert_eq!(
        (&status["ready_uptime_ms"], &status["uptime_ms"]),
        (&4250.into(), &9000.into())
    );
    assert_eq!(status["timings"][1]["key"], "config");
    assert_eq!(
        daemon.terminate(),
        (Some(0), "debootd: stopped by SIGTERM\n".to_owned())
    );
    assert!(!root.socket().exists(), "the socket outlives the daemon");
    let nobody = root.debootd("status").output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody).contains("not running"), "{}", text(&nobody));
}

#[test]
fn clients_that_never_read_do_not_keep_others_from_their_answer() {
    let root = Root::new("idle");
    let _daemon = Daemon::start(&root);
    let idle: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(root.socket()).unwrap())
        .collect();
    assert!(root.debootd("status").output().unwrap().status.success());
    drop(idle);
}

#[test]
fn status_gives_up_on_a_daemon_that_does_not_answer() {
    let root = Root::new("mute");
    std::fs::create_dir_all(root.socket().parent().unwrap()).unwrap();
    let _mute = UnixListener::bind(root.socket()).unwrap();
    let start = Instant::now();
    let output = root
        .debootd("status")
        .args(["--timeout-ms", "200"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("no answer within"),
        "{}",
        text(&output)
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_second_daemon_is_refused_and_a_dead_ones_socket_is_replaced() {
    let root = Root::new("second");
    std::fs::create_dir_all(root.socket().parent().unwrap()).unwrap();
    drop(UnixListener::bind(root.socket()).unwrap());
    assert!(root.socket().exists());
    let daemon = Daemon::start(&root);
    assert!(daemon.line.starts_with("debootd ready"), "{}", daemon.line);
    let second = root.debootd("run").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second).contains("another debootd is running"),
        "{}",
        text(&second)
    );
    assert!(
        root.debootd("status").output().unwrap().status.success(),
        "the first one still answers"
    );
}

#[test]
fn a_kernel_that_another_loader_started_is_not_ready() {
    let root = Root::new("foreign");
    root.write("proc/cmdline", b"console=ttyS0\n");
    let text = root.refused();
    assert!(
        text.contains("no deboot.reference") && text.contains("not started by SWFETCH"),
        "{text}"
    );
}

#[test]
fn without_efi_variables_the_line_says_so() {
    let root = Root::new("no-efi");
    let variables = root.0.join("sys/firmware/efi/efivars");
    std::fs::remove_dir_all(&variables).unwrap();
    assert!(Daemon::start(&root).line.contains(" efi=unavailable "));
    root.write(
        "sys/firmware/efi/efivars/Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        b"\x07\0\0\0",
    );
    assert!(Daemon::start(&root).line.contains(" efi=absent "));
}

#[test]
fn a_long_command_line_without_timings_takes_them_from_the_efi_variable() {
    let root = Root::new("long");
    root.write(
        "proc/cmdline",
        format!("deboot.reference={REFERENCE} deboot.sequence=17\n").as_bytes(),
    );
    let line = Daemon::start(&root).line.clone();
    assert!(
        line.contains("timings=init:3602,config:61,nic:143,") && line.contains("peers=24"),
        "{line}"
    );
    assert!(line.contains("name=example-host"), "{line}");
}

#[test]
fn the_error_of_the_boot_before_is_reported() {
    let root = Root::new("previous");
    root.variable("DebootPreviousError", "DB0201 no DHCP server answered");
    let line = Daemon::start(&root).line.clone();
    assert!(
        line.ends_with(" previous_error=\"DB0201 no DHCP server answered\"\n"),
        "{line}"
    );
}

/// Changes a good system into a bad one.
type Change = Box<dyn Fn(&Root)>;

fn replace(from: &'static str, to: &'static str) -> Change {
    Box::new(move |root| {
        root.write(
            "proc/cmdline",
            command_line().replacen(from, to, 1).as_bytes(),
        )
    })
}

fn variable(name: &'static str, text: &'static str) -> Change {
    Box::new(move |root| root.variable(name, text))
}

#[test]
fn sources_that_disagree_or_make_no_sense_are_refused_by_name() {
    let cases: Vec<(&str, Change, &[&str])> = vec![
        (
            "short reference",
            replace("c9 deboot.name", " deboot.name"),
            &["deboot.reference", "62 characters"],
        ),
        (
            "no sequence",
            Box::new(|root| root.write("proc/cmdline", b"deboot.reference=00")),
            &["no deboot.sequence"],
        ),
        (
            "bad sequence",
            replace("sequence=17", "sequence=x"),
            &["deboot.sequence", "decimal"],
        ),
        (
            "other sequence",
            replace("sequence=17", "sequence=18"),
            &["sequence", "18", "17", "release file"],
        ),
        (
            "other name",
            replace("example-host", "other-host"),
            &["name", "other-host", "release file"],
        ),
        (
            "other version",
            replace("2026.11.3", "2026.11.2"),
            &["version", "2026.11.2", "release file"],
        ),
        (
            "backwards",
            replace("peers:402", "peers:500"),
            &["backwards", "manifest", "455", "500"],
        ),
        (
            "efi timing",
            replace("config:61", "config:62"),
            &["timing config", "62", "61", "EFI"],
        ),
        (
            "efi peers",
            replace("peers:24", "peers:25"),
            &["fetched peers", "EFI"],
        ),
        (
            "efi reference",
            variable("DebootReference", "00"),
            &["reference", "EFI"],
        ),
        (
            "efi sequence",
            variable("DebootSequence", "16"),
            &["sequence", "16", "EFI"],
        ),
        (
            "efi number",
            variable("DebootSequence", "x"),
            &["DebootSequence", "decimal"],
        ),
        (
            "efi json",
            variable("DebootTimings", "{}"),
            &["DebootTimings"],
        ),
        (
            "efi text",
            Box::new(|root| {
                root.write(
                    &format!("sys/firmware/efi/efivars/DebootReference-{GUID}"),
                    b"abc",
                )
            }),
            &["DebootReference", "UTF-16"],
        ),
        (
            "no release file",
            Box::new(|root| drop(std::fs::remove_file(root.0.join("etc/deboot/release.json")))),
            &["release.json"],
        ),
        (
            "unknown field",
            Box::new(|root| root.write("etc/deboot/release.json", br#"{"colour":1}"#)),
            &["release.json", "colour"],
        ),
        (
            "no proc",
            Box::new(|root| drop(std::fs::remove_dir_all(root.0.join("proc")))),
            &["proc/cmdline"],
        ),
        (
            "odd uptime",
            Box::new(|root| root.write("proc/uptime", b"soon")),
            &["proc/uptime"],
        ),
    ];
    for (index, (case, change, words)) in cases.into_iter().enumerate() {
        let root = Root::new(&format!("bad{index}"));
        change(&root);
        let text = root.refused();
        for word in words {
            assert!(text.contains(word), "{case}: {word:?} is not in {text}");
        }
    }
}

#[test]
fn wrong_usage_exits_with_2_and_shows_the_usage() {
    for arguments in [
        &[][..],
        &["fly"],
        &["run", "--json"],
        &["status", "--root", "/"],
        &["status", "--timeout-ms", "x"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_debootd"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains("usage:"), "{arguments:?}");
    }
}
