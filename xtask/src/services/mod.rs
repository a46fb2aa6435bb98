//! What the lab knows of each real service: data first, one file per service.
//!
//! Knows nothing of where a server comes from; `provider/` turns a [`Service`] into a
//! running one.

mod connection;
pub(crate) mod postgres;
pub(crate) mod prometheus;
pub(crate) mod redis;
mod resp;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;

pub(crate) use labkit::wire::Target;

/// A kind of server that a lab may ask for in its `lab.toml`.
#[derive(Debug)]
pub(crate) struct Service {
    /// As `lab.toml` and the timeline call it.
    pub(crate) name: &'static str,
    /// The image, without the mirror's prefix. A version that our CI really runs.
    pub(crate) image: &'static str,
    /// The server's program.
    pub(crate) program: &'static str,
    /// Folders off the PATH where packages put it; `*` stands for a version.
    pub(crate) elsewhere: &'static [&'static str],
    /// Debian's packages, all of them: a package and the one it takes its files from. One
    /// that begins with `?` is apt's own pattern (apt-patterns(7)).
    pub(crate) packages: &'static [&'static str],
    /// What to install by hand, by package manager; the first manager found is named.
    pub(crate) install: &'static [(&'static str, &'static str)],
    /// The oldest version on which every check gives the same verdict.
    pub(crate) oldest: Version,
    /// How a check comes by it.
    pub(crate) manner: Manner,
}

/// How a check comes by a service.
#[derive(Debug)]
pub(crate) enum Manner {
    /// The runner starts a server, and lends it.
    Leased(Leased),
    /// The check runs the programs itself, in a sandbox that the runner makes for it: what
    /// they do is in the files that they are given.
    Sandboxed(Sandboxed),
}

/// A server that is running when a check gets it.
#[derive(Debug)]
pub(crate) struct Leased {
    /// The variable that names a server of the user's own. Never one that another tool
    /// reads: nobody's development server is taken by accident.
    pub(crate) env: &'static str,
    /// What that server has to be: `an empty redis`.
    pub(crate) own: &'static str,
    /// The port inside a container.
    pub(crate) port: u16,
    /// What its socket is called in the folder that it is given.
    pub(crate) socket: &'static str,
    /// Who may do everything there. A server that we start gets a password for them.
    pub(crate) administrator: Option<&'static str>,
    /// The command that a server is started with, and that becomes it.
    pub(crate) command: fn(&Launch<'_>) -> Vec<String>,
    /// What ends it at once and with all it started.
    pub(crate) stop: Signal,
    /// The command by which a person looks into a running server.
    pub(crate) look: fn(&Target) -> String,
    /// The variable, with its value, that tells an app where the server is.
    pub(crate) variable: fn(&Target) -> String,
    /// How it takes a configuration of the learner's own, if it takes one.
    pub(crate) config: Option<Config>,
    /// How a running server is spoken to.
    pub(crate) speech: Speech,
}

/// Programs that a check runs.
#[derive(Debug)]
pub(crate) struct Sandboxed {
    /// Those besides the server, which lie beside it.
    pub(crate) tools: &'static [&'static str],
    /// What the server's program is asked for its version with.
    pub(crate) version: &'static [&'static str],
    /// The version in what it says then.
    pub(crate) stated: fn(&str) -> Option<&str>,
    /// A program and its arguments that fetch a URL: whether it reaches us from a container.
    pub(crate) fetch: fn(&str) -> Vec<String>,
}

impl Service {
    /// The packages as a person knows them.
    pub(crate) fn package_names(&self) -> String {
        let names = self.packages.iter().filter(|name| !name.starts_with('?'));
        names.copied().collect::<Vec<_>>().join(", ")
    }

    /// How its servers are lent, if they are.
    pub(crate) fn leased(&'static self) -> Option<&'static Leased> {
        match &self.manner {
            Manner::Leased(leased) => Some(leased),
            Manner::Sandboxed(_) => None,
        }
    }
}

/// What is known of a learner's configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Says what in it would take the server out of our hands.
    pub(crate) objection: fn(&str) -> Option<String>,
    /// Finds in the server's log why it refused it, in its own words.
    pub(crate) refusal: fn(&str) -> Option<String>,
}

