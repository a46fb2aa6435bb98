//! What an exercise starts from: `use crate::prelude::*;`.

#![allow(
    unused_imports,
    reason = "laid out for the exercises, not all used yet"
)]

pub use std::time::Duration;

pub use rand::RngExt;
pub use rand::rngs::StdRng;
pub use redis::{AsyncTypedCommands, ExistenceCheck, Script, SetExpiry, SetOptions};

pub use crate::catalogue::{Deal, Manual, Price, Product, Ranking, Stock, Voucher};
pub use crate::error::ShopError;
pub use crate::shop::Shop;
