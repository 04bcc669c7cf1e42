//! Files in: a workbook or comma-separated text, told apart by their first bytes, read row by row.

use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek},
    path::Path,
};

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};
use encoding_rs::{Decoder, DecoderResult, Encoding, GB18030, UTF_8};
use flate2::read::MultiGzDecoder;
use qianshou_kernel::error::{Error, Reason, Result};
use sha2::{Digest as _, Sha256};

use super::{
    NOTES_SHEET, Row, SUMMARY_SHEET, Value,
    bounds::{self, Metered, unharmed},
    of_file,
};

/// Cells in one row at most.
const ROW_MAX_CELLS: usize = 512;
/// Bytes of all cells of one row, and of a line of text, at most.
const ROW_MAX_BYTES: usize = 1 << 20;
/// The last row of a sheet that has a number.
const LAST_ROW: u32 = 1_048_576;
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A workbook.
    Xlsx,
    /// Comma-separated text.
    Csv,
}

/// What was learned of a file before its rows are read.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) form: Form,
    /// Plain UTF-8 without a mark: a receipt may be the same.
    pub(crate) bare_utf8: bool,
    /// Names of sheets that are not read.
    pub(crate) left: Vec<String>,
    /// SHA-256 of its bytes.
    pub(crate) digest: [u8; 32],
    sheets: Vec<String>,
    encoding: &'static Encoding,
    gzip: bool,
}

/// Looks at a file.
///
/// # Errors
/// A refusal if it can be no sheet.
pub(crate) fn open(file: &Path) -> Result<Opened> {
    unharmed(file, || look_at(file))
}

fn look_at(file: &Path) -> Result<Opened> {
    let mut start = [0_u8; 8];
    let mut bytes = bytes_of(file)?;
    let length = fill(&mut bytes, &mut start)?;
    let form = match &start[..length] {
        [b'P', b'K', 3, 4, ..] => Form::Xlsx,
        [0xd0, 0xcf, 0x11, 0xe0, ..] => {
            let detail = "an .xlsx without a password; save it as one | 不带密码的 .xlsx，请另存为该格式";
            return Err(of_file(file, Reason::Malformed, detail));
        }
        _ => Form::Csv,
    };
    let mut opened = Opened {
        form,
        bare_utf8: false,
        left: vec![],
        digest: digest_of(file)?,
        sheets: vec![],
        encoding: UTF_8,
        gzip: start.starts_with(&[0x1f, 0x8b]),
    };
    match form {
        Form::Xlsx => opened.look_into_workbook(file)?,
        Form::Csv => opened.find_encoding(file)?,
    }
    Ok(opened)
}

impl Opened {
    /// Reads every row that is not empty, in order. An error of `each` ends it.
    pub(crate) fn read(&self, file: &Path, each: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        unharmed(file, || match self.form {
            Form::Xlsx => self.read_workbook(file, each),
            Form::Csv => self.read_text(file, each),
        })
    }

    /// The first sheet that is seen, with those that continue it: `名单`, `名单 2`, `名单 3`.
    fn look_into_workbook(&mut self, file: &Path) -> Result<()> {
        bounds::look_over(file)?;
        let workbook = workbook(file)?;
        let seen =
            |sheet: &&calamine::Sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet;
        let names: Vec<String> = workbook.sheets_metadata().iter().filter(seen).map(|s| s.name.clone()).collect();
        let Some(first) = names.first() else {
            return Err(of_file(file, Reason::Malformed, "a workbook with a sheet | 含有工作表的工作簿"));
        };
        let continues = |name: &String| name == first || (2..=99).any(|n| *name == format!("{first} {n}"));
        (self.sheets, self.left) = names.iter().cloned().partition(continues);
        self.left.retain(|name| name != SUMMARY_SHEET && name != NOTES_SHEET);
        Ok(())
    }

