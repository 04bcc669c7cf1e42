//! Commands that work on a node's folder.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use qianshou_kernel::{
    clock::Clock,
    config::{Config, Origin},
    error::{Error, Reason, Result},
    identity::NodeKeys,
    server::shutdown_on_signal,
    telemetry::Telemetry,
};
use serde_json::json;

use super::{banner::Banner, machine};
use crate::node::{self, Node};

#[derive(Args)]
pub(super) struct Init {
    /// The node's folder.
    dir: PathBuf,
    /// Administrative code of the authority: 35, 64 …; 00 is the nation.
    #[arg(long)]
    province: String,
    /// How people call the authority; stands on its card.
    #[arg(long)]
    name: Option<String>,
    /// `sqlite:FILE` in the folder, or `postgres://…`.
    #[arg(long)]
    database: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) async fn run(self) -> Result<()> {
        let token = node::init(&self.dir, &self.province, self.name.as_deref(), self.database.as_deref()).await?;
        let config = std::path::absolute(self.dir.join("node.toml"))?;
        let loaded = Config::load(&config)?;
        let keys = NodeKeys::of(&loaded)?;
        if self.json {
            println!("{}", json!({"config": config, "ca": keys.ca_path, "token": token}));
        } else {
            println!("节点已建立 | the node stands: {}", config.display());
            println!("证书颁发机构 | certificate authority (QIANSHOU_CA): {}", keys.ca_path.display());
            println!("管理员令牌，仅显示一次 | administrator's token, shown once (QIANSHOU_TOKEN): {token}");
            println!("下一步 | next: qianshou serve --config {}", config.display());
        }
        Ok(())
    }
}

#[derive(Args)]
pub(super) struct Serve {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Houses of this process: registry, pairing, exchange, reporting. The others are its neighbours' ([neighbours]); on PostgreSQL only.
    #[arg(long, value_delimiter = ',')]
    role: Vec<String>,
}

impl Serve {
    pub(super) async fn run(self) -> Result<()> {
        let mut loaded = Config::load(&self.config)?;
        if !self.role.is_empty() {
            loaded.config.roles.serve = self.role;
        }
        let telemetry = Telemetry::start(&loaded.config).await?;
        let (shutdown, banner) = (shutdown_on_signal()?, Banner::of(&loaded));
        let serving = Node::open(loaded, Clock::system(), None).await?.serve(shutdown).await?;
        println!("ready https://{}", serving.api);
        if let Some(peers) = serving.peers {
            println!("peers https://{peers}");
        }
        banner.show(&serving);
        let finished = serving.finished().await;
        telemetry.shutdown().await;
        finished
    }
}

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Every setting in force.
    Show {
        /// The node's configuration.
        #[arg(long, default_value = "node.toml")]
        config: PathBuf,
        /// Also where each value came from.
        #[arg(long)]
        origin: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(self) -> Result<()> {
        let Self::Show { config, origin, json } = self;
        let loaded = Config::load(&config)?;
        let mut all = serde_json::Map::new();
        for (key, (value, from)) in loaded.origins {
            let from = match from {
                Origin::Default => "default".to_owned(),
                Origin::File(path) => path.display().to_string(),
                Origin::Environment(name) => name,
            };
            if json {
                let shown = if origin { json!({"value": value, "origin": from}) } else { value.into() };
                all.insert(key, shown);
            } else if origin {
                println!("{key} = {value}    # {from}");
            } else {
                println!("{key} = {value}");
            }
        }
        if json {
            println!("{}", serde_json::Value::from(all));
        }
        Ok(())
    }
}

#[derive(Subcommand)]
pub(super) enum DomainCommand {
    /// Makes or takes a domain's key. Whoever holds it can enumerate citizen numbers: hand it only to providers.
    Add {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// The domain's name, as agreements call it.
        name: String,
        /// A file with the key (64 hexadecimal digits) that the other providers hold; absent: a new key.
        #[arg(long)]
        key: Option<PathBuf>,
    },
}

impl DomainCommand {
    pub(super) async fn run(self) -> Result<()> {
        let Self::Add { config, name, key } = self;
        let loaded = Config::load(&config)?;
        let mut keys = NodeKeys::of(&loaded)?;
        let key = key.map(|file| read_key(&std::fs::read_to_string(file)?)).transpose()?;
        machine::begun(&config, "domain add", &name).await?;
        keys.add_domain(&name, key)?;
        machine::done(&config, "domain add", &name).await?;
        println!("{}", loaded.keys_directory().join("domains").join(format!("{name}.key")).display());
        Ok(())
    }
}

fn read_key(text: &str) -> Result<[u8; 32]> {
    let key = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| Error::refused("--key", Reason::Malformed, "64 hexadecimal digits"))
}
