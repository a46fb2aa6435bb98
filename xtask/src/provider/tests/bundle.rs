//! Packages that are unpacked, not installed; downloaded for real.
#![cfg(target_os = "linux")]

use super::*;
use crate::provider::Request;
use crate::provider::bundle::Bundle;

fn request<'a>(run: &'a RunFolder, said: &'a Said) -> Request<'a> {
    Request {
        service: &REDIS,
        run,
        notes: said,
        forced: true,
        fetch: true,
    }
}

async fn prove(bundle: &Bundle, run: &RunFolder, said: &Said) -> Provider {
    let proved = request(run, said).open_bundle(bundle).await;
    proved.expect("downloaded, and it runs")
}

#[tokio::test]
async fn a_bundle_is_downloaded_once_and_gives_servers_that_are_used() {
    if is_without("bundle") {
        return;
    }
    let (folder, run) = run_folder();
    let cache = open_folder("cache-", 0o755);
    let bundle = Bundle::below(cache.path(), &REDIS).expect("Debian or Ubuntu");
    // As if an earlier run had been killed half way.
    let bundles = cache.path().join("bundles");
    fs::create_dir_all(bundles.join("unfinished-1/root/usr/bin")).expect("made");

    let said = Said::default();
    let provider = prove(&bundle, &run, &said).await;
    let lines = said.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("redis-server, redis-tools"), "{lines:?}");
    assert!(
        lines[0].contains(&cache.path().display().to_string()),
        "{lines:?}"
    );
    assert!(lines[0].contains("LABS_BUNDLE=never"), "{lines:?}");
    assert!(
        lines[1].contains("kB") || lines[1].contains("MB"),
        "{lines:?}"
    );
    let kept = names_in(&bundles);
    assert_eq!(kept.len(), 2, "the bundle and its lock: {kept:?}");
    gives_servers_that_are_used_emptied_and_ended(provider, &folder).await;

    let again = Said::default();
    let provider = prove(&bundle, &run, &again).await;
    assert!(again.lines().is_empty(), "{:?}", again.lines());
    takes_a_configuration_that_cannot_move_it(provider, &folder).await;
}

#[tokio::test]
async fn a_bundle_that_no_longer_runs_is_unpacked_anew() {
    if is_without("bundle") {
        return;
    }
    let (_folder, run) = run_folder();
    let cache = open_folder("cache-", 0o755);
    let bundle = Bundle::below(cache.path(), &REDIS).expect("Debian or Ubuntu");
    let broken = bundle.folder().join("usr/bin");
    fs::create_dir_all(&broken).expect("made");
    fs::write(broken.join("redis-server"), "#!/bin/sh\nexit 127\n").expect("written");
    let mode = Permissions::from_mode(0o755);
    fs::set_permissions(broken.join("redis-server"), mode).expect("ours");
    let said = Said::default();
    let provider = request(&run, &said)
        .open_bundle(&bundle)
        .await
        .expect("mended");
    assert!(
        said.lines()[0].contains("unpacked anew"),
        "{:?}",
        said.lines()
    );
    let instance = provider
        .start(None, None, &Said::default())
        .await
        .expect("started");
    use_it(&instance).await;
    instance.stop().await.expect("stopped");
}

#[tokio::test]
async fn two_downloads_at_once_are_one() {
    if is_without("bundle") {
        return;
    }
    let cache = open_folder("cache-", 0o755);
    let bundle = Bundle::below(cache.path(), &REDIS).expect("Debian or Ubuntu");
    let (one, two) = (Said::default(), Said::default());
    let (first, second) = tokio::join!(
        bundle.obtain(&REDIS, true, &one),
        bundle.obtain(&REDIS, true, &two)
    );
    assert_eq!(first.expect("had").path, second.expect("had").path);
    assert_eq!(one.lines().len() + two.lines().len(), 2);
}

#[tokio::test]
async fn nothing_is_downloaded_where_that_is_not_asked_for() {
    let cache = open_folder("cache-", 0o755);
    let bundle = Bundle::below(cache.path(), &REDIS).expect("Debian or Ubuntu");
    let refused = bundle.obtain(&REDIS, false, &Said::default()).await;
    assert!(refused.is_err());
    assert!(names_in(cache.path()).is_empty());
}
