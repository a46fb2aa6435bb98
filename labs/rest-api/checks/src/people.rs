//! Who calls: users with tokens, made past the API.

use rand::RngExt as _;

use crate::Api;

/// A user, and the token that proves it.
#[derive(Clone, Debug)]
pub struct Person {
    /// `users.id`.
    pub id: i64,
    /// What stands behind `Bearer`.
    pub token: String,
}

impl Api {
    /// A customer who did not exist before.
    pub async fn person(&mut self, name: &str) -> Person {
        let token = format!("{:032x}", self.rng.random::<u128>());
        let id = self
            .inside
            .number(&format!(
                "WITH u AS (INSERT INTO users (name) VALUES ('{name}') RETURNING id),
                 t AS (INSERT INTO tokens SELECT '{token}', id FROM u)
                 SELECT id FROM u"
            ))
            .await;
        Person { id, token }
    }
}
