//! The checks of the rest-api lab: one module per exercise, one function per promise.

mod authorisation;
mod crud;
mod etag;
mod idempotency;
mod listing;
mod problem_details;
mod survive_load;

labkit::playground!(rest_api_checks::ByHand);
