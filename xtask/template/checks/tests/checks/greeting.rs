//! Greet by name.

use LAB_CRATE_checks::Lab;
use labkit::finding::fail;

/// A greeting in another form breaks every client that was written from the brief.
#[labkit::test]
async fn ada_is_greeted(lab: Lab) {
    expect_greeting(&lab, "ada").await;
}

/// A service that answers everybody alike is right once and wrong for all others.
#[labkit::test]
async fn another_name_gets_its_own_greeting(lab: Lab) {
    expect_greeting(&lab, "grace").await;
}

async fn expect_greeting(lab: &Lab, name: &str) {
    let answer = lab.app.get(&format!("/greetings/{name}")).await.expect_ok();
    if answer.body.trim() != format!("hello, {name}") {
        answer.point("not the greeting");
        fail("", format!("the body `{}`", answer.body), format!("`hello, {name}`"));
    }
}
