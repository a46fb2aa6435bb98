//! Redis seen from the side: to look at what it holds leaves no line on the timeline, to let time
//! pass for it does.

use std::fmt;

use labkit::finding::{self, fail, fail_because};
use labkit::timeline::Timeline;
use labkit::wire::{Address, Target};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};

/// Why it matters that there is an entry, where a check is about something else of it.
pub const NOTHING_KEPT: &str = "What is not there when the answer is out can neither be found \
                                nor expire: each read is paid for by the catalogue.";

/// A connection of the check's own, past the wire.
pub struct Inside {
    connection: MultiplexedConnection,
    timeline: Timeline,
    database: u32,
}

/// One key that Redis holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// What PTTL says: milliseconds to live, -1 for a key that never expires.
    pub pttl: i64,
}

impl Entry {
    /// Whether it lives as long as the brief has it: at most the whole of a life, at least
    /// half of it.
    fn lives(&self, life_s: i64) -> bool {
        // A life that is given as a point in time may be rounded up to the next second.
        // And of exactly half some milliseconds are gone before we can ask.
        (life_s * 500 - 1000..=life_s * 1000 + 1000).contains(&self.pttl)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pttl {
            -1 => write!(out, "`{}` never expires", self.key),
            pttl => write!(out, "`{}` lives {}", self.key, seconds(pttl)),
        }
    }
}

impl Inside {
    /// Connects to the server that a check was given.
    pub async fn of(target: &Target, timeline: Timeline) -> Self {
        let connection = connect(target).await.unwrap_or_else(|error| {
            finding::unavailable(format!("no connection to Redis: {error}"))
        });
        Self {
            connection,
            timeline,
            database: target.redis_database(),
        }
    }

    /// Every key, found by SCAN: how a learner names them is theirs to decide.
    pub async fn entries(&self) -> Vec<Entry> {
        let mut keys: Vec<String> = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("COUNT").arg(1000);
            let (next, page): (u64, Vec<Vec<u8>>) = self.ask(&scan).await;
            keys.extend(
                page.iter()
                    .map(|key| String::from_utf8_lossy(key).into_owned()),
            );
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        keys.sort();
        keys.dedup();
        let mut entries = Vec::new();
        for key in keys {
            let pttl: i64 = self.ask(redis::cmd("PTTL").arg(&key)).await;
            // -2: it expired between the two questions.
            if pttl != -2 {
                entries.push(Entry { key, pttl });
            }
        }
        entries
    }

    /// What is kept, and until when, in a form that can be compared.
    pub async fn contents(&self) -> Vec<(String, Option<Vec<u8>>, i64)> {
        let mut contents = Vec::new();
        for Entry { key, .. } in self.entries().await {
            let value = self.ask(redis::cmd("DUMP").arg(&key)).await;
            let until = self.ask(redis::cmd("PEXPIRETIME").arg(&key)).await;
            contents.push((key, value, until));
        }
        contents
    }

    /// Fails the check unless what Redis holds after these requests lives as long as the variable
    /// says: at most the whole of it, at least half of it, as the brief has it.
    pub async fn expect_lives(&self, variable: &str, life_s: i64, requests: &str) {
        let why = format!(
            "With {variable} the shop turns this life up or down, in seconds. A life that is \
             written into the code, counted in another unit, or that of something else, does \
             not follow."
        );
        self.expect_lives_because(variable, life_s, requests, &why)
            .await;
    }

    /// The same, where another life has a harm of its own.
    pub async fn expect_lives_because(
        &self,
        variable: &str,
        life_s: i64,
        requests: &str,
        why: &str,
    ) {
        let entries = self.entries().await;
        let did = format!("{requests} with {variable}={life_s}, then read PTTL of every key");
        let expected = format!("a life of {} to {life_s} s", life_s / 2);
        let Some(longest) = entries.iter().max_by_key(|entry| entry.pttl) else {
            fail_because(did, self.holds_nothing().await, expected, NOTHING_KEPT)
        };
        if let Some(entry) = entries.iter().find(|entry| entry.pttl == -1) {
            let saw = format!("PTTL of `{}` is -1: it never expires", entry.key);
            let why = "What has no expiry stays until somebody drops it: a change that nobody was \
                       told of is wrong for ever.";
            fail_because(did, saw, expected, why);
        }
        if !longest.lives(life_s) {
            fail_because(did, longest.to_string(), expected, why);
        }
    }

