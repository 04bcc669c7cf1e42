//! Long work says how far it is: a bar on a terminal, a line every few seconds elsewhere.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Rows that are done.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Instant,
    rows: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let (Some(bar), Ok(style)) =
            (&bar, ProgressStyle::with_template("{spinner} {pos} 行 | rows  {per_sec}  {elapsed}"))
        {
            bar.set_style(style);
        }
        Self { bar, begun: now, told: now, rows: 0 }
    }

    pub(super) fn add(&mut self, rows: u64) {
        self.rows += rows;
        match &self.bar {
            Some(bar) => bar.set_position(self.rows),
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                eprintln!("{} 行 | rows, {} s", self.rows, self.begun.elapsed().as_secs());
            }
            None => {}
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
