//! `cargo bench -p shoal-core --bench recon`: ns a frame's header, a body into slots, a record to a value and back.

use std::hint::black_box;
use std::time::Instant;

use shoal_core::body::{BodyType, Plan, Record};
use shoal_core::decode::decode_json;
use shoal_core::recon::{check_body, decode_recon, read, write_interop};
use shoal_core::warp;

const TIMES: u32 = 1_000_000;

/// The best of seven runs.
fn time(name: &str, mut run: impl FnMut()) {
    let best = (0..7).map(|_| {
        let start = Instant::now();
        (0..TIMES).for_each(|_| run());
        start.elapsed()
    });
    let best = best.min().unwrap_or_default();
    println!("{name:<28} {:>6.1} ns", best.as_nanos() as f64 / f64::from(TIMES));
}

fn main() {
    let frame =
        "@command(node:\"/unit/7\",lane:publish){id:\"v4711\",t:1633608000.125,speed:52.25,lat:52.52437,lon:13.41053}";
    let body = warp::read(frame).map(|message| message.body).unwrap_or_default();
    let json = br#"{"id":"v4711","t":1633608000.125,"speed":52.25,"lat":52.52437,"lon":13.41053}"#;
    let fields = serde_json::json!([
        { "name": "id", "kind": "text", "required": true }, { "name": "t", "kind": "float", "required": true },
        { "name": "speed", "kind": "float", "required": true }, { "name": "lat", "kind": "float", "required": true },
        { "name": "lon", "kind": "float", "required": true },
    ]);
    let fields = serde_json::from_value(fields).unwrap_or_default();
    let zone = jiff::tz::TimeZone::UTC;
    let plan =
        Plan { body: BodyType::Record { fields }, wanted: u64::MAX, extra: vec![], known: None, time_slot: None, zone };
    let mut record = Record::default();
    let mut out = Vec::new();
    let value = read(body).unwrap_or_default();
    time("warp::read, header", || {
        let _ = black_box(warp::read(black_box(frame)));
    });
    time("recon::check_body", || {
        let _ = black_box(check_body(black_box(body)));
    });
    time("recon::decode_recon", || {
        let _ = black_box(decode_recon(&plan, black_box(body.as_bytes()), &mut record));
    });
    time("decode::decode_json", || {
        let _ = black_box(decode_json(&plan, black_box(json), &mut record));
    });
    time("recon::read", || {
        let _ = black_box(read(black_box(body)));
    });
    time("recon::write_interop", || {
        out.clear();
        write_interop(black_box(&value), &mut out);
    });
}
