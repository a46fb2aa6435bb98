//! The payment provider's client.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Where money is moved, for real.
#[derive(Clone)]
pub struct Provider {
    url: String,
    client: reqwest::Client,
}

/// What is to be charged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Charge<'a> {
    /// What it is for.
    pub order: &'a str,
    /// How much.
    pub cents: i64,
}

#[derive(Deserialize)]
struct Receipt {
    charge: String,
}

impl Provider {
    /// The provider at this address.
    pub fn at(url: String) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { url, client })
    }

    /// Charges, and returns the number of the charge.
    ///
    /// With a key the provider charges once for all calls that have the same one, and answers
    /// each of them with the same charge; to another charge under a key that it knows it says
    /// no. Without one each call is a charge.
    pub async fn charge(&self, what: &Charge<'_>, key: Option<&str>) -> Result<String, Fault> {
        let mut call = self.client.post(format!("{}/charges", self.url)).json(what);
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        let answer = call.send().await?.error_for_status()?;
        let receipt: Receipt = answer.json().await?;
        Ok(receipt.charge)
    }
}
