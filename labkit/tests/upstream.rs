//! The counted, gated HTTP stub.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use labkit::timeline::Timeline;
use labkit::upstream::Upstream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

/// A catalogue of one price, which a PUT raises by one.
async fn catalogue() -> Upstream {
    async fn read(State(price): State<Arc<AtomicUsize>>) -> String {
        price.load(Ordering::SeqCst).to_string()
    }
    async fn raise(State(price): State<Arc<AtomicUsize>>) {
        price.fetch_add(1, Ordering::SeqCst);
    }
    let router = Router::new()
        .route("/price", get(read).put(raise))
        .with_state(Arc::new(AtomicUsize::new(1)));
    Upstream::serve(Timeline::new(), "catalogue", router)
        .await
        .expect("an upstream")
}

fn ask(upstream: &Upstream, method: &str, path: &str) -> JoinHandle<(u16, String)> {
    let url = format!("http://{}{path}", upstream.address());
    let method = method.parse().expect("a method");
    tokio::spawn(async move {
        let answer = reqwest::Client::new().request(method, url).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("a body"))
    })
}

async fn done(task: JoinHandle<(u16, String)>) -> (u16, String) {
    let done = timeout(LIMIT, task).await;
    done.expect("an answer in time").expect("no panic")
}

#[tokio::test]
async fn every_arrival_is_counted_also_one_that_the_router_does_not_know() {
    let upstream = catalogue().await;
    assert_eq!(
        done(ask(&upstream, "GET", "/price")).await,
        (200, "1".into())
    );
    assert_eq!(done(ask(&upstream, "GET", "/price?fresh=1")).await.0, 200);
    assert_eq!(done(ask(&upstream, "PUT", "/price")).await.0, 200);
    assert_eq!(done(ask(&upstream, "GET", "/none")).await.0, 404);
    assert_eq!(upstream.count("GET", "/price"), 2);
    assert_eq!(upstream.count("GET", "/*"), 3);
    assert_eq!(upstream.count("PUT", "/price"), 1);
    assert_eq!(upstream.peak_in_flight(), 1);
    let arrivals = upstream.arrivals();
    assert_eq!(
        (arrivals[1].method.as_str(), arrivals[1].path.as_str()),
        ("GET", "/price?fresh=1")
    );
    assert!(
        arrivals
            .windows(2)
            .all(|pair| pair[0].at_ms <= pair[1].at_ms)
    );
}

#[tokio::test]
async fn a_gate_parks_all_arrivals_until_it_is_opened() {
    let upstream = catalogue().await;
    let gate = upstream.gate("GET", "/price");
    let asked: Vec<_> = (0..20).map(|_| ask(&upstream, "GET", "/price")).collect();
    gate.parked(20).await.expect("all are parked");
    assert_eq!((gate.parked_now(), upstream.peak_in_flight()), (20, 20));
    assert!(asked.iter().all(|task| !task.is_finished()));
    // Another route is not held.
    assert_eq!(done(ask(&upstream, "PUT", "/price")).await.0, 200);
    gate.open();
    for task in asked {
        assert_eq!(done(task).await, (200, "2".into()), "read behind the gate");
    }
    assert_eq!(gate.parked_now(), 0);
    assert_eq!(done(ask(&upstream, "GET", "/price")).await.0, 200);
    assert_eq!(upstream.peak_in_flight(), 21);
}

#[tokio::test]
async fn a_parked_put_is_not_applied_one_whose_reply_is_parked_is() {
    let upstream = catalogue().await;
    let gate = upstream.gate("PUT", "/price");
    let put = ask(&upstream, "PUT", "/price");
    gate.parked(1).await.expect("the PUT is parked");
    assert_eq!(done(ask(&upstream, "GET", "/price")).await.1, "1");
    drop(gate);
    done(put).await;

    let gate = upstream.gate_reply("PUT", "/*");
    let put = ask(&upstream, "PUT", "/price");
    gate.parked(1).await.expect("its reply is parked");
    assert_eq!(done(ask(&upstream, "GET", "/price")).await.1, "3");
    assert!(!put.is_finished());
    drop(gate);
    assert_eq!(done(put).await.0, 200);
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_parked_no_more() {
    let upstream = catalogue().await;
    let gate = upstream.gate("PUT", "/price");
    let put = ask(&upstream, "PUT", "/price");
    gate.parked(1).await.expect("the PUT is parked");
    put.abort();
    timeout(LIMIT, async {
        while gate.parked_now() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is parked no more");
    gate.open();
    assert_eq!(
        done(ask(&upstream, "GET", "/price")).await.1,
        "1",
        "and was never applied"
    );
    assert_eq!(upstream.peak_in_flight(), 1);
}

#[tokio::test]
async fn a_failing_route_fails_until_it_is_healed() {
    let upstream = catalogue().await;
    let gate = upstream.gate("GET", "/price");
    let parked = ask(&upstream, "GET", "/price");
    gate.parked(1).await.expect("the GET is parked");
    upstream.fail("GET", "/*", 503);
    gate.open();
    assert_eq!(done(parked).await, (503, "catalogue fails for now".into()));
    assert_eq!(done(ask(&upstream, "PUT", "/price")).await.0, 200);
    upstream.heal();
    assert_eq!(
        done(ask(&upstream, "GET", "/price")).await,
        (200, "2".into())
    );
}

#[tokio::test]
async fn who_waits_at_a_gate_in_vain_is_told_for_what() {
    let upstream = catalogue().await;
    let gate = upstream.gate("GET", "/price");
    let _parked = ask(&upstream, "GET", "/price");
    gate.parked(1).await.expect("the GET is parked");
    let error = gate
        .parked_within(2, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 of 2 requests for GET /price were at catalogue within 0.02 s"
    );
}
