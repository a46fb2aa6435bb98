//! What the tables hold and the API speaks of.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

/// A row of `items`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Given by the database.
    pub id: i64,
    /// Any text.
    pub name: String,
    /// What it costs.
    pub cents: i64,
}

/// What a client may say of an item.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NewItem {
    /// Any text.
    pub name: String,
    /// What it costs.
    pub cents: i64,
}

impl FromRow<'_, PgRow> for Item {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            cents: row.try_get("cents")?,
        })
    }
}

/// A row of `pages`. The version is no part of what a client sees of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// Given by the database.
    pub id: i64,
    /// Any text.
    pub title: String,
    /// Any text.
    pub text: String,
    /// One more with each change, if somebody counts.
    #[serde(skip)]
    pub version: i64,
}

impl FromRow<'_, PgRow> for Page {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            title: row.try_get("title")?,
            text: row.try_get("text")?,
            version: row.try_get("version")?,
        })
    }
}

/// A row of `orders`. Whose it is, is nobody's business but the owner's, who knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    /// Given by the database.
    pub id: i64,
    /// Whose it is.
    #[serde(skip)]
    pub user_id: i64,
    /// Any text.
    pub note: String,
    /// `open` or `cancelled`.
    pub state: String,
}

impl FromRow<'_, PgRow> for Order {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            note: row.try_get("note")?,
            state: row.try_get("state")?,
        })
    }
}

/// A row of `order_lines`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Given by the database.
    pub id: i64,
    /// The order that it stands in.
    pub order_id: i64,
    /// Any text.
    pub product: String,
    /// How many.
    pub quantity: i64,
}

impl FromRow<'_, PgRow> for Line {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            order_id: row.try_get("order_id")?,
            product: row.try_get("product")?,
            quantity: row.try_get("quantity")?,
        })
    }
}

/// A row of `users`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// Given by the database.
    pub id: i64,
    /// Any text.
    pub name: String,
    /// `customer` or `admin`.
    pub role: String,
}

impl FromRow<'_, PgRow> for User {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            role: row.try_get("role")?,
        })
    }
}
