//! Commands that keep a node's data: back it up, restore it, migrate it, declare its epoch.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use qianshou_kernel::{
    clock::Clock,
    config::Config,
    error::{Error, Reason, Result},
    ledger,
};
use serde_json::json;

use super::machine;
use crate::{backup, node};

#[derive(Args)]
pub(super) struct Backup {
    /// An empty folder, or one that is not there yet.
    dir: PathBuf,
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) async fn run(self) -> Result<()> {
        machine::begun(&self.config, "backup", self.dir.display()).await?;
        let made = backup::take(&self.config, &self.dir, &Clock::system()).await?;
        machine::done(&self.config, "backup", self.dir.display()).await?;
        if self.json {
            println!("{}", json!(made));
        } else {
            let (node, epoch, position) = (&made.node, made.epoch, made.position);
            println!("已备份 | backed up: node {node}, epoch {epoch}, position {position}, {}", self.dir.display());
            println!("其中含有私钥，请妥善保管 | it holds the private keys: keep it as safe as the node");
        }
        Ok(())
    }
}

#[derive(Args)]
pub(super) struct Restore {
    /// The backup.
    dir: PathBuf,
    /// The node's new folder: empty, or not there yet.
    #[arg(long)]
    to: PathBuf,
    /// An empty database of the same kind as the one that was backed up; absent: a SQLite file in the new folder.
    #[arg(long)]
    database: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) async fn run(self) -> Result<()> {
        let backup::Restored { config, manifest, epoch } =
            backup::restore(&self.dir, &self.to, self.database.as_deref()).await?;
        machine::done(&config, "restore", self.dir.display()).await?;
        let config = config.display();
        if self.json {
            let (node, from, position) = (manifest.node, manifest.epoch, manifest.position);
            println!(
                "{}",
                json!({"config": config.to_string(), "node": node, "from_epoch": from, "epoch": epoch, "position": position})
            );
            return Ok(());
        }
        println!("已恢复 | restored: {config}");
        println!("纪元 | epoch: {} → {epoch}", manifest.epoch);
        println!("旧节点不得再启动；对方节点的数据流将停止，直到声明新纪元，届时对方持有而备份中没有的记录即告结束");
        println!(
            "Never start the old node again. Its peers' streams stand still until the new epoch is declared; what"
        );
        println!("they hold and the backup does not, ends with that.");
        println!("下一步 | next: qianshou serve --config {config}");
        println!("            qianshou epoch declare --config {config}");
        Ok(())
    }
}

#[derive(Args)]
pub(super) struct Migrate {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    check: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<()> {
        let db = node::database(&Config::load(&self.config)?).await?;
        let levels = db.levels().await?;
        if let Some(house) = node::later(&levels) {
            return Err(Error::refused("--config", Reason::ContractLevel, house));
        }
        let steps = node::pending(&levels);
        if !self.check {
            db.migrate(&node::migrations()).await?;
            node::reindex(&db).await?;
        }
        db.close().await;
        if self.json {
            let step = |(house, from, to): &(_, _, _)| json!({"house": house, "from": from, "to": to});
            println!("{}", json!({"done": !self.check, "steps": steps.iter().map(step).collect::<Vec<_>>()}));
        } else if steps.is_empty() {
            println!("数据表已是本程序的版本 | the tables stand at this program's level");
        }
        for (house, from, to) in steps.iter().filter(|_| !self.json) {
            println!("{house}: {from} → {to}{}", if self.check { "（待执行 | to be done）" } else { "" });
        }
        Ok(())
    }
}

#[derive(Subcommand)]
pub(super) enum EpochCommand {
    /// The ledger's epoch, and whether peers have been told of it.
    Show {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Declares a restored node's epoch: streams go on, and what peers hold beyond the backup ends there.
    Declare {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Opens one more epoch if none waits, as after a database that was put back by other means.
        #[arg(long)]
        new: bool,
    },
}

impl EpochCommand {
    pub(super) async fn run(self) -> Result<()> {
        let (Self::Show { config, .. } | Self::Declare { config, .. }) = &self;
        let db = node::database(&Config::load(config)?).await?;
        match self {
            Self::Declare { new, ref config } => {
                machine::begun(config, "epoch declare", "").await?;
                let none = "restored epoch (--new opens one) | 待声明的纪元（--new 可另开新纪元）";
                let declared = ledger::declare_epoch(&db, new).await?;
                let epoch = declared.ok_or_else(|| Error::refused("epoch", Reason::NotFound, none))?;
                machine::done(config, "epoch declare", epoch).await?;
                println!("已声明 | declared: epoch {epoch}");
            }
            Self::Show { json, .. } => {
                let head = ledger::head(&db).await?;
                let (epoch, position, declared) = (head.epoch, head.position, head.declared);
                if json {
                    println!("{}", json!({"epoch": epoch, "position": position, "declared": declared}));
                } else {
                    let told = if declared { "已声明 | declared" } else { "未声明 | not declared" };
                    println!("epoch {epoch}, position {position}, {told}");
                }
            }
        }
        db.close().await;
        Ok(())
    }
}
