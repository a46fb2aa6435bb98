//! Exercise 6: two users, and each id in each place.

use labkit::finding::fail;
use labkit::patience::PATIENCE;
use rest_api_checks::orders::{
    ROUTES, UNKNOWN, expect_401_for_nobody, expect_as_if_unknown, expect_as_silent,
    expect_unchanged, ids, path, promote, two,
};
use rest_api_checks::{Api, Call, Probe, expect_agreement};
use serde_json::json;

/// An id is a number, and the next one is somebody else's. Being logged in is not being the
/// owner.
#[labkit::test]
async fn nobody_reads_what_is_anothers(mut api: Api) {
    let (ann, ben) = two(&mut api).await;
    promote(&api, &ben).await;
    for (me, other) in [(&ann, &ben), (&ben, &ann)] {
        let list = api
            .app
            .send(Call::get("/orders").by(&me.person.token))
            .await;
        let list = list.expect(200, "everybody may see their own");
        let mut shown = ids(&list.json()["orders"]);
        shown.sort_unstable();
        if shown != me.orders {
            list.refuse(
                "another's",
                format!("GET /orders shows {shown:?}"),
                format!("{:?}: the caller's own", me.orders),
            );
        }
        let own = path(me.orders[0], me.lines[0]);
        for (path, id) in [
            (format!("/orders/{}", me.orders[0]), me.orders[0]),
            (own, me.lines[0]),
        ] {
            let reply = api.app.send(Call::get(path).by(&me.person.token)).await;
            let reply = reply.expect(200, "it is the caller's own");
            if reply.json()["id"] != id {
                reply.refuse(
                    "another one",
                    format!("{} answered {reply}", reply.request),
                    format!("the one with the `id` {id}"),
                );
            }
        }
        let foreign = [
            (
                format!("/orders/{}", other.orders[0]),
                format!("/orders/{UNKNOWN}"),
            ),
            (
                path(other.orders[0], other.lines[0]),
                path(UNKNOWN, UNKNOWN),
            ),
        ];
        for (foreign, nowhere) in foreign {
            expect_as_if_unknown(
                &api,
                Call::get(foreign).by(&me.person.token),
                Call::get(nowhere).by(&me.person.token),
            )
            .await;
        }
    }
    expect_401_for_nobody(&api, &ann, &["GET"]).await;
}

/// GET is what everybody looks at. PATCH and DELETE are the routes that somebody added later.
#[labkit::test]
async fn nobody_changes_what_is_anothers(mut api: Api) {
    let (ann, ben) = two(&mut api).await;
    promote(&api, &ben).await;
    let token = &ben.person.token;
    let note = json!({ "note": "Ben was here" });
    let quantity = json!({ "quantity": 99 });
    let before = api.inside.snapshot().await;
    let (order, line) = (ann.orders[0], ann.lines[0]);
    let calls = [
        (
            Call::patch(format!("/orders/{order}")).json(&note),
            Call::patch(format!("/orders/{UNKNOWN}")).json(&note),
        ),
        (
            Call::delete(format!("/orders/{order}")),
            Call::delete(format!("/orders/{UNKNOWN}")),
        ),
        (
            Call::patch(path(order, line)).json(&quantity),
            Call::patch(path(UNKNOWN, UNKNOWN)).json(&quantity),
        ),
    ];
    for (foreign, nowhere) in calls {
        expect_as_if_unknown(&api, foreign.by(token), nowhere.by(token)).await;
        expect_unchanged(&api, &before).await;
    }
    let own = [
        (
            Call::patch(format!("/orders/{}", ben.orders[0])).json(&note),
            200,
        ),
        (
            Call::patch(path(ben.orders[0], ben.lines[0])).json(&quantity),
            200,
        ),
        (Call::delete(format!("/orders/{}", ben.orders[0])), 204),
    ];
    for (call, status) in own {
        let reply = api.app.send(call.by(token)).await;
        let reply = reply.expect(status, "it is the caller's own");
        if status == 200 && reply.json()["note"] != "Ben was here" && reply.json()["quantity"] != 99
        {
            reply.refuse(
                "not what was asked",
                format!("{} answered {reply}", reply.request),
                "the order or the line with what has been changed",
            );
        }
    }
    let left = "SELECT count(*) FROM orders AS o LEFT JOIN order_lines AS l ON l.order_id = o.id
                WHERE o.note = 'Ben was here' OR l.quantity = 99";
    if api.inside.number(left).await != 0 {
        fail(
            "",
            "rows of Ben's are left, or of others changed",
            "Ben's order is gone, with its lines",
        );
    }
    expect_401_for_nobody(&api, &ann, &["PATCH", "DELETE"]).await;
}

