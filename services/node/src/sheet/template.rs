//! Templates: a workbook that an office fills in, with drop-downs, cells that keep codes as text, and one filled row that itself imports.

use std::{fs::File, path::Path};

use qianshou_kernel::{
    error::Result,
    sheet::{ALL_DIGITS, Cell, Choice, Column, Sheet},
};
use rust_xlsxwriter::{DataValidation, Format, Formula, Workbook, Worksheet, XlsxError};

use super::{
    NOTES_SHEET, Value,
    row::{NO, YES, form_of_parts},
    text,
    write::{Drawn, Look, Writer, beside, is_workbook, look, told},
};

const CHOICES: &str = "选项";
const LAST_ROW: u32 = 1_048_575;

/// Writes the template of a sheet: a workbook, or text with headers and one row.
pub(crate) fn write(file: &Path, sheet: &'static Sheet) -> Result<()> {
    if !is_workbook(file) {
        return lines(file, sheet);
    }
    let beside = beside(file)?;
    workbook(beside.file()?, sheet).map_err(told)?;
    Ok(beside.finish()?)
}

fn lines(file: &Path, sheet: &Sheet) -> Result<()> {
    let row = |text: fn(&Column) -> String| -> Vec<Drawn> {
        sheet.columns.iter().map(|column| (Value::text(text(column)), Look::Plain)).collect()
    };
    let mut writer = Writer::create(Some(file), sheet.title, true)?;
    writer.header(1, &row(header))?;
    writer.row(2, &row(|column| column.example.to_owned()))?;
    writer.finish(None)
}

fn workbook(file: File, sheet: &Sheet) -> Result<(), XlsxError> {
    let mut workbook = Workbook::new();
    form(workbook.add_worksheet().set_name(sheet.title)?, sheet)?;
    notes(workbook.add_worksheet().set_name(NOTES_SHEET)?, sheet)?;
    choices(workbook.add_worksheet().set_name(CHOICES)?.set_hidden(true), sheet)?;
    workbook.save_to_writer(file)
}

/// Required columns are marked; an import takes the mark for none.
fn header(column: &Column) -> String {
    format!("{}{}", column.header, if column.required { "*" } else { "" })
}

