//! A variant becomes a built app: pristine lab, exercise files laid over it, cargo.
//!
//! It is built in a slot, a scratch workspace below the target folder that is reused, so
//! that a variant costs one incremental compile. The finished binary is kept under the
//! hash of all that it was made from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::cargo::{self, Diagnostic};
use crate::checkout::{Checkout, lock};
use crate::fault::{Fault, Whose};
use crate::lab::Lab;
use crate::provider::Notes;
use crate::variant::Files;

/// What of a lab's folder is no part of its app.
const NOT_THE_APP: [&str; 7] = [
    "solution",
    "alternatives",
    "mutants",
    "checks",
    "bench",
    "start",
    "target",
];

/// How many built variants are kept: more than one lab has, or its second proof would find none
/// of them.
const KEPT_VARIANTS: usize = 300;

/// What came of a variant.
pub(crate) enum Staged {
    /// The app.
    Built(PathBuf),
    /// It does not compile.
    Broken(Vec<Diagnostic>),
    /// It compiles, but takes in files that are not its own.
    Reaches(BTreeSet<PathBuf>),
}

/// How an app is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For checks: quickly.
    Dev,
    /// For a benchmark: as production runs it.
    Release,
}

/// Builds the lab's app with `files` laid over it.
pub(crate) fn build(
    checkout: &Checkout,
    lab: &Lab,
    files: &Files,
    profile: Profile,
    notes: &dyn Notes,
) -> anyhow::Result<Staged> {
    let pristine = pristine(lab)?;
    let mut content: BTreeMap<PathBuf, Vec<u8>> = pristine;
    for (path, text) in &files.contents {
        content.insert(path.clone(), text.clone().into_bytes());
    }
    let scratch = checkout.scratch()?;
    let manifest = workspace_manifest(checkout, lab)?;
    let kept = scratch.join("variants");
    fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    let mut name = hash(checkout, &content, &manifest)?;
    if profile == Profile::Release {
        name.push_str("-release");
    }
    let binary = kept.join(name);
    if binary.is_file() {
        return Ok(Staged::Built(binary));
    }
    let slot = scratch.join("slots").join(&lab.name);
    fs::create_dir_all(&slot).with_context(|| format!("making {}", slot.display()))?;
    let _turn = lock(&slot.join("lock"), || {
        notes.progress("waiting for another build of this lab");
    })?;
    if binary.is_file() {
        return Ok(Staged::Built(binary));
    }
    let name = format!("{}--staged", lab.name);
    lay_out(checkout, lab, &slot, &name, &content, &manifest)?;
    let mut arguments = vec![
        "--offline".to_owned(),
        "--manifest-path".to_owned(),
        slot.join("Cargo.toml").display().to_string(),
        format!("--package={name}"),
        format!("--bin={name}"),
    ];
    arguments.push(match profile {
        // Only unites features, so that no library is built anew.
        Profile::Dev => "--package=features".to_owned(),
        Profile::Release => "--release".to_owned(),
    });
    let output = cargo::build(checkout, &arguments, notes)?;
    if !output.errors.is_empty() {
        return Ok(Staged::Broken(output.errors));
    }
    let built = output.executable(&name)?;
    let strangers = strangers(built, &slot)?;
    if !strangers.is_empty() {
        return Ok(Staged::Reaches(strangers));
    }
    // Renamed into place: another run sees a whole binary or none.
    let fresh = kept.join(format!("{}.new", std::process::id()));
    fs::copy(built, &fresh).with_context(|| format!("copying {}", built.display()))?;
    fs::rename(&fresh, &binary).with_context(|| format!("keeping {}", binary.display()))?;
    forget_oldest(&kept)?;
    Ok(Staged::Built(binary))
}

/// All that a variant is made of, and the checks' side of nothing: a name for its binary.
fn hash(
    checkout: &Checkout,
    content: &BTreeMap<PathBuf, Vec<u8>>,
    manifest: &str,
) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        // The length keeps two neighbours from passing for another two.
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    for (path, bytes) in content {
        add(path.as_os_str().as_encoded_bytes());
        add(bytes);
    }
    add(manifest.as_bytes());
    let lockfile = checkout.root.join("Cargo.lock");
    add(&fs::read(&lockfile).with_context(|| format!("reading {}", lockfile.display()))?);
    add(std::env::var("RUSTFLAGS").unwrap_or_default().as_bytes());
    add(env!("CARGO_PKG_RUST_VERSION").as_bytes());
    Ok(hex(&hash.finalize()))
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The lab's folder without answers and checks.
pub(crate) fn pristine(lab: &Lab) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut content = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let whole = lab.folder.join(&folder);
        let entries =
            fs::read_dir(&whole).with_context(|| format!("reading {}", whole.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if NOT_THE_APP.iter().any(|name| Path::new(name) == path) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(entry.path())
                    .with_context(|| format!("reading {}", entry.path().display()))?;
                content.insert(path, bytes);
            }
        }
    }
    Ok(content)
}

