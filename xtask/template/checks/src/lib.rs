//! What every check of the lab starts from.

use labkit::{App, Check, Fixture};

/// One running app.
pub struct Lab {
    /// The learner's service.
    pub app: App,
}

impl Fixture for Lab {
    async fn open(check: &Check) -> Self {
        Self {
            app: App::start(check, "app", &[]).await,
        }
    }
}

/// The brief's code is compiled, so that it cannot grow wrong.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Brief;
