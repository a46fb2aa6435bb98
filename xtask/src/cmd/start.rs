//! `cargo xtask start [LAB]`: the first win. A guess, a measurement, one call, the
//! measurement again, and both timelines side by side.

mod page;

use std::fs::{self, File};
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, bail};

use super::check::{any_seed, default_jobs};
use super::watch::files::Files;
use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::lab::{self, Exercise, Lab, Predict, Start};
use crate::pool::Pool;
use crate::predict;
use crate::provider::{Choice, Notes, RunFolder};
use crate::report::style::Look;
use crate::report::terminal::{Terminal, trouble};
use crate::report::{
    CheckReport, ExerciseReport, Outlook, Report, Reporter, Status, say_notes, words,
};
use crate::run::{Building, Plan};
use crate::variant::{Variant, starter_of};
use crate::{attempt, progress};

/// Leads through the first win of a lab.
pub(crate) async fn start(
    checkout: &Checkout,
    name: Option<&str>,
    services: Choice,
) -> anyhow::Result<ExitCode> {
    let lab = match name {
        Some(name) => lab::find(&checkout.root, name.trim_end_matches('/'))?,
        None => {
            let mut labs = lab::all(&checkout.root)?.into_iter();
            let first = labs.find(|lab| lab.manifest.start.is_some());
            first.ok_or_else(|| {
                Fault::new(Whose::Usage, "no lab here has a beginning", "cargo xtask")
            })?
        }
    };
    let Some(start) = &lab.manifest.start else {
        bail!(without(&lab, &lab::all(&checkout.root)?));
    };
    let (exercise, file) = lab.begun_by(start)?;
    let predict = exercise.predict.as_ref().context("it has one")?;
    let target = format!("{}/{}", lab.name, exercise.id);
    // Our stdin is nobody's, so that no check can read what is typed.
    let keyboard = File::open("/dev/tty");
    let stdout = io::stdout();
    if keyboard.is_err() || !stdout.is_terminal() || !Look::of(&stdout).live {
        bail!(Fault::new(
            Whose::Usage,
            "`start` asks and shows, and this is no terminal",
            format!("cargo xtask check {target}")
        ));
    }
    let tour = Tour {
        checkout,
        lab: &lab,
        start,
        exercise,
        predict,
        file: lab.folder.join(file),
        shown: lab.shown(file),
        look: Look::of(&stdout),
        hushed: Arc::default(),
    };
    let laid_out = tour.lay_out(&starter_of(&lab, file)?)?;
    tour.lead(services, laid_out).await
}

fn without(lab: &Lab, all: &[Lab]) -> Fault {
    let with = all.iter().filter(|lab| lab.manifest.start.is_some());
    let with: Vec<String> = with
        .map(|lab| format!("`cargo xtask start {}`", lab.name))
        .collect();
    Fault::new(
        Whose::Usage,
        format!(
            "the lab `{}` has no beginning of its own; these have: {}",
            lab.name,
            with.join(", ")
        ),
        format!("cargo xtask next {}", lab.name),
    )
}

struct Tour<'a> {
    checkout: &'a Checkout,
    lab: &'a Lab,
    start: &'a Start,
    exercise: &'a Exercise,
    predict: &'a Predict,
    /// The one that is edited.
    file: PathBuf,
    /// The same, as a reader in the checkout sees it.
    shown: String,
    look: Look,
    hushed: Arc<Hushed>,
}

