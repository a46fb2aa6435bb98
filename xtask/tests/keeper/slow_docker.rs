//! A Docker that is already removing a container when the keeper asks for it: no real one
//! can be made to do so at will.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::kept::keep_beside;

/// How often the container is still there when it is looked at.
const STILL_THERE: usize = 3;

/// Answers at `socket`, and counts how often the container was looked at.
fn docker_at(socket: &Path) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(socket).expect("a socket");
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            answer(client, &counted);
        }
    });
    looks
}

/// One request, one connection.
fn answer(mut client: UnixStream, looks: &AtomicUsize) {
    let mut lines = BufReader::new(client.try_clone().expect("a descriptor")).lines();
    let Some(Ok(request)) = lines.next() else {
        return;
    };
    // The rest of the head; no request here has a body.
    while matches!(lines.next(), Some(Ok(line)) if !line.is_empty()) {}
    let (status, body) = if request.starts_with("DELETE") {
        (409, r#"{"message":"removal is already in progress"}"#)
    } else if request.contains("/containers/json") {
        (200, r#"[{"Id":"c0ffee"}]"#)
    } else if request.contains("/containers/c0ffee/json") {
        match looks.fetch_add(1, Ordering::SeqCst) {
            0..STILL_THERE => (200, r#"{"Id":"c0ffee"}"#),
            _ => (404, r#"{"message":"no such container"}"#),
        }
    } else {
        (200, "{}")
    };
    let length = body.len();
    let _ = write!(
        client,
        "HTTP/1.1 {status} It\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

#[test]
fn a_container_whose_removal_is_under_way_is_waited_for() {
    let place = Arc::new(TempDir::new().expect("a temp folder"));
    let socket = place.path().join("docker.sock");
    let looks = docker_at(&socket);
    let host = format!("unix://{}", socket.display());
    let script = "touch $LABS_RUN_DIR/docker-used";
    let ended = keep_beside(&place, &[], &[("DOCKER_HOST", &host)], script).end();
    assert_eq!((ended.code(), ended.said.as_str()), (0, ""));
    assert_eq!(looks.load(Ordering::SeqCst), STILL_THERE + 1);
    ended.leaves_no_folder();
}
