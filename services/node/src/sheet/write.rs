//! Files out: a workbook or comma-separated text, row by row. A text is never written as a formula.

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use qianshou_kernel::error::{Error, Reason, Result};
use rust_xlsxwriter::{Color, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::{Value, of_file, read::guarded};
use crate::beside::Beside;

/// Rows of one sheet at most; more continue in the next.
const SHEET_MAX_ROWS: u32 = 1_048_576;
/// Characters of one cell of a workbook at most.
pub(crate) const CELL_MAX_CHARS: usize = 32_767;
/// Before it the programs' calendar is not the world's.
const FIRST_SURE_YEAR: i32 = 1901;
const WIDTH: f64 = 18.0;

/// How a cell looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// Like any other.
    #[default]
    Plain,
    /// A header.
    Header,
    /// Something is wrong with it.
    Bad,
}

/// A cell to write.
pub(crate) type Drawn = (Value, Look);

/// A file that grows row by row.
pub(crate) enum Writer {
    /// Comma-separated text; beside its place unless on standard output.
    Csv(Box<csv::Writer<Box<dyn Write + Send>>>, Option<Beside>),
    /// A workbook.
    Xlsx(Box<Book>),
}

impl Writer {
    /// A file of the form that its name says; without a name, text on standard output. `bom` marks text as UTF-8.
    pub(crate) fn create(file: Option<&Path>, title: &str, bom: bool) -> Result<Self> {
        match file {
            Some(file) if is_workbook(file) => Ok(Self::Xlsx(Box::new(Book::new(file, title)?))),
            Some(file) => {
                let beside = beside(file)?;
                let mut out = BufWriter::new(beside.file()?);
                if bom {
                    out.write_all("\u{feff}".as_bytes())?;
                }
                Ok(Self::Csv(Box::new(csv_to(Box::new(out))), Some(beside)))
            }
            None => Ok(Self::Csv(Box::new(csv_to(Box::new(BufWriter::new(std::io::stdout())))), None)),
        }
    }

    /// Writes a row at this number, from 1; text has no gaps.
    pub(crate) fn row(&mut self, number: u32, cells: &[Drawn]) -> Result<()> {
        match self {
            Self::Csv(lines, _) => {
                let texts = cells.iter().map(|(value, _)| guarded(&value.shown()));
                lines.write_record(texts).map_err(broken)
            }
            Self::Xlsx(book) => book.row(number, cells),
        }
    }

    /// The first cell of a row that does not fit; text takes any.
    pub(crate) fn misfit(&self, cells: &[Drawn]) -> Option<usize> {
        let is_workbook = matches!(self, Self::Xlsx(_));
        cells.iter().position(|(value, _)| is_workbook && value.shown().chars().count() > CELL_MAX_CHARS)
    }

    /// Writes the headers, which every further sheet repeats.
    pub(crate) fn header(&mut self, number: u32, cells: &[Drawn]) -> Result<()> {
        if let Self::Xlsx(book) = self {
            book.header = cells.to_vec();
            book.sheet()?.set_freeze_panes(number, 0).map_err(told)?;
        }
        self.row(number, cells)
    }

    /// Ends the file, in a workbook with another sheet.
    pub(crate) fn finish(self, further: Option<(&str, &[Vec<Drawn>])>) -> Result<()> {
        match self {
            Self::Csv(mut lines, beside) => {
                lines.flush()?;
                Ok(beside.map_or(Ok(()), Beside::finish)?)
            }
            Self::Xlsx(book) => book.finish(further),
        }
    }
}

/// A file that is begun now, and not found out to be impossible after an hour.
pub(crate) fn beside(file: &Path) -> Result<Beside> {
    Beside::create(file).map_err(|cause| of_file(file, Reason::NotFound, cause))
}

/// Whether a file's name says that it is a workbook.
pub(crate) fn is_workbook(file: &Path) -> bool {
    file.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("xlsx"))
}

fn csv_to(out: Box<dyn Write + Send>) -> csv::Writer<Box<dyn Write + Send>> {
    csv::WriterBuilder::new().flexible(true).from_writer(out)
}

/// A workbook that grows on disk.
pub(crate) struct Book {
    workbook: Workbook,
    beside: Beside,
    title: String,
    header: Vec<Drawn>,
    sheets: u32,
    /// What to take off a row's number in the present sheet.
    before: u32,
    /// The number of the row before this.
    last: u32,
    formats: [Formats; 3],
}