impl Tour<'_> {
    /// Puts the unfinished file where the untouched starter is. False if it was there already.
    fn lay_out(&self, starter: &str) -> anyhow::Result<bool> {
        let unfinished = self.lab.started(self.start, false)?;
        let same = |one: &str, other: &str| one.lines().eq(other.lines());
        let found = fs::read_to_string(&self.file)
            .with_context(|| format!("reading {}", self.file.display()))?;
        if same(&found, &unfinished) {
            return Ok(false);
        }
        if !same(&found, starter) {
            let target = format!("{}/{}", self.lab.name, self.exercise.id);
            let known = progress::read(self.checkout, &say_notes());
            let known = known.labs.get(&self.lab.name);
            if known.and_then(|known| known.exercise(&self.exercise.id)) == Some(Status::Passed) {
                bail!(Fault::new(
                    Whose::Usage,
                    format!("{target} has passed already: you are past the beginning"),
                    format!(
                        "`cargo xtask next {}` goes on, `cargo xtask reset {target}` puts it back",
                        self.lab.name
                    )
                ));
            }
            bail!(Fault::new(
                Whose::Usage,
                format!(
                    "{} is past its beginning: it was changed already",
                    self.shown
                ),
                format!(
                    "`cargo xtask watch {target}` goes on with it, `cargo xtask reset {target}` \
                     puts it back"
                )
            ));
        }
        fs::write(&self.file, unfinished)
            .with_context(|| format!("writing {}", self.file.display()))?;
        Ok(true)
    }

    async fn lead(&self, services: Choice, laid_out: bool) -> anyhow::Result<ExitCode> {
        let plan = Plan {
            variant: Variant::Working,
            exercises: vec![self.exercise.id.clone()],
            services,
            repeat: 1,
            seed: any_seed(),
            jobs: default_jobs(),
            long_values: false,
        };
        let folder = RunFolder::from_env()?;
        let mut files = Files::of(self.lab);
        let look = &self.look;
        let opening = page::opening(self, look);
        io::stdout().write_all(opening.as_bytes())?;
        // Cargo compiles while the learner thinks.
        let reporter: Arc<dyn Reporter> = Arc::clone(&self.hushed) as _;
        let building = Building::start(self.checkout, self.lab, &plan, &folder, &reporter);
        let pool = Pool::open(self.checkout, self.lab, services, &folder, &*reporter);
        let (guess, pool) = tokio::join!(self.guess(), pool);
        let guess = guess?;
        predict::keep(
            self.checkout,
            self.lab,
            self.exercise,
            guess,
            true,
            &*self.hushed,
        );
        self.hushed.terminal();
        self.hushed
            .progress("building; the first time it takes two to three minutes");
        let first = self.round(building, &plan, &folder, &pool).await?;
        let ended = match self.measurement(&first) {
            Some(before) => {
                self.say(&page::before(before, guess, laid_out, self, look)?);
                self.until_done(&mut files, &plan, &folder, &pool, before)
                    .await
            }
            None => Ok(self.no_measurement(&first)),
        };
        pool.close(&*reporter).await;
        ended
    }

    /// Comes back once the number is what the exercise wants.
    async fn until_done(
        &self,
        files: &mut Files,
        plan: &Plan,
        folder: &RunFolder,
        pool: &Pool,
        before: &CheckReport,
    ) -> anyhow::Result<ExitCode> {
        let reporter: Arc<dyn Reporter> = Arc::clone(&self.hushed) as _;
        let look = &self.look;
        loop {
            self.hushed
                .progress(&format!("waiting for you to save {}", self.shown));
            files.changed().await;
            let building = Building::start(self.checkout, self.lab, plan, folder, &reporter);
            pool.refresh().await;
            let exercise = self.round(building, plan, folder, pool).await?;
            match self.measurement(&exercise) {
                Some(after) if exercise.status == Status::Passed => {
                    self.hushed.terminal().clear();
                    self.say(&page::after(before, after, &exercise, self, look));
                    return Ok(ExitCode::SUCCESS);
                }
                Some(after) if after.status == Status::Passed => {
                    self.say(&page::almost(before, after, &exercise, look));
                }
                Some(other) => self.say(&page::not_yet(other, before, &exercise, look)),
                None => self.say(&trouble(&exercise, false, false, look)),
            }
        }
    }

    /// Judges what stands in the file.
    async fn round(
        &self,
        building: Building,
        plan: &Plan,
        folder: &RunFolder,
        pool: &Pool,
    ) -> anyhow::Result<ExerciseReport> {
        let ready = building.ready().await?;
        let judged = ready.judge(self.lab, plan, folder, pool, &*self.hushed);
        let report = judged.await?;
        let notes = &*self.hushed;
        progress::change(self.checkout, notes, |progress| progress.take_in(&report));
        attempt::keep(self.checkout, &report, notes);
        let mut exercises = report.exercises.into_iter();
        exercises.next().context("the exercise was judged")
    }

    /// The check that measured the number, if it came so far.
    fn measurement<'r>(&self, exercise: &'r ExerciseReport) -> Option<&'r CheckReport> {
        let mut checks = exercise.checks.iter();
        checks.find(|check| check.name == self.predict.check && check.measured.is_some())
    }

    fn no_measurement(&self, exercise: &ExerciseReport) -> ExitCode {
        self.hushed.terminal().clear();
        self.say(&trouble(exercise, false, false, &self.look));
        self.say("next  cargo xtask doctor\n");
        ExitCode::from(exercise.status.exit_code())
    }

    async fn guess(&self) -> anyhow::Result<Option<u64>> {
        let question = self.start.question.as_ref();
        let question = question.unwrap_or(&self.predict.question).clone();
        let asking = tokio::task::spawn_blocking(move || {
            let mut typed = BufReader::new(File::open("/dev/tty")?);
            predict::ask(&question, &mut typed)
        });
        Ok(asking.await.context("asking panicked")??)
    }

    fn say(&self, text: &str) {
        self.hushed.terminal().print(text);
    }
}

/// Keeps quiet until the learner was asked: nothing may move behind a question.
#[derive(Default)]
struct Hushed(OnceLock<Terminal>);

impl Hushed {
    fn terminal(&self) -> &Terminal {
        self.0.get_or_init(|| Terminal::new(false, false))
    }
}

impl Notes for Hushed {
    fn note(&self, text: &str) {
        if let Some(terminal) = self.0.get() {
            terminal.note(text);
        }
    }

    fn progress(&self, text: &str) {
        if let Some(terminal) = self.0.get() {
            terminal.progress(text);
        }
    }
}

impl Reporter for Hushed {
    fn exercise(&self, _exercise: &ExerciseReport) {}

    fn advance(&self, done: usize, of: usize, current: Option<&str>) {
        self.progress(&words::checking(done, of, current));
    }

    fn finish(&self, _report: &Report, _outlook: &Outlook) -> std::io::Result<()> {
        Ok(())
    }
}
