//! A sandbox: programs on files, here, in a container, and unpacked from packages.

use labkit::sandbox::Ran;
use nix::sys::signal::Signal;

use super::*;
use crate::provider::Sandbox;
use crate::provider::bundle::Bundle;
use crate::provider::resolve::Request;
use crate::services::prometheus::PROMETHEUS;

#[tokio::test]
async fn native_runs_programs_in_a_sandbox() {
    let (_folder, run) = run_folder();
    let provider = resolve(&PROMETHEUS, Choice::Native, &run, &Said::default()).await;
    runs_programs(&provider.expect("prometheus is installed"), &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_runs_programs_in_a_sandbox() {
    if is_without("docker") {
        return;
    }
    let (_folder, run) = run_folder();
    let provider = resolve(&PROMETHEUS, Choice::Docker, &run, &Said::default()).await;
    runs_programs(&provider.expect("Docker has the image"), &run).await;
}

#[tokio::test]
async fn a_bundle_runs_programs_in_a_sandbox() {
    let (_folder, run) = run_folder();
    let cache = open_folder("labs-bundles-", 0o755);
    let bundle = Bundle::below(cache.path(), &PROMETHEUS).expect("Debian or Ubuntu");
    let said = Said::default();
    let request = Request {
        service: &PROMETHEUS,
        run: &run,
        notes: &said,
        forced: true,
        fetch: true,
    };
    let provider = request
        .open_bundle(&bundle)
        .await
        .expect("Debian's mirrors");
    runs_programs(&provider, &run).await;
}

#[tokio::test]
async fn a_server_of_the_users_own_is_no_sandbox() {
    let (_folder, run) = run_folder();
    let refused = resolve(&PROMETHEUS, Choice::External, &run, &Said::default()).await;
    let words = refused.expect_err("it is running already").to_string();
    assert!(
        words.contains("its configuration is the learner's"),
        "{words}"
    );
    assert!(words.contains("leave --services at auto"), "{words}");
}

async fn runs_programs(provider: &Provider, run: &RunFolder) {
    let mut sandbox = provider.sandbox().await.expect("a sandbox");
    let folder = sandbox.folder().to_owned();
    sandbox.write("p.yml", "global: {}\n").expect("written");
    let good = promtool(&mut sandbox, &["check", "config", "p.yml"], "").await;
    assert!(good.is_ok(), "{good:?}");
    sandbox.write("p.yml", "globe: {}\n").expect("written anew");
    let bad = promtool(&mut sandbox, &["check", "config", "p.yml"], "").await;
    assert_eq!(bad.code, Some(1));
    assert!(bad.said().contains("field globe not found"), "{bad:?}");
    let metrics = "# HELP a_total x\n# TYPE a_total counter\na_total 1\n";
    let read = promtool(&mut sandbox, &["check", "metrics"], metrics).await;
    assert!(read.is_ok(), "{read:?}");
    assert!(sandbox.write("../p.yml", "").is_err());
    assert!(
        sandbox.start("sh", &[]).await.is_err(),
        "no program of Prometheus"
    );
    goes_on_until_it_is_ended(&mut sandbox).await;
    sandbox.end().await.expect("ended");
    assert!(!folder.exists());
    let left = fs::read_dir(run.path()).expect("the run's folder");
    let names: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().starts_with("prometheus")),
        "{names:?}"
    );
}

async fn goes_on_until_it_is_ended(sandbox: &mut Sandbox) {
    sandbox.write("p.yml", "global: {}\n").expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let listen = format!("--web.listen-address={address}");
    let arguments = ["--config.file=p.yml", "--storage.tsdb.path=data", &listen];
    let arguments = arguments.map(str::to_owned);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let server = sandbox.start("prometheus", &arguments).await;
        let server = server.expect("started");
        let mut tries = 0;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            let looked = sandbox.look(server).await.expect("it is known");
            assert!(looked.ended.is_none() && tries < 400, "{looked:?}");
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        sandbox.signal(server, signal).await.expect("sent");
        let mut ended = sandbox.look(server).await.expect("it is known");
        for _ in 0..400 {
            if ended.ended.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            ended = sandbox.look(server).await.expect("it is known");
        }
        assert!(ended.ended.is_some(), "{ended:?}");
        assert!(ended.log.contains("Starting"), "{ended:?}");
        // One that has ended takes none.
        sandbox
            .signal(server, signal)
            .await
            .expect("nobody is there");
    }
    // The last one is ended with the sandbox.
    sandbox
        .start("prometheus", &arguments)
        .await
        .expect("started");
}

async fn promtool(sandbox: &mut Sandbox, arguments: &[&str], input: &str) -> Ran {
    let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let ran = sandbox.run("promtool", &arguments, input).await;
    ran.expect("it ends")
}