    fn read_workbook(&self, file: &Path, each: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let mut workbook = workbook(file)?;
        let broken = |cause: XlsxError| unreadable(file, &cause);
        for (number, name) in self.sheets.iter().enumerate() {
            let mut cells = workbook.worksheet_cells_reader(name).map_err(broken)?;
            let (mut row, mut bytes) = (Row::default(), 0);
            // A sheet that continues another repeats its headers.
            let mut skip = number > 0;
            let mut flush = |row: Row| {
                if row.cells.is_empty() || std::mem::take(&mut skip) { Ok(()) } else { each(row) }
            };
            while let Some(cell) = cells.next_cell().map_err(broken)? {
                let (line, column) = (cell.get_position().0 + 1, cell.get_position().1 as usize);
                if line != row.number {
                    if line < row.number || line > LAST_ROW {
                        let detail = "rows in their order; save it anew | 行号依次递增，请重新另存";
                        return Err(of_file(file, Reason::Malformed, detail));
                    }
                    flush(std::mem::take(&mut row))?;
                    (row.number, bytes) = (line, 0);
                }
                bytes += weight(cell.get_value());
                if bytes > ROW_MAX_BYTES {
                    return Err(too_long(file));
                }
                put(&mut row, column, value_of(cell.get_value())).ok_or_else(|| too_wide(file))?;
            }
            flush(row)?;
        }
        Ok(())
    }

    /// Strict UTF-8, else GB18030, unless the file says itself what it is.
    fn find_encoding(&mut self, file: &Path) -> Result<()> {
        let mut start = [0_u8; 3];
        let length = fill(&mut self.bytes(file)?, &mut start)?;
        if let Some((encoding, _)) = Encoding::for_bom(&start[..length]) {
            self.encoding = encoding;
            return Ok(());
        }
        for encoding in [UTF_8, GB18030] {
            self.encoding = encoding;
            match std::io::copy(&mut self.decoded(file)?, &mut std::io::sink()) {
                Ok(_) => {
                    self.bare_utf8 = encoding == UTF_8;
                    return Ok(());
                }
                Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {}
                Err(cause) if cause.kind() == std::io::ErrorKind::FileTooLarge => return Err(too_large(file)),
                Err(cause) => return Err(of_file(file, Reason::Malformed, cause)),
            }
        }
        Err(of_file(file, Reason::Malformed, "UTF-8 or GB18030 text, or an .xlsx | UTF-8 或 GB18030 文本，或 .xlsx"))
    }

    fn read_text(&self, file: &Path, each: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let bytes = Lined { bytes: self.decoded(file)?, since: 0 };
        let mut lines = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut record = csv::StringRecord::new();
        let (mut number, mut line) = (0, 1);
        let broken = |cause: csv::Error| match cause.kind() {
            csv::ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::FileTooLarge => too_long(file),
            _ => unreadable(file, &cause),
        };
        while lines.read_record(&mut record).map_err(broken)? {
            lines.get_mut().since = 0;
            if record.len() > ROW_MAX_CELLS && record.iter().skip(ROW_MAX_CELLS).any(|cell| !cell.is_empty()) {
                return Err(too_wide(file));
            }
            // A program that opens the file counts empty lines as rows, and a cell of several lines as one.
            let inside = record.iter().flat_map(str::bytes).filter(|byte| *byte == b'\n').count() as u64;
            let end = lines.position().line();
            let empty = end.saturating_sub(line + inside + 1);
            (number, line) = (number + 1 + empty, end);
            let mut row = Row { number: u32::try_from(number).unwrap_or(u32::MAX), cells: vec![] };
            for (column, cell) in record.iter().enumerate() {
                put(&mut row, column, Value::text(unguarded(cell))).ok_or_else(|| too_wide(file))?;
            }
            if !row.cells.is_empty() {
                each(row)?;
            }
        }
        Ok(())
    }

    fn bytes(&self, file: &Path) -> Result<Box<dyn Read>> {
        let bytes = bytes_of(file)?;
        let packed = bytes.get_ref().metadata()?.len();
        Ok(if self.gzip {
            Box::new(Metered::new(MultiGzDecoder::new(bytes), Some(packed)))
        } else {
            Box::new(Metered::new(bytes, None))
        })
    }

    fn decoded(&self, file: &Path) -> Result<Decoded<Box<dyn Read>>> {
        Ok(Decoded::new(self.bytes(file)?, self.encoding.new_decoder_with_bom_removal()))
    }
}

