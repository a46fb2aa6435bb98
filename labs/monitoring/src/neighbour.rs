//! The client of the services behind ours.

use axum::http::StatusCode;

use crate::clock::Clock;

/// How many milliseconds a neighbour says that it took; it matters where the clock is told.
const TOOK: &str = "took-ms";

/// One service behind ours. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Neighbour {
    base: String,
    client: reqwest::Client,
    clock: Clock,
}

impl Neighbour {
    /// The one at `base`, `http://127.0.0.1:PORT`.
    pub fn at(base: String, clock: Clock) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            base,
            client,
            clock,
        })
    }

    /// Sends a request without a body; what it is answered, if it is.
    pub async fn ask(&self, method: &str, path: &str) -> Option<(StatusCode, String)> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).ok()?;
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .send();
        let answer = request.await.ok()?;
        let took = answer.headers().get(TOOK);
        if let Some(ms) = took.and_then(|ms| ms.to_str().ok()?.parse().ok()) {
            self.clock.pass(ms);
        }
        Some((answer.status(), answer.text().await.ok()?))
    }
}
