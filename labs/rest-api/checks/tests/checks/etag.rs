//! Exercise 4: a write names the version that it has seen.

use futures_util::future::join_all;
use labkit::finding::fail;
use rand::RngExt as _;
use rest_api_checks::{Api, Call, Instance, Interrupted, Probe, Reply, expect_agreement};
use serde_json::{Value, json};

const ONE: &str = "/pages/{id}";
/// More statements than an edit has.
const MOST_STATEMENTS: usize = 12;
/// How many save at the same time; stated in the brief.
const EDITORS: usize = 10;

/// An ETag is a name for one version, the same on every instance, and until the next change.
#[labkit::test]
async fn an_etag_names_one_version(api: Api) {
    let other = api.second_app().await;
    let path = "/pages/1";
    let first = seen(&api.app, path).await;
    for app in [&api.app, &other] {
        let again = seen(app, path).await;
        if again != first {
            fail(
                "GET of one page, on two instances",
                format!("ETag {first}, then {again}"),
                "one ETag: nobody has changed the page",
            );
        }
    }
    let reply = edit(&api.app, path, &first, "a new title").await;
    let reply = reply.expect(200, "nobody has changed the page since");
    let told = tag(&reply);
    if reply.json()["title"] != "a new title" || told == first {
        reply.refuse(
            "",
            format!("{reply}, with the ETag {told}"),
            "the page as it is now, with another ETag than before",
        );
    }
    let now = seen(&other, path).await;
    if now != told {
        fail(
            "",
            format!("the PUT answered with the ETag {told}, the next GET with {now}"),
            "one ETag: it is one version",
        );
    }
    let reply = edit(&other, path, &now, "a newer one").await;
    let _ = reply.expect(200, "the ETag of the answer is good for the next edit");
}

/// Many changes fit into one second, and two texts can be the same when their parts are put
/// together. Each of them is a version.
#[labkit::test]
async fn each_change_has_another_etag(api: Api) {
    let path = "/pages/2";
    let mut tags = vec![seen(&api.app, path).await];
    for (title, text) in [
        ("ab", "c"),
        ("a", "bc"),
        ("abc", ""),
        ("", "abc"),
        ("ab,", "c"),
        ("ab,", "d"),
    ] {
        let last = tags.last().cloned().unwrap_or_default();
        let call = Call::put(path).header("if-match", last);
        let reply = api
            .app
            .send(call.json(&json!({ "title": title, "text": text })))
            .await;
        let reply = reply.expect(200, "nobody has changed the page since");
        let told = tag(&reply);
        if tags.contains(&told) {
            reply.refuse(
                "once more",
                format!("{told} for the title `{title}` and the text `{text}`"),
                format!("an ETag that no other version had: {}", tags.join(", ")),
            );
        }
        tags.push(told);
    }
}

/// Whoever does not say what they have seen may be writing over anything.
#[labkit::test]
async fn an_edit_without_if_match_is_a_428(api: Api) {
    let path = "/pages/3";
    let _ = seen(&api.app, path).await;
    let before = api.inside.snapshot().await;
    let call = Call::put(path).json(&page("whatever"));
    let _ = api
        .app
        .send(call)
        .await
        .expect(428, "it does not say which version it has seen");
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail("", format!("{rows} changed"), "no row changed");
    }
}

/// The second editor has never seen what the first one wrote. If both are told 200, one of them
/// has lost an afternoon.
#[labkit::test]
async fn a_stale_etag_is_a_412_and_changes_nothing(mut api: Api) {
    let path = "/pages/4";
    let old = seen(&api.app, path).await;
    let reply = edit(&api.app, path, &old, "of the first editor").await;
    let current = tag(&reply.expect(200, "nobody has changed the page since"));
    let before = api.inside.snapshot().await;
    let unknown = format!("\"{:x}\"", api.rng.random::<u64>());
    let others = [
        old.clone(),
        format!("W/{current}"),
        format!("W/{old}, W/{current}"),
        unknown,
        format!("\"x{}", &current[1..]),
        // Tags are compared sign by sign (RFC 9110, 8.8.3.2).
        format!("\"0{}", &current[1..]),
        format!("\"+{}", &current[1..]),
        "\"*\"".to_owned(),
        "\"\"".to_owned(),
    ];
    for other in others {
        let reply = edit(&api.app, path, &other, "of the second editor").await;
        let because = format!("{other} is not the same as {current}");
        let reply = reply.expect(412, &because);
        if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
            reply.refuse("", format!("412, and {rows} changed"), "no row changed");
        }
    }
    let reply = edit(&api.app, "/pages/999999", &current, "nowhere").await;
    let _ = reply.expect(404, "there is no such page");
}