/// What a formula begins with; programs made for Chinese take the full-width signs for the others.
const FORMULA_MARKS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Text that a spreadsheet program would take for a formula, with the mark that keeps it a text.
pub(crate) fn guarded(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_owned() }
}

/// The text that was [`guarded`].
fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

/// Whether a text, its own marks aside, begins like a formula.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA_MARKS)
}

/// Puts a value into its cell; `None` if the row is too wide.
fn put(row: &mut Row, column: usize, value: Value) -> Option<()> {
    if value == Value::Empty {
        return Some(());
    }
    if column >= ROW_MAX_CELLS {
        return None;
    }
    row.cells.resize(row.cells.len().max(column + 1), Value::Empty);
    row.cells[column] = value;
    Some(())
}

fn value_of(data: &DataRef<'_>) -> Value {
    match data {
        DataRef::Empty => Value::Empty,
        #[expect(clippy::cast_precision_loss, reason = "such a number is no code that stayed exact")]
        DataRef::Int(number) => Value::Number(*number as f64),
        DataRef::Float(number) => Value::Number(*number),
        DataRef::String(text) => Value::text(text.as_str()),
        DataRef::SharedString(text) => Value::text(*text),
        DataRef::Bool(truth) => Value::text(if *truth { "TRUE" } else { "FALSE" }),
        DataRef::DateTime(moment) if moment.is_datetime() => day_or_moment(moment),
        DataRef::DateTime(duration) => Value::Number(duration.as_f64()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Value::text(text.as_str()),
        DataRef::Error(error) => Value::Error(error.to_string()),
    }
}

/// Bytes that a cell takes.
fn weight(data: &DataRef<'_>) -> usize {
    match data {
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.len(),
        DataRef::SharedString(text) => text.len(),
        _ => 0,
    }
}

fn day_or_moment(moment: &calamine::ExcelDateTime) -> Value {
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let day_only = (hour, minute, second) == (0, 0, 0);
    let shown = format!("{year:04}-{month:02}-{day:02}");
    match qianshou_kernel::clock::parse_day(&shown) {
        Some(day) if day_only => Value::Day(day),
        _ => Value::Text(format!("{shown} {hour:02}:{minute:02}:{second:02}")),
    }
}

fn bytes_of(file: &Path) -> Result<BufReader<File>> {
    let opened = File::open(file).map_err(|cause| of_file(file, Reason::NotFound, cause))?;
    Ok(BufReader::with_capacity(BLOCK_BYTES, opened))
}

fn fill(from: &mut impl Read, into: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match from.read(&mut into[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

fn digest_of(file: &Path) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut bytes = bytes_of(file)?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match fill(&mut bytes, &mut block)? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(&block[..length]),
        }
    }
}

fn workbook(file: &Path) -> Result<Xlsx<BufReader<File>>> {
    Xlsx::new(bytes_of(file)?).map_err(|cause: XlsxError| unreadable(file, &cause))
}

fn unreadable(file: &Path, cause: &dyn std::fmt::Display) -> Error {
    of_file(file, Reason::Malformed, format!("a whole .xlsx or .csv ({cause}) | 完整的 .xlsx 或 .csv（{cause}）"))
}

fn too_long(file: &Path) -> Error {
    of_file(file, Reason::TooLong, format!("{ROW_MAX_BYTES} bytes a row | 每行 {ROW_MAX_BYTES} 字节"))
}

fn too_large(file: &Path) -> Error {
    let detail = "2 GiB unpacked, in reasonable packing | 解压后 2 GiB 且压缩比合理";
    of_file(file, Reason::TooLong, detail)
}

fn too_wide(file: &Path) -> Error {
    of_file(file, Reason::TooMany, format!("{ROW_MAX_CELLS} columns | {ROW_MAX_CELLS} 列"))
}

/// Text of which no line may be too long.
struct Lined<R> {
    bytes: R,
    /// Bytes since the last line was over.
    since: usize,
}

impl<R: Read> Read for Lined<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.since > ROW_MAX_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let read = self.bytes.read(into)?;
        self.since += read;
        Ok(read)
    }
}

