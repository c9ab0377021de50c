//! The socket to another server, plain or encrypted (TLS): reads and writes that never block, from any thread.

use std::io::{Error, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::net::TcpStream;

/// Bytes of plain text that wait for the socket within TLS.
const BUFFERED: usize = 64 << 10;

pub struct Line {
    stream: TcpStream,
    /// Held for one read or one write.
    tls: Option<Mutex<ClientConnection>>,
}

/// A stream for rustls, which takes nothing that can wait.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        self.0.try_read(room)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lock(tls: &Mutex<ClientConnection>) -> MutexGuard<'_, ClientConnection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what TLS has ready. Ok(false): the socket takes no more now.
fn send(tls: &mut ClientConnection, stream: &TcpStream) -> std::io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut Raw(stream)) {
            Ok(0) => return Err(Error::from(ErrorKind::WriteZero)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reads what the socket has. Ok(false): nothing now.
fn receive(tls: &mut ClientConnection, stream: &TcpStream) -> std::io::Result<bool> {
    match tls.read_tls(&mut Raw(stream)) {
        Ok(count) => {
            tls.process_new_packets().map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            if count == 0 { Err(Error::from(ErrorKind::UnexpectedEof)) } else { Ok(true) }
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Line {
    pub fn plain(stream: TcpStream) -> Self {
        Line { stream, tls: None }
    }

    /// Encrypted, when the server has shown that it is `name`.
    ///
    /// Errors: what is wrong with its certificate, or with the connection.
    pub async fn secure(stream: TcpStream, name: &str, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| Error::new(ErrorKind::InvalidData, error.to_string());
        let server = ServerName::try_from(name.to_owned()).map_err(|error| wrong(&error))?;
        let mut tls = ClientConnection::new(config, server).map_err(|error| wrong(&error))?;
        tls.set_buffer_limit(Some(BUFFERED));
        while tls.is_handshaking() {
            if !send(&mut tls, &stream)? {
                stream.writable().await?;
            } else if tls.is_handshaking() && !receive(&mut tls, &stream)? {
                stream.readable().await?;
            }
        }
        Ok(Line { stream, tls: Some(Mutex::new(tls)) })
    }

    pub async fn readable(&self) -> std::io::Result<()> {
        self.stream.readable().await
    }

    pub async fn writable(&self) -> std::io::Result<()> {
        self.stream.writable().await
    }

    /// Ok(0): the other end has ended it. `WouldBlock`: nothing has come.
    pub fn read(&self, room: &mut [u8]) -> std::io::Result<usize> {
        let Some(tls) = &self.tls else { return self.stream.try_read(room) };
        let mut tls = lock(tls);
        loop {
            match tls.reader().read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if !receive(&mut tls, &self.stream)? {
                send(&mut tls, &self.stream)?;
                return Err(Error::from(ErrorKind::WouldBlock));
            }
        }
    }

    /// Writes what it can at once. `WouldBlock`: nothing.
    pub fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(tls) = &self.tls else { return self.stream.try_write(bytes) };
        let mut tls = lock(tls);
        if !send(&mut tls, &self.stream)? {
            return Err(Error::from(ErrorKind::WouldBlock));
        }
        let count = tls.writer().write(bytes)?;
        send(&mut tls, &self.stream)?;
        Ok(count)
    }

    /// Whether all that was written is with the system.
    pub fn settle(&self) -> std::io::Result<bool> {
        match &self.tls {
            None => Ok(true),
            Some(tls) => send(&mut lock(tls), &self.stream),
        }
    }

    /// Nothing more is written.
    pub fn shut(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = lock(tls);
            tls.send_close_notify();
            // whoever is gone needs no farewell
            _ = send(&mut tls, &self.stream);
        }
        // SAFETY: the descriptor is open while the stream lives. An error means that it is shut already.
        unsafe { libc::shutdown(self.stream.as_raw_fd(), libc::SHUT_WR) };
    }
}
