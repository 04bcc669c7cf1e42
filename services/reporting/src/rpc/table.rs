//! A table: what is asked is parsed into [`Asked`], which cannot be wrong; then few rows are read for each indicator.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    clock::{format_day, parse_day},
    error::{Error, Reason, Refusal, Result, Violation},
    follow::Follower,
    id::Area,
    identity::{Caller, Role},
    succession::Moved,
};
use qianshou_proto::reporting::v1::{
    AsOf, Cell, CellStatus, Dimension, IndicatorKind, Ratio, ReadTableRequest, ReadTableResponse, Unit, cell::Value,
};
use time::Date;

use crate::{
    Reporting,
    domain::{
        catalogue::{Catalogue, Count, Indicator, Measure},
        each::several,
        period::{Period, Window},
        record::UNKNOWN,
        restate::Plan,
        tag::{is_label, part_of},
        tally::{Amount, dim_of},
    },
    follow::Follow,
};

/// Indicators in one table at most.
const TABLE_MAX_INDICATORS: usize = 100;
/// How often a table is read again because the tallies moved while it was read.
const ATTEMPTS: usize = 5;

/// A table that can be answered.
struct Asked {
    indicators: Vec<&'static Indicator>,
    area: Area,
    when: When,
    by: Vec<String>,
    divisions_at: Option<Date>,
    tag: Option<String>,
}

/// On what ground a table stands.
struct Ground {
    /// What became of divisions until the day whose list was asked for.
    moved: Moved,
    plan: Plan,
    /// The divisions of the area that carry the tag; `None`: none was asked for.
    part: Option<Vec<String>>,
}

/// The day of stocks and coverages, the range of flows.
struct When {
    at: Date,
    /// What a flow sums: the period, or the calendar year of the day up to it.
    period: Period,
    /// A day was given, or nothing: then a flow's cell says up to which day it goes.
    by_day: bool,
}

impl Reporting {
    /// Reads a table, once everything is counted that the ledger holds now.
    pub(super) async fn table(&self, caller: &Caller, request: ReadTableRequest) -> Result<ReadTableResponse> {
        caller.need(Role::Reader)?;
        let asked = Asked::parse(self.catalogue, &request, self.ledger.clock().today())?;
        caller.need_area("area", asked.area.as_str())?;
        let head = self.ledger.head().await?;
        let wanted = request.min_position().max(head.position);
        let reached = self.reach(wanted).await?;
        if reached < request.min_position() {
            return Err(Error::refused("min_position", Reason::NotYet, reached));
        }
        let (mut cells, position) = self.cells(&asked).await?;
        let as_of =
            AsOf { epoch: Some(head.epoch), position: Some(position), on_ms: Some(self.ledger.clock().now_ms()) };
        for cell in &mut cells {
            cell.as_of = Some(as_of);
            if position < wanted && cell.status() == CellStatus::Normal {
                cell.status = Some(CellStatus::Provisional.into());
                cell.note = Some(format!(
                    "已统计至位置{position}，台账已到{wanted} | counted up to {position}, the ledger stands at {wanted}"
                ));
            }
        }
        Ok(ReadTableResponse { cells })
    }

    /// All cells at one position of the ledger, and that position.
    async fn cells(&self, asked: &Asked) -> Result<(Vec<Cell>, u64)> {
        let mut attempt = 1;
        loop {
            let before = self.ledger.cursor(Follow::NAME).await?;
            let known = self.knows(&asked.area).await?;
            let moved = match asked.divisions_at {
                Some(day) => self.moved(day).await?,
                None => Moved::default(),
            };
            let part = match &asked.tag {
                Some(tag) => Some(part_of(&asked.area, &self.store.tagged(tag, &format_day(asked.when.at)).await?)),
                None => None,
            };
            let ground = Ground { plan: self.plan(&asked.area, &moved, asked.divisions_at).await?, moved, part };
            let mut cells = vec![];
            for indicator in &asked.indicators {
                match &indicator.measure {
                    Measure::Coverage { stock, digits } => {
                        cells.push(self.coverage(asked, indicator, stock, *digits, &ground).await?)
                    }
                    Measure::Count(count) => {
                        cells.extend(self.counts(asked, (indicator, count), known, &ground).await?)
                    }
                }
            }
            if attempt == ATTEMPTS || self.ledger.cursor(Follow::NAME).await? == before {
                return Ok((cells, before));
            }
            attempt += 1;
        }
    }

    /// Whether anybody knows the area; the nation and this node's own are known without a list.
    async fn knows(&self, area: &Area) -> Result<bool> {
        if [Area::NATION, self.ledger.node()].contains(&area.as_str()) {
            return Ok(true);
        }
        let indicators: Vec<String> = self.catalogue.indicators().map(|indicator| indicator.id.clone()).collect();
        self.store.knows(area, &indicators).await
    }

