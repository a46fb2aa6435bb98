//! A number is guessed and measured: `start`, and the question before a first check. And the
//! service that can be played with.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Lab, Run, Screen};

/// Complete but for the name.
pub(crate) const UNFINISHED: &str = "pub(crate) fn greeting(name: &str) -> String {
    let _ = name;
    #[allow(unused_mut)]
    let mut text = String::from(\"hello\");
    // HERE the name is missing.
    text
}
";

/// A lab with a first win: the greeting of ada has five letters, and ten with her name.
pub(crate) fn with_a_beginning(name: &str) -> Lab {
    let lab = Lab::new(name);
    lab.change(
        "lab.toml",
        "[[exercise]]",
        "[start]\nexercise = \"greeting\"\nunfinished = \"start/greeting.rs\"\n\
         story = \"A porter greets who comes in.\"\n\
         call = \"text += &format!(\\\", {name}\\\");\"\nmoral = \"Names matter.\"\n\n[[exercise]]",
    );
    lab.change(
        "lab.toml",
        "points = 10",
        "points = 10\npredict = { check = \"ada_is_greeted\", question = \"How long is it?\" }",
    );
    lab.write("start/greeting.rs", UNFINISHED);
    lab.change(
        "checks/src/lib.rs",
        "pub app: App,",
        "pub app: App,\n    /// The check.\n    pub check: Check,",
    );
    lab.change(
        "checks/src/lib.rs",
        "app: App::start(check, \"app\", &[]).await,",
        "app: App::start(check, \"app\", &[]).await,\n            check: check.clone(),",
    );
    lab.change(
        "checks/tests/checks/greeting.rs",
        "    if answer.body",
        "    lab.check.measured(answer.body.trim().len() as u64);\n    if answer.body",
    );
    lab
}

#[test]
fn start_leads_from_a_guess_to_the_first_win() {
    let lab = with_a_beginning("started");
    let mut screen = Screen::of(&["start", &lab.name]);
    screen.shows("A porter greets who comes in.");
    screen.shows("How long is it?");
    screen.types("seven\r");
    screen.shows("a whole number, please");
    screen.types("7\r");
    screen.shows("You said 7. Measured: ");
    screen.shows("src/greeting.rs:5");
    screen.shows("HERE the name is missing.");
    screen.shows("waiting for you to save");
    lab.write("src/greeting.rs", "fn {");
    screen.shows("does not compile");
    screen.shows("waiting for you to save");
    lab.write("src/greeting.rs", &format!("{UNFINISHED}\n"));
    screen.shows("Measured: still ");
    screen.shows("waiting for you to save");
    let call = "    // HERE the name is missing.\n    text += &format!(\", {name}\");";
    lab.write(
        "src/greeting.rs",
        &UNFINISHED.replace("    // HERE the name is missing.", call),
    );
    screen.shows("It was 5.");
    screen.shows("before");
    screen.shows("after");
    screen.shows("Names matter.");
    screen.shows("All 2 checks of");
    screen.shows("The line with HERE can go.");
    assert_eq!(screen.ended().code, 0);

    // Once it is past, it says how to go on and how to go back.
    let screen = Screen::of(&["start", &lab.name]);
    screen.shows("has passed already");
    screen.shows("cargo xtask next started");
    assert_eq!(screen.ended().code, 2);
}

#[test]
fn a_line_that_is_gone_need_not_go() {
    let lab = with_a_beginning("started-tidily");
    let mut screen = Screen::of(&["start", &lab.name]);
    screen.shows("your guess");
    screen.types("7\r");
    screen.shows("waiting for you to save");
    let call = "    text += &format!(\", {name}\");";
    lab.write(
        "src/greeting.rs",
        &UNFINISHED.replace("    // HERE the name is missing.", call),
    );
    screen.shows("All 2 checks of");
    let shown = screen.shown();
    assert_eq!(screen.ended().code, 0);
    let shown = shown.lock().expect("no panic").clone();
    assert!(!shown.contains("can go"), "{shown}");
}

#[test]
fn start_is_left_at_any_time_and_found_again() {
    let lab = with_a_beginning("started-twice");
    let mut screen = Screen::of(&["start", &lab.name]);
    screen.shows("your guess");
    screen.types("\x03");
    assert_eq!(screen.ended().code, 130);
    let mut screen = Screen::of(&["start", &lab.name]);
    screen.shows("your guess");
    screen.types("\r");
    screen.shows("Measured: ");
    screen.types("\x03");
    assert_eq!(screen.ended().code, 130);
}

