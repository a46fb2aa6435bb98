//! The doors of the shop: one route each for the exercises, nothing shared behind them.

use std::pin::Pin;

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
    Ok(Json(on_any_thread(cache_aside::product(&shop, id)).await?))
}

async fn change_price(
    State(shop): State<Shop>,
    Path(id): Path<u64>,
    Json(price): Json<Price>,
) -> Answer<StatusCode> {
    on_any_thread(invalidate_on_write::update_price(&shop, id, price)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find_voucher(State(shop): State<Shop>, Path(code): Path<String>) -> Answer<Json<Voucher>> {
    let found = on_any_thread(negative_caching::find_voucher(&shop, &code)).await?;
    found.map(Json).ok_or(ShopError::NotFound)
}

async fn create_voucher(
    State(shop): State<Shop>,
    Path(code): Path<String>,
    Json(voucher): Json<Voucher>,
) -> Answer<StatusCode> {
    on_any_thread(negative_caching::create_voucher(&shop, &code, &voucher)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn warm(State(shop): State<Shop>) -> Answer<Json<Value>> {
    let cached = on_any_thread(warm::import(&shop)).await?;
    Ok(Json(json!({ "listings": cached })))
}

async fn deal(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Deal>> {
    Ok(Json(on_any_thread(stampede_lock::deal(&shop, id)).await?))
}

async fn manual(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Manual>> {
    Ok(Json(on_any_thread(dead_cache::manual(&shop, id)).await?))
}

async fn ranking(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Ranking>> {
    Ok(Json(
        on_any_thread(stale_while_revalidate::ranking(&shop, id)).await?,
    ))
}

async fn stock(State(shop): State<Shop>, Path(id): Path<u64>) -> Answer<Json<Stock>> {
    Ok(Json(on_any_thread(fenced_fill::stock(&shop, id)).await?))
}

async fn change_stock(
    State(shop): State<Shop>,
    Path(id): Path<u64>,
    Json(stock): Json<Stock>,
) -> Answer<StatusCode> {
    on_any_thread(fenced_fill::change_stock(&shop, id, stock)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// tokio moves a request from thread to thread at each `await`. What cannot be moved, as the guard
/// of a `Mutex` from std, is told here at the line that keeps it; the router would only say that
/// a handler is none.
fn on_any_thread<'a, T>(
    work: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(work)
}

async fn forward(State(shop): State<Shop>, Json(forward): Json<Forward>) -> StatusCode {
    shop.clock.forward(forward);
    StatusCode::NO_CONTENT
}
