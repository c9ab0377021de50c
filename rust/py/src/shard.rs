//! `Shard`: the loop's side of the core.

use std::cell::{Cell, UnsafeCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::IntoPyDict;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};
use shoal_core::declaration::{Declaration, LinkKind};
use shoal_core::dump::dump;
use shoal_core::envelope::{Body, Kind, Lane, Node};
use shoal_core::feed::{SourceDecl, State};
use shoal_core::population::{PopulationId, TwinId};
use shoal_core::remote::Status;
use shoal_core::turn::Within;

use crate::body;
use crate::class::Class;
use crate::convert::to_python;
use crate::counts::Counts;
use crate::deadline::Deadline;
use crate::errors::{DeclarationError, NoSuchTwin, RunFailed, ShoalError, wrong_thread};
use crate::journal;
use crate::letter::DeadLetter;
use crate::preview::Preview;
use crate::request;
use crate::server;
use crate::turns::Turns;

/// The number of the parked turn that the running coroutine belongs to: a context variable, which tasks inherit.
pub struct Context {
    variable: Py<PyAny>,
    get: Py<PyAny>,
}

impl Context {
    pub fn current(&self, py: Python<'_>) -> Option<u64> {
        self.get.bind(py).call0().ok()?.extract().ok()
    }
}

pub struct Inner {
    pub core: shoal_core::shard::Shard,
    pub classes: Vec<Class>,
    pub context: Context,
    pub deadline: Arc<Deadline>,
    /// The validated object of the envelope in hand, for its handler.
    pub admitted: Option<Py<PyAny>>,
    /// A source's `where=` and `to=`.
    pub filters: Vec<Option<Py<PyAny>>>,
    pub routes: Vec<Option<Py<PyAny>>>,
    /// Who waits for the answers to requests, by number: objects with `settle(reply, kind, reason)`.
    pub questions: HashMap<u64, Py<PyAny>>,
    /// `Local` objects, by twin.
    pub locals: HashMap<(PopulationId, TwinId), Py<PyDict>>,
    /// While the shard listens.
    pub server: Option<shoal_core::listen::Server>,
    /// The answer to a backup that is being made.
    pub backup: Option<std::sync::mpsc::Receiver<Result<String, String>>>,
    closed: bool,
}

/// Host, connected, links, commands that wait, what is wrong.
type RemoteStatus = (String, bool, usize, usize, String);

#[pyclass(frozen, module = "shoal._core", weakref)]
pub struct Shard {
    /// Only touched by the thread that made it, with the GIL held; no reference is kept while Python code may run.
    inner: UnsafeCell<Inner>,
    thread: usize,
}

// SAFETY: `state` lets nobody in but the thread that made the shard.
unsafe impl Sync for Shard {}
// SAFETY: as above; dropping happens with the GIL held.
unsafe impl Send for Shard {}

