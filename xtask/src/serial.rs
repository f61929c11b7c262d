//! The serial console of a virtual machine: bytes in, clean lines with the time of their arrival out.
use std::io::Read;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// Longest line kept, bytes: a machine that never ends its line fills no memory.
pub(crate) const LINE_BYTES_MAX: usize = 4096;
/// Lines waiting for the reader; the machine is held back when it is full.
const QUEUE: usize = 4096;

/// One line of the console.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// When its end arrived.
    pub(crate) at: Instant,
    /// Without line end and terminal control sequences.
    pub(crate) text: String,
}

/// Cuts a console's bytes into lines.
///
/// A carriage return ends a line too, because progress is written over itself; empty lines are left out.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    line: Vec<u8>,
    escape: Escape,
}

#[derive(Debug, Default)]
enum Escape {
    #[default]
    None,
    Started,
    Sequence,
}

impl Cutter {
    /// Takes one byte and returns the line it ends.
    pub(crate) fn handle_byte(&mut self, byte: u8) -> Option<String> {
        // SPEC ECMA-48 5.4: ESC [ parameters, then a final byte from 0x40 to 0x7e.
        match self.escape {
            Escape::Started => {
                self.escape = if byte == b'[' {
                    Escape::Sequence
                } else {
                    Escape::None
                };
                return None;
            }
            Escape::Sequence => {
                if (0x40..=0x7e).contains(&byte) {
                    self.escape = Escape::None;
                    // Moving the cursor begins another line on the screen.
                    if matches!(byte, b'H' | b'f') {
                        return self.take();
                    }
                }
                return None;
            }
            Escape::None => {}
        }
        match byte {
            0x1b => self.escape = Escape::Started,
            b'\r' | b'\n' => return self.take(),
            b'\t' => self.line.push(b' '),
            0..0x20 | 0x7f => {}
            _ => self.line.push(byte),
        }
        if self.line.len() >= LINE_BYTES_MAX {
            self.take()
        } else {
            None
        }
    }

    fn take(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// Reads a stream to its end in a thread of its own.
pub(crate) fn lines(mut stream: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::spawn(move || {
        let mut cutter = Cutter::default();
        let mut buffer = [0; 4096];
        loop {
            let n = match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            let at = Instant::now();
            for byte in buffer.get(..n).unwrap_or_default() {
                if let Some(text) = cutter.handle_byte(*byte)
                    && sender.send(Line { at, text }).is_err()
                {
                    return;
                }
            }
        }
        if let Some(text) = cutter.take() {
            // Nobody may be listening any more.
            drop(sender.send(Line {
                at: Instant::now(),
                text,
            }));
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8]) -> Vec<String> {
        let mut cutter = Cutter::default();
        bytes
            .iter()
            .filter_map(|byte| cutter.handle_byte(*byte))
            .collect()
    }

    #[test]
    fn firmware_output_becomes_clean_lines() {
        let text = b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2J\x1b[01;01HBdsDxe: starting\r\n\r\nSWFETCH 0.1\r\n 12 %\r 13 %\r\n\x07a\tb\n";
        assert_eq!(
            cut(text),
            ["BdsDxe: starting", "SWFETCH 0.1", " 12 %", " 13 %", "a b"]
        );
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let lines = cut(&[b'x'; LINE_BYTES_MAX + 10]);
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [LINE_BYTES_MAX]
        );
    }

    #[test]
    fn the_last_line_needs_no_end_and_bytes_that_are_no_text_are_replaced() {
        let all: Vec<_> = lines(&b"one\ntw\xffo"[..])
            .iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(all, ["one", "tw\u{fffd}o"]);
    }
}
