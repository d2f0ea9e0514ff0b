//! A TCP proxy that does what networks do: loses answers to requests that got through, is slow, goes silent. It knows no
//! protocol: whatever the server sends is an answer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// What happens to the bytes that pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing.
    #[default]
    Clear,
    /// So many more answers are thrown away, each with its connection; then the line is clear.
    Losing(u32),
    /// Every answer waits so long.
    Slow(Duration),
    /// Nothing is read any more, from either side, and nothing is closed.
    Silent,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: u64,
    pub(crate) answers_lost: u64,
}

/// A proxy, until the process ends.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    state: Mutex<(Line, Counts)>,
    changed: Condvar,
}

impl Proxy {
    /// Listens on `address` (port 0 takes a free one), and passes everything on to `upstream`.
    pub(crate) fn start(address: &str, upstream: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = upstream.to_owned();
        let shared =
            Arc::new(Shared { upstream, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.connect(client);
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub(crate) fn set(&self, line: Line) {
        self.shared.state().0 = line;
        self.shared.changed.notify_all();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.state().1
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, (Line, Counts)> {
        self.state.lock().unwrap()
    }

    /// Two threads for each connection, one for each direction. Where the server is away, the client's connection is closed.
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.upstream) else { return };
        self.state().1.connections += 1;
        let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let (questions, answers) = (Arc::clone(self), Arc::clone(self));
        std::thread::spawn(move || questions.pump(from_client, server, false));
        std::thread::spawn(move || answers.pump(from_server, client, true));
    }

    /// Passes bytes on until either side closes, or an answer is lost; then both are closed.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            self.wait_while_silent();
            let Ok(read @ 1..) = from.read(&mut buffer) else { break };
            if answers && !self.answer_passes() {
                break;
            }
            self.wait_while_silent();
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    fn wait_while_silent(&self) {
        let silent = |state: &mut (Line, Counts)| state.0 == Line::Silent;
        drop(self.changed.wait_while(self.state(), silent).unwrap());
    }

    fn answer_passes(&self) -> bool {
        let mut state = self.state();
        match state.0 {
            Line::Clear | Line::Silent => true,
            Line::Slow(time) => {
                drop(state);
                std::thread::sleep(time);
                true
            }
            Line::Losing(left) => {
                state.1.answers_lost += 1;
                state.0 = if left > 1 { Line::Losing(left - 1) } else { Line::Clear };
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with itself, and counts those it got.
    fn echo() -> (String, Arc<Mutex<u64>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let got = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&got);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while let Ok(1) = client.read(&mut byte) {
                        *counted.lock().unwrap() += 1;
                        let _gone = client.write_all(&byte);
                    }
                });
            }
        });
        (address, got)
    }

    fn ask(proxy: &Proxy) -> bool {
        let mut server = TcpStream::connect(proxy.address()).unwrap();
        let mut byte = [7];
        server.write_all(&byte).unwrap();
        matches!(server.read(&mut byte), Ok(1))
    }

    #[test]
    fn a_lost_answer_is_one_whose_request_got_through() {
        let (upstream, got) = echo();
        let proxy = Proxy::start("127.0.0.1:0", &upstream);
        assert!(ask(&proxy));
        proxy.set(Line::Losing(2));
        assert_eq!([ask(&proxy), ask(&proxy), ask(&proxy)], [false, false, true]);
        assert_eq!(*got.lock().unwrap(), 4);
        assert_eq!((proxy.counts().connections, proxy.counts().answers_lost), (4, 2));
    }

    #[test]
    fn a_silent_line_goes_on_where_it_was() {
        let (upstream, got) = echo();
        let proxy = Arc::new(Proxy::start("127.0.0.1:0", &upstream));
        proxy.set(Line::Silent);
        let asking = Arc::clone(&proxy);
        let asked = std::thread::spawn(move || ask(&asking));
        while proxy.counts().connections == 0 {
            std::thread::yield_now();
        }
        assert_eq!(*got.lock().unwrap(), 0);
        proxy.set(Line::Slow(Duration::from_millis(1)));
        assert!(asked.join().unwrap());
    }
}
