//! What is in the database besides indexes: a migration that adds an index leaves the rest as
//! it was.

use std::collections::{BTreeMap, BTreeSet};

use labkit::finding::fail;

use crate::database::Database;
use crate::session::{Rows, Session};

/// Tables, views and their columns, by name.
const TABLES: &str = "
    SELECT c.relname,
           format('%s %s with the columns %s',
                  CASE c.relkind WHEN 'r' THEN 'table' ELSE 'view' END, c.oid,
                  string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                             ORDER BY a.attnum))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
      AND c.relname NOT LIKE 'pg_stat_statements%'
      AND a.attname <> ALL ($ADDED$)
    GROUP BY c.relname, c.relkind, c.oid";

/// What a table does with the rows that come, a rule a line. A unique constraint is not among
/// them: it is an index with another name, and indexes are looked at by themselves.
const RULES: &str = "
    WITH tables AS (
        SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p')
          AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
    )
    SELECT t.relname || ' has ' || rule FROM tables t, LATERAL (
        SELECT format('the default %s for %s', pg_get_expr(d.adbin, t.oid), a.attname)
        FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = t.oid
        UNION ALL
        SELECT format('no NULL in %s', attname) FROM pg_attribute
        WHERE attrelid = t.oid AND attnotnull AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT format('the constraint %s', pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE conrelid = t.oid AND contype NOT IN ('u', 'n')
        UNION ALL
        SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = t.oid AND NOT tgisinternal
        UNION ALL
        SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = t.oid
        UNION ALL
        SELECT 'the setting ' || setting FROM unnest(t.reloptions) AS setting
        UNION ALL
        SELECT 'no log: a crash of the server empties it' WHERE t.relpersistence <> 'p'
        UNION ALL
        SELECT 'row level security' WHERE t.relrowsecurity
        UNION ALL
        SELECT format('the rows in the order of %s', indexrelid::regclass) FROM pg_index
        WHERE indrelid = t.oid AND indisclustered
        UNION ALL
        SELECT format('a sample of another size for %s', attname) FROM pg_attribute
        WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0
        UNION ALL
        SELECT format('the extended statistics %s', stxname) FROM pg_statistic_ext
        WHERE stxrelid = t.oid
    ) AS rules (rule) ORDER BY 1";

/// All that a shop cannot lose. An empty note counts as none: one exercise makes that of it.
const CONTENTS: [(&str, &str); 3] = [
    (
        "orders",
        "SELECT format('%s orders over %s cents, %s', count(*), sum(total_cents),
                sum(hashtextextended(
                    concat_ws('|', ref, status, email, ship_to, nullif(note, '')),
                    hashint8extended((extract(epoch FROM created_at) * 1000000)::bigint,
                                     id + customer_id * total_cents))))
         FROM orders",
    ),
    (
        "customers",
        "SELECT format('%s customers, %s', count(*),
                sum(hashtextextended(concat_ws('|', id, name, email, joined_on), 0)))
         FROM customers",
    ),
    (
        "order_items",
        "SELECT format('%s items, %s', count(*),
                sum(hashtextextended(concat_ws('|', order_id, line, sku, quantity, cents), 0)))
         FROM order_items",
    ),
];

/// An index as the catalogue describes it.
#[derive(Clone, Debug)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// The statement that would make it.
    pub definition: String,
    /// How large it is.
    pub bytes: u64,
    /// Whether queries may use it; one whose building failed stays behind without.
    pub valid: bool,
}

impl Index {
    /// Whether it is one of this table.
    pub fn is_on(&self, table: &str) -> bool {
        self.definition.contains(&format!(" ON public.{table} "))
    }
}

/// A database at some moment.
pub struct State {
    tables: BTreeMap<String, String>,
    rules: BTreeSet<String>,
    contents: BTreeMap<String, String>,
    indexes: Vec<Index>,
    settings: Vec<String>,
}

impl State {
    /// The same, and it is as well if this index is gone later.
    pub fn with_or_without(mut self, index: &str) -> Self {
        self.indexes.retain(|it| it.name != index);
        self
    }

    /// Whether it differs in nothing but indexes is asked of a later one. Columns of these
    /// names are not looked at.
    pub(crate) async fn of(database: &Database, added: &[&str]) -> Self {
        let mut session = database.administrator().await;
        let added: Vec<String> = added.iter().map(|name| format!("'{name}'")).collect();
        let tables = TABLES.replace("$ADDED$", &format!("ARRAY[{}]::text[]", added.join(", ")));
        let tables = pairs(session.must(&tables).await);
        let mut contents = BTreeMap::new();
        for (table, digest) in CONTENTS {
            if tables.contains_key(table) {
                // A table that was changed may not have all its columns any more.
                let digest = match session.run(digest).await {
                    Ok(digest) => digest.rows.into_iter().flatten().flatten().collect(),
                    Err(refusal) => refusal.in_words(),
                };
                contents.insert(table.to_owned(), digest);
            }
        }
        let rules = session.must(RULES).await.rows;
        Self {
            tables,
            rules: rules.into_iter().flatten().flatten().collect(),
            contents,
            indexes: indexes(&mut session).await,
            settings: settings(&mut session, database.role()).await,
        }
    }
}

impl Database {
    /// The state before anybody came.
    pub async fn before(&self) -> State {
        State::of(self, &[]).await
    }

    /// The same for an exercise that adds these columns.
    pub async fn before_adding(&self, columns: &[&str]) -> State {
        State::of(self, columns).await
    }

