//! What an exercise starts from: `use crate::prelude::*;`.

#![allow(
    unused_imports,
    reason = "laid out for the exercises, not all used yet"
)]

pub use std::collections::HashMap;

pub use serde::{Deserialize, Serialize};
pub use sqlx::PgPool;

pub use crate::desk::{DeskError, Item, Order, Page, Slip};
