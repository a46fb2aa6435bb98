//! docker: a container for each server, published on loopback only and labelled with the
//! run it belongs to, so that a killed run's containers are found again.

mod shell;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::PortBinding;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use labkit::wire::Address;
use testcontainers::core::IntoContainerPort;
use testcontainers::core::client::{ClientError, docker_client_instance};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::time::{sleep, timeout};

use super::resolve::Absent;
use super::run::{NOBODY, Owner, RunFolder, host};
use super::{NotFetched, Notes, StartError, administered, until_alive};
use crate::keeper::containers::RUN_LABEL;
use crate::services::{Launch, Leased, Listen, PASSWORD, Service, Target};

pub(crate) use shell::{Shell, shell};

const OWNER: &str = "org.backend-labs.owner";
const HOST: &str = "org.backend-labs.host";

/// How long a pull may say nothing new before it is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// How long Docker may take to say that it is there.
const GREETING: Duration = Duration::from_secs(5);

/// An image that Docker has.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    name: String,
    tag: String,
}

/// What the daemon says of itself.
pub(crate) struct Engine {
    /// The engine's version.
    pub(crate) version: String,
    /// The newest API that it speaks.
    pub(crate) api: String,
}

/// Asks the daemon who it is.
pub(crate) async fn engine() -> Result<Engine> {
    let docker = connect().await?;
    let version = timeout(GREETING, docker.version())
        .await
        .with_context(|| format!("Docker did not answer in {GREETING:?}"))??;
    Ok(Engine {
        version: version.version.unwrap_or_default(),
        api: version.api_version.unwrap_or_default(),
    })
}

pub(super) async fn connect() -> Result<Docker> {
    let docker = match docker_client_instance().await {
        Err(ClientError::Init(DockerError::SocketNotFoundError(path))) => {
            bail!(Absent(format!("no Docker here: there is no {path}")))
        }
        docker => docker?,
    };
    timeout(GREETING, docker.ping())
        .await
        .with_context(|| format!("Docker did not answer in {GREETING:?}"))?
        .context("Docker does not answer")?;
    Ok(docker)
}

/// The image's full name, with the mirror that `LABS_IMAGE_PREFIX` names.
pub(crate) fn reference(service: &Service) -> String {
    // Our tests use the images that `ci/images/build` makes, unless told otherwise.
    let default = if cfg!(test) { "backend-labs-ci/" } else { "" };
    let prefix = std::env::var("LABS_IMAGE_PREFIX").unwrap_or_else(|_| default.to_owned());
    format!("{prefix}{}", service.image)
}

/// Makes sure that Docker answers and has the image; pulls it if it may.
pub(crate) async fn obtain(service: &Service, fetch: bool, notes: &dyn Notes) -> Result<Image> {
    let docker = connect().await?;
    let reference = reference(service);
    let (name, tag) = reference
        .rsplit_once(':')
        .context("an image's name ends with its tag")?;
    match docker.inspect_image(&reference).await {
        Ok(_) => {}
        Err(DockerError::DockerResponseServerError {
            status_code: 404, ..
        }) if fetch => pull(&docker, &reference, notes).await?,
        Err(DockerError::DockerResponseServerError {
            status_code: 404, ..
        }) => bail!(NotFetched(format!(
            "the image {reference} is not here yet; a run would pull it"
        ))),
        Err(error) => bail!("Docker cannot say whether it has {reference}: {error}"),
    }
    Ok(Image {
        name: name.to_owned(),
        tag: tag.to_owned(),
    })
}

async fn pull(docker: &Docker, reference: &str, notes: &dyn Notes) -> Result<()> {
    notes.progress(&format!("pulling the image {reference}"));
    let options = CreateImageOptionsBuilder::new()
        .from_image(reference)
        .build();
    let mut steps = docker.create_image(Some(options), None, None);
    let mut layers: HashMap<String, (i64, i64)> = HashMap::new();
    loop {
        let step = timeout(SILENCE, steps.next()).await.with_context(|| {
            format!("the image {reference} is not here, and its pull stood still for {SILENCE:?}")
        })?;
        let Some(step) = step else { return Ok(()) };
        let step = step.map_err(|error| pull_failed(reference, &error.to_string()))?;
        if let Some(words) = step.error_detail.and_then(|detail| detail.message) {
            return Err(pull_failed(reference, &words));
        }
        let progress = step.progress_detail;
        if let (Some(layer), Some(detail)) = (step.id, progress)
            && let (Some(current), Some(total)) = (detail.current, detail.total)
            && step.status.as_deref() == Some("Downloading")
        {
            layers.insert(layer, (current, total));
            let (done, all) = layers
                .values()
                .fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
            let (done, all) = (megabytes(done), megabytes(all));
            notes.progress(&format!(
                "pulling the image {reference}: {done} of {all} MB"
            ));
        }
    }
}

fn pull_failed(reference: &str, words: &str) -> anyhow::Error {
    // The engine wraps its cause in a URL and a stack of callers; the cause stands last.
    let cause = words.rsplit(": ").next().unwrap_or(words);
    anyhow::anyhow!("the image {reference} is not here and cannot be pulled ({cause})")
}

fn megabytes(bytes: i64) -> i64 {
    bytes / 1_000_000
}

/// A running container; removed when dropped.
pub(crate) struct Container(Box<ContainerAsync<GenericImage>>);

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Container").field(&self.0.id()).finish()
    }
}

