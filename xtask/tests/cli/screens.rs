//! What stands on the screen of a terminal emulator (tmux), large and small.

use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::guess::with_a_beginning;
use crate::support::{Lab, XTASK, scratch, settled, text, without};

const LIMIT: Duration = Duration::from_secs(300);
const SIZES: [(u16, u16); 2] = [(80, 24), (40, 12)];
const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";

/// A terminal with a command on it; it stays when that has ended.
struct Terminal {
    place: TempDir,
}

impl Terminal {
    fn of((columns, rows): (u16, u16), arguments: &str) -> Self {
        // Or the first one speaks of the libraries that cargo compiles once.
        static LIBRARIES: Once = Once::new();
        LIBRARIES.call_once(|| {
            let _ = Lab::new("seen-first").check(&[]).end();
        });
        let terminal = Self {
            place: tempfile::Builder::new()
                .prefix("cli-")
                .tempdir()
                .expect("a folder"),
        };
        let folder = scratch().display();
        let place = terminal.place.path().display();
        let command = format!(
            "cd '{folder}'; export TMPDIR='{place}'; unset NO_COLOR CARGO_MANIFEST_DIR; '{XTASK}' {arguments}; exec cat"
        );
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &rows,
            &command,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let socket = self.place.path().join("tmux");
        let output = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env_remove("TMUX")
            .output()
            .expect("tmux is installed, or LABS_WITHOUT names it");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// The whole screen, once these words stand on it.
    fn screen_with(&self, words: &str) -> String {
        let began = Instant::now();
        let screen = loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if screen.contains(words) {
                break screen;
            }
            assert!(began.elapsed() < LIMIT, "no `{words}` on it:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut settled = settled(&screen).trim_end().to_owned();
        // What turns while something goes on.
        for turn in "⠁⠂⠄⡀⢀⠠⠐⠈⠉⠙⠚⠒⠲⠴⠤⠦⠖⠓⠋".chars() {
            settled = settled.replace(turn, "[TURN]");
        }
        settled
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.place.path().join("tmux");
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .arg("kill-server")
            .status();
    }
}

#[test]
fn a_finding_on_a_screen() {
    if without("tmux", "how a finding stands on a screen") {
        return;
    }
    let lab = Lab::new("seen");
    lab.write("src/greeting.rs", WRONG);
    for size in SIZES {
        let check = format!("check {}/greeting --seed 7", lab.name);
        let terminal = Terminal::of(size, &check);
        let name = format!("finding_{}x{}", size.0, size.1);
        assert_snapshot!(name, terminal.screen_with("stuck"));
    }
}

#[test]
fn a_watch_on_a_screen() {
    if without("tmux", "how `watch` stands on a screen") {
        return;
    }
    let lab = Lab::new("seen-watched");
    for size in SIZES {
        lab.write("src/greeting.rs", WRONG);
        let terminal = Terminal::of(size, &format!("watch {} --seed 7", lab.name));
        let name = |state: &str| format!("watch_{state}_{}x{}", size.0, size.1);
        assert_snapshot!(
            name("failed"),
            terminal.screen_with("✗ seen-watched  0 of 2")
        );
        lab.write("src/greeting.rs", "pub(crate) fn greeting() {}\n");
        assert_snapshot!(
            name("broken"),
            terminal.screen_with("✗ seen-watched  does not compile")
        );
        lab.solve();
        assert_snapshot!(
            name("passed"),
            terminal.screen_with("✓ seen-watched  2 of 2")
        );
        terminal.types(&["q"]);
    }
}

#[test]
fn a_start_on_a_screen() {
    if without("tmux", "how `start` stands on a screen") {
        return;
    }
    // As high as it gets: the file has just been written, the call has two lines, and the timeline
    // more than are shown.
    let lab = with_a_beginning("seen-started");
    let starter = lab.read("src/greeting.rs");
    lab.change("lab.toml", "call = \"", "call = \"let name = name;\\n");
    lab.change(
        "checks/tests/checks/greeting.rs",
        "    lab.check.measured",
        "    for _ in 0..9 {
        let _ = lab.app.get(\"/greetings/ada\").await;
    }
    lab.check.measured",
    );
    for size in SIZES {
        lab.write("src/greeting.rs", &starter);
        let terminal = Terminal::of(size, &format!("start {}", lab.name));
        let name = |state: &str| format!("start_{state}_{}x{}", size.0, size.1);
        assert_snapshot!(name("asks"), terminal.screen_with("your guess"));
        terminal.types(&["7", "Enter"]);
        let shows = terminal.screen_with("waiting for you");
        assert!(size == SIZES[1] || shows.contains("Measured: 5"), "{shows}");
        assert_snapshot!(name("shows"), shows);
        lab.solve();
        assert_snapshot!(name("won"), terminal.screen_with("next  "));
    }
}
