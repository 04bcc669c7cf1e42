//! A door for those who try files that nobody should have made: everything an import does before it calls a node. No command uses it.

use std::path::Path;

use prost::Message as _;
use qianshou_kernel::error::Result;

use super::{Row, Value, header::HEADER_WITHIN_ROWS, header::Layout, kind, read, row::Reader};

/// What was made of a file.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// The rows that are not empty: their numbers, and what a person reads in their cells.
    pub rows: Vec<(u32, Vec<String>)>,
    /// The encoded messages of rows below the headers.
    pub messages: Vec<Vec<u8>>,
    /// What is wrong with them, as it is told.
    pub faults: Vec<String>,
}

/// Reads a file as an import of a kind does.
///
/// # Errors
/// Why it is no such file.
pub fn examine(file: &Path, name: &str) -> Result<Examined> {
    let mut rows = vec![];
    read::open(file)?.read(file, &mut |row| {
        rows.push(row);
        Ok(())
    })?;
    let shown = |row: &Row| (row.number, row.cells.iter().map(Value::shown).collect());
    let mut examined = Examined { rows: rows.iter().map(shown).collect(), ..Examined::default() };
    examined.read(file, name, &rows)?;
    Ok(examined)
}

/// The same of rows whose cells hold these texts; one that begins with `#=` is a number.
///
/// # Errors
/// As [`examine`].
pub fn examine_rows(rows: &[Vec<String>], name: &str) -> Result<Examined> {
    let value = |text: &String| match text.strip_prefix("#=").and_then(|number| number.parse().ok()) {
        Some(number) => Value::Number(number),
        None => Value::text(text.as_str()),
    };
    let numbered = (1..).zip(rows).map(|(number, cells)| Row { number, cells: cells.iter().map(value).collect() });
    let rows: Vec<Row> = numbered.collect();
    let mut examined = Examined::default();
    examined.read(Path::new("rows"), name, &rows)?;
    Ok(examined)
}

impl Examined {
    fn read(&mut self, file: &Path, name: &str, rows: &[Row]) -> Result<()> {
        let head = &rows[..rows.len().min(HEADER_WITHIN_ROWS)];
        let described = kind(name)?.of(head)?;
        let layout = Layout::find(file, described.sheet, head)?;
        let below = layout.at + 1;
        let Some(mut reader) = Reader::new(described, layout) else { return Ok(()) };
        for parsed in rows[below..].iter().filter_map(|row| reader.read(row)) {
            self.messages.push(parsed.message.encode_to_vec());
            self.faults.extend(parsed.violations.iter().map(|violation| format!("{}\n{}", violation.zh, violation.en)));
        }
        Ok(())
    }
}
