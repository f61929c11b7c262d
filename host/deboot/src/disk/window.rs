//! A part of a file that looks like a file of its own.
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The bytes `start .. start + length` of an inner file.
pub(super) struct Window<'a, F> {
    inner: &'a mut F,
    start: u64,
    length: u64,
    position: u64,
}

impl<'a, F> Window<'a, F> {
    pub(super) fn new(inner: &'a mut F, start: u64, length: u64) -> Self {
        Self {
            inner,
            start,
            length,
            position: 0,
        }
    }

    /// Bytes of `wanted` that still lie inside.
    fn room(&self, wanted: usize) -> usize {
        let left = self.length.saturating_sub(self.position);
        wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl<F: Read + Seek> Read for Window<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.room(buffer.len());
        self.inner
            .seek(SeekFrom::Start(self.start + self.position))?;
        let n = self.inner.read(&mut buffer[..room])?;
        self.position += n as u64;
        Ok(n)
    }
}

impl<F: Write + Seek> Write for Window<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room(bytes.len());
        self.inner
            .seek(SeekFrom::Start(self.start + self.position))?;
        let n = self.inner.write(&bytes[..room])?;
        self.position += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<F> Seek for Window<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        match position {
            Some(position) if position <= self.length => {
                self.position = position;
                Ok(position)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn nothing_outside_the_window_is_read_or_written() {
        let mut inner = Cursor::new(b"0123456789".to_vec());
        let mut window = Window::new(&mut inner, 3, 4);
        let mut text = String::new();
        window.read_to_string(&mut text).unwrap();
        assert_eq!(text, "3456");
        window.seek(SeekFrom::End(-2)).unwrap();
        assert_eq!(window.write(b"abcdef").unwrap(), 2);
        assert_eq!(window.write(b"x").unwrap(), 0);
        assert!(window.seek(SeekFrom::Start(5)).is_err());
        assert!(window.seek(SeekFrom::Current(-9)).is_err());
        assert_eq!(inner.into_inner(), b"01234ab789");
    }
}
