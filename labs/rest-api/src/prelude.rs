//! What an exercise starts from: `use crate::prelude::*;`.

#![allow(
    unused_imports,
    reason = "laid out for the exercises, not all used yet"
)]

pub use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
pub use axum::extract::{Path, Query, Request, State};
pub use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
pub use axum::middleware::{self, Next};
pub use axum::response::{IntoResponse, Response};
pub use axum::routing::{any, delete, get, patch, post, put};
pub use axum::{Json, Router};
pub use serde::{Deserialize, Serialize};
pub use serde_json::{Value, json};
pub use sha2::{Digest, Sha256};
pub use sqlx::Row as _;

pub use crate::caller::Caller;
pub use crate::fault::Fault;
pub use crate::limits::Limits;
pub use crate::model::*;
pub use crate::provider::{Charge, Provider};
pub use crate::routes::HEALTH;
pub use crate::shop::Shop;
