//! A lab's service to play with: the fixture of its checks, held up for a person.
//!
//! `cargo xtask run LAB` starts the checks' binary for its one test that is no check,
//! [`playground!`](crate::playground). What happens goes to the runner line by line, over
//! the socket that a check sends its record on, until the runner closes its end.

use std::future::Future;
use std::io::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Record, VARIABLE};
use crate::check::{Check, own_end, record_of};
use crate::timeline::{Event, Timeline};

/// What libtest calls the one test that is no check.
pub const NAME: &str = "playground";

/// How often the timeline is looked at; shorter than a person notices.
const PAUSE: Duration = Duration::from_millis(30);

/// How long an answer is waited for before its message is told without it, in milliseconds.
const LATE_MS: f64 = 1000.0;

/// The timeline keeps every message; beyond this a person is not playing any more.
const MOST_EVENTS: usize = 200_000;

/// Where things are, and what to try.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// What stands where: `your shop` at `http://127.0.0.1:40001`.
    pub places: Vec<(String, String)>,
    /// Command lines, each with what it shows.
    pub tries: Vec<(String, String)>,
}

/// One line to the runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// All is up.
    Card(Card),
    /// A message was seen.
    Event(Event),
    /// It is over, and why.
    Ended(Record),
}

/// What a person plays with; usually the fixture of the checks, and a wire before it.
pub trait Playground: Sized {
    /// Starts all of it.
    fn open(check: &Check) -> impl Future<Output = Self>;

    /// Says where it is.
    fn card(&self) -> Card;
}

/// The one test of a lab's checks that is no check: `labkit::playground!(ByHand);`, in their
/// `main.rs`.
#[macro_export]
macro_rules! playground {
    ($playground:ty) => {
        #[test]
        #[ignore = "it lasts until somebody ends it: `cargo xtask run LAB`"]
        fn playground() {
            $crate::play::run::<$playground>();
        }
    };
}

/// Holds a playground up until the runner closes its end. Called by [`playground!`].
///
/// # Panics
///
/// Without a runner, or when it does not take what is said.
pub fn run<P: Playground>() {
    let assignment = std::env::var(VARIABLE).unwrap_or_default();
    let Ok(assignment) = serde_json::from_str::<Assignment>(&assignment) else {
        panic!("only `cargo xtask run` can start this");
    };
    let Ok(socket) = own_end() else {
        panic!("only `cargo xtask run` can start this");
    };
    let mut record = record_of(NAME, "", assignment, Some(socket), |check| async move {
        if let Err(error) = play::<P>(&check).await {
            crate::finding::error(format!("the runner does not listen: {error}"));
        }
    });
    // It has been told, message by message.
    record.timeline.clear();
    let ended = || -> io::Result<()> {
        let mut runner = own_end()?;
        runner.set_nonblocking(false)?;
        serde_json::to_writer(&runner, &Said::Ended(record))?;
        runner.write_all(b"\n")
    };
    // A runner that ended this does not listen any more.
    let _ = ended();
}

async fn play<P: Playground>(check: &Check) -> io::Result<()> {
    let playground = P::open(check).await;
    let card = Said::Card(playground.card());
    check.line().await?.say(&card).await?;
    let mut told = Told::default();
    loop {
        // Let go of each time: the playground may have something to ask.
        let mut line = check.line().await?;
        // Nothing comes: it is closed.
        if tokio::time::timeout(PAUSE, line.hear()).await.is_ok() {
            return Ok(());
        }
        for said in told.news(&check.timeline()) {
            line.say(&said).await?;
        }
    }
}

/// How far the runner has been told.
#[derive(Default)]
struct Told(usize);

impl Told {
    /// The messages since then, in order: a message is told with its answer, unless that
    /// is late.
    fn news(&mut self, timeline: &Timeline) -> Vec<Said> {
        let now = timeline.now_ms();
        let events = timeline.events_from(self.0);
        if self.0 + events.len() > MOST_EVENTS {
            crate::finding::error(format!(
                "{MOST_EVENTS} messages were seen; start it anew for more"
            ));
        }
        let ready = events
            .into_iter()
            .take_while(|event| event.reply.is_some() || now - event.at_ms > LATE_MS);
        let said: Vec<Said> = ready.map(Said::Event).collect();
        self.0 += said.len();
        said
    }
}
