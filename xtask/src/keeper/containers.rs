//! Removing a run's containers by their label.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

/// The label that names a container's run.
pub(crate) const RUN_LABEL: &str = "org.backend-labs.run";

/// A Docker that does not answer, or does not end a removal, must not hold up the end of
/// a run.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often a container is looked at while Docker removes it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Removes every container of a run, running or not, with its anonymous volumes.
pub(crate) async fn remove_containers(run_id: &str) -> Result<()> {
    timeout(PATIENCE, remove(run_id))
        .await
        .context("Docker does not get it done in time")?
}

async fn remove(run_id: &str) -> Result<()> {
    // The client that created them, with its idea of where Docker is.
    let docker = testcontainers::core::client::docker_client_instance().await?;
    let label = format!("{RUN_LABEL}={run_id}");
    let ours = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&HashMap::from([("label", vec![label.as_str()])]))
        .build();
    let found = docker.list_containers(Some(ours)).await?;
    let ids: Vec<_> = found.into_iter().filter_map(|found| found.id).collect();
    let with_force = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let (docker, with_force) = (&docker, &with_force);
    let removals = ids.iter().map(|id| async move {
        match docker.remove_container(id, Some(with_force.clone())).await {
            Ok(()) => None,
            // It went by itself.
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => None,
            // Somebody else is removing it: "nothing is left" is true once it is gone.
            Err(DockerError::DockerResponseServerError {
                status_code: 409, ..
            }) => until_gone(docker, id).await,
            Err(error) => Some(format!("container {id}: {error}")),
        }
    });
    let faults: Vec<_> = join_all(removals).await.into_iter().flatten().collect();
    ensure!(faults.is_empty(), faults.join("; "));
    Ok(())
}

/// Waits for the end of a removal that is under way; [`PATIENCE`] bounds it.
async fn until_gone(docker: &Docker, id: &str) -> Option<String> {
    loop {
        match docker.inspect_container(id, None).await {
            Ok(_) => sleep(LOOK_AGAIN).await,
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => return None,
            Err(error) => return Some(format!("container {id}: {error}")),
        }
    }
}
