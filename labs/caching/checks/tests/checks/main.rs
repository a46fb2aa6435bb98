//! The checks of the caching lab: one module per exercise, one function per promise.

mod cache_aside;
mod dead_cache;
mod eviction;
mod fenced_fill;
mod invalidate_on_write;
mod negative_caching;
mod stale_while_revalidate;
mod stampede_lock;
mod ttl_jitter;

labkit::playground!(caching_checks::ByHand);