    /// Ends every key that lives as long as the variable says, and fails the check if there
    /// is none: what stands beside an entry may live longer. Says which keys they were.
    pub async fn end_what_lives(&self, variable: &str, life_s: i64, path: &str) -> String {
        let entries = self.entries().await;
        let (ending, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.lives(life_s));
        if ending.is_empty() {
            let others: Vec<String> = others.iter().map(Entry::to_string).collect();
            let saw = match others.as_slice() {
                [] => self.holds_nothing().await,
                others => others.join(", "),
            };
            fail(
                format!("GET {path} with {variable}={life_s}, then read PTTL of every key"),
                saw,
                format!("an entry that lives {} to {life_s} s", life_s / 2),
            );
        }
        let mut ended = Vec::new();
        for entry in ending {
            self.end(&entry.key).await;
            ended.push(format!("`{}`", entry.key));
        }
        ended.join(" and ")
    }

    /// Fails the check if there is a key that would stay for ever; `after` is the message that
    /// was sent last. Says what there is.
    pub async fn expect_expiries(&self, did: &str, after: Option<&str>) -> Vec<Entry> {
        let when = after.map_or_else(|| "at the start".to_owned(), |it| format!("after `{it}`"));
        self.expect_expiries_when(did, &when).await
    }

    /// The same, where no message says when.
    pub async fn expect_expiries_when(&self, did: &str, when: &str) -> Vec<Entry> {
        let entries = self.entries().await;
        if let Some(entry) = entries.iter().find(|entry| entry.pttl == -1) {
            fail(
                did,
                format!(
                    "{when} the key `{}` was there and had no expiry (PTTL -1)",
                    entry.key
                ),
                "at no moment a key that would stay if your service died right there",
            );
        }
        entries
    }

    /// Says, after a look that found no key, where they are: nowhere, in a database where no
    /// reader looks, or here by now.
    pub async fn holds_nothing(&self) -> String {
        let keyspace: String = self.ask(redis::cmd("INFO").arg("keyspace")).await;
        let elsewhere = keyspace.lines().find_map(|line| {
            let (database, counts) = line.split_once(":keys=")?;
            Some((database.strip_prefix("db")?, counts.split(',').next()?))
        });
        match elsewhere {
            None => "Redis holds no key at all".to_owned(),
            Some((database, _)) if database == self.database.to_string() => {
                "Redis held no key yet; one came a moment later".to_owned()
            }
            Some((database, keys)) => format!(
                "Redis holds nothing in the database that REDIS_URL names; database {database} \
                 holds {keys} key{}",
                if keys == "1" { "" } else { "s" }
            ),
        }
    }

    /// Removes every key.
    pub async fn forget_everything(&self) {
        for entry in self.entries().await {
            let _: i64 = self.ask(redis::cmd("DEL").arg(&entry.key)).await;
        }
    }

    /// Fails the check if a hit makes an entry live longer: some time passes for what Redis
    /// holds, then `read` asks for it. What was loaded anew meanwhile, so that `loads` has
    /// grown, may live anew.
    pub async fn expect_no_longer_lives(
        &self,
        did: &str,
        loads: impl Fn() -> usize,
        mut read: impl AsyncFnMut(),
    ) {
        // Much that is left, and so little that somebody may think of renewing it.
        for left in [10_000, 1_500] {
            let before = loads();
            let held = self.shorten_everything_to(left).await;
            let did = format!("{did}, when {} of its life was left", seconds(left));
            if held.is_empty() {
                let saw = self.holds_nothing().await;
                let expected = "an entry that remembers what was found out";
                fail_because(did, saw, expected, NOTHING_KEPT);
            }
            read().await;
            let entries = self.entries().await;
            let longer = entries
                .iter()
                .find(|entry| (entry.pttl == -1 || entry.pttl > left) && held.contains(&entry.key));
            if let Some(Entry { key, pttl }) = longer
                && loads() == before
            {
                let saw = match pttl {
                    -1 => format!("`{key}` never expires any more"),
                    _ => format!("afterwards `{key}` lives another {}", seconds(*pttl)),
                };
                let expected = format!(
                    "at most the {} that were left: it was not loaded anew",
                    seconds(left)
                );
                fail_because(
                    did,
                    saw,
                    expected,
                    "What is prolonged by each hit, or by what is done for another thing, lives \
                     for as long as people look, and with it all that has become wrong in it.",
                );
            }
        }
    }

