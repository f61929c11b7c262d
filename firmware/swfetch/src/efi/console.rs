//! Text out to every console, progress in place on screens and as plain lines on serial, the log, and keys in.
//!
//! Firmware's `ConOut` is usually a splitter over screen and serial terminal, so writing to it and to the serial port doubles
//! every line there. Instead each active console device is found (`EFI_CONSOLE_OUT_DEVICE_GUID`) and written to by itself; a
//! device whose path goes through a UART is serial. Without such devices `ConOut` is used as if it were serial. A serial port
//! that is no console gets its lines through `EFI_SERIAL_IO_PROTOCOL`.
use super::clock::Clock;
use super::services;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use p2p::Instant;
use swfetch::device_path;
use swfetch::log::{LOG_BYTES_MAX, Log};
use swfetch::progress::{IN_PLACE_EVERY, PLAIN_EVERY, SILENCE_MAX};
use uefi::boot::ScopedProtocol;
use uefi::proto::console::serial::Serial;
use uefi::proto::console::text::{Key, Output};
use uefi::{CStr16, Guid, Identify, Status, guid, system};

const CONSOLE_OUT_DEVICE: Guid = guid!("d3b36f2c-d551-11d4-9a46-0090273fc14d");
/// Characters given to firmware at once.
const PIECE_CHARS: usize = 128;
/// A serial write slower than this marks the port as stuck; it is not used again.
const SERIAL_STUCK: Duration = Duration::from_millis(500);
/// Columns when a screen does not tell.
const COLUMNS_DEFAULT: usize = 80;

/// All consoles and the log.
pub(crate) struct Console {
    clock: Clock,
    screens: Vec<Screen>,
    terminals: Vec<ScopedProtocol<Output>>,
    port: Option<ScopedProtocol<Serial>>,
    log: Log,
    last_plain: Instant,
    last_in_place: Instant,
    last_output: Instant,
}

struct Screen {
    output: ScopedProtocol<Output>,
    columns: usize,
    in_place_chars: usize,
}

impl Console {
    /// Finds the consoles.
    pub(crate) fn new(clock: Clock) -> Self {
        let (mut screens, mut terminals) = (Vec::new(), Vec::new());
        for handle in services::handles(&CONSOLE_OUT_DEVICE) {
            let path = services::device_path(handle);
            let Some(mut output) = services::peek::<Output>(handle).filter(|_| !path.is_empty())
            else {
                continue;
            };
            if device_path::has_uart(&path) {
                terminals.push(output);
                continue;
            }
            let columns = match output.current_mode() {
                Ok(Some(mode)) => mode.columns(),
                _ => COLUMNS_DEFAULT,
            };
            let _ = output.enable_cursor(false);
            screens.push(Screen {
                output,
                columns,
                in_place_chars: 0,
            });
        }
        let port = terminals
            .is_empty()
            .then(|| services::handles(&Serial::GUID).first().copied())
            .flatten()
            .and_then(services::peek::<Serial>);
        Self {
            clock,
            screens,
            terminals,
            port,
            log: Log::new(LOG_BYTES_MAX),
            last_plain: Instant::ZERO,
            last_in_place: Instant::ZERO,
            last_output: Instant::ZERO,
        }
    }

    /// Prints lines everywhere and logs them.
    pub(crate) fn line(&mut self, text: &str) {
        self.note(text);
        self.write_screens(text);
        self.write_plain(text);
        self.last_output = self.clock.now();
    }

    /// Logs lines without printing them.
    pub(crate) fn note(&mut self, text: &str) {
        self.log.push(self.clock.now().as_millis(), text);
    }

    /// Says whether a progress line is due; `SILENCE_MAX` after the last output it always is.
    pub(crate) fn is_progress_due(&self, now: Instant) -> bool {
        now.saturating_since(self.last_in_place) >= IN_PLACE_EVERY
            || now.saturating_since(self.last_output) >= SILENCE_MAX
    }