/// Writes the scratch workspace. Every file is written anew: cargo goes by the time of
/// writing, and a copied time would let it run the binary of the variant before.
fn lay_out(
    checkout: &Checkout,
    lab: &Lab,
    slot: &Path,
    name: &str,
    content: &BTreeMap<PathBuf, Vec<u8>>,
    manifest: &str,
) -> anyhow::Result<()> {
    let own = slot.join("labs").join(&lab.name);
    if own.exists() {
        fs::remove_dir_all(&own).with_context(|| format!("emptying {}", own.display()))?;
    }
    for (path, bytes) in content {
        write(&own.join(path), bytes)?;
    }
    let package = own.join("Cargo.toml");
    let text =
        fs::read_to_string(&package).with_context(|| format!("reading {}", package.display()))?;
    let mut table: Table = text.parse().context("the lab's Cargo.toml")?;
    if let Some(Value::Table(package)) = table.get_mut("package") {
        package.insert("name".to_owned(), name.into());
    }
    write(&package, table.to_string().as_bytes())?;
    write(&slot.join("Cargo.toml"), manifest.as_bytes())?;
    write(
        &slot.join("features/Cargo.toml"),
        features_manifest(checkout, lab)?.as_bytes(),
    )?;
    write(&slot.join("features/src/lib.rs"), b"")?;
    fs::copy(checkout.root.join("Cargo.lock"), slot.join("Cargo.lock"))
        .context("copying Cargo.lock")?;
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn read_table(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    text.parse()
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// The root manifest with other members.
fn workspace_manifest(checkout: &Checkout, lab: &Lab) -> anyhow::Result<String> {
    let mut table = read_table(&checkout.root.join("Cargo.toml"))?;
    let Some(Value::Table(workspace)) = table.get_mut("workspace") else {
        bail!(Fault::new(
            Whose::Lab,
            "Cargo.toml has no [workspace]",
            "`git checkout Cargo.toml` restores it"
        ));
    };
    let members = [format!("labs/{}", lab.name), "features".to_owned()];
    workspace.insert("members".to_owned(), members.to_vec().into());
    workspace.remove("default-members");
    Ok(table.to_string())
}

/// A package that depends on all that the runner and the checks depend on. With it in the
/// set, cargo gives every library the same features as in the main workspace, and finds it
/// built already. It depends on nothing more: that would not have been downloaded.
fn features_manifest(checkout: &Checkout, lab: &Lab) -> anyhow::Result<String> {
    let root = &checkout.root;
    let mut all = Table::new();
    // In the build of the checks, the last two of these are built with their tests.
    let beside = [
        (root.join("labkit/Cargo.toml"), false),
        (root.join("xtask/Cargo.toml"), true),
        (lab.folder.join("checks/Cargo.toml"), true),
    ];
    for (path, with_tests) in beside {
        let table = read_table(&path)?;
        merge(&mut all, &table, "dependencies");
        if with_tests {
            merge(&mut all, &table, "dev-dependencies");
        }
        if let Some(Value::Table(targets)) = table.get("target") {
            for target in targets.values().filter_map(Value::as_table) {
                merge(&mut all, target, "dependencies");
            }
        }
    }
    let mut host = Table::new();
    merge(
        &mut host,
        &read_table(&root.join("labkit/macros/Cargo.toml"))?,
        "dependencies",
    );
    let mut package = Table::new();
    package.insert("name".to_owned(), "features".into());
    package.insert("version".to_owned(), "0.0.0".into());
    package.insert("edition".to_owned(), "2024".into());
    let mut manifest = Table::new();
    manifest.insert("package".to_owned(), package.into());
    manifest.insert("dependencies".to_owned(), all.into());
    manifest.insert("build-dependencies".to_owned(), host.into());
    Ok(manifest.to_string())
}

fn merge(all: &mut Table, manifest: &Table, section: &str) {
    let Some(Value::Table(dependencies)) = manifest.get(section) else {
        return;
    };
    for (name, value) in dependencies {
        if !name.starts_with("labkit") {
            all.insert(name.clone(), value.clone());
        }
    }
}

/// The sources of a built variant that lie outside its slot: `include!` of an answer, say.
/// rustc names them all in the dep-info file beside the binary.
fn strangers(binary: &Path, slot: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let path = binary.with_extension("d");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let slot = fs::canonicalize(slot).context("the slot has gone")?;
    let sources = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, sources)| split_escaped(sources));
    Ok(sources
        .filter(|source| {
            let real = fs::canonicalize(source).unwrap_or_else(|_| source.clone());
            !real.starts_with(&slot)
        })
        .collect())
}

/// Make's rule: a space inside a name is escaped by a backslash.
fn split_escaped(list: &str) -> Vec<PathBuf> {
    let marked = list.replace("\\ ", "\0");
    marked
        .split_whitespace()
        .map(|name| PathBuf::from(name.replace('\0', " ")))
        .collect()
}

fn forget_oldest(kept: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(kept).with_context(|| format!("reading {}", kept.display()))? {
        let entry = entry?;
        // Another run may forget the same file at the same moment.
        if let Ok(when) = entry.metadata().and_then(|about| about.modified()) {
            files.push((when, entry.path()));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(KEPT_VARIANTS);
    for (_, path) in &files[..surplus] {
        let _ = fs::remove_file(path);
    }
    Ok(())
}
