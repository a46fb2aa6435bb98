//! The service that owns the data: counted, gated, and filled with random things.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use labkit::upstream::Upstream;
use labkit::{Check, finding};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::goods::Goods;

/// How many listings the nightly import brings; stated in the brief.
pub const LISTINGS: usize = 1000;

/// How many products there are: as many as a check takes at most.
const PRODUCTS: usize = 5;

/// A product as the catalogue tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the brief describes the fields")]
pub struct Product {
    pub id: u64,
    pub name: String,
    pub description: String,
    pub stock: i64,
}

impl Product {
    /// Where the service shows it, and where the catalogue does.
    pub fn path(&self) -> String {
        format!("/products/{}", self.id)
    }
}

/// What a product costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the brief describes the fields")]
pub struct Price {
    pub cents: u64,
}

/// What a voucher is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the brief describes the fields")]
pub struct Voucher {
    pub percent: u8,
    pub campaign: String,
}

/// The catalogue of one check. Clones are the same catalogue.
#[derive(Clone)]
pub struct Catalogue {
    /// Its door: counted, gated, made to fail.
    pub door: Arc<Upstream>,
    /// What exercises 6 to 9 read.
    pub goods: Goods,
    data: Arc<Mutex<Data>>,
}

#[derive(Default)]
struct Data {
    products: BTreeMap<u64, Product>,
    /// The products' numbers, in the order in which checks take them.
    order: Vec<u64>,
    prices: BTreeMap<u64, Price>,
    vouchers: BTreeMap<String, Voucher>,
}

