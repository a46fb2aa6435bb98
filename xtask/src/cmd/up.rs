//! `cargo xtask up LAB`: services and nothing else, until Ctrl-C or the end of stdin.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use labkit::check::Up;

use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::pool::{Pool, Refusal};
use crate::provider::{Choice, RunFolder};
use crate::report::terminal::Terminal;
use crate::report::{Reporter, json::Json};
use crate::variant::Variant;
use crate::{build, lab, run, services};

/// Starts the lab's services and builds the learner's app; ends with its stdin.
pub(crate) async fn up(
    checkout: &Checkout,
    name: &str,
    choice: Choice,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let lab = lab::find(&checkout.root, name.trim_end_matches('/'))?;
    let folder = RunFolder::from_env()?;
    let reporter: Arc<dyn Reporter> = if json {
        Arc::new(Json)
    } else {
        Arc::new(Terminal::new(false, false))
    };
    let pool = Pool::open(checkout, &lab, choice, &folder, &*reporter).await;
    let leased = |refusal| match refusal {
        Refusal::Unavailable(reason) => Fault::new(
            Whose::Machine,
            reason,
            "`cargo xtask doctor` says what each provider needs",
        ),
        Refusal::Config(words) => Fault::new(
            Whose::Lab,
            format!("the server refused the reference's configuration: {words}"),
            "`cargo xtask verify` proves a lab",
        ),
    };
    let lease = pool.lease(None).await.map_err(leased)?;
    if json {
        let built = tokio::task::spawn_blocking({
            let (checkout, lab) = (checkout.clone(), lab.clone());
            let (run, reporter) = (folder.path().to_owned(), Arc::clone(&reporter));
            move || build::build(&checkout, &lab, &Variant::Working, &run, &*reporter)
        })
        .await
        .context("the build panicked")??;
        let mut configured = BTreeMap::new();
        let mut kept = Vec::new();
        for exercise in &lab.manifest.exercises {
            let Some(config) = &exercise.config else {
                continue;
            };
            let text = built
                .files
                .contents
                .get(config)
                .context("a config is a file")?;
            let path = folder.path().join(format!("{}.conf", exercise.id));
            std::fs::write(&path, text).context("writing a configuration")?;
            // A configuration that is refused, or that cannot be had: its checks say so.
            if let Ok(lease) = pool.lease(Some(&path)).await {
                configured.insert(exercise.module(), lease.targets());
                kept.push(lease);
            }
        }
        let up = Up {
            app: built.app,
            app_uid: run::app_uid(),
            folder: folder.path().to_owned(),
            services: lease.targets(),
            configured,
        };
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer(&mut stdout, &up)?;
        writeln!(stdout).and_then(|()| stdout.flush())?;
        drop(stdout);
        until_stdin_ends().await;
        for lease in kept {
            pool.give_back(lease, &*reporter).await;
        }
    } else {
        for service in pool.used() {
            let target = lease.targets().remove(&service.name);
            let Some(target) = target else {
                bail!("{} was leased and is not there", service.name);
            };
            let known = services::find(&service.name).context("no such service")?;
            let _ = writeln!(
                std::io::stdout().lock(),
                "{} {} ({})  {}\nlook  {}\napp   {}",
                service.name,
                service.version.unwrap_or_default(),
                service.provider.unwrap_or_default(),
                target.address,
                (known.look)(&target),
                (known.variable)(&target),
            );
        }
        reporter.note(&format!(
            "what else the app takes from its environment: {}",
            lab.shown(Path::new("README.md"))
        ));
        reporter.note("up until Ctrl-C, or until stdin ends");
        until_stdin_ends().await;
    }
    pool.give_back(lease, &*reporter).await;
    pool.close(&*reporter).await;
    Ok(ExitCode::SUCCESS)
}

/// The keeper closes it when the user's own stdin ends.
async fn until_stdin_ends() {
    let ended = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(ended).await;
}