    /// Shows progress: rewrites the line on screens, prints a plain line elsewhere at most once a second. `firm` lines, which say
    /// why nothing moves, are logged too.
    pub(crate) fn progress(&mut self, now: Instant, text: &str, firm: bool) {
        if self.has_text_output() || self.screens.is_empty() {
            if now.saturating_since(self.last_plain) >= PLAIN_EVERY {
                self.last_plain = now;
                self.last_output = now;
                self.write_plain(text);
                if firm {
                    self.note(text);
                }
            }
        } else if firm && now.saturating_since(self.last_plain) >= PLAIN_EVERY {
            self.last_plain = now;
            self.note(text);
        }
        if now.saturating_since(self.last_in_place) >= IN_PLACE_EVERY {
            self.last_in_place = now;
            for screen in &mut self.screens {
                screen.rewrite(text);
                self.last_output = now;
            }
        }
    }

    fn has_text_output(&self) -> bool {
        !self.terminals.is_empty() || self.port.is_some()
    }

    fn write_screens(&mut self, text: &str) {
        for screen in &mut self.screens {
            screen.clear_in_place();
            for line in text.lines() {
                write(&mut screen.output, line);
                write(&mut screen.output, "\r\n");
            }
        }
    }

    fn write_plain(&mut self, text: &str) {
        for line in text.lines() {
            for terminal in &mut self.terminals {
                write(terminal, line);
                write(terminal, "\r\n");
            }
            self.write_port(line);
            if self.screens.is_empty() && !self.has_text_output() {
                system::with_stdout(|output| {
                    write(output, line);
                    write(output, "\r\n");
                });
            }
        }
    }

    fn write_port(&mut self, line: &str) {
        let Some(port) = &mut self.port else { return };
        let before = self.clock.now();
        let bytes: Vec<u8> = line.bytes().chain(*b"\r\n").collect();
        let ok = port.write(&bytes).is_ok();
        if !ok || self.clock.now().saturating_since(before) > SERIAL_STUCK {
            self.port = None;
        }
    }

    /// Puts the log of earlier boots in front.
    pub(crate) fn restore_log(&mut self, earlier: &str) {
        self.log.restore(earlier);
    }

    /// The log so far.
    pub(crate) fn log_text(&self) -> String {
        self.log.text()
    }

    /// Returns the next key typed on any console, without waiting.
    pub(crate) fn poll_key(&mut self) -> Option<char> {
        match system::with_stdin(|input| input.read_key()) {
            Ok(Some(Key::Printable(key))) => Some(char::from(key)),
            Ok(Some(Key::Special(_)) | None) => None,
            Err(error) => {
                debug_assert!(error.status() != Status::INVALID_PARAMETER);
                None
            }
        }
    }
}

impl Screen {
    fn rewrite(&mut self, text: &str) {
        // One column stays free: a character in the last one would move the cursor to the next line.
        let room = self.columns.saturating_sub(1);
        let mut line: String = text.chars().take(room).collect();
        let chars = line.chars().count();
        line.extend(core::iter::repeat_n(
            ' ',
            self.in_place_chars.saturating_sub(chars),
        ));
        self.in_place_chars = chars;
        write(&mut self.output, "\r");
        write(&mut self.output, &line);
    }

    fn clear_in_place(&mut self) {
        if self.in_place_chars > 0 {
            let blank: String = core::iter::repeat_n(' ', self.in_place_chars).collect();
            self.in_place_chars = 0;
            write(&mut self.output, "\r");
            write(&mut self.output, &blank);
            write(&mut self.output, "\r");
        }
    }
}

/// Writes text as UCS-2; characters outside ASCII, which many firmware fonts lack, become `?`.
fn write(output: &mut Output, text: &str) {
    let mut buffer = [0u16; PIECE_CHARS + 1];
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let mut used = 0;
        for (slot, char) in buffer.iter_mut().take(PIECE_CHARS).zip(&mut chars) {
            let printable = char.is_ascii_graphic() || matches!(char, ' ' | '\r' | '\n');
            *slot = if printable {
                char as u16
            } else {
                u16::from(b'?')
            };
            used += 1;
        }
        if let Some(end) = buffer.get_mut(used) {
            *end = 0;
        }
        if let Some(Ok(piece)) = buffer.get(..=used).map(CStr16::from_u16_with_nul) {
            // A console that fails is not a reason to stop.
            let _ = output.output_string(piece);
        }
    }
}
