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
        let insert = format!("INSERT INTO users (name) VALUES ('{name}')");
        self.registered(&insert).await
    }

    /// The same, with a number of the check's choice, which nobody may have.
    pub async fn person_numbered(&mut self, name: &str, id: i64) -> Person {
        let insert =
            format!("INSERT INTO users (id, name) OVERRIDING SYSTEM VALUE VALUES ({id}, '{name}')");
        self.registered(&insert).await
    }

    async fn registered(&mut self, insert: &str) -> Person {
        let token = format!("{:032x}", self.rng.random::<u128>());
        let id = self
            .inside
            .number(&format!(
                "WITH u AS ({insert} RETURNING id),
                 t AS (INSERT INTO tokens SELECT '{token}', id FROM u)
                 SELECT id FROM u"
            ))
            .await;
        Person { id, token }
    }
}