/// A path with two ids asks two questions: whose is the order, and whose is the line?
#[labkit::test]
async fn a_line_is_reached_through_its_own_order_only(mut api: Api) {
    let (ann, ben) = two(&mut api).await;
    let token = &ben.person.token;
    let before = api.inside.snapshot().await;
    // And the same with a number in the place of the wrong one that nothing has.
    let pairs = [
        (
            "Ann's line in Ben's order",
            path(ben.orders[0], ann.lines[0]),
            path(ben.orders[0], UNKNOWN),
        ),
        (
            "Ben's line in Ann's order",
            path(ann.orders[0], ben.lines[0]),
            path(UNKNOWN, ben.lines[0]),
        ),
        (
            "Ben's line in Ben's other order",
            path(ben.orders[1], ben.lines[0]),
            path(ben.orders[1], UNKNOWN),
        ),
    ];
    for (what, path, nowhere) in &pairs {
        for method in ["GET", "PATCH"] {
            let call = |path: &str| {
                let call = Call::new(method, path).by(token);
                match method {
                    "GET" => call,
                    _ => call.json(&json!({ "quantity": 99 })),
                }
            };
            let reply = api.app.send(call(path)).await;
            let reply = reply.expect(404, &format!("there is no such thing as {what}"));
            expect_as_silent(&api, &reply, call(nowhere)).await;
            expect_unchanged(&api, &before).await;
        }
    }
}

/// Ids hide in bodies, and in lists: one of a hundred is enough.
#[labkit::test]
async fn each_id_in_a_body_is_looked_at(mut api: Api) {
    let (ann, ben) = two(&mut api).await;
    promote(&api, &ben).await;
    let token = &ben.person.token;
    let empty = format!(
        "INSERT INTO orders (user_id, note) VALUES ({}, 'empty')",
        ben.person.id
    );
    let empty = format!("WITH o AS ({empty} RETURNING id) SELECT id FROM o");
    let empty = [
        api.inside.number(&empty).await,
        api.inside.number(&empty).await,
    ];
    let many = "SELECT id FROM orders WHERE note = 'one of many' ORDER BY id";
    api.inside
        .run(&format!(
            "INSERT INTO orders (user_id, note)
             SELECT {}, 'one of many' FROM generate_series(1, 150)",
            ben.person.id
        ))
        .await;
    let many: Vec<(i64,)> = api.inside.rows(many).await;
    let many: Vec<i64> = many.into_iter().map(|row| row.0).collect();
    let late = format!(
        "INSERT INTO orders (user_id, note) VALUES ({}, 'late')",
        ann.person.id
    );
    let late = format!("WITH o AS ({late} RETURNING id) SELECT id FROM o");
    let late = api.inside.number(&late).await;
    let before = api.inside.snapshot().await;
    let (own, other) = (ben.orders, ann.orders);
    // In the place of each of Ann's a number that no order has.
    let nobodys = |id: i64| match [other[0], other[1], late].contains(&id) {
        true => UNKNOWN + id,
        false => id,
    };
    let lists = [
        [&many[..], &[late][..]].concat(),
        [&[late][..], &many[..]].concat(),
        vec![other[0]],
        vec![own[0], other[0]],
        vec![other[1], own[0], own[1]],
        vec![own[0], UNKNOWN],
        vec![own[0], own[0], other[0]],
        vec![own[0], other[0], own[1], other[1]],
    ];
    for list in lists {
        let cancel = |ids: Vec<i64>| {
            let call = Call::post("/orders/cancel").json(&json!({ "ids": ids }));
            call.by(token)
        };
        let nowhere = cancel(list.iter().copied().map(nobodys).collect());
        let reply = api.app.send(cancel(list)).await;
        let reply = reply.expect(404, "one of them is not the caller's: none is cancelled");
        expect_as_silent(&api, &reply, nowhere).await;
        expect_unchanged(&api, &before).await;
    }
    for (from, into) in [
        (other[0], own[0]),
        (own[0], other[0]),
        (other[0], other[1]),
        (own[0], UNKNOWN),
        (UNKNOWN, own[0]),
        (empty[0], other[0]),
        (other[0], empty[0]),
    ] {
        let merge = |from: i64, into: i64| {
            let call = Call::post("/orders/merge").json(&json!({ "from": from, "into": into }));
            call.by(token)
        };
        let reply = api.app.send(merge(from, into)).await;
        let reply = reply.expect(404, "one of the two is not the caller's");
        expect_as_silent(&api, &reply, merge(nobodys(from), nobodys(into))).await;
        expect_unchanged(&api, &before).await;
    }
    let merge = Call::post("/orders/merge").json(&json!({ "from": own[0], "into": own[1] }));
    let _ = api
        .app
        .send(merge.by(token))
        .await
        .expect(204, "both are the caller's own");
    let lines = format!(
        "SELECT count(*) FROM order_lines WHERE order_id = {}",
        own[1]
    );
    if api.inside.number(&lines).await != 3 {
        fail(
            "",
            "the lines were not moved",
            "three lines in the order that is left",
        );
    }
    let merge = Call::post("/orders/merge").json(&json!({ "from": empty[0], "into": own[1] }));
    let merge = api.app.send(merge.by(token)).await;
    let _ = merge.expect(
        204,
        "both are the caller's own; that one of them has no lines is no harm",
    );
    // Twice side by side, twice apart, and when they are cancelled already.
    let lists = [
        vec![own[1], own[1]],
        vec![own[1], empty[1], own[1]],
        vec![empty[1], own[1]],
        vec![],
    ];
    for list in lists {
        let cancel = Call::post("/orders/cancel").json(&json!({ "ids": list }));
        let reply = api.app.send(cancel.by(token)).await;
        let _ = reply.expect(204, "all of them are the caller's own");
    }
    let cancelled: Vec<(i64,)> = api
        .inside
        .rows("SELECT id FROM orders WHERE state = 'cancelled' ORDER BY id")
        .await;
    let mut expected = [(own[1],), (empty[1],)];
    expected.sort_unstable();
    if cancelled != expected {
        fail(
            "",
            format!("cancelled are {cancelled:?}"),
            format!("{expected:?}"),
        );
    }
    expect_401_for_nobody(&api, &ann, &["POST"]).await;
}

