//! The storefront: another service of the shop, which reads prices through the same Redis.
//!
//! It does what the brief says it does: `GET price:{id}`; on a miss it loads the price from
//! the catalogue and keeps it for ten minutes.

use labkit::timeline::Timeline;
use labkit::wire::Wire;
use labkit::{Check, finding};
use redis::aio::MultiplexedConnection;
use redis::{AsyncTypedCommands as _, ConnectionAddr};

use crate::catalogue::{Catalogue, Price};
use crate::inside::connect_to;

/// How long the storefront keeps a price; stated in the brief.
const PRICE_TTL_S: u64 = 600;

/// A running storefront.
pub struct Storefront {
    catalogue: Catalogue,
    connection: MultiplexedConnection,
    timeline: Timeline,
    _wire: Wire,
}

impl Storefront {
    pub(crate) async fn open(check: &Check, catalogue: Catalogue) -> Self {
        let target = check.redis();
        let wire = Wire::redis(check.timeline(), "storefront", "redis", target.clone())
            .await
            .unwrap_or_else(|error| finding::error(format!("no wire for the storefront: {error}")));
        let address = wire.address();
        let address = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
        let connection = connect_to(address, &target).await.unwrap_or_else(|error| {
            finding::error(format!("the storefront has no Redis: {error}"))
        });
        Self {
            catalogue,
            connection,
            timeline: check.timeline(),
            _wire: wire,
        }
    }

    /// One visitor looks at a price.
    pub async fn price(&self, id: u64) -> Price {
        self.look(id).await.0
    }

    /// One visitor looks at a price; whether the catalogue had to be asked for it.
    pub async fn look(&self, id: u64) -> (Price, bool) {
        let key = format!("price:{id}");
        let mut redis = self.connection.clone();
        let kept = redis.get(&key).await.unwrap_or_else(|error| {
            finding::fail(
                "",
                format!("the storefront's `GET {key}` failed: {error}"),
                "nothing there, or a price as the storefront writes it",
            )
        });
        if let Some(json) = kept {
            let price = serde_json::from_str(&json).unwrap_or_else(|_| {
                finding::fail(
                    "",
                    format!("the storefront found `{json}` under `{key}` and cannot read it"),
                    "nothing there, or a price as the storefront writes it",
                )
            });
            return (price, false);
        }
        let event = self
            .timeline
            .push("storefront", "catalogue", format!("GET /prices/{id}"));
        let price = self.catalogue.price(id);
        self.timeline.reply(event, "200");
        let json = serde_json::json!({ "cents": price.cents }).to_string();
        if let Err(error) = redis.set_ex(&key, json, PRICE_TTL_S).await {
            finding::error(format!("the storefront cannot write to Redis: {error}"));
        }
        (price, true)
    }

    /// Fails the check unless the storefront's next visitor sees the catalogue's price.
    pub async fn expect_the_truth(&self, id: u64, did: &str) {
        let (seen, truth) = (self.price(id).await, self.catalogue.price(id));
        if seen != truth {
            finding::fail(
                did,
                format!(
                    "the storefront shows {} cents, from Redis; the catalogue says {}; {}",
                    seen.cents,
                    truth.cents,
                    self.told_redis()
                ),
                format!(
                    "{} cents: the storefront's next read is what the catalogue says",
                    truth.cents
                ),
            );
        }
    }

    /// What the learner's service has said to Redis, in words short enough for a finding.
    fn told_redis(&self) -> String {
        let events = self.timeline.events();
        let theirs = events
            .iter()
            .filter(|event| event.to == "redis" && event.from.starts_with("app"));
        let mut told: Vec<String> = theirs
            .map(|event| match event.from.as_str() {
                "app" => format!("`{}`", event.what),
                other => format!("`{}` ({other})", event.what),
            })
            .collect();
        if told.len() > 3 {
            told.truncate(3);
            told.push("…".to_owned());
        }
        match told.as_slice() {
            [] => "your service said nothing to Redis".to_owned(),
            told => format!("your service said to Redis: {}", told.join(", ")),
        }
    }
}
