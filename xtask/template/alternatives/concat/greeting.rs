//! Right, but unlike the reference: no formatting.

/// What `GET /greetings/{name}` answers: `hello, NAME`.
pub(crate) fn greeting(name: &str) -> String {
    ["hello, ", name].concat()
}
