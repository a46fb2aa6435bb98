//! A page of `GET /products`, near its beginning and deep in it.

use std::time::Instant;

use criterion::Criterion;
use labkit::bench::{App, Attempt, Group, Row};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;
use sqlx::ConnectOptions as _;

use crate::{Bench, database};

/// What a page has, and what one may have at most.
const LIMIT: usize = 20;
const MOST: usize = 100;

/// The statements of the app since the counters were set to 0, and the pages they read.
const SPOKEN: &str = "SELECT coalesce(sum(calls), 0)::bigint,
           coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
    WHERE datname = current_database() AND query !~* '^(begin|commit|rollback|set)'
    AND query NOT LIKE '%pg_stat_statements%'";

/// What is read of a page.
#[derive(Deserialize)]
struct Products {
    items: Vec<Value>,
    next: Option<String>,
}

impl Bench {
    /// A page of this number, in each of the attempts.
    pub(crate) fn list(&self, criterion: &mut Criterion, name: &str, page: usize) -> Group {
        let mut group = criterion.benchmark_group(name);
        let client = Client::builder().no_proxy().build();
        let client = client.unwrap_or_else(|error| panic!("no client: {error}"));
        let measure = |attempt: &Attempt| {
            // Nobody pays here, or looks at pictures.
            let nobody = ["PROVIDER_URL", "IMAGES_URL"]
                .map(|it| (it.to_owned(), "http://127.0.0.1:1".to_owned()));
            let environment = self.plan.environment.iter().cloned().chain(nobody);
            let app = App::start(&attempt.app, environment);
            let app = self.runtime.block_on(app);
            // One that is not written yet answers with an error.
            let found = self.runtime.block_on(async {
                let url = go_to(&client, &app, page).await?;
                answer(&client, &url).await?;
                Ok(url)
            });
            let url = match found {
                Ok(url) => url,
                Err(why) => return Row::none(&attempt.name, why),
            };
            group.bench_function(&attempt.name, |bencher| {
                bencher.iter_custom(|times| {
                    self.runtime.block_on(async {
                        let began = Instant::now();
                        for _ in 0..times {
                            if let Err(why) = answer(&client, &url).await {
                                panic!("in the middle of a measurement: {why}");
                            }
                        }
                        began.elapsed()
                    })
                });
            });
            let (statements, pages) = self.runtime.block_on(self.cost(&client, &url));
            Row::of(
                &attempt.name,
                [statements, pages].map(|count| count.to_string()),
            )
        };
        self.plan.compare(name, ["statements", "pages"], measure)
    }

    /// The statements of one more request, and the pages that Postgres read for them.
    async fn cost(&self, client: &Client, url: &Url) -> (i64, i64) {
        let counted = async {
            let mut inside = database(&self.plan.administrator).connect().await?;
            sqlx::raw_sql("SELECT pg_stat_statements_reset()")
                .execute(&mut inside)
                .await?;
            if let Err(why) = answer(client, url).await {
                panic!("after a measurement: {why}");
            }
            sqlx::query_as(SPOKEN).fetch_one(&mut inside).await
        };
        let counted: sqlx::Result<(i64, i64)> = counted.await;
        counted.unwrap_or_else(|error| panic!("pg_stat_statements: {error}"))
    }
}

/// Where the page is: a list is turned over from its beginning on.
async fn go_to(client: &Client, app: &App, page: usize) -> Result<Url, String> {
    let mut cursor: Option<String> = None;
    let mut left = (page - 1) * LIMIT;
    while left > 0 {
        let url = products(app, cursor.as_deref(), left.min(MOST));
        let page: Products = serde_json::from_str(&answer(client, &url).await?)
            .map_err(|error| error.to_string())?;
        left = left.saturating_sub(page.items.len());
        cursor = page.next;
        if cursor.is_none() || page.items.is_empty() {
            return Err("its list ends before that page".to_owned());
        }
    }
    Ok(products(app, cursor.as_deref(), LIMIT))
}

fn products(app: &App, cursor: Option<&str>, limit: usize) -> Url {
    let limit = limit.to_string();
    let mut wishes = vec![("limit", limit.as_str())];
    wishes.extend(cursor.map(|cursor| ("cursor", cursor)));
    let url = Url::parse_with_params(&app.at("/products"), wishes);
    url.unwrap_or_else(|error| panic!("no address: {error}"))
}

/// The whole answer, which has to be a success.
async fn answer(client: &Client, url: &Url) -> Result<String, String> {
    match client.get(url.clone()).send().await {
        Ok(answer) if answer.status().is_success() => {
            answer.text().await.map_err(|error| error.to_string())
        }
        Ok(answer) => Err(format!("it answers {}", answer.status().as_u16())),
        Err(_) => Err("it closes the connection: is it written yet?".to_owned()),
    }
}
