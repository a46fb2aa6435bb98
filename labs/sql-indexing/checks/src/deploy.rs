//! The learner's migration, run as a deploy script would: statement by statement, as the
//! owner of the tables, on a connection of its own.

use std::time::Duration;

use labkit::finding::{self, fail};
use labkit::patience::timeout;
use labkit::sql::{Statement, folded, statements, verb};
use tokio::time::sleep;

use crate::database::Database;
use crate::session::{LIMIT, Refusal, Session};

/// How often it is looked whether the others are done, and after what pause: longer than any
/// of the lab's transactions lasts.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// How often a VACUUM is repeated that marks no page more: it is not the others' doing, then.
const VACUUMS: u32 = 30;

/// How much of a statement a finding shows.
const SHOWN: usize = 70;

impl Database {
    /// Runs a file to its end; a statement that is refused, or does not end, fails the check.
    /// What was done comes back in words.
    pub async fn deploy(&self, file: &str) -> String {
        let text = self.file(file);
        let mut session = self.owner().await;
        for statement in statements(&text) {
            if let Err(refusal) = self.step(&mut session, file, &statement).await {
                refused(file, &text, &statement, &refusal);
            }
            if verb(statement.text) == "VACUUM" {
                self.vacuum_for_certain(&mut session, statement.text).await;
            }
        }
        self.wait_until_usable().await;
        // `search_path` and what else a connection begins with is set by the client.
        let changed = "SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings \
                       WHERE source = 'session' AND name LIKE 'enable\\_%'";
        let changed = session.run(changed).await.unwrap_or_default();
        // Outside a transaction these are the same moment.
        let open = "SELECT transaction_timestamp() < statement_timestamp()";
        if session.run(open).await.is_ok_and(|open| open.is_true()) {
            return format!(
                "ran {file}; it ended inside a transaction that it never committed, and that \
                 undid all of it"
            );
        }
        match changed.rows.into_iter().flatten().flatten().next() {
            Some(settings) => format!(
                "ran {file}; what it set ({settings}) ended with its connection, as it does when \
                 you deploy"
            ),
            None => format!("ran {file}"),
        }
    }

    /// Waits until queries may use what was built. An index that is made of rows which have just
    /// been rewritten is kept from transactions that could still ask for the older ones, and
    /// what the other checks have under way anywhere on the server counts as that.
    async fn wait_until_usable(&self) {
        let mut session = self.administrator().await;
        let kept_back =
            "SELECT count(*) > 0 FROM pg_index WHERE indcheckxmin AND xmin::text::bigint
                         >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296";
        for _ in 0..LOOKS {
            if !session.must(kept_back).await.is_true() {
                return;
            }
            sleep(PAUSE).await;
        }
        finding::unavailable(
            "an index that the file has built cannot be used yet: somebody has had a transaction \
             open on this Postgres for ten seconds, or for longer",
        )
    }

    /// Does the same again until it had its effect. While somebody logs in anywhere on the
    /// server, the rows of a transaction that another one has seen begin may count as not yet
    /// seen by everybody: that is the other checks' doing, and not the learner's.
    async fn vacuum_for_certain(&self, session: &mut Session, vacuum: &str) {
        // It writes the table anew and marks nothing; to do it again takes long and is no help.
        if vacuum.to_ascii_uppercase().contains("FULL") {
            return;
        }
        let state = "SELECT relallvisible >= relpages, relallvisible FROM pg_class
                     WHERE oid = 'orders'::regclass";
        let mut last = Vec::new();
        let mut in_vain = 0;
        while in_vain < VACUUMS {
            let Ok(now) = session.run(state).await.map(|state| state.rows.concat()) else {
                return;
            };
            if now.first() != Some(&Some("f".to_owned())) {
                return;
            }
            in_vain = match now == last {
                true => in_vain + 1,
                false => 0,
            };
            last = now;
            sleep(PAUSE).await;
            let _ = session.run(vacuum).await;
        }
    }

    /// Runs one statement of a file, and tells the timeline.
    pub(crate) async fn step(
        &self,
        session: &mut Session,
        file: &str,
        statement: &Statement<'_>,
    ) -> Result<(), Refusal> {
        let shown = shortened(statement.text);
        let event = self.timeline.push(file, "postgres", shown);
        // A file may lift the limit that its session has.
        let ended = timeout(2 * LIMIT, session.run(statement.text)).await;
        let ended = ended.unwrap_or_else(|_| {
            Err(Refusal {
                code: "57014".to_owned(),
                message: "canceling statement due to statement timeout".to_owned(),
                position: None,
            })
        });
        match &ended {
            Ok(_) => self.timeline.reply(event, "done"),
            Err(refusal) => {
                self.timeline.reply(event, refusal.in_words());
                self.timeline.note(event, "refused");
            }
        }
        ended.map(drop)
    }
}

/// Fails the check: a file did not run to its end.
pub(crate) fn refused(file: &str, text: &str, statement: &Statement<'_>, refusal: &Refusal) -> ! {
    let line = statement.line + lines_before(statement, refusal);
    let saw = match refusal.code.as_str() {
        "57014" => format!(
            "the statement on line {line} was ended, because it took longer than it may ({} s, \
             if the file sets no other limit): `{}`",
            LIMIT.as_secs(),
            shortened(statement.text)
        ),
        _ => format!(
            "Postgres refused line {line}, `{}`: {}",
            text.lines().nth(line - 1).unwrap_or_default().trim(),
            refusal.in_words()
        ),
    };
    fail(
        format!("ran {file} as the owner of the tables, statement by statement"),
        saw,
        "a file that runs to its end, each statement within 30 s",
    )
}

/// How many lines into a statement the server points.
fn lines_before(statement: &Statement<'_>, refusal: &Refusal) -> usize {
    let at = refusal.position.unwrap_or(1);
    let before: String = statement.text.chars().take(at.saturating_sub(1)).collect();
    before.matches('\n').count()
}

/// The beginning of a statement, in one line.
pub(crate) fn shortened(sql: &str) -> String {
    let line = folded(sql, SHOWN);
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
