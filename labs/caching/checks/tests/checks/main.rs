//! The checks of the caching lab: one module per exercise, one function per promise.

mod cache_aside;
mod eviction;
mod invalidate_on_write;
mod negative_caching;
mod ttl_jitter;
