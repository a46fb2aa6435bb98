//! A database for each check: copied from a template, with a login of its own, dropped
//! afterwards.
//!
//! All that is made on a server belongs to one claim: a role that nobody can log in as. It
//! owns what is in the templates, its comment says which run it is, and all other names
//! begin with its name.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use labkit::wire::Login;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio::time::sleep;

use super::client::Client;
use crate::services::{Claim, Databases, Target, password};

/// What every name of ours begins with.
const OURS: &str = "backend_labs_";

/// How many connections a login may have at a time. An app that never gives one back is refused
/// its next one (53300) long before the server has none left for other checks.
const CONNECTIONS: usize = 64;

/// How often it is looked whether a template is free: a backend is gone some milliseconds
/// after its client.
const LOOKS: u32 = 500;

pub(super) const DATABASES: Databases = Databases {
    claim: |target, claim| Box::pin(self::claim(target, claim)),
    template: |target, claim, name| Box::pin(template(target, claim, name)),
    close: |target, name| Box::pin(close(target, name)),
    copy: |target, claim, template, name| Box::pin(copy(target, claim, template, name)),
    drop: |target, name| Box::pin(drop_one(target, name)),
    unclaim: |target, claim| Box::pin(unclaim(target, &claim.name)),
};

async fn claim(target: &Target, claim: &Claim) -> Result<()> {
    let mut server = Client::open(target).await?;
    let superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    ensure!(
        server.value(superuser).await? == "t",
        "{} is no superuser there: checks need databases and logins of their own",
        target.username.as_deref().unwrap_or_default()
    );
    ensure!(
        claim.name.starts_with(OURS),
        "'{}' is no name of ours",
        claim.name
    );
    let claims = format!(
        "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles \
         WHERE starts_with(rolname, '{OURS}') AND NOT rolcanlogin"
    );
    for row in server.rows(&claims).await? {
        if let [Some(name), Some(words)] = row.as_slice()
            && (claim.is_over)(words)
        {
            unclaim(target, name).await?;
        }
    }
    let role = escape_identifier(&claim.name);
    server.run(&format!("CREATE ROLE {role} NOLOGIN")).await?;
    let words = escape_literal(&claim.words);
    server
        .run(&format!("COMMENT ON ROLE {role} IS {words}"))
        .await
}

async fn template(target: &Target, claim: &Claim, name: &str) -> Result<Target> {
    let database = escape_identifier(name);
    let owner = escape_identifier(&claim.name);
    let mut server = Client::open(target).await?;
    for statement in [
        // One order of text on every machine, whatever the server was made with.
        format!(
            "CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' \
             LOCALE_PROVIDER libc LOCALE 'C'"
        ),
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        format!("GRANT CREATE, TEMPORARY ON DATABASE {database} TO {owner}"),
    ] {
        server.run(&statement).await?;
    }
    let filled = Target {
        database: Some(name.to_owned()),
        ..target.clone()
    };
    let mut inside = Client::open(&filled).await?;
    let libraries = inside.value("SHOW shared_preload_libraries").await?;
    if libraries.contains("pg_stat_statements") {
        inside.run("CREATE EXTENSION pg_stat_statements").await?;
    }
    let administrator = inside.value("SELECT quote_ident(current_user)").await?;
    for statement in [
        format!("GRANT ALL ON SCHEMA public TO {owner}"),
        // What the administrator makes there from now on is the claim's, and with a copy
        // its login's. `SET ROLE NONE` is the way back.
        format!("ALTER ROLE {administrator} IN DATABASE {database} SET role TO {owner}"),
    ] {
        inside.run(&statement).await?;
    }
    Ok(filled)
}

async fn close(target: &Target, name: &str) -> Result<()> {
    let mut server = Client::open(target).await?;
    let database = escape_identifier(name);
    server
        .run(&format!(
            "ALTER DATABASE {database} ALLOW_CONNECTIONS false"
        ))
        .await?;
    let inside = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {}",
        escape_literal(name)
    );
    for _ in 0..LOOKS {
        if server.value(&inside).await? == "0" {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
    bail!("somebody stays in the database {name}")
}

async fn copy(target: &Target, claim: &Claim, template: &str, name: &str) -> Result<Target> {
    let secret = password();
    let database = escape_identifier(name);
    let owner = escape_identifier(&claim.name);
    let template = escape_identifier(template);
    let mut server = Client::open(target).await?;
    for statement in [
        format!(
            "CREATE ROLE {database} LOGIN CONNECTION LIMIT {CONNECTIONS} PASSWORD {}",
            escape_literal(&secret)
        ),
        // Twice as quick as through the log, of which there is then none to be written out.
        format!(
            "CREATE DATABASE {database} TEMPLATE {template} OWNER {database} STRATEGY file_copy"
        ),
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
    ] {
        server.run(&statement).await?;
    }
    let mut inside = Client::open(&Target {
        database: Some(name.to_owned()),
        ..target.clone()
    })
    .await?;
    for statement in [
        format!("REASSIGN OWNED BY {owner} TO {database}"),
        format!("REVOKE ALL ON SCHEMA public FROM {owner}"),
    ] {
        inside.run(&statement).await?;
    }
    Ok(Target {
        username: Some(name.to_owned()),
        password: Some(secret),
        database: Some(name.to_owned()),
        administrator: target.username.clone().map(|username| Login {
            username,
            password: target.password.clone(),
        }),
        ..target.clone()
    })
}

async fn drop_one(target: &Target, name: &str) -> Result<()> {
    ensure!(name.starts_with(OURS), "'{name}' is no name of ours");
    let name = escape_identifier(name);
    let mut server = Client::open(target).await?;
    let database = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    server.run(&database).await?;
    server.run(&format!("DROP ROLE IF EXISTS {name}")).await
}

async fn unclaim(target: &Target, claim: &str) -> Result<()> {
    let mut server = Client::open(target).await?;
    let prefix = escape_literal(&format!("{claim}_"));
    let made = format!(
        "SELECT datname FROM pg_database WHERE starts_with(datname, {prefix}) \
         UNION SELECT rolname FROM pg_roles WHERE starts_with(rolname, {prefix})"
    );
    for name in server.rows(&made).await?.into_iter().flatten().flatten() {
        drop_one(target, &name).await?;
    }
    // Last: as long as something is left, it says whose.
    drop_one(target, claim).await
}
