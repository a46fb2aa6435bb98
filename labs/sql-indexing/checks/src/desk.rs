//! The learner's service over the shop's database, with a wire between the two.

use labkit::answer::Answer;
use labkit::timeline::Mark;
use labkit::wire::{Address, Message, MessageKind, Param, ReplyKind, SqlReply, Target, Wire};
use labkit::{App, Check, Fixture, finding};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use crate::database::Database;
use crate::question::Question;

/// A running service.
pub struct Desk {
    /// The database that it works on.
    pub database: Database,
    wire: Wire,
    app: App,
}

/// An order as `GET /orders` shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub id: i64,
    /// What the marketplace calls it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// As Postgres writes it.
    pub created_at: String,
    /// What it came to.
    pub total_cents: i32,
}

/// What `GET /orders` answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    /// In the order of the list.
    pub orders: Vec<Order>,
    /// What the next page is asked for with.
    pub next: Option<String>,
}

/// A slip as `POST /slips` shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Slip {
    /// What the marketplace calls the order.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Where the parcel goes.
    pub ship_to: String,
    /// What goes into it.
    pub items: Vec<Item>,
}

/// One line of a slip.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub sku: String,
    /// How many of it.
    pub quantity: i32,
}

/// A statement as the service had it executed.
#[derive(Clone, Debug)]
pub struct Said {
    /// The text as the service wrote it.
    pub sql: String,
    /// What stood for `$1`, `$2` …, `None` for NULL; nothing where one of them is a list.
    pub arguments: Option<Vec<Option<String>>>,
    /// How many rows came back.
    pub rows: u64,
    types: Vec<&'static str>,
}

impl Fixture for Desk {
    async fn open(check: &Check) -> Self {
        let database = Database::open(check).await;
        let wire = Wire::postgres(check.timeline(), "app", "postgres", check.postgres()).await;
        let wire =
            wire.unwrap_or_else(|error| finding::error(format!("no wire to Postgres: {error}")));
        let through = Target {
            address: Address::Tcp(wire.address()),
            ..check.postgres()
        };
        let app = App::start(check, "app", &[("DATABASE_URL", through.postgres_url())]).await;
        Self {
            database,
            wire,
            app,
        }
    }
}

impl Desk {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        self.app.url()
    }

    /// `GET /orders`, from its beginning or from a cursor on.
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Page {
        let mut path = format!("/orders?limit={limit}");
        if let Some(after) = after {
            path += &format!("&after={}", utf8_percent_encode(after, NON_ALPHANUMERIC));
        }
        self.app.get(&path).await.expect_ok().json()
    }

    /// `POST /slips`, whatever the answer is.
    pub async fn ask_slips(&self, refs: &[String]) -> Answer {
        self.app.post("/slips", &json!({ "refs": refs })).await
    }

    /// `POST /slips`.
    pub async fn slips(&self, refs: &[String]) -> Vec<Slip> {
        self.ask_slips(refs).await.expect_ok().json()
    }

    /// Where a loop of rounds begins.
    pub fn mark(&self) -> Mark {
        self.database.timeline.mark()
    }

    /// Begins a round: a finding does not show the rounds that passed.
    pub fn begin_round(&self, rounds: Mark) {
        self.database.timeline.forget_since(rounds);
    }

    /// How many statements the service has had executed so far.
    pub fn spoken(&self) -> usize {
        self.wire.messages().len()
    }

    /// What it said from then on. The beginning and the end of a transaction ask for nothing,
    /// nor does a setting.
    pub fn said_since(&self, spoken: usize) -> Vec<Said> {
        let silent = ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SET", ""];
        let messages = self.wire.messages().into_iter().skip(spoken);
        messages
            .filter_map(|message| said(&message))
            .filter(|said| !silent.contains(&labkit::sql::verb(&said.sql).as_str()))
            .collect()
    }
}

fn said(message: &Message) -> Option<Said> {
    let MessageKind::Postgres { sql, params, .. } = &message.kind else {
        return None;
    };
    let rows = match message.reply.as_ref().map(|reply| &reply.kind) {
        Some(ReplyKind::Postgres(SqlReply::Done { rows, .. })) => *rows,
        _ => 0,
    };
    let arguments = params.iter().map(|param| match param {
        Param::Null => Some(None),
        param => param.text().map(|text| Some(text.to_owned())),
    });
    Some(Said {
        sql: sql.to_string(),
        arguments: arguments.collect(),
        rows,
        types: params.iter().map(type_of).collect(),
    })
}

/// As sqlx names the types of what it binds: without its types for times, a time is a text.
fn type_of(param: &Param) -> &'static str {
    match param {
        Param::Plain(text) if text.parse::<i64>().is_ok() => "bigint",
        Param::Plain(text) if text.parse::<f64>().is_ok() => "double precision",
        Param::Plain(_) => "boolean",
        // What it is compared with decides.
        Param::Null => "unknown",
        _ => "text",
    }
}

impl Said {
    /// The same, to be asked again.
    pub fn question(&self) -> Question {
        Question::of_the_app(&self.sql, self.types.join(", "))
    }
}
