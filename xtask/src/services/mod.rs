//! What the lab knows of each real service: data first, one file per service.
//!
//! Knows nothing of where a server comes from; `provider/` turns a [`Service`] into a
//! running one.

pub(crate) mod redis;
mod resp;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use futures_util::future::BoxFuture;

pub(crate) use labkit::wire::RedisTarget as Target;

/// A kind of server that a lab may ask for in its `lab.toml`.
#[derive(Debug)]
pub(crate) struct Service {
    /// As `lab.toml` and the timeline call it.
    pub(crate) name: &'static str,
    /// The variable that names a server of the user's own. Never one that another tool
    /// reads: nobody's development server is taken by accident.
    pub(crate) env: &'static str,
    /// The image, without the mirror's prefix. A major that our CI really runs.
    pub(crate) image: &'static str,
    /// The port inside a container.
    pub(crate) port: u16,
    /// Program names, the server first.
    pub(crate) program: &'static str,
    /// Debian's packages, all of them: a package and the one it takes its files from.
    pub(crate) packages: &'static [&'static str],
    /// What to install by hand, by package manager; the first manager found is named.
    pub(crate) install: &'static [(&'static str, &'static str)],
    /// The oldest version on which every check gives the same verdict.
    pub(crate) oldest: Version,
    /// The arguments that the server is started with.
    pub(crate) arguments: fn(&Launch<'_>) -> Vec<String>,
    /// The command by which a person looks into a running server.
    pub(crate) look: fn(&Target) -> String,
    /// The variable, with its value, that tells an app where the server is.
    pub(crate) variable: fn(&Target) -> String,
    /// Says what in a learner's configuration would take the server out of our hands.
    pub(crate) objection: fn(&str) -> Option<String>,
    /// Finds in the server's log why it refused its configuration, in its own words.
    pub(crate) refusal: fn(&str) -> Option<String>,
    /// How a running server is spoken to.
    pub(crate) speech: Speech,
}

/// What we say to a running server of one kind.
pub(crate) struct Speech {
    /// Succeeds once the server answers, whatever a learner's configuration made of it.
    pub(crate) alive: fn(&Target) -> Said<'_, ()>,
    /// The version that the server itself states.
    pub(crate) version: fn(&Target) -> Said<'_, String>,
    /// The settings to come back to between two leases.
    pub(crate) settings: fn(&Target) -> Said<'_, Settings>,
    /// Makes a server of ours as it was when it had just started.
    pub(crate) reset: for<'a> fn(&'a Target, &'a Settings) -> Said<'a, ()>,
    /// Reads the address out of the variable's value; says what is wrong with it.
    pub(crate) parse: fn(&str) -> anyhow::Result<Url>,
    /// Says what a server that is not ours already holds.
    pub(crate) contents: fn(&Target) -> Said<'_, Contents>,
    /// Writes our name on it; gives the name that stands there already, if one does.
    pub(crate) claim: for<'a> fn(&'a Target, &'a str) -> Said<'a, Option<String>>,
    /// Puts our name in the place of a dead run's, unless somebody else was quicker.
    pub(crate) take_over: for<'a> fn(&'a Target, from: &'a str, to: &'a str) -> Said<'a, bool>,
    /// Deletes what was put there under our claim, and nothing else; the claim stays.
    pub(crate) clear: for<'a> fn(&'a Target, &'a str) -> Said<'a, ()>,
    /// Takes our name off it, if it still stands there.
    pub(crate) unclaim: for<'a> fn(&'a Target, &'a str) -> Said<'a, ()>,
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Speech")
    }
}

/// An answer on its way.
pub(crate) type Said<'a, T> = BoxFuture<'a, anyhow::Result<T>>;

/// A server's settings by name.
pub(crate) type Settings = BTreeMap<String, String>;

/// Where a server of the user's own is, before its name was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u32,
}

/// What a server that is not ours holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Whose claim it carries.
    pub(crate) holder: Option<String>,
    /// What is in the database that we would use, the claim aside.
    pub(crate) here: Option<String>,
    /// What is in others: they share memory and more with ours.
    pub(crate) elsewhere: Vec<String>,
}

/// What a provider decides about a server that is to be started.
pub(crate) struct Launch<'a> {
    /// Where it is to listen.
    pub(crate) listen: Listen<'a>,
    /// Where it may write.
    pub(crate) folder: &'a str,
    /// A configuration of the learner's own, as the server will see its path.
    pub(crate) config: Option<&'a str>,
}

/// Where a server is to listen.
pub(crate) enum Listen<'a> {
    /// A socket in a folder of its own.
    Unix(&'a Path),
    /// Inside a container.
    Everywhere(u16),
}

/// As much of a version as decides whether a server is new enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl Version {
    /// The first two numbers of `7.0.15`; a missing one counts as zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.').map(str::parse);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(Self(major, minor))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The service of that name, if the lab's `lab.toml` names one that there is.
pub(crate) fn find(name: &str) -> Option<&'static Service> {
    ALL.iter().copied().find(|service| service.name == name)
}

/// Every service there is.
pub(crate) const ALL: &[&Service] = &[&redis::REDIS];
