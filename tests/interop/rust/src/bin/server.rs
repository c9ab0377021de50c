//! Swim's server for Rust with the agents of `../../units.py`, in memory: `server --port PORT`, 0 for any that is free.

use std::collections::HashSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use swimos::agent::agent_lifecycle::HandlerContext;
use swimos::agent::agent_model::AgentModel;
use swimos::agent::event_handler::{EventHandler, HandlerAction, HandlerActionExt};
use swimos::agent::lanes::{
    CommandLane, DemandLane, DemandMapLane, JoinMapLane, JoinValueLane, MapLane, SupplyLane, ValueLane,
};
use swimos::agent::{lifecycle, projections, AgentLaneModel};
use swimos::model::Value;
use swimos::route::RoutePattern;
use swimos::server::{Server, ServerBuilder};
use tokio::signal::unix::{signal, SignalKind};

#[derive(AgentLaneModel)]
#[projections]
struct Unit {
    info: ValueLane<Value>,
    count: ValueLane<i32>,
    shopping: MapLane<Value, Value>,
    publish: CommandLane<Value>,
    supply: SupplyLane<Value>,
    demand: DemandLane<i32>,
    demandmap: DemandMapLane<String, i32>,
    poke: CommandLane<Value>,
}

#[derive(Clone)]
struct UnitLife;

#[lifecycle(Unit)]
impl UnitLife {
    #[on_command(publish)]
    fn publish(&self, context: HandlerContext<Unit>, body: &Value) -> impl EventHandler<Unit> {
        let (info, entry) = (body.clone(), body.clone());
        let counted = context.transform_value(Unit::COUNT, |count: &i32| count + 1);
        let put = context
            .get_value(Unit::COUNT)
            .and_then(move |count: i32| context.update(Unit::SHOPPING, Value::text(format!("k{}", count % 16)), entry));
        context.set_value(Unit::INFO, info).followed_by(counted).followed_by(put)
    }

    #[on_command(poke)]
    fn poke(&self, context: HandlerContext<Unit>, body: &Value) -> impl EventHandler<Unit> {
        let pushed = context.supply(Unit::SUPPLY, body.clone());
        let cued = context.cue(Unit::DEMAND).followed_by(context.cue_key(Unit::DEMANDMAP, "a".to_string()));
        context.transform_value(Unit::COUNT, |count: &i32| count + 1).followed_by(pushed).followed_by(cued)
    }

    #[on_cue(demand)]
    fn demand(&self, context: HandlerContext<Unit>) -> impl HandlerAction<Unit, Completion = i32> {
        context.get_value(Unit::COUNT)
    }

    #[keys(demandmap)]
    fn keys(&self, context: HandlerContext<Unit>) -> impl HandlerAction<Unit, Completion = HashSet<String>> {
        context.value(HashSet::from(["a".to_string(), "b".to_string()]))
    }

    #[on_cue_key(demandmap)]
    fn row(&self, context: HandlerContext<Unit>, _key: String) -> impl HandlerAction<Unit, Completion = Option<i32>> {
        context.get_value(Unit::COUNT).map(Some)
    }
}

#[derive(AgentLaneModel)]
#[projections]
struct Agg {
    join: JoinValueLane<String, Value>,
    joinmap: JoinMapLane<String, Value, Value>,
    register: CommandLane<String>,
}

#[derive(Clone)]
struct AggLife;

#[lifecycle(Agg)]
impl AggLife {
    #[on_command(register)]
    fn register(&self, context: HandlerContext<Agg>, id: &str) -> impl EventHandler<Agg> {
        let node = format!("/unit/{id}");
        let value = context.add_downlink(Agg::JOIN, id.to_string(), None, node.as_str(), "info");
        let entries = context.add_map_downlink(Agg::JOINMAP, id.to_string(), None, node.as_str(), "shopping");
        value.followed_by(entries)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let port: u16 = std::env::args().skip_while(|word| word != "--port").nth(1).ok_or("--port PORT")?.parse()?;
    let unit = AgentModel::new(Unit::default, UnitLife.into_lifecycle());
    let agg = AgentModel::new(Agg::default, AggLife.into_lifecycle());
    let server = ServerBuilder::with_plane_name("units")
        .set_bind_addr(SocketAddr::from(([127, 0, 0, 1], port)))
        .add_route(RoutePattern::parse_str("/unit/:id")?, unit)
        .add_route(RoutePattern::parse_str("/agg/:id")?, agg)
        .update_config(|config| config.agent_runtime.inactive_timeout = Duration::from_secs(3600))
        .enable_introspection()
        .build()
        .await?;
    let (task, mut handle) = server.run();
    let mut ended = signal(SignalKind::terminate())?;
    let end = async move {
        if let Some(address) = handle.bound_addr().await {
            println!("serving http://{address}");
        }
        ended.recv().await;
        handle.stop();
    };
    let (_, result) = tokio::join!(end, task);
    Ok(result?)
}
