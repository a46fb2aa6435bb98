//! The doors of the shop: one route each for the exercises, nothing shared behind them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::catalogue::{Price, Product, Voucher};
use crate::error::ShopError;
use crate::shop::Shop;
use crate::{cache_aside, invalidate_on_write, negative_caching, warm};

type Answer<T> = Result<T, ShopError>;

/// All routes, over one shop.
pub fn of(shop: Shop) -> Router {
    Router::new()
        .route("/health", get(async || StatusCode::NO_CONTENT))
        .route("/products/{id}", get(product))
        .route("/prices/{id}", put(change_price))
        .route("/vouchers/{code}", get(find_voucher).put(create_voucher))
        .route("/warm", post(warm))
        .with_state(shop)
}

async fn product(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Product>> {
    Ok(Json(cache_aside::product(&shop, id).await?))
}

async fn change_price(
    State(shop): State<Shop>,
    Path(id): Path<u64>,
    Json(price): Json<Price>,
) -> Answer<StatusCode> {
    invalidate_on_write::update_price(&shop, id, price).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find_voucher(State(shop): State<Shop>, Path(code): Path<String>) -> Answer<Json<Voucher>> {
    let found = negative_caching::find_voucher(&shop, &code).await?;
    found.map(Json).ok_or(ShopError::NotFound)
}

async fn create_voucher(
    State(shop): State<Shop>,
    Path(code): Path<String>,
    Json(voucher): Json<Voucher>,
) -> Answer<StatusCode> {
    negative_caching::create_voucher(&shop, &code, &voucher).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn warm(State(shop): State<Shop>) -> Answer<Json<Value>> {
    let cached = warm::import(&shop).await?;
    Ok(Json(json!({ "listings": cached })))
}
