//! SHELL: the door `/llm/…`: who is asking and for which upstream, then the request goes on and the answer comes back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use capture::llm::Ended;
use futures_util::StreamExt;
use http_body::Body as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::oneshot;

use super::Llm;
use super::answer::Answer;
use super::client;
use super::exchange::{Exchange, Head};
use super::headers;
use super::question::{Broken, Question};
use super::target::Target;
use crate::auth::Credential;
use crate::metrics::wide;
use crate::refusal::{Code, Refusal};

/// Forwards an exchange.
pub(crate) async fn forward(State(llm): State<Arc<Llm>>, request: Request) -> Response {
    let is_other = headers::asks_for_another_protocol(request.headers());
    if request.method() == Method::CONNECT || is_other {
        let (ended, status) = (Ended::Complete, StatusCode::NOT_IMPLEMENTED);
        let (code, why) = ("not_implemented", "only HTTP is forwarded, no other protocol");
        return Failure { ended, status, code, why }.into_response();
    }
    let (parts, body) = request.into_parts();
    match begin(&llm, parts, &body) {
        Ok((exchange, request)) => exchange.run(&llm, request, body).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// What came instead of an answer.
struct Failure {
    ended: Ended,
    status: StatusCode,
    code: &'static str,
    why: &'static str,
}

/// Ends the exchange where the client does not wait for its answer.
struct Waiting(Option<Arc<Exchange>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.over(Ended::ClientAbort, None);
        }
    }
}

/// The exchange, and the head of what goes to the upstream.
fn begin(llm: &Llm, parts: Parts, body: &Body) -> Result<(Arc<Exchange>, Request<()>), Refusal> {
    let Parts { method, uri, mut headers, .. } = parts;
    let target = uri.path_and_query().and_then(|text| Target::parse(text.as_str()));
    let unknown = || Refusal::new(Code::NotFound, "there is no upstream of this name");
    let target = target.ok_or_else(unknown)?;
    let credential = credential(llm, &headers, &target)?;
    let (route, queue) =
        llm.routes.get(&(target.speech, target.name.to_owned())).ok_or_else(unknown)?;
    headers.remove(headers::KEY);
    let wrong = || Refusal::new(Code::InvalidBody, "the path is not one of the upstream's");
    if target.climbs() {
        return Err(wrong());
    }
    let uri: Uri = target.at(&route.address).ok_or_else(wrong)?;
    let sent = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let reservation = llm.gateway.budget.reserve()?;
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers.clone();
    headers::to_upstream(request.headers_mut(), &route.host);
    let head = Head { method, target: sent, headers, announced: body.size_hint().exact() };
    let (route, queue) = (Arc::clone(route), queue.clone());
    let exchange = Exchange::new(route, queue, credential, head, reservation);
    Ok((exchange, request))
}

/// The key is in a header, or where a client lets nothing but the address be set, in the path.
fn credential(llm: &Llm, headers: &HeaderMap, target: &Target<'_>) -> Result<Credential, Refusal> {
    let header = headers.get(headers::KEY).map(|value| value.to_str().unwrap_or_default());
    let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default());
    llm.gateway.auth.judge(header.or(target.key), origin)
}

impl Exchange {
    async fn run(self: Arc<Self>, llm: &Llm, request: Request<()>, body: Body) -> Response {
        let mut waiting = Waiting(Some(Arc::clone(&self)));
        let question = if self.route.is_closed() {
            match self.read(body).await {
                Ok(question) => question,
                Err(refusal) => {
                    waiting.0 = None;
                    return refusal.into_response();
                }
            }
        } else {
            Question::new(body, &self)
        };
        let answer = self.ask(llm, request.map(|()| question)).await;
        waiting.0 = None;
        match answer {
            Ok(answer) => self.answer(llm, answer).await,
            Err(failure) => {
                self.end(failure.ended).await;
                failure.into_response()
            }
        }
    }

    /// Reads all of the request, and waits until it is on record.
    async fn read(self: &Arc<Self>, body: Body) -> Result<Question, Refusal> {
        let limit = Duration::from_millis(self.route.upstream.request_pause_ms);
        let mut frames = body.into_data_stream();
        while let Some(frame) = tokio::time::timeout(limit, frames.next()).await.transpose() {
            let refusal = match frame {
                Ok(Ok(frame)) if self.asks(&frame) => continue,
                Ok(Ok(_)) => return Err(self.no_room()),
                Ok(Err(_)) => Refusal::body("the body could not be read"),
                Err(_) => Refusal::new(Code::Timeout, "the body did not come in time"),
            };
            self.over(Ended::ClientAbort, None);
            return Err(refusal);
        }
        if !self.asked_durably().await {
            self.refused();
            return Err(Refusal::unavailable("the exchange cannot be recorded"));
        }
        Ok(Question::kept(self.question().0))
    }

