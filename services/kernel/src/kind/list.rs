//! Lists: a keyset over the house's index table, never an OFFSET.

use std::collections::{BTreeMap, HashMap};

use super::{
    ANSWER_MAX_BYTES, Kind, Limit, Noun, READ_AHEAD, Verbs, found::Sought, limit, page_key, page_token,
    verbs::answer_of,
};
use qianshou_proto::Resource;

use crate::{
    clock::{format_day, parse_day},
    db::{Db, Value},
    error::{Error, Reason, Result},
    id::Area,
    identity::Caller,
    ledger::Stored,
};

/// What is asked of a list; the fields of every `List…Request`.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Records on the page at most; 0 or absent: `list_page_records`.
    pub page_size: Option<i32>,
    /// Where the last page ended.
    pub page_token: Option<String>,
    /// Only this area and everything below it.
    pub area: Option<String>,
    /// Only this state.
    pub state: Option<String>,
    /// Only what is found by this text: a part of a name, its pinyin or initials, the beginning of a code.
    pub query: Option<String>,
    /// `name` (age, the default), `title`, `area` or `state`, with ` desc` for the other way.
    pub order_by: Option<String>,
    /// Not before the ledger holds this position.
    pub min_position: Option<u64>,
    /// Only what holds on this day.
    pub at: Option<String>,
    /// Only this type.
    pub r#type: Option<String>,
    /// The area is the one of this day.
    pub divisions_at: Option<String>,
    /// Only what lies in divisions that carry this tag on the day `at`, or today.
    pub tag: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listed<R> {
    /// The records.
    pub nouns: Vec<R>,
    /// Empty: that was all.
    pub next_page_token: String,
    /// The ledger's position at which the page was begun.
    pub position: u64,
}

