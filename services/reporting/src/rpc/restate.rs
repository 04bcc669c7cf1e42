//! Tables on the boundaries of another day: what a plan reads.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    clock::format_day,
    error::Result,
    id::Area,
    succession::{Moved, township_of},
};
use time::Date;

use crate::{
    Reporting,
    domain::{
        period::Window,
        restate::{Plan, Reported, townships, villages},
        tally::Amount,
    },
};

impl Reporting {
    /// Every code that is not itself on a day, and what it is then.
    pub(super) async fn moved(&self, day: Date) -> Result<Moved> {
        self.history.newest(self.store.history_state().await?, self.store.history()).await?;
        Ok(self.history.moved(&format_day(day)))
    }

    /// The plan for an area on the boundaries of a day.
    pub(super) async fn plan(&self, area: &Area, moved: &Moved, day: Option<Date>) -> Result<Plan> {
        let asked = villages(area, moved);
        let listed = match day.filter(|_| !asked.is_empty()) {
            Some(day) => self.store.listed(&asked, &format_day(day), false).await?,
            None => BTreeSet::new(),
        };
        Ok(Plan::of(area, moved, &listed))
    }

    /// What a plan adds to an area's own figures.
    pub(super) async fn difference(
        &self,
        plan: &Plan,
        indicator: &str,
        window: &Window,
    ) -> Result<BTreeMap<String, Amount>> {
        let remaining: Vec<&str> = plan.remaining().into_iter().collect();
        let below = self.store.sums_below(indicator, &remaining, window).await?;
        Ok(plan.difference(&self.under(plan, indicator, window).await?, &below))
    }

    /// What was reported under the codes of a plan.
    async fn under(&self, plan: &Plan, indicator: &str, window: &Window) -> Result<Reported> {
        let codes: Vec<String> = plan.codes().into_iter().map(str::to_owned).collect();
        self.store.sums_under(indicator, &codes, window).await
    }

    /// How many official divisions of so many digits have a stock only by what was reported under other codes.
    pub(super) async fn covered_by_others(
        &self,
        (area, moved): (&Area, &Moved),
        stock: &str,
        digits: usize,
        window: &Window,
        listed_on: &str,
    ) -> Result<i64> {
        let plan = Plan::covering(area, digits, moved);
        let mut brought = plan.brought(&self.under(&plan, stock, window).await?);
        if digits == VILLAGE_DIGITS {
            for (code, more) in self.carried(area, moved, stock, window).await? {
                *brought.entry(code).or_default() += more;
            }
        }
        let codes: Vec<String> = brought
            .into_iter()
            .filter(|(code, more)| code.len() == digits && *more > 0)
            .map(|(code, _)| code)
            .collect();
        let official: Vec<String> = self.store.listed(&codes, listed_on, true).await?.into_iter().collect();
        let own = self.store.sums_under(stock, &official, window).await?;
        let held: BTreeSet<&String> = own
            .iter()
            .filter(|(_, by_dims)| by_dims.values().map(|amount| amount.value).sum::<i64>() > 0)
            .map(|(code, _)| code)
            .collect();
        Ok(i64::try_from(official.iter().filter(|code| !held.contains(code)).count()).unwrap_or(i64::MAX))
    }

    /// What villages have that went with their township into an area, by their codes there.
    async fn carried(&self, area: &Area, moved: &Moved, stock: &str, window: &Window) -> Result<BTreeMap<String, i64>> {
        let townships = townships(area, moved);
        let before: Vec<&str> = townships.keys().copied().collect();
        let mut carried = BTreeMap::new();
        for (village, held) in self.store.held_below(stock, &before, window).await? {
            let to = township_of(&village).and_then(|township| townships.get(township));
            let code = to.map(|to| format!("{to}{}", &village[to.len()..]));
            if let Some(code) = code.filter(|code| area.covers(code) && !moved.contains_key(&village)) {
                *carried.entry(code).or_default() += held;
            }
        }
        Ok(carried)
    }
}

/// Digits of a village's code.
const VILLAGE_DIGITS: usize = 12;
