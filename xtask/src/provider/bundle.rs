//! bundle: no Docker and no binary, but Debian or Ubuntu: the system's own apt downloads
//! the packages into the user's cache, where they are unpacked. Nothing is installed and
//! no root is needed.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;
use tokio::process::Command;
use tokio::time::sleep;

use super::native::{Program, find_below, find_binary};
use super::{NotFetched, Notes};
use crate::services::Service;

/// Where a download is at work, before it gets the name under which it is used.
const UNFINISHED: &str = "unfinished-";

/// The folder of unpacked packages for one service on this release of the system.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    folder: PathBuf,
}

impl Bundle {
    /// Where this service's packages are or will be; an error where that cannot be.
    pub(crate) fn of(service: &Service) -> Result<Self> {
        Self::below(&cache()?, service)
    }

    /// As [`Bundle::of`], in another cache.
    pub(crate) fn below(cache: &Path, service: &Service) -> Result<Self> {
        let release = release()?;
        for tool in ["apt-get", "dpkg"] {
            ensure!(
                find_binary(tool).is_some(),
                "there is no {tool} on this system"
            );
        }
        let name = format!("{}-{release}-{}", service.name, std::env::consts::ARCH);
        Ok(Self {
            folder: cache.join("bundles").join(name),
        })
    }

    /// Where the packages are or will be.
    #[cfg(test)]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it was unpacked before.
    pub(crate) fn is_here(&self) -> bool {
        self.folder.is_dir()
    }

    /// The server in it; downloads it if it is not there and that is allowed.
    pub(crate) async fn obtain(
        &self,
        service: &Service,
        fetch: bool,
        notes: &dyn Notes,
    ) -> Result<Program> {
        let packages = service.package_names();
        ensure!(
            std::env::var_os("LABS_BUNDLE").is_none_or(|value| value != "never"),
            "LABS_BUNDLE=never forbids Debian's {packages}"
        );
        if !self.is_here() {
            let absent = format!("not downloaded yet; a run would unpack Debian's {packages}");
            ensure!(fetch, NotFetched(absent));
            self.download(service, notes)
                .await
                .with_context(|| format!("cannot download {packages}"))?;
        }
        Ok(Program {
            path: find_in(&self.folder, service)
                .with_context(|| format!("no {} in {}", service.program, self.folder.display()))?,
            libraries: libraries(&self.folder),
        })
    }

    /// Removes what was unpacked: it rests on libraries that the system may have removed.
    pub(crate) fn discard(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    async fn download(&self, service: &Service, notes: &dyn Notes) -> Result<()> {
        let bundles = self.folder.parent().context("a bundle lies in a folder")?;
        make_public(bundles)?;
        let lock = File::create(bundles.join("lock"))?;
        wait_for(&lock, service, notes).await?;
        // The one that held the lock may have done our work.
        if self.is_here() {
            return Ok(());
        }
        remove_unfinished(bundles)?;
        let work = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(bundles)?;
        let packages = fetch(service, work.path(), &self.folder, notes).await?;
        let root = work.path().join("root");
        fs::create_dir(&root)?;
        fs::set_permissions(&root, Permissions::from_mode(0o755))?;
        for package in packages {
            notes.progress(&format!("{}: unpacking", service.name));
            let mut dpkg = Command::new("dpkg");
            dpkg.arg("-x").arg(&package).arg(&root);
            run(dpkg).await?.success()?;
        }
        find_in(&root, service)
            .with_context(|| format!("the packages hold no {}", service.program))?;
        fs::rename(&root, &self.folder)?;
        Ok(())
    }
}

/// Says what is to come, downloads it with a private state of apt's, and lists the files.
async fn fetch(
    service: &Service,
    work: &Path,
    destination: &Path,
    notes: &dyn Notes,
) -> Result<Vec<PathBuf>> {
    let name = service.name;
    let packages = service.package_names();
    let destination = destination.display();
    notes.note(&format!(
        "{name}: Debian's packages {packages} are unpacked to {destination}; nothing is \
         installed. First their lists are downloaded (about 15 MB, not kept); \
         LABS_BUNDLE=never refuses all this"
    ));
    notes.progress(&format!("{name}: downloading package lists"));
    let apt = Apt::in_folder(work)?;
    let update = run(apt.command(&["update"])).await?;
    let mut install = vec!["-y", "--no-install-recommends", "--reinstall", "install"];
    install.extend(service.packages);
    let planned = run(apt.command(&[&["--print-uris"][..], &install].concat())).await?;
    let size = planned.text.lines().find_map(|line| {
        line.strip_prefix("Need to get ")?
            .split(" of archives")
            .next()
    });
    let Some(size) = size.filter(|_| planned.ok) else {
        // Without lists apt knows no package, or thinks that there is nothing to do; the
        // reason is then what it said when it fetched them.
        let words = update.complaint().or_else(|| planned.complaint());
        bail!(words.unwrap_or_else(|| "apt-get has nothing to download".to_owned()));
    };
    notes.note(&format!(
        "{name}: downloading {packages} and what they need: {size}"
    ));
    notes.progress(&format!("{name}: downloading {size}"));
    run(apt.command(&[&["--download-only"][..], &install].concat()))
        .await?
        .success()?;
    let mut files: Vec<_> = fs::read_dir(&apt.archives)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "apt-get downloaded nothing");
    Ok(files)
}

