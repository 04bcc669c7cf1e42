//! Where the columns are: the header row is found below titles and notes, its columns may stand in any order.

use std::path::Path;

use qianshou_kernel::{
    error::{Reason, Result},
    sheet::{Cell, Column, Sheet},
};

use super::{REF, REF_HEADER, Row, VERDICT_HEADER, of_file, text};

/// How offices write ten thousand yuan.
const TEN_THOUSANDS: &str = "万";

/// The header row is one of so many first rows.
pub(crate) const HEADER_WITHIN_ROWS: usize = 20;

/// What is looked at of a cell that may be a header.
const HEADER_MAX_CHARS: usize = 200;

/// Which cell of a row is which column.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Cells of known columns.
    pub(crate) columns: Vec<(usize, &'static Column)>,
    /// The cell that tells equal rows apart.
    pub(crate) reference: Option<usize>,
    /// The cell in which an earlier receipt had its say.
    pub(crate) verdict: Option<usize>,
    /// Headers that are nobody's.
    pub(crate) unknown: Vec<String>,
    /// Where the header row is among the rows that were looked at.
    pub(crate) at: usize,
    /// The header row as it stands in the file.
    pub(crate) headers: Vec<String>,
}

/// How a header names a column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Variant,
    Exact,
}

impl Layout {
    /// Finds the header row; it must have all required columns.
    pub(crate) fn find(file: &Path, sheet: &'static Sheet, rows: &[Row]) -> Result<Self> {
        let Some(at) = header_row(sheet, rows) else {
            return Err(of_file(file, Reason::Malformed, no_header(sheet)));
        };
        let layout = Self::of_row(file, sheet, &rows[at], at)?;
        layout.money_in_yuan(file, &rows[..at])?;
        let missing: Vec<&Column> = sheet.columns.iter().filter(|c| c.required && !layout.has(c)).collect();
        if missing.is_empty() {
            Ok(layout)
        } else {
            Err(of_file(file, Reason::NotFound, layout.lacks(sheet, &missing)))
        }
    }

    /// The header over a field of the message, or over what holds it (`stages[2].on`), as the file has it, and its cell.
    pub(crate) fn of_path(&self, path: &str) -> Option<(usize, &str)> {
        let path = path.split('[').next()?;
        let (at, _) = self.columns.iter().find(|(_, column)| column.path == path)?;
        Some((*at, self.headers.get(*at)?))
    }

    fn of_row(file: &Path, sheet: &'static Sheet, row: &Row, at: usize) -> Result<Self> {
        let headers = headers_of(row);
        let named = |name: &str, other: &str| {
            headers.iter().position(|h| text::header(h) == text::header(name) || text::header(h) == other)
        };
        let mut layout = Self {
            columns: vec![],
            reference: named(REF_HEADER, REF),
            verdict: named(VERDICT_HEADER, VERDICT_HEADER),
            unknown: vec![],
            at,
            headers: headers.clone(),
        };
        for (cell, header) in headers.iter().enumerate() {
            let Some((column, how)) = known(sheet, header) else {
                let special = [layout.reference, layout.verdict].contains(&Some(cell));
                layout.unknown.extend((!special && !header.is_empty()).then(|| header.clone()));
                continue;
            };
            // A column's own header goes before what offices also call it.
            let rivals = || headers.iter().enumerate().filter(|(other, _)| *other != cell);
            let same = |(_, h): &(usize, &String)| known(sheet, h).is_some_and(|(c, _)| std::ptr::eq(c, column));
            let strongest = rivals().filter(same).filter_map(|(_, h)| known(sheet, h)).map(|(_, how)| how).max();
            match strongest {
                Some(other) if other == how => {
                    let twice = format!("{header} occurs twice | {header}出现了两次，请只保留一列");
                    return Err(of_file(file, Reason::TooMany, format!("1: {twice}")));
                }
                Some(other) if other > how => layout.unknown.push(header.clone()),
                _ => layout.columns.push((cell, column)),
            }
        }
        Ok(layout)
    }

