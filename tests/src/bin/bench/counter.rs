//! SHELL: a TCP proxy before the S3 server that counts requests by their first words.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Requests that passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lists: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// A proxy, until the process ends.
#[derive(Debug)]
pub(crate) struct Counter {
    address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
}

impl Counter {
    pub(crate) fn start(server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, counts) = (listener.local_addr()?, Arc::<Mutex<Counts>>::default());
        let (server, counting) = (server.to_owned(), Arc::clone(&counts));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _closed = connect(client, &server, &counting);
            }
        });
        Ok(Self { address, counts })
    }

    /// As an endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has passed since this was asked last.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn connect(client: TcpStream, server: &str, counts: &Arc<Mutex<Counts>>) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    let counts = Arc::clone(counts);
    thread::spawn(move || {
        pump(from_client, server, |bytes| {
            counts.lock().unwrap_or_else(PoisonError::into_inner).see(bytes);
        });
    });
    thread::spawn(move || pump(from_server, client, |_| {}));
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..read).unwrap_or_default();
        see(bytes);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

impl Counts {
    /// A client that waits for each answer begins a request with a new write, so a request's first words begin what is read.
    fn see(&mut self, bytes: &[u8]) {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let lists = line.windows(9).any(|word| word == b"list-type");
        if line.starts_with(b"GET /") && lists {
            self.lists += 1;
        } else if line.starts_with(b"GET /") || line.starts_with(b"HEAD /") {
            self.reads += 1;
        } else if line.starts_with(b"PUT /") || line.starts_with(b"POST /") {
            self.writes += 1;
        }
    }
}
