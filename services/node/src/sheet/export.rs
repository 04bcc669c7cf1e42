//! Export: a list's pages as rows. A reference is shown by what people know it by, where an import would find the same record by it; else
//! by its name, which an import takes as well.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use futures::{StreamExt as _, stream};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value as Field};
use qianshou_kernel::{
    clock::parse_day,
    error::said,
    id::Name,
    line::Line,
    sheet::{Cell, Choice, Column},
};
use tonic::Code;

use crate::cli::show::yuan;

use super::{
    Described, REF, REF_HEADER, Value,
    client::{Client, PAGE_RECORDS, text_of},
    kind,
    progress::Progress,
    row::{NO, YES, number_of},
    text,
    write::{CELL_MAX_CHARS, Drawn, Look, Writer},
};

/// Records that are remembered by what people know them by.
const KNOWN_MAX: usize = 50_000;
/// Records that are left out and told at once.
const FIRST: usize = 10;
/// Look-ups at once.
const LOOKUPS: usize = 16;
/// Records of one title in one division that are looked at; more share a title than can be told apart.
const NAMESAKES: i32 = 50;

/// What is asked.
pub(crate) struct Export<'a> {
    pub(crate) described: Described,
    /// Only this area.
    pub(crate) area: Option<String>,
    /// Only what lies in divisions that carry this tag.
    pub(crate) tag: Option<String>,
    /// Absent: comma-separated text on standard output.
    pub(crate) file: Option<&'a Path>,
}

impl Export<'_> {
    /// Exports; answers how many rows there are, and which records are not among them.
    ///
    /// # Errors
    /// In words, if the node does not answer or the file cannot be written.
    pub(crate) async fn run(self, line: Line) -> Result<Exported, String> {
        let columns = self.described.sheet.columns;
        let client = Client::new(line.clone(), &self.described.kind).map_err(|error| error.to_string())?;
        let mut shown = Shown::new(&line, columns)?;
        let mut writer =
            Writer::create(self.file, self.described.sheet.title, false).map_err(|error| error.to_string())?;
        let headers = columns.iter().map(|column| column.header).chain([REF_HEADER]);
        let headers: Vec<Drawn> = headers.map(|header| (Value::text(header), Look::Header)).collect();
        writer.header(1, &headers).map_err(|error| error.to_string())?;
        let mut progress = Progress::new();
        let (mut done, mut token) = (Exported::default(), None);
        loop {
            let mut asked = vec![("page_size", Field::I32(PAGE_RECORDS))];
            asked.extend(self.area.clone().map(|area| ("area", Field::String(area))));
            asked.extend(self.tag.clone().map(|tag| ("tag", Field::String(tag))));
            asked.extend(token.map(|token| ("page_token", Field::String(token))));
            let (records, next) = client.list(&asked).await.map_err(|status| said(&status))?;
            shown.learn(&records).await?;
            for record in &records {
                let row = shown.row(record);
                if let Some(at) = writer.misfit(&row) {
                    done.left(record, columns.get(at));
                    continue;
                }
                done.rows += 1;
                let number = u32::try_from(done.rows + 1).map_err(|_| "too many rows")?;
                writer.row(number, &row).map_err(|error| error.to_string())?;
            }
            progress.add(records.len() as u64);
            token = next;
            if token.is_none() {
                break;
            }
        }
        progress.finish();
        writer.finish(None).map_err(|error| error.to_string())?;
        Ok(done)
    }
}

/// What came of an export.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pub(crate) rows: u64,
    /// Records that no row holds.
    pub(crate) left: u64,
    /// The first of them, in words.
    pub(crate) first: Vec<String>,
}

impl Exported {
    /// A cell cut short would be taken back so by an import: the row is left out.
    fn left(&mut self, record: &DynamicMessage, column: Option<&Column>) {
        self.left += 1;
        if self.first.len() < FIRST {
            let name = text_of(record, "name").unwrap_or_default();
            let header = column.map_or("", |column| column.header);
            let most = CELL_MAX_CHARS;
            self.first.push(format!(
                "{name}：{header}超过 {most} 个字符，未导出，请导出为 .csv | {name}: {header} has more than {most} characters and is left out; export to .csv"
            ));
        }
    }
}

/// A reference that stands in a row: the column it is of, the row's home and division, the record it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Reference {
    column: usize,
    home: String,
    place: String,
    name: String,
}

/// How records are shown.
struct Shown {
    columns: &'static [Column],
    /// The clients of the kinds that columns refer to, and the fields by which those are known.
    targets: HashMap<usize, (Client, &'static str)>,
    known: HashMap<Reference, String>,
}

impl Shown {
    fn new(line: &Line, columns: &'static [Column]) -> Result<Self, String> {
        let mut targets = HashMap::new();
        for (at, column) in columns.iter().enumerate() {
            let (Cell::Reference { kind: target, field } | Cell::Placed { kind: target, field, .. }) = column.cell
            else {
                continue;
            };
            let target = kind(target).map_err(|error| error.to_string())?;
            // What no answer holds cannot be shown; the name stands in its place.
            let secret = |c: &Column| c.path == field && matches!(c.cell, Cell::Secret);
            if !target.sheet.columns.iter().any(secret) {
                let client = Client::new(line.clone(), &target.kind).map_err(|error| error.to_string())?;
                targets.insert(at, (client, field));
            }
        }
        Ok(Self { columns, targets, known: HashMap::new() })
    }

