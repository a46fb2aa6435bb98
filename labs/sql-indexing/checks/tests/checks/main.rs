//! The checks of the sql-indexing lab: one module per exercise, one function per promise.

mod composite_index;
mod covering_index;
mod first_index;
mod keyset_pages;
mod online_migration;
mod packing_slips;
mod partial_index;
mod sargable_predicates;

labkit::playground!(sql_indexing_checks::ByHand);
