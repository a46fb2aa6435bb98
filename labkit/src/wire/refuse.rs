//! What a Redis server that is not ours is spared.

use bytes::Bytes;

/// Commands that reach beyond one database, or beyond the app's own connection.
const SERVER_WIDE: &[&str] = &[
    "ACL",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLUSTER",
    "CONFIG",
    "DEBUG",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION",
    "MIGRATE",
    "MODULE",
    "MONITOR",
    "MOVE",
    "PSYNC",
    "REPLICAOF",
    "RESET",
    "SAVE",
    "SHUTDOWN",
    "SLAVEOF",
    "SWAPDB",
    "SYNC",
];
/// The same, where only one form of a command does.
const SERVER_WIDE_FORMS: &[(&str, &str)] = &[
    ("CLIENT", "KILL"),
    ("CLIENT", "PAUSE"),
    ("CLIENT", "UNPAUSE"),
    ("LATENCY", "RESET"),
    ("MEMORY", "PURGE"),
    ("SCRIPT", "DEBUG"),
    ("SCRIPT", "FLUSH"),
    ("SCRIPT", "KILL"),
    ("SLOWLOG", "RESET"),
];

/// Why a command must not go to a server that is not ours: an error reply without its
/// dash and line end.
pub(super) fn reason(args: &[Bytes], database: u32) -> Option<String> {
    let word = |index: usize| args.get(index).map(|arg| arg.to_ascii_uppercase());
    let is = |index: usize, name: &str| word(index).as_deref() == Some(name.as_bytes());
    if let Some(name) = SERVER_WIDE.iter().find(|name| is(0, name)) {
        return Some(refused(name));
    }
    if let Some((name, form)) = SERVER_WIDE_FORMS
        .iter()
        .find(|(name, form)| is(0, name) && is(1, form))
    {
        return Some(refused(&format!("{name} {form}")));
    }
    if is(0, "SELECT")
        && args
            .get(1)
            .is_some_and(|arg| arg != database.to_string().as_bytes())
    {
        return Some(elsewhere("SELECT", database));
    }
    if is(0, "COPY")
        && args
            .iter()
            .skip(3)
            .any(|arg| arg.eq_ignore_ascii_case(b"DB"))
    {
        return Some(elsewhere("COPY to another database", database));
    }
    let script = is(0, "EVAL") || is(0, "EVAL_RO") || (is(0, "SCRIPT") && is(1, "LOAD"));
    let source = args.get(if is(0, "SCRIPT") { 2 } else { 1 });
    if let (true, Some(source)) = (script, source) {
        // A script that puts the name together piece by piece escapes this: it is a guard
        // against accidents, the learner is not an enemy of the server.
        let source = source.to_ascii_uppercase();
        let names = |name: &str| {
            [b'\'', b'"'].iter().any(|quote| {
                let quoted = [&[*quote], name.as_bytes(), &[*quote]].concat();
                source.windows(quoted.len()).any(|part| part == quoted)
            })
        };
        let selects = ["SELECT"].into_iter();
        if let Some(name) = SERVER_WIDE
            .iter()
            .copied()
            .chain(selects)
            .find(|n| names(n))
        {
            return Some(refused(&format!("{name} in a script")));
        }
    }
    None
}

fn refused(what: &str) -> String {
    format!(
        "ERR {what} is refused here: this Redis server is not the lab's own, and the command \
         reaches beyond the database that the lab may use"
    )
}

fn elsewhere(what: &str, database: u32) -> String {
    format!(
        "ERR {what} is refused here: this Redis server is not the lab's own, and the lab may \
         use database {database} only"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> bool {
        let args: Vec<Bytes> = words.iter().map(|w| Bytes::from((*w).to_owned())).collect();
        reason(&args, 3).is_some()
    }

    #[test]
    fn what_reaches_beyond_the_database_is_refused_and_nothing_else() {
        for words in [
            &["flushall"][..],
            &["CONFIG", "SET", "maxmemory", "1"],
            &["client", "kill", "ID", "4"],
            &["SELECT", "0"],
            &["COPY", "a", "b", "DB", "4"],
            &["EVAL", "return redis.call('flushAll')", "0"],
            &["SCRIPT", "LOAD", "redis.call(\"CONFIG\", 'GET', 'x')"],
        ] {
            assert!(refused(words), "{words:?}");
        }
        for words in [
            &["GET", "FLUSHALL"][..],
            &["SELECT", "3"],
            &["CLIENT", "SETNAME", "KILL"],
            &["COPY", "a", "b", "REPLACE"],
            &["EVAL", "return redis.call('get', 'config:1')", "0"],
        ] {
            assert!(!refused(words), "{words:?}");
        }
    }
}
