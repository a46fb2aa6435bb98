//! The client of the catalogue: the service that owns products, prices and vouchers.
//!
//! The catalogue is the truth. It is also slow, and paid for by the request.

use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::error::ShopError;

/// A product as its page shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// The catalogue's number for it.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// Some sentences about it.
    pub description: String,
    /// How many are in stock; negative while orders wait for a delivery.
    pub stock: i64,
}

/// What a product costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// In cents: money is never a float.
    pub cents: u64,
}

/// What a voucher is good for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Voucher {
    /// How many per cent it takes off.
    pub percent: u8,
    /// The campaign that it was printed for.
    pub campaign: String,
}

/// One row of the nightly import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The product that is listed.
    pub id: u64,
    /// The line that a search result shows.
    pub title: String,
}

/// A connection to the catalogue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalogue {
    client: reqwest::Client,
    base: String,
}

impl Catalogue {
    /// Speaks to the catalogue at `base`, a URL without a path.
    pub fn at(base: String) -> Result<Self, reqwest::Error> {
        // A proxy of the machine has no business between two services of one shop.
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, base })
    }

    /// One product; [`ShopError::NotFound`] where there is none.
    pub async fn product(&self, id: u64) -> Result<Product, ShopError> {
        let answer = self.ask(Method::GET, &format!("/products/{id}")).await?;
        Ok(answer.json().await?)
    }

    /// Changes a price. When this returns `Ok`, the change is committed.
    pub async fn change_price(&self, id: u64, price: Price) -> Result<(), ShopError> {
        self.put(&format!("/prices/{id}"), &price).await
    }

    /// The voucher behind a code; `None` where the catalogue says that there is none.
    pub async fn voucher(&self, code: &str) -> Result<Option<Voucher>, ShopError> {
        match self.ask(Method::GET, &format!("/vouchers/{code}")).await {
            Ok(answer) => Ok(Some(answer.json().await?)),
            Err(ShopError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a voucher. When this returns `Ok`, it is committed.
    pub async fn create_voucher(&self, code: &str, voucher: &Voucher) -> Result<(), ShopError> {
        self.put(&format!("/vouchers/{code}"), voucher).await
    }

    /// Everything that the nightly import brings.
    pub async fn listings(&self) -> Result<Vec<Listing>, ShopError> {
        Ok(self.ask(Method::GET, "/listings").await?.json().await?)
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Response, ShopError> {
        let url = format!("{}{path}", self.base);
        accepted(self.client.request(method, url).send().await?)
    }

    async fn put(&self, path: &str, body: &impl Serialize) -> Result<(), ShopError> {
        let url = format!("{}{path}", self.base);
        accepted(self.client.put(url).json(body).send().await?)?;
        Ok(())
    }
}

fn accepted(answer: Response) -> Result<Response, ShopError> {
    match answer.status() {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(ShopError::NotFound),
        StatusCode::UNPROCESSABLE_ENTITY => Err(ShopError::Refused),
        status => Err(ShopError::Catalogue(format!("it answered {status}"))),
    }
}