#[test]
fn a_first_win_is_proved() {
    let lab = with_a_beginning("started-proved");
    let proved = Run::new(&["verify", &lab.name]).end();
    assert_eq!(proved.code, 0, "{proved:?}");
    lab.change("start/greeting.rs", "hello", "bye");
    let ended = Run::new(&["verify", &lab.name]).end();
    assert_eq!(ended.code, 3, "{ended:?}");
    ended.says("start, with its call: `greeting::ada_is_greeted` passed 0 of 1 times");
}

#[test]
fn a_first_check_names_the_beginning_and_one_that_was_begun_does_not() {
    let lab = with_a_beginning("begun");
    let beginning = format!("cargo xtask start {}", lab.name);
    let ended = Run::new(&["check", &lab.name]).end();
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&format!("or {beginning} (a guess first, then one call)"));
    lab.write("src/greeting.rs", UNFINISHED);
    let ended = Run::new(&["check", &lab.name]).end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(!ended.out.contains(&beginning), "{}", ended.out);
}

#[test]
fn off_a_terminal_nobody_is_asked() {
    let lab = with_a_beginning("unasked");
    lab.solve();
    let ended = Run::new(&["start", &lab.name]).end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("`start` asks and shows, and this is no terminal");
    let ended = Run::new(&["check", &format!("{}/greeting", lab.name)]).end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.out.contains("guess"), "{}", ended.out);
}

#[test]
fn a_number_is_asked_for_once_and_shown_beside_the_measured_one() {
    let lab = with_a_beginning("asked");
    lab.write("src/greeting.rs", UNFINISHED);
    let exercise = format!("{}/greeting", lab.name);
    let mut screen = Screen::of(&["check", &exercise]);
    screen.shows("How long is it?");
    screen.types("1,0\r");
    screen.shows("you said 10; it was 5");
    assert_eq!(screen.ended().code, 1);
    lab.solve();
    // Once is enough.
    let screen = Screen::of(&["check", &exercise]);
    let shown = screen.shown();
    assert_eq!(screen.ended().code, 0);
    let shown = shown.lock().expect("no panic").clone();
    assert!(!shown.contains("guess"), "{shown}");
}

#[test]
fn a_service_is_played_with_until_ctrl_c() {
    let lab = Lab::new("played");
    let without = Run::new(&["run", &lab.name]).end();
    assert_eq!(without.code, 2, "{without:?}");
    without.says("`played` has nothing to play with");

    lab.change(
        "checks/src/lib.rs",
        "/// The brief's code",
        "impl labkit::play::Playground for Lab {
    async fn open(check: &Check) -> Self {
        let lab = <Self as Fixture>::open(check).await;
        let asked = check.timeline().push(\"you\", \"app\", \"GET /\");
        check.timeline().reply(asked, \"200\");
        lab
    }

    fn card(&self) -> labkit::play::Card {
        labkit::play::Card {
            places: vec![(\"porter\".to_owned(), self.app.url().to_owned())],
            tries: vec![(\"curl it\".to_owned(), \"a greeting\".to_owned())],
        }
    }
}

/// The brief's code",
    );
    lab.change(
        "checks/tests/checks/main.rs",
        "mod greeting;",
        "mod greeting;\n\nlabkit::playground!(played_checks::Lab);",
    );
    lab.solve();
    let mut run = Run::new(&["run", &lab.name]);
    run.command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = run.command.spawn().expect("it starts");
    let mut lines = BufReader::new(running.stdout.take().expect("piped")).lines();
    let mut until = |words: &str| {
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains(words)));
        line.unwrap_or_else(|| panic!("it never says `{words}`"))
    };
    let porter = until("http://127.0.0.1:");
    until("Ctrl-C ends it");
    until("you   → app        GET /  200");
    let address = porter.rsplit('/').next().expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(b"GET /greetings/ada HTTP/1.0\r\n\r\n")
        .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.ends_with("hello, ada"), "{answer}");
    let pid = Pid::from_raw(running.id().try_into().expect("a process number"));
    kill(pid, Signal::SIGINT).expect("sent");
    assert_eq!(running.wait().expect("its end").code(), Some(130));
}
