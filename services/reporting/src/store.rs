//! This house's own tables, and every statement on them. Writing is one function, [`Store::save`]: what entries mean
//! and the cursor that says so are one commit.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    binds,
    db::{Db, Row, Statement, Value},
    error::{Error, Result},
    id::{Area, Class},
    ledger::{Ledger, begin},
    succession,
};

use crate::domain::{
    division::Listed,
    facts::{Counted, Problem},
    period::Window,
    restate::Reported,
    same::Link,
    tag::Tagged,
    tally::{Amount, Facts, Spot, Tallies},
};

/// What a batch of entries changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// The roots each of these records belongs to, all of them.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// The subject each of these roots makes.
    pub roots: BTreeMap<String, String>,
    /// What each of these subjects contributes now.
    pub subjects: BTreeMap<String, Counted>,
    /// What has to be added to the tallies for that.
    pub difference: Facts,
    /// What each of these records lists; `None`: nothing.
    pub divisions: BTreeMap<String, Option<Listed>>,
    /// What each of these records says is the same; `None`: nothing.
    pub same: BTreeMap<String, Option<Link>>,
    /// What each of these records says that a division is marked as; `None`: nothing.
    pub tags: BTreeMap<String, Option<Tagged>>,
    /// What each of these records tells of the history of divisions; `None`: nothing.
    pub history: BTreeMap<String, Option<succession::Change>>,
}

/// One page of problems begins after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProblemKey {
    pub record: String,
    pub indicator: String,
    pub subject: String,
}

/// A problem as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub key: ProblemKey,
    pub reason_zh: String,
    pub reason_en: String,
}

/// Digits of the levels of codes.
const LEVELS: [usize; 5] = [2, 4, 6, 9, 12];

/// The tables.
#[derive(Clone, Debug)]
pub(crate) struct Store(Db);

type Sets = BTreeMap<String, BTreeSet<String>>;

impl Store {
    pub fn new(db: Db) -> Self {
        Self(db)
    }

    /// The roots that records belong to, as last followed.
    pub async fn roots_by_member(&self, names: &[String]) -> Result<Sets> {
        sets(self.0.fetch("SELECT name, root FROM reporting_members WHERE name IN ({1})", binds![names]).await?)
    }

    /// The records that belong to roots, as last followed.
    pub async fn members_by_root(&self, roots: &[String]) -> Result<Sets> {
        sets(self.0.fetch("SELECT root, name FROM reporting_members WHERE root IN ({1})", binds![roots]).await?)
    }

    /// The subjects that roots make, as last followed.
    pub async fn subject_by_root(&self, roots: &[String]) -> Result<BTreeMap<String, String>> {
        let rows = self.0.fetch("SELECT root, subject FROM reporting_roots WHERE root IN ({1})", binds![roots]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// The roots that make subjects, as last followed.
    pub async fn roots_by_subject(&self, subjects: &[String]) -> Result<Sets> {
        sets(self.0.fetch("SELECT subject, root FROM reporting_roots WHERE subject IN ({1})", binds![subjects]).await?)
    }

    /// What subjects contribute, as last counted.
    pub async fn facts_by_subject(&self, subjects: &[String]) -> Result<BTreeMap<String, Facts>> {
        let rows = self
            .0
            .fetch("SELECT subject, facts FROM reporting_subjects WHERE subject IN ({1})", binds![subjects])
            .await?;
        rows.iter().map(|row| Ok((row.text(0)?, Facts::decode(&row.text(1)?)?))).collect()
    }

    /// What is said to be the same as any of these records, or by any of them, as last followed: by the record that says so.
    pub async fn links(&self, names: &[String]) -> Result<BTreeMap<String, Link>> {
        const SQL: &str = "SELECT name, root, survivor FROM reporting_same WHERE name IN ({1}) \
             UNION SELECT name, root, survivor FROM reporting_same WHERE root IN ({1}) \
             UNION SELECT name, root, survivor FROM reporting_same WHERE survivor IN ({1})";
        let rows = self.0.fetch(SQL, binds![names]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, Link { root: row.text(1)?, survivor: row.text(2)? }))).collect()
    }