/// RFC 9110, 13.1.1: one tag, several tags, or any version at all.
#[labkit::test]
async fn any_of_several_etags_will_do(api: Api) {
    let path = "/pages/5";
    for form in [
        "\"none\", {}",
        "{},\"none\"",
        "\"a,b\" ,  {}",
        "W/\"x\", {}, \"y\"",
        "*",
    ] {
        let current = seen(&api.app, path).await;
        let reply = edit(&api.app, path, &form.replace("{}", &current), form).await;
        let _ = reply.expect(200, &format!("{current} is the page's, and named"));
    }
    for first in [true, false] {
        let current = seen(&api.app, path).await;
        let none = "\"none\"".to_owned();
        let (one, two) = match first {
            true => (current, none),
            false => (none, current),
        };
        let call = Call::put(path).header("if-match", one);
        let call = call.header("if-match", two).json(&page("two lines"));
        let reply = api.app.send(call).await;
        let _ = reply.expect(200, "a list may be spread over several headers");
    }
}

/// Between the look and the write there is time for the other editor, however short it is.
#[labkit::test]
async fn of_two_edits_of_one_version_one_wins(api: Api) {
    let other = api.second_app().await;
    let path = "/pages/6";
    let rounds = api.mark();
    for nth in 1..=MOST_STATEMENTS {
        api.begin_round(rounds);
        let current = seen(&api.app, path).await;
        // In each round another text: an ETag may come of what stands there.
        let titles = ["first", "second"].map(|editor| format!("of the {editor} editor, {nth}"));
        let one = edit(&api.app, path, &current, &titles[0]);
        let two = edit(&other, path, &current, &titles[1]);
        match api.app.interrupted(&api.inside, nth, one, two).await {
            Interrupted::Over(reply) => {
                let _ = reply.expect(200, "nobody else has changed the page");
                return;
            }
            Interrupted::Both { held, other, at } => {
                let did = format!(
                    "two editors PUT {path} with If-Match: {current}; the second one while the \
                     first one's `{at}` was held"
                );
                expect_one_winner(&api, path, &[held, other], &did).await;
            }
        }
    }
}

/// A meeting ends, and everybody saves.
#[labkit::test]
async fn of_ten_edits_of_one_version_one_wins(api: Api) {
    let other = api.second_app().await;
    let path = "/pages/7";
    let current = seen(&api.app, path).await;
    let titles: Vec<String> = (0..EDITORS).map(|n| format!("of editor {n}")).collect();
    let edits = titles.iter().enumerate().map(|(n, title)| {
        let app = if n % 2 == 0 { &api.app } else { &other };
        edit(app, path, &current, title)
    });
    let replies = join_all(edits).await;
    let did = format!("{EDITORS} editors PUT {path} with If-Match: {current} at the same time");
    expect_one_winner(&api, path, &replies, &did).await;
}

