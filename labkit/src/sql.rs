//! SQL, cut as Postgres' lexer cuts it: enough to take a file apart into its statements, to
//! fold a statement into one line, and to tell what it begins with.
//!
//! Source of the rules: PostgreSQL documentation, "Lexical Structure".

use std::fmt;

/// One statement of a text that may hold several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// As it was written, from its first word on and without the semicolon.
    pub text: &'a str,
    /// The line on which it begins; the first one is 1.
    pub line: usize,
}

/// The statements of a text. Only a semicolon between statements ends one: not in quotes or
/// comments, between brackets (`CREATE RULE`), or in a function's `BEGIN ATOMIC … END`.
///
/// For what Postgres takes alone and not among others, such as `VACUUM`. A text that leaves a
/// quote or a bracket open is a statement to its end, and the server's to refuse.
pub fn statements(sql: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    // Where a statement that has begun begins and, so far, ends.
    let mut open: Option<(usize, usize)> = None;
    let (mut brackets, mut bodies) = (0_usize, 0_usize);
    let mut last: Option<Token<'_>> = None;
    let mut end_one = |open: &mut Option<(usize, usize)>| {
        if let Some((start, end)) = open.take() {
            found.push(Statement {
                text: &sql[start..end],
                line: 1 + sql[..start].matches('\n').count(),
            });
        }
    };
    for token in Tokens::of(sql) {
        let start = token.text.as_ptr() as usize - sql.as_ptr() as usize;
        let end = start + token.text.len();
        if token.text == ";" && brackets == 0 && bodies == 0 {
            end_one(&mut open);
            last = None;
            continue;
        }
        match token.text {
            "(" => brackets += 1,
            ")" => brackets = brackets.saturating_sub(1),
            _ if token.is_word("ATOMIC") && last.is_some_and(|last| last.is_word("BEGIN")) => {
                bodies = 1;
            }
            _ if bodies > 0 && token.is_word("CASE") => bodies += 1,
            _ if bodies > 0 && token.is_word("END") => bodies -= 1,
            _ => {}
        }
        open = Some((open.map_or(start, |(first, _)| first), end));
        last = Some(token);
    }
    end_one(&mut open);
    found
}

/// A word, a quoted text or a sign.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    kind: Kind,
    /// Whether something stood between it and the one before it.
    gap: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A keyword, a name or a number: its case means nothing.
    Word,
    /// In quotes of any kind: what it says is meant as it stands.
    Quoted,
    Sign,
}

