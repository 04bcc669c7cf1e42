//! Where this house finds what it looks at: its own tables, which know what lives, in the order of area and name; and the texts that
//! halves share, own and received, whatever became of them.

use std::collections::BTreeSet;

use prost::Message;
use qianshou_kernel::{binds, error::Result, joint::Said, ledger::Ledger};

/// The ledger, asked for halves.
#[derive(Clone)]
pub(crate) struct Halves(pub Ledger);

/// Where a walk over a table stands: behind this row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub area: String,
    pub name: String,
}

impl Halves {
    /// What shares one of these texts, if there are any.
    pub async fn sharing<T, I>(&self, kind: &str, field: &str, texts: I) -> Result<Vec<Said<T>>>
    where
        T: Message + Default,
        I: IntoIterator<Item = Option<String>>,
    {
        let texts: BTreeSet<String> = texts.into_iter().flatten().collect();
        let texts: Vec<String> = texts.into_iter().collect();
        if texts.is_empty() { Ok(vec![]) } else { self.0.sharing(kind, field, &texts).await }
    }

    /// Records by name, as they were last.
    pub async fn named<T: Message + Default>(&self, names: impl IntoIterator<Item = String>) -> Result<Vec<Said<T>>> {
        let names: BTreeSet<String> = names.into_iter().collect();
        let found = self.0.find(&names.into_iter().collect::<Vec<_>>()).await?;
        self.0.said(found.into_values().collect()).await
    }

    /// The next rows of a table behind a place, up to the codes before `until`; how many there are at most is the walk's step.
    pub async fn walk(&self, table: &str, from: &str, until: &str, after: &Place, step: usize) -> Result<Vec<Place>> {
        let sql = format!(
            "SELECT t.area, t.name FROM {table} t WHERE (t.area, t.name) > ($1, $2) AND t.area >= $3 AND t.area < $4 \
             ORDER BY t.area, t.name LIMIT $5"
        );
        let binds = binds![&after.area, &after.name, from, until, step as u64];
        let rows = self.0.db().fetch(sql, binds).await?;
        rows.iter().map(|row| Ok(Place { area: row.text(0)?, name: row.text(1)? })).collect()
    }
}
