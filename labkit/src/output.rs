//! What an app writes: read for ever, kept in bounds, searched for panics as it passes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::assignment::Todo;

/// How much of an app's output is kept: enough for a backtrace, nothing against 100 MB.
const KEPT_BYTES: usize = 64 * 1024;
/// A longer line is cut: only a panic's first lines and the address line matter.
const LINE_BYTES: usize = 4 * 1024;

/// A panic as Rust's default hook prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) message: String,
}

impl Panic {
    /// `todo!()` and `todo!("…")`, told apart from other panics by their fixed wording.
    pub(crate) fn as_todo(&self) -> Option<Todo> {
        let rest = self.message.strip_prefix("not yet implemented")?;
        Some(Todo {
            file: self.file.clone(),
            line: self.line,
            says: rest.strip_prefix(": ").map(str::to_owned),
        })
    }
}

/// The shared end of one stream of an app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    tail: VecDeque<u8>,
    panics: Vec<Panic>,
    /// Where a panic was announced whose message is the next line.
    announced: Option<(String, u32)>,
}

impl Output {
    /// The end of what was written.
    pub(crate) fn tail(&self) -> String {
        let kept = self.lock();
        let (a, b) = kept.tail.as_slices();
        String::from_utf8_lossy(&[a, b].concat()).into_owned()
    }

    /// The panics seen so far, oldest first.
    pub(crate) fn panics(&self) -> Vec<Panic> {
        self.lock().panics.clone()
    }

    /// Reads `stream` to its end, giving each line to `on_line`.
    pub(crate) async fn drain(
        self,
        mut stream: impl AsyncRead + Unpin,
        mut on_line: impl FnMut(&str),
    ) {
        let mut chunk = [0; 8 * 1024];
        let mut line = Vec::new();
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            let mut kept = self.lock();
            kept.tail.extend(&chunk[..read]);
            let surplus = kept.tail.len().saturating_sub(KEPT_BYTES);
            kept.tail.drain(..surplus);
            for byte in &chunk[..read] {
                match byte {
                    b'\n' => {
                        let text = String::from_utf8_lossy(&line).into_owned();
                        kept.look_for_panic(&text);
                        on_line(&text);
                        line.clear();
                    }
                    _ if line.len() < LINE_BYTES => line.push(*byte),
                    _ => {}
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn look_for_panic(&mut self, line: &str) {
        if let Some((file, number)) = self.announced.take() {
            // A loop that panics for ever must not fill our memory.
            if self.panics.len() < 100 {
                self.panics.push(Panic {
                    file,
                    line: number,
                    message: line.to_owned(),
                });
            }
        } else {
            self.announced = announced_panic(line);
        }
    }
}

/// `thread 'main' (12) panicked at src/main.rs:3:5:` names a file and a line.
fn announced_panic(line: &str) -> Option<(String, u32)> {
    let place = line
        .split_once("' ")
        .filter(|_| line.starts_with("thread '"))
        .and_then(|(_, rest)| rest.split_once("panicked at "))?
        .1
        .strip_suffix(':')?;
    let mut parts = place.rsplitn(3, ':');
    let _column = parts.next()?;
    let number = parts.next()?.parse().ok()?;
    Some((parts.next()?.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &[u8]) -> Output {
        let output = Output::default();
        output.clone().drain(text, |_| {}).await;
        output
    }

    #[tokio::test]
    async fn a_todo_is_found_with_file_line_and_words() {
        let output = read(
            b"hello\nthread 'tokio-rt-worker' (42) panicked at labs/x/src/a.rs:12:5:\n\
              not yet implemented: what now?\nnote: run with\n",
        )
        .await;
        let todo = output.panics()[0].as_todo().unwrap();
        assert_eq!((todo.file.as_str(), todo.line), ("labs/x/src/a.rs", 12));
        assert_eq!(todo.says.as_deref(), Some("what now?"));
    }

    #[tokio::test]
    async fn another_panic_is_no_todo() {
        let output = read(b"thread 'main' panicked at a.rs:1:2:\nindex out of bounds\n").await;
        assert_eq!(output.panics()[0].message, "index out of bounds");
        assert_eq!(output.panics()[0].as_todo(), None);
    }

    #[tokio::test]
    async fn a_hundred_megabytes_stay_in_bounds() {
        let output = Output::default();
        let flood = tokio::io::repeat(b'x').take(100 * 1024 * 1024);
        output.clone().drain(flood, |_| {}).await;
        assert_eq!(output.tail().len(), KEPT_BYTES);
    }
}
