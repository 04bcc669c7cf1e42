//! Facts add up. A fact is dated, stands at its own area, and counts at every level above.

use std::collections::BTreeMap;

use qianshou_kernel::{
    clock::parse_day,
    error::{Error, Result},
    id::Area,
};
use time::Date;

use super::period::month_of;

/// The day of what has no entering date: before every day that is asked for.
pub const OPENING: Date = time::macros::date!(0001 - 01 - 01);

/// Of what, where and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Id of the indicator.
    pub indicator: String,
    /// Code of the area, in its shortest form.
    pub area: String,
    /// Coordinates, `level=SENIOR;sector=AGENCY`, in the order of their names; see [`dims_text`].
    pub dims: String,
    /// The day, ISO-8601.
    pub day: String,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many more.
    pub value: i64,
    /// How many more of those have no entering date.
    pub opening: i64,
}

impl Amount {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, opening: self.opening + other.opening }
    }
}

/// Dated facts, each spot once and none of nothing, so that equal facts are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<Spot, Amount>);

impl Facts {
    /// Adds one fact.
    pub fn add(&mut self, spot: Spot, amount: Amount) {
        add(&mut self.0, spot, amount);
    }

    /// Adds all of these.
    pub fn add_all(&mut self, other: &Self) {
        for (spot, amount) in &other.0 {
            self.add(spot.clone(), *amount);
        }
    }

    /// What has to be added to `before` to have these.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = self.clone();
        for (spot, amount) in &before.0 {
            difference.add(spot.clone(), Amount { value: -amount.value, opening: -amount.opening });
        }
        difference
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many spots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All, in the order of their spots.
    pub fn iter(&self) -> impl Iterator<Item = (&Spot, Amount)> {
        self.0.iter().map(|(spot, amount)| (spot, *amount))
    }

    /// As they are kept.
    pub fn encode(&self) -> Result<String> {
        let rows: Vec<_> =
            self.iter().map(|(s, a)| (&s.indicator, &s.area, &s.dims, &s.day, a.value, a.opening)).collect();
        serde_json::to_string(&rows).map_err(|error| Error::Broken(error.into()))
    }

    /// As they were kept.
    pub fn decode(text: &str) -> Result<Self> {
        let rows: Vec<(String, String, String, String, i64, i64)> =
            serde_json::from_str(text).map_err(|error| Error::Broken(error.into()))?;
        let mut facts = Self::default();
        for (indicator, area, dims, day, value, opening) in rows {
            facts.add(Spot { indicator, area, dims, day }, Amount { value, opening });
        }
        Ok(facts)
    }

    /// The same at every level of the area: per day, and per month with `2023-05` in place of the day.
    #[must_use]
    pub fn tallies(&self) -> Tallies {
        let mut tallies = Tallies::default();
        for (spot, amount) in self.iter() {
            let Some(area) = Area::parse(&spot.area) else { continue };
            let month = parse_day(&spot.day).map_or_else(|| spot.day.clone(), month_of);
            for level in area.path() {
                let at = |day: &str| Spot { area: level.to_owned(), day: day.to_owned(), ..spot.clone() };
                add(&mut tallies.days, at(&spot.day), amount);
                add(&mut tallies.months, at(&month), amount);
            }
        }
        tallies
    }
}

fn add(sums: &mut BTreeMap<Spot, Amount>, spot: Spot, amount: Amount) {
    let sum = sums.get(&spot).copied().unwrap_or_default().plus(amount);
    if sum == Amount::default() {
        sums.remove(&spot);
    } else {
        sums.insert(spot, sum);
    }
}

/// What a table reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Per day.
    pub days: BTreeMap<Spot, Amount>,
    /// Per month.
    pub months: BTreeMap<Spot, Amount>,
}

/// Coordinates as text: `level=SENIOR;sector=AGENCY`. What separates them is escaped.
#[must_use]
pub fn dims_text<'a>(dims: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let escape = |value: String| value.replace('%', "%25").replace(';', "%3B").replace('=', "%3D").replace('\0', "");
    dims.into_iter().map(|(key, value)| format!("{key}={}", escape(value))).collect::<Vec<_>>().join(";")
}

/// The value of one coordinate in a text of [`dims_text`].
#[must_use]
pub fn dim_of(dims: &str, key: &str) -> Option<String> {
    let value = dims.split(';').find_map(|dim| dim.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.replace("%3D", "=").replace("%3B", ";").replace("%25", "%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(area: &str, day: &str) -> Spot {
        Spot { indicator: "x".into(), area: area.into(), dims: "level=SENIOR".into(), day: day.into() }
    }

    const ONE: Amount = Amount { value: 1, opening: 0 };

    #[test]
    fn the_difference_takes_one_to_the_other() {
        let mut before = Facts::default();
        before.add(spot("64", "2020-01-01"), ONE);
        let mut now = Facts::default();
        now.add(spot("64", "2021-01-01"), Amount { value: 1, opening: 1 });
        let mut sum = before.clone();
        sum.add_all(&now.since(&before));
        assert_eq!(sum, now);
        assert!(now.since(&now).is_empty());
        assert_eq!(Facts::decode(&now.encode().unwrap()).unwrap(), now);
    }

    #[test]
    fn a_fact_counts_at_every_level() {
        let mut facts = Facts::default();
        facts.add(spot("640104", "2020-05-03"), ONE);
        let tallies = facts.tallies();
        let areas: Vec<&str> = tallies.days.keys().map(|s| s.area.as_str()).collect();
        assert_eq!(areas, ["00", "64", "6401", "640104"]);
        assert!(tallies.months.keys().all(|s| s.day == "2020-05"));
    }

    #[test]
    fn coordinates_are_read_as_written() {
        let dims = dims_text([("batch", "a;b=c%".to_owned()), ("level", "SENIOR".to_owned())]);
        assert_eq!(dim_of(&dims, "batch").as_deref(), Some("a;b=c%"));
        assert_eq!(dim_of(&dims, "level").as_deref(), Some("SENIOR"));
        assert_eq!(dim_of(&dims, "bat"), None);
    }
}