    /// Forgets everything that was counted by another catalogue, so that it is counted again from the ledger's beginning. `false`: it
    /// was this one.
    pub async fn count_again_by(&self, digest: &str, ledger: &Ledger, cursor: &str) -> Result<bool> {
        const KNOWN: &str = "SELECT digest FROM reporting_catalogue WHERE id = 1";
        const NOW: &str = "INSERT INTO reporting_catalogue (id, digest) VALUES (1, $1) \
                           ON CONFLICT (id) DO UPDATE SET digest = excluded.digest WHERE reporting_catalogue.digest <> excluded.digest";
        let known = self.0.fetch_one(KNOWN, vec![]).await?.map(|row| row.text(0)).transpose()?;
        if known.as_deref() == Some(digest) {
            return Ok(false);
        }
        let mut tx = begin(&self.0).await?;
        if tx.execute(NOW, binds![digest]).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        let from = ledger.cursor(cursor).await?;
        if from > 0 {
            tx.run(&Ledger::move_cursor(cursor, from, 0)).await?;
            for forget in [
                "DELETE FROM reporting_members",
                "DELETE FROM reporting_roots",
                "DELETE FROM reporting_subjects",
                "DELETE FROM reporting_months",
                "DELETE FROM reporting_days",
                "DELETE FROM reporting_problems",
                "DELETE FROM reporting_same",
            ] {
                tx.execute(forget, vec![]).await?;
            }
        }
        tx.commit().await?;
        Ok(from > 0)
    }

