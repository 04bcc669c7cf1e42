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
    #[arg(required_unless_present = "new_recovery_key")]
    dir: Option<PathBuf>,
    /// The node's configuration.
    #[arg(long, required_unless_present = "new_recovery_key")]
    config: Option<PathBuf>,
    /// Encrypts the backup to the holder of a recovery key: its public half, age1…; several for several holders.
    #[arg(long, value_name = "AGE_PUBLIC_KEY")]
    recipient: Vec<String>,
    /// Makes a recovery key in this file, prints its public half, and does nothing else. Keep the file away from the node.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "config", "recipient"])]
    new_recovery_key: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) async fn run(self) -> Result<()> {
        if let Some(file) = &self.new_recovery_key {
            let public = backup::new_key(file)?;
            if self.json {
                println!("{}", json!({"recipient": public, "identity": file}));
            } else {
                println!("{public}");
                eprintln!(
                    "恢复密钥已写入 {0}，请离线保管，勿留在节点上 | the recovery key is in {0}: keep it offline, not at the node",
                    file.display()
                );
            }
            return Ok(());
        }
        let (Some(dir), Some(config)) = (&self.dir, &self.config) else { return Ok(()) };
        machine::begun(config, "backup", dir.display()).await?;
        let made = backup::take(config, dir, &self.recipient, &Clock::system()).await?;
        machine::done(config, "backup", dir.display()).await?;
        if self.json {
            println!("{}", json!(made));
            return Ok(());
        }
        let (node, epoch, position, key) = (&made.node, made.epoch, made.position, &made.key_id);
        println!("已备份 | backed up: node {node}, epoch {epoch}, position {position}, {}", dir.display());
        println!("签名密钥 | signed by key: {key}");
        if self.recipient.is_empty() {
            println!("其中含有私钥，请妥善保管 | it holds the private keys: keep it as safe as the node");
        } else {
            println!("已加密，只有恢复密钥能打开 | it is encrypted: only the recovery key opens it");
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
    /// The recovery key of an encrypted backup, a file as `backup --new-recovery-key` or `age-keygen` writes it.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Takes a backup of an older program, which is not signed.
    #[arg(long)]
    unsigned: bool,
    /// The journal of erasures of the node that was backed up: whoever was erased after the backup is erased again. Absent: the file
    /// that the configuration names, where that is outside of the node's folder.
    #[arg(long, value_name = "FILE")]
    erasures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) async fn run(self) -> Result<()> {
        let asked = backup::Asked {
            directory: &self.dir,
            to: &self.to,
            database: self.database.as_deref(),
            identity: self.identity.as_deref(),
            may_be_unsigned: self.unsigned,
            erasures: self.erasures.as_deref(),
        };
        let restored = backup::restore(asked).await?;
        machine::done(&restored.config, "restore", self.dir.display()).await?;
        if self.json {
            println!("{}", as_json(&restored));
            return Ok(());
        }
        let backup::Restored { config, manifest, epoch, token, settings, erased, seal_missing } = restored;
        let config = config.display();
        println!("已恢复 | restored: {config}");
        println!("签名密钥，请与节点名片核对 | signed by key, compare it with the node's card: {}", manifest.key_id);
        println!("纪元 | epoch: {} → {epoch}", manifest.epoch);
        match erased {
            Some((journal, records)) => {
                println!(
                    "抹除日志已重放，再次抹除的记录 | erasures were replayed, records erased again: {records} ({})",
                    journal.display()
                );
            }
            None => println!(
                "未指定抹除日志：备份之后抹除的个人数据又在其中（--erasures FILE） | no journal of erasures was named: who was erased after the \
                 backup is back (--erasures FILE)"
            ),
        }
        println!("与默认值不同的配置 | settings other than the defaults:");
        settings.iter().for_each(|(key, value, place)| println!("  {key} = {value}    # {place}"));
        println!(
            "备份中的令牌均已撤销；新的管理员令牌，仅显示一次 | all tokens of the backup are revoked; a new administrator's,"
        );
        println!("shown once (QIANSHOU_TOKEN): {token}");
        println!("旧节点不得再启动；对方节点的数据流将停止，直到声明新纪元，届时对方持有而备份中没有的记录即告结束");
        println!(
            "Never start the old node again. Its peers' streams stand still until the new epoch is declared; what"
        );
        println!("they hold and the backup does not, ends with that.");
        if let Some(seal) = seal_missing {
            println!(
                "备份不含封存密钥，启动前请放回 | the backup is without the seal key; put it back first: {}",
                seal.display()
            );
        }
        println!("下一步 | next: qianshou serve --config {config}");
        println!("            qianshou epoch declare --config {config}");
        Ok(())
    }
}

fn as_json(restored: &backup::Restored) -> serde_json::Value {
    let backup::Restored { config, manifest, epoch, token, settings, erased, seal_missing } = restored;
    let setting =
        |(key, value, place): &(String, String, String)| (key.clone(), json!({"value": value, "origin": place}));
    json!({
        "config": config,
        "node": manifest.node,
        "from_epoch": manifest.epoch,
        "epoch": epoch,
        "position": manifest.position,
        "key_id": manifest.key_id,
        "token": token,
        "settings": settings.iter().map(setting).collect::<serde_json::Map<_, _>>(),
        "erasures": erased.as_ref().map(|(journal, _)| journal),
        "erased": erased.as_ref().map(|(_, records)| records),
        "seal_missing": seal_missing,
    })
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
        // A lost volume is restored; tables in an empty database would begin another registry under the same keys.
        if levels.is_empty() {
            return Err(node::holds_no_node());
        }
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
