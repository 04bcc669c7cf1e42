//! Tables on the boundaries of another day: what a plan reads.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{clock::format_day, error::Result, succession::Moved};
use time::Date;

use crate::{
    Reporting,
    domain::{period::Window, restate::Plan, tally::Amount},
};

impl Reporting {
    /// Every code that is not itself on a day, and what it is then.
    pub(super) async fn moved(&self, day: Date) -> Result<Moved> {
        self.history.newest(self.store.history_state().await?, self.store.history()).await?;
        Ok(self.history.moved(&format_day(day)))
    }

    /// What was reported under the codes of a plan.
    pub(super) async fn under(
        &self,
        plan: &Plan,
        indicator: &str,
        window: &Window,
    ) -> Result<BTreeMap<String, BTreeMap<String, Amount>>> {
        let codes: Vec<String> = plan.codes().into_iter().map(str::to_owned).collect();
        self.store.sums_under(indicator, &codes, window).await
    }

    /// How many official divisions of so many digits have a stock only by what was reported under other codes.
    pub(super) async fn covered_by_others(
        &self,
        plan: &Plan,
        stock: &str,
        digits: usize,
        window: &Window,
        listed_on: &str,
    ) -> Result<i64> {
        let brought = plan.brought(&self.under(plan, stock, window).await?);
        let codes: Vec<String> = brought
            .into_iter()
            .filter(|(code, more)| code.len() == digits && *more > 0)
            .map(|(code, _)| code)
            .collect();
        let official: Vec<String> = self.store.official(&codes, listed_on).await?.into_iter().collect();
        let own = self.store.sums_under(stock, &official, window).await?;
        let held: BTreeSet<&String> = own
            .iter()
            .filter(|(_, by_dims)| by_dims.values().map(|amount| amount.value).sum::<i64>() > 0)
            .map(|(code, _)| code)
            .collect();
        Ok(i64::try_from(official.iter().filter(|code| !held.contains(code)).count()).unwrap_or(i64::MAX))
    }
}