/// Whoever locks first and asks afterwards whose it is waits where there is something, and nowhere
/// else: that tells, and it lets everybody hold up everybody.
#[labkit::test]
async fn nobody_waits_for_what_is_anothers(mut api: Api) {
    let (ann, ben) = two(&mut api).await;
    let token = &ben.person.token;
    let owner = ann.person.id;
    let _at_work = api
        .inside
        .lock(&[
            format!("SELECT FROM orders WHERE user_id = {owner} FOR UPDATE"),
            format!(
                "SELECT FROM order_lines WHERE order_id IN
                     (SELECT id FROM orders WHERE user_id = {owner}) FOR UPDATE"
            ),
        ])
        .await;
    let (note, quantity) = (json!({ "note": "mine" }), json!({ "quantity": 99 }));
    let (order, line) = (ann.orders[0], path(ann.orders[0], ann.lines[0]));
    let order_path = format!("/orders/{order}");
    let merge = |from: i64, into: i64| {
        Call::post("/orders/merge").json(&json!({ "from": from, "into": into }))
    };
    let calls = [
        Call::get(&order_path),
        Call::patch(&order_path).json(&note),
        Call::delete(&order_path),
        Call::get(&line),
        Call::patch(&line).json(&quantity),
        Call::patch(path(ben.orders[0], ann.lines[0])).json(&quantity),
        Call::post("/orders/cancel").json(&json!({ "ids": [ben.orders[0], order] })),
        merge(order, ben.orders[0]),
        merge(ben.orders[0], order),
    ];
    for call in calls {
        let line = call.line();
        let Some(reply) = api.app.send_within(call.by(token), PATIENCE).await else {
            fail(
                format!("{line} by Ben, of what is Ann's, while her rows were locked"),
                format!("no answer within {} s", PATIENCE.as_secs()),
                "404 at once, as for what is not there: the caller need not know that she is busy",
            );
        };
        let _ = reply.expect(404, "for this caller there is no such order");
    }
}

/// A handler that takes whatever fields a row has gives them to whoever knows their names.
#[labkit::test]
async fn nobody_makes_themselves_admin(mut api: Api) {
    let (ann, ben) = two(&mut api).await;
    let token = &ben.person.token;
    let bodies = [
        json!({ "name": "Benedict", "role": "admin" }),
        json!({ "name": "Benedict", "id": ann.person.id }),
        json!({ "role": "admin" }),
        json!({ "name": "Benedict", "user_id": ann.person.id, "is_admin": true }),
    ];
    for body in bodies {
        let reply = api.app.send(Call::patch("/me").json(&body).by(token)).await;
        let reply = reply.expect_one_of(
            &[200, 422],
            "fields that are not theirs are ignored or refused",
        );
        let admins = "SELECT count(*) FROM users WHERE role <> 'customer'";
        if api.inside.number(admins).await > 0 {
            reply.refuse(
                "",
                format!("{body} made somebody an admin"),
                "a customer, as before",
            );
        }
        let names = format!(
            "SELECT count(*) FROM users WHERE id = {} AND name = 'Ann'",
            ann.person.id
        );
        if api.inside.number(&names).await != 1 {
            reply.refuse("", format!("{body} renamed Ann"), "Ann as she was");
        }
    }
    let renamed = Call::patch("/me")
        .json(&json!({ "name": "Ben II" }))
        .by(token);
    let renamed = api
        .app
        .send(renamed)
        .await
        .expect(200, "everybody may change their name");
    let shown = api.app.send(Call::get("/me").by(token)).await;
    let expected = json!({ "id": ben.person.id, "name": "Ben II", "role": "customer" });
    for reply in [renamed, shown] {
        if reply.json() != expected {
            reply.refuse(
                "not Ben",
                format!("{} answered {reply}", reply.request),
                format!("{expected}"),
            );
        }
    }
}

