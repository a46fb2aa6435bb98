//! The lock that a load is done under, as Redis shows it.

use std::time::Instant;

use labkit::finding::fail;
use labkit::upstream::Upstream;

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

impl Inside {
    /// The lock of the load that is parked: the only key there is.
    pub async fn lock(&self, did: &str) -> Lock {
        let entries = self.entries().await;
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
    pub async fn write(&self, key: &str, text: &str) {
        let mut set = redis::cmd("SET");
        set.arg(key).arg(text).arg("PX").arg(30_000);
        let _: String = self.ask(&set).await;
    }

    /// Ends a key, as if its life were over.
    pub async fn end(&self, key: &str) {
        let _: i64 = self.ask(redis::cmd("PEXPIRE").arg(key).arg(0)).await;
    }

    /// Whether a key goes, sooner or later.
    pub async fn goes(&self, key: &str) -> bool {
        let began = Instant::now();
        while self.ask::<i64>(redis::cmd("EXISTS").arg(key)).await > 0 {
            if began.elapsed() > LIMIT {
                return false;
            }
            tokio::time::sleep(MOMENT).await;
        }
        true
    }
}

/// Waits, for as long as a caller would, until a path has been asked for so often.
pub async fn arrivals(door: &Upstream, path: &str, times: usize) -> bool {
    let began = Instant::now();
    while door.count("GET", path) < times {
        if began.elapsed() > LIMIT {
            return false;
        }
        tokio::time::sleep(MOMENT).await;
    }
    true
}
