//! Swim's Rust client, driven by lines of JSON: `client warp://host:port`. See `../../peers.py`.
//!
//! It ends a link with its connection; this program opens it again, as programs with it must: each time with a client of
//! its own, since one that loses its connection may leave those unanswered that come back too early.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{json, Value as Json};
use swimos::model::{Attr, Item, Value};
use swimos_client::{
    BasicEventDownlinkLifecycle, BasicMapDownlinkLifecycle, BasicValueDownlinkLifecycle, Commander, MapDownlinkView,
    RemotePath, SwimClientBuilder, ValueDownlinkView,
};
use tokio::io::{AsyncBufReadExt, BufReader};

const PAUSE: Duration = Duration::from_millis(100);

fn tell(line: Json) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Extant => Json::Null,
        Value::Int32Value(n) => json!(n),
        Value::Int64Value(n) => json!(n),
        Value::UInt32Value(n) => json!(n),
        Value::UInt64Value(n) => json!(n),
        Value::Float64Value(n) => json!(n),
        Value::BooleanValue(b) => json!(b),
        Value::Text(text) => json!(text.as_str()),
        Value::Record(attrs, items) if attrs.is_empty() && items.iter().all(|item| matches!(item, Item::Slot(..))) => {
            items
                .iter()
                .map(|item| match item {
                    Item::Slot(key, value) => (plain_key(key), plain(value)),
                    Item::ValueItem(value) => (String::new(), plain(value)),
                })
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::Record(attrs, items) if attrs.is_empty() => items
            .iter()
            .map(|item| match item {
                Item::ValueItem(value) | Item::Slot(_, value) => plain(value),
            })
            .collect(),
        other => json!(format!("{other}")),
    }
}

fn plain_key(key: &Value) -> String {
    match key {
        Value::Text(text) => text.as_str().to_owned(),
        other => format!("{other}"),
    }
}

fn swim(json: &Json) -> Value {
    match json {
        Json::Null => Value::Extant,
        Json::Bool(b) => Value::BooleanValue(*b),
        Json::Number(n) => n.as_i64().map_or_else(
            || Value::Float64Value(n.as_f64().unwrap_or(f64::NAN)),
            |whole| i32::try_from(whole).map_or(Value::Int64Value(whole), Value::Int32Value),
        ),
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(items) => {
            Value::Record(Vec::<Attr>::new(), items.iter().map(|it| Item::ValueItem(swim(it))).collect())
        }
        Json::Object(slots) => Value::Record(
            Vec::<Attr>::new(),
            slots.iter().map(|(key, value)| Item::Slot(Value::text(key.as_str()), swim(value))).collect(),
        ),
    }
}

#[derive(Clone)]
enum View {
    Value(ValueDownlinkView<Value>),
    Map(MapDownlinkView<Value, Value>),
}

type Views = Arc<Mutex<HashMap<String, View>>>;

fn entries(map: &BTreeMap<Value, Value>) -> Json {
    map.iter().map(|(key, value)| json!([plain(key), plain(value)])).collect()
}

