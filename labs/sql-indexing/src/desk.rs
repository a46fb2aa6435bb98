//! What the desk shows, and what can go wrong there.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// An order as a list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// Its number.
    pub id: i64,
    /// What the marketplace calls it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// As Postgres writes it: `2026-05-05 12:20:00+00`.
    pub created_at: String,
    /// What it came to.
    pub total_cents: i32,
}

/// Some orders of a list, and where the next ones begin.
#[derive(Clone, Debug)]
pub struct Page<C> {
    /// In the order of the list.
    pub orders: Vec<Order>,
    /// None: there are no more.
    pub next: Option<C>,
}

/// What is put into a parcel.
#[derive(Clone, Debug, Serialize)]
pub struct Slip {
    /// What the marketplace calls the order.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Where the parcel goes.
    pub ship_to: String,
    /// What goes into it, line by line.
    pub items: Vec<Item>,
}

/// One line of a slip.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// What it is.
    pub sku: String,
    /// How many of it.
    pub quantity: i32,
}

/// Why a request could not be served.
#[derive(Debug)]
pub enum DeskError {
    /// The client asked for something that cannot be: 400.
    BadRequest(&'static str),
    /// Postgres refused a statement or could not be reached: 500.
    Database(sqlx::Error),
}

impl fmt::Display for DeskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(why) => write!(f, "{why}"),
            Self::Database(error) => write!(f, "postgres: {error}"),
        }
    }
}

impl std::error::Error for DeskError {}

impl From<sqlx::Error> for DeskError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for DeskError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}