impl Catalogue {
    pub(crate) async fn open(check: &Check, rng: &mut StdRng) -> Self {
        let data = Arc::new(Mutex::new(Data::random(rng)));
        let goods = Goods::random(rng);
        let router = Router::new()
            .route("/products/{id}", get(product))
            .route("/prices/{id}", get(price).put(change_price))
            .route("/vouchers/{code}", get(voucher).put(create_voucher))
            .route("/listings", get(listings))
            .with_state(Arc::clone(&data))
            .merge(goods.router());
        let door = Upstream::serve(check.timeline(), "catalogue", router)
            .await
            .unwrap_or_else(|error| finding::error(format!("no catalogue: {error}")));
        Self {
            door: Arc::new(door),
            goods,
            data,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Products that exist, with random numbers.
    pub fn products<const N: usize>(&self) -> [Product; N] {
        let data = self.lock();
        std::array::from_fn(|n| {
            let product = data.order.get(n).and_then(|id| data.products.get(id));
            product
                .cloned()
                .unwrap_or_else(|| finding::error("the catalogue has too few products"))
        })
    }

    /// Adds a product, or changes one, past the door.
    pub fn set_product(&self, product: &Product) {
        self.lock().products.insert(product.id, product.clone());
    }

    /// What a product costs now: the truth.
    pub fn price(&self, id: u64) -> Price {
        let price = self.lock().prices.get(&id).copied();
        price.unwrap_or_else(|| finding::error(format!("product {id} has no price")))
    }

    /// Gives a product a price, past the door.
    pub fn set_price(&self, id: u64, price: Price) {
        self.lock().prices.insert(id, price);
    }

    /// Adds a voucher, past the door.
    pub fn add_voucher(&self, code: &str, voucher: &Voucher) {
        self.lock()
            .vouchers
            .insert(code.to_owned(), voucher.clone());
    }

    /// How often `GET path` has arrived.
    pub fn loads_of(&self, path: &str) -> Count {
        Count {
            did: String::new(),
            path: path.to_owned(),
            count: self.door.count("GET", path),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        lock(&self.data)
    }
}

/// How often the catalogue was asked for one thing.
#[must_use = "a count that nobody expects anything of decides nothing"]
pub struct Count {
    did: String,
    path: String,
    count: usize,
}

impl Count {
    /// Says what was done, where the requests alone do not tell.
    pub fn after(self, did: impl Into<String>) -> Self {
        Self {
            did: did.into(),
            ..self
        }
    }

    /// Fails the check unless it is `expected`; `because` says what the brief promises.
    pub fn expect(&self, expected: usize, because: &str) {
        if self.count != expected {
            let times = match self.count {
                0 => "never".to_owned(),
                1 => "once".to_owned(),
                n => format!("{n} times"),
            };
            finding::fail(
                &self.did,
                format!("the catalogue was asked for {} {times}", self.path),
                format!("{expected}: {because}"),
            );
        }
    }
}

/// What no `i32` holds, what no `f64` holds, and the ends; 0 stands for an everyday number.
const STOCKS: [i64; 5] = [0, 1 << 31, (1 << 53) + 1, i64::MAX, i64::MIN];

/// How far apart two products are that are the same in the last three digits, in the last
/// 16 bits and in the last 32.
const ALIKE: u64 = 125 << 32;

impl Data {
    fn random(rng: &mut StdRng) -> Self {
        let mut data = Self::default();
        while data.order.len() < PRODUCTS {
            let id = match data.order.as_slice() {
                [first] => first + ALIKE,
                _ => rng.random_range(1..100_000),
            };
            if data.order.contains(&id) {
                continue;
            }
            let product = random_product(id, data.order.len(), rng);
            data.order.push(id);
            data.products.insert(id, product);
            let cents = rng.random_range(100..100_000);
            data.prices.insert(id, Price { cents });
        }
        data
    }
}

/// A product with what home-made encodings trip over; `number` decides which of it, so that
/// the first few products have all of it.
fn random_product(id: u64, number: usize, rng: &mut StdRng) -> Product {
    const THINGS: [&str; 5] = ["kettle", "lamp", "chair", "teapot", "plain mug"];
    const WORDS: [&str; 5] = [
        "called \"the old one\"",
        "für Küche & Bad ☕",
        "50% off\nuntil Friday",
        "a|b:c;d,e\tf",
        "back\\slash",
    ];
    let mut some = |from: &[&str]| from[rng.random_range(0..from.len())].to_owned();
    let (thing, words) = (some(&THINGS), WORDS[number % WORDS.len()]);
    let (name, description) = match number {
        1 => (format!("{thing} {words}"), String::new()),
        3 => (format!(" {thing} {words} "), format!("\n{} ", some(&WORDS))),
        _ => (
            format!("{thing} {words}"),
            format!("{words}; {}: {}", some(&THINGS), some(&WORDS)),
        ),
    };
    let stock = match STOCKS[number % STOCKS.len()] {
        0 => rng.random_range(-20..200),
        edge => edge,
    };
    Product {
        id,
        name,
        description,
        stock,
    }
}

type Shared = State<Arc<Mutex<Data>>>;

fn lock(data: &Mutex<Data>) -> MutexGuard<'_, Data> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

fn found<T>(it: Option<&T>) -> Result<Json<T>, StatusCode>
where
    T: Clone,
{
    it.cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn product(State(data): Shared, Path(id): Path<u64>) -> Result<Json<Product>, StatusCode> {
    found(lock(&data).products.get(&id))
}

async fn price(State(data): Shared, Path(id): Path<u64>) -> Result<Json<Price>, StatusCode> {
    found(lock(&data).prices.get(&id))
}

async fn change_price(
    State(data): Shared,
    Path(id): Path<u64>,
    Json(price): Json<Price>,
) -> StatusCode {
    if price.cents == 0 {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    lock(&data).prices.insert(id, price);
    StatusCode::NO_CONTENT
}

async fn voucher(
    State(data): Shared,
    Path(code): Path<String>,
) -> Result<Json<Voucher>, StatusCode> {
    found(lock(&data).vouchers.get(&code))
}

async fn create_voucher(
    State(data): Shared,
    Path(code): Path<String>,
    Json(voucher): Json<Voucher>,
) -> StatusCode {
    lock(&data).vouchers.insert(code, voucher);
    StatusCode::NO_CONTENT
}

async fn listings() -> Json<Vec<serde_json::Value>> {
    let listing = |id| serde_json::json!({ "id": id, "title": format!("listing {id}") });
    Json((1..=LISTINGS).map(listing).collect())
}
