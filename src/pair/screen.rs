//! What the supervisor shows: log lines, and on a terminal one status line below them.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Messages that may wait for a slow terminal or pipe; further ones are dropped, so that nobody waits for it.
const WAITING_MAX: usize = 4096;
/// How often the status goes to the log when there is no terminal, if it has changed.
const STATUS_LINE_EVERY: Duration = Duration::from_secs(10);

enum Message {
    Line(String),
    Status(String),
}

/// Where lines go; cheap to clone, and never blocks.
#[derive(Clone)]
pub struct Lines {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Shows a line of one of the three: `primary`, `replica` or `pair`.
    pub fn line(&self, who: &str, text: &str) {
        if self.sender.try_send(Message::Line(format!("{who:<7} | {text}"))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shows a line of the supervisor.
    pub fn say(&self, text: &str) {
        self.line("pair", text);
    }

    /// Shows the latest status.
    pub fn status(&self, text: String) {
        let _ = self.sender.try_send(Message::Status(text));
    }
}

/// The thread that writes to the standard output.
pub struct Screen {
    lines: Lines,
    thread: JoinHandle<()>,
}

impl Screen {
    /// Starts it.
    pub fn start() -> io::Result<Screen> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let lines = Lines { sender, dropped: Arc::default() };
        let dropped = lines.dropped.clone();
        let bar = io::stdout().is_terminal().then(status_bar).filter(|bar| !bar.is_hidden());
        let work = move || match bar {
            Some(bar) => show_live(&receiver, &bar, &dropped),
            None => show_plain(&receiver, &dropped),
        };
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(work)?;
        Ok(Screen { lines, thread })
    }

    /// Where lines go.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Shows what is left, and ends. Every other [`Lines`] must be gone by then, or it waits for them.
    pub fn finish(self) {
        drop(self.lines);
        let _ = self.thread.join();
    }
}

fn status_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn tell_dropped(dropped: &AtomicU64) -> Option<String> {
    let count = dropped.swap(0, Ordering::Relaxed);
    (count > 0).then(|| format!("pair    | {count} lines were dropped, as the output was too slow"))
}

fn show_live(receiver: &Receiver<Message>, bar: &ProgressBar, dropped: &AtomicU64) {
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Line(text) => bar.println(text),
            Message::Status(text) => bar.set_message(text),
        }
        if let Some(text) = tell_dropped(dropped) {
            bar.println(text);
        }
    }
    bar.finish_and_clear();
}

fn show_plain(receiver: &Receiver<Message>, dropped: &AtomicU64) {
    let mut out = io::stdout();
    let (mut shown, mut shown_at) = (String::new(), None::<Instant>);
    while let Ok(message) = receiver.recv() {
        // A reader that went away is no reason to stop the pair.
        let _ = match message {
            Message::Line(text) => writeln!(out, "{text}"),
            Message::Status(text) => {
                let due = shown_at.is_none_or(|at| at.elapsed() >= STATUS_LINE_EVERY);
                if !due || text == shown {
                    continue;
                }
                shown_at = Some(Instant::now());
                let written = writeln!(out, "pair    | {text}");
                shown = text;
                written
            }
        };
        if let Some(text) = tell_dropped(dropped) {
            let _ = writeln!(out, "{text}");
        }
        let _ = out.flush();
    }
}
