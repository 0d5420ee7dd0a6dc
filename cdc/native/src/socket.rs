//! The socket to the server: TCP or Unix, plain or TLS, with a time limit on every wait.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::fault::{Fault, Result};

/// Where the server is.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(String),
}

enum Plug {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Ends the connection from another thread.
pub struct Closer(Plug);

impl Closer {
    pub fn close(&self) {
        // It may be closed already, and then there is nothing to do.
        let _ = match &self.0 {
            Plug::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Plug::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Plug {
    fn raw(&self) -> RawFd {
        match self {
            Plug::Tcp(stream) => stream.as_raw_fd(),
            Plug::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Read for Plug {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Plug::Tcp(stream) => stream.read(buffer),
            Plug::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Plug {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Plug::Tcp(stream) => stream.write(buffer),
            Plug::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connected socket.
pub struct Socket {
    plug: Plug,
    tls: Option<Box<ClientConnection>>,
    host: String,
}

impl Socket {
    pub fn connect(address: &Address, timeout: Duration) -> Result<Socket> {
        let (plug, host) = match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .map_err(|error| Fault::unreachable(format!("cannot connect to {path}: {error}")))?;
                stream.set_write_timeout(Some(timeout)).map_err(Fault::unreachable)?;
                (Plug::Unix(stream), String::new())
            }
            Address::Tcp { host, port } => (Plug::Tcp(tcp(host, *port, timeout)?), host.clone()),
        };
        Ok(Socket { plug, tls: None, host })
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || matches!(self.plug, Plug::Unix(_))
    }

    /// Switch to TLS and verify the server. `ca`: certificates in PEM, instead of the system's.
    pub fn start_tls(&mut self, ca: Option<&[u8]>, timeout: Duration) -> Result<()> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(refused)?;
        let mut tls = ClientConnection::new(Arc::new(config), name).map_err(refused)?;
        let deadline = Instant::now() + timeout;
        while tls.is_handshaking() {
            while tls.wants_write() {
                tls.write_tls(&mut self.plug).map_err(Fault::unreachable)?;
            }
            if tls.wants_read() {
                if !readable(self.plug.raw(), deadline.saturating_duration_since(Instant::now()))? {
                    return Err(Fault::unreachable("the TLS handshake timed out"));
                }
                if tls.read_tls(&mut self.plug).map_err(Fault::unreachable)? == 0 {
                    return Err(Fault::unreachable("the server ended the TLS handshake"));
                }
                tls.process_new_packets().map_err(refused)?;
            }
        }
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    pub fn closer(&self) -> Result<Closer> {
        let twin = match &self.plug {
            Plug::Tcp(stream) => stream.try_clone().map(Plug::Tcp),
            Plug::Unix(stream) => stream.try_clone().map(Plug::Unix),
        };
        twin.map(Closer).map_err(Fault::unreachable)
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.plug).write_all(bytes),
            None => self.plug.write_all(bytes),
        };
        written.map_err(Fault::unreachable)
    }

    /// What is there, at least one byte; None after the timeout.
    pub fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(tls) = &mut self.tls {
                match tls.reader().read(buffer) {
                    Ok(0) => return Err(ended()),
                    Ok(count) => return Ok(Some(count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(Fault::unreachable(error)),
                }
            }
            if !readable(self.plug.raw(), deadline.saturating_duration_since(Instant::now()))? {
                return Ok(None);
            }
            match &mut self.tls {
                Some(tls) => {
                    if tls.read_tls(&mut self.plug).map_err(Fault::unreachable)? == 0 {
                        return Err(ended());
                    }
                    tls.process_new_packets().map_err(Fault::unreachable)?;
                }
                None => match self.plug.read(buffer) {
                    Ok(0) => return Err(ended()),
                    Ok(count) => return Ok(Some(count)),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(Fault::unreachable(error)),
                },
            }
        }
    }
}

fn ended() -> Box<Fault> {
    Fault::unreachable("the server closed the connection")
}

fn refused(error: impl std::fmt::Display) -> Box<Fault> {
    Box::new(Fault::Refused(format!("TLS with MySQL fails: {error}")))
}

fn tcp(host: &str, port: u16, timeout: Duration) -> Result<TcpStream> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| Fault::unreachable(format!("{host} cannot be resolved: {error}")))?;
    let mut latest = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Fault::unreachable)?;
                stream.set_write_timeout(Some(timeout)).map_err(Fault::unreachable)?;
                return Ok(stream);
            }
            Err(error) => latest = format!("cannot connect to {address}: {error}"),
        }
    }
    Err(Fault::unreachable(latest))
}

fn roots(ca: Option<&[u8]>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                store.add(certificate.map_err(refused)?).map_err(refused)?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() { Err(refused("there is no certificate to verify the server with")) } else { Ok(store) }
}

/// False after the timeout.
fn readable(fd: RawFd, timeout: Duration) -> Result<bool> {
    let mut wanted = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let milliseconds = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
    // SAFETY: one valid pollfd, and its count.
    match unsafe { libc::poll(&raw mut wanted, 1, milliseconds) } {
        0 => Ok(false),
        found if found > 0 => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.kind() == ErrorKind::Interrupted => Ok(false),
            error => Err(Fault::unreachable(error)),
        },
    }
}
