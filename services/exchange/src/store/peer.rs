//! The peers whose cards a person has confirmed.

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Row, Statement},
    error::Result,
};
use qianshou_proto::exchange::v1::Card;

use super::Store;

/// A confirmed card.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerRow {
    /// The card.
    pub card: Card,
    /// When it was confirmed.
    pub added_at_ms: i64,
}

fn peer(row: &Row) -> Result<PeerRow> {
    Ok(PeerRow { card: Card::decode(&row.bytes(0)?[..])?, added_at_ms: row.int(1)? })
}

impl Store {
    /// All peers, by node.
    pub async fn peer_list(&self) -> Result<Vec<PeerRow>> {
        self.db()
            .fetch("SELECT card, added_at FROM exchange_peers ORDER BY node", vec![])
            .await?
            .iter()
            .map(peer)
            .collect()
    }

    /// One peer.
    pub async fn peer_find(&self, node: &str) -> Result<Option<PeerRow>> {
        let row =
            self.db().fetch_one("SELECT card, added_at FROM exchange_peers WHERE node = $1", binds![node]).await?;
        row.as_ref().map(peer).transpose()
    }

    /// Keeps a card that a person has confirmed.
    pub async fn peer_save(&self, card: &Card) -> Result<PeerRow> {
        const SAVE: &str = "INSERT INTO exchange_peers (node, card, added_at) VALUES ($1, $2, $3) \
                            ON CONFLICT (node) DO UPDATE SET card = excluded.card, added_at = excluded.added_at";
        let added_at_ms = self.now_ms();
        self.run(vec![Statement::new(SAVE, binds![card.node(), card.encode_to_vec(), added_at_ms])]).await?;
        Ok(PeerRow { card: card.clone(), added_at_ms })
    }

    /// Forgets a peer; `false`: there was none.
    pub async fn peer_remove(&self, node: &str) -> Result<bool> {
        self.run(vec![Statement::expecting("DELETE FROM exchange_peers WHERE node = $1", binds![node], 1)]).await
    }
}
