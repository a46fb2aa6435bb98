//! Many visitors, one line on the timeline.

use labkit::finding;
use labkit::patience::{PATIENCE, timeout};

use crate::Shop;

/// One visitor's request.
#[derive(Clone, Debug)]
pub struct Visit {
    /// `GET`, or any other word.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Who the visitor says to be: the headers `user-agent` and `x-user-id`.
    pub visitor: String,
}

impl Visit {
    /// A GET by nobody in particular.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.into(),
            visitor: "somebody".to_owned(),
        }
    }
}

impl Shop {
    /// Sends all of them, one after the other. Each has to be answered with `status`; `words`
    /// stand for them on the timeline.
    pub async fn visits(&self, words: &str, visits: &[Visit], status: u16) {
        let event = self.timeline.push("check", self.app.app.name(), words);
        let client = &self.client;
        for Visit {
            method,
            path,
            visitor,
        } in visits
        {
            let verb = method
                .parse()
                .unwrap_or_else(|error| finding::error(format!("{method}: {error}")));
            let url = format!("{}{path}", self.app.app.url());
            let call = client
                .request(verb, url)
                .header("user-agent", visitor)
                .header("x-user-id", visitor);
            let answered = match timeout(PATIENCE, call.send()).await {
                Ok(Ok(answer)) => answer.status().as_u16().to_string(),
                Ok(Err(_)) => "no answer".to_owned(),
                Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            if answered != status.to_string() {
                self.timeline.reply(event, &answered);
                finding::fail_because(
                    words,
                    format!("{method} {path}: {answered}"),
                    format!("{status}, which is what the page itself answers"),
                    "Who measures a service must not change what it does.",
                );
            }
        }
        self.timeline.reply(event, format!("{status} each"));
    }
}
