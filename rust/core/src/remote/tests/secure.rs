//! Encrypted connections, to a server of the test's own whose certificate is made for `localhost` and lasts a century.

use std::io::{Read, Write};
use std::net::TcpListener;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};
use tungstenite::handshake::derive_accept_key;

use super::*;
use crate::outbox::text_frame;

fn certificate(name: &str) -> String {
    format!("{}/src/remote/tests/certificates/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Answers one connection: agrees, reads a frame, tells a long value in many records. Gives what it was asked.
fn serve(listener: &TcpListener, length: usize) -> std::io::Result<String> {
    let chain = CertificateDer::pem_file_iter(certificate("localhost.pem")).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("localhost.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut wire = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        wire.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    wire.write_all(answer.as_bytes())?;
    let mut start = [0; 6];
    wire.read_exact(&mut start)?;
    let mut payload = vec![0; (start[1] & 0x7f) as usize];
    wire.read_exact(&mut payload)?;
    payload.iter_mut().zip(start[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    let event = format!("@event(node:\"/a\",lane:x)\"{}\"", "s".repeat(length));
    wire.write_all(&text_frame(event.as_bytes()))?;
    wire.write_all(&text_frame(b"@synced(node:\"/a\",lane:x)"))?;
    wire.flush()?;
    // until it is closed
    _ = wire.read(&mut [0]);
    Ok(String::from_utf8_lossy(&payload).into_owned())
}

#[test]
fn an_encrypted_link_works_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || serve(&listener, 300_000));
    let mut near = shard(serde_json::json!({"remote_ca": certificate("localhost.pem")}));
    let address = Address::parse(&format!("warps://localhost:{port}/a"), "x").unwrap();
    let id = near.remotes.open(&address, Shape::Value, true, 0.0, 0.0).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while !all.contains(&RemoteNews::Synced(id)) {
        assert!(Instant::now() < deadline, "{all:?} {:?}", near.remotes.status());
        run(&mut near);
        while let Some(news) = near.remotes.next() {
            all.push(news);
        }
    }
    let long = RemoteNews::Event(id, Operation::Value(text(&"s".repeat(300_000))));
    assert_eq!(all, [RemoteNews::Linked(id), long, RemoteNews::Synced(id)]);
    near.remotes.hang_up();
    assert_eq!(server.join().unwrap().unwrap(), "@sync(node:\"/a\",lane:x)");
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // its certificate is for another name
    let server = std::thread::spawn(move || serve(&listener, 1));
    let mut near = shard(serde_json::json!({"remote_ca": certificate("localhost.pem"), "remote_first_pause": 60.0}));
    let address = Address::parse(&format!("warps://127.0.0.2:{port}/a"), "x").unwrap();
    near.remotes.open(&address, Shape::Value, true, 0.0, 0.0).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !near.remotes.status()[0].trouble.contains("not trusted") {
        assert!(Instant::now() < deadline, "{:?}", near.remotes.status());
        run(&mut near);
        std::thread::yield_now();
    }
    assert!(server.join().unwrap().is_err());
}

#[test]
fn a_file_of_authorities_that_is_none_is_named() {
    for (file, part) in [("/nowhere.pem", "/nowhere.pem"), (&*certificate("localhost.key.pem"), "holds no certificate")]
    {
        let reason = super::super::tls::config(file).map(|_| ()).unwrap_err();
        assert!(reason.contains(part) && reason.contains("remote_ca"), "{reason}");
    }
}
