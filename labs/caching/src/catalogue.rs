//! The client of the catalogue: the service that owns products, prices and vouchers.
//!
//! The catalogue is the truth. It is also slow, and paid for by the request.

use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
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

/// An offer of the day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deal {
    /// The catalogue's number for it.
    pub id: u64,
    /// The line that draws the crowd.
    pub title: String,
    /// What it costs today.
    pub cents: u64,
}

/// How a product is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manual {
    /// The product that it belongs to.
    pub id: u64,
    /// What it is called.
    pub title: String,
    /// All of it.
    pub text: String,
}

/// What sells best in one part of the shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The part of the shop.
    pub id: u64,
    /// The products, the best first.
    pub products: Vec<u64>,
}

/// How much of a product there is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stock {
    /// So many pieces.
    pub count: u64,
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

    /// One deal.
    pub async fn deal(&self, id: u64) -> Result<Deal, ShopError> {
        self.get(&format!("/deals/{id}")).await
    }

    /// One manual.
    pub async fn manual(&self, id: u64) -> Result<Manual, ShopError> {
        self.get(&format!("/manuals/{id}")).await
    }

    /// One ranking: dear, since all of today's sales are counted for it.
    pub async fn ranking(&self, id: u64) -> Result<Ranking, ShopError> {
        self.get(&format!("/rankings/{id}")).await
    }

    /// How much there is of a product.
    pub async fn stock(&self, id: u64) -> Result<Stock, ShopError> {
        self.get(&format!("/stock/{id}")).await
    }

    /// Changes how much there is. When this returns `Ok`, the change is committed.
    pub async fn change_stock(&self, id: u64, stock: Stock) -> Result<(), ShopError> {
        self.put(&format!("/stock/{id}"), &stock).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ShopError> {
        Ok(self.ask(Method::GET, path).await?.json().await?)
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