    /// The total, then one cell for each combination of coordinates that is not zero.
    async fn counts(
        &self,
        asked: &Asked,
        (indicator, count): (&Indicator, &Count),
        known: bool,
        ground: &Ground,
    ) -> Result<Vec<Cell>> {
        let blank = asked.blank(indicator);
        if !known {
            return Ok(vec![Cell { status: Some(CellStatus::Missing.into()), ..blank }]);
        }
        let stock = indicator.kind() == IndicatorKind::Stock;
        let window = if stock {
            Window::up_to(asked.when.at)
        } else {
            Window::of(asked.when.period.first, asked.when.period.last)
        };
        let sums = self.sums(asked, &indicator.id, &window, ground).await?;
        let values = |dims: &str, keys: &[String]| -> Vec<String> {
            keys.iter().map(|key| dim_of(dims, key).unwrap_or_else(|| UNKNOWN.to_owned())).collect()
        };
        let mut total = Sum::default();
        let mut groups: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
        for (dims, amount) in sums.into_iter().filter(|(_, amount)| *amount != Amount::default()) {
            let apart = values(&dims, &indicator.apart);
            groups.entry(values(&dims, &asked.by)).or_default().add(amount, apart.clone());
            total.add(amount, apart);
        }
        let cell = |by: Vec<Dimension>, Sum { amount, apart }: Sum| {
            if apart.len() > 1 {
                let keys = indicator.apart.join(", ");
                let note = format!(
                    "不同{keys}不能相加，请按{keys}分列 | does not add up over {keys}; break it down by {keys}"
                );
                return Cell { by, status: Some(CellStatus::Missing.into()), note: Some(note), ..blank.clone() };
            }
            Cell {
                by,
                value: Some(match indicator.unit {
                    Unit::Cny => Value::Fen(amount.value),
                    _ => Value::Count(amount.value),
                }),
                opening: stock.then_some(amount.opening),
                status: Some(CellStatus::Normal.into()),
                ..blank.clone()
            }
        };
        let mut total = cell(vec![], total);
        if self.catalogue.counts_at_each(&count.subject) && ground.part.is_none() {
            let sums = self.sums(asked, &several(&indicator.id), &window, ground).await?;
            let count: i64 = sums.into_iter().map(|(_, amount)| amount.value).sum();
            total = in_several(total, count);
        }
        let mut cells = vec![total];
        for (values, amount) in groups.into_iter().filter(|(key, sum)| !key.is_empty() && sum.amount.value != 0) {
            let by = asked
                .by
                .iter()
                .zip(values)
                .map(|(key, value)| Dimension { key: Some(key.clone()), value: Some(value) });
            cells.push(cell(by.collect(), amount));
        }
        Ok(cells)
    }

    /// What an indicator sums up to, for each combination of coordinates.
    async fn sums(
        &self,
        asked: &Asked,
        indicator: &str,
        window: &Window,
        ground: &Ground,
    ) -> Result<Vec<(String, Amount)>> {
        if let Some(part) = &ground.part {
            return Ok(self.store.sums_under(indicator, part, window).await?.into_values().flatten().collect());
        }
        let mut sums = self.store.sums(indicator, &asked.area, window).await?;
        sums.extend(self.difference(&ground.plan, indicator, window).await?);
        Ok(sums)
    }

    /// Official divisions of a list that have a stock of their own ÷ official divisions of that list.
    async fn coverage(
        &self,
        asked: &Asked,
        indicator: &Indicator,
        stock: &str,
        digits: usize,
        ground: &Ground,
    ) -> Result<Cell> {
        let listed_on = format_day(asked.divisions_at.unwrap_or(asked.when.at));
        let window = Window::up_to(asked.when.at);
        let whole = vec![asked.area.as_str().to_owned()];
        let parts = ground.part.as_ref().unwrap_or(&whole).iter().filter_map(|code| Area::parse(code));
        let (mut numerator, mut denominator) = (0, 0);
        for part in parts {
            let (covered, all) = self.store.covered(stock, &part, digits, &window, &listed_on).await?;
            (numerator, denominator) = (numerator + covered, denominator + all);
        }
        if ground.part.is_none() {
            let others = (&asked.area, &ground.moved);
            numerator += self.covered_by_others(others, stock, digits, &window, &listed_on).await?;
        }
        let blank = asked.blank(indicator);
        if denominator == 0 {
            let note = format!(
                "{listed_on}：此区域没有可计算的区划 | no official division of this level in the area on {listed_on}"
            );
            return Ok(Cell { status: Some(CellStatus::Missing.into()), note: Some(note), ..blank });
        }
        let ratio = Ratio { numerator: Some(numerator), denominator: Some(denominator) };
        Ok(Cell { value: Some(Value::Ratio(ratio)), status: Some(CellStatus::Normal.into()), ..blank })
    }
}

/// Says of a total how many it has that count in several counties and here once.
fn in_several(total: Cell, count: i64) -> Cell {
    if count == 0 || total.status() != CellStatus::Normal {
        return total;
    }
    let said = format!(
        "其中{count}人在多个县（区）登记，此处只计一次 | {count} of them are registered in several counties and count once here"
    );
    let note = match &total.note {
        Some(note) => both(note, &said),
        None => said,
    };
    Cell { in_several_counties: Some(count), note: Some(note), ..total }
}

