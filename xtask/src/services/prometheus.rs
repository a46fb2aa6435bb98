//! Prometheus, and promtool.

use super::{Manner, Sandboxed, Service, Version};

/// Prometheus, from 2.42 on: what Debian 12 has.
pub(crate) const PROMETHEUS: Service = Service {
    name: "prometheus",
    image: "prom/prometheus:v2.42.0",
    program: "prometheus",
    elsewhere: &[],
    packages: &["prometheus"],
    install: &[
        ("apt-get", "prometheus"),
        ("brew", "prometheus"),
        ("dnf", "golang-github-prometheus"),
        ("pacman", "prometheus"),
        ("zypper", "golang-github-prometheus-prometheus"),
        ("apk", "prometheus"),
    ],
    oldest: Version(2, 42),
    manner: Manner::Sandboxed(Sandboxed {
        tools: &["promtool"],
        version: &["--version"],
        stated,
        fetch,
    }),
};

/// In `prometheus, version 2.42.0+ds (branch: debian/sid, revision: …)`.
fn stated(said: &str) -> Option<&str> {
    let version = said.split_once("version ")?.1.split_whitespace().next()?;
    version.split('+').next()
}

fn fetch(url: &str) -> Vec<String> {
    ["promtool", "query", "instant", url, "1"]
        .map(str::to_owned)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_stated() {
        for (said, version) in [
            (
                "prometheus, version 2.42.0+ds (branch: debian/sid)\n  go version: go1.19",
                "2.42.0",
            ),
            (
                "prometheus, version 3.5.0 (branch: HEAD, revision: 8be3a9)",
                "3.5.0",
            ),
        ] {
            assert_eq!(stated(said), Some(version));
        }
        assert_eq!(stated("no such thing"), None);
    }
}
