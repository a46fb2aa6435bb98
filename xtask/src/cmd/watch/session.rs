//! The loop: a round of checks after every save, with services that stay up between them.

use std::fs;
use std::future::pending;
use std::io;
use std::sync::Arc;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::OnceCell;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::files::Files;
use super::screen::{self, Model};
use super::tty::Tty;
use crate::checkout::Checkout;
use crate::cmd::{hint, list};
use crate::lab::{Exercise, Lab};
use crate::pool::Pool;
use crate::provider::{Notes, RunFolder};
use crate::report::style::Look;
use crate::report::{ExerciseReport, Outlook, Report, Reporter, Status, words};
use crate::run::{Building, Plan};
use crate::{attempt, brief, predict, progress};

/// How a watch came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By the key for it.
    Quit,
    /// By Ctrl-C.
    Interrupted,
}

/// What a round of checks rests on and what outlives it.
struct Shared {
    checkout: Checkout,
    lab: Lab,
    folder: RunFolder,
    /// Opened by the first round, while cargo compiles.
    pool: OnceCell<Pool>,
}

/// Watches until a key ends it. `plan` says what the first round judges.
pub(super) async fn watch(
    checkout: &Checkout,
    lab: &Lab,
    plan: Plan,
    folder: RunFolder,
) -> anyhow::Result<End> {
    let shared = Arc::new(Shared {
        checkout: checkout.clone(),
        lab: lab.clone(),
        folder,
        pool: OnceCell::new(),
    });
    let tty = Tty::take()?;
    let end = Watch::new(Arc::clone(&shared), plan, &tty)
        .until_end()
        .await;
    drop(tty);
    // A round that still goes on holds it; then the keeper ends what is up.
    if let Some(shared) = Arc::into_inner(shared)
        && let Some(pool) = shared.pool.into_inner()
    {
        pool.close(&Silent).await;
    }
    end
}

struct Watch<'a> {
    shared: Arc<Shared>,
    plan: Plan,
    tty: &'a Tty,
    model: Model,
    news: UnboundedSender<String>,
    /// The round that goes on.
    round: Option<JoinHandle<anyhow::Result<Report>>>,
    /// Something was saved, or another exercise chosen, since it began.
    stale: bool,
    /// The guess that is asked for before the first round of an exercise.
    guessing: Option<Guessing>,
}

/// A question, and what has been typed so far.
struct Guessing {
    question: String,
    typed: String,
}

impl<'a> Watch<'a> {
    fn new(shared: Arc<Shared>, plan: Plan, tty: &'a Tty) -> Self {
        let model = Model {
            colour: Look::of(&io::stdout()).colour,
            ..Model::default()
        };
        Self {
            shared,
            plan,
            tty,
            model,
            news: unbounded_channel().0,
            round: None,
            stale: false,
            guessing: None,
        }
    }

