//! Postgres.

mod client;
mod databases;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use percent_encoding::percent_decode_str;

use super::{Keeping, Launch, Leased, Listen, Manner, Service, Speech, Target, Url, Version};
use client::Client;

/// Postgres, from 15 on: what Debian 12 has, the first whose schema `public` is its
/// database's owner's alone.
pub(crate) const POSTGRES: Service = Service {
    name: "postgres",
    image: "postgres:15",
    program: "postgres",
    elsewhere: &[
        "/usr/lib/postgresql/*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
        "/usr/pgsql-*/bin",
        "/usr/libexec/postgresql*",
    ],
    // The first stands for the one with the server, whose name changes with the release.
    packages: &[
        "postgresql",
        "?and(?reverse-depends(?exact-name(postgresql)),?name(^postgresql-[0-9]+$))",
    ],
    install: &[
        ("apt-get", "postgresql"),
        ("brew", "postgresql@17"),
        // Its pg_stat_statements is a package of its own.
        ("dnf", "postgresql-server postgresql-contrib"),
        ("pacman", "postgresql"),
        ("zypper", "postgresql-server postgresql-contrib"),
        ("apk", "postgresql postgresql-contrib"),
    ],
    oldest: Version(15, 0),
    manner: Manner::Leased(Leased {
        env: "LABS_POSTGRES_URL",
        own: "a superuser of a postgres",
        port: 5432,
        socket: ".s.PGSQL.5432",
        administrator: Some("postgres"),
        command,
        // "Immediate shutdown": it kills its backends, which have sessions of their own, and
        // removes its shared memory. SIGKILL does neither.
        stop: Signal::SIGQUIT,
        look,
        variable,
        config: None,
        speech: Speech {
            alive: |target| Box::pin(alive(target)),
            version: |target| Box::pin(version(target)),
            parse,
            keeping: Keeping::Databases(databases::DATABASES),
        },
    }),
};

