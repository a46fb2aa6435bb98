//! The API to play with: `cargo xtask run rest-api`.

use std::net::SocketAddr;

use labkit::play::{Card, Playground};
use labkit::wire::Wire;
use labkit::{Check, Fixture as _, finding};

use crate::Api;
use crate::people::Person;

/// The shop of a check with two customers in it, and a wire where a person speaks to it.
pub struct ByHand {
    // Kept up for as long as somebody plays.
    _api: Api,
    door: Wire,
    ann: Person,
    ben: Person,
    /// One of Ann's.
    order: i64,
}

impl Playground for ByHand {
    async fn open(check: &Check) -> Self {
        let mut api = Api::open(check).await;
        let (ann, ben) = (api.person("Ann").await, api.person("Ben").await);
        let order = an_order(&api, &ann).await;
        an_order(&api, &ben).await;
        let url = api.app.app.url();
        let address: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| finding::error(format!("{url} is no address")));
        let door = Wire::http(check.timeline(), "you", "app", address).await;
        let door = door.unwrap_or_else(|error| finding::error(format!("no wire: {error}")));
        Self {
            _api: api,
            door,
            ann,
            ben,
            order,
        }
    }

    fn card(&self) -> Card {
        let shop = format!("http://{}", self.door.address());
        let json = "-H 'content-type: application/json'";
        let by = |person: &Person| format!("-H '{}'", bearer(person));
        let tries = [
            (
                format!("{json} -d '{{\"name\": \"kettle\", \"cents\": 1999}}' {shop}/items"),
                "a new item: where is it?",
            ),
            (
                format!("{json} -d '{{\"name\": \"\", \"email\": \"nobody\"}}' {shop}/customers"),
                "a customer with everything wrong: what does it say of that?",
            ),
            (
                format!("'{shop}/products?q=lamp&sort=-price&limit=3'"),
                "the dearest lamps; `next` leads on, behind &cursor=",
            ),
            (
                format!(
                    "-X PUT {json} -d '{{\"title\": \"Tea\", \"text\": \"Pour.\"}}' {shop}/pages/6"
                ),
                "an edit by somebody who has not looked",
            ),
            (
                format!(
                    "{json} {} -H 'idempotency-key: lift' -d '{{\"order\": \"A-17\", \"cents\": \
                     1250}}' {shop}/payments",
                    by(&self.ann)
                ),
                "Ann pays, in a lift; twice",
            ),
            (
                format!("{} {shop}/orders/{}", by(&self.ben), self.order),
                "Ben looks at Ann's order",
            ),
        ];
        Card {
            places: vec![
                ("your API".to_owned(), shop.clone()),
                ("document".to_owned(), format!("{shop}/openapi.json")),
                ("Ann".to_owned(), bearer(&self.ann)),
                ("Ben".to_owned(), bearer(&self.ben)),
            ],
            tries: tries
                .into_iter()
                .map(|(arguments, shows)| (format!("curl -iw '\\n' {arguments}"), shows.to_owned()))
                .collect(),
        }
    }
}

fn bearer(person: &Person) -> String {
    format!("authorization: Bearer {}", person.token)
}

/// With one line.
async fn an_order(api: &Api, owner: &Person) -> i64 {
    let sql = format!(
        "WITH o AS (INSERT INTO orders (user_id, note) VALUES ({}, 'leave it at the door')
             RETURNING id),
         l AS (INSERT INTO order_lines (order_id, product, quantity)
             SELECT id, 'lamp', 1 FROM o)
         SELECT id FROM o",
        owner.id
    );
    api.inside.number(&sql).await
}
