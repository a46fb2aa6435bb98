//! What stands for `$1`, `$2` … in a statement.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use postgres_protocol::types;
use time::{Date, Duration, PrimitiveDateTime, Time};

use crate::wire::message::{SHOWN_ITEMS, more, room, shown};

/// How many bytes of a binary value a line shows.
const SHOWN_BYTES: usize = 16;
/// Days from the year 0 to 2000-01-01, where the clock of Postgres begins, as Julian days.
const EPOCH: i32 = 2_451_545;

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// NULL.
    Null,
    /// A number or a boolean as Postgres writes it: `7`, `1.50`, `true`.
    Plain(String),
    /// Anything else that has a text: `spring`, `2026-11-24 12:30:00+00`, `{"a": 1}`.
    Text(String),
    /// An array.
    List(Vec<Param>),
    /// `bytea`, and a binary value of a type that the wire cannot read.
    Bytes(Bytes),
}

impl Param {
    /// The value as text, without quotes; nothing for NULL, an array and bytes.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Bytes(_) => None,
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Plain(text) => f.write_str(&shown(text.as_bytes(), room(f))),
            Self::Text(text) if text.is_empty() => f.write_str("\"\""),
            Self::Text(text) => write!(f, "\"{}\"", shown(text.as_bytes(), room(f))),
            Self::List(items) => list(f, items),
            Self::Bytes(bytes) => {
                f.write_str("\\x")?;
                for byte in bytes.iter().take(SHOWN_BYTES) {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str(if bytes.len() > SHOWN_BYTES { "…" } else { "" })
            }
        }
    }
}

/// `[7, "spring"]`
pub(in crate::wire) fn list(f: &mut fmt::Formatter<'_>, params: &[Param]) -> fmt::Result {
    f.write_char('[')?;
    for (i, param) in params.iter().take(SHOWN_ITEMS).enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        fmt::Display::fmt(param, f)?;
    }
    more(f, params.len())?;
    f.write_char(']')
}

/// The types that are read, by their OID. Source: PostgreSQL, `pg_type.dat`.
mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BYTEA: u32 = 17;
    pub(super) const NAME: u32 = 19;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT2: u32 = 21;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const OID: u32 = 26;
    pub(super) const JSON: u32 = 114;
    pub(super) const FLOAT4: u32 = 700;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const UNKNOWN: u32 = 705;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const VARCHAR: u32 = 1043;
    pub(super) const DATE: u32 = 1082;
    pub(super) const TIME: u32 = 1083;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    pub(super) const NUMERIC: u32 = 1700;
    pub(super) const UUID: u32 = 2950;
    pub(super) const JSONB: u32 = 3802;

    /// The type of an array's elements.
    pub(super) fn element(array: u32) -> Option<u32> {
        Some(match array {
            199 => JSON,
            1000 => BOOL,
            1001 => BYTEA,
            1003 => NAME,
            1005 => INT2,
            1007 => INT4,
            1009 => TEXT,
            1014 => BPCHAR,
            1015 => VARCHAR,
            1016 => INT8,
            1021 => FLOAT4,
            1022 => FLOAT8,
            1028 => OID,
            1115 => TIMESTAMP,
            1182 => DATE,
            1183 => TIME,
            1185 => TIMESTAMPTZ,
            1231 => NUMERIC,
            2951 => UUID,
            3807 => JSONB,
            _ => return None,
        })
    }
}

/// A value as it came in a Bind message; `binary`: in the binary format.
pub(super) fn param(of: u32, binary: bool, value: Option<&[u8]>) -> Param {
    let Some(value) = value else {
        return Param::Null;
    };
    let read = if binary {
        from_binary(of, value)
    } else {
        str::from_utf8(value).ok().map(|text| from_text(of, text))
    };
    read.unwrap_or_else(|| Param::Bytes(Bytes::copy_from_slice(value)))
}

fn from_text(of: u32, text: &str) -> Param {
    if let Some(element) = oid::element(of)
        && let Some(items) = array_literal(element, text)
    {
        return items;
    }
    match of {
        oid::BOOL => Param::Plain(match text {
            "t" => "true".to_owned(),
            "f" => "false".to_owned(),
            _ => text.to_owned(),
        }),
        oid::INT2
        | oid::INT4
        | oid::INT8
        | oid::OID
        | oid::FLOAT4
        | oid::FLOAT8
        | oid::NUMERIC
        | oid::BYTEA => Param::Plain(text.to_owned()),
        _ => Param::Text(text.to_owned()),
    }
}

