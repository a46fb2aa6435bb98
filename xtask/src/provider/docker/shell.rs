//! A container that does nothing by itself: programs are run in it. It has a folder of this
//! machine at the same path, and this machine's network.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bollard::Docker;
use bollard::exec::StartExecOptions;
use bollard::models::ExecConfig;
use nix::unistd::{getegid, geteuid};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{GenericImage, ImageExt as _};
use tokio::time::sleep;

use super::{Container, HOST, Image, OWNER, connect};
use crate::keeper::containers::RUN_LABEL;
use crate::provider::run::{NOBODY, RunFolder, host};
use crate::services::Service;

/// A running container; removed when dropped.
#[derive(Debug)]
pub(crate) struct Shell {
    docker: Docker,
    container: Container,
    folder: String,
}

/// Starts one with that folder.
pub(crate) async fn shell(
    service: &Service,
    image: &Image,
    run: &RunFolder,
    folder: &Path,
) -> Result<Shell> {
    let path = folder
        .to_str()
        .context("the temporary folder's path is not UTF-8")?;
    // It writes to the folder, which is ours or the services'.
    let user = match geteuid().is_root() {
        true => format!("{NOBODY}:{NOBODY}"),
        false => format!("{}:{}", geteuid(), getegid()),
    };
    let bind = format!("{path}:{path}");
    run.note_docker_used()
        .context("cannot write to the run folder")?;
    let container = GenericImage::new(image.name.clone(), image.tag.clone())
        .with_entrypoint("sh")
        .with_cmd(["-c", "exec tail -f /dev/null"])
        .with_user(user)
        .with_label(RUN_LABEL, run.id())
        .with_label(OWNER, run.owner().to_string())
        .with_label(HOST, host())
        .with_host_config_modifier(move |host| {
            host.network_mode = Some("host".to_owned());
            host.binds = Some(vec![bind.clone()]);
        })
        .start()
        .await
        .with_context(|| format!("cannot start a container of {}", service.name))?;
    Ok(Shell {
        docker: connect().await?,
        container: Container(Box::new(container)),
        folder: path.to_owned(),
    })
}

impl Shell {
    /// Starts a program in the folder; gives back what Docker calls its run.
    pub(crate) async fn exec(&self, words: &[String]) -> Result<String> {
        let config = ExecConfig {
            cmd: Some(words.to_vec()),
            working_dir: Some(self.folder.clone()),
            ..ExecConfig::default()
        };
        let id = self.container.0.id();
        let created = self.docker.create_exec(id, config).await?;
        let detached = StartExecOptions {
            detach: true,
            ..StartExecOptions::default()
        };
        self.docker.start_exec(&created.id, Some(detached)).await?;
        Ok(created.id)
    }

    /// The exit code of a run that has ended.
    pub(crate) async fn ended(&self, run: &str) -> Result<Option<i64>> {
        let exec = self.docker.inspect_exec(run).await?;
        Ok(match exec.running {
            Some(true) => None,
            _ => exec.exit_code,
        })
    }

    /// Waits for the end of a run.
    pub(crate) async fn until_ended(&self, run: &str) -> Result<i64> {
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(code) = self.ended(run).await? {
                return Ok(code);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Removes the container, and with it all that runs there.
    pub(crate) async fn stop(self) -> Result<()> {
        self.container.stop().await
    }
}
