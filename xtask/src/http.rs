//! A web server for files in memory, on loopback: what iPXE boots from.
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request head, bytes.
const HEAD_BYTES_MAX: u64 = 16 * 1024;

type Files = Arc<BTreeMap<String, Vec<u8>>>;

/// Serves these files (paths with a leading slash) until xtask ends, and returns the port.
///
/// # Errors
/// No port is free.
pub(crate) fn serve(files: BTreeMap<String, Vec<u8>>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("web server")?;
    let port = listener.local_addr()?.port();
    let files: Files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = files.clone();
            // A client that goes away in the middle is its own business.
            std::thread::spawn(move || drop(answer(stream, &files)));
        }
    });
    Ok(port)
}

/// Answers the requests of one connection.
fn answer(stream: TcpStream, files: &Files) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut head = requests.by_ref().take(HEAD_BYTES_MAX);
        let mut first = String::new();
        if head.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while head.read_line(&mut line)? > 2 {
            line.clear();
        }
        let mut words = first.split_whitespace();
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (status, body) = match files.get(path) {
            Some(bytes) => ("200 OK", &bytes[..]),
            None => ("404 Not Found", &[][..]),
        };
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: application/octet-stream\r\n\r\n",
            body.len()
        )?;
        if method != "HEAD" {
            out.write_all(body)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_served_one_after_the_other_on_one_connection() {
        let port = serve([("/a".to_owned(), b"hello".to_vec())].into()).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\nHEAD /a HTTP/1.1\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(
            text.contains(
                "Length: 5\r\nContent-Type: application/octet-stream\r\n\r\nhelloHTTP/1.1 404"
            ),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}
