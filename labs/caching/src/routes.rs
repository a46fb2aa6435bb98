//! The doors of the shop: one route each for the exercises, nothing shared behind them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::catalogue::{Deal, Manual, Price, Product, Ranking, Stock, Voucher};
use crate::clock::Forward;
use crate::error::ShopError;
use crate::shop::Shop;
use crate::{
    cache_aside, dead_cache, fenced_fill, invalidate_on_write, negative_caching,
    stale_while_revalidate, stampede_lock, warm,
};

type Answer<T> = Result<T, ShopError>;

/// All routes, over one shop.
pub fn of(shop: Shop) -> Router {
    Router::new()
        .route("/health", get(async || StatusCode::NO_CONTENT))
        .route("/products/{id}", get(product))
        .route("/prices/{id}", put(change_price))
        .route("/vouchers/{code}", get(find_voucher).put(create_voucher))
        .route("/warm", post(warm))
        .route("/deals/{id}", get(deal))
        .route("/manuals/{id}", get(manual))
        .route("/rankings/{id}", get(ranking))
        .route("/stock/{id}", get(stock).put(change_stock))
        .route("/clock", put(forward))
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

async fn deal(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Deal>> {
    Ok(Json(stampede_lock::deal(&shop, id).await?))
}

async fn manual(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Manual>> {
    Ok(Json(dead_cache::manual(&shop, id).await?))
}

async fn ranking(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Ranking>> {
    Ok(Json(stale_while_revalidate::ranking(&shop, id).await?))
}

async fn stock(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Stock>> {
    Ok(Json(fenced_fill::stock(&shop, id).await?))
}

async fn change_stock(
    State(shop): State<Shop>,
    Path(id): Path<u64>,
    Json(stock): Json<Stock>,
) -> Answer<StatusCode> {
    fenced_fill::change_stock(&shop, id, stock).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn forward(State(shop): State<Shop>, Json(forward): Json<Forward>) -> StatusCode {
    shop.clock.forward(forward);
    StatusCode::NO_CONTENT
}