impl Verbs {
    /// One page of the records a caller may see.
    pub async fn list<N: Noun>(&self, caller: &Caller, asked: ListQuery) -> Result<Listed<N::Record>> {
        limit::may_read::<N>(caller)?;
        self.wait(asked.min_position).await?;
        let limit = self.limit(caller).await?;
        let position = self.ledger.head().await?.position;
        let order = Order::parse(asked.order_by.as_deref())?;
        let question = asked.question(N::COLLECTION);
        let after = page_key(&question, asked.page_token.as_deref())?;
        let size = self.page_size(asked.page_size)?;
        let mut conditions = Conditions::default();
        if let Some(area) = asked.area.as_deref().filter(|a| !a.is_empty()) {
            let area =
                Area::parse(area).ok_or_else(|| Error::refused("area", Reason::Malformed, "2, 4, 6, 9, 12 digits"))?;
            let divided = asked.divisions_at.as_deref().filter(|day| !day.is_empty());
            match divided.map(|day| day_of("divisions_at", day)).transpose()? {
                // The nation is the same on every day.
                Some(day) if area.as_str() != Area::NATION => {
                    conditions.within_any(&self.areas.within(&area, &day).await?);
                }
                _ => conditions.within(&area),
            }
        }
        if !N::FOR_ALL {
            conditions
                .within(&Area::parse(&caller.area).ok_or_else(|| Error::refused("area", Reason::AreaForbidden, ""))?);
        }
        let day = asked.at.as_deref().filter(|day| !day.is_empty()).map(|day| day_of("at", day)).transpose()?;
        if let Some(state) = asked.state.filter(|state| !state.is_empty()) {
            conditions.in_state::<N>(state, day.clone().unwrap_or_else(|| format_day(self.ledger.clock().today())));
        }
        if let Some(r#type) = asked.r#type.filter(|r#type| !r#type.is_empty()) {
            conditions.is("type", r#type);
        }
        let tag = asked.tag.filter(|tag| !tag.is_empty());
        if let Some(tag) = &tag {
            let day = day.clone().unwrap_or_else(|| format_day(self.ledger.clock().today()));
            conditions.below_any(self.areas.tagged(tag, &day).await?);
        }
        if let Some(day) = day {
            conditions.on::<N>(day, tag.is_some())?;
        }
        if let Some(limit) = limit {
            conditions.belonging(&Kind::of::<N>(), &limit);
        }
        let query = asked.query.as_deref().unwrap_or_default();
        if query.chars().count() > self.query_max_chars {
            let most = self.query_max_chars;
            return Err(Error::refused("query", Reason::TooLong, format!("{most} characters | {most} 个字符")));
        }
        let sought = Sought::new(query);
        let search = Search {
            db: self.ledger.db(),
            table: N::TABLE,
            kind: N::COLLECTION,
            order,
            conditions,
            sought,
            want: size + 1,
        };
        let mut hits = search.hits(after).await?;
        let found = hits.len();
        hits.truncate(size);
        let nouns = self.as_one_answer_holds(&mut hits).await?;
        let more = found > hits.len();
        let last = hits.pop().filter(|_| more);
        let next_page_token = last.map(|Hit { key, name, .. }| page_token(&question, &(key, name))).transpose()?;
        Ok(Listed { nouns, next_page_token: next_page_token.unwrap_or_default(), position })
    }
}

impl Verbs {
    /// The records of a page, as many as one answer holds; the rest is taken off the page.
    async fn as_one_answer_holds<R: Resource>(&self, hits: &mut Vec<Hit>) -> Result<Vec<R>> {
        let (mut nouns, mut bytes) = (vec![], 0);
        for from in (0..hits.len()).step_by(READ_AHEAD) {
            let part = &hits[from..hits.len().min(from + READ_AHEAD)];
            let positions: Vec<u64> = part.iter().map(|hit| hit.position).collect();
            let entries = self.ledger.entries_at(&positions).await?;
            let mut entries: HashMap<u64, Stored> = entries.into_iter().map(|entry| (entry.position, entry)).collect();
            for (at, hit) in part.iter().enumerate() {
                let Some(entry) = entries.remove(&hit.position) else { continue };
                let noun: R = answer_of(&entry)?;
                bytes += noun.encoded_len() + FRAME_BYTES;
                if bytes > ANSWER_MAX_BYTES && !nouns.is_empty() {
                    hits.truncate(from + at);
                    return Ok(nouns);
                }
                nouns.push(noun);
            }
        }
        Ok(nouns)
    }
}

/// What stands around a record in an answer, and its part of what stands there once.
const FRAME_BYTES: usize = 16;

impl ListQuery {
    /// Whatever decides what the list holds and in which order.
    fn question(&self, collection: &str) -> String {
        let Self { area, state, r#type, query, order_by, at, divisions_at, tag, .. } = self;
        let asked = (collection, area, state, r#type, query, order_by, at, divisions_at, tag);
        format!("{asked:?}")
    }
}

/// A day in its one form.
fn day_of(field: &str, text: &str) -> Result<String> {
    let day = parse_day(text).ok_or_else(|| Error::refused(field, Reason::Malformed, "2023-06-30"))?;
    Ok(format_day(day))
}

#[derive(Clone, Copy)]
struct Order {
    column: &'static str,
    descending: bool,
}

impl Order {
    fn parse(order_by: Option<&str>) -> Result<Self> {
        let text = order_by.unwrap_or_default().trim();
        let (column, descending) = match text.strip_suffix(" desc") {
            Some(column) => (column.trim(), true),
            None => (text.strip_suffix(" asc").unwrap_or(text).trim(), false),
        };
        let column = match column {
            "" | "name" => "t.name",
            "title" => "t.title",
            "area" => "t.area",
            "state" => "t.state",
            _ => return Err(Error::refused("order_by", Reason::UnknownField, "name, title, area, state [desc]")),
        };
        Ok(Self { column, descending })
    }

    /// The columns of the key, and which way they go.
    fn text(self) -> String {
        let way = if self.descending { "DESC" } else { "ASC" };
        if self.column == "t.name" { format!("t.name {way}") } else { format!("{} {way}, t.name {way}", self.column) }
    }
}

/// What is asked of the rows of a house's table. There are two ways to ask the same of a column: of the column itself, which has
/// an index, to seek rows; and of `COALESCE(column, '')`, which has none, to test a row. So a text says which way it goes,
/// and neither database has to guess.
#[derive(Debug, Default)]
struct Conditions {
    /// Column, comparison and the bind's number.
    compared: Vec<(&'static str, &'static str, usize)>,
    /// Further conditions, which are tested.
    further: Vec<String>,
    /// That one of them which rows can be sought by, if there is any.
    sought: Option<String>,
    binds: Vec<Value>,
}

/// Ranges of codes that rows are sought by; of more they are only tested.
const RANGES: usize = 100;

impl Conditions {
    fn bind(&mut self, value: impl Into<Value>) -> usize {
        self.binds.push(value.into());
        self.binds.len()
    }

    fn compare(&mut self, column: &'static str, comparison: &'static str, value: impl Into<Value>) {
        let n = self.bind(value);
        self.compared.push((column, comparison, n));
    }

    fn is(&mut self, column: &'static str, value: String) {
        self.compare(column, "=", value);
    }

    fn within(&mut self, area: &Area) {
        if area.as_str() == Area::NATION {
            return;
        }
        self.compare("area", ">=", area.as_str());
        if let Some(after) = area.after() {
            self.compare("area", "<", after);
        }
    }

    /// In one of these ranges of codes.
    fn within_any(&mut self, ranges: &[(String, String)]) {
        let range = |(from, until): &(String, String)| {
            let (from, until) = (self.bind(from.as_str()), self.bind(until.as_str()));
            format!("(t.area >= ${from} AND t.area < ${until})")
        };
        let any: Vec<String> = ranges.iter().map(range).collect();
        let any = if any.is_empty() { "1 = 0".to_owned() } else { format!("({})", any.join(" OR ")) };
        self.sought = Some(any.clone()).filter(|_| ranges.len() <= RANGES);
        self.further.push(any);
    }

    /// Only what belongs to what the caller is limited to: few, whatever else is asked of them.
    fn belonging(&mut self, kind: &Kind, limit: &Limit) {
        let any = limit.condition(kind, |text| self.bind(text.as_str()));
        self.sought = Some(any.clone());
        self.further.push(any);
    }

    /// At or below one of these divisions, however many.
    fn below_any(&mut self, codes: Vec<String>) {
        if codes.iter().any(|code| code == Area::NATION) {
            return;
        }
        if codes.len() <= RANGES {
            let range = |area: Area| Some((area.as_str().to_owned(), area.after().unwrap_or_else(|| ":".to_owned())));
            let ranges: Vec<_> = codes.iter().filter_map(|code| Area::parse(code).and_then(range)).collect();
            return self.within_any(&ranges);
        }
        let mut levels: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        codes.into_iter().for_each(|code| levels.entry(code.len()).or_default().push(code));
        let level = |(digits, codes): (usize, Vec<String>)| {
            let n = self.bind(&codes[..]);
            format!("SUBSTR(t.area, 1, {digits}) IN ({{{n}}})")
        };
        let any: Vec<String> = levels.into_iter().map(level).collect();
        self.further.push(format!("({})", any.join(" OR ")));
    }

    /// In a state on a day.
    fn in_state<N: Noun>(&mut self, state: String, day: String) {
        let phase = N::PHASES.iter().position(|(phase, _)| *phase == state);
        if phase.is_none() {
            self.is("state", state);
        }
        let later = &N::PHASES[phase.map_or(0, |phase| phase + 1)..];
        if later.is_empty() && phase.is_none() {
            return;
        }
        let n = self.bind(day);
        if let Some((_, column)) = phase.map(|phase| N::PHASES[phase]) {
            self.further.push(format!("t.{column} <= ${n}"));
        }
        let not_yet = |(_, column): &(&str, &str)| format!("(t.{column} IS NULL OR t.{column} > ${n})");
        self.further.extend(later.iter().map(not_yet));
    }

    /// On a day; `dated`: that says something also of what has no interval.
    fn on<N: Noun>(&mut self, day: String, dated: bool) -> Result<()> {
        let Some((from, to)) = N::SPAN else {
            // Then it is the day of the state.
            let dated = dated || !N::PHASES.is_empty();
            return dated.then_some(()).ok_or_else(|| Error::refused("at", Reason::UnknownField, N::COLLECTION));
        };
        let n = self.bind(day);
        self.further.push(format!("(t.{from} IS NULL OR t.{from} <= ${n}) AND (t.{to} IS NULL OR t.{to} > ${n})"));
        Ok(())
    }

    /// What a row is tested by.
    fn tests(&self) -> Vec<String> {
        let compared =
            self.compared.iter().map(|(column, comparison, n)| format!("COALESCE(t.{column}, '') {comparison} ${n}"));
        compared.chain(self.further.iter().cloned()).collect()
    }

    /// The binds up to the last that a text speaks of: a statement that is prepared once takes as many each time.
    fn binds_of(&self, text: &str) -> Vec<Value> {
        let numbers = text.split('$').skip(1).filter_map(|part| {
            part.bytes()
                .take_while(u8::is_ascii_digit)
                .fold(None, |number, digit| Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0')))
        });
        self.binds[..numbers.max().unwrap_or(0).min(self.binds.len())].to_vec()
    }

    /// What rows are sought by, of one column; `None`: nothing is asked of it.
    fn seeks(&self, column: &str) -> Option<String> {
        let of = self.compared.iter().filter(|(of, ..)| *of == column);
        let texts = of.map(|(column, comparison, n)| format!("t.{column} {comparison} ${n}"));
        Some(texts.collect::<Vec<_>>().join(" AND ")).filter(|text| !text.is_empty())
    }
}

/// Where a list's page is taken from.
enum Source {
    /// The next so many rows in the order that was asked for.
    Near(usize),
    /// These few, which are sorted.
    Few(String),
    /// These few, which have the words.
    With(Vec<u64>),
    /// All rows, in the order that was asked for.
    All,
}

/// A row that belongs on the page.
struct Hit {
    key: String,
    name: String,
    position: u64,
}

/// How a page is looked for. What is frequent is found by walking in the order that was asked for, and what is rare by seeking it
/// and sorting; neither is quick with the other. So what is rare is looked for first where that is told by an index alone: a type,
/// a state, an area that at most [`FEW`] rows have. If there is none, it is walked a little: what is frequent fills the page. Then
/// words are looked up, no more of them than those few rows. If there is nothing rare about what is asked, it is neither all over nor
/// rare, and walking on finds it soon enough.
struct Search<'a> {
    db: &'a Db,
    table: &'static str,
    kind: &'static str,
    order: Order,
    conditions: Conditions,
    sought: Option<Sought>,
    want: usize,
}

/// Rows that can be sorted for a page.
const FEW: usize = 20_000;
/// Rows that are walked before something rare is looked for: so many for each of the page, and so many more.
const NEAR: (usize, usize) = (2, 500);
/// Rows that are walked at most while what is sought turns up often enough.
const FAR: usize = 6_000;
/// Rows that are tested at a time, outside the database, at most.
const TESTED: usize = 20_000;

impl Search<'_> {
    /// The page's rows behind a key, one more than the page holds if there are as many.
    async fn hits(&self, after: Option<(String, String)>) -> Result<Vec<Hit>> {
        if self.sought.is_none() && self.conditions.compared.is_empty() && self.conditions.sought.is_none() {
            return self.all(&Source::All, after).await;
        }
        let rare = self.rare().await?;
        let mut near = if rare.is_none() { self.want * NEAR.0 + NEAR.1 } else { 0 };
        while near > 0 {
            let limit = if self.is_tested_here() { near } else { self.want };
            let (mut hits, _) = self.some(&Source::Near(near), after.as_ref(), limit).await?;
            if hits.len() >= self.want {
                hits.truncate(self.want);
                return Ok(hits);
            }
            // If it goes on so, the page is full after so many rows, and some more.
            let farther = (near * self.want).checked_div(hits.len()).map_or(0, |rows| rows + rows / 2);
            near = if farther > near && farther <= FAR { farther } else { 0 };
        }
        let (seeks, most) = rare.map_or((None, FEW), |(seeks, count)| (Some(seeks), count));
        let source = match self.with_words(most).await? {
            Some(with) => Source::With(with),
            None => seeks.map_or(Source::All, Source::Few),
        };
        self.all(&source, after).await
    }

    /// Whether it is not the database that tests the text.
    fn is_tested_here(&self) -> bool {
        self.sought.as_ref().is_some_and(|sought| sought.only_by_name().is_none())
    }

    /// What is asked of the column that has the fewest rows, and how many, if they are few.
    async fn rare(&self) -> Result<Option<(String, usize)>> {
        let mut rare: Option<(String, usize)> = None;
        let columns = ["type", "state", "area"].map(|column| self.conditions.seeks(column));
        for seeks in columns.into_iter().chain([self.conditions.sought.clone()]).flatten() {
            let count = format!(
                "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT t.name FROM {} t WHERE {seeks} LIMIT {}) few",
                self.table,
                FEW + 1
            );
            let row = self.db.fetch_one(count, self.conditions.binds_of(&seeks)).await?;
            let count = usize::try_from(row.map_or(Ok(0), |row| row.count(0))?).unwrap_or(usize::MAX);
            if count <= rare.as_ref().map_or(FEW, |(_, least)| *least) {
                rare = Some((seeks, count));
            }
        }
        Ok(rare)
    }

    /// The rows with the words that are sought, unless they are more than this or there are no words to look up.
    async fn with_words(&self, most: usize) -> Result<Option<Vec<u64>>> {
        let Some(words) = self.sought.as_ref().and_then(|sought| sought.words(self.kind)) else { return Ok(None) };
        let limit = u32::try_from(most + 1).unwrap_or(u32::MAX);
        Ok(Some(self.db.with_words(&words, limit).await?).filter(|with| with.len() <= most))
    }

    /// Rows from a source until the page is full or there are no more.
    async fn all(&self, source: &Source, mut after: Option<(String, String)>) -> Result<Vec<Hit>> {
        let mut limit = if self.is_tested_here() { self.want.max(2_000) } else { self.want };
        let mut all = vec![];
        loop {
            let (hits, last) = self.some(source, after.as_ref(), limit).await?;
            all.extend(hits);
            after = last;
            if all.len() >= self.want || after.is_none() {
                all.truncate(self.want);
                return Ok(all);
            }
            limit = (limit * 2).min(TESTED.max(self.want));
        }
    }

    /// Tests at most `limit` rows behind a key; answers those that belong to the page, and the last row's key unless there are no
    /// more.
    async fn some(
        &self,
        source: &Source,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<(Vec<Hit>, Option<(String, String)>)> {
        let (sql, binds) = self.statement(source, after, limit);
        let rows = self.db.fetch(sql, binds).await?;
        let is_whole = rows.len() < limit;
        let tested = self.sought.as_ref().filter(|_| self.is_tested_here());
        let (mut hits, mut last) = (vec![], None);
        for (i, row) in rows.iter().enumerate() {
            let found = if tested.is_some() { row.maybe_text(3)? } else { None };
            let fits = tested.is_none_or(|sought| sought.fits(found.as_deref().unwrap_or_default()));
            if fits {
                hits.push(Hit { key: row.text(0)?, name: row.text(1)?, position: row.count(2)? });
            }
            if i + 1 == limit {
                last = Some((row.text(0)?, row.text(1)?));
            }
        }
        Ok((hits, last.filter(|_| !is_whole)))
    }

    fn statement(&self, source: &Source, after: Option<&(String, String)>, limit: usize) -> (String, Vec<Value>) {
        let Self { table, order, .. } = self;
        let mut binds = self.conditions.binds.clone();
        let mut bind = |value: Value| {
            binds.push(value);
            binds.len()
        };
        let mut tests = self.conditions.tests();
        if let Some(text) = self.sought.as_ref().and_then(Sought::only_by_name) {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            tests.push(format!("t.found LIKE ${} ESCAPE '\\'", bind(format!("%{escaped}%").into())));
        }
        let mut beyond = None;
        if let Some((key, name)) = after {
            let sign = if order.descending { '<' } else { '>' };
            beyond = Some(if order.column == "t.name" {
                format!("t.name {sign} ${}", bind(name.into()))
            } else {
                let key = bind(key.into());
                format!("({}, t.name) {sign} (${key}, ${})", order.column, bind(name.into()))
            });
        }
        let (mut with, mut from) = (String::new(), format!("{table} t"));
        match source {
            Source::Near(rows) => {
                let beyond = beyond.take().unwrap_or_else(|| EVERYTHING.to_owned());
                from = format!("(SELECT * FROM {table} t WHERE {beyond} ORDER BY {} LIMIT {rows}) t", order.text());
            }
            Source::Few(seeks) => {
                with = format!("WITH few AS MATERIALIZED (SELECT * FROM {table} t WHERE {seeks}) ");
                from = "few t".to_owned();
            }
            Source::With(positions) => {
                let n = bind(positions.into());
                with = format!("WITH few AS MATERIALIZED (SELECT * FROM {table} t WHERE t.position IN ({{{n}}})) ");
                from = "few t".to_owned();
            }
            Source::All => {}
        }
        tests.extend(beyond);
        if tests.is_empty() {
            tests.push(EVERYTHING.to_owned());
        }
        let sql = format!(
            "{with}SELECT {}, t.name, t.position, t.found FROM {from} WHERE {} ORDER BY {} LIMIT {limit}",
            order.column,
            tests.join(" AND "),
            order.text()
        );
        (sql, binds)
    }
}

const EVERYTHING: &str = "1 = 1";