    /// Refuses money in another unit than yuan, as its own header says, or a note above where the header says nothing.
    fn money_in_yuan(&self, file: &Path, above: &[Row]) -> Result<()> {
        let note = above.iter().flat_map(headers_of).any(|note| note.contains("单位") && note.contains(TEN_THOUSANDS));
        for (at, _) in self.columns.iter().filter(|(_, column)| matches!(column.cell, Cell::Yuan)) {
            let header = &self.headers[*at];
            if header.contains(TEN_THOUSANDS) || (note && !header.contains('元')) {
                let detail = format!("yuan in {header}, not ten thousands | 元：{header}请换算为元，不用万元");
                return Err(of_file(file, Reason::Malformed, detail));
            }
        }
        Ok(())
    }

    fn has(&self, column: &Column) -> bool {
        self.columns.iter().any(|(_, c)| std::ptr::eq(*c, column))
    }

    fn lacks(&self, sheet: &Sheet, missing: &[&Column]) -> String {
        let missing: Vec<&str> = missing.iter().map(|column| column.header).collect();
        let unknown: Vec<String> = self
            .unknown
            .iter()
            .map(|header| nearest(sheet, header).map_or_else(|| header.clone(), |near| format!("{header}（{near}？）")))
            .collect();
        let (missing, unknown) = (missing.join("、"), unknown.join("、"));
        format!("the columns {missing} (not known here: {unknown}) | 必填列：{missing}；不认识的列：{unknown}")
    }
}

/// Whether the header row has a column of a sheet, by its field.
pub(crate) fn has_column(sheet: &'static Sheet, rows: &[Row], field: &str) -> bool {
    let headers = header_row(sheet, rows).map(|at| headers_of(&rows[at])).unwrap_or_default();
    headers.iter().any(|header| known(sheet, header).is_some_and(|(column, _)| column.field == field))
}

/// Of the first rows the first that has most known headers.
fn header_row(sheet: &'static Sheet, rows: &[Row]) -> Option<usize> {
    let score = |row: &Row| headers_of(row).iter().filter(|h| known(sheet, h).is_some()).count();
    let mut best = None;
    for (at, row) in rows.iter().take(HEADER_WITHIN_ROWS).enumerate() {
        let score = score(row);
        if score > best.map_or(0, |(_, most)| most) {
            best = Some((at, score));
        }
    }
    best.map(|(at, _)| at)
}

fn no_header(sheet: &Sheet) -> String {
    let headers: Vec<&str> = sheet.columns.iter().filter(|c| c.required).map(|c| c.header).collect();
    let headers = headers.join("、");
    let most = HEADER_WITHIN_ROWS;
    format!(
        "a row of headers among the first {most} rows, with {headers}; `export --template` makes one | \
         前 {most} 行中应有一行列名，其中包括：{headers}；可用 export --template 生成模板"
    )
}

fn headers_of(row: &Row) -> Vec<String> {
    row.cells.iter().map(|cell| cell.shown().trim().chars().take(HEADER_MAX_CHARS).collect()).collect()
}

fn known(sheet: &'static Sheet, header: &str) -> Option<(&'static Column, Match)> {
    let header = text::header(header);
    if header.is_empty() {
        return None;
    }
    let exact = |column: &&Column| [column.field, column.header].iter().any(|name| text::header(name) == header);
    let variant = |column: &&Column| column.variants.iter().any(|name| text::header(name) == header);
    let exact = sheet.columns.iter().find(exact).map(|column| (column, Match::Exact));
    exact.or_else(|| sheet.columns.iter().find(variant).map(|column| (column, Match::Variant)))
}

/// The header that somebody may have meant.
fn nearest(sheet: &Sheet, header: &str) -> Option<&'static str> {
    let header = text::header(header);
    let far = |column: &Column| distance(&header, &text::header(column.header));
    let best = sheet.columns.iter().min_by_key(|column| far(column))?;
    (far(best) * 2 <= header.chars().count().max(best.header.chars().count())).then_some(best.header)
}

