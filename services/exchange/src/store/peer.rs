//! The peers whose cards a person has confirmed.

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Row, Statement},
    error::{Error, Reason, Result},
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

/// Remembers a card with which a node was known.
fn former(card: &Card, now_ms: i64) -> Statement {
    const FORMER: &str = "INSERT INTO exchange_former_cards (node, signing_key, card, known_until) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT (node, signing_key) DO UPDATE SET card = excluded.card, known_until = excluded.known_until";
    let key = hex::encode(card.signing_key.as_deref().unwrap_or_default());
    Statement::new(FORMER, binds![card.node(), key, card.encode_to_vec(), now_ms])
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

    /// Keeps a card that a person has confirmed. `voids`: what was signed with this node and its key before does not hold for this one,
    /// from the same commit on, and is kept apart.
    pub async fn peer_save(&self, card: &Card, voids: bool) -> Result<PeerRow> {
        const SAVE: &str = "INSERT INTO exchange_peers (node, card, added_at) VALUES ($1, $2, $3) \
                            ON CONFLICT (node) DO UPDATE SET card = excluded.card, added_at = excluded.added_at";
        let (node, added_at_ms) = (card.node(), self.now_ms());
        let known = self.peer_find(node).await?.filter(|peer| peer.card.signing_key != card.signing_key);
        let mut statements: Vec<Statement> = known.iter().map(|peer| former(&peer.card, added_at_ms)).collect();
        statements.push(Statement::new(SAVE, binds![node, card.encode_to_vec(), added_at_ms]));
        if voids {
            statements.extend(self.void(|held| held.accord.other(self.ledger.node()) == Some(node)).await?);
        }
        if !self.run(statements).await? {
            return Err(Error::refused("card", Reason::Busy, node));
        }
        Ok(PeerRow { card: card.clone(), added_at_ms })
    }

    /// Keeps a later certificate of the same key, as the peer itself shows it.
    pub async fn peer_renew(&self, known: &Card, renewed: &Card) -> Result<bool> {
        const RENEW: &str = "UPDATE exchange_peers SET card = $3 WHERE node = $1 AND card = $2";
        let binds = binds![known.node(), known.encode_to_vec(), renewed.encode_to_vec()];
        self.run(vec![Statement::expecting(RENEW, binds, 1)]).await
    }

    /// Forgets a peer, but not its key; `false`: there was none.
    pub async fn peer_remove(&self, node: &str) -> Result<bool> {
        let Some(known) = self.peer_find(node).await? else { return Ok(false) };
        let remove = Statement::expecting("DELETE FROM exchange_peers WHERE node = $1", binds![node], 1);
        self.run(vec![former(&known.card, self.now_ms()), remove]).await
    }

    /// The cards that were known of a node before, the last first.
    pub async fn former_cards(&self, node: &str) -> Result<Vec<Card>> {
        let sql = "SELECT card FROM exchange_former_cards WHERE node = $1 ORDER BY known_until DESC, signing_key";
        let rows = self.db().fetch(sql, binds![node]).await?;
        rows.iter().map(|row| Ok(Card::decode(&row.bytes(0)?[..])?)).collect()
    }
}
