//! The shop to play with: `cargo xtask run monitoring`.

use std::net::SocketAddr;

use labkit::play::{Card, Playground};
use labkit::wire::Wire;
use labkit::{Check, Fixture as _, finding};

use crate::Shop;

/// The shop of a check, and a wire where a person speaks to it.
pub struct ByHand {
    door: Wire,
    _shop: Shop,
}

impl Playground for ByHand {
    async fn open(check: &Check) -> Self {
        let shop = Shop::open(check).await;
        let url = shop.app.app.url();
        let app: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| finding::error(format!("{url} is no address")));
        let door = Wire::http(check.timeline(), "you", "app", app).await;
        Self {
            door: door.unwrap_or_else(|error| finding::error(format!("no wire: {error}"))),
            _shop: shop,
        }
    }

    fn card(&self) -> Card {
        let shop = format!("http://{}", self.door.address());
        let tries = [
            (format!("-X POST {shop}/checkout/7"), "pays for a cart"),
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
            (format!("'{shop}/search?q=lamp'"), "a search"),
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
