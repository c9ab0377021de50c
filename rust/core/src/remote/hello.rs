//! A connection made: TCP, TLS where it is wanted, and the client's side of the opening handshake (RFC 6455, 4.1).

use std::io::ErrorKind;

use tokio::net::TcpStream;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::address::Address;
use super::line::Line;
use super::tls;

/// Bytes of the answer's head.
const MAX_HEAD: usize = 16 << 10;

/// Connects, and gives what has come behind the answer.
///
/// Errors: why not, in a sentence.
pub async fn connect(host: &str, authorities: &str) -> Result<(Line, Vec<u8>), String> {
    let (name, port) = Address::place(host);
    let stream = TcpStream::connect((name, port)).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => format!("nobody listens at {host}"),
        _ => format!("{host} cannot be reached: {error}"),
    })?;
    _ = stream.set_nodelay(true);
    let line = match Address::is_secure(host) {
        false => Line::plain(stream),
        true => {
            let config = tls::config(authorities)?;
            Line::secure(stream, name, config).await.map_err(|error| format!("{host} is not trusted: {error}"))?
        }
    };
    let key = generate_key();
    let authority = host.split_once("://").map_or(host, |(_, authority)| authority);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: warp0\r\nUser-Agent: shoal/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let answer = exchange(&line, request.as_bytes()).await.map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => format!("{host} does not speak WebSocket: it closes the connection"),
        ErrorKind::InvalidData => format!("{host} does not speak WebSocket: {error}"),
        _ => format!("{host} cannot be reached: {error}"),
    })?;
    let end = head_end(&answer).unwrap_or(answer.len());
    check(&answer[..end], &derive_accept_key(key.as_bytes()))
        .map_err(|reason| format!("{host} does not speak WebSocket: {reason}"))?;
    Ok((line, answer[end..].to_vec()))
}

async fn exchange(line: &Line, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut written = 0;
    while written < request.len() || !line.settle()? {
        match line.write(&request[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => line.writable().await?,
            Err(error) => return Err(error),
        }
    }
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    loop {
        match line.read(&mut room) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => answer.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => line.readable().await?,
            Err(error) => return Err(error),
        }
        if head_end(&answer).is_some() {
            return Ok(answer);
        }
        if answer.len() > MAX_HEAD {
            let reason = format!("its answer has a head of over {MAX_HEAD} bytes");
            return Err(std::io::Error::new(ErrorKind::InvalidData, reason));
        }
    }
}

fn head_end(answer: &[u8]) -> Option<usize> {
    memchr::memmem::find(answer, b"\r\n\r\n").map(|at| at + 4)
}

/// Whether an answer agrees to what was asked.
fn check(head: &[u8], accept: &str) -> Result<(), String> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("101") if status.starts_with("HTTP/1.1 ") => {}
        Some(code) if status.starts_with("HTTP/") => return Err(format!("it answers with HTTP status {code}")),
        _ => return Err("its answer is no HTTP".to_owned()),
    }
    let headers: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect();
    let all = |wanted: &str| -> Vec<&str> {
        headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value).collect()
    };
    let lists = |wanted: &str, token: &str| {
        all(wanted).iter().any(|value| value.split(',').any(|other| other.trim().eq_ignore_ascii_case(token)))
    };
    if !lists("upgrade", "websocket") || !lists("connection", "upgrade") {
        return Err("it does not change to the WebSocket protocol".to_owned());
    }
    if all("sec-websocket-accept") != [accept] {
        return Err("its answer belongs to another request".to_owned());
    }
    if !all("sec-websocket-extensions").is_empty() {
        return Err("it uses an extension that was not asked for".to_owned());
    }
    match all("sec-websocket-protocol")[..] {
        [] | ["warp0"] => Ok(()),
        _ => Err("it chooses another subprotocol than warp0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Accept: abc\r\n";

    #[test]
    fn an_answer_that_agrees_to_something_else_is_refused() {
        for (answer, part) in [
            (format!("{GOOD}\r\n"), ""),
            (format!("{GOOD}Sec-WebSocket-Protocol: warp0\r\n\r\n"), ""),
            (format!("{GOOD}Sec-WebSocket-Protocol: mqtt\r\n\r\n"), "subprotocol"),
            (format!("{GOOD}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), "extension"),
            (GOOD.replace("abc", "abd"), "another request"),
            (GOOD.replace("101", "404"), "status 404"),
            (GOOD.replace("upgrade: WebSocket", "x: y"), "does not change"),
            ("SSH-2.0-x\r\n\r\n".to_owned(), "no HTTP"),
        ] {
            match check(answer.as_bytes(), "abc") {
                Ok(()) => assert_eq!(part, "", "{answer}"),
                Err(reason) => assert!(!part.is_empty() && reason.contains(part), "{answer}: {reason}"),
            }
        }
    }
}
