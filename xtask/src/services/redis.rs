//! Redis.

use anyhow::{Context, Result, bail, ensure};
use labkit::wire::Address;
use nix::sys::signal::Signal;
use percent_encoding::percent_decode_str;
use redis_protocol::resp2::types::OwnedFrame;

use super::resp::{Client, members, text};
use super::{
    Config, Contents, Keeping, Launch, Leased, Listen, Manner, Servers, Service, Settings, Speech,
    Target, Url, Version,
};

/// The variable that names a server of the user's own.
const ENV: &str = "LABS_REDIS_URL";

/// The key that says whose a borrowed server is while a run lasts.
pub(crate) const CLAIM: &str = "backend-labs:claim";

/// Redis, from 7.0 on: checks ask for `PEXPIRETIME`.
pub(crate) const REDIS: Service = Service {
    name: "redis",
    image: "redis:7",
    program: "redis-server",
    elsewhere: &[],
    // `redis-server` holds a link only; the binary is in `redis-tools`.
    packages: &["redis-server", "redis-tools"],
    install: &[
        ("apt-get", "redis-server"),
        ("brew", "redis"),
        ("dnf", "redis"),
        ("pacman", "redis"),
        ("zypper", "redis"),
        ("apk", "redis"),
    ],
    oldest: Version(7, 0),
    manner: Manner::Leased(Leased {
        env: ENV,
        own: "an empty redis",
        port: 6379,
        socket: "s",
        administrator: None,
        command,
        // There is nothing that it would have to put in order.
        stop: Signal::SIGKILL,
        look,
        variable,
        config: Some(Config { objection, refusal }),
        speech: Speech {
            alive: |target| Box::pin(alive(target)),
            version: |target| Box::pin(version(target)),
            parse,
            // Its logical databases share pub/sub, FLUSHALL, CONFIG and INFO.
            keeping: Keeping::Servers(Servers {
                settings: |target| Box::pin(settings(target)),
                reset: |target, settings| Box::pin(reset(target, settings)),
                contents: |target| Box::pin(contents(target)),
                claim: |target, name| Box::pin(claim(target, name)),
                take_over: |target, from, to| Box::pin(take_over(target, from, to)),
                clear: |target, name| Box::pin(clear(target, name)),
                unclaim: |target, name| Box::pin(unclaim(target, name)),
            }),
        },
    }),
};

/// The learner's file comes first, so that ours win: where the server listens and writes
/// is the lab's to say, and nothing may survive it.
fn command(launch: &Launch<'_>) -> Vec<String> {
    let mut command = vec![launch.program.to_owned()];
    command.extend(launch.config.map(str::to_owned));
    let mut force = |name: &str, value: &str| {
        command.extend([format!("--{name}"), value.to_owned()]);
    };
    match launch.listen {
        Listen::Unix(path) => {
            force("port", "0");
            force("unixsocket", &path.to_string_lossy());
            force("unixsocketperm", "700");
        }
        Listen::Everywhere(port) => {
            force("port", &port.to_string());
            force("bind", "0.0.0.0");
            force("unixsocket", "");
        }
    }
    for (name, value) in [
        ("tls-port", "0"),
        ("protected-mode", "no"),
        ("requirepass", ""),
        ("daemonize", "no"),
        ("supervised", "no"),
        ("pidfile", ""),
        ("logfile", ""),
        ("save", ""),
        ("appendonly", "no"),
        ("cluster-enabled", "no"),
        ("maxclients", "10000"),
        ("timeout", "0"),
        ("dir", launch.folder),
    ] {
        force(name, value);
    }
    command.extend(["--replicaof", "no", "one"].map(str::to_owned));
    command
}

/// A server of the user's own may ask for a password, which is theirs to type.
fn look(target: &Target) -> String {
    let mut command = match &target.address {
        Address::Unix(path) => format!("redis-cli -s {}", path.display()),
        Address::Tcp(address) => {
            format!("redis-cli -h {} -p {}", address.ip(), address.port())
        }
    };
    if let Some(database) = &target.database {
        command += &format!(" -n {database}");
    }
    if let Some(user) = &target.username {
        command += &format!(" --user {user}");
    }
    if target.password.is_some() {
        command += " --askpass";
    }
    command
}

/// The URL of a server of the user's own may hold a password: it is not printed.
fn variable(target: &Target) -> String {
    let url = match &target.address {
        _ if !target.ours => format!("${ENV}"),
        Address::Unix(path) => format!("redis+unix://{}", path.display()),
        Address::Tcp(address) => format!("redis://{address}/"),
    };
    format!("REDIS_URL={url}")
}

/// What is in a file's way of deciding alone, or takes from us the commands that we judge
/// by.
const NOT_TAKEN: [(&str, &str); 5] = [
    ("include", "your file has to stand by itself"),
    ("loadmodule", "your file has to stand by itself"),
    ("aclfile", "your file has to stand by itself"),
    (
        "rename-command",
        "every command keeps its name, or nobody can look into it",
    ),
    (
        "user",
        "every command stays allowed, or nobody can look into it",
    ),
];

