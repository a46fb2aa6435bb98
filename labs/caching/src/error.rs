//! What can go wrong in the shop, and which HTTP status says so.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request could not be served.
#[derive(Debug)]
pub enum ShopError {
    /// The catalogue answered that there is no such thing: 404.
    NotFound,
    /// The catalogue did not accept a change: 422.
    Refused,
    /// The catalogue failed or could not be reached: 502.
    Catalogue(String),
    /// Redis failed or could not be reached: 500.
    Redis(redis::RedisError),
    /// A value could not be written as JSON or read from it: 500.
    Json(serde_json::Error),
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "there is no such thing"),
            Self::Refused => write!(f, "the catalogue refuses this change"),
            Self::Catalogue(reason) => write!(f, "the catalogue failed: {reason}"),
            Self::Redis(error) => write!(f, "redis failed: {error}"),
            Self::Json(error) => write!(f, "not the JSON that was expected: {error}"),
        }
    }
}

impl std::error::Error for ShopError {}

impl From<redis::RedisError> for ShopError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<serde_json::Error> for ShopError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<reqwest::Error> for ShopError {
    fn from(error: reqwest::Error) -> Self {
        Self::Catalogue(error.to_string())
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Catalogue(_) => StatusCode::BAD_GATEWAY,
            Self::Redis(_) | Self::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}
