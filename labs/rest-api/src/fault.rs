//! What can go wrong in a handler, and which HTTP status says so.
//!
//! Good enough for most exercises: `?` on what the database or another service answers.
//! Exercise 2 makes a better one.

use std::fmt;
use std::io::Write as _;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request could not be served.
#[derive(Debug)]
pub enum Fault {
    /// There is no such thing, or none for this caller: 404.
    NotFound,
    /// Nobody knows the caller: 401.
    Unauthorised,
    /// What was asked cannot be done, in words for the caller.
    Refused(StatusCode, &'static str),
    /// The database failed: 500, or 422 where it cannot hold the value.
    Database(sqlx::Error),
    /// Another service failed or could not be reached: 502.
    Upstream(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "there is no such thing"),
            Self::Unauthorised => write!(f, "who are you?"),
            Self::Refused(_, why) => write!(f, "{why}"),
            Self::Database(error) => write!(f, "the database failed: {error}"),
            Self::Upstream(reason) => write!(f, "another service failed: {reason}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        Self::Upstream(error.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        // Details are for the log and for nobody outside.
        let (status, words) = match &self {
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such thing"),
            Self::Unauthorised => (StatusCode::UNAUTHORIZED, "who are you?"),
            Self::Refused(status, why) => (*status, *why),
            Self::Database(error) if is_about_data(error) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "this cannot be stored")
            }
            Self::Database(_) => (StatusCode::INTERNAL_SERVER_ERROR, "something failed here"),
            Self::Upstream(_) => (StatusCode::BAD_GATEWAY, "another service failed"),
        };
        if status.is_server_error() {
            // Whoever reads the log may have gone.
            let _ = writeln!(std::io::stderr(), "{self}");
        }
        let mut answer = (status, Json(json!({ "error": words }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        answer
    }
}

/// Class 22 of Postgres' error codes is about a value: a text with a NUL in it, a number that
/// is too large.
fn is_about_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22"))
}
