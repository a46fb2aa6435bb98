//! The desk to play with: `cargo xtask run sql-indexing`.

use std::net::SocketAddr;

use labkit::play::{Card, Playground};
use labkit::wire::Wire;
use labkit::{Check, Fixture as _, finding};

use crate::desk::Desk;

/// The index that goes with the list of orders. The others are for queries that no route of
/// the service sends.
const INDEX: &str = "migrations/06.sql";

/// The service of a check over the whole shop, and a wire where a person speaks to it.
pub struct ByHand {
    desk: Desk,
    door: Wire,
}

impl Playground for ByHand {
    async fn open(check: &Check) -> Self {
        let desk = Desk::open(check).await;
        // What is refused is told, line by line; the rest can be played with all the same.
        let _ = desk.database.try_deploy(INDEX).await;
        let url = desk.url();
        let address: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| finding::error(format!("{url} is no address")));
        let door = Wire::http(check.timeline(), "you", "app", address).await;
        let door = door.unwrap_or_else(|error| finding::error(format!("no wire: {error}")));
        Self { desk, door }
    }

    fn card(&self) -> Card {
        let desk = format!("http://{}", self.door.address());
        let first = format!("'{desk}/orders?limit=3'");
        // A client sends `next` back as it is: what JSON wraps around it is taken off.
        let next =
            format!("$(curl -s {first} | sed 's/.*\"next\":\"//; s/\"}}$//; s/\\\\\"/\"/g')");
        let tries = [
            (format!("curl -iw '\\n' {first}"), "the latest orders"),
            (
                format!(
                    "curl -w '\\n' -G {desk}/orders -d limit=3 --data-urlencode \"after={next}\""
                ),
                "the first page, and then the one behind it: how does Postgres find that one?",
            ),
            (
                format!(
                    "curl -iw '\\n' -H 'content-type: application/json' -d '{{\"refs\": \
                     [\"plaza-0180005\", \"bazaar-0180004\"]}}' {desk}/slips"
                ),
                "two packing slips: how many statements?",
            ),
            (
                format!(
                    "psql '{}' -c 'SET max_parallel_workers_per_gather = 0' -c 'EXPLAIN \
                     (ANALYZE, BUFFERS) SELECT * FROM orders WHERE customer_id = 7'",
                    self.desk.database.target.postgres_url()
                ),
                "past your service: how many pages does \"my orders\" read?",
            ),
        ];
        Card {
            places: vec![("your desk".to_owned(), desk.clone())],
            tries: tries
                .into_iter()
                .map(|(command, shows)| (command, shows.to_owned()))
                .collect(),
        }
    }
}
