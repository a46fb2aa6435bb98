//! Exercise 5: a full cache keeps what is read.

use caching_checks::Cache;
use labkit::finding::fail;

/// What the brief gives the cache.
const BUDGET: u64 = 8 * 1024 * 1024;

/// A cache that takes more than it was given takes it from its neighbours. Without any limit it
/// grows until the machine's own ends it, and everything beside it.
#[labkit::test]
async fn the_cache_stays_within_its_memory_budget(cache: Cache) {
    let limit = cache.redis.info("maxmemory").await;
    let did = "started Redis with your redis.conf and asked for its memory limit";
    let expected = "a limit, and at most 8 MB (8388608 bytes)";
    match limit {
        0 => fail(did, "there is none: it takes what it can get", expected),
        _ if limit > BUDGET => fail(did, format!("{limit} bytes"), expected),
        _ => {}
    }
    let _ = import(&cache).await;
    let used = cache.redis.info("used_memory").await;
    // A write may pass the line before something goes for it.
    if used > BUDGET + BUDGET / 10 {
        fail(
            import_in_words(),
            format!("Redis uses {used} bytes"),
            expected,
        );
    }
}

/// A cache that answers "out of memory" takes the shop down with it: each of these errors
/// is a page that does not load.
#[labkit::test]
async fn a_full_cache_makes_room(cache: Cache) {
    let import = import(&cache).await;
    if let Some(words) = &import.refusal {
        fail(
            import_in_words(),
            format!("{} writes were refused: {words}", import.refused),
            "every write is taken; something else goes for it",
        );
    }
    import.expect_evictions();
}

/// A nightly import that nobody reads must not push out what the whole town reads: the
/// morning after would begin with an empty cache.
#[labkit::test]
async fn what_is_read_most_survives_the_import(cache: Cache) {
    let import = import(&cache).await;
    import.expect_evictions();
    if import.survivors < 9 {
        fail(
            import_in_words(),
            format!(
                "{} of the 10 bestsellers are still there; {} entries went, most of them \
                 never read by anybody, and so did {} that were read {} times",
                import.survivors,
                import.evicted,
                10 - import.survivors,
                READS_BEFORE
            ),
            "at least 9 of 10",
        );
    }
}

const BESTSELLERS: usize = 10;
const READS_BEFORE: usize = 200;
const LISTINGS: usize = 4_500;
const BATCH: usize = 100;
/// More listings than fit into the cache: also the most recently read key is then older
/// than all that the cache could hold instead.
const LISTINGS_BETWEEN_READS: usize = 1_500;
const READS_BETWEEN: usize = 20;
/// Large, so that few writes fill the cache: what is counted is keys, not bytes.
const LISTING_BYTES: usize = 6_000;
const BESTSELLER_BYTES: usize = 200;

struct Import {
    refused: usize,
    refusal: Option<String>,
    evicted: u64,
    survivors: usize,
}

impl Import {
    fn expect_evictions(&self) {
        if self.evicted == 0 {
            let refused = match self.refused {
                0 => String::new(),
                n => format!("; {n} writes were refused instead"),
            };
            fail(
                import_in_words(),
                format!("not one entry went{refused}"),
                "entries go: the import alone is three times the 8 MB",
            );
        }
    }
}

fn import_in_words() -> String {
    format!(
        "read {BESTSELLERS} bestsellers {READS_BEFORE} times; wrote {LISTINGS} listings of \
         {LISTING_BYTES} bytes without expiry, reading the bestsellers {READS_BETWEEN} times \
         after every {LISTINGS_BETWEEN_READS}"
    )
}

/// A day and a night of the shop.
async fn import(cache: &Cache) -> Import {
    let (bestseller, page) = ("x".repeat(BESTSELLER_BYTES), "x".repeat(LISTING_BYTES));
    let before = cache.redis.info("evicted_keys").await;
    let keys: Vec<String> = (0..BESTSELLERS)
        .map(|n| format!("bestseller:{n}"))
        .collect();

    let event = cache
        .timeline
        .push("check", "redis", format!("SET {BESTSELLERS} bestsellers"));
    let mut pipeline = redis::pipe();
    for key in &keys {
        pipeline.cmd("SET").arg(key).arg(&bestseller);
    }
    let mut refusals = refusals(&cache.redis.ask_all(&mut pipeline).await);
    cache.timeline.reply(event, said(&refusals));
    read(cache, &keys, READS_BEFORE).await;

    for from in (0..LISTINGS).step_by(LISTINGS_BETWEEN_READS) {
        let event = cache.timeline.push(
            "check",
            "redis",
            format!("SET {LISTINGS_BETWEEN_READS} listings"),
        );
        let mut refused = Vec::new();
        for batch in (from..from + LISTINGS_BETWEEN_READS).step_by(BATCH) {
            let mut pipeline = redis::pipe();
            for listing in batch..batch + BATCH {
                pipeline
                    .cmd("SET")
                    .arg(format!("listing:{listing}"))
                    .arg(&page);
            }
            refused.extend(self::refusals(&cache.redis.ask_all(&mut pipeline).await));
        }
        cache.timeline.reply(event, said(&refused));
        refusals.extend(refused);
        read(cache, &keys, READS_BETWEEN).await;
    }

    let event = cache
        .timeline
        .push("check", "redis", "EXISTS each bestseller");
    let survivors: usize = cache.redis.ask(redis::cmd("EXISTS").arg(&keys)).await;
    cache.timeline.reply(event, survivors.to_string());
    Import {
        refused: refusals.len(),
        refusal: refusals.into_iter().next(),
        evicted: cache.redis.info("evicted_keys").await - before,
        survivors,
    }
}

async fn read(cache: &Cache, keys: &[String], times: usize) {
    let event = cache.timeline.push(
        "check",
        "redis",
        format!("GET each bestseller, {times} times"),
    );
    let mut found = 0;
    for _ in 0..times / 10 {
        let mut pipeline = redis::pipe();
        for key in keys {
            for _ in 0..10 {
                pipeline.cmd("GET").arg(key);
            }
        }
        let answers = cache.redis.ask_all(&mut pipeline).await;
        found = answers
            .iter()
            .filter(|answer| matches!(answer, Ok(redis::Value::BulkString(_))))
            .count()
            / 10;
    }
    cache
        .timeline
        .reply(event, format!("{found} of {} found", keys.len()));
}

fn refusals(answers: &[redis::RedisResult<redis::Value>]) -> Vec<String> {
    answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .map(|error| {
            let (code, detail) = (error.code(), error.detail());
            format!("{} {}", code.unwrap_or("ERR"), detail.unwrap_or_default())
        })
        .collect()
}

fn said(refusals: &[String]) -> String {
    match refusals {
        [] => "OK".to_owned(),
        [first, ..] => format!("{} × {first}", refusals.len()),
    }
}
