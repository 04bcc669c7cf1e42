//! How answers look: protobuf JSON for programs, columns for people.

use prost::Message;
use prost_reflect::DynamicMessage;
use qianshou_kernel::{clock::format_day, error::shown, kind::descriptors};
use qianshou_proto::reporting::v1::{Cell, cell};
use serde_json::{Map, Value, json};

/// Characters of one cell on a terminal.
const CELL_MAX_CHARS: usize = 2_000;
/// Characters of one line on a terminal.
const LINE_MAX_CHARS: usize = 400_000;

/// A contract's message as protobuf JSON, with the field names of the contract.
pub(crate) fn message(name: &str, message: &impl Message) -> Value {
    let described = descriptors().get_message_by_name(name);
    let dynamic = described.and_then(|d| DynamicMessage::decode(d, message.encode_to_vec().as_slice()).ok());
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    let shown = dynamic.and_then(|d| d.serialize_with_options(serde_json::value::Serializer, &options).ok());
    shown.unwrap_or(Value::Null)
}

/// A cell as `table --json` shows it.
pub(crate) fn cell(cell: &Cell) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    put("indicator", cell.indicator().into());
    put("area", cell.area().into());
    if let Some(at) = &cell.at {
        put("at", at.as_str().into());
    }
    if let Some(period) = &cell.period {
        put("period", period.as_str().into());
    }
    put("by", cell.by.iter().map(|d| (d.key().to_owned(), d.value().into())).collect::<Map<_, _>>().into());
    let value = match &cell.value {
        Some(cell::Value::Count(count)) => (*count).into(),
        Some(cell::Value::Fen(fen)) => yuan(*fen).into(),
        Some(cell::Value::Ratio(ratio)) => {
            put("numerator", ratio.numerator().into());
            put("denominator", ratio.denominator().into());
            quotient(ratio.numerator(), ratio.denominator())
        }
        None => Value::Null,
    };
    put("value", value);
    put("unit", short(cell.unit().as_str_name(), "UNIT_").into());
    put("status", short(cell.status().as_str_name(), "CELL_STATUS_").to_lowercase().into());
    if let Some(as_of) = &cell.as_of {
        put("as_of", json!({"epoch": as_of.epoch(), "position": as_of.position(), "on_ms": as_of.on_ms()}));
    }
    if cell.opening.unwrap_or(0) != 0 {
        put("opening", cell.opening().into());
    }
    if let Some(count) = cell.in_several_counties {
        put("in_several_counties", count.into());
    }
    if !cell.note().is_empty() {
        put("note", cell.note().into());
    }
    shown.into()
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// 分 as yuan: `7860000.00`.
pub(crate) fn yuan(fen: i64) -> String {
    format!("{}{}.{:02}", if fen < 0 { "-" } else { "" }, fen.unsigned_abs() / 100, fen.unsigned_abs() % 100)
}

#[expect(clippy::cast_precision_loss, reason = "shown beside its exact numerator and denominator")]
fn quotient(numerator: i64, denominator: i64) -> Value {
    if denominator == 0 { Value::Null } else { json!(numerator as f64 / denominator as f64) }
}

/// A text of several lines, each bounded and without what a terminal would obey.
pub(crate) fn seen(text: &str) -> String {
    text.lines().map(|line| shown(line, LINE_MAX_CHARS)).collect::<Vec<_>>().join("\n")
}

/// Columns, aligned by what a terminal shows: a Chinese character is two wide.
/// What came from outside is shown without what a terminal would obey, and bounded.
pub(crate) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell, CELL_MAX_CHARS)).collect()).collect();
    let wide = |text: &str| text.chars().map(|c| if (c as u32) < 0x1100 { 1 } else { 2 }).sum::<usize>();
    let width = |i: usize| rows.iter().map(|row| wide(&row[i])).chain([wide(head[i])]).max().unwrap_or(0);
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(i, cell)| format!("{cell}{}", " ".repeat(width(i) - wide(cell))));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = vec![line(head.to_vec())];
    text.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    text.join("\n")
}

/// An instant as the day it was in China.
pub(crate) fn day(ms: i64) -> String {
    if ms == 0 { String::new() } else { format_day(qianshou_kernel::clock::day_of(ms)) }
}

/// A table's cells in columns.
pub(crate) fn cells(cells: &[Cell]) -> String {
    let rows: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let by: Vec<String> = cell.by.iter().map(|d| format!("{}={}", d.key(), d.value())).collect();
            let shown = self::cell(cell);
            let value = match (&cell.value, &shown["value"]) {
                (Some(cell::Value::Ratio(r)), _) => format!("{}/{}", r.numerator(), r.denominator()),
                (_, Value::Null) => "–".to_owned(),
                (_, value) => value.to_string().trim_matches('"').to_owned(),
            };
            let when = cell.at.clone().or_else(|| cell.period.clone()).unwrap_or_default();
            let text = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
            vec![
                cell.indicator().to_owned(),
                cell.area().to_owned(),
                when,
                by.join(" "),
                value,
                text("unit"),
                text("status"),
            ]
        })
        .collect();
    let table = columns(&["indicator", "area", "at", "by", "value", "unit", "status"], &rows);
    let several = cells.iter().filter(|cell| cell.in_several_counties.is_some());
    let notes = several.map(|cell| format!("{}: {}", cell.indicator(), cell.note()));
    [table].into_iter().chain(notes).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        let rows = [vec!["红\u{1b}[31m".to_owned(), "反\u{202e}向".to_owned(), "长".repeat(3_000)]];
        let table = columns(&["a", "b", "c"], &rows);
        assert!(table.contains("红[31m") && table.contains("反向") && !table.contains('\u{1b}'), "{table}");
        assert!(table.chars().count() < 2 * CELL_MAX_CHARS + 100);
        assert_eq!(seen("一\u{7}\n二\u{2066}"), "一\n二");
    }
}