/// Bytes of one encoding as UTF-8 with lines that end in one way; what the encoding does not have is invalid data.
struct Decoded<R> {
    bytes: R,
    decoder: Decoder,
    raw: Vec<u8>,
    /// What is in `raw`.
    rest: std::ops::Range<usize>,
    text: Cursor<String>,
    last: bool,
    over: bool,
    /// Whether a carriage return was the last before this.
    returned: bool,
}

impl<R: Read> Decoded<R> {
    fn new(bytes: R, decoder: Decoder) -> Self {
        let text = Cursor::new(String::with_capacity(4 * BLOCK_BYTES));
        Self { bytes, decoder, raw: vec![0; BLOCK_BYTES], rest: 0..0, text, last: false, over: false, returned: false }
    }

    fn decode_more(&mut self) -> std::io::Result<()> {
        if self.rest.is_empty() && !self.last {
            let length = self.bytes.read(&mut self.raw)?;
            self.rest = 0..length;
            self.last = length == 0;
        }
        let text = self.text.get_mut();
        text.clear();
        let (result, read) =
            self.decoder.decode_to_string_without_replacement(&self.raw[self.rest.clone()], text, self.last);
        self.rest.start += read;
        if self.returned || text.contains('\r') {
            let mut returned = self.returned;
            text.retain(|c| !(std::mem::replace(&mut returned, c == '\r') && c == '\n'));
            self.returned = returned;
            // In place: what is decoded next has no more room than this has.
            let mut bytes = std::mem::take(text).into_bytes();
            bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
            *text = String::from_utf8(bytes).map_err(|_| std::io::ErrorKind::InvalidData)?;
        }
        self.text.rewind()?;
        match result {
            DecoderResult::InputEmpty => self.over = self.last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return Err(std::io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let length = self.text.read(into)?;
            if length > 0 || self.over || into.is_empty() {
                return Ok(length);
            }
            self.decode_more()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, path::PathBuf};

    use flate2::{Compression, write::GzEncoder};
    use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
    use tempfile::TempDir;

    use super::*;

    struct Files(TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn with(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        }
    }

    fn rows(file: &Path) -> Result<Vec<Row>> {
        let mut rows = vec![];
        open(file)?.read(file, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    fn texts(file: &Path) -> Vec<Vec<String>> {
        rows(file).unwrap().iter().map(|row| row.cells.iter().map(Value::shown).collect()).collect()
    }

    #[test]
    fn text_is_read_in_every_encoding() {
        let files = Files::new();
        // Long enough that characters lie across blocks.
        let text: String = (0..6_000).map(|n| format!("银川市社工站{n},640104\n")).collect();
        let gb18030 = GB18030.encode(&text).0;
        let utf16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let mut gzip = GzEncoder::new(vec![], Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        for (name, bytes, bare) in [
            ("a.csv", text.as_bytes(), true),
            ("b.csv", format!("\u{feff}{text}").as_bytes(), false),
            ("c.csv", &gb18030, false),
            ("d.csv", &utf16, false),
            ("e.csv.gz", &gzip.finish().unwrap(), true),
        ] {
            let file = files.with(name, bytes);
            let read = texts(&file);
            assert_eq!((read.len(), &read[5_999][0][..]), (6_000, "银川市社工站5999"), "{name}");
            assert_eq!(open(&file).unwrap().bare_utf8, bare, "{name}");
        }
    }

    #[test]
    fn what_is_no_sheet_is_refused() {
        let files = Files::new();
        for (name, bytes) in [
            ("old.xls", &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1][..]),
            ("cut.xlsx", b"PK\x03\x04 and nothing more"),
            ("picture.csv", &[0x89, 0xff, 0xff, 0x00, 0xff]),
        ] {
            let refused = rows(&files.with(name, bytes)).unwrap_err();
            assert_eq!(refused.reason(), Reason::Malformed, "{name}: {refused}");
            assert!(refused.to_string().contains("xlsx"), "{refused}");
        }
        assert_eq!(rows(Path::new("nowhere.csv")).unwrap_err().reason(), Reason::NotFound);
        assert!(rows(&files.with("empty.csv", b"")).unwrap().is_empty());
        let wide = files.with("wide.csv", &b"1,".repeat(ROW_MAX_CELLS + 1));
        assert_eq!(rows(&wide).unwrap_err().reason(), Reason::TooMany);
        let empty = files.with("commas.csv", &b",".repeat(ROW_MAX_BYTES / 2));
        assert!(rows(&empty).unwrap().is_empty());
        let long = files.with("long.csv", &[&b"a\n\""[..], &b"x\n".repeat(ROW_MAX_BYTES)].concat());
        assert_eq!(rows(&long).unwrap_err().reason(), Reason::TooLong);
        let mut bomb = GzEncoder::new(vec![], Compression::best());
        bomb.write_all(&b"0,0\n".repeat(5 << 20)).unwrap();
        let bomb = files.with("bomb.csv.gz", &bomb.finish().unwrap());
        assert_eq!(rows(&bomb).unwrap_err().reason(), Reason::TooLong);
    }

    #[test]
    fn lines_keep_their_numbers_quotes_and_marks() {
        let files = Files::new();
        let file = files.with("a.csv", "标题\r\n\r\na,\"两\n行,一格\",'=1+1\n'甲,''=x,'\n".as_bytes());
        let read = rows(&file).unwrap();
        let numbers: Vec<u32> = read.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 3, 4]);
        assert_eq!(texts(&file)[1], ["a", "两\n行,一格", "=1+1"]);
        assert_eq!(texts(&file)[2], ["'甲", "'=x", "'"]);
        for text in [
            "=1", "'=1", "''=1", "-", "'", "''", "'a", "@x", "\t", "+1", "甲", "", "\r", "＝1", "'＠x", "－", "＋",
            "\n=",
        ] {
            assert_eq!(unguarded(&guarded(text)), text);
            assert!(!guarded(text).starts_with(FORMULA_MARKS));
        }
    }

    #[test]
    fn a_workbook_is_read_as_its_program_made_it() {
        let files = Files::new();
        let file = files.0.path().join("a.xlsx");
        let mut workbook = Workbook::new();
        let hidden = workbook.add_worksheet().set_name("隐藏").unwrap().set_hidden(true);
        hidden.write_string(0, 0, "no").unwrap();
        let sheet = workbook.add_worksheet().set_name("名单").unwrap().set_active(true);
        sheet.merge_range(0, 0, 0, 3, "统计表", &Format::new()).unwrap();
        sheet.write_number(2, 0, 640_104.0).unwrap();
        sheet.write_number(2, 1, 110_105_194_912_310_020.0).unwrap();
        let day = ExcelDateTime::from_ymd(2023, 5, 1).unwrap();
        sheet
            .write_datetime_with_format(2, 2, &day, &Format::new().set_num_format("yyyy\"年\"m\"月\"d\"日\""))
            .unwrap();
        let noon = ExcelDateTime::from_ymd(2023, 5, 1).unwrap().and_hms(12, 30, 0).unwrap();
        sheet.write_datetime_with_format(2, 3, &noon, &Format::new().set_num_format("yyyy-mm-dd hh:mm")).unwrap();
        sheet.write_formula(2, 4, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
        sheet.write_formula(2, 5, Formula::new("=1+1").set_result("2")).unwrap();
        sheet.write_boolean(2, 7, true).unwrap();
        let further = workbook.add_worksheet().set_name("名单 2").unwrap();
        further.write_string(0, 0, "代码").unwrap().write_string(1, 0, "更多").unwrap();
        workbook.add_worksheet().set_name("说明").unwrap();
        workbook.save(&file).unwrap();

        let opened = open(&file).unwrap();
        assert_eq!(opened.left, ["说明"]);
        let read = rows(&file).unwrap();
        let numbers: Vec<u32> = read.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 3, 2]);
        let day = qianshou_kernel::clock::parse_day("2023-05-01").unwrap();
        let expected = [
            Value::Number(640_104.0),
            Value::Number(110_105_194_912_310_020.0),
            Value::Day(day),
            Value::Text("2023-05-01 12:30:00".into()),
            Value::Error("#DIV/0!".into()),
            Value::Number(2.0),
            Value::Empty,
            Value::Text("TRUE".into()),
        ];
        assert_eq!(read[1].cells, expected);
        assert_eq!(read[2].cells, [Value::Text("更多".into())]);
    }
}
