//! `qianshou verify`, as people and programs read it.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use qianshou_kernel::{
    audit::Signer,
    clock::Clock,
    config::Config,
    error::{Error, Reason, Result},
    identity::NodeKeys,
    kind::Kinds,
    ledger::{self, Ledger},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    node,
    verify::{Looked, parts, sample, walk, with_peers},
};

const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct Verify {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Every entry, page and receipt; without it the newest and a sample of the others.
    #[arg(long)]
    full: bool,
    /// Also asks every peer what it was shown of this node's signed heads.
    #[arg(long)]
    with_peers: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let loaded = Config::load(&self.config)?;
        let keys = NodeKeys::open(&loaded.keys_directory())?;
        let db = node::database(&loaded).await?;
        if !node::pending(&db.levels().await?).is_empty() {
            return Err(Error::refused("--config", Reason::ContractLevel, "qianshou migrate --config …"));
        }
        let parts = parts(&db, &Signer::from(&keys));
        let looked = if self.full {
            let mut progress = Progress::new();
            let looked = walk(&parts, |part, done, total| progress.show(part, done, total)).await;
            progress.finish();
            looked
        } else {
            sample(&parts).await
        };
        let mut looked = looked?;
        if self.with_peers {
            let (clock, limits) = (Clock::system(), ledger::Limits::default());
            let kinds = Arc::new(Kinds::new(node::kinds()));
            let ledger = Ledger::open(db.clone(), &loaded.config.node.code, kinds, clock, limits).await?;
            for (peer, answer) in with_peers(&ledger, &keys).await? {
                match answer {
                    Ok(answer) => looked.push(answer),
                    Err(error) => eprintln!("peer {peer}: {error}"),
                }
            }
        }
        db.close().await;
        if self.json {
            println!("{}", json!(looked));
        } else {
            looked.iter().for_each(print);
        }
        let broken = looked.iter().any(|part| part.fault.is_some());
        Ok(if broken { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }
}

fn print(looked: &Looked) {
    match &looked.fault {
        None => println!("ok    {}: {}", looked.part, looked.count),
        Some(fault) => println!("FAIL  {}: {fault}", looked.part),
    }
}

/// A bar on a terminal, a line every few seconds elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}  {per_sec}  {eta}");
        if let (Some(bar), Ok(style)) = (&bar, style) {
            bar.set_style(style);
        }
        Self { bar, told: Instant::now() }
    }

    fn show(&mut self, part: &str, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(part.to_owned());
                bar.set_length(total);
                bar.set_position(done);
            }
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                eprintln!("{part}: {done}/{total}");
            }
            None => {}
        }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
