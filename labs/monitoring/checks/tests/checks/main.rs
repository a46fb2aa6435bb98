//! The checks of the monitoring lab: one module per exercise, one function per promise.

mod absence;
mod burn_rate;
mod cardinality;
mod instrument;
mod promql;
mod slo_histogram;

labkit::playground!(monitoring_checks::ByHand);