    /// Saves a change and moves the cursor, in one commit. `false`: somebody else had moved it, and nothing was done.
    pub async fn save(&self, cursor: &Statement, position: u64, change: Change) -> Result<bool> {
        let mut tx = begin(&self.0).await?;
        // First, for its row is the lock: a second process waits here and then finds that it was moved.
        if !tx.run(cursor).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        let Tallies { days, months } = change.difference.tallies();
        let mut statements = member_statements(change.members, change.roots);
        statements.extend(subject_statements(change.subjects)?);
        statements.push(tally_statement("reporting_days", "day", days));
        statements.push(tally_statement("reporting_months", "month", months));
        statements.extend(division_statements(change.divisions));
        statements.extend(same_statements(change.same));
        statements.extend(tag_statements(change.tags));
        statements.extend(history_statements(change.history, position)?);
        tx.run_all(statements).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The sums of an indicator at an area over a window, for each combination of coordinates.
    pub async fn sums(&self, indicator: &str, area: &Area, window: &Window) -> Result<Vec<(String, Amount)>> {
        const SQL: &str = "SELECT dims, CAST(SUM(value) AS BIGINT), CAST(SUM(opening) AS BIGINT) FROM ( \
             SELECT dims, value, opening FROM reporting_months \
             WHERE indicator = $1 AND digits = $2 AND area = $3 AND month >= $4 AND month < $5 \
             UNION ALL \
             SELECT dims, value, opening FROM reporting_days \
             WHERE indicator = $1 AND digits = $2 AND area = $3 AND day >= $6 AND day <= $7) t \
             GROUP BY dims ORDER BY dims";
        let Window { month_from, month_until, day_from, day_to } = window;
        let binds = binds![indicator, digits(area), area.as_str(), month_from, month_until, day_from, day_to];
        let rows = self.0.fetch(SQL, binds).await?;
        rows.iter().map(|row| Ok((row.text(0)?, Amount { value: row.int(1)?, opening: row.int(2)? }))).collect()
    }

    /// How many official divisions of so many digits in an area, listed on a day, have a stock of their own in a
    /// window; and how many there are.
    pub async fn covered(
        &self,
        stock: &str,
        area: &Area,
        digits: usize,
        window: &Window,
        listed_on: &str,
    ) -> Result<(i64, i64)> {
        const SQL: &str = "SELECT COUNT(DISTINCT t.area), COUNT(DISTINCT d.code) FROM reporting_divisions d LEFT JOIN ( \
             SELECT area FROM ( \
             SELECT area, value FROM reporting_months \
             WHERE indicator = $1 AND digits = $2 AND area >= $3 AND area < $4 AND month >= $5 AND month < $6 \
             UNION ALL \
             SELECT area, value FROM reporting_days \
             WHERE indicator = $1 AND digits = $2 AND area >= $3 AND area < $4 AND day >= $7 AND day <= $8) u \
             GROUP BY area HAVING SUM(value) > 0) t ON t.area = d.code \
             WHERE d.digits = $2 AND d.code >= $3 AND d.code < $4 AND d.official = TRUE \
             AND d.valid_from <= $9 AND d.valid_to > $9";
        let (from, until) = bounds(area);
        let Window { month_from, month_until, day_from, day_to } = window;
        let digits = i64::try_from(digits).unwrap_or(0);
        let binds = binds![stock, digits, from, until, month_from, month_until, day_from, day_to, listed_on];
        let row = self.0.fetch_one(SQL, binds).await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// The sums of an indicator over a window under each of these codes, for each combination of coordinates.
    pub async fn sums_under(
        &self,
        indicator: &str,
        codes: &[String],
        window: &Window,
    ) -> Result<BTreeMap<String, BTreeMap<String, Amount>>> {
        const SQL: &str = "SELECT area, dims, CAST(SUM(value) AS BIGINT), CAST(SUM(opening) AS BIGINT) FROM ( \
             SELECT area, dims, value, opening FROM reporting_months \
             WHERE indicator = $1 AND digits = $2 AND area IN ({3}) AND month >= $4 AND month < $5 \
             UNION ALL \
             SELECT area, dims, value, opening FROM reporting_days \
             WHERE indicator = $1 AND digits = $2 AND area IN ({3}) AND day >= $6 AND day <= $7) t \
             GROUP BY area, dims";
        let Window { month_from, month_until, day_from, day_to } = window;
        let mut sums: BTreeMap<String, BTreeMap<String, Amount>> = BTreeMap::new();
        let levels: BTreeSet<usize> = codes.iter().map(String::len).collect();
        for digits in levels {
            let codes: Vec<&str> = codes.iter().map(String::as_str).filter(|code| code.len() == digits).collect();
            let binds = binds![indicator, digits as u64, &codes[..], month_from, month_until, day_from, day_to];
            for row in self.0.fetch(SQL, binds).await? {
                let amount = Amount { value: row.int(2)?, opening: row.int(3)? };
                sums.entry(row.text(0)?).or_default().insert(row.text(1)?, amount);
            }
        }
        Ok(sums)
    }

    /// The sums of an indicator over a window of all that lies below each of these codes, for each combination of coordinates.
    pub async fn sums_below(&self, indicator: &str, codes: &[&str], window: &Window) -> Result<Reported> {
        const SQL: &str = "SELECT dims, CAST(SUM(value) AS BIGINT), CAST(SUM(opening) AS BIGINT) FROM ( \
             SELECT dims, value, opening FROM reporting_months \
             WHERE indicator = $1 AND digits = $2 AND area >= $3 AND area < $4 AND month >= $5 AND month < $6 \
             UNION ALL \
             SELECT dims, value, opening FROM reporting_days \
             WHERE indicator = $1 AND digits = $2 AND area >= $3 AND area < $4 AND day >= $7 AND day <= $8) t \
             GROUP BY dims";
        let Window { month_from, month_until, day_from, day_to } = window;
        let mut below = Reported::new();
        for code in codes {
            let next = LEVELS.into_iter().find(|digits| *digits > code.len());
            let Some((area, next)) = Area::parse(code).zip(next) else { continue };
            let (from, until) = bounds(&area);
            let binds = binds![indicator, next as u64, from, until, month_from, month_until, day_from, day_to];
            let sums = below.entry((*code).to_owned()).or_default();
            for row in self.0.fetch(SQL, binds).await? {
                sums.insert(row.text(0)?, Amount { value: row.int(1)?, opening: row.int(2)? });
            }
        }
        Ok(below)
    }

    /// What villages below these townships have of a stock in a window, those that have any.
    pub async fn held_below(&self, stock: &str, townships: &[&str], window: &Window) -> Result<Vec<(String, i64)>> {
        const SQL: &str = "SELECT area, CAST(SUM(value) AS BIGINT) FROM ( \
             SELECT area, value FROM reporting_months \
             WHERE indicator = $1 AND digits = 12 AND area > $2 AND area < $3 AND SUBSTR(area, 1, 9) IN ({4}) \
             AND month >= $5 AND month < $6 \
             UNION ALL \
             SELECT area, value FROM reporting_days \
             WHERE indicator = $1 AND digits = 12 AND area > $2 AND area < $3 AND SUBSTR(area, 1, 9) IN ({4}) \
             AND day >= $7 AND day <= $8) t \
             GROUP BY area HAVING SUM(value) > 0";
        let (Some(first), Some(last)) = (townships.iter().min(), townships.iter().max()) else { return Ok(vec![]) };
        let until = Area::parse(last).map_or_else(|| (*last).to_owned(), |area| bounds(&area).1);
        let Window { month_from, month_until, day_from, day_to } = window;
        let binds = binds![stock, *first, until, townships, month_from, month_until, day_from, day_to];
        self.0.fetch(SQL, binds).await?.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect()
    }

    /// Which of these codes the list of a day has; `official`: as official ones.
    pub async fn listed(&self, codes: &[String], listed_on: &str, official: bool) -> Result<BTreeSet<String>> {
        const SQL: &str = "SELECT DISTINCT code FROM reporting_divisions WHERE digits = $1 AND code IN ({2}) \
             AND official IN (TRUE, $4) AND valid_from <= $3 AND valid_to > $3";
        let mut listed = BTreeSet::new();
        let levels: BTreeSet<usize> = codes.iter().map(String::len).collect();
        for digits in levels {
            let codes: Vec<&str> = codes.iter().map(String::as_str).filter(|code| code.len() == digits).collect();
            for row in self.0.fetch(SQL, binds![digits as u64, &codes[..], listed_on, official]).await? {
                listed.insert(row.text(0)?);
            }
        }
        Ok(listed)
    }

    /// The codes that carry a tag on a day.
    pub async fn tagged(&self, label: &str, on: &str) -> Result<BTreeSet<String>> {
        const SQL: &str = "SELECT code FROM reporting_tags WHERE label = $1 AND since <= $2 AND until > $2";
        self.0.fetch(SQL, binds![label, on]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// How many changes there are and the position of the newest: which state of the history this is.
    pub async fn history_state(&self) -> Result<(i64, i64)> {
        const SQL: &str =
            "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(MAX(position), 0) AS BIGINT) FROM reporting_changes";
        let row = self.0.fetch_one(SQL, vec![]).await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// All changes.
    pub async fn history(&self) -> Result<Vec<succession::Change>> {
        let rows = self.0.fetch("SELECT effective_on, codes FROM reporting_changes ORDER BY name", vec![]).await?;
        rows.iter()
            .map(|row| {
                let (from, to) = serde_json::from_str(&row.text(1)?).map_err(|error| Error::Broken(error.into()))?;
                Ok(succession::Change { on: row.text(0)?, from, to })
            })
            .collect()
    }

    /// Whether the list of divisions or any tally knows an area.
    pub async fn knows(&self, area: &Area, indicators: &[String]) -> Result<bool> {
        const LISTED: &str = "SELECT 1 FROM reporting_divisions WHERE digits = $1 AND code = $2 LIMIT 1";
        const TALLIED: &str =
            "SELECT 1 FROM reporting_months WHERE digits = $1 AND area = $2 AND indicator IN ({3}) LIMIT 1";
        let listed = !self.0.fetch(LISTED, binds![digits(area), area.as_str()]).await?.is_empty();
        Ok(listed || !self.0.fetch(TALLIED, binds![digits(area), area.as_str(), indicators]).await?.is_empty())
    }

    /// What is not counted, in the order of its keys; `within`: only what lies in that area.
    pub async fn problems(&self, within: Option<&Area>, after: &ProblemKey, limit: usize) -> Result<Vec<Listing>> {
        const SQL: &str = "SELECT record, indicator, subject, reason_zh, reason_en FROM reporting_problems \
             WHERE (record, indicator, subject) > ($1, $2, $3) AND ($4 = '' OR (area >= $4 AND area < $5)) \
             ORDER BY record, indicator, subject LIMIT $6";
        let (from, until) = within.map(bounds).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let binds = binds![&after.record, &after.indicator, &after.subject, from, until, limit];
        self.0.fetch(SQL, binds).await?.iter().map(listing).collect()
    }

    /// Every tally that is not zero.
    pub async fn tallies(&self) -> Result<Tallies> {
        const DAYS: &str =
            "SELECT indicator, area, dims, day, value, opening FROM reporting_days WHERE value <> 0 OR opening <> 0";
        const MONTHS: &str = "SELECT indicator, area, dims, month, value, opening FROM reporting_months WHERE value <> 0 OR opening <> 0";
        let read = |row: &Row| {
            let spot = Spot { indicator: row.text(0)?, area: row.text(1)?, dims: row.text(2)?, day: row.text(3)? };
            Ok((spot, Amount { value: row.int(4)?, opening: row.int(5)? }))
        };
        let days = self.0.fetch(DAYS, vec![]).await?.iter().map(read).collect::<Result<_>>()?;
        let months = self.0.fetch(MONTHS, vec![]).await?.iter().map(read).collect::<Result<_>>()?;
        Ok(Tallies { days, months })
    }
}

fn member_statements(members: Sets, roots: BTreeMap<String, String>) -> Vec<Statement> {
    let names: Vec<String> = members.keys().cloned().collect();
    let rows = members.iter().flat_map(|(name, roots)| roots.iter().map(move |root| binds![name, root]));
    let upsert = "ON CONFLICT (root) DO UPDATE SET subject = excluded.subject";
    let subjects = roots.iter().map(|(root, subject)| binds![root, subject]).collect();
    vec![
        Statement::new("DELETE FROM reporting_members WHERE name IN ({1})", binds![&names]),
        Statement::insert("reporting_members (name, root)", "", rows.collect()),
        Statement::insert("reporting_roots (root, subject)", upsert, subjects),
    ]
}

fn subject_statements(subjects: BTreeMap<String, Counted>) -> Result<Vec<Statement>> {
    let names: Vec<String> = subjects.keys().cloned().collect();
    let problems = subjects
        .iter()
        .flat_map(|(subject, counted)| counted.problems.iter().map(move |problem| row_of(subject, problem)));
    let problems = problems.collect();
    let once = "ON CONFLICT (record, indicator, subject) DO NOTHING";
    let into = "reporting_problems (record, indicator, subject, area, reason_zh, reason_en)";

    let (none, some): (Vec<_>, Vec<_>) = subjects.into_iter().partition(|(_, counted)| counted.facts.is_empty());
    let none: Vec<String> = none.into_iter().map(|(subject, _)| subject).collect();
    let rows = some
        .into_iter()
        .map(|(subject, counted)| Ok(binds![subject, counted.facts.encode()?]))
        .collect::<Result<_>>()?;
    let upsert = "ON CONFLICT (subject) DO UPDATE SET facts = excluded.facts";
    Ok(vec![
        Statement::new("DELETE FROM reporting_problems WHERE subject IN ({1})", binds![&names]),
        Statement::insert(into, once, problems),
        Statement::new("DELETE FROM reporting_subjects WHERE subject IN ({1})", binds![&none]),
        Statement::insert("reporting_subjects (subject, facts)", upsert, rows),
    ])
}

fn row_of(subject: &str, problem: &Problem) -> Vec<Value> {
    let (zh, en) = problem.trouble.texts();
    binds![&problem.record, &problem.indicator, subject, &problem.area, zh, en]
}

/// In the order of their keys, each once. Rows that become zero stay: they are few, and a sum does not mind them.
fn tally_statement(table: &str, period: &str, tallies: BTreeMap<Spot, Amount>) -> Statement {
    let row = |(spot, amount): (Spot, Amount)| {
        let digits = spot.area.len() as u64;
        binds![spot.indicator, digits, spot.area, spot.day, spot.dims, amount.value, amount.opening]
    };
    let upsert = format!(
        "ON CONFLICT (indicator, digits, area, {period}, dims) \
         DO UPDATE SET value = {table}.value + excluded.value, opening = {table}.opening + excluded.opening"
    );
    let into = format!("{table} (indicator, digits, area, {period}, dims, value, opening)");
    Statement::insert(into, upsert, tallies.into_iter().map(row).collect())
}

fn division_statements(divisions: BTreeMap<String, Option<Listed>>) -> [Statement; 2] {
    let gone: Vec<String> =
        divisions.iter().filter(|(_, listed)| listed.is_none()).map(|(name, _)| name.clone()).collect();
    let row = |(name, listed): (String, Option<Listed>)| {
        let Listed { code, valid_from, valid_to } = listed?;
        Some(binds![name, code.as_str(), digits(&code), code.class() == Class::Official, valid_from, valid_to])
    };
    let upsert = "ON CONFLICT (name) DO UPDATE SET code = excluded.code, digits = excluded.digits, official = excluded.official, \
                  valid_from = excluded.valid_from, valid_to = excluded.valid_to";
    let rows = divisions.into_iter().filter_map(row).collect();
    [
        Statement::new("DELETE FROM reporting_divisions WHERE name IN ({1})", binds![&gone]),
        Statement::insert("reporting_divisions (name, code, digits, official, valid_from, valid_to)", upsert, rows),
    ]
}

fn same_statements(same: BTreeMap<String, Option<Link>>) -> [Statement; 2] {
    let names: Vec<String> = same.keys().cloned().collect();
    let row = |(name, link): (String, Option<Link>)| link.map(|link| binds![name, link.root, link.survivor]);
    let rows = same.into_iter().filter_map(row).collect();
    [
        Statement::new("DELETE FROM reporting_same WHERE name IN ({1})", binds![&names]),
        Statement::insert("reporting_same (name, root, survivor)", "", rows),
    ]
}

fn tag_statements(tags: BTreeMap<String, Option<Tagged>>) -> [Statement; 2] {
    let gone: Vec<String> = tags.iter().filter(|(_, tagged)| tagged.is_none()).map(|(name, _)| name.clone()).collect();
    let row = |(name, tagged): (String, Option<Tagged>)| {
        let Tagged { label, code, since, until } = tagged?;
        Some(binds![name, label, code.as_str(), since, until])
    };
    let upsert = "ON CONFLICT (name) DO UPDATE SET label = excluded.label, code = excluded.code, since = excluded.since, \
                  until = excluded.until";
    let rows = tags.into_iter().filter_map(row).collect();
    [
        Statement::new("DELETE FROM reporting_tags WHERE name IN ({1})", binds![&gone]),
        Statement::insert("reporting_tags (name, label, code, since, until)", upsert, rows),
    ]
}

fn history_statements(history: BTreeMap<String, Option<succession::Change>>, position: u64) -> Result<[Statement; 2]> {
    let gone: Vec<String> = history.iter().filter(|(_, told)| told.is_none()).map(|(name, _)| name.clone()).collect();
    let row = |(name, told): (String, Option<succession::Change>)| {
        let succession::Change { on, from, to } = told?;
        let codes = serde_json::to_string(&(from, to)).map_err(|error| Error::Broken(error.into()));
        Some(codes.map(|codes| binds![name, position, on, codes]))
    };
    let upsert = "ON CONFLICT (name) DO UPDATE SET position = excluded.position, effective_on = excluded.effective_on, \
                  codes = excluded.codes";
    let rows = history.into_iter().filter_map(row).collect::<Result<_>>()?;
    Ok([
        Statement::new("DELETE FROM reporting_changes WHERE name IN ({1})", binds![&gone]),
        Statement::insert("reporting_changes (name, position, effective_on, codes)", upsert, rows),
    ])
}

fn sets(rows: Vec<Row>) -> Result<Sets> {
    let mut sets = Sets::new();
    for row in rows {
        sets.entry(row.text(0)?).or_default().insert(row.text(1)?);
    }
    Ok(sets)
}

fn listing(row: &Row) -> Result<Listing> {
    let key = ProblemKey { record: row.text(0)?, indicator: row.text(1)?, subject: row.text(2)? };
    Ok(Listing { key, reason_zh: row.text(3)?, reason_en: row.text(4)? })
}

/// Digits of a code. The nation's two are a level of their own by their text.
fn digits(area: &Area) -> u64 {
    area.as_str().len() as u64
}

/// The first code in an area and the first beyond it.
fn bounds(area: &Area) -> (String, String) {
    if area.as_str() == Area::NATION {
        return ("0".to_owned(), "a".to_owned());
    }
    (area.as_str().to_owned(), area.after().unwrap_or_else(|| "a".to_owned()))
}