    /// The indexes that are there now and were not before.
    pub async fn new_indexes(&self, before: &State) -> Vec<Index> {
        let mut now = indexes(&mut self.administrator().await).await;
        now.retain(|index| before.indexes.iter().all(|old| old.name != index.name));
        now
    }

    /// Fails the check if anything but indexes was changed: tables, columns, rows, or settings
    /// that outlive the file's own connection.
    pub async fn expect_only_indexes(&self, before: &State, did: &str, added: &[&str]) {
        let now = State::of(self, added).await;
        let expected = "tables, columns, rules, rows and everybody's settings as they were";
        for (name, was) in &before.tables {
            match now.tables.get(name) {
                None => fail(did, format!("the table {name} is gone"), expected),
                Some(is) if is != was => {
                    fail(did, format!("{name} was a {was}; it is a {is}"), expected)
                }
                Some(_) => {}
            }
        }
        for name in now.tables.keys() {
            if !before.tables.contains_key(name) {
                fail(
                    did,
                    format!("there is something new called {name}"),
                    expected,
                );
            }
        }
        if let Some(lost) = before.rules.difference(&now.rules).next() {
            fail(did, format!("this is no longer so: {lost}"), expected);
        }
        if let Some(gained) = now.rules.difference(&before.rules).next() {
            fail(did, format!("this is new: {gained}"), expected);
        }
        for (name, was) in &before.contents {
            let is = now.contents.get(name).cloned().unwrap_or_default();
            if is != *was {
                fail(
                    did,
                    format!("the rows of {name} are others: before {was}, now {is}"),
                    expected,
                );
            }
        }
        if let Some(setting) = now.settings.first() {
            fail(
                did,
                format!(
                    "from now on every connection begins with {setting}: that decides for all \
                     queries of all programs, to win one"
                ),
                expected,
            );
        }
        let made = now.indexes.iter();
        let mut made = made.filter(|it| before.indexes.iter().all(|old| old.name != it.name));
        if let Some(index) = made.find(|index| !index.is_on("orders")) {
            fail(
                did,
                format!("a new index on another table: {}", index.definition),
                "indexes on orders, and on no other table",
            );
        }
        for old in &before.indexes {
            let saw = match now.indexes.iter().find(|index| index.name == old.name) {
                None => format!("the index {} is gone", old.name),
                Some(index) if !index.valid => format!("the index {} is invalid", old.name),
                Some(index) if index.definition != old.definition => {
                    format!("{} is now `{}`", old.name, index.definition)
                }
                Some(_) => continue,
            };
            fail(did, saw, "the indexes that were there are still there");
        }
    }

    /// Fails the check unless the shop can go on selling: three orders of one customer and one
    /// moment, two of them of one reference too.
    pub async fn expect_orders_are_taken(&self, did: &str) {
        let references = ["check-1", "check-1", "check-2"];
        self.expect_orders_are_taken_of(did, references).await;
    }

    /// The same with these references: orders are taken, packed and thrown away. The first
    /// costs nothing.
    pub async fn expect_orders_are_taken_of(&self, did: &str, references: [&str; 3]) {
        let mut session = self.owner().await;
        let insert = format!(
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT ref, 7, 'new', timestamptz '2026-11-24 12:00:00+00', 100 * (i - 1),
                    'Noah_4@example.org',
                    -- As long as no entry of an index may be, also when it is compressed.
                    (SELECT string_agg(md5(n::text), ' ') FROM generate_series(1, i * 100) AS n)
             FROM unnest(ARRAY['{}']) WITH ORDINALITY AS taken (ref, i)",
            references.join("', '")
        );
        let statements = [
            "BEGIN",
            &insert,
            "UPDATE orders SET status = 'delivered', note = 'left at the door' WHERE ref LIKE 'check-%'",
            "DELETE FROM orders WHERE ref LIKE 'check-%'",
            "ROLLBACK",
        ];
        for statement in statements {
            if let Err(refusal) = session.run(statement).await {
                fail(
                    format!(
                        "{did}; then took three orders of one customer from one import, {}",
                        references.join(", ")
                    ),
                    format!(
                        "`{}`: {}",
                        labkit::sql::folded(statement, 60),
                        refusal.in_words()
                    ),
                    "orders are taken, packed and deleted as before",
                );
            }
        }
    }
}

async fn indexes(session: &mut Session) -> Vec<Index> {
    let rows = session.must(
        "SELECT c.relname, pg_get_indexdef(c.oid), pg_relation_size(c.oid), i.indisvalid
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname NOT LIKE 'pg\\_%' ORDER BY c.oid",
    );
    let rows = rows.await.rows.into_iter();
    let index = rows.map(|row| {
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || fields.next().unwrap_or_default();
        Index {
            name: next(),
            definition: next(),
            bytes: next().parse().unwrap_or_default(),
            valid: next() == "t",
        }
    });
    index.collect()
}

/// What was set for whole databases or roles.
async fn settings(session: &mut Session, role: &str) -> Vec<String> {
    let role = role.replace('\'', "''");
    let set = format!(
        "SELECT unnest(s.setconfig) FROM pg_db_role_setting s
         LEFT JOIN pg_database d ON d.oid = s.setdatabase
         LEFT JOIN pg_roles r ON r.oid = s.setrole
         WHERE (d.datname = current_database() OR r.rolname = '{role}') ORDER BY 1"
    );
    session
        .must(&set)
        .await
        .rows
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

fn pairs(rows: Rows) -> BTreeMap<String, String> {
    let pair = |row: Vec<Option<String>>| {
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        Some((fields.next()?, fields.next()?))
    };
    rows.rows.into_iter().filter_map(pair).collect()
}
