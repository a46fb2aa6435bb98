//! A query: what it answers, held against a reference, and what it costs.

use labkit::finding::fail;
use labkit::sql::statements;

use crate::database::Database;
use crate::deploy::shortened;
use crate::plan::Plan;
use crate::session::{LIMIT, Refusal, Rows, Session};

/// What decides a plan, as a server has it that nobody has tuned: a server of one's own may
/// have been, and a learner's file may have set something for every connection.
const SETTINGS: [&str; 6] = [
    "SELECT set_config(name, boot_val, false) FROM pg_settings
     WHERE category LIKE 'Query Tuning%' AND context = 'user' OR name = 'work_mem'",
    "SET jit = off",
    "SET max_parallel_workers_per_gather = 0",
    "SET plan_cache_mode = force_custom_plan",
    "SET search_path = public",
    "SET timezone = 'UTC'",
];

/// A query with its parameters' types.
#[derive(Clone, Debug)]
pub struct Question {
    /// How findings call it: `queries/03_day.sql`, `the query of the brief`.
    pub name: String,
    sql: String,
    types: String,
}

impl Question {
    /// A query that the brief states.
    pub fn of_the_brief(sql: &str, types: &'static str) -> Self {
        Self {
            name: "the query of the brief".to_owned(),
            sql: sql.to_owned(),
            types: types.to_owned(),
        }
    }

    /// A query as it was seen on the wire, with the types that its parameters had.
    pub(crate) fn of_the_app(sql: &str, types: String) -> Self {
        Self {
            name: "the app's statement".to_owned(),
            sql: sql.to_owned(),
            types,
        }
    }
}

impl Database {
    /// A query that the learner has written.
    pub fn question(&self, file: &str, types: &'static str) -> Question {
        let text = self.file(file);
        let found = statements(&text);
        let [statement] = found.as_slice() else {
            fail(
                format!("read {file}"),
                format!("it holds {} statements", found.len()),
                "one: the query",
            )
        };
        Question {
            name: file.to_owned(),
            sql: statement.text.to_owned(),
            types: types.to_owned(),
        }
    }

    /// What a query answers; one that is refused or that writes fails the check.
    pub async fn ask(&self, question: &Question, arguments: &[&str]) -> Rows {
        let arguments = &given(arguments);
        let mut session = self.prepared(question, arguments).await;
        let ask = execute(arguments);
        let event = self
            .timeline
            .push("check", "postgres", format!("{}: {ask}", question.name));
        match session.run(&ask).await {
            Ok(rows) => {
                self.timeline
                    .reply(event, format!("{} rows", rows.rows.len()));
                rows
            }
            Err(refusal) => refused(question, arguments, &refusal),
        }
    }

    /// How a query was carried out, on a fresh connection with its settings as a server has
    /// them that nobody has tuned.
    pub async fn explain(&self, question: &Question, arguments: &[Option<&str>]) -> Plan {
        let mut session = self.prepared(question, arguments).await;
        let explain = format!(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {}",
            execute(arguments)
        );
        let event = self.timeline.push(
            "check",
            "postgres",
            format!("EXPLAIN {}", shortened(&question.sql)),
        );
        let mut json = String::new();
        // The first time a connection looks things up in the catalogue, and that counts too.
        for _ in 0..2 {
            match session.run(&explain).await {
                Ok(rows) => json = rows.rows.into_iter().flatten().flatten().collect(),
                Err(refusal) => refused(question, arguments, &refusal),
            }
        }
        let plan = Plan::read(&json);
        self.timeline
            .reply(event, format!("{} pages", plan.pages()));
        plan
    }

    /// Fails the check unless a query answers what the reference answers: the same columns,
    /// the same rows, in the same order.
    pub async fn expect_answer(&self, question: &Question, arguments: &[&str], reference: &str) {
        let reference = Question {
            name: "the reference".to_owned(),
            sql: reference.to_owned(),
            types: question.types.clone(),
        };
        let right = self.ask(&reference, arguments).await;
        let theirs = self.ask(question, arguments).await;
        let did = format!(
            "asked {} with {}",
            question.name,
            in_words(&given(arguments))
        );
        if !theirs.rows.is_empty() && theirs.columns != right.columns && !right.rows.is_empty() {
            fail(
                did,
                format!("the columns {}", theirs.columns.join(", ")),
                format!("the columns {}", right.columns.join(", ")),
            );
        }
        let different = (0..right.rows.len().max(theirs.rows.len()))
            .find(|at| theirs.rows.get(*at) != right.rows.get(*at));
        if let Some(at) = different {
            fail(did, shown(&theirs, at), shown(&right, at));
        }
    }

    /// A connection that may read and nothing else, on which the query has been parsed.
    async fn prepared(&self, question: &Question, arguments: &[Option<&str>]) -> Session {
        let mut session = self.owner().await;
        for setting in SETTINGS {
            session.must(setting).await;
        }
        session.must("BEGIN READ ONLY").await;
        let types = match question.types.as_str() {
            "" => String::new(),
            types => format!("({types})"),
        };
        let prepare = format!("PREPARE judged{types} AS {}", question.sql);
        if let Err(refusal) = session.run(&prepare).await {
            refused(question, arguments, &refusal);
        }
        session
    }
}

/// Arguments none of which is NULL.
pub(crate) fn given<'a>(arguments: &[&'a str]) -> Vec<Option<&'a str>> {
    arguments.iter().copied().map(Some).collect()
}

fn execute(arguments: &[Option<&str>]) -> String {
    let literal = |argument: &Option<&str>| match argument {
        Some(argument) => format!("'{}'", argument.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    let literals: Vec<String> = arguments.iter().map(literal).collect();
    match literals.is_empty() {
        true => "EXECUTE judged".to_owned(),
        false => format!("EXECUTE judged({})", literals.join(", ")),
    }
}

fn refused(question: &Question, arguments: &[Option<&str>], refusal: &Refusal) -> ! {
    let did = format!("asked {} with {}", question.name, in_words(arguments));
    match refusal.code.as_str() {
        "25006" => fail(
            did,
            format!("it writes: {}", refusal.message),
            "a query that reads and changes nothing",
        ),
        "57014" => fail(
            did,
            format!(
                "it was still running after {} s and was ended",
                LIMIT.as_secs()
            ),
            "an answer",
        ),
        _ => fail(
            did,
            format!("Postgres refused it: {}", refusal.in_words()),
            "one query that Postgres answers, with the parameters of the brief",
        ),
    }
}

pub(crate) fn in_words(arguments: &[Option<&str>]) -> String {
    match arguments.is_empty() {
        true => "no parameters".to_owned(),
        false => {
            let named = arguments.iter().enumerate();
            let named =
                named.map(|(index, value)| format!("${} = {}", index + 1, value.unwrap_or("NULL")));
            named.collect::<Vec<_>>().join(", ")
        }
    }
}

/// How many rows there are, and the one at this place.
fn shown(rows: &Rows, at: usize) -> String {
    let row = rows.rows.get(at).map(|row| {
        let values = row.iter().map(|value| value.as_deref().unwrap_or("NULL"));
        format!("({})", values.collect::<Vec<_>>().join(", "))
    });
    match (rows.rows.len(), row) {
        (0, _) => "no rows".to_owned(),
        (1, None) => "1 row".to_owned(),
        (1, Some(row)) => format!("1 row: {row}"),
        (many, None) => format!("{many} rows"),
        (many, Some(row)) => format!("{many} rows; row {} is {row}", at + 1),
    }
}