    async fn until_end(mut self) -> anyhow::Result<End> {
        let mut files = Files::of(&self.shared.lab);
        let mut typed = self.tty.events();
        let (sender, mut news) = unbounded_channel();
        self.news = sender;
        self.begin();
        loop {
            self.draw()?;
            tokio::select! {
                event = typed.recv() => match event {
                    Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                        if let Some(end) = self.key(key) {
                            return Ok(end);
                        }
                    }
                    // Another size, or a paste: drawn anew.
                    Some(_) => {}
                    None => return Ok(End::Quit),
                },
                () = files.changed() => {
                    // Whoever saves has gone on: what was asked is skipped.
                    self.guessing = None;
                    self.close_page();
                    self.begin();
                }
                // The last of a round may come after its end.
                Some(doing) = news.recv() => if self.round.is_some() {
                    self.model.doing = doing;
                },
                ended = ended(&mut self.round) => self.take_in(ended),
            }
        }
    }

    /// Starts a round; one that goes on is let to its end first, for cargo cannot be
    /// stopped in the middle without harm to what it writes.
    fn begin(&mut self) {
        if self.round.is_some() {
            self.stale = true;
            return;
        }
        self.stale = false;
        let ids = &self.plan.exercises;
        self.model.turn_to(match ids.as_slice() {
            [id] => format!("{}/{id}", self.shared.lab.name),
            _ => self.shared.lab.name.clone(),
        });
        self.model.doing = "building".to_owned();
        let reporter = Live(self.news.clone());
        let round = round(
            Arc::clone(&self.shared),
            self.plan.clone(),
            Arc::new(reporter),
        );
        self.round = Some(tokio::spawn(round));
    }

    fn take_in(&mut self, ended: anyhow::Result<Report>) {
        self.round = None;
        self.model.doing = String::new();
        self.model.scroll = 0;
        match ended {
            Ok(report) => {
                self.model.brief = self.brief_of_the_unbegun(&report);
                self.model.report = Some(report);
                self.model.error = None;
            }
            Err(error) => {
                self.model.report = None;
                self.model.error = Some(format!("{error:#}"));
            }
        }
        if self.stale && self.guessing.is_none() {
            self.begin();
        }
    }

    /// The part of the brief that somebody needs now.
    fn brief_of_the_unbegun(&self, report: &Report) -> Option<String> {
        let open = screen::open(report).filter(|open| open.status == Status::NotStarted)?;
        let brief = fs::read_to_string(self.shared.lab.folder.join("README.md")).ok()?;
        brief::section(&brief, &open.title).map(str::to_owned)
    }

    fn key(&mut self, key: KeyEvent) -> Option<End> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Some(End::Interrupted),
            KeyCode::Char('q') => return Some(End::Quit),
            code if self.guessing.is_some() => self.answer(code),
            KeyCode::Char('h') => self.page(Self::hint),
            KeyCode::Char('l') => self.page(|watch| watch.list()),
            KeyCode::Char('w') => self.model.wire = !self.model.wire,
            KeyCode::Char('n') => self.next(),
            KeyCode::Esc => self.close_page(),
            KeyCode::Down | KeyCode::Char('j') => self.scroll_by(1),
            KeyCode::Up | KeyCode::Char('k') => {
                self.model.scroll = self.model.scroll.saturating_sub(1);
            }
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll_by(self.page_length()),
            KeyCode::PageUp => {
                self.model.scroll = self.model.scroll.saturating_sub(self.page_length());
            }
            KeyCode::Home => self.model.scroll = 0,
            // Drawing stops at the last line.
            KeyCode::End => self.model.scroll = usize::MAX,
            _ => {}
        }
        None
    }

    fn scroll_by(&mut self, lines: usize) {
        self.model.scroll = self.model.scroll.saturating_add(lines);
    }

    fn page_length(&self) -> usize {
        self.tty.size().1.saturating_sub(4).max(1)
    }

    /// Shows what was asked for in place of the verdict; Esc and the next save bring that back.
    fn page(&mut self, text: impl FnOnce(&Self) -> String) {
        self.model.page = Some(text(self));
        self.model.scroll = 0;
    }

    fn close_page(&mut self) {
        self.model.page = None;
        self.model.asks = false;
    }

    /// Asks for a guess before the first round of the exercise that is watched now.
    fn ask(&mut self, question: String) {
        self.guessing = Some(Guessing {
            question,
            typed: String::new(),
        });
        self.answer(KeyCode::Null);
    }

    /// Takes in a key of what is typed as a guess.
    fn answer(&mut self, key: KeyCode) {
        let Some(guessing) = &mut self.guessing else {
            return;
        };
        let done = match key {
            KeyCode::Char(c) if c.is_ascii_digit() => {
                guessing.typed.push(c);
                false
            }
            KeyCode::Backspace => {
                guessing.typed.pop();
                false
            }
            KeyCode::Esc => {
                guessing.typed.clear();
                true
            }
            KeyCode::Enter => true,
            _ => false,
        };
        let guess = predict::number(&guessing.typed);
        if let (true, Ok(guess)) = (done, &guess) {
            if let Some(exercise) = self.exercise() {
                let Shared { checkout, lab, .. } = &*self.shared;
                predict::keep(checkout, lab, exercise, *guess, false, &Silent);
            }
            self.guessing = None;
            self.close_page();
            self.begin();
            return;
        }
        let more = match guess {
            Ok(_) => "",
            Err(_) => "\n\na smaller number, please",
        };
        let page = format!(
            "{}\n\nyour guess  {}{more}",
            guessing.question, guessing.typed
        );
        self.page(|_| page);
        self.model.asks = true;
    }

    /// The exercise that is worked on: the one that is watched, or the first that is open.
    fn exercise(&self) -> Option<&Exercise> {
        let exercises = &self.shared.lab.manifest.exercises;
        let id = match self.plan.exercises.as_slice() {
            [id] => Some(id),
            _ => self
                .model
                .report
                .as_ref()
                .and_then(screen::open)
                .map(|open| &open.id),
        };
        exercises.iter().find(|exercise| Some(&exercise.id) == id)
    }

    fn hint(&self) -> String {
        match self.exercise() {
            Some(exercise) => {
                hint::one_more(&self.shared.checkout, &self.shared.lab, exercise, &Silent)
            }
            None => "nothing is open here".to_owned(),
        }
    }

    fn list(&self) -> String {
        let mut progress = progress::read(&self.shared.checkout, &Silent);
        let done = progress
            .labs
            .remove(&self.shared.lab.name)
            .unwrap_or_default();
        let (columns, _) = self.tty.size();
        list::exercises(
            &self.shared.lab,
            &done,
            &Look::new(self.model.colour, columns, true),
        )
    }

    /// The first exercise after this one that has not passed, then those before it.
    fn next(&mut self) {
        let progress = progress::read(&self.shared.checkout, &Silent);
        let known = progress.labs.get(&self.shared.lab.name);
        let exercises = &self.shared.lab.manifest.exercises;
        let here = self.exercise().map(|exercise| exercise.id.clone());
        let place = exercises
            .iter()
            .position(|exercise| Some(&exercise.id) == here.as_ref());
        let (before, after) = exercises.split_at(place.map_or(0, |place| place + 1));
        let open = |exercise: &&Exercise| {
            let status = known.and_then(|known| known.exercise(&exercise.id));
            status != Some(Status::Passed)
        };
        let next = after.iter().chain(before).find(open);
        match next.filter(|next| Some(&next.id) != here.as_ref()) {
            Some(next) => {
                let question = predict::due(known, next)
                    .map(|question| format!("{}\n\n{question}", next.title));
                let target = format!("{}/{}", self.shared.lab.name, next.id);
                self.model.turn_to(target);
                self.plan.exercises = vec![next.id.clone()];
                self.close_page();
                match question {
                    Some(question) => self.ask(question),
                    None => self.begin(),
                }
            }
            None => self.page(|_| "no other exercise of this lab is open".to_owned()),
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = self.tty.size();
        self.tty.draw(&self.model.rows(columns, rows))
    }
}

