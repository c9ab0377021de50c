//! ns a command of a peer, without sockets: read from text, routed, decoded, folded. `cargo bench -p shoal-core --bench serve`.

use std::time::{Duration, Instant};

use shoal_core::declaration::Declaration;
use shoal_core::dispatch::Step;
use shoal_core::peer::{Bounds, Form};
use shoal_core::shard::Shard;
use shoal_core::warp;

const READS: usize = 2_000;
const COMMANDS: usize = 500;

fn declaration() -> Declaration {
    let column = |name: &str| serde_json::json!({"name": name, "type": "int64", "default": 0});
    let from = |slots: &[usize]| serde_json::json!({"command": {"command": 0, "slots": slots}});
    serde_json::from_value(serde_json::json!({
        "app": "bench", "zone": "UTC",
        "settings": {"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
            "commit_turns": 4096, "handler_seconds": 5.0},
        "populations": [{
            "name": "Unit", "pattern": [{"literal": "unit"}, {"parameter": "id"}],
            "columns": [column("info"), column("count")], "maps": [], "changed": [], "timers": [], "members": [],
            "hooks": {"create": false, "start": false, "stop": false},
            "commands": [{"name": "publish", "body": {"scalar": {"kind": "int"}}}],
            "folds": [{"out": 0, "input": from(&[0]), "fold": "latest"}, {"out": 1, "input": from(&[]), "fold": "count"}],
        }],
    }))
    .expect("the declaration is complete")
}

fn main() {
    let bounds =
        Bounds { intake_bytes: 1 << 30, queue_bytes: 1 << 30, queue_events: 1000, links: 100, twins: usize::MAX };
    for nodes in [1, 1_000, 100_000] {
        let mut shard = Shard::new(declaration(), false, false).expect("a shard");
        shard.serving = true;
        let peer = shard.exchange.connect(Form::Warp, "/", String::new(), bounds);
        let (mut reading, mut applying) = (Duration::ZERO, Duration::ZERO);
        for read in 0..READS {
            let texts: Vec<String> = (0..COMMANDS)
                .map(|at| format!("@command(node:\"/unit/{}\",lane:publish) {at}", (read * COMMANDS + at) % nodes))
                .collect();
            let start = Instant::now();
            let mut frames = peer.spare();
            for text in &texts {
                frames.push(&warp::read(text).expect("a command"));
            }
            reading += start.elapsed();
            peer.offer(frames);
            let start = Instant::now();
            while shard.waiting() {
                shard.batch(Duration::from_secs(1));
                while shard.advance() != Step::Idle {}
                shard.commit();
            }
            applying += start.elapsed();
        }
        let commands = (READS * COMMANDS) as f64;
        assert_eq!(shard.outside_counts.applied as f64, commands);
        println!(
            "{nodes:>7} nodes: {:>4.0} ns to read a command, {:>4.0} ns to apply it",
            reading.as_nanos() as f64 / commands,
            applying.as_nanos() as f64 / commands
        );
    }
}
