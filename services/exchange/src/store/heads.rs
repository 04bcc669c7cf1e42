//! Heads that peers have shown: the last of each day.

use prost::Message as _;
use qianshou_kernel::{
    binds,
    clock::{day_of, format_day},
    db::Statement,
    error::Result,
};
use qianshou_proto::exchange::v1::{LedgerHead, LedgerHeadBody};

use super::Store;

const KEPT_MAX: u32 = 100;

impl Store {
    /// Keeps a head that a peer has shown and signed; `false`: it contradicts one from before, which stays.
    pub async fn head_keep(&self, node: &str, head: &LedgerHead, body: &LedgerHeadBody) -> Result<bool> {
        const AT: &str =
            "SELECT digest FROM exchange_heads WHERE node = $1 AND epoch = $2 AND position = $3 AND digest <> $4";
        const KEEP: &str = "INSERT INTO exchange_heads (node, day, epoch, position, digest, head) VALUES ($1, $2, $3, $4, $5, $6) \
                            ON CONFLICT (node, day) DO UPDATE SET epoch = excluded.epoch, position = excluded.position, \
                            digest = excluded.digest, head = excluded.head WHERE excluded.epoch > exchange_heads.epoch \
                            OR (excluded.epoch = exchange_heads.epoch AND excluded.position > exchange_heads.position)";
        let digest = body.digest.clone().unwrap_or_default();
        let other = self.db().fetch(AT, binds![node, body.epoch(), body.position(), &digest[..]]).await?;
        if !other.is_empty() {
            return Ok(false);
        }
        let day = format_day(day_of(self.now_ms()));
        let binds = binds![node, day, body.epoch(), body.position(), &digest[..], head.encode_to_vec()];
        self.run(vec![Statement::new(KEEP, binds)]).await?;
        Ok(true)
    }

    /// A node's heads that are kept here, the newest first.
    pub async fn heads_kept(&self, node: &str) -> Result<Vec<LedgerHead>> {
        let sql = "SELECT head FROM exchange_heads WHERE node = $1 ORDER BY day DESC LIMIT $2";
        let rows = self.db().fetch(sql, binds![node, KEPT_MAX]).await?;
        rows.iter().map(|row| Ok(LedgerHead::decode(&row.bytes(0)?[..])?)).collect()
    }
}
