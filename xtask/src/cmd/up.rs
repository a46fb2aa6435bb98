//! `cargo xtask up LAB`: services and nothing else, until Ctrl-C or the end of stdin.

mod lend;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use labkit::check::Up;

use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::pool::{self, Lease, Pool, Refusal};
use crate::provider::{Choice, RunFolder};
use crate::report::terminal::Terminal;
use crate::report::{Reporter, json::Json};
use crate::variant::Variant;
use crate::{build, lab, run, services};

use lend::Desk;

/// Starts the lab's services, and with `json` builds the learner's app; ends with its stdin.
pub(crate) async fn up(
    checkout: &Checkout,
    name: &str,
    choice: Choice,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let lab = lab::find(&checkout.root, name.trim_end_matches('/'))?;
    let folder = RunFolder::from_env()?;
    match json {
        true => for_checks(checkout, &lab, choice, &folder).await?,
        false => for_a_person(checkout, &lab, choice, &folder).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn for_checks(
    checkout: &Checkout,
    lab: &Lab,
    choice: Choice,
    folder: &RunFolder,
) -> anyhow::Result<()> {
    let reporter: Arc<dyn Reporter> = Arc::new(Json);
    let building = tokio::task::spawn_blocking({
        let (checkout, lab) = (checkout.clone(), lab.clone());
        let (run, reporter) = (folder.path().to_owned(), Arc::clone(&reporter));
        move || build::build(&checkout, &lab, &Variant::Working, &run, &*reporter)
    });
    let (pool, built) = tokio::join!(
        Pool::open(checkout, lab, choice, folder, &*reporter),
        building
    );
    let built = built.context("the build panicked")??;
    // Said now, and not to each check.
    let mut lent = pool.used().into_iter().filter(|it| pool::is_lent(&it.name));
    if let Some(reason) = lent.find_map(|service| service.reason) {
        bail!(Refusal::Unavailable(reason).into_fault());
    }
    let desk = Desk::open(lab, &built, folder)?;
    let up = Up {
        app: built.app.clone(),
        app_uid: run::app_uid(),
        folder: folder.path().to_owned(),
        exercise_files: built.exercise_files.clone(),
        leases: desk.path().to_owned(),
    };
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, &up)?;
    writeln!(stdout).and_then(|()| stdout.flush())?;
    drop(stdout);
    desk.lend(&pool, &*reporter, until_stdin_ends()).await;
    pool.close(&*reporter).await;
    Ok(())
}

async fn for_a_person(
    checkout: &Checkout,
    lab: &Lab,
    choice: Choice,
    folder: &RunFolder,
) -> anyhow::Result<()> {
    let reporter: Arc<dyn Reporter> = Arc::new(Terminal::new(false, false));
    let preparing = tokio::task::spawn_blocking({
        let (checkout, lab) = (checkout.clone(), lab.clone());
        let (run, reporter) = (folder.path().to_owned(), Arc::clone(&reporter));
        move || build::prepare(&checkout, &lab, &run, &*reporter)
    });
    let (pool, prepare) = tokio::join!(
        Pool::open(checkout, lab, choice, folder, &*reporter),
        preparing
    );
    let prepare = prepare.context("the build panicked")??;
    let lease = pool
        .lease(None, prepare.as_ref(), &*reporter)
        .await
        .map_err(Refusal::into_fault)?;
    let _ = write!(std::io::stdout().lock(), "{}", servers(&pool, &lease)?);
    reporter.note(&format!(
        "what else the app takes from its environment: {}",
        lab.shown(Path::new("README.md"))
    ));
    reporter.note("up until Ctrl-C, or until stdin ends");
    until_stdin_ends().await;
    pool.give_back(lease, &*reporter).await;
    pool.close(&*reporter).await;
    Ok(())
}

/// What is up, how to look into it, and what tells an app where it is.
pub(super) fn servers(pool: &Pool, lease: &Lease) -> anyhow::Result<String> {
    let mut text = String::new();
    for service in pool.used() {
        let known = services::find(&service.name).context("no such service")?;
        let (version, provider) = (service.version, service.provider);
        let (version, provider) = (version.unwrap_or_default(), provider.unwrap_or_default());
        let name = service.name;
        text += &format!("{name} {version} ({provider})");
        let Some(leased) = known.leased() else {
            text += "  the checks start it, on your files\n";
            continue;
        };
        let Some(target) = lease.targets().remove(&name) else {
            bail!("{name} was leased and is not there");
        };
        text += &format!(
            "  {}\nlook  {}\napp   {}\n",
            target.address,
            (leased.look)(&target),
            (leased.variable)(&target),
        );
    }
    Ok(text)
}

/// The keeper closes it when the user's own stdin ends.
async fn until_stdin_ends() {
    let ended = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(ended).await;
}
