//! Exercise 9: changes, and the readers that they come upon.

use labkit::answer::Answer;
use labkit::finding::fail;
use labkit::wire::{Hold, Match, Step, Steps};
use serde_json::Value;

use crate::Shop;
use crate::goods::{Sort, Thing};
use crate::instance::{InFlight, Instance};

/// A change that is to come.
pub struct Change {
    /// Of which stock.
    pub path: String,
    /// What the catalogue is to say then.
    pub value: Value,
}

/// Another number than the catalogue has now.
pub fn change(shop: &mut Shop, stock: &Thing) -> Change {
    let goods = &shop.catalogue.goods;
    Change {
        value: goods.other_than(stock, Sort::Stock, &mut shop.rng),
        path: stock.path.clone(),
    }
}

impl Change {
    /// Makes it.
    pub async fn on(&self, app: &Instance) {
        let _ = app.put(&self.path, &self.value).await.expect_ok();
    }
}

/// A change under way, that stands still before it commits, and then before it says anything
/// more to Redis.
pub struct Writer<'a> {
    change: InFlight<'a>,
    commit: Option<Hold>,
    words: Steps,
    word: Option<Step>,
}

impl<'a> Writer<'a> {
    /// Begins a change, which stands still before it commits.
    pub async fn at_the_commit(app: &'a Instance, new: &'a Change) -> Self {
        let commit = app.catalogue.hold(Match::request("PUT", &new.path));
        let mut change = app.begin_put(&new.path, &new.value);
        let Some(Ok(_)) = change.until(commit.reached()).await else {
            never_committed(&new.path)
        };
        Self {
            change,
            commit: Some(commit),
            words: app.redis.hold_each(Match::any()),
            word: None,
        }
    }

    /// Lets it commit: that it has done so shows in its next word to Redis, or in its answer.
    pub async fn commit(&mut self) {
        self.commit = None;
        self.word = self.change.until(self.words.next()).await.flatten();
    }

    /// Lets it say all that it has to say.
    pub async fn end(self) {
        drop((self.word, self.words));
        let _ = self.change.answer().await.expect_ok();
    }
}

/// Fails the check unless both instances show what the catalogue says, and go on doing so.
pub async fn expect_the_truth(shop: &Shop, other: &Instance, path: &str, did: &str) {
    let truth = shop.catalogue.goods.truth(path);
    for app in [&shop.app, other, &shop.app, other] {
        expect_next(&app.get(path).await, &truth, did);
    }
}

/// Fails the check unless the next read is what the catalogue says.
pub fn expect_next(answer: &Answer, truth: &Value, did: &str) {
    if answer.status != 200 {
        answer.point("not 200");
        fail(did, format!("the next read is {answer}"), truth.to_string());
    }
    let shown: Value = answer.json();
    if shown != *truth {
        answer.point("not what the catalogue says");
        fail(
            did,
            format!(
                "the next read is {shown}, until the entry expires; the catalogue says {truth}"
            ),
            format!("{truth}: the change was answered with a success"),
        );
    }
}

/// Holds the next load of an instance, with what the catalogue has answered.
pub fn hold_load(app: &Instance, path: &str) -> Hold {
    app.catalogue.hold_reply(Match::request("GET", path))
}

/// Waits until that load is there.
pub async fn until_held<T>(request: &mut InFlight<'_, T>, load: &Hold, path: &str) {
    if !matches!(request.until(load.reached()).await, Some(Ok(_))) {
        fail(
            format!("GET {path}, with nothing of it in Redis"),
            "a reader has not asked the catalogue",
            "each of them asks: nobody has to wait for another's load",
        );
    }
}

/// Fails the check of a change that never comes to the catalogue.
pub fn never_committed(path: &str) -> ! {
    fail(
        format!("PUT {path}"),
        "no change has arrived at the catalogue",
        format!("PUT {path} at the catalogue: it is the truth"),
    )
}