/// The ETag of an answer is what the next edit names. If it is somebody else's, the next edit
/// writes over what its editor has never seen.
#[labkit::test]
async fn the_etag_of_an_answer_is_of_what_was_written(api: Api) {
    let other = api.second_app().await;
    let path = "/pages/8";
    let rounds = api.mark();
    for nth in 1..=MOST_STATEMENTS {
        api.begin_round(rounds);
        let current = seen(&api.app, path).await;
        let written = format!("of the first editor, {nth}");
        let hurried = format!("of somebody in a hurry, {nth}");
        let one = edit(&api.app, path, &current, &written);
        let two = edit(&other, path, "*", &hurried);
        let (held, at) = match api.app.interrupted(&api.inside, nth, one, two).await {
            Interrupted::Over(reply) => {
                let _ = reply.expect(200, "nobody else has changed the page");
                return;
            }
            Interrupted::Both { held, other, at } => {
                let _ = other.expect(200, "`*` is any version");
                (held, at)
            }
        };
        if held.status != 200 {
            continue;
        }
        let shown: Value = api.app.send(Call::get(path)).await.json();
        if shown["title"] == written {
            continue;
        }
        let now = seen(&api.app, path).await;
        if tag(&held) == now || held.json()["title"] != written {
            held.refuse(
                "not its own",
                format!(
                    "the first editor's answer has the ETag {} and shows {}, which another \
                     editor wrote",
                    tag(&held),
                    held.json()["title"]
                ),
                format!("the version that this PUT has written, not {now}; `{at}` was held"),
            );
        }
    }
}

/// The document promises what a client can rely on, errors included.
#[labkit::test]
async fn the_document_and_the_service_agree(api: Api) {
    let any = |path: &str| Call::put(path).header("if-match", "*");
    let path = "/pages/1";
    let probes = vec![
        Probe::of(ONE, 200, Call::get(path)),
        Probe::of(ONE, 400, Call::get("/pages/one")),
        Probe::of(ONE, 404, Call::get("/pages/0")),
        Probe::of(ONE, 200, any(path).json(&page("a"))),
        Probe::of(ONE, 400, any("/pages/one").json(&page("a"))),
        Probe::of(ONE, 404, any("/pages/0").json(&page("a"))),
        Probe::of(
            ONE,
            412,
            Call::put(path)
                .header("if-match", "\"no\"")
                .json(&page("a")),
        ),
        Probe::of(ONE, 415, any(path).raw("text/plain", "a")),
        Probe::of(
            ONE,
            422,
            any(path).json(&json!({ "title": 1, "text": "a" })),
        ),
        Probe::of(ONE, 428, Call::put(path).json(&page("a"))),
    ];
    expect_agreement(&api.app, &[ONE], probes).await;
}

fn page(title: &str) -> Value {
    json!({ "title": title, "text": format!("what stands there, {title}") })
}

async fn edit(app: &Instance, path: &str, tags: &str, title: &str) -> Reply {
    let call = Call::put(path).header("if-match", tags);
    app.send(call.json(&page(title))).await
}

/// The ETag of a page as it is now.
async fn seen(app: &Instance, path: &str) -> String {
    tag(&app
        .send(Call::get(path))
        .await
        .expect(200, "the page is there"))
}

fn tag(reply: &Reply) -> String {
    let tag = reply.header("etag").unwrap_or_default();
    let strong = tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
    if !strong || tag[1..tag.len() - 1].contains('"') {
        reply.refuse(
            "no strong ETag",
            format!("{} answered with the ETag `{tag}`", reply.request),
            "a strong one, in quotes: If-Match compares nothing else",
        );
    }
    tag
}

/// One 200, else 412, and the page is the winner's.
async fn expect_one_winner(api: &Api, path: &str, replies: &[Reply], did: &str) {
    let winners: Vec<&Reply> = replies.iter().filter(|it| it.status == 200).collect();
    let refused = replies.iter().filter(|it| it.status == 412).count();
    if winners.len() != 1 || refused != replies.len() - 1 {
        let lost = match winners.len() {
            0 | 1 => String::new(),
            n => format!(": {} edits are gone", n - 1),
        };
        for reply in replies {
            reply.point("one version");
        }
        let statuses: Vec<String> = replies.iter().map(|it| it.status.to_string()).collect();
        fail(
            did,
            format!("{}{lost}", statuses.join(", ")),
            "200 for one, and 412 for everybody else",
        );
    }
    let shown = api.app.send(Call::get(path)).await.json();
    let winner = winners[0].json();
    if shown["title"] != winner["title"] {
        fail(
            did,
            format!(
                "the page shows {}, and 200 was said for {}",
                shown["title"], winner["title"]
            ),
            "what the winner wrote",
        );
    }
}
