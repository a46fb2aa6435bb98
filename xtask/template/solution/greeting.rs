//! Exercise: greet by name.

/// What `GET /greetings/{name}` answers: `hello, NAME`.
pub(crate) fn greeting(name: &str) -> String {
    // BEGIN PROMPT
    // todo!("what does the brief say the answer to {name} is?")
    // END PROMPT
    // BEGIN SOLUTION
    format!("hello, {name}")
    // END SOLUTION
}