/// Two remarks as one, each in both languages.
fn both(one: &str, other: &str) -> String {
    match (one.split_once(" | "), other.split_once(" | ")) {
        (Some((zh, en)), Some((more_zh, more_en))) => format!("{zh}；{more_zh} | {en}; {more_en}"),
        _ => format!("{one}; {other}"),
    }
}

/// A sum, and of what it was made as far as that does not add up.
#[derive(Default)]
struct Sum {
    amount: Amount,
    apart: BTreeSet<Vec<String>>,
}

impl Sum {
    fn add(&mut self, amount: Amount, apart: Vec<String>) {
        self.amount = self.amount.plus(amount);
        self.apart.insert(apart);
    }
}

impl Asked {
    /// Reads a request; every reason against it is told at once.
    fn parse(catalogue: &'static Catalogue, request: &ReadTableRequest, today: Date) -> Result<Self> {
        let mut refused = vec![];
        let mut refuse =
            |field: &str, reason: Reason, detail: &str| refused.push(Violation::new(field, reason, detail));

        let mut indicators = vec![];
        if request.indicators.is_empty() {
            refuse("indicators", Reason::Required, "");
        }
        if request.indicators.len() > TABLE_MAX_INDICATORS {
            refuse("indicators", Reason::TooMany, &TABLE_MAX_INDICATORS.to_string());
        }
        for id in request.indicators.iter().take(TABLE_MAX_INDICATORS) {
            match catalogue.indicator(id) {
                Some(indicator) => indicators.push(indicator),
                None => refuse("indicators", Reason::NotInList, "ListIndicators"),
            }
        }
        let by = distinct(&request.by);
        for indicator in &indicators {
            let known: Vec<&str> = indicator.dimensions().collect();
            if by.iter().any(|key| !known.contains(&key.as_str())) {
                refuse("by", Reason::UnknownField, &format!("{}: {}", indicator.id, known.join(", ")));
            }
        }
        let area = Area::parse(request.area());
        match &area {
            _ if request.area().is_empty() => refuse("area", Reason::Required, ""),
            None => refuse("area", Reason::Malformed, "2, 4, 6, 9 or 12 digits | 2、4、6、9 或 12 位数字"),
            Some(_) => {}
        }
        let when = When::parse(request.at(), request.period(), today).unwrap_or_else(|(field, form)| {
            refuse(field, Reason::Malformed, form);
            When::at(today)
        });
        let divisions_at = parse_day(request.divisions_at());
        if divisions_at.is_none() && !request.divisions_at().is_empty() {
            refuse("divisions_at", Reason::Malformed, "2023-12-31");
        }
        let tag = request.tag.clone().filter(|tag| !tag.is_empty());
        if tag.as_ref().is_some_and(|tag| !is_label(tag)) {
            refuse("tag", Reason::NotInList, "KEY_COUNTY, RELOCATION, OTHER");
        }
        if tag.is_some() && divisions_at.is_some() {
            refuse("divisions_at", Reason::Malformed, "tag, or divisions_at, not both | 与 tag 二选一");
        }
        match area {
            Some(area) if refused.is_empty() => Ok(Self { indicators, area, when, by, divisions_at, tag }),
            _ => Err(Refusal(refused).into()),
        }
    }

    /// A cell with everything but its figure.
    fn blank(&self, indicator: &Indicator) -> Cell {
        let flow = indicator.kind() == IndicatorKind::Flow;
        let counted = matches!(indicator.measure, Measure::Count(_));
        let restated = self.divisions_at.filter(|_| counted).map(|day| {
            let day = format_day(day);
            format!("按{day}的区划换算 | restated on the divisions of {day}")
        });
        let narrowed = self.tag.as_ref().map(|tag| {
            let day = format_day(self.when.at);
            format!("仅含{day}带有标签{tag}的区划 | only the divisions that carried {tag} on {day}")
        });
        Cell {
            indicator: Some(indicator.id.clone()),
            area: Some(self.area.as_str().to_owned()),
            at: (!flow || self.when.by_day).then(|| format_day(self.when.at)),
            period: flow.then(|| self.when.period.text.clone()),
            unit: Some(indicator.unit.into()),
            note: restated.or(narrowed),
            ..Cell::default()
        }
    }
}

impl When {
    fn at(day: Date) -> Self {
        Self { at: day, period: Period::year_to(day), by_day: true }
    }

    /// Exactly one of the two; neither: today. On failure the field and its form.
    fn parse(at: &str, period: &str, today: Date) -> Result<Self, (&'static str, &'static str)> {
        match (at, period) {
            ("", "") => Ok(Self::at(today)),
            (at, "") => parse_day(at).map(Self::at).ok_or(("at", "2023-12-31")),
            ("", period) => {
                let period = Period::parse(period).ok_or(("period", "2023, 2023H1, 2023Q2, 2023-05"))?;
                Ok(Self { at: period.last, period, by_day: false })
            }
            _ => Err(("period", "at, or period, not both | 与 at 二选一")),
        }
    }
}

fn distinct(keys: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = vec![];
    for key in keys {
        if !distinct.contains(key) {
            distinct.push(key.clone());
        }
    }
    distinct
}