/// The document promises what a client can rely on, errors included.
#[labkit::test]
async fn the_document_and_the_service_agree(mut api: Api) {
    const ONE: &str = "/orders/{id}";
    const LINE: &str = "/orders/{id}/lines/{line}";
    let (ann, ben) = two(&mut api).await;
    let token = &ben.person.token;
    let own = format!("/orders/{}", ben.orders[0]);
    let foreign = format!("/orders/{}", ann.orders[0]);
    let (line, foreign_line) = (
        path(ben.orders[0], ben.lines[0]),
        path(ann.orders[0], ann.lines[0]),
    );
    let (note, quantity) = (json!({ "note": "soon" }), json!({ "quantity": 2 }));
    let mut probes = Vec::new();
    let mut probe = |route: &str, status: u16, call: Call| {
        probes.push(Probe::of(route, status, call.by(token)));
    };
    probe("/me", 200, Call::get("/me"));
    let name = json!({ "name": "Ben" });
    probe("/me", 200, Call::patch("/me").json(&name));
    probe("/me", 400, Call::patch("/me").raw("application/json", "{"));
    probe("/me", 415, Call::patch("/me").raw("text/plain", "a"));
    probe("/me", 422, Call::patch("/me").json(&json!({ "name": 7 })));
    probe("/orders", 200, Call::get("/orders"));
    for (method, body) in [("GET", None), ("PATCH", Some(&note)), ("DELETE", None)] {
        let call = |path: &str| match body {
            Some(body) => Call::new(method, path).json(body),
            None => Call::new(method, path),
        };
        probe(ONE, 404, call(&foreign));
        probe(ONE, 400, call("/orders/mine"));
        if method == "PATCH" {
            probe(ONE, 415, Call::patch(&own).raw("text/plain", "a"));
            probe(ONE, 422, Call::patch(&own).json(&json!({ "note": 7 })));
        }
        if method != "DELETE" {
            probe(ONE, 200, call(&own));
        }
    }
    for (method, body) in [("GET", None), ("PATCH", Some(&quantity))] {
        let call = |path: &str| match body {
            Some(body) => Call::new(method, path).json(body),
            None => Call::new(method, path),
        };
        probe(LINE, 200, call(&line));
        probe(LINE, 404, call(&foreign_line));
        probe(LINE, 400, call("/orders/mine/lines/1"));
        if method == "PATCH" {
            probe(LINE, 415, Call::patch(&line).raw("text/plain", "a"));
            probe(LINE, 422, Call::patch(&line).json(&note));
        }
    }
    let bulk = [
        (
            "/orders/cancel",
            json!({ "ids": [ben.orders[0]] }),
            json!({ "ids": ann.orders }),
        ),
        (
            "/orders/merge",
            json!({ "from": ben.orders[0], "into": ben.orders[1] }),
            json!({ "from": ben.orders[0], "into": ann.orders[1] }),
        ),
    ];
    for (route, fine, foreign) in bulk {
        probe(route, 404, Call::post(route).json(&foreign));
        probe(route, 400, Call::post(route).raw("application/json", "{"));
        probe(route, 415, Call::post(route).raw("text/plain", "a"));
        probe(route, 422, Call::post(route).json(&json!({ "ids": "all" })));
        probe(route, 204, Call::post(route).json(&fine));
    }
    probe(ONE, 204, Call::delete(format!("/orders/{}", ben.orders[1])));
    for (method, route, path) in ROUTES {
        let path = path.replace("{o}", "1").replace("{l}", "1");
        probes.push(Probe::of(route, 401, Call::new(method, path)));
    }
    let routes: Vec<&str> = ROUTES.iter().map(|(_, route, _)| *route).collect();
    expect_agreement(&api.app, &routes, probes).await;
}
