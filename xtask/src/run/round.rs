//! One round: an app and its checks built, then judged. `check` has one, `watch` one after
//! the other.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::about::About;
use super::{Plan, Session, judge_all};
use crate::build::{self, Built};
use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::pool::Pool;
use crate::provider::RunFolder;
use crate::report::{FORMAT_VERSION, Report, Reporter, Totals};

/// A round that has begun: cargo compiles, and the checkout is looked at.
pub(crate) struct Building {
    began: Instant,
    built: JoinHandle<anyhow::Result<Built>>,
    about: JoinHandle<About>,
}

/// A round whose app and checks are there.
pub(crate) struct Ready {
    began: Instant,
    built: Built,
    about: About,
}

impl Building {
    /// Starts both in the background.
    pub(crate) fn start(
        checkout: &Checkout,
        lab: &Lab,
        plan: &Plan,
        folder: &RunFolder,
        reporter: &Arc<dyn Reporter>,
    ) -> Self {
        let about = tokio::task::spawn_blocking({
            let (checkout, lab, variant) = (checkout.clone(), lab.clone(), plan.variant.clone());
            move || About::of(&checkout, &lab, &variant)
        });
        let built = tokio::task::spawn_blocking({
            let (checkout, lab, variant) = (checkout.clone(), lab.clone(), plan.variant.clone());
            let (run, reporter) = (folder.path().to_owned(), Arc::clone(reporter));
            move || build::build(&checkout, &lab, &variant, &run, &*reporter)
        });
        Self {
            began: Instant::now(),
            built,
            about,
        }
    }

    /// Waits for both.
    pub(crate) async fn ready(self) -> anyhow::Result<Ready> {
        Ok(Ready {
            began: self.began,
            built: self.built.await.context("the build panicked")??,
            about: self
                .about
                .await
                .context("looking at the checkout panicked")?,
        })
    }
}

impl Ready {
    /// Runs the checks with servers of `pool`.
    pub(crate) async fn judge(
        self,
        lab: &Lab,
        plan: &Plan,
        folder: &RunFolder,
        pool: &Pool,
        reporter: &dyn Reporter,
    ) -> anyhow::Result<Report> {
        let exercises = judge_all(&Session {
            lab,
            plan,
            built: &self.built,
            pool,
            folder,
            reporter,
        })
        .await;
        // The next round brings its own; a missing file is nobody's loss.
        let prepare = self.built.prepare.as_ref();
        let own = [&self.built.app, &self.built.checks];
        for binary in own.into_iter().chain(prepare.map(|it| &it.program)) {
            let _ = fs::remove_file(binary);
        }
        let _ = fs::remove_dir_all(&self.built.exercise_files);
        let mut report = Report {
            format_version: FORMAT_VERSION,
            lab: lab.name.clone(),
            title: lab.manifest.title.clone(),
            lab_hash: self.about.lab_hash?,
            commit: self.about.commit,
            variant: plan.variant.name(),
            seed: plan.seed,
            repeat: plan.repeat,
            services: pool.used(),
            exercises: exercises?,
            totals: Totals::default(),
            changed_course_files: self.about.changed,
            exit_code: 0,
            duration_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        report.total();
        Ok(report)
    }
}