/// How values of one look are written.
struct Formats {
    text: Format,
    number: Format,
    day: Format,
}

impl Book {
    fn new(file: &Path, title: &str) -> Result<Self> {
        let beside = beside(file)?;
        let formats = [Look::Plain, Look::Header, Look::Bad].map(|of| Formats {
            text: look(of).set_num_format("@"),
            number: look(of),
            day: look(of).set_num_format("yyyy-mm-dd"),
        });
        let (workbook, title) = (Workbook::new(), title.to_owned());
        let mut book = Self { workbook, beside, title, header: vec![], sheets: 0, before: 0, last: 0, formats };
        book.begin()?;
        Ok(book)
    }

    fn begin(&mut self) -> Result<()> {
        self.sheets += 1;
        let name = if self.sheets == 1 { self.title.clone() } else { format!("{} {}", self.title, self.sheets) };
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(told)?;
        sheet.set_name(name).map_err(told)?;
        sheet.set_column_range_width(0, 19, WIDTH).map_err(told)?;
        Ok(())
    }

    fn sheet(&mut self) -> Result<&mut Worksheet> {
        let present = self.workbook.worksheets().len().saturating_sub(1);
        self.workbook.worksheet_from_index(present).map_err(told)
    }

    fn row(&mut self, number: u32, cells: &[Drawn]) -> Result<()> {
        // Numbers begin anew where a file continued on another sheet.
        if number <= self.last || number - self.before > SHEET_MAX_ROWS {
            self.begin()?;
            self.before = number.saturating_sub(2);
            let header = self.header.clone();
            self.draw(0, &header)?;
            self.sheet()?.set_freeze_panes(1, 0).map_err(told)?;
        }
        self.last = number;
        self.draw(number - self.before - 1, cells)
    }

    fn draw(&mut self, line: u32, cells: &[Drawn]) -> Result<()> {
        let present = self.workbook.worksheets().len().saturating_sub(1);
        let sheet = self.workbook.worksheet_from_index(present).map_err(told)?;
        for (column, (value, look)) in (0_u16..).zip(cells) {
            draw(sheet, (line, column), value, *look, &self.formats[*look as usize]).map_err(told)?;
        }
        Ok(())
    }

    fn finish(mut self, further: Option<(&str, &[Vec<Drawn>])>) -> Result<()> {
        if let Some((name, rows)) = further {
            self.title = name.to_owned();
            self.sheets = 0;
            self.begin()?;
            for (line, row) in (0_u32..).zip(rows) {
                self.draw(line, row)?;
            }
        }
        self.workbook.save_to_writer(self.beside.file()?).map_err(told)?;
        Ok(self.beside.finish()?)
    }
}

fn draw(
    sheet: &mut Worksheet,
    (line, column): (u32, u16),
    value: &Value,
    look: Look,
    formats: &Formats,
) -> Result<(), XlsxError> {
    match value {
        Value::Empty if look == Look::Plain => Ok(()),
        Value::Empty => sheet.write_blank(line, column, &formats.text).map(drop),
        Value::Number(number) => sheet.write_number_with_format(line, column, *number, &formats.number).map(drop),
        Value::Day(day) if day.year() >= FIRST_SURE_YEAR => {
            let year = u16::try_from(day.year()).unwrap_or_default();
            let day = ExcelDateTime::from_ymd(year, day.month().into(), day.day())?;
            sheet.write_datetime_with_format(line, column, &day, &formats.day).map(drop)
        }
        other => sheet.write_string_with_format(line, column, other.shown(), &formats.text).map(drop),
    }
}

/// The format of a look.
pub(crate) fn look(look: Look) -> Format {
    match look {
        Look::Plain => Format::new(),
        Look::Header => Format::new().set_bold().set_background_color(Color::RGB(0x00dd_e8f5)),
        Look::Bad => Format::new().set_background_color(Color::RGB(0x00ff_c7ce)),
    }
}

/// What a workbook's maker complains of: a text too long, a disk that is full.
pub(crate) fn told(cause: XlsxError) -> Error {
    match cause {
        XlsxError::MaxStringLengthExceeded => {
            let detail = format!(
                "{CELL_MAX_CHARS} characters in a cell; use .csv | 单元格 {CELL_MAX_CHARS} 个字符，请改用 .csv"
            );
            Error::refused(".xlsx", Reason::TooLong, detail)
        }
        cause => Error::Broken(Box::new(cause)),
    }
}

fn broken(cause: csv::Error) -> Error {
    Error::Broken(Box::new(cause))
}