impl Token<'_> {
    fn is(&self, other: &Token<'_>) -> bool {
        match (self.kind, other.kind) {
            (Kind::Word, Kind::Word) => self.text.eq_ignore_ascii_case(other.text),
            (kind, other_kind) => kind == other_kind && self.text == other.text,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// The tokens of a text; comments and white space are none.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn of(sql: &'a str) -> Self {
        Self { rest: sql }
    }

    /// Goes past white space and comments; whether there were any.
    fn skip_gap(&mut self) -> bool {
        let before = self.rest.len();
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.starts_with("--") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if self.rest.starts_with("/*") {
                self.rest = &self.rest[comment(self.rest.as_bytes())..];
            } else {
                return self.rest.len() < before;
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let gap = self.skip_gap();
        let bytes = self.rest.as_bytes();
        let (length, kind) = match (*bytes.first()?, bytes.get(1)) {
            (b'e' | b'E', Some(b'\'')) => (1 + quoted(&bytes[1..], b'\'', true), Kind::Quoted),
            (b'\'', _) => (quoted(bytes, b'\'', false), Kind::Quoted),
            (b'"', _) => (quoted(bytes, b'"', false), Kind::Quoted),
            (b'$', _) if dollar_tag(self.rest).is_some() => {
                let tag = dollar_tag(self.rest).unwrap_or_default();
                let body = &self.rest[tag.len()..];
                let end = body.find(tag).map(|at| at + 2 * tag.len());
                (end.unwrap_or(bytes.len()), Kind::Quoted)
            }
            (first, _) if in_word(first) => {
                let end = bytes.iter().position(|byte| !in_word(*byte));
                (end.unwrap_or(bytes.len()), Kind::Word)
            }
            // Nothing else is longer than a byte: what is not ASCII belongs to a word.
            _ => (1, Kind::Sign),
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Token { text, kind, gap })
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

/// How long a text in quotes is, which stand doubled for one of themselves.
fn quoted(bytes: &[u8], quote: u8, backslash: bool) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        if *byte == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        } else if *byte == b'\\' && backslash {
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

/// How long a comment is; they nest.
fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The `$name$` that a text begins with; `$1` is a parameter.
fn dollar_tag(sql: &str) -> Option<&str> {
    let name = sql.strip_prefix('$')?;
    let end = name.find('$')?;
    let name = &name.as_bytes()[..end];
    let is_name =
        name.iter().all(|byte| in_word(*byte)) && !name.first().is_some_and(u8::is_ascii_digit);
    is_name.then(|| &sql[..end + 2])
}

/// The text in one line without its comments, and with single spaces outside quotes. Ends
/// soon after so many bytes.
pub fn folded(sql: &str, most: usize) -> String {
    let mut line = String::new();
    for token in Tokens::of(sql) {
        if token.gap && !line.is_empty() {
            line.push(' ');
        }
        line.push_str(token.text);
        if line.len() > most {
            return line;
        }
    }
    line.truncate(line.trim_end_matches([';', ' ']).len());
    line
}

/// The first word of a statement in capitals: `CREATE`.
pub fn verb(sql: &str) -> String {
    let first = Tokens::of(sql).find(|token| token.kind == Kind::Word);
    first
        .map(|token| token.text.to_ascii_uppercase())
        .unwrap_or_default()
}

/// The beginning of a statement, perhaps with gaps.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// A pattern whose gaps are written `…` or `...`.
    pub(crate) fn new(pattern: &str) -> Self {
        Self(folded(&pattern.replace("...", "…"), usize::MAX))
    }

    /// Whether one of the statements in this text begins so.
    pub(crate) fn meets(&self, sql: &str) -> bool {
        let pieces: Vec<Vec<Token<'_>>> = self.0.split('…').map(statement).collect();
        let tokens: Vec<Token<'_>> = Tokens::of(sql).collect();
        tokens
            .split(|token| token.text == ";")
            .any(|tokens| meets(&pieces, &same_word(tokens.to_vec())))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn statement(sql: &str) -> Vec<Token<'_>> {
    same_word(Tokens::of(sql).collect())
}

/// The first piece stands first, each other one somewhere behind the one before it.
fn meets(pieces: &[Vec<Token<'_>>], mut tokens: &[Token<'_>]) -> bool {
    pieces.iter().enumerate().all(|(i, piece)| {
        let last_start = match tokens.len().checked_sub(piece.len()) {
            None => return false,
            Some(_) if i == 0 => 0,
            Some(last) => last,
        };
        let found = (0..=last_start).find(|at| {
            tokens[*at..]
                .iter()
                .zip(piece)
                .all(|(token, p)| token.is(p))
        });
        if let Some(at) = found {
            tokens = &tokens[at + piece.len()..];
        }
        found.is_some()
    })
}

/// What Postgres takes for the same at the beginning of a statement is the same word.
fn same_word(mut tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    if let [first, rest @ ..] = tokens.as_mut_slice() {
        if first.is_word("END") {
            first.text = "COMMIT";
        } else if first.is_word("ABORT") {
            first.text = "ROLLBACK";
        } else if first.is_word("START") && rest.first().is_some_and(|t| t.is_word("TRANSACTION")) {
            first.text = "BEGIN";
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_folded_outside_its_quotes_only() {
        for (sql, line) in [
            ("SELECT  1 ;\n", "SELECT 1"),
            (
                "\n  SELECT a.b,\n\tc -- why\n FROM t /* and /* how */ */ WHERE x='a  b'",
                "SELECT a.b, c FROM t WHERE x='a  b'",
            ),
            (
                r"SELECT E'it\'s  --' , 'a''  b'",
                r"SELECT E'it\'s  --' , 'a''  b'",
            ),
            (
                "SELECT \"a  \"\"b\", $1::int",
                "SELECT \"a  \"\"b\", $1::int",
            ),
            (
                "DO $do$ a;  'b $$ $do$ ; SELECT  2",
                "DO $do$ a;  'b $$ $do$ ; SELECT 2",
            ),
            ("-- nothing", ""),
            ("SELECT 'open  end", "SELECT 'open  end"),
            ("/* open  end", ""),
            ("SELECT  ä_1  …", "SELECT ä_1 …"),
        ] {
            assert_eq!(folded(sql, usize::MAX), line, "{sql}");
        }
        assert!(folded(&"a ".repeat(1000), 100).len() < 110);
        assert_eq!(verb("/* x */ select 1"), "SELECT");
        assert_eq!(verb("(select 1)"), "SELECT");
    }

    #[test]
    fn a_text_is_cut_where_a_statement_ends_and_nowhere_else() {
        let cut = |sql| -> Vec<(usize, &str)> {
            let found = statements(sql).into_iter();
            found.map(|it| (it.line, it.text)).collect()
        };
        assert_eq!(
            cut("-- why;\nVACUUM orders;;\n\n /* ; */ SELECT 1\n  + 2 -- ;\n; SELECT ';'"),
            [
                (2, "VACUUM orders"),
                (4, "SELECT 1\n  + 2"),
                (6, "SELECT ';'")
            ]
        );
        for whole in [
            "DO $$ BEGIN PERFORM 1; PERFORM 2; END $$",
            "SELECT E'\\';', \";\"",
            "CREATE RULE r AS ON INSERT TO t DO (NOTIFY a; NOTIFY b)",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
            "SELECT 'open; end",
            "SELECT (1; VACUUM",
        ] {
            assert_eq!(cut(whole), [(1, whole)]);
        }
        assert_eq!(cut("BEGIN; COMMIT"), [(1, "BEGIN"), (1, "COMMIT")]);
        assert_eq!(cut(" ; -- nothing"), []);
    }

    #[test]
    fn a_pattern_meets_what_begins_so_however_it_is_written() {
        let meets = |pattern: &str, sql: &str| Pattern::new(pattern).meets(sql);
        for (pattern, sql) in [
            ("COMMIT", "commit"),
            ("COMMIT", "END;"),
            ("commit", "BEGIN; INSERT INTO t VALUES (1); COMMIT"),
            ("begin", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
            (
                "insert into orders (id, note",
                "/* api */ INSERT\n INTO orders(id, note) VALUES ($1, $2)",
            ),
            (
                "SELECT … FOR UPDATE",
                "SELECT * FROM stock WHERE id = $1 FOR UPDATE SKIP LOCKED",
            ),
            (
                "... insert into audit",
                "WITH x AS (INSERT INTO audit VALUES (1)) SELECT 1",
            ),
            ("SELECT 'a'", "select 'a'"),
        ] {
            assert!(meets(pattern, sql), "{pattern} and {sql}");
        }
        for (pattern, sql) in [
            ("UPDATE stock", "UPDATE stockpile SET n = 1"),
            ("UPDATE stock", "SELECT 'UPDATE stock'"),
            ("COMMIT", "SELECT 1; -- COMMIT"),
            ("COMMIT", "SELECT ';COMMIT'"),
            ("SELECT … FOR UPDATE", "SELECT FOR, 1, UPDATE"),
            ("SELECT 'a'", "SELECT 'A'"),
            ("SELECT 1", "SELECT"),
            ("SELECT", ""),
        ] {
            assert!(!meets(pattern, sql), "{pattern} and {sql}");
        }
    }
}