/// What we say to a running server of one kind. All of it as its administrator.
#[derive(Debug)]
pub(crate) struct Speech {
    /// Succeeds once the server answers, whatever a learner's configuration made of it.
    pub(crate) alive: fn(&Target) -> Said<'_, ()>,
    /// The version that the server itself states.
    pub(crate) version: fn(&Target) -> Said<'_, String>,
    /// Reads the address out of the variable's value; says what is wrong with it.
    pub(crate) parse: fn(&str) -> anyhow::Result<Url>,
    /// How checks that run at once are kept apart.
    pub(crate) keeping: Keeping,
}

/// How checks that run at once are kept apart.
#[derive(Debug)]
pub(crate) enum Keeping {
    /// Each has a whole server, which is emptied before the next one has it.
    Servers(Servers),
    /// Each has a database on one server, which is dropped afterwards.
    Databases(Databases),
}

/// A server that is one check's, and then another's.
#[derive(Debug)]
pub(crate) struct Servers {
    /// The settings to come back to between two leases.
    pub(crate) settings: fn(&Target) -> Said<'_, Settings>,
    /// Makes a server of ours as it was when it had just started.
    pub(crate) reset: for<'a> fn(&'a Target, &'a Settings) -> Said<'a, ()>,
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

/// A server on which each check has a database. Whether the server is ours or not, what we
/// make there carries our name, and nothing else is touched.
#[derive(Debug)]
pub(crate) struct Databases {
    /// Claims a name on the server for all that follows; drops what claims left that are
    /// over.
    pub(crate) claim: for<'a> fn(&'a Target, &'a Claim) -> Said<'a, ()>,
    /// Makes an empty database of that name under the claim, to be filled by the
    /// administrator, as whom the target logs in.
    pub(crate) template: for<'a> fn(&'a Target, &'a Claim, name: &'a str) -> Said<'a, Target>,
    /// The database is filled: waits until nobody is in it, and lets nobody in any more.
    pub(crate) close: for<'a> fn(&'a Target, name: &'a str) -> Said<'a, ()>,
    /// A copy of a closed template, and a login of the same name who owns all in it and
    /// nothing else.
    pub(crate) copy:
        for<'a> fn(&'a Target, &'a Claim, template: &'a str, name: &'a str) -> Said<'a, Target>,
    /// Drops a database, its login with it, whoever is still in there.
    pub(crate) drop: for<'a> fn(&'a Target, name: &'a str) -> Said<'a, ()>,
    /// Drops all that was made under the claim, and then the claim.
    pub(crate) unclaim: for<'a> fn(&'a Target, &'a Claim) -> Said<'a, ()>,
}

/// Whose something on a server is.
#[derive(Debug)]
pub(crate) struct Claim {
    /// What all that is made under it is called, or begins with.
    pub(crate) name: String,
    /// The run, in words that tell another one whether it is over.
    pub(crate) words: String,
    /// Whether the run that such words name is over.
    pub(crate) is_over: fn(&str) -> bool,
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
    pub(crate) database: Option<String>,
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
    /// The server's program: a path, or a name to be found on the PATH.
    pub(crate) program: &'a str,
    /// Where it is to listen.
    pub(crate) listen: Listen<'a>,
    /// Where it may write.
    pub(crate) folder: &'a str,
    /// A configuration of the learner's own, as the server will see its path.
    pub(crate) config: Option<&'a str>,
}

/// The variable in which a server's command finds the administrator's password. What runs
/// in the end must not have it: other processes of its user can read its environment.
pub(crate) const PASSWORD: &str = "LABS_PASSWORD";

/// A password that nobody can guess, of letters and digits.
pub(crate) fn password() -> String {
    format!("{:032x}", rand::random::<u128>())
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
pub(crate) const ALL: &[&Service] = &[&redis::REDIS, &postgres::POSTGRES, &prometheus::PROMETHEUS];
