//! The shop to play with: `cargo xtask run monitoring`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};

use labkit::play::{Card, Playground};
use labkit::upstream::Upstream;
use labkit::wire::Wire;
use labkit::{Check, finding};

use crate::instance::{Clock, Instance};

/// How long the till takes: long enough to hang up meanwhile.
const TILL: Duration = Duration::from_secs(2);
/// How long the index takes for each sign of a question.
const INDEX: Duration = Duration::from_millis(50);

/// The service, a wire where a person speaks to it, and neighbours that take their time.
pub struct ByHand {
    door: Wire,
    _app: Instance,
    _neighbours: [Upstream; 2],
}

impl Playground for ByHand {
    async fn open(check: &Check) -> Self {
        let till = neighbour(check, "till", Router::new().fallback(till)).await;
        let index = neighbour(check, "index", Router::new().fallback(index)).await;
        let doors = [till.address(), index.address()];
        let app = Instance::start(check, "app", doors, Clock::Machine).await;
        let url = app.app.url();
        let at: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| finding::error(format!("{url} is no address")));
        let door = Wire::http(check.timeline(), "you", "app", at).await;
        Self {
            door: door.unwrap_or_else(|error| finding::error(format!("no wire: {error}"))),
            _app: app,
            _neighbours: [till, index],
        }
    }

    fn card(&self) -> Card {
        let shop = format!("http://{}", self.door.address());
        let tries = [
            (
                format!("-X POST {shop}/checkout/7"),
                "pays for a cart, in two seconds",
            ),
            (
                format!("-X POST {shop}/checkout/4"),
                "a cart that the till refuses; with 5 it fails",
            ),
            (
                format!("{shop}/checkout/0/receipt"),
                "the handler that panics",
            ),
            (
                format!("{shop}/metrics/checkout"),
                "what exercise 1 tells of that",
            ),
            (format!("{shop}/products/7"), "a page"),
            (format!("{shop}/wp-login.php"), "what a scanner asks for"),
            (
                format!("{shop}/metrics/pages"),
                "what exercise 2 tells of that",
            ),
            (
                format!("'{shop}/search?q=lamp'"),
                "a search; the longer the word, the slower",
            ),
            (
                format!("{shop}/metrics/search"),
                "what exercise 3 tells of that",
            ),
        ];
        Card {
            places: vec![("your service".to_owned(), shop)],
            tries: tries
                .into_iter()
                .map(|(arguments, shows)| (format!("curl -iw '\\n' {arguments}"), shows.to_owned()))
                .collect(),
        }
    }
}

async fn neighbour(check: &Check, name: &str, router: Router) -> Upstream {
    let door = Upstream::serve(check.timeline(), name, router).await;
    door.unwrap_or_else(|error| finding::error(format!("no {name}: {error}")))
}

/// Refuses carts whose number ends in 4, and fails where it ends in 5.
async fn till(uri: Uri) -> StatusCode {
    tokio::time::sleep(TILL).await;
    match uri.path().chars().last() {
        Some('4') => StatusCode::PAYMENT_REQUIRED,
        Some('5') => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

async fn index(uri: Uri) -> &'static str {
    let question = uri.query().map_or(0, str::len);
    tokio::time::sleep(INDEX * u32::try_from(question).unwrap_or(u32::MAX)).await;
    "[]"
}
