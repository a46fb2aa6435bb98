//! What exercises 6 to 9 are about: things that the catalogue has under a path, one sort
//! for each exercise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use labkit::finding;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::Shop;

/// How many there are of each sort.
const OF_EACH: usize = 20;

/// From the first of a sort to the second: 2¹⁶ × 5⁶, so that they share their last digits,
/// and the remainder by whatever small number somebody takes for good enough.
const FAR: u64 = 1_024_000_000;

/// A sort of thing. Each is one exercise's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the brief describes them")]
pub enum Sort {
    Deal,
    Manual,
    Ranking,
    Stock,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Deal, Self::Manual, Self::Ranking, Self::Stock];

    fn path(self, id: u64) -> String {
        let folder = match self {
            Self::Deal => "deals",
            Self::Manual => "manuals",
            Self::Ranking => "rankings",
            Self::Stock => "stock",
        };
        format!("/{folder}/{id}")
    }

    /// The `number`-th of its sort: of rankings the third is empty, and the fourth has what
    /// no `f64` holds, as the fourth stock has.
    fn random(self, id: u64, number: usize, rng: &mut StdRng) -> Value {
        // Quotes, line ends and letters beyond ASCII: what a home-made encoding trips over.
        const WORDS: [&str; 4] = ["\"half price\"", "für immer", "two\nlines", "☕ & cake"];
        let some = rng.random_range(1_u64..1_000_000);
        let words = format!(
            "{} {some}",
            WORDS[usize::try_from(some).unwrap_or(0) % WORDS.len()]
        );
        match self {
            Self::Deal => json!({ "id": id, "title": words, "cents": some }),
            Self::Manual => json!({ "id": id, "title": words, "text": format!("{words}!") }),
            Self::Ranking => {
                let products: Vec<u64> = match number {
                    2 => Vec::new(),
                    3 => vec![u64::MAX - some, (1 << 53) + 1, 1 << 63],
                    _ => (0..5).map(|_| rng.random_range(1..100_000)).collect(),
                };
                json!({ "id": id, "products": products })
            }
            Self::Stock if number == 3 => json!({ "count": u64::MAX - some }),
            Self::Stock => json!({ "count": some }),
        }
    }
}

/// One thing, as the catalogue has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// Where the service shows it, and where the catalogue does.
    pub path: String,
    /// What the catalogue says about it.
    pub value: Value,
}

/// All of them. Clones are the same.
#[derive(Clone)]
pub struct Goods(Arc<Mutex<Held>>);

struct Held {
    things: BTreeMap<String, Value>,
    ids: BTreeMap<Sort, Vec<u64>>,
}

impl Goods {
    pub(crate) fn random(rng: &mut StdRng) -> Self {
        let mut held = Held {
            things: BTreeMap::new(),
            ids: BTreeMap::new(),
        };
        for sort in Sort::ALL {
            let mut ids = Vec::new();
            while ids.len() < OF_EACH {
                let id = match ids.as_slice() {
                    [first] => first + FAR,
                    _ => rng.random_range(1..100_000),
                };
                if held
                    .things
                    .insert(sort.path(id), sort.random(id, ids.len(), rng))
                    .is_none()
                {
                    ids.push(id);
                }
            }
            held.ids.insert(sort, ids);
        }
        Self(Arc::new(Mutex::new(held)))
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/deals/{id}", get(thing))
            .route("/manuals/{id}", get(thing))
            .route("/rankings/{id}", get(thing))
            .route("/stock/{id}", get(thing).put(change))
            .with_state(self.clone())
    }

    /// Things that exist, with random numbers.
    pub fn some<const N: usize>(&self, sort: Sort) -> [Thing; N] {
        let held = self.lock();
        let mut ids = held.ids.get(&sort).into_iter().flatten();
        std::array::from_fn(|_| {
            let path = ids.next().map(|id| sort.path(*id)).unwrap_or_default();
            match held.things.get(&path) {
                Some(value) => Thing {
                    value: value.clone(),
                    path,
                },
                None => finding::error(format!("the catalogue has too few of {sort:?}")),
            }
        })
    }

    /// What the catalogue says now: the truth.
    pub fn truth(&self, path: &str) -> Value {
        self.lock().things.get(path).cloned().unwrap_or_default()
    }

    /// Another value for a thing, of the same sort.
    pub fn other_than(&self, thing: &Thing, sort: Sort, rng: &mut StdRng) -> Value {
        let id = thing.value["id"].as_u64().unwrap_or_default();
        loop {
            let value = sort.random(id, 0, rng);
            if value != self.truth(&thing.path) {
                return value;
            }
        }
    }

    /// Gives a thing another value, past the door.
    pub fn set(&self, path: &str, value: Value) {
        self.lock().things.insert(path.to_owned(), value);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shop {
    /// Gives a thing another value in the catalogue, past the door; the thing as it is now.
    pub fn renew(&mut self, thing: &Thing, sort: Sort) -> Thing {
        let goods = &self.catalogue.goods;
        let value = goods.other_than(thing, sort, &mut self.rng);
        goods.set(&thing.path, value.clone());
        Thing {
            path: thing.path.clone(),
            value,
        }
    }
}

async fn thing(State(goods): State<Goods>, uri: Uri) -> Result<Json<Value>, StatusCode> {
    let held = goods.lock();
    let value = held.things.get(uri.path()).cloned();
    value.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn change(State(goods): State<Goods>, uri: Uri, Json(value): Json<Value>) -> StatusCode {
    if !value["count"].is_u64() {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    goods.set(uri.path(), value);
    StatusCode::NO_CONTENT
}
