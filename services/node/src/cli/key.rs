//! `qianshou key`: a node's certificates renewed for its keys, or its keys replaced.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use qianshou_exchange::store::Store;
use qianshou_kernel::{
    clock::Clock,
    config::{Config, Loaded},
    error::Result,
    identity::{NodeKeys, fingerprint, key_id},
};

use super::machine;
use crate::node;

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Makes new certificates for the keys that are there; what peers have pinned goes on holding.
    Renew {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Makes a new signing key and a new key for peers. The key before signs the new one, and the new card says so: peers that add it go on
    /// without signing again.
    Replace {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Somebody else may have the key before: it signs nothing, and both sides sign every agreement again.
        #[arg(long)]
        stolen: bool,
    },
}

impl KeyCommand {
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::Renew { config } => renew(&config).await,
            Self::Replace { config, stolen } => replace(&config, !stolen).await,
        }
    }
}

async fn renew(config: &Path) -> Result<()> {
    let loaded = Config::load(config)?;
    machine::begun(config, "key renew", "certificates").await?;
    let renewed = NodeKeys::renew(&loaded.keys_directory(), &loaded.config.api.names, &Clock::system())?;
    machine::done(config, "key renew", "certificates").await?;
    for file in &renewed.made {
        println!("已续期 | renewed: {}", file.display());
    }
    for file in &renewed.left {
        println!(
            "由其他机构签发，未改动，请向其续期 | issued by another authority, left as it is; renew it there: {}",
            file.display()
        );
    }
    println!(
        "请重新启动节点；密钥未变，对方无需重新添加名片 | start the node again; its keys are the same, and peers need no new card"
    );
    Ok(())
}

async fn replace(config: &Path, succeeds: bool) -> Result<()> {
    let loaded = Config::load(config)?;
    machine::begun(config, "key replace", if succeeds { "succession" } else { "stolen" }).await?;
    // Where the new key is not signed for, what the old one has signed is void before there is a new one.
    let void = if succeeds { 0 } else { follow(&loaded, None).await? };
    let before = NodeKeys::replace(&loaded.keys_directory(), succeeds, &Clock::system())?;
    let keys = NodeKeys::of(&loaded)?;
    let agreements = if succeeds { follow(&loaded, Some(&keys)).await? } else { void };
    machine::done(config, "key replace", format_args!("{} -> {}", key_id(&before), keys.key_id)).await?;
    println!("新签名密钥指纹 | new signing key: {}", fingerprint(keys.signing.verifying_key().as_bytes()));
    if succeeds {
        println!(
            "原密钥已签署新密钥；{agreements} 份协议继续有效 | the key before signed it; {agreements} agreements go on"
        );
    } else {
        println!("{agreements} 份协议须由双方重新签署 | {agreements} agreements have to be signed again by both sides");
    }
    println!(
        "下一步：重新启动节点，执行 qianshou peer card -o FILE，并将名片交给各对方节点 | next: start the node again, `qianshou peer card -o FILE`, and hand the card to every peer"
    );
    Ok(())
}

/// What the node has signed of agreements follows its key.
async fn follow(loaded: &Loaded, keys: Option<&NodeKeys>) -> Result<usize> {
    let ledger = node::ledger(loaded, Clock::system()).await?;
    let followed = Store::new(ledger.clone()).agreements_follow(keys).await;
    ledger.db().close().await;
    followed
}
