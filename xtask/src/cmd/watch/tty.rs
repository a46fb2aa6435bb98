//! The terminal while the screen is ours, and how it is given back.

use std::io::{self, Write as _};
use std::sync::Once;
use std::time::Duration;

use anyhow::Context as _;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event};
use crossterm::execute;
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How often the thread that reads keys looks whether anybody still wants them.
const BREATH: Duration = Duration::from_millis(200);

/// Given back when dropped, and before a panic is told.
pub(super) struct Tty;

impl Tty {
    /// Takes the whole screen and every key.
    pub(super) fn take() -> anyhow::Result<Self> {
        terminal::enable_raw_mode().context("this terminal cannot be read key by key")?;
        let tty = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)
            .context("this terminal cannot be drawn on")?;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                usual(info);
            }));
        });
        Ok(tty)
    }

    /// Columns and rows; of a terminal that does not say, none.
    pub(super) fn size(&self) -> (usize, usize) {
        let (columns, rows) = terminal::size().unwrap_or_default();
        (columns.into(), rows.into())
    }

    /// Draws the rows, as many as the terminal has; what was there before is gone.
    pub(super) fn draw(&self, rows: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate)?;
        for (number, row) in (0..).zip(rows) {
            // Cleared first: behind a full row the cursor still stands on its last letter.
            queue!(
                out,
                MoveTo(0, number),
                Clear(ClearType::CurrentLine),
                Print(row)
            )?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }

    /// What is typed, and that the terminal has another size.
    pub(super) fn events(&self) -> UnboundedReceiver<Event> {
        let (sender, receiver) = unbounded_channel();
        // A thread: the runtime would wait for a read that nobody ends.
        std::thread::spawn(move || {
            while !sender.is_closed() {
                let event = match event::poll(BREATH) {
                    Ok(true) => event::read(),
                    Ok(false) => continue,
                    Err(error) => Err(error),
                };
                // A terminal that cannot be read any more has gone.
                let Ok(event) = event else { return };
                let _ = sender.send(event);
            }
        });
        receiver
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // Nothing can be done for a terminal that takes no more orders.
    let _ = execute!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}
