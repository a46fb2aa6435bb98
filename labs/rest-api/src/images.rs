//! Pictures of products, and what is to be read below them. Another service keeps both; no request for one needs the database.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use reqwest::Url;

use crate::fault::Fault;
use crate::shop::Shop;

/// The routes of pictures.
pub fn routes() -> Router<Shop> {
    Router::new()
        .route("/images/{name}", get(show).put(keep))
        .route("/captions/{name}", put(describe))
}

/// Where pictures are kept.
#[derive(Clone)]
pub struct ImageStore {
    url: Url,
    client: reqwest::Client,
}

/// A picture, and its media type.
struct Picture {
    kind: HeaderValue,
    bytes: Bytes,
}

impl ImageStore {
    /// The store at this address.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url)?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { url, client })
    }

    async fn get(&self, name: &str) -> Result<Option<Picture>, Fault> {
        let answer = self.client.get(self.place(name)).send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = answer.error_for_status()?;
        // The store says of each picture what it is, says the store.
        let kind = answer.headers()[header::CONTENT_TYPE].clone();
        let bytes = answer.bytes().await?;
        Ok(Some(Picture { kind, bytes }))
    }

    async fn put(&self, name: &str, picture: Picture) -> Result<(), Fault> {
        let call = self.client.put(self.place(name));
        let call = call.header(header::CONTENT_TYPE, picture.kind);
        call.body(picture.bytes).send().await?.error_for_status()?;
        Ok(())
    }

    fn place(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        // What has no path is no http address.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["images", name]);
        }
        url
    }
}

async fn show(State(shop): State<Shop>, Path(name): Path<String>) -> Result<Response, Fault> {
    let picture = shop.images.get(&name).await?.ok_or(Fault::NotFound)?;
    let head = [(header::CONTENT_TYPE, picture.kind)];
    Ok((head, picture.bytes).into_response())
}

async fn keep(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, Fault> {
    let kind = headers.get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    shop.images.put(&name, Picture { kind, bytes }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn describe(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    caption: String,
) -> Result<StatusCode, Fault> {
    let text = Picture {
        kind: HeaderValue::from_static("text/plain; charset=utf-8"),
        bytes: caption.into(),
    };
    shop.images.put(&format!("{name}.caption"), text).await?;
    Ok(StatusCode::NO_CONTENT)
}
