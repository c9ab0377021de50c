//! The listener of a shard, for the loop.

use std::time::Duration;

use pyo3::prelude::*;
use shoal_core::listen::Server;

use crate::errors::RunFailed;
use crate::shard::Inner;

/// Begins to listen; gives the address, with the port that was free, and what the operator should know.
pub fn serve(state: &mut Inner, host: &str, port: u16) -> PyResult<(String, u16, Vec<String>)> {
    let (limits, exchange) = (state.core.settings.limits.clone(), state.core.exchange.clone());
    let server = Server::start(host, port, limits, exchange).map_err(RunFailed::new_err)?;
    let address = server.address();
    let notes = server.notes().to_vec();
    state.core.open_doors();
    state.server = Some(server);
    Ok((address.ip().to_string(), address.port(), notes))
}

/// Nothing more is taken from outside; what has come is still work.
pub fn stop_listening(state: &Inner) {
    if let Some(server) = &state.server {
        server.drain();
    }
}

/// Ends links and connections. Gives back the server for `end`, which blocks.
pub fn hang_up(state: &mut Inner) -> Option<Server> {
    let server = state.server.take()?;
    state.core.close_doors("the server stops");
    // its threads are theirs
    state.core.remotes.hang_up();
    Some(server)
}

/// Waits for the connections to end, at most `seconds`.
pub fn end(py: Python<'_>, server: Server, seconds: f64) {
    let deadline = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    py.detach(|| server.stop(deadline));
}
