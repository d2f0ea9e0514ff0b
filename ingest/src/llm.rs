//! SHELL: model APIs behind the gateway: `/llm/NAME/…` goes to an upstream of the settings, and both directions of each
//! exchange are recorded as they pass.
//!
//! Bytes go on at once and untouched; what is kept of them are references. Reading them is `capture::llm`'s, and is done by
//! each route's recorder, which nobody waits for but clients of fail-closed routes. Nothing is sent twice.
//!
//! CORE: `config`, `target`, `headers`, `sessions`, `losses`. SHELL: the others.

mod answer;
mod client;
mod config;
mod door;
mod exchange;
mod headers;
mod losses;
mod metrics;
mod pause;
mod question;
mod queue;
mod read;
mod recorder;
mod route;
mod sessions;
mod target;

use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::any;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use config::{OnFailure, Upstream};
pub(crate) use metrics::Metrics;

use crate::error::Error;
use crate::gateway::Gateway;
use exchange::Item;
use route::Route;
use sessions::Sessions;
use target::Speech;

/// All upstreams.
#[derive(Debug)]
pub(crate) struct Llm {
    gateway: Arc<Gateway>,
    routes: HashMap<(Speech, String), (Arc<Route>, SyncSender<Item>)>,
    /// Cancelled when answers under way are to be cut off.
    cut: CancellationToken,
}

impl Llm {
    /// Those of the gateway's settings, each with its recorder.
    pub(crate) fn start(gateway: &Arc<Gateway>) -> Result<Arc<Self>, Error> {
        let sessions = Arc::new(Mutex::new(Sessions::new()));
        let mut routes = HashMap::new();
        let models = gateway.config.llm.iter().map(|upstream| (Speech::Llm, upstream));
        let servers = gateway.config.mcp.iter().map(|upstream| (Speech::Mcp, upstream));
        for (speech, (name, upstream)) in models.chain(servers) {
            let route = Arc::new(Route::new(speech, name, upstream.clone(), gateway)?);
            let queue = recorder::start(gateway, &route, &sessions)?;
            let root = speech.root();
            tracing::info!(root, route = name, url = upstream.url, "an upstream can be reached");
            routes.insert((speech, name.clone()), (route, queue));
        }
        let (gateway, cut) = (Arc::clone(gateway), CancellationToken::new());
        Ok(Arc::new(Self { gateway, routes, cut }))
    }

    /// The door.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        let door = any(door::forward);
        Router::new()
            .route("/llm/{*rest}", door.clone())
            .route("/mcp/{*rest}", door)
            .with_state(self)
    }

    /// Whether there is anything to cut off.
    pub(crate) fn is_used(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Cuts off the answers under way.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits until all exchanges are on record, or known not to be. None may be under way any more.
    pub(crate) async fn end(&self) {
        for (_, queue) in self.routes.values() {
            let (done, wait) = oneshot::channel();
            let mut item = Some(Item::End(done));
            // A full queue is tried again until there is room.
            while let Some(next) = item.take() {
                if let Err(TrySendError::Full(back)) = queue.try_send(next) {
                    item = Some(back);
                    tokio::task::yield_now().await;
                }
            }
            wait.await.ok();
        }
    }
}
