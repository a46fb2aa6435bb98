//! Who is calling: `Authorization: Bearer TOKEN`.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::fault::Fault;
use crate::shop::Shop;

/// A caller whose token is known. As an argument of a handler it refuses everybody else with
/// 401. It says who they are, and nothing of what they may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `users.id`.
    pub user_id: i64,
}

impl FromRequestParts<Shop> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, shop: &Shop) -> Result<Self, Fault> {
        let header = parts.headers.get(AUTHORIZATION);
        let token = header
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(Fault::Unauthorised)?;
        let known = sqlx::query_scalar("SELECT user_id FROM tokens WHERE token = $1")
            .bind(token)
            .fetch_optional(&shop.pool)
            .await?;
        let user_id = known.ok_or(Fault::Unauthorised)?;
        Ok(Self { user_id })
    }
}