/// What a server of ours is told. Nothing here changes a plan, a lock or what a transaction
/// sees; a power cut may take what is on the disk, and the disk goes with the run.
const SETTINGS: [(&str, &str); 11] = [
    ("fsync", "off"),
    // A check that fills a table must not wait for a checkpoint in the middle.
    ("max_wal_size", "1GB"),
    // For several checks whose logins have all that they may have.
    ("max_connections", "500"),
    // When it comes depends on the clock. A lab that needs it runs VACUUM.
    ("autovacuum", "off"),
    ("shared_preload_libraries", "pg_stat_statements"),
    // Files in the data directory, which go with it; others would outlive a SIGKILL.
    ("dynamic_shared_memory_type", "mmap"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("lc_messages", "C"),
    ("logging_collector", "off"),
    ("cluster_name", "backend-labs"),
];

fn command(launch: &Launch<'_>) -> Vec<String> {
    const START: &str = include_str!("postgres/start.sh");
    let mut command: Vec<String> = ["sh", "-c", START, launch.program, launch.folder]
        .map(str::to_owned)
        .into();
    let mut set = |name: &str, value: &str| {
        command.extend(["-c".to_owned(), format!("{name}={value}")]);
    };
    match launch.listen {
        Listen::Unix(path) => {
            let folder = path.parent().unwrap_or(path);
            set("listen_addresses", "");
            set("unix_socket_directories", &folder.to_string_lossy());
            set("unix_socket_permissions", "0700");
        }
        Listen::Everywhere(port) => {
            set("listen_addresses", "*");
            set("port", &port.to_string());
            set("unix_socket_directories", "");
        }
    }
    for (name, value) in SETTINGS {
        set(name, value);
    }
    command
}

/// On a server of ours everything can be looked at; on another, what is the check's.
fn look(target: &Target) -> String {
    let who = match target.ours {
        true => target.as_administrator(),
        false => target.clone(),
    };
    format!("psql {}", who.postgres_url())
}

/// The login is one that we made, whosever the server is.
fn variable(target: &Target) -> String {
    format!("DATABASE_URL={}", target.postgres_url())
}

async fn alive(target: &Target) -> Result<()> {
    Client::open(target).await.map(drop)
}

async fn version(target: &Target) -> Result<String> {
    let mut client = Client::open(target).await?;
    // `server_version` may end in a packager's words.
    let number = client.value("SHOW server_version_num").await?;
    let number: u32 = number.parse().context("server_version_num is no number")?;
    Ok(format!("{}.{}", number / 10_000, number % 10_000))
}

fn parse(value: &str) -> Result<Url> {
    const FORM: &str = "postgres://user[:password]@host[:port][/database]";
    let url = url::Url::parse(value).with_context(|| format!("not of the form {FORM}"))?;
    ensure!(
        ["postgres", "postgresql"].contains(&url.scheme()),
        "{}:// is no scheme of Postgres; it takes {FORM}",
        url.scheme()
    );
    let decode = |text: &str| -> Result<Option<String>> {
        let text = percent_decode_str(text)
            .decode_utf8()
            .context("user, password or database is not UTF-8")?;
        Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
    };
    if url.query().is_some() || url.fragment().is_some() {
        bail!("nothing may follow the database, and TLS is not spoken here; it takes {FORM}");
    }
    let host = decode(url.host_str().unwrap_or_default())?;
    let username = decode(url.username())?;
    Ok(Url {
        host: host
            .filter(|host| !host.starts_with('/'))
            .with_context(|| format!("no host; it takes {FORM}"))?
            .trim_matches(['[', ']'])
            .to_owned(),
        port: url.port().unwrap_or(5432),
        username: Some(username.with_context(|| format!("no user; it takes {FORM}"))?),
        password: decode(url.password().unwrap_or_default())?,
        database: decode(url.path().trim_matches('/'))?,
    })
}

/// One statement to a server and the fields of its rows; what tests ask with.
#[cfg(test)]
pub(crate) async fn say(target: &Target, statement: &str) -> Result<Vec<String>> {
    let rows = Client::open(target).await?.rows(statement).await?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use labkit::wire::{Address, Login};

    use super::*;

    #[test]
    fn a_person_is_told_how_to_look_inside_and_never_a_password_that_is_not_ours() {
        let ours = Target {
            username: Some("backend_labs_1".to_owned()),
            password: Some("made".to_owned()),
            database: Some("backend_labs_1".to_owned()),
            administrator: Some(Login {
                username: "postgres".to_owned(),
                password: Some("secret".to_owned()),
            }),
            ..Target::at(Address::Unix(PathBuf::from("/tmp/run/.s.PGSQL.5432")))
        };
        assert_eq!(
            look(&ours),
            "psql postgres://postgres:secret@%2Ftmp%2Frun/backend_labs_1"
        );
        let app = "postgres://backend_labs_1:made@%2Ftmp%2Frun/backend_labs_1";
        assert_eq!(variable(&ours), format!("DATABASE_URL={app}"));
        let theirs = Target {
            ours: false,
            ..ours
        };
        assert_eq!(look(&theirs), format!("psql {app}"));
    }

    #[test]
    fn the_address_of_a_server_of_ones_own_is_read_with_care() {
        let url = parse("postgresql://ann:p%40ss@[::1]:7000/shop").expect("well formed");
        assert_eq!((url.host.as_str(), url.port), ("::1", 7000));
        assert_eq!(url.username.as_deref(), Some("ann"));
        assert_eq!(url.password.as_deref(), Some("p@ss"));
        assert_eq!(url.database.as_deref(), Some("shop"));
        let url = parse("postgres://ann@localhost").expect("well formed");
        assert_eq!((url.port, url.database, url.password), (5432, None, None));
        for (wrong, why) in [
            ("http://ann@localhost", "no scheme of Postgres"),
            ("postgres://localhost/shop", "no user"),
            ("postgres:///shop", "no host"),
            ("postgres://ann@%2Ftmp/shop", "no host"),
            ("postgres://ann@localhost/shop?sslmode=require", "TLS"),
            ("localhost:5432", "postgres://"),
            ("", "postgres://"),
        ] {
            let reason = format!("{:#}", parse(wrong).expect_err(wrong));
            assert!(reason.contains(why), "{wrong}: {reason}");
        }
    }
}