thread_local! {
    /// This thread's number, once it has made a shard; 0 before, and in a forked child.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

static NEXT_THREAD: AtomicUsize = AtomicUsize::new(1);
static FORKED: AtomicBool = AtomicBool::new(false);

/// Cheaper than `std::thread::current().id()` and than asking for the process.
#[inline(always)]
fn here() -> usize {
    HERE.get()
}

/// The number of a thread that makes a shard.
fn enter() -> usize {
    if HERE.get() == 0 {
        HERE.set(NEXT_THREAD.fetch_add(1, Ordering::Relaxed));
    }
    HERE.get()
}

/// Runs in a forked child, in its only thread: no shard of its parent's is this thread's any more.
#[pyfunction]
pub fn _after_fork() {
    HERE.set(0);
    FORKED.store(true, Ordering::Relaxed);
}

impl Shard {
    /// The state, for the shard's own thread in its own process.
    ///
    /// The caller drops the reference before it runs Python code, and looks the state up again after it.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the thread check and the rule above stand in for the borrow checker")]
    pub fn state(&self) -> PyResult<&mut Inner> {
        if self.thread != here() {
            return Err(wrong_thread(FORKED.load(Ordering::Relaxed)));
        }
        // SAFETY: one thread, and by the rule above one reference at a time.
        Ok(unsafe { &mut *self.inner.get() })
    }

    fn open(&self) -> PyResult<&mut Inner> {
        let state = self.state()?;
        match state.closed {
            true => Err(ShoalError::new_err("this shard is closed")),
            false => Ok(state),
        }
    }

    fn row(&self, population: u16, parameters: &[String]) -> PyResult<u32> {
        let state = self.open()?;
        state.core.unmount();
        let key = parameters.join("\0");
        let class = &state.core.populations[population as usize];
        class.table.find(key.as_bytes()).ok_or_else(|| {
            NoSuchTwin::new_err(format!(
                "there is no {} at {}; reading never makes one, its first command does",
                class.decl.name,
                state.core.router.uri(PopulationId(population), &key)
            ))
        })
    }
}

#[pymethods]
impl Shard {
    #[new]
    #[pyo3(signature = (declaration, classes, functions, r#virtual, keep_remote = false))]
    fn new(
        py: Python<'_>,
        declaration: &[u8],
        classes: Vec<Py<PyType>>,
        functions: Vec<Bound<'_, PyAny>>,
        r#virtual: bool,
        keep_remote: bool,
    ) -> PyResult<Self> {
        let declaration: Declaration = serde_json::from_slice(declaration)
            .map_err(|error| DeclarationError::new_err(format!("the declaration cannot be read: {error}")))?;
        let seconds = declaration.settings.handler_seconds;
        let core =
            shoal_core::shard::Shard::new(declaration, r#virtual, keep_remote).map_err(DeclarationError::new_err)?;
        let classes = classes
            .into_iter()
            .zip(&functions)
            .map(|(class, functions)| Class::new(class, functions))
            .collect::<PyResult<_>>()?;
        let variable = py
            .import("contextvars")?
            .getattr("ContextVar")?
            .call(("shoal_turn",), Some(&[("default", py.None())].into_py_dict(py)?))?;
        let context = Context { get: variable.getattr("get")?.unbind(), variable: variable.unbind() };
        let thread = py.import("threading")?.call_method0("get_ident")?.extract()?;
        let deadline = Deadline::start(thread, seconds)
            .map_err(|error| RunFailed::new_err(format!("no thread could be started: {error}")))?;
        let inner = Inner {
            core,
            classes,
            context,
            deadline,
            admitted: None,
            filters: Vec::new(),
            routes: Vec::new(),
            questions: HashMap::new(),
            locals: HashMap::new(),
            server: None,
            backup: None,
            closed: false,
        };
        Ok(Shard { inner: UnsafeCell::new(inner), thread: enter() })
    }

    /// The context variable that holds the number of a coroutine's turn.
    #[getter]
    fn context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.state()?.context.variable.clone_ref(py))
    }

    // -- the loop

    fn turns(slf: Py<Self>, py: Python<'_>, budget: u64) -> PyResult<Turns> {
        slf.bind(py).get().open()?.core.batch(Duration::from_micros(budget));
        Ok(Turns { shard: slf })
    }

    fn commit(&self) -> PyResult<u64> {
        let state = self.open()?;
        let number = state.core.commit();
        journal::check(state)?;
        let gone: Vec<_> = state.core.gone.drain(..).filter_map(|twin| state.locals.remove(&twin)).collect();
        drop(gone);
        Ok(number)
    }

    fn fail(&self, py: Python<'_>, kind: &str, reason: &str) -> PyResult<()> {
        let state = self.open()?;
        state.deadline.done(py);
        state.core.fail(Kind::named(kind), reason);
        Ok(())
    }

    /// The URI of the turn in progress, "" between turns.
    fn at(&self) -> PyResult<String> {
        let state = self.open()?;
        let turn = &state.core.turn;
        if turn.phase == shoal_core::turn::Phase::None {
            return Ok(String::new());
        }
        let key = state.core.populations[turn.population.0 as usize].table.key(turn.row);
        Ok(state.core.router.uri(turn.population, key))
    }

    fn park(&self, py: Python<'_>) -> PyResult<u64> {
        let state = self.open()?;
        state.deadline.done(py);
        // the coroutine keeps its twin object: the next call gets another
        let population = state.core.turn.population;
        state.classes[population.0 as usize].handle = None;
        Ok(state.core.park())
    }

    fn finish(&self, turn: u64, kind: &str, reason: &str) -> PyResult<()> {
        let outcome = if kind.is_empty() { Ok(()) } else { Err((Kind::named(kind), reason.to_owned())) };
        self.open()?.core.finish(turn, outcome);
        Ok(())
    }

    /// What an async handler has given: the reply, where its turn answers a request; TypeError for one of another type.
    fn reply(slf: &Bound<'_, Self>, turn: u64, result: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().open()?;
        request::reply(slf.py(), slf, Within::Parked(turn), result)
    }

    /// A program's question to a twin; as `Handle._ask`.
    fn ask(
        slf: &Bound<'_, Self>,
        population: u16,
        parameters: Vec<String>,
        command: u16,
        body: &Bound<'_, PyAny>,
        question: Py<PyAny>,
    ) -> PyResult<u64> {
        slf.get().open()?;
        let body = body::validated(slf, PopulationId(population), command, body)?;
        let key = body::key(slf, PopulationId(population), &parameters)?;
        let target = (PopulationId(population), key);
        request::ask(slf, None, target, command, body, question)
            .map_err(|refusal| crate::errors::refused(refusal, "the program", "ask"))
    }

    /// Nobody waits for this answer any more.
    fn forget_ask(&self, number: u64) -> PyResult<()> {
        let state = self.state()?;
        state.core.requests.forget(number);
        let gone = state.questions.remove(&number);
        drop(gone);
        Ok(())
    }

    /// Hands out the answers that have come.
    fn settle_asks(slf: &Bound<'_, Self>) -> PyResult<()> {
        request::settle(slf)
    }

    fn waiting(&self) -> PyResult<bool> {
        Ok(self.open()?.core.waiting())
    }

    fn in_flight(&self) -> PyResult<usize> {
        Ok(self.open()?.core.parked.len())
    }

    fn fileno(&self) -> PyResult<i32> {
        Ok(self.state()?.core.wake.fd())
    }

    fn woken(&self) -> PyResult<()> {
        self.state()?.core.wake.reset();
        Ok(())
    }

    fn next_due(&self) -> PyResult<Option<i64>> {
        Ok(self.open()?.core.timers.next_due())
    }

    /// Real µs until the event that a replay's pace holds back.
    fn next_wake(&self) -> PyResult<Option<u64>> {
        Ok(self.open()?.core.next_wake().map(|wait| wait.as_micros() as u64))
    }

    fn now(&self) -> PyResult<i64> {
        let state = self.open()?;
        state.core.clock.tick();
        Ok(state.core.clock.now())
    }

    fn advance(&self, to: i64) -> PyResult<()> {
        self.open()?.core.clock.reach(to);
        Ok(())
    }

    fn stop_reading(&self) -> PyResult<()> {
        for source in &mut self.open()?.core.sources {
            source.close();
        }
        self.open()?.core.remotes.drain();
        Ok(())
    }

    fn stop(&self) -> PyResult<()> {
        let state = self.open()?;
        for (number, class) in state.core.populations.iter().enumerate() {
            if class.decl.hooks.stop {
                let ids = class.table.live().filter_map(|row| class.table.id(row));
                state.core.stopping.extend(ids.map(|id: TwinId| (PopulationId(number as u16), id)));
            }
        }
        Ok(())
    }

    /// (address, port, what the operator should know)
    fn serve(&self, host: &str, port: u16) -> PyResult<(String, u16, Vec<String>)> {
        server::serve(self.open()?, host, port)
    }

    fn stop_listening(&self) -> PyResult<()> {
        server::stop_listening(self.open()?);
        Ok(())
    }

    fn stop_serving(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let connections = server::hang_up(self.open()?);
        server::end(py, connections, seconds);
        Ok(())
    }

    /// Commands to other servers that are not written yet.
    fn unsent(&self) -> PyResult<usize> {
        Ok(self.open()?.core.remotes.unsent())
    }

    /// Some of them wait for servers that are not known to be away.
    fn is_sending(&self) -> PyResult<bool> {
        Ok(self.open()?.core.remotes.is_sending())
    }

    /// Other servers by name: (address, connected, links, commands that wait, why there is no connection)
    fn remotes(&self) -> PyResult<Vec<RemoteStatus>> {
        let status = |status: Status| (status.host, status.is_connected, status.links, status.waiting, status.trouble);
        Ok(self.open()?.core.remotes.status().into_iter().map(status).collect())
    }

    // -- the journal

    /// Takes up the state of the store in a folder and saves to it; RunFailed where it cannot.
    fn open_store(&self, folder: std::path::PathBuf, forget: Vec<String>) -> PyResult<journal::Recovered> {
        journal::open_store(self.open()?, folder, &forget)
    }

    /// None: there is no store.
    fn journal(&self) -> PyResult<Option<journal::JournalStatus>> {
        Ok(journal::status(self.state()?))
    }

    /// What the store says of a source that is not open yet: (applied up to there, but these).
    fn mark(&self, source: &str) -> PyResult<Option<(u64, Vec<u64>)>> {
        Ok(journal::mark(self.open()?, source))
    }

    fn letters_kept(&self, through: u64) -> PyResult<()> {
        self.open()?.core.sink_has(shoal_core::journal::LETTERS, through);
        Ok(())
    }

    /// Begins a checkpoint now.
    fn checkpoint(&self) -> PyResult<()> {
        self.open()?.core.checkpoint();
        Ok(())
    }

    /// Has the store copied into a folder, in the background; RunFailed while another copy is made, and without a store.
    fn begin_backup(&self, to: std::path::PathBuf) -> PyResult<()> {
        journal::begin_backup(self.open()?, to)
    }

    /// None: it is not done yet. RunFailed: it could not be made.
    fn backup_answer(&self) -> PyResult<Option<String>> {
        journal::backup_answer(self.state()?)
    }

    /// Saves all that has happened and closes the store; no turn may follow. RunFailed: what is not saved.
    fn close_journal(&self, seconds: f64) -> PyResult<()> {
        journal::close(self.open()?, seconds)
    }

    fn close(&self) -> PyResult<()> {
        let state = self.state()?;
        state.core.journal = None;
        state.core.remotes.hang_up();
        state.closed = true;
        state.server = None;
        state.deadline.stop();
        for source in &mut state.core.sources {
            source.close();
        }
        let locals = std::mem::take(&mut state.locals);
        let questions = std::mem::take(&mut state.questions);
        drop((locals, questions));
        let kept = state.classes.iter_mut().map(|class| (class.handle.take(), std::mem::take(&mut class.views)));
        let kept: Vec<_> = kept.collect();
        drop(kept);
        Ok(())
    }

    // -- from outside

    #[pyo3(signature = (uri, lane, body, origin = "outside"))]
    fn post(slf: &Bound<'_, Self>, uri: &str, lane: &str, body: &Bound<'_, PyAny>, origin: &str) -> PyResult<()> {
        let tree = body::tree(slf.py(), body)?;
        slf.get().open()?.core.post(origin.into(), Node::Uri(uri.into()), Lane::Named(lane.into()), Body::Tree(tree));
        Ok(())
    }

    #[pyo3(signature = (population, parameters, command, body, origin = "outside"))]
    fn post_to(
        slf: &Bound<'_, Self>,
        population: u16,
        parameters: Vec<String>,
        command: u16,
        body: &Bound<'_, PyAny>,
        origin: &str,
    ) -> PyResult<()> {
        let key = body::key(slf, PopulationId(population), &parameters)?;
        let body = body::validated(slf, PopulationId(population), command, body)?;
        let node = Node::Key(PopulationId(population), key);
        slf.get().open()?.core.post(origin.into(), node, Lane::Command(command), body);
        Ok(())
    }

    /// `preview`: the source has been looked at, and goes on from its first record.
    #[pyo3(signature = (source, r#where, to, preview = None))]
    fn ingest(
        &self,
        source: &[u8],
        r#where: Option<Py<PyAny>>,
        to: Option<Py<PyAny>>,
        preview: Option<&Preview>,
    ) -> PyResult<u16> {
        let decl: SourceDecl = serde_json::from_slice(source)
            .map_err(|error| DeclarationError::new_err(format!("the source cannot be read: {error}")))?;
        let state = self.open()?;
        let number = state.core.ingest_from(decl, preview.and_then(Preview::take)).map_err(RunFailed::new_err)?;
        state.filters.push(r#where);
        state.routes.push(to);
        Ok(number)
    }

    /// Records with a field that nobody has declared, which their sources wait with: (source, position, text).
    fn news<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u16, u64, Bound<'py, PyBytes>)>> {
        let news = self.open()?.core.news();
        Ok(news.iter().map(|(source, at, text)| (*source, *at, PyBytes::new(py, text))).collect())
    }

    /// A source goes on after news; it does not stop for the `passed` fields again.
    fn go_on(&self, source: u16, passed: Vec<String>) -> PyResult<()> {
        self.open()?.core.go_on(source, passed.iter().map(|name| name.as_str().into()).collect());
        Ok(())
    }

    /// A declaration that only adds lanes to the present one; commits first.
    fn extend(
        &self,
        py: Python<'_>,
        declaration: &[u8],
        classes: Vec<Py<PyType>>,
        functions: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let declaration: Declaration = serde_json::from_slice(declaration)
            .map_err(|error| DeclarationError::new_err(format!("the declaration cannot be read: {error}")))?;
        let made = classes.into_iter().zip(&functions).map(|(class, functions)| Class::new(class, functions));
        let made = made.collect::<PyResult<Vec<_>>>()?;
        self.open()?.core.extend(declaration).map_err(DeclarationError::new_err)?;
        let old = std::mem::replace(&mut self.state()?.classes, made);
        // dropped last: that may run Python code
        let _ = py;
        drop(old);
        Ok(())
    }

    /// Records of the program itself, for a source without a file.
    #[pyo3(signature = (source, records, first = 0))]
    fn records(slf: &Bound<'_, Self>, source: usize, records: Vec<Bound<'_, PyAny>>, first: u64) -> PyResult<()> {
        let encode = slf.py().import("msgspec.json")?.getattr("encode")?;
        let mut texts = Vec::with_capacity(records.len());
        for record in records {
            texts.push(encode.call1((record,))?.extract::<Vec<u8>>()?);
        }
        slf.get().open()?.core.sources[source].hand_from(first, &texts);
        Ok(())
    }

    fn counts(&self, source: usize) -> PyResult<Counts> {
        let source = &self.state()?.core.sources[source];
        let state = match &source.state {
            State::Open => "open".to_owned(),
            State::Done => "done".to_owned(),
            State::Failed(reason) => reason.clone(),
        };
        Ok(Counts::of(&source.counts, state))
    }

    fn inner_counts(&self) -> PyResult<Counts> {
        Ok(Counts::of(&self.state()?.core.inner_counts, "open".to_owned()))
    }

    /// Commands of programs on this thread.
    fn outside_counts(&self) -> PyResult<Counts> {
        Ok(Counts::of(&self.state()?.core.outside_counts, "open".to_owned()))
    }

    fn dead_letters(&self, py: Python<'_>) -> PyResult<Vec<DeadLetter>> {
        let letters = self.state()?.core.take_letters();
        Ok(letters.into_iter().map(|letter| DeadLetter::of(py, letter)).collect())
    }

    /// Takes what was sent to other servers: (URI, lane, body). Empty where such commands are dead letters.
    fn sent<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, String, Bound<'py, PyAny>)>> {
        let sent = self.open()?.core.remote.clone().unwrap_or_default();
        sent.iter().map(|(uri, lane, body)| Ok((uri.clone(), lane.clone(), to_python(py, body)?))).collect()
    }

    /// What a supply lane of a twin has pushed since the start, in order. Empty where it is not kept.
    fn pushed<'py>(
        &self,
        py: Python<'py>,
        population: u16,
        parameters: Vec<String>,
        supply: u16,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let key = parameters.join("\0");
        let pushed = self.open()?.core.pushed.as_deref().unwrap_or_default();
        let of_lane = pushed.iter().filter(|(at, of, lane, _)| at.0 == population && *of == key && *lane == supply);
        of_lane.map(|(.., item)| item.clone()).collect::<Vec<_>>().iter().map(|item| to_python(py, item)).collect()
    }

    fn route<'py>(&self, py: Python<'py>, uri: &str) -> PyResult<Option<(u16, Bound<'py, PyTuple>)>> {
        let state = self.open()?;
        match state.core.router.route(uri) {
            Ok((population, key)) if state.core.router.parameters(population) == 0 && key.is_empty() => {
                Ok(Some((population.0, PyTuple::empty(py))))
            }
            Ok((population, key)) => Ok(Some((population.0, PyTuple::new(py, key.split('\0').collect::<Vec<_>>())?))),
            Err(_) => Ok(None),
        }
    }

    // -- reading committed state

    fn exists(&self, population: u16, parameters: Vec<String>) -> PyResult<bool> {
        let state = self.open()?;
        Ok(state.core.populations[population as usize].table.find(parameters.join("\0").as_bytes()).is_some())
    }

    fn read<'py>(
        &self,
        py: Python<'py>,
        population: u16,
        parameters: Vec<String>,
        column: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let row = self.row(population, &parameters)?;
        let value = self.open()?.core.populations[population as usize].table.columns[column].get(row);
        to_python(py, &value)
    }

    fn read_map<'py>(
        &self,
        py: Python<'py>,
        population: u16,
        parameters: Vec<String>,
        map: usize,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let row = self.row(population, &parameters)?;
        let entries: Vec<_> = {
            let table = &self.open()?.core.populations[population as usize].table.maps[map];
            table.slots(row).map(|slot| (table.key(slot), table.value(slot))).collect()
        };
        entries.iter().map(|(key, value)| Ok((to_python(py, key)?, to_python(py, value)?))).collect()
    }

    fn read_members(&self, population: u16, parameters: Vec<String>, members: usize) -> PyResult<Vec<String>> {
        self.row(population, &parameters)?;
        Ok(self.open()?.core.member_uris(PopulationId(population), &parameters.join("\0"), members))
    }

    /// Links a lane for the program: `link_news` has what comes, under the number that is given.
    fn open_link(&self, uri: &str, lane: &str, kind: &str, sync: bool, prio: f64, rate: f64) -> PyResult<u16> {
        let kind = match kind {
            "map" => LinkKind::Map,
            "list" => LinkKind::List,
            "event" => LinkKind::Event,
            _ => LinkKind::Value,
        };
        Ok(self.open()?.core.open_app_link(uri, lane, kind, sync, (prio, rate)))
    }

    fn close_link(&self, link: u16) -> PyResult<()> {
        self.open()?.core.close_app_link(link);
        Ok(())
    }

    /// (link, what, …) of all that has come since the last call.
    fn link_news<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let news = self.open()?.core.take_app_news();
        news.into_iter().map(|(link, news)| crate::news::to_python(py, link, &news)).collect()
    }

    fn link_state(&self, population: u16, parameters: Vec<String>, link: u16) -> PyResult<(bool, bool)> {
        let row = self.row(population, &parameters)?;
        Ok(self.open()?.core.downlinks.state(PopulationId(population), link, row))
    }

    fn twins<'py>(&self, py: Python<'py>, population: u16) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let state = self.open()?;
        let bare = state.core.router.parameters(PopulationId(population)) == 0;
        let table = &state.core.populations[population as usize].table;
        let parameters = |row: u32| match bare {
            true => Ok(PyTuple::empty(py)),
            false => PyTuple::new(py, table.key(row).split('\0').collect::<Vec<_>>()),
        };
        table.live().map(parameters).collect()
    }

    fn size(&self, population: u16) -> PyResult<usize> {
        Ok(self.open()?.core.populations[population as usize].table.len())
    }

    fn uri(&self, population: u16, parameters: Vec<String>) -> PyResult<String> {
        Ok(self.state()?.core.router.uri(PopulationId(population), &parameters.join("\0")))
    }

    fn dump<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let state = dump(&mut self.open()?.core);
        Ok(PyBytes::new(py, state.to_string().as_bytes()))
    }
}