impl Container {
    /// Kills and removes it, with its volumes.
    pub(crate) async fn stop(self) -> Result<()> {
        self.0.rm().await.context("cannot remove the container")
    }

    /// How it ended; nothing while it runs.
    async fn end(&self) -> Option<String> {
        match self.0.is_running().await {
            Ok(true) => return None,
            Ok(false) => {}
            Err(error) => return Some(format!("Docker does not say how: {error}")),
        }
        Some(match self.0.exit_code().await {
            Ok(Some(code)) => format!("exit status: {code}"),
            Ok(None) => "the container is gone".to_owned(),
            Err(error) => format!("Docker does not say how: {error}"),
        })
    }

    async fn until_ended(&self) -> String {
        loop {
            if let Some(end) = self.end().await {
                return end;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn log(&self) -> String {
        let mut log = self.0.stdout_to_vec().await.unwrap_or_default();
        log.extend(self.0.stderr_to_vec().await.unwrap_or_default());
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// Starts a container and waits until the server in it answers.
pub(crate) async fn start(
    service: &Service,
    leased: &Leased,
    image: &Image,
    run: &RunFolder,
    config: Option<&Path>,
) -> Result<(Target, Container), StartError> {
    // Where it is to be reached is known once it runs.
    let nowhere = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let mut target = administered(leased, nowhere);
    let own_config = config.and(leased.config.as_ref());
    let refused = |log: &str, reason: &str| StartError::of_log(service, own_config, log, reason);
    let container = create(service, leased, image, run, config, &target).await?;
    let port = match container.0.get_host_port_ipv4(leased.port.tcp()).await {
        Ok(port) => port,
        // A server that refused its configuration may be gone already, and its port with it.
        Err(error) => {
            let log = container.log().await;
            container.stop().await.ok();
            let reason = format!("has no port on this machine ({error})");
            return Err(refused(&log, &reason));
        }
    };
    target.address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let alive = until_alive(leased, &target, container.until_ended()).await;
    // Docker gives the port of a container that has ended to the next one: only while ours runs
    // was it our server that answered.
    let reason = match alive {
        Ok(()) => match container.end().await {
            None => return Ok((target, container)),
            Some(how) => format!("ended before it answered ({how})"),
        },
        Err(reason) => reason,
    };
    let log = container.log().await;
    container.stop().await.ok();
    Err(refused(&log, &reason))
}

async fn create(
    service: &Service,
    leased: &Leased,
    image: &Image,
    run: &RunFolder,
    config: Option<&Path>,
    target: &Target,
) -> Result<Container> {
    // Below /tmp, which every image has and every user may read.
    let inside = format!("/tmp/{}.conf", service.name);
    // The program is named: images with an entrypoint of their own and images with none
    // then do the same.
    let command = (leased.command)(&Launch {
        program: service.program,
        listen: Listen::Everywhere(leased.port),
        folder: "/tmp",
        config: config.map(|_| inside.as_str()),
    });
    let port = leased.port.tcp();
    let mut request = GenericImage::new(image.name.clone(), image.tag.clone())
        .with_exposed_port(port)
        .with_cmd(command)
        .with_user(format!("{NOBODY}:{NOBODY}"))
        .with_label(RUN_LABEL, run.id())
        .with_label(OWNER, run.owner().to_string())
        .with_label(HOST, host())
        .with_host_config_modifier(move |host| {
            // Nobody but this machine may reach a server without a password.
            let loopback = PortBinding {
                host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
                host_port: None,
            };
            host.publish_all_ports = Some(false);
            host.port_bindings = Some(HashMap::from([(port.to_string(), Some(vec![loopback]))]));
        });
    if let Some(password) = &target.password {
        request = request.with_env_var(PASSWORD, password);
    }
    if let Some(path) = config {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        request = request.with_copy_to(inside.as_str(), text);
    }
    run.note_docker_used()
        .context("cannot write to the run folder")?;
    let container = request.start().await.context("cannot start a container")?;
    Ok(Container(Box::new(container)))
}

/// The containers of runs on this machine whose keeper is dead.
pub(crate) async fn dead_containers() -> Result<Vec<String>> {
    let docker = connect().await?;
    let this_host = host();
    list(&docker, OWNER, |labels| {
        let owner: Option<Owner> = labels.get(OWNER).and_then(|owner| owner.parse().ok());
        labels.get(HOST).map(String::as_str).unwrap_or_default() == this_host
            && owner.is_some_and(|owner| !owner.is_alive())
    })
    .await
}

/// Removes containers by id.
pub(crate) async fn remove_by_id(ids: &[String]) -> Result<()> {
    // Where Docker is off there is nothing to remove, and no reason to ask it.
    if ids.is_empty() {
        return Ok(());
    }
    remove(&connect().await?, ids).await
}

/// The containers with a label, running or not.
pub(super) async fn list(
    docker: &Docker,
    label: &str,
    wanted: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let containers = docker.list_containers(Some(options)).await?;
    Ok(containers
        .into_iter()
        .filter(|container| wanted(container.labels.as_ref().unwrap_or(&HashMap::new())))
        .filter_map(|container| container.id)
        .collect())
}

async fn remove(docker: &Docker, ids: &[String]) -> Result<()> {
    for id in ids {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        match docker.remove_container(id, Some(options)).await {
            // 409: its removal is already under way.
            Ok(())
            | Err(DockerError::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => {}
            Err(error) => return Err(error).context("cannot remove a container"),
        }
    }
    Ok(())
}
