//! Lists: a keyset over the house's index table, never an OFFSET. A page token holds the last key and a digest of what was
//! asked, so a token of one list does not continue another.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Noun, Verbs, verbs::answer_of};
use crate::{
    clock::{format_day, parse_day},
    db::Value,
    error::{Error, Reason, Result},
    id::Area,
    identity::{Caller, Role},
    ledger::{ENTRY_COLUMNS, entry, stored},
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
    /// Only titles that hold this text.
    pub query: Option<String>,
    /// `name` (age, the default), `title`, `area` or `state`, with ` desc` for the other way.
    pub order_by: Option<String>,
    /// Not before the ledger holds this position.
    pub min_position: Option<u64>,
    /// Only what holds on this day.
    pub at: Option<String>,
    /// The area is the one of this day.
    pub divisions_at: Option<String>,
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

#[derive(Serialize, Deserialize)]
struct Token {
    asked: String,
    key: String,
    name: String,
}

impl Verbs {
    /// One page of the records a caller may see.
    pub async fn list<N: Noun>(&self, caller: &Caller, asked: ListQuery) -> Result<Listed<N::Record>> {
        caller.need(Role::Reader)?;
        self.wait(asked.min_position).await?;
        let position = self.ledger.head().await?.position;
        let order = Order::parse(asked.order_by.as_deref())?;
        let digest = asked.digest(N::COLLECTION);
        let after =
            asked.page_token.as_deref().filter(|t| !t.is_empty()).map(|t| read_token(t, &digest)).transpose()?;
        let size = match asked.page_size {
            Some(size) if size < 0 => return Err(Error::refused("page_size", Reason::Malformed, "0–1000")),
            Some(size) if size > 0 => self.list_page_max_records.min(usize::try_from(size).unwrap_or(usize::MAX)),
            _ => self.list_page_records,
        };
        let mut query = Query::new::<N>();
        if let Some(area) = asked.area.as_deref().filter(|a| !a.is_empty()) {
            let area =
                Area::parse(area).ok_or_else(|| Error::refused("area", Reason::Malformed, "2, 4, 6, 9, 12 digits"))?;
            match asked.divisions_at.as_deref().filter(|day| !day.is_empty()) {
                Some(day) => query.within_any(&self.areas.within(&area, &day_of("divisions_at", day)?).await?),
                None => query.within(&area),
            }
        }
        if N::HOME.is_none() {
            query.within(&Area::parse(&caller.area).ok_or_else(|| Error::refused("area", Reason::AreaForbidden, ""))?);
        }
        if let Some(state) = asked.state.filter(|s| !s.is_empty()) {
            query.and("t.state = ", state);
        }
        if let Some(day) = asked.at.filter(|d| !d.is_empty()) {
            query.on::<N>(&day)?;
        }
        if let Some(text) = asked.query.filter(|q| !q.trim().is_empty()) {
            query.and_like(text.trim());
        }
        if let Some(Token { key, name, .. }) = after {
            query.beyond(order, key, name);
        }
        let rows = self.ledger.db().fetch(query.text(order, size + 1), query.binds).await?;
        let more = rows.len() > size;
        let mut last = None;
        let mut nouns = Vec::with_capacity(size.min(rows.len()));
        for row in rows.iter().take(size) {
            let entry = stored(row)?;
            nouns.push(answer_of(&entry)?);
            last = Some((row.maybe_text(ENTRY_COLUMNS)?.unwrap_or_default(), entry.name));
        }
        let token = last.filter(|_| more).map(|(key, name)| Token { asked: digest, key, name: name.to_string() });
        let next_page_token = token.and_then(|t| serde_json::to_vec(&t).ok()).map(|t| URL_SAFE_NO_PAD.encode(t));
        Ok(Listed { nouns, next_page_token: next_page_token.unwrap_or_default(), position })
    }
}

impl ListQuery {
    fn digest(&self, collection: &str) -> String {
        let asked = (collection, &self.area, &self.state, &self.query, &self.order_by, &self.at, &self.divisions_at);
        let digest = Sha256::digest(format!("{asked:?}"));
        URL_SAFE_NO_PAD.encode(&digest[..12])
    }
}

/// A day in its one form.
fn day_of(field: &str, text: &str) -> Result<String> {
    let day = parse_day(text).ok_or_else(|| Error::refused(field, Reason::Malformed, "2023-06-30"))?;
    Ok(format_day(day))
}

fn read_token(token: &str, digest: &str) -> Result<Token> {
    let read = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok());
    read.filter(|t| t.asked == digest).ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))
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
            "title" => "COALESCE(t.title, '')",
            "area" => "COALESCE(t.area, '')",
            "state" => "COALESCE(t.state, '')",
            _ => return Err(Error::refused("order_by", Reason::UnknownField, "name, title, area, state [desc]")),
        };
        Ok(Self { column, descending })
    }
}

struct Query {
    table: &'static str,
    conditions: Vec<String>,
    binds: Vec<Value>,
}

impl Query {
    fn new<N: Noun>() -> Self {
        Self { table: N::TABLE, conditions: vec![], binds: vec![] }
    }

    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.binds.push(value.into());
        self.conditions.push(format!("{condition}${}", self.binds.len()));
    }

    fn and_like(&mut self, text: &str) {
        let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.and("LOWER(t.title) LIKE ", format!("%{escaped}%"));
        if let Some(last) = self.conditions.last_mut() {
            last.push_str(" ESCAPE '\\'");
        }
    }

    fn on<N: Noun>(&mut self, day: &str) -> Result<()> {
        let (from, to) = N::SPAN.ok_or_else(|| Error::refused("at", Reason::UnknownField, N::COLLECTION))?;
        self.binds.push(day_of("at", day)?.into());
        let n = self.binds.len();
        self.conditions.push(format!("(t.{from} IS NULL OR t.{from} <= ${n}) AND (t.{to} IS NULL OR t.{to} > ${n})"));
        Ok(())
    }

    fn within(&mut self, area: &Area) {
        if area.as_str() == Area::NATION {
            return;
        }
        self.and("t.area >= ", area.as_str());
        if let Some(after) = area.after() {
            self.and("t.area < ", after);
        }
    }

    /// In one of these ranges of codes.
    fn within_any(&mut self, ranges: &[(String, String)]) {
        let mut any = vec!["1 = 0".to_owned()];
        for (from, until) in ranges {
            self.binds.extend([from.as_str().into(), until.as_str().into()]);
            let n = self.binds.len();
            any.push(format!("(t.area >= ${} AND t.area < ${n})", n - 1));
        }
        self.conditions.push(format!("({})", any.join(" OR ")));
    }

    fn beyond(&mut self, order: Order, key: String, name: String) {
        let sign = if order.descending { '<' } else { '>' };
        self.binds.push(key.into());
        self.binds.push(name.into());
        let n = self.binds.len();
        self.conditions.push(format!("({}, t.name) {sign} (${}, ${n})", order.column, n - 1));
    }

    fn text(&self, order: Order, limit: usize) -> String {
        let conditions = if self.conditions.is_empty() { "1 = 1".to_owned() } else { self.conditions.join(" AND ") };
        let way = if order.descending { "DESC" } else { "ASC" };
        format!(
            "SELECT {}, {} FROM {} t JOIN entries e ON e.position = t.position WHERE {conditions} \
             ORDER BY {} {way}, t.name {way} LIMIT {limit}",
            entry!(),
            order.column,
            self.table,
            order.column,
        )
    }
}