    /// Looks up what a page's rows refer to.
    async fn learn(&mut self, records: &[DynamicMessage]) -> Result<(), String> {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        let all = records.iter().flat_map(|record| self.targets.keys().filter_map(|at| self.reference(*at, record)));
        let new: BTreeSet<Reference> = all.filter(|reference| !self.known.contains_key(reference)).collect();
        let looked_up = stream::iter(new).map(|reference| async {
            let text = self.look_up(&reference).await.map_err(|status| said(&status))?;
            Ok::<_, String>((reference, text))
        });
        let found: Vec<_> = looked_up.buffer_unordered(LOOKUPS).collect().await;
        for found in found {
            let (reference, text) = found?;
            self.known.insert(reference, text);
        }
        Ok(())
    }

    fn reference(&self, at: usize, record: &DynamicMessage) -> Option<Reference> {
        let name = text_of(record, self.columns[at].path)?;
        let home = text_of(record, "name")?.parse::<Name>().ok()?.home().to_owned();
        let digits = if let Cell::Placed { digits, .. } = self.columns[at].cell { digits } else { 0 };
        let place: String = text_of(record, "division").unwrap_or_default().chars().take(digits).collect();
        Some(Reference { column: at, home, place, name })
    }

    /// What an import at the row's home would find the record by, else its name.
    async fn look_up(&self, reference: &Reference) -> Result<String, tonic::Status> {
        let by_name = Ok(reference.name.clone());
        let Some((client, field)) = self.targets.get(&reference.column) else { return by_name };
        if reference.name.parse::<Name>().map_or(true, |name| name.home() != reference.home) {
            return by_name;
        }
        let record = match client.get(&reference.name).await {
            // What is wrong with that record is no reason to show none.
            Err(status)
                if matches!(status.code(), Code::InvalidArgument | Code::Internal | Code::FailedPrecondition) =>
            {
                None
            }
            record => record?,
        };
        let Some(text) = record.and_then(|record| text_of(&record, field)) else { return by_name };
        if !matches!(self.columns[reference.column].cell, Cell::Placed { .. }) {
            return Ok(text);
        }
        let asked = [
            ("area", Field::String(reference.place.clone())),
            ("query", Field::String(text.clone())),
            ("page_size", Field::I32(NAMESAKES)),
        ];
        let (records, more) = client.list(&asked).await?;
        let mut namesakes = records.iter().filter(|record| text_of(record, field).as_ref() == Some(&text));
        let only = (namesakes.next(), namesakes.next());
        match only {
            (Some(one), None) if more.is_none() && text_of(one, "name").as_ref() == Some(&reference.name) => Ok(text),
            _ => by_name,
        }
    }

    fn row(&self, record: &DynamicMessage) -> Vec<Drawn> {
        let cells = self.columns.iter().enumerate().map(|(at, column)| self.cell(at, column, record));
        let name = text_of(record, "name").unwrap_or_default();
        let apart = text_of(record, REF).map_or_else(|| name.clone(), |apart| format!("{name}；{apart}"));
        cells.chain([Value::text(apart)]).map(|value| (value, Look::Plain)).collect()
    }

    fn cell(&self, at: usize, column: &Column, record: &DynamicMessage) -> Value {
        let reference = self.targets.contains_key(&at).then(|| self.reference(at, record)).flatten();
        let known = reference.and_then(|reference| self.known.get(&reference).cloned());
        known.map_or_else(|| cell(column, record), Value::text)
    }
}

/// A field as it stands in its cell; a reference by its name.
fn cell(column: &Column, record: &DynamicMessage) -> Value {
    let Some(field) = record.descriptor().get_field_by_name(column.path) else { return Value::Empty };
    if !record.has_field(&field) {
        return Value::Empty;
    }
    let value = record.get_field(&field);
    let text = || value.as_str().unwrap_or_default().to_owned();
    let all = || value.as_list().unwrap_or_default();
    match column.cell {
        Cell::Secret => Value::Empty,
        Cell::Text | Cell::Code | Cell::Reference { .. } | Cell::Placed { .. } => Value::text(text()),
        Cell::Day | Cell::LastDay => parse_day(&text()).map_or_else(|| Value::text(text()), Value::Day),
        Cell::Texts => Value::text(text::joined(all().iter().filter_map(Field::as_str), text::BETWEEN)),
        Cell::Count => Value::text(value.as_u32().map(|count| count.to_string()).unwrap_or_default()),
        Cell::Yuan => Value::text(value.as_i64().map(yuan).unwrap_or_default()),
        Cell::Counts => {
            let counts: Vec<String> = all().iter().filter_map(Field::as_u32).map(|count| count.to_string()).collect();
            Value::text(counts.join("；"))
        }
        Cell::Flag => Value::text(if value.as_bool() == Some(true) { YES[0] } else { NO[0] }),
        Cell::Choice(choices) => Value::text(chosen(&value, choices, &field)),
        Cell::Choices(choices) => {
            let chosen: Vec<String> = all().iter().map(|value| chosen(value, choices, &field)).collect();
            Value::text(chosen.join("；"))
        }
        Cell::Parts(columns) => {
            let parts = |one: &DynamicMessage| {
                let parts: Vec<String> = columns.iter().map(|column| cell(column, one).shown()).collect();
                text::joined(parts.iter().map(String::as_str), text::WITHIN)
            };
            let all: Vec<String> = all().iter().filter_map(Field::as_message).map(parts).collect();
            Value::text(text::joined(all.iter().map(String::as_str), text::BETWEEN))
        }
    }
}

/// What offices write for a value of a closed list; of a later version's value its number.
fn chosen(value: &Field, choices: &[Choice], field: &FieldDescriptor) -> String {
    let number = value.as_enum_number().unwrap_or_default();
    let choice = choices.iter().find(|choice| number_of(field, choice.name) == Some(number));
    choice.map_or_else(|| number.to_string(), |choice| choice.text.to_owned())
}
