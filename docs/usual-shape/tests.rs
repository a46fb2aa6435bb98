//! The shape that such exercises usually have, to be measured against ours: the learner's
//! code is a module of a test binary, and each of twenty tests starts a Redis container of
//! its own with testcontainers.
//!
//! `ci/bench` edits `product.rs` and runs these tests; `cargo test` leaves them out.

mod product;

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::AsyncTypedCommands as _;
use serde::{Deserialize, Serialize};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

use product::product;

const REDIS_PORT: u16 = 6379;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    id: u64,
    name: String,
}

/// The truth, counted.
#[derive(Default)]
struct Catalogue {
    loads: AtomicUsize,
}

impl Catalogue {
    async fn product(&self, id: u64) -> Product {
        self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Product {
            id,
            name: format!("kettle {id}"),
        }
    }
}

struct Shop {
    catalogue: Catalogue,
    redis: redis::aio::MultiplexedConnection,
    id: u64,
    _container: ContainerAsync<GenericImage>,
}

async fn shop(id: u64) -> Shop {
    let prefix = std::env::var("LABS_IMAGE_PREFIX").unwrap_or_default();
    let container = GenericImage::new(format!("{prefix}redis"), "7".to_owned())
        .with_exposed_port(REDIS_PORT.tcp())
        .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
        .with_cmd(["redis-server", "--save", "", "--protected-mode", "no"])
        .start()
        .await
        .expect("Docker, and the image of Redis");
    let port = container.get_host_port_ipv4(REDIS_PORT).await;
    let port = port.expect("a published port");
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"));
    let redis = client
        .expect("an address")
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    Shop {
        catalogue: Catalogue::default(),
        redis,
        id,
        _container: container,
    }
}

async fn a_second_read_is_a_hit(mut shop: Shop) {
    let first = product(&mut shop.redis, &shop.catalogue, shop.id).await;
    let second = product(&mut shop.redis, &shop.catalogue, shop.id).await;
    assert_eq!(first.expect("read"), second.expect("read"));
    assert_eq!(shop.catalogue.loads.load(Ordering::SeqCst), 1);
}

async fn the_entry_expires(mut shop: Shop) {
    let read = product(&mut shop.redis, &shop.catalogue, shop.id).await;
    read.expect("read");
    for key in shop.redis.keys("*").await.expect("asked") {
        let ttl: i64 = redis::cmd("TTL")
            .arg(key)
            .query_async(&mut shop.redis)
            .await
            .expect("asked");
        assert!((1..=600).contains(&ttl), "{ttl}");
    }
}

async fn each_product_has_its_entry(mut shop: Shop) {
    for id in [shop.id, shop.id + 1] {
        let read = product(&mut shop.redis, &shop.catalogue, id).await;
        assert_eq!(read.expect("read").id, id);
    }
    assert_eq!(shop.catalogue.loads.load(Ordering::SeqCst), 2);
}

async fn what_redis_forgot_is_loaded_again(mut shop: Shop) {
    let read = product(&mut shop.redis, &shop.catalogue, shop.id).await;
    read.expect("read");
    shop.redis.flushall().await.expect("emptied");
    let read = product(&mut shop.redis, &shop.catalogue, shop.id).await;
    read.expect("read");
    assert_eq!(shop.catalogue.loads.load(Ordering::SeqCst), 2);
}

/// Four behaviours, each with five products: as many tests as the bar is stated for.
macro_rules! twenty {
    ($($module:ident: $id:literal),+) => {$(
        mod $module {
            use crate::shop;

            #[tokio::test]
            async fn a_second_read_is_a_hit() {
                crate::a_second_read_is_a_hit(shop($id).await).await;
            }

            #[tokio::test]
            async fn the_entry_expires() {
                crate::the_entry_expires(shop($id).await).await;
            }

            #[tokio::test]
            async fn each_product_has_its_entry() {
                crate::each_product_has_its_entry(shop($id).await).await;
            }

            #[tokio::test]
            async fn what_redis_forgot_is_loaded_again() {
                crate::what_redis_forgot_is_loaded_again(shop($id).await).await;
            }
        }
    )+};
}

twenty!(one: 1, two: 20, three: 300, four: 4_000, five: 50_000);