/// Letters to add, drop or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            row.push((last[j] + usize::from(a != *b)).min(last[j + 1] + 1).min(row[j] + 1));
        }
        last = row;
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Value, kind};

    fn row(number: u32, cells: &[&str]) -> Row {
        Row { number, cells: cells.iter().map(|cell| Value::text(*cell)).collect() }
    }

    fn find(rows: &[Row]) -> Result<Layout> {
        Layout::find(Path::new("机构.xlsx"), kind("agencies").unwrap().sheet, rows)
    }

    #[test]
    fn a_header_row_is_found_below_titles_in_any_order() {
        let rows = [
            row(1, &["宁夏社会工作服务机构统计表"]),
            row(2, &["填表说明：统一社会信用代码为 18 位", "", "单位：家"]),
            row(4, &["序号", "所在地 区划代码*", "单位名称", "信用代码（18位）", "备注", "编号", "校验结果"]),
            row(5, &["1", "640104", "机构名称", "91350100M000100Y43"]),
        ];
        let layout = find(&rows).unwrap();
        assert_eq!((layout.at, layout.reference, layout.verdict), (2, Some(5), Some(6)));
        assert_eq!(layout.unknown, ["序号", "备注"]);
        let found: Vec<_> = layout.columns.iter().map(|(at, column)| (*at, column.field)).collect();
        assert_eq!(found, [(1, "division"), (2, "name"), (3, "uscc")]);
        assert_eq!(layout.of_path("uscc"), Some((3, "信用代码（18位）")));
    }

    #[test]
    fn field_names_are_headers_too() {
        let layout = find(&[row(1, &["NAME", "uscc", "division", "fields"])]).unwrap();
        assert_eq!(layout.columns.len(), 4);
        let sheet = kind("divisions").unwrap().sheet;
        let list = row(1, &["code", "name", "first_snapshot", "gone_by_snapshot"]);
        assert_eq!(Layout::find(Path::new("d.csv"), sheet, &[list]).unwrap().columns.len(), 4);
    }

    #[test]
    fn what_is_missing_is_told_with_what_may_have_been_meant() {
        let refused =
            find(&[row(1, &["机构名", "统一社会信用代吗", "所在地区划代码", "备注"])]).unwrap_err().to_string();
        assert!(refused.contains("找不到必填列：机构名称、统一社会信用代码"), "{refused}");
        assert!(
            refused.contains("机构名（机构名称？）") && refused.contains("统一社会信用代吗（统一社会信用代码？）"),
            "{refused}"
        );
        assert!(refused.contains("the columns 机构名称"), "{refused}");
        let refused = find(&[row(1, &["甲", "乙"])]).unwrap_err().to_string();
        assert!(refused.contains("--template"), "{refused}");
        assert!(find(&[]).is_err());
    }

    #[test]
    fn money_is_in_yuan_or_the_file_is_refused() {
        let sheet = kind("allocations").unwrap().sheet;
        let find = |note: &str, money: &str| {
            let rows = [row(1, &["资金安排表", note]), row(2, &["计划", "年度", "来源", "地区", money])];
            Layout::find(Path::new("a.csv"), sheet, &rows).map(drop)
        };
        assert!(find("单位：元", "金额").is_ok() && find("", "金额（元）").is_ok());
        assert!(find("单位：万元", "金额（元）").is_ok(), "the header itself says so");
        for (note, money) in [("", "金额（万元）"), ("单位：万元", "金额"), ("金额单位（万元）", "安排金额")]
        {
            let refused = find(note, money).unwrap_err().to_string();
            assert!(refused.contains("换算为元") && refused.contains("not ten thousands"), "{refused}");
        }
    }

    #[test]
    fn the_day_money_came_in_makes_a_file_the_other_half() {
        let payments = kind("payments").unwrap();
        let of = |headers: &[&str]| payments.of(&[row(1, &["资金表"]), row(3, headers)]).unwrap().called();
        assert_eq!(of(&["付款单位", "收款机构信用代码", "金额", "付款日期", "凭证号"]), "payments");
        assert_eq!(of(&["付款单位", "收款机构信用代码", "金额", "付款日期", "凭证号", "到账日期"]), "receipts");
        assert_eq!(of(&["payer", "payee_uscc", "amount", "received_on", "voucher"]), "receipts");
        assert_eq!(of(&["到账日期", "收款单位"]), "receipts", "what else it lacks is told as of that half");
        assert_eq!(payments.of(&[]).unwrap().called(), "payments");
    }

    #[test]
    fn a_column_stands_once() {
        let twice = find(&[row(1, &["机构名称", "name", "uscc", "division"])]).unwrap_err().to_string();
        assert!(twice.contains("出现了两次"), "{twice}");
        let layout = find(&[row(1, &["单位名称", "机构名称", "uscc", "division"])]).unwrap();
        assert_eq!(layout.unknown, ["单位名称"], "its own header goes before a variant");
    }
}
