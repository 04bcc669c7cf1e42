//! What became of each row: the same rows in the same order with one more column, bad cells marked, and how often each reason occurred.

use std::{collections::BTreeMap, path::Path};

use qianshou_kernel::{
    error::{Reason, Result, Violation},
    sheet::{Cell, Sheet},
};

use super::{
    Row, SUMMARY_SHEET, VERDICT_HEADER, Value,
    header::Layout,
    read::{Form, Opened},
    write::{CELL_MAX_CHARS, Drawn, Look, Writer, is_workbook},
};

/// What became of a row.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// It was saved, or would be.
    Created,
    /// It changed a record, or would.
    Changed,
    /// The record says so already.
    Unchanged,
    /// It was not taken.
    Refused(Vec<Violation>),
}

/// Figures of an import.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    /// What the rows were taken for.
    pub(crate) kind: &'static str,
    pub(crate) rows: u64,
    pub(crate) created: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) refused: u64,
    /// How often a reason occurred in a column.
    pub(crate) reasons: BTreeMap<(String, i32), u64>,
    /// The first rows that were refused, in words.
    pub(crate) first: Vec<String>,
    /// Columns that were not read.
    pub(crate) columns_left: Vec<String>,
    /// Sheets that were not read.
    pub(crate) sheets_left: Vec<String>,
}

/// What stands at the end of a text that no cell of a workbook holds.
const CUT: &str = "……（过长，已截断）";
/// Refused rows that are told at once.
const FIRST: usize = 10;

impl Summary {
    /// Counts a row.
    pub(crate) fn count(&mut self, row: &Row, verdict: &Verdict, words: &Words<'_>) {
        self.rows += 1;
        match verdict {
            Verdict::Created => self.created += 1,
            Verdict::Changed => self.changed += 1,
            Verdict::Unchanged => self.unchanged += 1,
            Verdict::Refused(violations) => {
                self.refused += 1;
                for violation in violations {
                    let reason = (words.header(&violation.field), violation.reason.into());
                    *self.reasons.entry(reason).or_default() += 1;
                }
                if self.first.len() < FIRST {
                    let en: Vec<&str> = violations.iter().map(|v| v.en.as_str()).collect();
                    let zh = words.all(violations);
                    self.first.push(format!("第 {0} 行：{zh} | row {0}: {1}", row.number, en.join("; ")));
                }
            }
        }
    }

    /// What a reason stands for, in general.
    pub(crate) fn reason(header: &str, reason: i32) -> String {
        Violation::new(header, Reason::try_from(reason).unwrap_or_default(), "…").zh
    }

    fn sheet(&self) -> Vec<Vec<Drawn>> {
        let plain = |text: &str| (Value::text(text), Look::Plain);
        let header = |text: &str| (Value::text(text), Look::Header);
        #[expect(clippy::cast_precision_loss, reason = "no file has that many rows")]
        let number = |count: u64| (Value::Number(count as f64), Look::Plain);
        let mut rows = vec![vec![header("结果"), header("行数")]];
        let counts = [self.rows, self.created, self.changed, self.unchanged, self.refused];
        for (name, count) in ["合计", "通过（新增）", "通过（变更）", "未变", "拒绝"].into_iter().zip(counts)
        {
            rows.push(vec![plain(name), number(count)]);
        }
        rows.extend([vec![], vec![header("拒绝原因"), header("次数")]]);
        for ((header, reason), count) in &self.reasons {
            rows.push(vec![plain(&Self::reason(header, *reason)), number(*count)]);
        }
        rows
    }
}

/// Reasons in the words of the file: its own headers in place of field names.
pub(crate) struct Words<'a> {
    pub(crate) sheet: &'static Sheet,
    pub(crate) layout: &'a Layout,
}

