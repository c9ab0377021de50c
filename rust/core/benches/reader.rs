//! `cargo bench -p shoal-core --bench reader`: small commands from one socket, from the kernel to envelopes for the
//! shard, by the CPU time of the reading thread. Prints commands a CPU second.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use shoal_core::limits::Limits;
use shoal_core::peer::Frames;
use shoal_core::socket::reader::{Fault, Reader, Taker};
use shoal_core::warp;

const READ: usize = 64 << 10;
const COMMANDS: usize = 4_000_000;

struct Taken(Frames);

impl Taker for Taken {
    fn message(&mut self, text: &str) -> Result<(), Fault> {
        let message = warp::read(text).map_err(|error| Fault { code: 1002, reason: error.to_string() })?;
        self.0.push(&message);
        Ok(())
    }

    fn ping(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn pong(&mut self) {}

    fn close(&mut self, _: Option<u16>) {}
}

fn masked(payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![0x81, 0x80 | payload.len() as u8];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A thousand commands.
fn block(body: &str) -> Vec<u8> {
    let command = |n| masked(format!("@command(node:\"/unit/{n}\",lane:publish){body}").as_bytes());
    (0..1000).flat_map(command).collect()
}

fn cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a local is written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Commands a CPU second; `parses`: false reads the bytes only.
fn run(body: &str, parses: bool) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let block: Vec<u8> =
        (0..1000).flat_map(|n| masked(format!("@command(node:\"/unit/{n}\",lane:publish){body}").as_bytes())).collect();
    let writing = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        for _ in 0..COMMANDS / 1000 {
            stream.write_all(&block).expect("a reader");
        }
    });
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut reader = Reader::new(&Limits::default(), false);
    let mut room = vec![0; READ + 4096];
    let mut taken = Taken(Frames::default());
    let (mut kept, mut count) = (0, 0);
    let begun = cpu();
    loop {
        let read = stream.read(&mut room[kept..]).expect("bytes");
        if read == 0 {
            break;
        }
        if !parses {
            continue;
        }
        let end = kept + read;
        let used = reader.parse(&mut room[..end], &mut taken).unwrap_or_else(|fault| panic!("{fault:?}"));
        room.copy_within(used..end, 0);
        kept = end - used;
        count += taken.0.frames.len();
        taken.0.text.clear();
        taken.0.frames.clear();
    }
    let spent = cpu() - begun;
    writing.join().expect("a writer");
    assert_eq!(count, if parses { COMMANDS } else { 0 });
    COMMANDS as f64 / spent
}

/// Commands a second of real time, from bytes in memory: what to hold the CPU time against where its clock is coarse.
fn from_memory(body: &str) -> f64 {
    let block = block(body);
    let mut reader = Reader::new(&Limits::default(), false);
    let mut taken = Taken(Frames::default());
    let mut room = block.clone();
    let begun = Instant::now();
    for _ in 0..COMMANDS / 1000 {
        room.copy_from_slice(&block);
        reader.parse(&mut room, &mut taken).unwrap_or_else(|fault| panic!("{fault:?}"));
        assert_eq!(taken.0.frames.len(), 1000);
        taken.0.text.clear();
        taken.0.frames.clear();
    }
    COMMANDS as f64 / begun.elapsed().as_secs_f64()
}

fn main() {
    for body in [" 1", "{id:\"7\",speed:31.5,lat:37.4,lon:-122.1,stop:main}"] {
        let mut rates: Vec<(f64, f64)> = (0..5).map(|_| (run(body, true), run(body, false))).collect();
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (whole, bytes) = rates[2];
        println!("{whole:>10.0} commands a CPU second, {bytes:>10.0} without parsing: `{body}`");
        let memory = (0..5).map(|_| from_memory(body)).fold(0.0, f64::max);
        println!("{memory:>10.0} commands a second from memory, the best of five");
    }
}