fn objection(config: &str) -> Option<String> {
    let directives = config.lines().zip(1..).filter_map(|(line, number)| {
        let name = line.split_whitespace().next()?;
        (!name.starts_with('#')).then_some((name, number))
    });
    for (name, number) in directives {
        // Redis would take quotes and escapes off it, and we would know it by another name.
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Some(format!(
                "line {number}: `{name}` is no name of a directive: those are letters, digits and \
                 hyphens, without quotes"
            ));
        }
        let refused = NOT_TAKEN
            .iter()
            .find(|(it, _)| name.eq_ignore_ascii_case(it));
        if let Some((name, why)) = refused {
            return Some(format!("line {number}: `{name}` is not taken here: {why}"));
        }
    }
    None
}

/// Redis says where and what between a banner and the end of its log.
fn refusal(log: &str) -> Option<String> {
    let (_, words) = log.split_once("*** FATAL CONFIG FILE ERROR")?;
    let (_, words) = words.split_once('\n')?;
    Some(words.trim().to_owned())
}

/// Any answer counts but that it is still loading.
async fn alive(target: &Target) -> Result<()> {
    let mut client = Client::connect(&target.address).await?;
    match client.ask(&["PING"]).await? {
        OwnedFrame::Error(words) if words.starts_with("LOADING") => bail!(words),
        _ => Ok(()),
    }
}

async fn version(target: &Target) -> Result<String> {
    let mut client = Client::open(target).await?;
    let info = text(client.call(&["INFO", "server"]).await?);
    info.lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .map(|version| version.trim().to_owned())
        .context("the server does not state its version in INFO")
}

async fn settings(target: &Target) -> Result<Settings> {
    let mut client = Client::open(target).await?;
    current(&mut client).await
}

async fn current(client: &mut Client) -> Result<Settings> {
    let pairs = members(client.call(&["CONFIG", "GET", "*"]).await?);
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(pairs
        .chunks_exact(2)
        .map(|pair| (lossy(&pair[0]), lossy(&pair[1])))
        .collect())
}

/// A check may have changed settings and left subscribers, scripts or a paused server
/// behind. What cannot be put back is an error: the caller then starts another server.
async fn reset(target: &Target, settings: &Settings) -> Result<()> {
    let mut client = Client::open(target).await?;
    for command in [
        &["CLIENT", "UNPAUSE"][..],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CLIENT", "KILL", "TYPE", "pubsub"],
        &["REPLICAOF", "NO", "ONE"],
        &["FLUSHALL"],
        &["SCRIPT", "FLUSH"],
        &["FUNCTION", "FLUSH"],
        &["SLOWLOG", "RESET"],
    ] {
        client.call(command).await?;
    }
    for (name, value) in &current(&mut client).await? {
        if let Some(before) = settings.get(name).filter(|before| *before != value) {
            client.call(&["CONFIG", "SET", name, before]).await?;
        }
    }
    client.call(&["CONFIG", "RESETSTAT"]).await?;
    Ok(())
}

fn parse(value: &str) -> Result<Url> {
    const FORM: &str = "redis://[user:password@]host[:port][/database]";
    let url = url::Url::parse(value).with_context(|| format!("not of the form {FORM}"))?;
    match url.scheme() {
        "redis" => {}
        "rediss" => {
            bail!("rediss:// is Redis over TLS, which the lab's wire cannot read; it takes {FORM}")
        }
        other => bail!("{other}:// is no scheme of Redis; it takes {FORM}"),
    }
    let decode = |text: &str| -> Result<Option<String>> {
        let text = percent_decode_str(text)
            .decode_utf8()
            .context("user or password is not UTF-8")?;
        Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
    };
    let host = url.host_str().filter(|host| !host.is_empty());
    let database = match url.path().trim_matches('/') {
        "" => None,
        number => {
            let parsed: Option<u32> = number.parse().ok();
            let wrong = || format!("'{number}' is no number of a database; it takes {FORM}");
            Some(parsed.with_context(wrong)?.to_string())
        }
    };
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "nothing may follow the database; it takes {FORM}"
    );
    Ok(Url {
        host: host
            .with_context(|| format!("no host; it takes {FORM}"))?
            .trim_matches(['[', ']'])
            .to_owned(),
        port: url.port().unwrap_or(6379),
        username: decode(url.username())?,
        password: decode(url.password().unwrap_or_default())?,
        database,
    })
}

