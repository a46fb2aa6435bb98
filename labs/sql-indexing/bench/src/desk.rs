//! The two exercises in Rust, through the service: a page of the list, and packing slips.

use std::time::Instant;

use criterion::Criterion;
use labkit::bench::{App, Attempt, Group, Row};
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Bench;
use crate::copy::{Copy, must};

/// What a page has; page 1,000 begins behind so many.
const LIMIT: usize = 20;
const BEFORE: usize = 999 * LIMIT;

/// As many as one request may ask for.
const MOST: usize = 1000;

/// Orders whose items are kept.
const SLIPS: std::ops::Range<u32> = 180_101..180_201;

/// The statements of the app since the counters were set to 0, and the pages they read.
const SPOKEN: &str = "SELECT coalesce(sum(calls), 0)::bigint,
           coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
    WHERE datname = current_database() AND query !~* '^(begin|commit|rollback|set)'
    AND query NOT LIKE '%pg_stat_statements%'";

/// What a page of the list answers.
#[derive(Deserialize)]
struct Page {
    orders: Vec<Value>,
    next: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Wish {
    Page,
    DeepPage,
    Slips,
}

/// A service to ask, and the database below it.
struct Desk<'b> {
    app: App,
    copy: Copy<'b>,
    client: Client,
}

impl Bench {
    /// What the service is asked for, and what it costs Postgres.
    pub(crate) fn desk(&self, criterion: &mut Criterion) -> Vec<Group> {
        const LIST: &str = "OFFSET";
        vec![
            self.asked(criterion, "6 page 1 of the list", LIST, Wish::Page),
            self.asked(criterion, "6 page 1000 of the list", LIST, Wish::DeepPage),
            self.asked(
                criterion,
                "7 a hundred packing slips",
                "one by one",
                Wish::Slips,
            ),
        ]
    }

    /// One request, in each of the attempts; what the first one does is called `baseline`.
    fn asked(&self, criterion: &mut Criterion, name: &str, baseline: &str, wish: Wish) -> Group {
        let mut group = criterion.benchmark_group(name);
        let measure = |(at, attempt): (usize, &Attempt)| {
            let name = match at {
                0 => baseline,
                _ => &attempt.name,
            };
            let copy = match self.copy(attempt, &["migrations/06.sql"]) {
                Ok(copy) => copy,
                Err(why) => return Row::none(name, why),
            };
            let app = App::start(&attempt.app, [("DATABASE_URL", &copy.url)]);
            let app = self.runtime.block_on(app);
            let client = Client::builder().no_proxy().build();
            let client = client.unwrap_or_else(|error| panic!("no client: {error}"));
            let desk = Desk { app, copy, client };
            // One that is not written yet closes the connection.
            let tried = self.runtime.block_on(async {
                let request = desk.request(wish).await?;
                answer(&request).await?;
                Ok(request)
            });
            let request = match tried {
                Ok(request) => request,
                Err(why) => return Row::none(name, why),
            };
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    self.runtime.block_on(async {
                        let began = Instant::now();
                        for _ in 0..times {
                            if let Err(why) = answer(&request).await {
                                panic!("in the middle of a measurement: {why}");
                            }
                        }
                        began.elapsed()
                    })
                });
            });
            let (statements, pages) = self.runtime.block_on(desk.cost(&request));
            Row::of(name, [statements, pages].map(|count| count.to_string()))
        };
        Group {
            name: name.to_owned(),
            baseline: baseline.to_owned(),
            counts: vec!["statements".to_owned(), "pages".to_owned()],
            rows: self.plan.attempts.iter().enumerate().map(measure).collect(),
        }
    }
}

impl Desk<'_> {
    async fn request(&self, wish: Wish) -> Result<RequestBuilder, String> {
        match wish {
            Wish::Page => Ok(self.page(None, LIMIT)),
            Wish::DeepPage => self.deep_page().await,
            Wish::Slips => Ok(self.slips()),
        }
    }

    /// Goes there from page to page, as large ones as there are.
    async fn deep_page(&self) -> Result<RequestBuilder, String> {
        let mut after: Option<String> = None;
        let mut left = BEFORE;
        while left > 0 {
            let answer = answer(&self.page(after.as_deref(), left.min(MOST))).await?;
            let page: Page = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            left = left.saturating_sub(page.orders.len());
            after = page.next;
            if after.is_none() || page.orders.is_empty() {
                return Err("its list ends before page 1000".to_owned());
            }
        }
        Ok(self.page(after.as_deref(), LIMIT))
    }

    fn slips(&self) -> RequestBuilder {
        let refs = SLIPS.map(|id| {
            let market = ["bazaar", "plaza", "d'or", "depot"][id as usize % 4];
            format!("{market}-{id:07}")
        });
        let refs: Vec<String> = refs.collect();
        let slips = self.client.post(self.app.at("/slips"));
        slips.json(&json!({ "refs": refs }))
    }

    fn page(&self, after: Option<&str>, limit: usize) -> RequestBuilder {
        let limit = limit.to_string();
        let mut wishes = vec![("limit", limit.as_str())];
        wishes.extend(after.map(|after| ("after", after)));
        let url = Url::parse_with_params(&self.app.at("/orders"), wishes);
        self.client
            .get(url.unwrap_or_else(|error| panic!("no address: {error}")))
    }

    /// The statements of one more request, and the pages that Postgres read for them.
    async fn cost(&self, request: &RequestBuilder) -> (i64, i64) {
        let mut inside = self.copy.inside().await;
        must(&mut inside, "SELECT pg_stat_statements_reset()").await;
        if let Err(why) = answer(request).await {
            panic!("after a measurement: {why}");
        }
        let spoken = sqlx::query_as(SPOKEN).fetch_one(&mut inside).await;
        spoken.unwrap_or_else(|error| panic!("pg_stat_statements: {error}"))
    }
}

/// The whole answer, which has to be a success.
async fn answer(request: &RequestBuilder) -> Result<String, String> {
    let Some(request) = request.try_clone() else {
        panic!("a request whose body is a stream");
    };
    match request.send().await {
        Ok(answer) if answer.status().is_success() => {
            answer.text().await.map_err(|error| error.to_string())
        }
        Ok(answer) => Err(format!("it answers {}", answer.status().as_u16())),
        Err(_) => Err("it closes the connection: is it written yet?".to_owned()),
    }
}