    /// Why the request could not be kept.
    fn no_room(self: &Arc<Self>) -> Refusal {
        let max = self.route.upstream.exchange_bytes_max;
        if self.asked_bytes() > wide(max) {
            self.over(Ended::UpstreamError("too_large"), None);
            let limit = "exchange_bytes_max";
            return Refusal::limit(Code::TooLarge, "the body has bytes", limit, max);
        }
        self.refused();
        self.route.lost(&self.credential, self.began, "unavailable");
        self.wake();
        Refusal::unavailable("too many bytes of requests are under way")
    }

    async fn ask(
        &self,
        llm: &Llm,
        request: Request<Question>,
    ) -> Result<Response<Incoming>, Failure> {
        let limit = Duration::from_millis(self.route.upstream.answer_timeout_ms);
        let answer = tokio::time::timeout(limit, self.route.sender.request(request));
        let answer = tokio::select! {
            answer = answer => answer,
            () = llm.cut.cancelled() => {
                let (ended, code) = (Ended::UpstreamError("stopped"), "unavailable");
                let (status, why) = (StatusCode::SERVICE_UNAVAILABLE, "the gateway stops");
                return Err(Failure { ended, status, code, why });
            }
        };
        let late = |_| Failure::new(Ended::Timeout, "the upstream did not answer in time");
        let answer = answer.map_err(late)?.map_err(|error| self.no_answer(&error))?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let why = "the upstream speaks another protocol";
            return Err(Failure::new(Ended::UpstreamError("protocol"), why));
        }
        Ok(answer)
    }

    fn no_answer(&self, error: &hyper_util::client::legacy::Error) -> Failure {
        let cause = client::cause(error);
        tracing::debug!(route = self.route.name, cause, "an upstream gave no answer");
        match client::of_client(error) {
            Some(Broken::Late) => {
                let (status, code) = (StatusCode::REQUEST_TIMEOUT, "timeout");
                let why = "the body did not come in time";
                Failure { ended: Ended::ClientAbort, status, code, why }
            }
            Some(Broken::Client) => {
                let (status, code) = (StatusCode::BAD_REQUEST, "invalid_body");
                let why = "the body could not be read";
                Failure { ended: Ended::ClientAbort, status, code, why }
            }
            None if cause == "connect_timeout" => {
                Failure::new(Ended::Timeout, "the upstream could not be reached in time")
            }
            None => {
                let why = "the upstream could not be reached, or broke off before it answered";
                Failure::new(Ended::UpstreamError(cause), why)
            }
        }
    }

    async fn answer(self: Arc<Self>, llm: &Llm, answer: Response<Incoming>) -> Response {
        let (mut head, body) = answer.into_parts();
        self.headed(head.status, &head.headers);
        headers::to_client(&mut head.headers);
        head.extensions.clear();
        head.version = Version::HTTP_11;
        if body.is_end_stream() {
            let is_durable = self.end(Ended::Complete).await;
            if self.route.is_closed() && !is_durable {
                return Refusal::unavailable("the exchange cannot be recorded").into_response();
            }
            return Response::from_parts(head, Body::empty());
        }
        Response::from_parts(head, Body::new(Answer::new(body, self, llm.cut.clone())))
    }

    /// Nothing more comes. Whether that is on record, which only a fail-closed route waits for.
    async fn end(self: &Arc<Self>, ended: Ended) -> bool {
        if !self.route.is_closed() {
            self.over(ended, None);
            return true;
        }
        let (told, durable) = oneshot::channel();
        self.over(ended, Some(told));
        durable.await.unwrap_or(false)
    }
}

impl Failure {
    fn new(ended: Ended, why: &'static str) -> Self {
        let (status, code) = match ended {
            Ended::Timeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            _ => (StatusCode::BAD_GATEWAY, "upstream_failed"),
        };
        Self { ended, status, code, why }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let text = json!({ "error": { "code": self.code, "message": self.why } }).to_string();
        (self.status, [(CONTENT_TYPE, "application/json")], text).into_response()
    }
}
