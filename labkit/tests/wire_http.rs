//! The wire in front of an HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use labkit::timeline::Timeline;
use labkit::upstream::Upstream;
use labkit::wire::{Match, MessageKind, ReplyKind, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

async fn catalogue() -> (Upstream, Wire, Timeline) {
    let timeline = Timeline::new();
    let router = Router::new().route(
        "/products/{id}",
        get(async || "seven").put(async |body: String| body),
    );
    let upstream = Upstream::serve(timeline.clone(), "catalogue", router)
        .await
        .expect("an upstream");
    let wire = wire_to(upstream.address(), &timeline).await;
    (upstream, wire, timeline)
}

async fn wire_to(address: SocketAddr, timeline: &Timeline) -> Wire {
    Wire::http(timeline.clone(), "app", "catalogue", address)
        .await
        .expect("a wire")
}

/// A server that hears one request and says these bytes, then closes.
async fn says(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(bytes).await;
    });
    address
}

/// Says all of it, then hears everything up to the end.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("it is heard");
    let mut heard = Vec::new();
    // A reset is an end as well; what came before it was read.
    let _ = timeout(LIMIT, stream.read_to_end(&mut heard))
        .await
        .expect("the connection ends");
    String::from_utf8_lossy(&heard).into_owned()
}

fn lines(timeline: &Timeline) -> Vec<String> {
    let events = timeline.events().into_iter();
    events
        .map(|event| match event.reply {
            Some(reply) => format!("{} → {}: {} = {reply}", event.from, event.to, event.what),
            None => format!("{} → {}: {}", event.from, event.to, event.what),
        })
        .collect()
}

#[tokio::test]
async fn requests_and_their_statuses_are_on_the_timeline_once() {
    let (upstream, wire, timeline) = catalogue().await;
    let url = format!("http://{}/products/7", wire.address());
    let app = reqwest::Client::new();
    assert_eq!(
        app.get(&url).send().await.unwrap().text().await.unwrap(),
        "seven"
    );
    let put = app.put(&url).body("eight").send().await.unwrap();
    assert_eq!(put.text().await.unwrap(), "eight");
    let missing = app.get(format!("http://{}/none?a=b", wire.address()));
    assert_eq!(missing.send().await.unwrap().status(), 404);
    assert_eq!(
        lines(&timeline),
        [
            "app → catalogue: GET /products/7 = 200 seven",
            "app → catalogue: PUT /products/7 eight = 200 eight",
            "app → catalogue: GET /none?a=b = 404",
        ]
    );
    assert_eq!(upstream.count("GET", "/*"), 2);
    let put = &wire.messages()[1];
    assert!(matches!(&put.kind, MessageKind::Http { body, .. } if body == "eight"));
    assert!(matches!(&put.reply.as_ref().unwrap().kind,
        ReplyKind::Http { status: 200, body } if body == "eight"));
    assert_eq!(
        put.connection, 1,
        "the connection is kept alive through the wire"
    );
}

#[tokio::test]
async fn pipelined_and_chunked_requests_are_told_apart() {
    let (_upstream, wire, timeline) = catalogue().await;
    let heard = exchange(
        wire.address(),
        b"PUT /products/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
          HEAD /products/2 HTTP/1.1\r\nHost: x\r\n\r\n\
          GET /products/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        heard.contains("\r\n\r\nabcdeHTTP/1.1 200 OK\r\n"),
        "{heard}"
    );
    assert!(heard.ends_with("\r\n\r\nseven"), "{heard}");
    assert_eq!(
        lines(&timeline),
        [
            "app → catalogue: PUT /products/1 abcde = 200 abcde",
            "app → catalogue: HEAD /products/2 = 200",
            "app → catalogue: GET /products/3 = 200 seven",
        ]
    );
}

#[tokio::test]
async fn interim_answers_chunks_and_a_body_up_to_the_end_arrive_as_they_were_sent() {
    for (bytes, content) in [
        (
            &b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nseven\r\n0\r\nT: t\r\n\r\n"[..],
            "seven",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nall of it", "all of it"),
    ] {
        let timeline = Timeline::new();
        let wire = wire_to(says(bytes).await, &timeline).await;
        let heard = exchange(wire.address(), b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(heard.as_bytes(), bytes);
        let reply = wire.messages()[0].reply.clone().expect("a reply");
        assert!(matches!(reply.kind, ReplyKind::Http { status: 200, body } if body == content));
        let line = format!("app → catalogue: GET /a = 200 {content}");
        assert_eq!(lines(&timeline), [line]);
    }
}

#[tokio::test]
async fn what_is_no_http_is_passed_through_and_said_so() {
    let timeline = Timeline::new();
    let wire = wire_to(says(b"\x00\x01 neither").await, &timeline).await;
    let heard = exchange(wire.address(), b"\x16\x03\x01 hello").await;
    assert_eq!(heard, "\u{0}\u{1} neither");
    assert_eq!(
        lines(&timeline),
        [
            "app → catalogue: bytes that are not HTTP",
            "catalogue → app: bytes that are not HTTP",
        ]
    );
}

#[tokio::test]
async fn faults_meet_requests_by_method_and_path() {
    let (upstream, wire, _) = catalogue().await;
    let url = |path: &str| format!("http://{}{path}", wire.address());
    let hold = wire.hold(Match::request("PUT", "/products/*"));
    let put = tokio::spawn(
        reqwest::Client::new()
            .put(url("/products/7"))
            .body("x")
            .send(),
    );
    hold.reached().await.expect("the PUT is held");
    let get = reqwest::get(url("/products/7")).await.unwrap();
    assert_eq!(get.text().await.unwrap(), "seven");
    assert_eq!(upstream.count("PUT", "/*"), 0);
    hold.release();
    assert_eq!(put.await.unwrap().unwrap().status(), 200);

    wire.cut(Match::request("PUT", "/products/8"));
    let cut = reqwest::Client::new()
        .put(url("/products/8"))
        .body("x")
        .send()
        .await;
    assert!(cut.is_err());
    assert_eq!(upstream.count("PUT", "/products/8"), 0);

    wire.drop_reply(Match::request("PUT", "/products/9"));
    let lost = reqwest::Client::new()
        .put(url("/products/9"))
        .body("x")
        .send()
        .await;
    assert!(lost.is_err());
    assert_eq!(upstream.count("PUT", "/products/9"), 1);

    wire.down();
    assert!(
        reqwest::get(url("/products/7"))
            .await
            .unwrap_err()
            .is_connect()
    );
    wire.up();
    assert_eq!(
        reqwest::get(url("/products/7")).await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_seen_upstream() {
    let (upstream, wire, _) = catalogue().await;
    let gate = upstream.gate("GET", "/products/7");
    let url = format!("http://{}/products/7", wire.address());
    let get = tokio::spawn(reqwest::get(url));
    gate.parked(1).await.expect("the GET is parked");
    get.abort();
    timeout(LIMIT, async {
        while gate.parked_now() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the upstream sees it");
}
