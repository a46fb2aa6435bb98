//! The checks of the lab: one module per exercise.

mod greeting;
