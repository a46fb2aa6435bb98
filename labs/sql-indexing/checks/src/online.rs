//! A migration while the shop sells: who waits for whom.

use std::time::Duration;

use labkit::finding::{self, fail};
use labkit::patience::timeout;
use labkit::sql::{Statement, statements, verb};
use tokio::time::sleep;

use crate::database::Database;
use crate::deploy::{refused, shortened};
use crate::session::{ENDED, LIMIT, Refusal, Session};

/// How long a checkout waits before it is given up; stated in the brief.
const PATIENCE: &str = "10s";

/// Between two looks at who waits for whom.
const PAUSE: Duration = Duration::from_millis(20);

/// What Postgres answers to who has waited long enough for a lock.
const GIVEN_UP: &str = "55P03";

/// What a session does between two moments without a transaction.
struct Unit<'a>(Vec<Statement<'a>>);

impl Database {
    /// Runs a file to its end or to the first refusal.
    pub async fn try_deploy(&self, file: &str) -> Result<(), Refusal> {
        let text = self.file(file);
        let mut session = self.owner().await;
        for statement in statements(&text) {
            self.step(&mut session, file, &statement).await?;
        }
        Ok(())
    }

    /// Runs a file while checkouts go on: at each of its statements one has begun and is not
    /// finished, and another one comes. Neither may wait for the file. Where the file gives up
    /// on a lock it is run again from its beginning, as a deploy script would.
    pub async fn deploy_while_selling(&self, file: &str) {
        let text = self.file(file);
        let found = statements(&text);
        let units = units(&found);
        let mut tried = 0;
        // Each time it gets further by one, or it never will.
        let attempts = units.len() + 1;
        for _ in 0..attempts {
            match self.attempt(file, &text, &units, tried).await {
                None => return,
                Some(gave_up_at) => tried = gave_up_at + 1,
            }
        }
        fail(
            format!("ran {file} {attempts} times while the shop sold"),
            "each time it gave up on a lock, the last times with nobody in its way",
            "a file that comes to its end once the table is free",
        )
    }

    /// One run; the first units meet nobody. Where it gave up on a lock, if it did.
    async fn attempt(
        &self,
        file: &str,
        text: &str,
        units: &[Unit<'_>],
        alone: usize,
    ) -> Option<usize> {
        let mut session = self.owner().await;
        for (number, unit) in units.iter().enumerate() {
            let ended = match number < alone {
                true => self.unit_while_one_comes(&mut session, file, unit).await,
                false => self.unit_in_traffic(&mut session, file, unit).await,
            };
            match ended {
                Ok(()) => {}
                Err((_, refusal)) if refusal.code == GIVEN_UP => return Some(number),
                Err((statement, refusal)) => refused(file, text, &statement, &refusal),
            }
        }
        None
    }

    async fn unit<'a>(
        &self,
        session: &mut Session,
        file: &str,
        unit: &Unit<'a>,
    ) -> Result<(), (Statement<'a>, Refusal)> {
        for statement in &unit.0 {
            let ended = self.step(session, file, statement).await;
            ended.map_err(|refusal| (*statement, refusal))?;
        }
        Ok(())
    }