/// Builds what was saved and judges it.
async fn round(
    shared: Arc<Shared>,
    plan: Plan,
    reporter: Arc<dyn Reporter>,
) -> anyhow::Result<Report> {
    let Shared {
        checkout,
        lab,
        folder,
        pool,
    } = &*shared;
    let building = Building::start(checkout, lab, &plan, folder, &reporter);
    let opened = pool.get_or_init(|| Pool::open(checkout, lab, plan.services, folder, &*reporter));
    let (pool, ready) = tokio::join!(opened, building.ready());
    // Somebody may have ended a server since the last round.
    pool.refresh().await;
    let mut report = ready?.judge(lab, &plan, folder, pool, &*reporter).await?;
    progress::change(checkout, &*reporter, |known| {
        known.take_in(&report);
        let own = known.labs.entry(lab.name.clone()).or_default();
        predict::compare(&mut report, lab, own);
    });
    attempt::keep(checkout, &report, &*reporter);
    Ok(report)
}

/// The end of the round that goes on; without one it never comes.
async fn ended(round: &mut Option<JoinHandle<anyhow::Result<Report>>>) -> anyhow::Result<Report> {
    match round {
        Some(round) => round.await?,
        None => pending().await,
    }
}

/// Hands what is going on to the screen.
struct Live(UnboundedSender<String>);

impl Notes for Live {
    fn note(&self, text: &str) {
        self.progress(text);
    }

    fn progress(&self, text: &str) {
        // The screen may be gone already.
        let first = text.lines().next().unwrap_or_default();
        let _ = self.0.send(first.to_owned());
    }
}

impl Reporter for Live {
    fn exercise(&self, _exercise: &ExerciseReport) {}

    fn advance(&self, done: usize, of: usize, current: Option<&str>) {
        self.progress(&words::checking(done, of, current));
    }

    fn finish(&self, _report: &Report, _outlook: &Outlook) -> io::Result<()> {
        Ok(())
    }
}

/// For what goes on while the screen shows something else.
struct Silent;

impl Notes for Silent {
    fn note(&self, _text: &str) {}

    fn progress(&self, _text: &str) {}
}
