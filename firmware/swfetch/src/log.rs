//! A log in memory: whole lines, bounded, oldest dropped first.
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;

/// Most bytes of the log file.
pub const LOG_BYTES_MAX: usize = 64 * 1024;
/// Longest line; longer ones are cut.
pub const LINE_BYTES_MAX: usize = 512;

/// Lines with the time they were made.
#[derive(Clone, Debug)]
pub struct Log {
    lines: VecDeque<String>,
    bytes: usize,
    bytes_max: usize,
}

impl Log {
    /// Makes an empty log of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Adds one entry with its time in milliseconds since application start; an entry with newlines becomes several lines.
    pub fn push(&mut self, at_ms: u64, text: &str) {
        for part in text.lines() {
            let mut line = format!("[{:5}.{:03}] {part}", at_ms / 1000, at_ms % 1000);
            if line.len() > LINE_BYTES_MAX {
                let cut = (0..=LINE_BYTES_MAX)
                    .rev()
                    .find(|at| line.is_char_boundary(*at))
                    .unwrap_or(0);
                line.truncate(cut);
            }
            self.push_line(line);
        }
    }

    /// Puts the lines of an earlier log file in front of what comes.
    pub fn restore(&mut self, text: &str) {
        for line in text.lines() {
            self.push_line(line.into());
        }
    }

    fn push_line(&mut self, line: String) {
        self.bytes = self.bytes.saturating_add(line.len()).saturating_add(1);
        self.lines.push_back(line);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.len().saturating_add(1));
        }
    }

    /// Returns the whole log.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes);
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_lines_go_first_and_the_bound_holds() {
        let mut log = Log::new(100);
        for n in 0..50 {
            log.push(n, &format!("line {n}"));
            assert!(log.text().len() <= 100);
        }
        let text = log.text();
        assert!(text.ends_with("[    0.049] line 49\n"), "{text}");
        assert!(!text.contains("line 1\n"));
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let mut log = Log::new(LOG_BYTES_MAX);
        log.push(12_345, &"ü".repeat(400));
        let text = log.text();
        assert!(text.starts_with("[   12.345] ü"));
        assert!(text.len() <= LINE_BYTES_MAX + 1);
    }

    #[test]
    fn an_earlier_log_stays_in_front() {
        let mut log = Log::new(LOG_BYTES_MAX);
        log.restore("old\nlines\n");
        log.push(0, "a\nb");
        assert_eq!(log.text(), "old\nlines\n[    0.000] a\n[    0.000] b\n");
    }
}
