//! `qianshou peer`: other nodes and their cards.

use std::{io::Write as _, path::PathBuf};

use clap::Subcommand;
use qianshou_proto::exchange::v1 as exchange;
use serde_json::json;

use super::{Answer, admin, all, print, told};
use crate::cli::{
    Connection,
    show::{self, columns},
};

#[derive(Subcommand)]
pub(in crate::cli) enum Peer {
    /// Prints this node's card: the file that introduces it to another.
    Card {
        #[command(flatten)]
        to: Connection,
        /// Write it to a file.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Adds a peer by its card, after its fingerprints were compared by another way.
    Add {
        #[command(flatten)]
        to: Connection,
        /// The peer's card.
        card: PathBuf,
        /// The fingerprints were compared.
        #[arg(long)]
        yes: bool,
        /// The card takes the place of one with other keys: the new fingerprint, as it was compared by another way.
        #[arg(long, value_name = "FINGERPRINT")]
        replace: Option<String>,
    },
    /// Lists peers.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Calls a peer and measures.
    Test {
        #[command(flatten)]
        to: Connection,
        /// Its code.
        peer: String,
    },
    /// Removes a peer and cuts its connections.
    Remove {
        #[command(flatten)]
        to: Connection,
        /// Its code.
        peer: String,
    },
}

const CARD: &str = "qianshou.exchange.v1.Card";
const PEER: &str = "qianshou.exchange.v1.Peer";

impl Peer {
    pub(in crate::cli) async fn run(self) -> Answer {
        match self {
            Self::Card { to, output } => {
                let card = admin(&to)?
                    .get_card(exchange::GetCardRequest {})
                    .await
                    .map_err(told)?
                    .into_inner()
                    .card
                    .unwrap_or_default();
                let text = format!("{:#}", show::message(CARD, &card));
                match output {
                    Some(file) => crate::beside::write(&file, &text).map_err(|e| format!("{}: {e}", file.display()))?,
                    None => println!("{text}"),
                }
            }
            Self::Add { to, card, yes, replace } => peer_add(&to, &card, yes, replace).await?,
            Self::List { to } => {
                let peers =
                    admin(&to)?.list_peers(exchange::ListPeersRequest {}).await.map_err(told)?.into_inner().peers;
                print(&to, || all(PEER, &peers), || peers_text(&peers));
            }
            Self::Test { to, peer } => {
                let asked = exchange::TestPeerRequest { node: Some(peer) };
                let answer = admin(&to)?.test_peer(asked).await.map_err(told)?.into_inner();
                let micros = answer.round_trip_us();
                print(&to, || json!({"round_trip_us": micros}), || format!("ok, {micros} µs"));
            }
            Self::Remove { to, peer } => {
                admin(&to)?.remove_peer(exchange::RemovePeerRequest { node: Some(peer) }).await.map_err(told)?;
                print(&to, || json!({}), || "已移除 | removed".into());
            }
        }
        Ok(())
    }
}

/// Reads a card's JSON.
pub(crate) fn read_card(text: &str) -> Result<exchange::Card, String> {
    let described = qianshou_kernel::kind::descriptors().get_message_by_name(CARD).ok_or("no card in the contract")?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let card = prost_reflect::DynamicMessage::deserialize(described, &mut reader)
        .map_err(|e| format!("名片无法读取 | not a card: {e}"))?;
    card.transcode_to().map_err(|e| format!("名片无法读取 | not a card: {e}"))
}

async fn peer_add(to: &Connection, file: &std::path::Path, yes: bool, replace: Option<String>) -> Answer {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let card = read_card(&text)?;
    let mut client = admin(to)?;
    let asked = |confirmed| exchange::AddPeerRequest {
        card: Some(card.clone()),
        confirmed: Some(confirmed),
        replace: replace.clone(),
    };
    let peer = client.add_peer(asked(false)).await.map_err(told)?.into_inner().peer.unwrap_or_default();
    if !yes {
        eprintln!("证书指纹 | certificate: {}", peer.fingerprint());
        eprintln!("签名密钥指纹 | signing key: {}", peer.key_fingerprint());
        eprint!("请通过电话等其他途径核对，一致请输入 yes | compare by another way; type yes if they agree: ");
        drop(std::io::stderr().flush());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|e| e.to_string())?;
        if line.trim() != "yes" {
            return Err("未确认，未添加；核对后可加 --yes | not confirmed, not added; after comparing use --yes".into());
        }
    }
    let peer = client.add_peer(asked(true)).await.map_err(told)?.into_inner().peer.unwrap_or_default();
    print(to, || show::message(PEER, &peer), || peers_text(std::slice::from_ref(&peer)));
    Ok(())
}

fn peers_text(peers: &[exchange::Peer]) -> String {
    let rows: Vec<_> = peers
        .iter()
        .map(|peer| {
            let card = peer.card.clone().unwrap_or_default();
            vec![
                card.node().into(),
                card.display_name().into(),
                card.address().into(),
                peer.connected().to_string(),
                show::day(peer.certificate_ends_ms()),
                peer.fingerprint().into(),
            ]
        })
        .collect();
    columns(&["node", "name", "address", "connected", "until", "certificate"], &rows)
}
