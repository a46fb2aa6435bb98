//! The shop to play with: `cargo xtask run caching`.

use std::net::SocketAddr;

use labkit::play::{Card, Playground};
use labkit::wire::Wire;
use labkit::{Check, Fixture as _, finding};

use crate::Shop;
use crate::goods::Sort;

/// The shop of a check, and wires where a person speaks to it.
pub struct ByHand {
    shop: Shop,
    door: Wire,
    catalogue: Wire,
}

impl Playground for ByHand {
    async fn open(check: &Check) -> Self {
        let shop = Shop::open(check).await;
        let url = shop.app.app.url();
        let app: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| finding::error(format!("{url} is no address")));
        Self {
            door: door(check, "app", app).await,
            catalogue: door(check, "catalogue", shop.catalogue.address()).await,
            shop,
        }
    }

    fn card(&self) -> Card {
        let shop = format!("http://{}", self.door.address());
        let catalogue = format!("http://{}", self.catalogue.address());
        let [product, _] = self.shop.catalogue.products();
        let [deal] = self.shop.catalogue.goods.some(Sort::Deal);
        let json = "-H 'content-type: application/json'";
        let tries = [
            (
                format!("{shop}{}", product.path()),
                "twice: who is asked the second time?",
            ),
            (
                format!(
                    "-X PUT {json} -d '{{\"cents\": 1999}}' {shop}/prices/{}",
                    product.id
                ),
                "a new price",
            ),
            (format!("{shop}/vouchers/NOSUCH42"), "an absence; twice"),
            (format!("{shop}{}", deal.path), "the deal of the day"),
            (
                format!("{catalogue}{}", product.path()),
                "what the catalogue says",
            ),
        ];
        Card {
            places: vec![
                ("your shop".to_owned(), shop.clone()),
                ("catalogue".to_owned(), catalogue.clone()),
            ],
            tries: tries
                .into_iter()
                .map(|(arguments, shows)| (format!("curl -iw '\\n' {arguments}"), shows.to_owned()))
                .collect(),
        }
    }
}

async fn door(check: &Check, name: &str, at: SocketAddr) -> Wire {
    let wire = Wire::http(check.timeline(), "you", name, at).await;
    wire.unwrap_or_else(|error| finding::error(format!("no wire to the {name}: {error}")))
}