    /// Lets time pass for what Redis holds: every key has so many milliseconds left. Says
    /// which keys there were.
    pub async fn shorten_everything_to(&self, pttl: i64) -> Vec<String> {
        let keys = self.entries().await.into_iter().map(|entry| entry.key);
        let keys: Vec<String> = keys.collect();
        self.say(format!("lets time pass until {} are left", seconds(pttl)));
        for key in &keys {
            let _: i64 = self.ask(redis::cmd("PEXPIRE").arg(key).arg(pttl)).await;
        }
        keys
    }

    /// Lets so many milliseconds pass for what Redis holds: what lives no longer is gone.
    pub async fn let_pass(&self, ms: i64) {
        self.say(format!("lets {} pass", seconds(ms)));
        for Entry { key, pttl } in self.entries().await {
            let left = match pttl {
                -1 => continue,
                pttl => pttl - ms,
            };
            // Redis ends at once what has no time left.
            let _: i64 = self.ask(redis::cmd("PEXPIRE").arg(&key).arg(left)).await;
        }
    }

    fn say(&self, what: String) {
        self.timeline.push("check", "redis", what);
    }

    /// The one field of INFO that is a number.
    pub async fn info(&self, field: &str) -> u64 {
        let text: String = self.ask(&redis::cmd("INFO")).await;
        text.lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| finding::error(format!("INFO has no number `{field}`")))
    }

    /// Runs a command; an error is the lab's own fault.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        command
            .query_async(&mut self.connection.clone())
            .await
            .unwrap_or_else(|error| finding::error(format!("a question to Redis failed: {error}")))
    }

    /// Runs commands in one round trip; each answers for itself.
    pub async fn ask_all(
        &self,
        pipeline: &mut redis::Pipeline,
    ) -> Vec<redis::RedisResult<redis::Value>> {
        pipeline
            .ignore_errors()
            .query_async(&mut self.connection.clone())
            .await
            .unwrap_or_else(|error| finding::error(format!("a pipeline to Redis failed: {error}")))
    }
}

fn seconds(pttl: i64) -> String {
    match pttl {
        ..10_000 => format!("{pttl} ms"),
        _ => format!("{} s", pttl / 1000),
    }
}

/// Connects to a server past the wire.
async fn connect(target: &Target) -> redis::RedisResult<MultiplexedConnection> {
    let address = match &target.address {
        Address::Tcp(address) => ConnectionAddr::Tcp(address.ip().to_string(), address.port()),
        Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
    };
    connect_to(address, target).await
}

/// Connects to `address` as `target` wants its clients to.
pub(crate) async fn connect_to(
    address: ConnectionAddr,
    target: &Target,
) -> redis::RedisResult<MultiplexedConnection> {
    let mut settings = RedisConnectionInfo::default()
        .set_db(i64::from(target.redis_database()))
        // Redis before 7.2 answers it with an error, which would stand on the timeline.
        .set_skip_set_lib_name();
    if let Some(username) = &target.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &target.password {
        settings = settings.set_password(password);
    }
    let info = address.into_connection_info()?.set_redis_settings(settings);
    // A Redis that is busy with 20,000 writes is slow, not gone.
    let config =
        AsyncConnectionConfig::new().set_response_timeout(Some(std::time::Duration::from_secs(30)));
    redis::Client::open(info)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
