//! One instance of the learner's service, and the wires of its connections.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use labkit::patience::timeout;
use labkit::timeline::Timeline;
use labkit::wire::{Address, Target, Wire};
use labkit::{App, Check, finding};

use crate::call::{Call, Reply};
use crate::images::Images;
use crate::in_flight::InFlight;
use crate::provider::Provider;

/// What every instance is started with, where a check does not say otherwise; the brief
/// lists the same numbers.
const LIMITS: [(&str, u64); 1] = [("POOL_SIZE", 10)];

/// Where the services are that an instance calls.
#[derive(Clone, Copy)]
pub(crate) struct Neighbours {
    provider: SocketAddr,
    images: SocketAddr,
}

impl Neighbours {
    pub(crate) fn of(provider: &Provider, images: &Images) -> Self {
        Self {
            provider: provider.address(),
            images: images.address(),
        }
    }
}

/// How long a caller waits for an answer: the same as labkit's own.
pub(crate) const PATIENCE: Duration = labkit::patience::PATIENCE;

/// What the shell puts on an answer that stands for a dropped connection.
const PANICKED: &str = "x-panicked";

/// How many statements an instance has sent, and how many of them Postgres has not answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statements {
    pub(crate) sent: usize,
    pub(crate) unanswered: usize,
}

/// A running instance.
pub struct Instance {
    /// The process.
    pub app: App,
    /// Its connections to Postgres: recorded, and where faults are laid.
    pub db: Wire,
    /// Its connections to the payment provider.
    pub provider: Wire,
    /// Its connections to the image store; dropping it ends them.
    _images: Wire,
    client: reqwest::Client,
    pub(crate) timeline: Timeline,
}

impl Instance {
    pub(crate) async fn start(
        check: &Check,
        name: &str,
        neighbours: Neighbours,
        more: &[(&str, u64)],
        changed: &[(&str, u64)],
    ) -> Self {
        let target = check.postgres();
        let db = Wire::postgres(check.timeline(), name, "postgres", target.clone())
            .await
            .unwrap_or_else(|error| finding::error(format!("no wire to Postgres: {error}")));
        let through_the_wire = Target {
            address: Address::Tcp(db.address()),
            ..target
        };
        let provider = wire_to(check, name, "provider", neighbours.provider).await;
        let images = wire_to(check, name, "images", neighbours.images).await;
        let mut environment = vec![
            ("DATABASE_URL", through_the_wire.postgres_url()),
            ("PROVIDER_URL", format!("http://{}", provider.address())),
            ("IMAGES_URL", format!("http://{}", images.address())),
        ];
        for &(variable, usual) in LIMITS.iter().chain(more) {
            let other = changed.iter().find(|(name, _)| *name == variable);
            let value = other.map_or(usual, |(_, value)| *value);
            environment.push((variable, value.to_string()));
        }
        if !changed.is_empty() {
            let words = changed
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            let started = format!("start with{}", words.collect::<String>());
            check.timeline().push("check", name, started);
        }
        let app = App::start(check, name, &environment).await;
        // A Location is to be read, not followed.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client =
            client.unwrap_or_else(|error| finding::error(format!("no HTTP client: {error}")));
        Self {
            app,
            db,
            provider,
            _images: images,
            client,
            timeline: check.timeline(),
        }
    }

    /// Sends a request and waits for its answer; none fails the check.
    pub async fn send(&self, call: Call) -> Reply {
        let line = call.line();
        match self.send_within(call, PATIENCE).await {
            Some(reply) => reply,
            None => finding::fail(
                "",
                format!("{line} was not answered within {} s", PATIENCE.as_secs()),
                "an answer",
            ),
        }
    }

    /// Sends a request, and waits for its answer so long and no longer.
    pub async fn send_within(&self, call: Call, limit: Duration) -> Option<Reply> {
        match timeout(limit, self.try_send(&call)).await {
            Ok(Some(reply)) => Some(reply),
            Ok(None) => self.no_answer(&call).await,
            Err(_) => None,
        }
    }

    /// Sends a request; nothing, where the connection ended without an answer.
    pub async fn try_send(&self, call: &Call) -> Option<Reply> {
        let request = call.line();
        let event = self.timeline.push("check", self.app.name(), call.words());
        let method = reqwest::Method::from_bytes(call.method.as_bytes())
            .unwrap_or_else(|error| finding::error(format!("{}: {error}", call.method)));
        let url = format!("{}{}", self.app.url(), call.path);
        let mut sent = self.client.request(method, url).headers(call.header_map());
        if let Some(body) = &call.body {
            sent = sent.body(body.clone());
        }
        let answered = async {
            let response = sent.send().await?;
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let bytes = response.bytes().await?;
            Ok::<_, reqwest::Error>((status, headers, bytes))
        };
        let Ok((status, headers, bytes)) = answered.await else {
            self.timeline.reply(event, "no answer");
            return None;
        };
        self.timeline.reply(event, status.to_string());
        let reply = Reply {
            request,
            status,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            headers,
            event,
            timeline: self.timeline.clone(),
        };
        if let Some(place) = reply.header(PANICKED) {
            reply.refuse(
                "the handler panicked",
                format!("{} panicked at {place}", reply.request),
                "an answer of your own; without the shell's net the connection would be dropped",
            );
        }
        Some(reply)
    }

    /// Asks it to end (SIGTERM), and goes on at once. Whoever waits for the answer waits for
    /// its end; one that does not end fails the check.
    pub async fn terminate(&self) -> InFlight<'_, ExitStatus> {
        let event = self.timeline.push("check", self.app.name(), "SIGTERM");
        let mut ending = InFlight::of(async move {
            // Its patience counts only while somebody waits for it.
            let status = self.app.stop().await;
            self.timeline.reply(event, status.to_string());
            status
        });
        // The signal is sent when it is first looked at.
        ending.until(tokio::task::yield_now()).await;
        ending
    }

    /// What it has said to Postgres so far.
    pub(crate) fn statements(&self) -> Statements {
        let messages = self.db.messages();
        Statements {
            sent: messages.len(),
            unanswered: messages.iter().filter(|one| one.reply.is_none()).count(),
        }
    }

    async fn no_answer(&self, call: &Call) -> ! {
        // Fails by itself, with its last words, where the service has ended.
        let _ = self.app.get_within("/health", PATIENCE).await;
        finding::fail(
            "",
            format!(
                "{}: your service closed the connection without an answer",
                call.line()
            ),
            "an HTTP answer",
        )
    }
}

async fn wire_to(check: &Check, name: &str, service: &str, address: SocketAddr) -> Wire {
    let wire = Wire::http(check.timeline(), name, service, address).await;
    wire.unwrap_or_else(|error| finding::error(format!("no wire to {service}: {error}")))
}
