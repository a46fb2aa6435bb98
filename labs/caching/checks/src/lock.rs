//! The lock that a load is done under, as Redis shows it.

use labkit::finding::fail;
use labkit::patience::timeout;
use labkit::upstream::Upstream;

use crate::Shop;
use crate::crowd::{LIMIT, MOMENT};
use crate::inside::Inside;

/// A lock, while its holder loads.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Its name.
    pub key: String,
    /// What it is worth: whose it is.
    pub token: String,
    /// What PTTL says.
    pub pttl: i64,
}

impl Shop {
    /// Ends a key, as if its life were over.
    pub async fn end(&self, key: &str) {
        let timeline = self.check.timeline();
        timeline.push("check", "redis", format!("ends {key}"));
        self.redis.end(key).await;
    }

    /// Writes another holder's token over a lock, for half a minute.
    pub async fn give_away(&self, key: &str, token: &str) {
        let timeline = self.check.timeline();
        timeline.push("check", "redis", format!("gives {key} to another holder"));
        self.redis.write(key, token).await;
    }
}

impl Inside {
    /// The lock of the load that is parked: the only key there is.
    pub async fn lock(&self, did: &str) -> Lock {
        self.lock_beside(&[], did).await
    }

    /// The lock of a load that is parked beside others: the only key but their locks.
    pub async fn lock_beside(&self, others: &[Lock], did: &str) -> Lock {
        let mut entries = self.entries().await;
        entries.retain(|entry| others.iter().all(|other| other.key != entry.key));
        let expected = "the lock that the load is done under, and nothing else";
        match entries.as_slice() {
            [] => fail(
                did,
                "Redis holds no key while the catalogue is asked",
                expected,
            ),
            [entry] => Lock {
                token: self.text_of(&entry.key, did).await.unwrap_or_default(),
                key: entry.key.clone(),
                pttl: entry.pttl,
            },
            [first, second, ..] => fail(
                did,
                format!(
                    "Redis holds {} keys while the catalogue is asked: `{}`, `{}`",
                    entries.len(),
                    first.key,
                    second.key
                ),
                expected,
            ),
        }
    }

    /// The text that is kept under a key, if there is one.
    pub async fn text_of(&self, key: &str, did: &str) -> Option<String> {
        let kind: String = self.ask(redis::cmd("TYPE").arg(key)).await;
        match kind.as_str() {
            "none" => None,
            "string" => {
                let text: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(key)).await;
                text.map(|text| String::from_utf8_lossy(&text).into_owned())
            }
            other => fail(
                did,
                format!("`{key}` is a {other}"),
                "a lock that is one plain string: the token of its holder",
            ),
        }
    }

    /// Writes a text, for half a minute.
    pub(crate) async fn write(&self, key: &str, text: &str) {
        let mut set = redis::cmd("SET");
        set.arg(key).arg(text).arg("PX").arg(30_000);
        let _: String = self.ask(&set).await;
    }

    /// Ends a key, as if its life were over.
    pub(crate) async fn end(&self, key: &str) {
        let _: i64 = self.ask(redis::cmd("PEXPIRE").arg(key).arg(0)).await;
    }

    /// Whether a lock is there, and its holder's still.
    pub async fn is_held(&self, lock: &Lock) -> bool {
        let mut get = redis::pipe();
        get.get(&lock.key);
        // An error: something else is in its place, and no text.
        match self.ask_all(&mut get).await.first() {
            Some(Ok(redis::Value::BulkString(text))) => String::from_utf8_lossy(text) == lock.token,
            _ => false,
        }
    }

    /// Whether a lock ends, sooner or later.
    pub async fn is_released(&self, lock: &Lock) -> bool {
        let released = async {
            while self.is_held(lock).await {
                tokio::time::sleep(MOMENT).await;
            }
        };
        timeout(LIMIT, released).await.is_ok()
    }

    /// Whether a key goes, sooner or later.
    pub async fn goes(&self, key: &str) -> bool {
        let gone = async {
            while self.ask::<i64>(redis::cmd("EXISTS").arg(key)).await > 0 {
                tokio::time::sleep(MOMENT).await;
            }
        };
        timeout(LIMIT, gone).await.is_ok()
    }
}

/// Waits, for as long as a caller would, until a path has been asked for so often.
pub async fn arrivals(door: &Upstream, path: &str, times: usize) -> bool {
    let arrived = async {
        while door.count("GET", path) < times {
            tokio::time::sleep(MOMENT).await;
        }
    };
    timeout(LIMIT, arrived).await.is_ok()
}
