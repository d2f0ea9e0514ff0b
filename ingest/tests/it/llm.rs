//! Model APIs behind the gateway: real connections on both sides, and the record read back from the spool.

mod bytes;
mod cassettes;
mod doors;
mod endings;
mod failures;
mod mcp;
pub(crate) mod record;
mod tls;
pub(crate) mod upstream;
mod windows;

use ingest::{Config, Upstream};

use crate::served::Served;
use upstream::Api;

/// A gateway before this API, as `/llm/api/`.
pub(crate) async fn before(api: &Api, change: impl FnOnce(&mut Upstream)) -> Served {
    Served::new(config(api, change)).await
}

fn config(api: &Api, change: impl FnOnce(&mut Upstream)) -> Config {
    let mut upstream = Upstream { url: api.url.clone(), ..Upstream::default() };
    change(&mut upstream);
    Config { llm: [("api".to_owned(), upstream)].into(), ..Config::default() }
}

/// A request of a chat, and an answer to it.
const CHAT: &str = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#;
pub(crate) const SAID: &str = r#"{"id":"c1","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

impl Served {
    fn llm(&self, path: &str) -> String {
        format!("http://{}/llm/api{path}", self.address)
    }

    /// Sends a chat; its status and body.
    async fn chat(&self, body: &str) -> (u16, String) {
        let request = self.client.post(self.llm("/v1/chat/completions"));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until the metrics have this line.
    async fn metric(&self, line: &str) {
        loop {
            let text = self.get("/metrics").await.1;
            if text.lines().any(|other| other == line) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the gateway, which puts on record what is under way.
    pub(crate) async fn end(&mut self) {
        self.cancel.cancel();
        (&mut self.task).await.unwrap().unwrap();
    }
}
