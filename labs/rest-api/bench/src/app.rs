//! A built app as a process, for as long as the value lives.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running app; killed when dropped.
pub(crate) struct App {
    base: String,
    _child: Child,
}

impl App {
    /// Starts it and waits for its first line.
    pub(crate) async fn start(path: &Path, environment: &[(String, String)]) -> Self {
        let child = Command::new(path)
            .envs(environment.iter().cloned())
            // Nobody pays here, or looks at pictures.
            .env("PROVIDER_URL", "http://127.0.0.1:1")
            .env("IMAGES_URL", "http://127.0.0.1:1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // An exercise that is not written yet panics at each request.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // An app that ends says nothing: that is told below.
            let _ = BufReader::new(stdout).read_line(&mut line).await;
        }
        let Some(base) = line.trim_end().strip_prefix("listening on ") else {
            panic!("{} does not say where it listens", path.display());
        };
        Self {
            base: base.to_owned(),
            _child: child,
        }
    }

    /// The URL of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
