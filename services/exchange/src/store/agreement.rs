//! Agreements: the verbatim terms and both halves.

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Row, Statement, Value},
    error::Result,
    identity::NodeKeys,
};
use qianshou_proto::exchange::v1::{Card, Statement as Signed, Verdict};

use super::Store;
use crate::domain::{
    agreement::{Accord, Held, verdict},
    page,
};

/// Whose half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// This node's.
    Ours,
    /// The other side's.
    Theirs,
}

const LIST: &str = "SELECT terms, ours, theirs, voided_at FROM exchange_agreements ORDER BY id";
const FIND: &str = "SELECT terms, ours, theirs, voided_at FROM exchange_agreements WHERE id = $1";
const INSERT: &str = "INSERT INTO exchange_agreements (id, provider, consumer, terms, digest, ours, theirs, added_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
const OURS: &str = "UPDATE exchange_agreements SET ours = $3 WHERE id = $1 AND digest = $2 \
                    AND EXISTS (SELECT 1 FROM exchange_peers WHERE node = $4 AND card = $5)";
const THEIRS: &str = "UPDATE exchange_agreements SET theirs = $3 WHERE id = $1 AND digest = $2 \
                      AND EXISTS (SELECT 1 FROM exchange_peers WHERE node = $4 AND card = $5)";
const KEEP_VOID: &str = "INSERT INTO exchange_void_halves (agreement, voided_at, ours, theirs) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (agreement, voided_at) DO NOTHING";
const VOID: &str = "UPDATE exchange_agreements SET ours = NULL, theirs = NULL, voided_at = $2 WHERE id = $1";
const RESIGN: &str = "UPDATE exchange_agreements SET ours = $2 WHERE id = $1";

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
            Ok(accord) => Ok(Some(Held { accord, terms, ours, theirs, voided_at_ms: row.maybe_int(3)? })),
            Err(refusal) => {
                tracing::error!(%refusal, "the terms of an agreement cannot be read by this program");
                Ok(None)
            }
        }
    }

    /// Keeps an agreement; `false`: one of its id is there already.
    pub async fn agreement_insert(&self, held: &Held) -> Result<bool> {
        let Held { accord, terms, ours, theirs, .. } = held;
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

    /// Keeps a half of an agreement, as long as the peer is known by this card; `false`: it is not any more.
    pub async fn agreement_half(&self, accord: &Accord, half: Half, signed: &Signed, card: &Card) -> Result<bool> {
        let sql = if half == Half::Ours { OURS } else { THEIRS };
        let digest = hex::encode(accord.digest);
        let binds = binds![&accord.id, digest, signed.encode_to_vec(), card.node(), card.encode_to_vec()];
        self.run(vec![Statement::expecting(sql, binds, 1)]).await
    }

    /// What makes both halves of agreements void: they are kept apart, and nothing is in force before both sides sign again. What was
    /// withdrawn stays withdrawn.
    pub(super) async fn void(&self, which: impl Fn(&Held) -> bool) -> Result<Vec<Statement>> {
        let now = self.now_ms();
        let mut statements = vec![];
        for held in self.agreement_list().await?.iter().filter(|held| which(held)) {
            let says = [verdict(held.ours.as_ref()), verdict(held.theirs.as_ref())];
            if says.contains(&Some(Verdict::Withdrawn)) || says == [None, None] {
                continue;
            }
            let [ours, theirs] =
                [&held.ours, &held.theirs].map(|half| Value::Bytes(half.as_ref().map(Signed::encode_to_vec)));
            let id = Value::from(&held.accord.id);
            statements.push(Statement::new(KEEP_VOID, vec![id.clone(), now.into(), ours, theirs]));
            statements.push(Statement::expecting(VOID, vec![id, now.into()], 1));
        }
        Ok(statements)
    }

    /// This node has another signing key. Where the key before signed it, our halves are signed by it (`Some`), too, as they stand;
    /// otherwise (`None`) every agreement is void until both sides sign again. Answers how many agreements it changed.
    pub async fn agreements_follow(&self, keys: Option<&NodeKeys>) -> Result<usize> {
        let (statements, changed) = match keys {
            Some(keys) => {
                let held = self.agreement_list().await?;
                let again =
                    |held: &Held| Some((held.accord.id.clone(), page::signed_again(held.ours.as_ref()?, keys)?));
                let resign =
                    |(id, half): (String, Signed)| Statement::expecting(RESIGN, binds![id, half.encode_to_vec()], 1);
                let statements: Vec<Statement> = held.iter().filter_map(again).map(resign).collect();
                let changed = statements.len();
                (statements, changed)
            }
            None => {
                let statements = self.void(|_| true).await?;
                let changed = statements.len() / 2;
                (statements, changed)
            }
        };
        self.run(statements).await?;
        Ok(changed)
    }
}