fn from_binary(of: u32, value: &[u8]) -> Option<Param> {
    if oid::element(of).is_some() {
        return array(value);
    }
    let plain = |text: String| Some(Param::Plain(text));
    let text = |text: String| Some(Param::Text(text));
    match of {
        oid::BOOL => plain(types::bool_from_sql(value).ok()?.to_string()),
        oid::INT2 => plain(types::int2_from_sql(value).ok()?.to_string()),
        oid::INT4 => plain(types::int4_from_sql(value).ok()?.to_string()),
        oid::INT8 => plain(types::int8_from_sql(value).ok()?.to_string()),
        oid::OID => plain(types::oid_from_sql(value).ok()?.to_string()),
        oid::FLOAT4 => plain(types::float4_from_sql(value).ok()?.to_string()),
        oid::FLOAT8 => plain(types::float8_from_sql(value).ok()?.to_string()),
        oid::NUMERIC => plain(numeric(value)?),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::JSON | oid::UNKNOWN => {
            text(types::text_from_sql(value).ok()?.to_owned())
        }
        oid::JSONB => match value {
            // The version of the format, of which there is one.
            [1, json @ ..] => text(str::from_utf8(json).ok()?.to_owned()),
            _ => None,
        },
        oid::DATE => text(match types::date_from_sql(value).ok()? {
            i32::MAX => "infinity".to_owned(),
            i32::MIN => "-infinity".to_owned(),
            days => date(days)?.to_string(),
        }),
        oid::TIME => text(clock(
            Time::MIDNIGHT + Duration::microseconds(types::time_from_sql(value).ok()?),
        )),
        oid::TIMESTAMP => text(timestamp(types::timestamp_from_sql(value).ok()?, "")?),
        // On the wire it is always UTC.
        oid::TIMESTAMPTZ => text(timestamp(types::timestamp_from_sql(value).ok()?, "+00")?),
        oid::UUID => text(uuid(types::uuid_from_sql(value).ok()?)),
        _ => None,
    }
}

fn array(value: &[u8]) -> Option<Param> {
    use fallible_iterator::FallibleIterator as _;
    let array = types::array_from_sql(value).ok()?;
    let of = array.element_type();
    let items = array.values().map(|item| Ok(param(of, true, item)));
    Some(Param::List(items.collect().ok()?))
}

/// `{1,2,NULL}`, `{"a b",c}`; nothing for arrays of arrays, which stay text.
fn array_literal(element: u32, text: &str) -> Option<Param> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut rest = inside.chars().peekable();
    while rest.peek().is_some() {
        let mut item = String::new();
        let in_quotes = rest.next_if_eq(&'"').is_some();
        let mut closed = false;
        while let Some(c) = rest.next() {
            match c {
                '\\' => item.extend(rest.next()),
                '"' if in_quotes => {
                    closed = true;
                    break;
                }
                ',' if !in_quotes => break,
                '{' if !in_quotes => return None,
                _ => item.push(c),
            }
        }
        if in_quotes && (!closed || !matches!(rest.next(), None | Some(','))) {
            return None;
        }
        items.push(if !in_quotes && item.eq_ignore_ascii_case("NULL") {
            Param::Null
        } else {
            from_text(element, &item)
        });
    }
    Some(Param::List(items))
}

fn date(days: i32) -> Option<Date> {
    Date::from_julian_day(EPOCH.checked_add(days)?).ok()
}

fn timestamp(microseconds: i64, zone: &str) -> Option<String> {
    match microseconds {
        i64::MAX => return Some("infinity".to_owned()),
        i64::MIN => return Some("-infinity".to_owned()),
        _ => {}
    }
    let epoch = PrimitiveDateTime::new(date(0)?, Time::MIDNIGHT);
    let at = epoch.checked_add(Duration::microseconds(microseconds))?;
    Some(format!("{} {}{zone}", at.date(), clock(at.time())))
}

