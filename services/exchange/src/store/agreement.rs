//! Agreements: the verbatim terms and both halves.

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Row, Statement, Value},
    error::Result,
};
use qianshou_proto::exchange::v1::Statement as Signed;

use super::Store;
use crate::domain::agreement::{Accord, Held};

/// Whose half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// This node's.
    Ours,
    /// The other side's.
    Theirs,
}

const LIST: &str = "SELECT terms, ours, theirs FROM exchange_agreements ORDER BY id";
const FIND: &str = "SELECT terms, ours, theirs FROM exchange_agreements WHERE id = $1";
const INSERT: &str = "INSERT INTO exchange_agreements (id, provider, consumer, terms, digest, ours, theirs, added_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
const OURS: &str = "UPDATE exchange_agreements SET ours = $3 WHERE id = $1 AND digest = $2";
const THEIRS: &str = "UPDATE exchange_agreements SET theirs = $3 WHERE id = $1 AND digest = $2";

impl Store {
    /// All agreements, by id, which is by age. One whose terms this process cannot read is left out, and said.
    pub async fn agreement_list(&self) -> Result<Vec<Held>> {
        let rows = self.db().fetch(LIST, vec![]).await?;
        let read = rows.iter().map(|row| self.agreement(row)).collect::<Result<Vec<_>>>()?;
        Ok(read.into_iter().flatten().collect())
    }

    /// One agreement.
    pub async fn agreement_find(&self, id: &str) -> Result<Option<Held>> {
        let row = self.db().fetch_one(FIND, binds![id]).await?;
        Ok(row.as_ref().map(|row| self.agreement(row)).transpose()?.flatten())
    }

    fn agreement(&self, row: &Row) -> Result<Option<Held>> {
        let terms = row.bytes(0)?;
        let half = |bytes: Option<Vec<u8>>| bytes.map(|bytes| Signed::decode(&bytes[..])).transpose();
        let (ours, theirs) = (half(row.maybe_bytes(1)?)?, half(row.maybe_bytes(2)?)?);
        match Accord::read(&terms, self.ledger.kinds()) {
            Ok(accord) => Ok(Some(Held { accord, terms, ours, theirs })),
            Err(refusal) => {
                tracing::error!(%refusal, "the terms of an agreement cannot be read by this program");
                Ok(None)
            }
        }
    }

    /// Keeps an agreement; `false`: one of its id is there already.
    pub async fn agreement_insert(&self, held: &Held) -> Result<bool> {
        let Held { accord, terms, ours, theirs } = held;
        let half = |half: &Option<Signed>| Value::Bytes(half.as_ref().map(Signed::encode_to_vec));
        let digest = hex::encode(accord.digest);
        let binds = vec![
            Value::from(&accord.id),
            Value::from(&accord.provider),
            Value::from(&accord.consumer),
            Value::from(&terms[..]),
            Value::from(digest),
            half(ours),
            half(theirs),
            Value::from(self.now_ms()),
        ];
        self.run(vec![Statement::expecting(INSERT, binds, 1)]).await
    }

    /// Keeps a half of an agreement.
    pub async fn agreement_half(&self, accord: &Accord, half: Half, signed: &Signed) -> Result<bool> {
        let sql = if half == Half::Ours { OURS } else { THEIRS };
        let binds = binds![&accord.id, hex::encode(accord.digest), signed.encode_to_vec()];
        self.run(vec![Statement::expecting(sql, binds, 1)]).await
    }
}
