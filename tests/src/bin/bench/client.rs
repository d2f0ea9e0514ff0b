//! SHELL: a client of HTTP/1.1, just enough of one: a library would take a share of the processor that is not the server's to take.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::Context;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    /// Lines of every request's head.
    headers: String,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr, key: Option<&str>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let key = key.map(|key| format!("authorization: Bearer {key}\r\n"));
        let headers = format!("host: localhost\r\n{}", key.unwrap_or_default());
        Ok(Self { stream: BufReader::new(stream), headers, answer: Vec::new() })
    }

    /// Posts and waits for the acknowledgement.
    pub(crate) fn post(&mut self, path: &str, media_type: &str, body: &[u8]) -> anyhow::Result<()> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\n{}content-type: {media_type}\r\ncontent-length: {length}\r\n\r\n",
            self.headers
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line)?;
        let good = line.starts_with("HTTP/1.1 200");
        while line != "\r\n" {
            line.clear();
            anyhow::ensure!(self.stream.read_line(&mut line)? > 0, "the gateway hung up");
            let value = line.to_ascii_lowercase();
            if let Some(value) = value.strip_prefix("content-length:") {
                length = value.trim().parse().context("content-length is no number")?;
            }
        }
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer)?;
        anyhow::ensure!(good, "refused: {}", String::from_utf8_lossy(&self.answer));
        Ok(())
    }
}