    /// Nobody is there when it begins. Once it holds a lock that a checkout has to wait for,
    /// one comes.
    async fn unit_while_one_comes<'a>(
        &self,
        session: &mut Session,
        file: &str,
        unit: &Unit<'a>,
    ) -> Result<(), (Statement<'a>, Refusal)> {
        let mut watcher = self.administrator().await;
        let mut one = self.impatient().await;
        let pid = session.pid;
        let migration = self.unit(session, file, unit);
        tokio::pin!(migration);
        loop {
            tokio::select! {
                ended = &mut migration => return ended,
                () = sleep(PAUSE) => {}
            }
            if locks_out(&mut watcher, pid).await {
                break;
            }
        }
        let (ended, sold) = tokio::join!(&mut migration, self.checkout(&mut one, "a checkout"));
        if let Err(refusal) = sold {
            let given_up = format!(
                "a checkout came while your `{}` had the table locked; after {PATIENCE} it was \
                 given up",
                unit.in_words()
            );
            self.lost(&refusal, file, "a checkout came", &given_up)
                .await;
        }
        ended
    }

    /// The connection of a checkout that waits as long as the brief says.
    async fn impatient(&self) -> Session {
        let mut session = self.owner().await;
        session
            .must(&format!("SET lock_timeout = '{PATIENCE}'"))
            .await;
        session
    }

    async fn unit_in_traffic<'a>(
        &self,
        session: &mut Session,
        file: &str,
        unit: &Unit<'a>,
    ) -> Result<(), (Statement<'a>, Refusal)> {
        let mut watcher = self.administrator().await;
        let mut first = self.impatient().await;
        first.must("BEGIN").await;
        if let Err(refusal) = self.checkout(&mut first, "checkout 1").await {
            let given_up =
                "checkout 1 waited for what your file had locked before, and was given up";
            self.lost(&refusal, file, "checkout 1 came", given_up).await;
        }
        let (pid, holder) = (session.pid, first.pid);
        let migration = self.unit(session, file, unit);
        tokio::pin!(migration);
        // Until it is through, or waits for the checkout that is not finished.
        let through = loop {
            tokio::select! {
                ended = &mut migration => break Some(ended),
                () = sleep(PAUSE) => {}
            }
            if blockers(&mut watcher, pid).await.contains(&holder) {
                break None;
            }
        };
        if let Some(ended) = through {
            self.expect_committed(first, file, unit).await;
            return ended;
        }
        let mut second = self.impatient().await;
        let comes = second.pid;
        let mut behind = false;
        let selling = self.checkout(&mut second, "checkout 2");
        tokio::pin!(selling);
        let mut ended = None;
        let sold = loop {
            tokio::select! {
                sold = &mut selling => break sold,
                // It may give up its place in the queue, and go on.
                done = &mut migration, if ended.is_none() => ended = Some(done),
                () = sleep(PAUSE) => {
                    behind |= blockers(&mut watcher, comes).await.contains(&pid);
                }
            }
        };
        if let Err(refusal) = sold {
            if refusal.code == GIVEN_UP && !behind {
                finding::error(format!("a checkout: {}", refusal.in_words()));
            }
            let given_up = format!(
                "checkout 2 waited for your `{}`, which waited for checkout 1; after {PATIENCE} it \
                 was given up",
                unit.in_words()
            );
            let came =
                "checkout 1 had written to orders and not yet committed; then checkout 2 came";
            self.lost(&refusal, file, came, &given_up).await;
        }
        self.expect_committed(first, file, unit).await;
        match ended {
            Some(ended) => ended,
            None => timeout(2 * LIMIT, migration).await.unwrap_or_else(|_| {
                fail(
                    format!("ran {file} while checkouts came and went"),
                    "when all of them were done, it was still waiting",
                    "a file that goes on once nobody is in its way",
                )
            }),
        }
    }

    /// A checkout that was open comes to its end; fails the check if its connection was ended.
    async fn expect_committed(&self, checkout: Session, file: &str, unit: &Unit<'_>) {
        if checkout.commit().await {
            return;
        }
        // If it is the server that is gone, this says so.
        self.administrator().await.must("SELECT 1").await;
        fail(
            format!("ran {file} while checkout 1 had written to orders and not yet committed"),
            format!(
                "when your `{}` was through, the connection of checkout 1 had been ended: the \
                 sale is lost",
                unit.in_words()
            ),
            "a checkout that has begun can be finished",
        )
    }

    /// Somebody buys something.
    async fn checkout(&self, session: &mut Session, who: &str) -> Result<(), Refusal> {
        let sql = "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             VALUES ('checkout-' || gen_random_uuid(), 7, 'new', now(), 100, 'Noah_4@example.org', 'here')";
        let event = self.timeline.push(who, "postgres", "INSERT INTO orders");
        let ended = session.run(sql).await;
        self.timeline.reply(
            event,
            match &ended {
                Ok(_) => "done".to_owned(),
                Err(refusal) => refusal.in_words(),
            },
        );
        ended.map(drop)
    }

    /// Fails the check: a checkout was given up, refused, or its connection was ended. Any other
    /// refusal is the lab's fault.
    async fn lost(&self, refusal: &Refusal, file: &str, came: &str, given_up: &str) -> ! {
        let saw = match refusal.code.as_str() {
            GIVEN_UP => given_up,
            ENDED => {
                // If it is the server that is gone, this says so.
                self.administrator().await.must("SELECT 1").await;
                "your file has ended the connection of a checkout"
            }
            _ if refusal.is_not_taken() => {
                "the table, as your file has left it, refuses a checkout"
            }
            _ => finding::error(format!("a checkout: {}", refusal.in_words())),
        };
        fail(
            format!("ran {file} while the shop sold: {came}"),
            format!("{saw}: {}", refusal.in_words()),
            "each checkout is done within 10 s, while others are still open",
        )
    }
}

impl Unit<'_> {
    /// Its statements, each by its beginning.
    fn in_words(&self) -> String {
        let texts = self.0.iter().map(|statement| shortened(statement.text));
        texts.collect::<Vec<_>>().join("; ")
    }
}

/// Whether a server process has a lock on the table that a checkout has to wait for
/// (<https://www.postgresql.org/docs/15/explicit-locking.html>, table 13.2).
async fn locks_out(watcher: &mut Session, pid: i32) -> bool {
    let held = format!(
        "SELECT count(*) > 0 FROM pg_locks
         WHERE pid = {pid} AND relation = 'orders'::regclass AND granted
           AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
    );
    watcher.must(&held).await.is_true()
}

/// Whom a server process waits for.
async fn blockers(watcher: &mut Session, pid: i32) -> Vec<i32> {
    let whom = format!("SELECT unnest(pg_blocking_pids({pid}))");
    let rows = watcher.must(&whom).await.rows;
    let pids = rows.into_iter().flatten().flatten();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

/// What stands between BEGIN and its end belongs together.
fn units<'a>(statements: &[Statement<'a>]) -> Vec<Unit<'a>> {
    let mut units: Vec<Unit<'a>> = Vec::new();
    let mut inside = false;
    for statement in statements {
        match units.last_mut().filter(|_| inside) {
            Some(unit) => unit.0.push(*statement),
            None => units.push(Unit(vec![*statement])),
        }
        match verb(statement.text).as_str() {
            "BEGIN" | "START" => inside = true,
            "COMMIT" | "END" | "ROLLBACK" | "ABORT" if !goes_on(statement.text) => inside = false,
            _ => {}
        }
    }
    units
}

/// Whether a statement that looks like the end of a transaction leaves one open:
/// `ROLLBACK TO` a savepoint, `COMMIT AND CHAIN`.
fn goes_on(statement: &str) -> bool {
    let words: Vec<String> = statement
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let chained = words.windows(2).any(|pair| pair == ["AND", "CHAIN"]);
    chained || words.iter().any(|word| word == "TO")
}
