//! The OpenAPI document, held against the service that serves it: in both directions.

use std::collections::{BTreeMap, BTreeSet};

use labkit::finding::{error, fail};

use crate::call::{Call, Reply};
use crate::instance::Instance;

/// The methods that a route may have, beside those that come with GET.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What the service says of itself.
pub struct Document(BTreeMap<Operation, BTreeSet<u16>>);

/// A method of a route: `("GET", "/items/{id}")`.
pub type Operation = (String, String);

/// One call, and the documented answer that it must provoke.
pub struct Probe {
    /// The method and the route as the document writes it.
    pub operation: Operation,
    /// The status that it must get.
    pub status: u16,
    /// The call.
    pub call: Call,
}

impl Probe {
    /// `Probe::of("/items/{id}", 404, Call::get("/items/0"))`
    pub fn of(route: &str, status: u16, call: Call) -> Self {
        Self {
            operation: (call.method.clone(), route.to_owned()),
            status,
            call,
        }
    }
}

impl Document {
    /// As `GET /openapi.json` answers it.
    pub async fn of(app: &Instance) -> Self {
        let document = app.send(Call::get("/openapi.json")).await;
        let document = document
            .expect(200, "the service serves its document")
            .json();
        let mut operations = BTreeMap::new();
        for (route, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                let operation = &item[method.to_ascii_lowercase()];
                let Some(responses) = operation["responses"].as_object() else {
                    continue;
                };
                let statuses = responses.keys().filter_map(|status| status.parse().ok());
                let key = (method.to_owned(), route.clone());
                operations.insert(key, statuses.collect());
            }
        }
        Self(operations)
    }

    /// The methods that it promises for a route.
    pub fn methods(&self, route: &str) -> BTreeSet<String> {
        let operations = self.0.keys().filter(|(_, of)| of == route);
        operations.map(|(method, _)| method.clone()).collect()
    }

    /// Fails the check unless the answer is one that the document promises.
    pub fn expect_documented(&self, operation: &Operation, reply: &Reply) {
        let (method, route) = operation;
        let Some(statuses) = self.0.get(operation) else {
            error(format!("the document has no {method} {route}"));
        };
        if !statuses.contains(&reply.status) {
            let documented: Vec<String> = statuses.iter().map(u16::to_string).collect();
            reply.refuse(
                "not in the document",
                format!("{} answered {reply}", reply.request),
                format!(
                    "what the document promises for {method} {route}: {}",
                    documented.join(", ")
                ),
            );
        }
    }

    /// Fails the check unless every method that the document does not promise for a route is
    /// refused with 405 and an `Allow` that names those that it does.
    pub async fn expect_no_other_methods(&self, app: &Instance, route: &str, path: &str) {
        let documented = self.methods(route);
        for method in METHODS {
            if documented.contains(method) {
                continue;
            }
            let body = serde_json::json!({});
            let reply = app.send(Call::new(method, path).json(&body)).await;
            let promised: Vec<&str> = documented.iter().map(String::as_str).collect();
            let promised = promised.join(", ");
            let reply = reply.expect(405, &format!("{route} has {promised} and nothing else"));
            let Some(allow) = reply.header("allow") else {
                reply.refuse(
                    "no Allow",
                    format!("{} answered 405 without an Allow header", reply.request),
                    format!("Allow: {promised}"),
                );
            };
            let allowed = allow.split(',').map(|method| method.trim().to_owned());
            // They come with every GET, or with none.
            let beside = ["HEAD", "OPTIONS", ""];
            let allowed: BTreeSet<String> = allowed
                .filter(|method| !beside.contains(&method.as_str()))
                .collect();
            if allowed != documented {
                reply.refuse(
                    "another Allow",
                    format!("{} answered 405 with Allow: {allow}", reply.request),
                    format!("Allow: {promised}, as the document says"),
                );
            }
        }
    }
}

/// Fails the check unless the service gives each documented answer, and no other. The probes
/// are made one after the other, in their order.
pub async fn expect_agreement(app: &Instance, routes: &[&str], probes: Vec<Probe>) {
    let document = Document::of(app).await;
    let mut seen: BTreeSet<(Operation, u16)> = BTreeSet::new();
    for probe in probes {
        let reply = app.send(probe.call.clone()).await;
        document.expect_documented(&probe.operation, &reply);
        if reply.status != probe.status {
            let (method, route) = &probe.operation;
            reply.refuse(
                &format!("not {}", probe.status),
                format!("{} answered {reply}", probe.call.words()),
                format!(
                    "{}: so the document describes it for {method} {route}",
                    probe.status
                ),
            );
        }
        seen.insert((probe.operation, probe.status));
    }
    for ((method, route), statuses) in &document.0 {
        if !routes.contains(&route.as_str()) {
            continue;
        }
        for status in statuses {
            if !seen.contains(&((method.clone(), route.clone()), *status)) {
                fail(
                    "read openapi.json",
                    format!("it promises {status} for {method} {route}"),
                    "a document as it was given: no call is known that gets this answer",
                );
            }
        }
    }
}