fn form(page: &mut Worksheet, sheet: &Sheet) -> Result<(), XlsxError> {
    let (head, plain, day) =
        (look(Look::Header), Format::new().set_num_format("@"), Format::new().set_num_format("yyyy-mm-dd"));
    page.set_freeze_panes(1, 0)?;
    for (at, column) in (0_u16..).zip(sheet.columns) {
        let is_day = matches!(column.cell, Cell::Day | Cell::LastDay);
        let format = if is_day { &day } else { &plain };
        let width = u32::try_from(header(column).chars().count()).unwrap_or(0) * 2 + 6;
        page.set_column_width(at, width)?.set_column_format(at, format)?;
        page.write_string_with_format(0, at, header(column), &head)?;
        match text::day(&Value::text(column.example), false).filter(|_| is_day) {
            Some(day) => {
                let year = u16::try_from(day.year()).unwrap_or_default();
                let day = rust_xlsxwriter::ExcelDateTime::from_ymd(year, day.month().into(), day.day())?;
                page.write_datetime_with_format(1, at, &day, format)?;
            }
            None => drop(page.write_string_with_format(1, at, column.example, format)?),
        }
        match column.cell {
            Cell::Choice(choices) => {
                let letter = rust_xlsxwriter::utility::column_number_to_name(at);
                let list = format!("='{CHOICES}'!${letter}$1:${letter}${}", choices.len());
                let rule = DataValidation::new().allow_list_formula(Formula::new(list));
                page.add_data_validation(1, at, LAST_ROW, at, &rule)?;
            }
            Cell::Choices(choices) => {
                let hint = format!("可填多项，以；分隔：{}", texts(choices));
                let rule = DataValidation::new().set_input_message(hint)?;
                page.add_data_validation(1, at, LAST_ROW, at, &rule)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn notes(page: &mut Worksheet, sheet: &Sheet) -> Result<(), XlsxError> {
    let head = look(Look::Header);
    let general = [
        "带 * 的列必填；列的顺序可以调整，用不到的选填列可以删除。",
        "第 2 行是示例，填写前请删除。表头上方可以有标题行。",
        "代码、证件号码等请保持文本格式。",
        "可另加一列“编号”，用于区分名称等完全相同的记录。",
    ];
    for (line, text) in (0_u32..).zip(general) {
        page.write_string(line, 0, text)?;
    }
    let first = u32::try_from(general.len()).unwrap_or(0) + 1;
    for (at, text) in (0_u16..).zip(["列名", "字段", "必填", "填写要求", "也可写作"]) {
        page.write_string_with_format(first, at, text, &head)?;
    }
    for (line, column) in (first + 1..).zip(sheet.columns) {
        let required = if column.required { "是" } else { "" };
        let form = form_of(column);
        let variants = column.variants.join("、");
        for (at, text) in (0_u16..).zip([column.header, column.field, required, &form, &variants]) {
            page.write_string(line, at, text)?;
        }
    }
    for (at, width) in (0_u16..).zip([28, 22, 8, 60, 60]) {
        page.set_column_width(at, width)?;
    }
    Ok(())
}

fn form_of(column: &Column) -> String {
    match column.cell {
        Cell::Text => "文本".to_owned(),
        Cell::Code => "代码，文本格式".to_owned(),
        Cell::Secret => "18 位公民身份号码，文本格式；加密保存，不再显示".to_owned(),
        Cell::Day => "日期，如 2023-05-01、2023/5/1、2023年5月1日；只填年月则为该月第一天".to_owned(),
        Cell::LastDay => "日期，如 2023-05-01；只填年月则为该月最后一天".to_owned(),
        Cell::Texts => "可填多项，以；分隔".to_owned(),
        Cell::Count => "整数".to_owned(),
        Cell::Yuan => "金额，单位元，最多两位小数".to_owned(),
        Cell::Counts => "可填多个整数，以；分隔".to_owned(),
        Cell::Choice(choices) => format!("下列之一：{}", texts(choices)),
        Cell::Choices(choices) => format!("可填多项，以；分隔：{}", texts(choices)),
        Cell::Reference { .. } => "已登记的对象的代码或号码，文本格式".to_owned(),
        Cell::Placed { digits: ALL_DIGITS, .. } => "本行地区之内已登记的名称".to_owned(),
        Cell::Placed { digits, .. } => format!("本行地区代码前 {digits} 位所在地区之内已登记的名称"),
        Cell::Flag => format!("{}或{}", YES[0], NO[0]),
        Cell::Parts(columns) => format!("每项依次填：{}；各项以；分隔，末尾的空项可省略", form_of_parts(columns)),
    }
}

fn texts(choices: &[Choice]) -> String {
    choices.iter().map(|choice| choice.text).collect::<Vec<_>>().join("、")
}

fn choices(page: &mut Worksheet, sheet: &Sheet) -> Result<(), XlsxError> {
    for (at, column) in (0_u16..).zip(sheet.columns) {
        let Cell::Choice(choices) = column.cell else { continue };
        for (line, choice) in (0_u32..).zip(choices) {
            page.write_string(line, at, choice.text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Row, header::Layout, kind, read, row::Reader};

    #[test]
    fn the_filled_row_of_every_template_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        for kind in crate::node::kinds().iter().map(|k| kind(k.collection).unwrap()) {
            for suffix in ["xlsx", "csv"] {
                let file = folder.path().join(format!("{}.{suffix}", kind.kind.collection));
                write(&file, kind.sheet).unwrap();
                let mut rows: Vec<Row> = vec![];
                let opened = read::open(&file).unwrap();
                opened
                    .read(&file, &mut |row| {
                        rows.push(row);
                        Ok(())
                    })
                    .unwrap();
                let layout = Layout::find(&file, kind.sheet, &rows).unwrap();
                assert_eq!((layout.columns.len(), rows.len()), (kind.sheet.columns.len(), 2));
                let parsed = Reader::new(kind, layout).unwrap().read(&rows[1]).unwrap();
                assert!(parsed.violations.is_empty(), "{}: {:?}", kind.kind.collection, parsed.violations);
            }
        }
    }
}
