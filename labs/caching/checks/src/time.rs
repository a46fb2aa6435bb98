//! Time that passes because a check says so: for the shop's clocks and for Redis alike.

use std::time::Instant;

use serde_json::json;

use crate::inside::Inside;
use crate::instance::Instance;

impl Inside {
    /// Lets time pass, for what Redis holds and for the clocks of these instances.
    pub async fn pass(&self, ms: i64, apps: &[&Instance]) {
        for entry in self.entries().await {
            if entry.pttl != -1 {
                let left = (entry.pttl - ms).max(0);
                let _: i64 = self
                    .ask(redis::cmd("PEXPIRE").arg(&entry.key).arg(left))
                    .await;
            }
        }
        for app in apps {
            let forward = json!({ "forward_ms": ms });
            let _ = app.put("/clock", &forward).await.expect_ok();
        }
    }
}

/// The most that a life can have lost since `began`, in ms: what went by, and what two
/// clocks of whole ms may differ by.
pub fn lost_since(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_millis()).map_or(i64::MAX, |ms| ms.saturating_add(2))
}