impl Words<'_> {
    /// The header over a field; of a part `stages[2].on` also which it is.
    fn header(&self, path: &str) -> String {
        let (field, part) = path.split_once('[').map_or((path, None), |(field, part)| (field, Some(part)));
        let column = self.sheet.columns.iter().find(|column| column.path == field);
        let header = self.layout.of_path(field).map(|(_, header)| header).or(column.map(|column| column.header));
        let Some((header, part)) = header.zip(part) else { return header.unwrap_or(path).to_owned() };
        let (place, within) = part.split_once("].").unwrap_or((part.trim_end_matches(']'), ""));
        let columns = if let Some(Cell::Parts(columns)) = column.map(|column| column.cell) { columns } else { &[] };
        let within = columns.iter().find(|column| column.path == within).map_or(within, |column| column.header);
        format!("{header}第{}项{within}", place.parse().map_or(0, |place: usize| place + 1))
    }

    /// Every reason, with the header of its field.
    fn all(&self, violations: &[Violation]) -> String {
        let texts: Vec<String> = violations.iter().map(|violation| self.reworded(&violation.zh)).collect();
        texts.join("；")
    }

    fn reworded(&self, text: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '-' | '.' | '[' | ']');
        let mut words = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(is_word) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
            words.push_str(before);
            words.push_str(&self.header(word));
            rest = after;
        }
        words + rest
    }

    fn verdict(&self, verdict: &Verdict) -> String {
        match verdict {
            Verdict::Created | Verdict::Changed => "通过".to_owned(),
            Verdict::Unchanged => "未变".to_owned(),
            Verdict::Refused(violations) => {
                format!("拒绝：{}", self.all(violations)).chars().take(CELL_MAX_CHARS).collect()
            }
        }
    }
}

/// A receipt as it grows.
pub(crate) struct Receipt {
    writer: Writer,
    /// The cell of the verdict.
    at: usize,
    /// Whether the file has a place for it already.
    again: bool,
}

impl Receipt {
    /// Begins a receipt with what stands above the rows.
    pub(crate) fn begin(file: &Path, opened: &Opened, sheet: &Sheet, layout: &Layout, above: &[Row]) -> Result<Self> {
        let bom = opened.form == Form::Csv && !opened.bare_utf8 || opened.form == Form::Xlsx;
        let writer = Writer::create(Some(file), sheet.title, bom && !is_workbook(file))?;
        let at = layout.verdict.unwrap_or(layout.headers.len());
        let mut receipt = Self { writer, at, again: layout.verdict.is_some() };
        for row in above {
            let header = row.number == above.last().map_or(0, |last| last.number);
            let look = if header { Look::Header } else { Look::Plain };
            let mut cells: Vec<Drawn> = row.cells.iter().map(|cell| (cell.clone(), look)).collect();
            receipt.fit(&mut cells);
            if header {
                receipt.put(&mut cells, (Value::text(VERDICT_HEADER), Look::Header));
                receipt.writer.header(row.number, &cells)?;
            } else {
                receipt.writer.row(row.number, &cells)?;
            }
        }
        Ok(receipt)
    }

    /// Writes a row and what became of it; a row that says nothing has no verdict.
    pub(crate) fn row(&mut self, row: Row, verdict: Option<&Verdict>, words: &Words<'_>) -> Result<()> {
        let mut cells: Vec<Drawn> = row.cells.into_iter().map(|cell| (cell, Look::Plain)).collect();
        let mut look = Look::Plain;
        if let Some(Verdict::Refused(violations)) = verdict {
            look = Look::Bad;
            let bad: Vec<usize> =
                violations.iter().filter_map(|v| words.layout.of_path(&v.field)).map(|(at, _)| at).collect();
            let wide = bad.iter().max().map_or(0, |last| last + 1).max(cells.len());
            cells.resize(wide, (Value::Empty, Look::Plain));
            bad.into_iter().for_each(|at| cells[at].1 = Look::Bad);
        }
        let text = verdict.map_or(Value::Empty, |verdict| Value::text(words.verdict(verdict)));
        self.put(&mut cells, (text, look));
        self.fit(&mut cells);
        self.writer.row(row.number, &cells)
    }

    /// Ends it with the figures.
    pub(crate) fn finish(self, summary: &Summary) -> Result<()> {
        self.writer.finish(Some((SUMMARY_SHEET, &summary.sheet())))
    }

    /// Cuts what no cell holds: the rest of the rows is worth more.
    fn fit(&self, cells: &mut [Drawn]) {
        while let Some(at) = self.writer.misfit(cells) {
            let begin: String = cells[at].0.shown().chars().take(CELL_MAX_CHARS - CUT.chars().count()).collect();
            cells[at] = (Value::Text(begin + CUT), Look::Bad);
        }
    }