/// The system's apt with its sources and keys, but with lists and archives of our own.
struct Apt {
    lists: PathBuf,
    cache: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn in_folder(work: &Path) -> Result<Self> {
        // As root apt fetches as a user of its own, who must reach these folders.
        fs::set_permissions(work, Permissions::from_mode(0o755))?;
        let lists = work.join("lists");
        let cache = work.join("cache");
        let archives = cache.join("archives");
        for folder in [&lists, &archives] {
            fs::create_dir_all(folder.join("partial"))?;
        }
        Ok(Self {
            lists,
            cache,
            archives,
        })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        let (lists, cache) = (self.lists.display(), self.cache.display());
        for option in [
            format!("Dir::State::Lists={lists}"),
            format!("Dir::Cache={cache}"),
            // The system's locks are neither ours to take nor needed here.
            "Debug::NoLocking=1".to_owned(),
            "Acquire::Languages=none".to_owned(),
            // Offline, the next provider's turn or the error must not take a minute.
            "Acquire::Retries=1".to_owned(),
            "Acquire::http::Timeout=20".to_owned(),
            "Acquire::https::Timeout=20".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.args(words);
        command
    }
}

/// What a program said, and how it ended.
struct Ended {
    name: String,
    ok: bool,
    text: String,
}

impl Ended {
    fn success(&self) -> Result<()> {
        if self.ok {
            return Ok(());
        }
        let words = self.complaint();
        bail!(words.unwrap_or_else(|| format!("{} failed", self.name)))
    }

    /// The first line that says what is wrong.
    fn complaint(&self) -> Option<String> {
        ["E: ", "W: Failed", "dpkg"].into_iter().find_map(|mark| {
            let line = self.text.lines().find(|line| line.starts_with(mark))?;
            let words = line.trim_start_matches("E: ").trim_start_matches("W: ");
            Some(format!("{}: {words}", self.name))
        })
    }
}

async fn run(mut command: Command) -> Result<Ended> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = command
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {name}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Ended {
        name,
        ok: output.status.success(),
        text,
    })
}

/// Only one download at a time; the lock goes with its file's descriptor, however we end.
async fn wait_for(lock: &File, service: &Service, notes: &dyn Notes) -> Result<()> {
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {
                notes.progress(&format!("{}: another run is downloading", service.name));
                sleep(Duration::from_millis(100)).await;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the cache"),
        }
    }
}

/// We hold the lock, so whatever is unfinished was left by one that was killed.
fn remove_unfinished(bundles: &Path) -> Result<()> {
    for entry in fs::read_dir(bundles)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The user's cache; root's is the system's, since servers run as somebody else.
fn cache() -> Result<PathBuf> {
    if geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/backend-labs"));
    }
    let folder = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    Ok(cache
        .context("neither XDG_CACHE_HOME nor HOME says where to download to")?
        .join("backend-labs"))
}

fn make_public(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    if geteuid().is_root() {
        // Whatever root's umask is, the servers' user must get in.
        for folder in folder.ancestors().take(2) {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// The release's name, on the systems whose packages we know how to unpack.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let family = format!(
        "{} {}",
        field("ID").unwrap_or_default(),
        field("ID_LIKE").unwrap_or_default()
    );
    ensure!(
        family
            .split(' ')
            .any(|name| ["debian", "ubuntu"].contains(&name)),
        "packages can be unpacked on Debian and Ubuntu only"
    );
    let release = field("VERSION_CODENAME").or_else(|| field("VERSION_ID"));
    // Debian's testing states neither; its packages move, but not under a server's feet.
    Ok(release.unwrap_or_else(|| "testing".to_owned()))
}

fn find_in(root: &Path, service: &Service) -> Option<PathBuf> {
    ["usr/bin", "usr/sbin", "bin", "sbin"]
        .into_iter()
        .map(|folder| root.join(folder).join(service.program))
        .find(|path| path.is_file())
        .or_else(|| find_below(root, service))
}

/// The folders of libraries: those that Debian names by architecture, too.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in ["usr/lib", "lib"].map(|name| root.join(name)) {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().contains("-linux-gnu") {
                folders.push(entry.path());
            }
        }
        if folder.is_dir() {
            folders.push(folder);
        }
    }
    folders
}
