//! What an exercise starts from: `use crate::prelude::*;`.

#![allow(
    unused_imports,
    reason = "laid out for the exercises, not all used yet"
)]

pub use std::time::Duration;

pub use axum::extract::Request;
pub use axum::http::{Method, StatusCode};
pub use axum::middleware::Next;
pub use axum::response::Response;
pub use prometheus::{
    Counter, CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

pub use crate::clock::Clock;
pub use crate::pages::Template;
