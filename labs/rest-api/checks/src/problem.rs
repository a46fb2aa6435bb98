//! Problem details, as RFC 9457 wants them.

use std::collections::BTreeSet;

use crate::call::Reply;

/// Fails the check unless an answer has this status, and says so as problem details.
pub fn expect_problem(reply: Reply, status: u16, because: &str) -> Reply {
    let reply = reply.expect(status, because);
    if reply.media_type() != "application/problem+json" {
        let media_type = reply.header("content-type").unwrap_or_default();
        reply.refuse(
            "not problem details",
            format!(
                "{} answered {reply}, of the type `{media_type}`",
                reply.request
            ),
            "application/problem+json, so that a client knows how to read it",
        );
    }
    let body = reply.json();
    if body["status"] != status {
        reply.refuse(
            "two statuses",
            format!("the status is {status}, its body says {}", body["status"]),
            format!("`status`: {status}"),
        );
    }
    if body["title"].as_str().is_none_or(str::is_empty) {
        reply.refuse(
            "no title",
            format!("{} answered {reply}", reply.request),
            "a `title` that a person can read",
        );
    }
    reply
}

/// Where the `errors` of a problem point, each as a JSON pointer without `#`.
pub fn pointers(reply: &Reply) -> BTreeSet<String> {
    let body = reply.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let pointers = errors.iter().map(|error| {
        if error["detail"].as_str().is_none_or(str::is_empty) {
            reply.refuse(
                "no detail",
                format!("an error is {error}"),
                "a `detail` that says what is wrong with the field",
            );
        }
        let pointer = error["pointer"].as_str().unwrap_or_default();
        pointer.strip_prefix('#').unwrap_or(pointer).to_owned()
    });
    pointers.collect()
}