/// All databases are looked at, not only the one to be used: they share one memory limit
/// and one pub/sub, so a server in use is neither fit for checks nor safe from them.
async fn contents(target: &Target) -> Result<Contents> {
    let mut client = Client::open(target).await?;
    let holder = Some(text(client.call(&["GET", CLAIM]).await?)).filter(|name| !name.is_empty());
    let info = text(client.call(&["INFO", "keyspace"]).await?);
    let mut contents = Contents::default();
    for (database, counts) in info.lines().filter_map(|line| line.split_once(":keys=")) {
        let number = database.trim_start_matches("db");
        let here = number.parse() == Ok(target.redis_database());
        let keys = counts.split(',').next().unwrap_or_default();
        let keys: u64 = keys.parse().context("INFO keyspace holds no number")?;
        let text = match keys.saturating_sub(u64::from(here && holder.is_some())) {
            0 => continue,
            1 => format!("1 key in database {number}"),
            keys => format!("{keys} keys in database {number}"),
        };
        match here {
            true => contents.here = Some(text),
            false => contents.elsewhere.push(text),
        }
    }
    contents.holder = holder;
    Ok(contents)
}

async fn claim(target: &Target, name: &str) -> Result<Option<String>> {
    let mut client = Client::open(target).await?;
    match client.call(&["SET", CLAIM, name, "NX"]).await? {
        OwnedFrame::Null => Ok(Some(text(client.call(&["GET", CLAIM]).await?))),
        _ => Ok(None),
    }
}

async fn take_over(target: &Target, from: &str, to: &str) -> Result<bool> {
    const SCRIPT: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
         redis.call('SET', KEYS[1], ARGV[2]) return 1 else return 0 end";
    let mut client = Client::open(target).await?;
    let reply = client.call(&["EVAL", SCRIPT, "1", CLAIM, from, to]).await?;
    Ok(reply == OwnedFrame::Integer(1))
}

async fn clear(target: &Target, name: &str) -> Result<()> {
    let mut client = Client::open(target).await?;
    let owner = text(client.call(&["GET", CLAIM]).await?);
    ensure!(
        owner == name,
        "the claim {CLAIM} is no longer ours, so nothing was deleted"
    );
    let mut cursor = "0".to_owned();
    loop {
        let OwnedFrame::Array(mut page) = client.call(&["SCAN", &cursor, "COUNT", "1000"]).await?
        else {
            bail!("SCAN was not answered with a page of keys");
        };
        // Keys stay bytes: one that is no UTF-8 must go as well.
        let keys = page.pop().map(members).unwrap_or_default();
        cursor = page.pop().map(text).unwrap_or_default();
        let mut unlink = vec![b"UNLINK".to_vec()];
        unlink.extend(keys.into_iter().filter(|key| key != CLAIM.as_bytes()));
        if unlink.len() > 1 {
            client.call(&unlink).await?;
        }
        if cursor == "0" {
            return Ok(());
        }
    }
}

async fn unclaim(target: &Target, name: &str) -> Result<()> {
    const SCRIPT: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
         return redis.call('DEL', KEYS[1]) else return 0 end";
    let mut client = Client::open(target).await?;
    client.call(&["EVAL", SCRIPT, "1", CLAIM, name]).await?;
    Ok(())
}

/// One command to a server and its reply as text; what tests ask with.
#[cfg(test)]
pub(crate) async fn say(target: &Target, command: &[&str]) -> Result<String> {
    Ok(text(Client::open(target).await?.call(command).await?))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_person_is_told_how_to_look_inside_and_never_a_password() {
        let socket = Target::at(Address::Unix(PathBuf::from("/tmp/run/s")));
        assert_eq!(look(&socket), "redis-cli -s /tmp/run/s");
        assert_eq!(variable(&socket), "REDIS_URL=redis+unix:///tmp/run/s");
        let port = Target::at(Address::Tcp(([127, 0, 0, 1], 6379).into()));
        assert_eq!(look(&port), "redis-cli -h 127.0.0.1 -p 6379");
        assert_eq!(variable(&port), "REDIS_URL=redis://127.0.0.1:6379/");
        let theirs = Target {
            username: Some("ada".to_owned()),
            password: Some("secret".to_owned()),
            database: Some("1".to_owned()),
            ours: false,
            ..port
        };
        assert_eq!(
            look(&theirs),
            "redis-cli -h 127.0.0.1 -p 6379 -n 1 --user ada --askpass"
        );
        assert_eq!(variable(&theirs), "REDIS_URL=$LABS_REDIS_URL");
    }

    #[test]
    fn a_file_has_to_stand_by_itself_and_leave_the_commands_as_they_are() {
        assert_eq!(objection("# include x\n\nmaxmemory 8mb\nsave \"\"\n"), None);
        for (config, words) in [
            ("maxmemory 8mb\ninclude /tmp/more", "line 2: `include`"),
            (" INCLUDE /tmp/more", "your file has to stand by itself"),
            ("\"include\" /tmp/more", "no name of a directive"),
            ("inc\"\\x6cude\" /tmp/more", "no name of a directive"),
            ("inc\0\nlude /tmp/more", "no name of a directive"),
            ("rename-command INFO \"\"", "every command keeps its name"),
            ("user default off", "every command stays allowed"),
        ] {
            let objection = objection(config).expect(config);
            assert!(objection.contains(words), "{objection}");
        }
    }
}