    fn put(&self, cells: &mut Vec<Drawn>, verdict: Drawn) {
        cells.resize(cells.len().max(self.at), (Value::Empty, Look::Plain));
        if self.again && cells.len() > self.at {
            cells[self.at] = verdict;
        } else {
            cells.insert(self.at, verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{kind, read};

    #[test]
    fn a_receipt_keeps_the_file_and_says_what_became_of_each_row() {
        let folder = tempfile::tempdir().unwrap();
        let sheet = kind("agencies").unwrap().sheet;
        let text = |cells: &[&str], number| Row { number, cells: cells.iter().map(|c| Value::text(*c)).collect() };
        let file = folder.path().join("a.csv");
        std::fs::write(&file, "x").unwrap();
        let opened = read::open(&file).unwrap();
        let above = [text(&["统计表"], 1), text(&["名称", "信用代码", "区划代码", "成立时间"], 3)];
        let layout = Layout::find(&file, sheet, &above).unwrap();
        let words = Words { sheet, layout: &layout };
        let refused = Verdict::Refused(vec![
            Violation::new("uscc", Reason::CheckDigit, "its original | 原件"),
            Violation::new("closed_on", Reason::OutOfOrder, "founded_on"),
        ]);
        let rows = [
            (text(&["=甲", "1", "640104"], 4), Some(Verdict::Created)),
            (text(&["乙", "2", "640104", "", "旁注"], 5), Some(refused)),
            (text(&["", "", "", "", "只有旁注"], 6), None),
        ];
        let mut summary = Summary::default();
        for name in ["b.xlsx", "b.csv"] {
            let out = folder.path().join(name);
            let mut receipt = Receipt::begin(&out, &opened, sheet, &layout, &above).unwrap();
            summary = Summary::default();
            for (row, verdict) in rows.clone() {
                verdict.iter().for_each(|verdict| summary.count(&row, verdict, &words));
                receipt.row(row, verdict.as_ref(), &words).unwrap();
            }
            receipt.finish(&summary).unwrap();
            let mut read_back = vec![];
            let opened = read::open(&out).unwrap();
            let mut keep = |row: Row| {
                read_back.push(row.cells.iter().map(Value::shown).collect::<Vec<_>>().join("|"));
                Ok(())
            };
            opened.read(&out, &mut keep).unwrap();
            let reasons = "拒绝：信用代码：校验码不正确，请核对原件；注销日期：不能早于成立时间";
            let expected = [
                "统计表".to_owned(),
                "名称|信用代码|区划代码|成立时间|校验结果".to_owned(),
                "=甲|1|640104||通过".to_owned(),
                format!("乙|2|640104||{reasons}|旁注"),
                "||||".to_owned() + "|只有旁注",
            ];
            assert_eq!(read_back, expected, "{name}");
        }
        assert_eq!((summary.rows, summary.created, summary.refused), (2, 1, 1));
        assert!(summary.first[0].starts_with("第 5 行：信用代码：校验码"), "{:?}", summary.first);
        let sheet = summary.sheet();
        assert_eq!(sheet.last().unwrap()[1].0, Value::Number(1.0));
    }

    #[test]
    fn a_receipt_of_a_receipt_has_one_verdict() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, "x").unwrap();
        let sheet = kind("agencies").unwrap().sheet;
        let row = |cells: &[&str], number| Row { number, cells: cells.iter().map(|c| Value::text(*c)).collect() };
        let above = [row(&["机构名称", "校验结果", "uscc", "division"], 1)];
        let layout = Layout::find(&file, sheet, &above).unwrap();
        assert!(layout.unknown.is_empty());
        let out = folder.path().join("b.csv");
        let mut receipt = Receipt::begin(&out, &read::open(&file).unwrap(), sheet, &layout, &above).unwrap();
        let words = Words { sheet, layout: &layout };
        receipt.row(row(&["甲", "拒绝：", "1", "64"], 2), Some(&Verdict::Unchanged), &words).unwrap();
        receipt.finish(&Summary::default()).unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "机构名称,校验结果,uscc,division\n甲,未变,1,64\n");
    }
}
