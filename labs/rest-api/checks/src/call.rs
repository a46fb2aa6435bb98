//! A request with headers of its own, and the answer with its.

use std::fmt::{self, Write as _};

use labkit::finding;
use labkit::timeline::{EventId, Timeline};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use crate::instance::Instance;

/// A body that fits a line of the timeline is worth showing.
const SHOWN: usize = 80;
/// The headers that decide something here.
const TELLING: [&str; 2] = ["if-match", "idempotency-key"];

/// A request to the learner's service.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Call {
    /// Any method.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A POST.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// A PUT.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new("PUT", path)
    }

    /// A PATCH.
    pub fn patch(path: impl Into<String>) -> Self {
        Self::new("PATCH", path)
    }

    /// A DELETE.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// With one header more.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// By whoever has this token.
    pub fn by(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a JSON body.
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body)
            .unwrap_or_else(|error| finding::error(format!("no JSON: {error}")));
        self.raw("application/json", body)
    }

    /// With any body.
    pub fn raw(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request in one line, with what decides.
    pub fn words(&self) -> String {
        let mut words = self.line();
        for (name, value) in &self.headers {
            let unusual = name == "content-type" && value != b"application/json";
            if unusual || TELLING.contains(&name.as_str()) {
                let _ = write!(words, " {name}: {}", String::from_utf8_lossy(value));
            }
        }
        if let Some(body) = &self.body
            && body.len() <= SHOWN
        {
            words.push(' ');
            for c in String::from_utf8_lossy(body).chars() {
                match c.is_control() {
                    true => words.extend(c.escape_default()),
                    false => words.push(c),
                }
            }
        }
        words
    }

    pub(crate) fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            match (name, HeaderValue::from_bytes(value)) {
                (Ok(name), Ok(value)) => {
                    map.append(name, value);
                }
                _ => finding::error(format!("{self:?} has a header that cannot be sent")),
            }
        }
        map
    }
}

/// What the learner's service answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The request in one line.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
    pub(crate) headers: HeaderMap,
    pub(crate) event: EventId,
    pub(crate) timeline: Timeline,
}

impl Reply {
    /// A header as text; all of one name in one, with commas between them.
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// All headers as text, a line each.
    pub fn head(&self) -> String {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        };
        self.headers.iter().map(line).collect()
    }

    /// The path of what was created. `Location` may be a whole URL, or relative to the request's
    /// (RFC 9110, 10.2.2), which went to `collection`.
    pub fn location(&self, app: &Instance, collection: &str) -> String {
        let Some(location) = self.header("location") else {
            self.refuse(
                "no Location",
                format!("{} answered 201 without a Location", self.request),
                "Location: the address of what was created",
            );
        };
        let request = format!("{}{collection}", app.app.url());
        let place = reqwest::Url::parse(&request).and_then(|request| request.join(&location));
        match place {
            Ok(place) => place.path().to_owned(),
            Err(error) => self.refuse(
                "no address",
                format!("Location: {location}, which is no address: {error}"),
                "the address of what was created",
            ),
        }
    }

    /// The media type, without its parameters.
    pub fn media_type(&self) -> String {
        let whole = self.header("content-type").unwrap_or_default();
        let bare = whole.split(';').next().unwrap_or_default();
        bare.trim().to_ascii_lowercase()
    }

    /// Whether it says that the service is at fault.
    pub fn is_fault(&self) -> bool {
        self.status >= 500
    }

    /// The body as JSON; what the app sent instead fails the check.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| {
            self.refuse(
                "not JSON",
                format!(
                    "{} answered {self}, which does not read: {error}",
                    self.request
                ),
                "the JSON that the brief describes",
            )
        })
    }

    /// Fails the check unless the status is `status`; `because` says what the brief asks.
    pub fn expect(self, status: u16, because: &str) -> Self {
        self.expect_one_of(&[status], because)
    }

    /// Fails the check unless the status is one of these.
    pub fn expect_one_of(self, allowed: &[u16], because: &str) -> Self {
        if !allowed.contains(&self.status) {
            let words: Vec<String> = allowed.iter().map(u16::to_string).collect();
            let words = words.join(" or ");
            self.refuse(
                &format!("not {words}"),
                format!("{} answered {self}", self.request),
                format!("{words}: {because}"),
            );
        }
        self
    }

    /// Fails the check, and points the reader of the timeline at this answer.
    pub fn refuse(&self, note: &str, saw: impl Into<String>, expected: impl Into<String>) -> ! {
        self.point(note);
        finding::fail("", saw, expected)
    }

    /// Points the reader of the timeline at this answer.
    pub fn point(&self, note: impl Into<String>) {
        self.timeline.note(self.event, note);
    }
}

/// Status and a body short enough for a finding.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body.trim();
        if body.is_empty() {
            return write!(f, "{}", self.status);
        }
        let short: String = body.chars().take(200).collect();
        let dots = if short.len() < body.len() { "…" } else { "" };
        write!(f, "{} with the body {short}{dots}", self.status)
    }
}
