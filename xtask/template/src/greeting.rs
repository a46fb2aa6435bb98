//! Exercise: greet by name.

/// What `GET /greetings/{name}` answers: `hello, NAME`.
pub(crate) fn greeting(name: &str) -> String {
    todo!("what does the brief say the answer to {name} is?")
}