fn clock(time: Time) -> String {
    let (hour, minute, second) = time.as_hms();
    let whole = format!("{hour:02}:{minute:02}:{second:02}");
    match time.microsecond() {
        0 => whole,
        part => format!("{whole}.{part:06}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&i) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Digits to the base of 10,000, the first of which counts `weight` such places.
/// Source: PostgreSQL, `numeric_recv` in `numeric.c`.
fn numeric(value: &[u8]) -> Option<String> {
    let mut words = value
        .chunks(2)
        .map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
    let mut word = || words.next().flatten();
    let (count, weight, sign, scale) = (word()?, word()?, word()?, word()?);
    let weight = i32::from(weight.cast_signed());
    let mut digits = Vec::new();
    for _ in 0..count {
        digits.push(word().filter(|digit| *digit < 10_000)?);
    }
    let mut text = match sign {
        0x0000 => String::new(),
        0x4000 => "-".to_owned(),
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let digit = |place: i32| {
        let at = usize::try_from(weight - place).ok();
        at.and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    text.push_str(&digit(weight.max(0)).to_string());
    for place in (0..weight).rev() {
        write!(text, "{:04}", digit(place)).ok()?;
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + usize::from(scale);
        let mut place = -1;
        while text.len() < end {
            write!(text, "{:04}", digit(place)).ok()?;
            place -= 1;
        }
        text.truncate(end);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_words(of: u32, value: &[u8]) -> String {
        param(of, true, Some(value)).to_string()
    }

    #[test]
    fn binary_values_are_read_as_postgres_would_write_them() {
        let numeric = |words: &[u16]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            in_words(oid::NUMERIC, &bytes)
        };
        assert_eq!(numeric(&[2, 0, 0, 2, 12, 3400]), "12.34");
        assert_eq!(numeric(&[3, 1, 0x4000, 5, 1, 2345, 6000]), "-12345.60000");
        assert_eq!(numeric(&[1, 0xFFFF, 0, 4, 7]), "0.0007");
        assert_eq!(numeric(&[1, 0xFFFE, 0, 6, 1200]), "0.000012");
        assert_eq!(numeric(&[1, 2, 0, 0, 5]), "500000000");
        assert_eq!(numeric(&[0, 0, 0, 0]), "0");
        assert_eq!(numeric(&[0, 0, 0xC000, 0]), "NaN");

        let micros = 86_400_000_000_i64 + 1_500_000;
        assert_eq!(
            in_words(oid::TIMESTAMPTZ, &micros.to_be_bytes()),
            "\"2000-01-02 00:00:01.5+00\""
        );
        assert_eq!(
            in_words(oid::TIMESTAMP, &(-1_000_000_i64).to_be_bytes()),
            "\"1999-12-31 23:59:59\""
        );
        assert_eq!(
            in_words(oid::TIMESTAMP, &i64::MAX.to_be_bytes()),
            "\"infinity\""
        );
        assert_eq!(
            in_words(oid::DATE, &(-1_i32).to_be_bytes()),
            "\"1999-12-31\""
        );
        assert_eq!(in_words(oid::JSONB, b"\x01{\"a\": 1}"), "\"{\"a\": 1}\"");
        assert_eq!(
            in_words(oid::UUID, &[0xab; 16]),
            "\"abababab-abab-abab-abab-abababababab\""
        );
        assert_eq!(in_words(oid::FLOAT8, &1.5_f64.to_be_bytes()), "1.5");
        assert_eq!(
            in_words(oid::BYTEA, &[1; 40]),
            format!("\\x{}…", "01".repeat(16))
        );
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_shown_as_its_bytes() {
        for of in (0..4000).filter(|of| ![oid::BYTEA, oid::TEXT].contains(of)) {
            for value in [
                &b""[..],
                b"\xff",
                &[0xff; 7],
                &[0xff; 40],
                &[0; 12],
                &[0x7f; 20],
            ] {
                // Any of these may be a value of some type; none may be a panic.
                let _ = in_words(of, value);
            }
        }
        assert_eq!(in_words(oid::INT4, b"\x01\x02"), "\\x0102");
        assert_eq!(in_words(600, b"\x01\x02"), "\\x0102");
        assert_eq!(
            in_words(oid::TIMESTAMP, &(i64::MAX - 1).to_be_bytes()),
            "\\x7ffffffffffffffe"
        );
        assert_eq!(param(oid::INT4, true, None), Param::Null);
    }

    #[test]
    fn arrays_are_the_same_in_both_formats() {
        let mut binary = Vec::new();
        // One dimension, with NULLs, of int4; three elements from 1 on.
        for word in [1, 1, oid::INT4, 3, 1, 4, 7, u32::MAX, 4, 8] {
            binary.extend_from_slice(&word.to_be_bytes());
        }
        let list = param(1007, true, Some(&binary));
        assert_eq!(list.to_string(), "[7, NULL, 8]");
        assert_eq!(param(1007, false, Some(b"{7,NULL,8}")), list);
        let texts = param(1009, false, Some(br#"{a,"b, \"c\"",NULL,"NULL",""}"#));
        assert_eq!(texts.to_string(), r#"["a", "b, "c"", NULL, "NULL", ""]"#);
        assert_eq!(param(1007, false, Some(b"{}")), Param::List(Vec::new()));
        assert_eq!(
            param(1007, false, Some(b"{{1},{2}}")).to_string(),
            "\"{{1},{2}}\""
        );
        let many = Param::List(vec![Param::Plain("1".to_owned()); 20]);
        assert_eq!(many.to_string(), "[1, 1, 1, 1, 1, 1, 1, 1 … 12 more]");
    }
}