/// Keeps a link open until the program ends.
async fn keep(views: Views, on: String, kind: String, path: RemotePath) {
    let said = |what: &'static str| {
        let on = on.clone();
        move || tell(json!({"on": on, "is": what}))
    };
    loop {
        let (client, task) = SwimClientBuilder::default().build().await;
        tokio::spawn(task);
        let client = client.handle();
        let stopped = match kind.as_str() {
            "value" => {
                let (event, synced) = (on.clone(), on.clone());
                let lifecycle = BasicValueDownlinkLifecycle::default()
                    .on_linked_blocking(said("linked"))
                    .on_synced_blocking(move |value: &Value| {
                        tell(json!({"on": synced, "state": plain(value)}));
                        tell(json!({"on": synced, "is": "synced"}));
                    })
                    .on_event_blocking(move |value: &Value| tell(json!({"on": event, "state": plain(value)})))
                    .on_unlinked_blocking(said("unlinked"));
                match client.value_downlink::<Value>(path.clone()).lifecycle(lifecycle).open().await {
                    Ok(view) => {
                        let stopped = view.stop_notification();
                        views.lock().unwrap().insert(on.clone(), View::Value(view));
                        Some(stopped)
                    }
                    Err(_) => None,
                }
            }
            "map" => {
                let (synced, updated, removed, cleared) = (on.clone(), on.clone(), on.clone(), on.clone());
                let lifecycle = BasicMapDownlinkLifecycle::<Value, Value>::default()
                    .on_linked_blocking(said("linked"))
                    .on_synced_blocking(move |map: &BTreeMap<Value, Value>| {
                        tell(json!({"on": synced, "state": entries(map)}));
                        tell(json!({"on": synced, "is": "synced"}));
                    })
                    .on_update_blocking(move |_, map: &BTreeMap<Value, Value>, _, _| {
                        tell(json!({"on": updated, "state": entries(map)}));
                    })
                    .on_removed_blocking(move |_, map: &BTreeMap<Value, Value>, _| {
                        tell(json!({"on": removed, "state": entries(map)}));
                    })
                    .on_clear_blocking(move |_| tell(json!({"on": cleared, "state": []})))
                    .on_unlink_blocking(said("unlinked"));
                match client.map_downlink::<Value, Value>(path.clone()).lifecycle(lifecycle).open().await {
                    Ok(view) => {
                        let stopped = view.stop_notification();
                        views.lock().unwrap().insert(on.clone(), View::Map(view));
                        Some(stopped)
                    }
                    Err(_) => None,
                }
            }
            _ => {
                let event = on.clone();
                let lifecycle = BasicEventDownlinkLifecycle::<Value>::default()
                    .on_linked_blocking(said("linked"))
                    .on_event_blocking(move |value: &Value| tell(json!({"on": event, "event": plain(value)})))
                    .on_unlinked_blocking(said("unlinked"));
                match client.event_downlink::<Value>(path.clone()).lifecycle(lifecycle).open().await {
                    Ok(view) => Some(view.stop_notification()),
                    Err(_) => None,
                }
            }
        };
        if let Some(stopped) = stopped {
            let _ = stopped.await;
            tell(json!({"on": on, "is": "disconnected"}));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn step(line: &Json, host: &str, views: &Views, commander: &mut Commander) -> Result<(), String> {
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let view = || views.lock().unwrap().get(&text("on")).cloned().ok_or("no such link");
    match line["do"].as_str().unwrap_or_default() {
        "open" => {
            let path = RemotePath::new(host, text("node"), text("lane"));
            tokio::spawn(keep(Arc::clone(views), text("on"), text("kind"), path));
            Ok(())
        }
        "command" => commander
            .send_command(host, text("node"), text("lane"), &swim(&line["body"]))
            .await
            .map_err(|error| error.to_string()),
        "set" => match view()? {
            View::Value(view) => view.set(swim(&line["value"])).await.map_err(|error| error.to_string()),
            View::Map(_) => Err("a map".into()),
        },
        other => match (other, view()?) {
            ("put", View::Map(view)) => {
                view.update(swim(&line["key"]), swim(&line["value"])).await.map_err(|_| "ended".into())
            }
            ("remove", View::Map(view)) => view.remove(swim(&line["key"])).await.map_err(|_| "ended".into()),
            ("clear", View::Map(view)) => view.clear().await.map_err(|_| "ended".into()),
            _ => Err(format!("no {other} here")),
        },
    }
}

#[tokio::main]
async fn main() {
    let host = std::env::args().nth(1).unwrap_or_default();
    let views = Views::default();
    let mut commander = Commander::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(line) = serde_json::from_str::<Json>(&line) else { break };
        let done = step(&line, &host, &views, &mut commander).await;
        match done {
            Ok(()) => tell(json!({"done": line["number"]})),
            Err(error) => tell(json!({"done": line["number"], "error": error})),
        }
    }
    std::process::exit(0);
}
