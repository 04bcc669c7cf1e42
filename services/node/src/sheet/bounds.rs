//! What a file from outside may cost, found out before a parser believes it. A workbook is a folder of packed XML: a few kilobytes of it
//! unpack to gigabytes, or announce a billion texts. It is walked once, a block at a time, with the parser's own idea of what a tag is.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    rc::Rc,
    sync::Once,
};

use qianshou_kernel::error::{Error, Reason, Result};
use zip::ZipArchive;

use super::of_file;

/// Bytes of a workbook's table of contents.
const CONTENTS_MAX_BYTES: u64 = 4 << 20;
/// Parts of a workbook.
const PARTS_MAX: usize = 10_000;
/// Unpacked bytes of all parts, of one sheet, of the shared texts, and of a part that is not XML.
const UNPACKED_MAX_BYTES: u64 = 2 << 30;
const PART_MAX_BYTES: u64 = 1 << 30;
const TEXTS_MAX_BYTES: u64 = 256 << 20;
const BINARY_MAX_BYTES: u64 = 32 << 20;
/// Unpacked bytes for each packed one, once more than the second have been unpacked.
const RATIO_MAX: u64 = 200;
const RATIO_FROM_BYTES: u64 = 16 << 20;
/// Shared texts; a workbook of a million rows has five columns of them.
const TEXTS_MAX: u64 = 5_000_000;
/// Elements of which a parser keeps one each: formats, sheets, names.
const KEPT_MAX: u64 = 400_000;
const DEPTH_MAX: usize = 128;
/// A tag with its attributes, or what stands between two tags; and all of one cell or one shared text.
const TOKEN_MAX_BYTES: usize = 1 << 20;
const CELL_MAX_BYTES: usize = 8 << 20;
/// Elements around a cell, and around a shared text.
const AROUND_CELL: usize = 3;
const AROUND_TEXT: usize = 1;
const BLOCK_BYTES: usize = 64 << 10;

/// What a parser keeps of a workbook, element by element, whatever it is in.
const KEPT: [&[u8]; 10] =
    [b"xf", b"numFmt", b"font", b"fill", b"border", b"sheet", b"definedName", b"Relationship", b"color", b"srgbClr"];
/// Parts that no parser takes for XML.
const BINARY: [&str; 12] = ["png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "emf", "wmf", "wdp", "bin", "ico"];

/// Walks a workbook.
///
/// # Errors
/// A refusal if reading it could take more than it may.
pub(crate) fn look_over(file: &Path) -> Result<()> {
    let open = || File::open(file).map_err(|cause| of_file(file, Reason::NotFound, cause));
    let too_many = || of_file(file, Reason::TooMany, format!("{PARTS_MAX} parts | {PARTS_MAX} 个部件"));
    if announces_too_many_parts(open()?)? {
        return Err(too_many());
    }
    let left = Rc::new(Cell::new(CONTENTS_MAX_BYTES));
    let bytes = Budgeted { bytes: BufReader::with_capacity(BLOCK_BYTES, open()?), left: left.clone() };
    let mut archive = ZipArchive::new(bytes).map_err(|cause| unreadable(file, &cause))?;
    if archive.len() > PARTS_MAX {
        return Err(too_many());
    }
    left.set(u64::MAX);
    let (mut total, mut whole) = (0, Whole::default());
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|cause| unreadable(file, &cause))?;
        total += unpack(part, total, &mut whole).map_err(|cause| cause.told(file))?;
    }
    Ok(())
}

/// Unpacks one part without keeping it; answers how long it is.
fn unpack(mut part: zip::read::ZipFile<'_, Budgeted>, before: u64, whole: &mut Whole) -> Result<u64, Excess> {
    let name = part.name().map_err(Excess::Broken)?.to_ascii_lowercase();
    let packed = part.compressed_size();
    let is_binary = name.rsplit_once('.').is_some_and(|(_, suffix)| BINARY.contains(&suffix));
    let is_texts = name.ends_with("sharedstrings.xml");
    let most = if is_binary {
        BINARY_MAX_BYTES
    } else if is_texts {
        TEXTS_MAX_BYTES
    } else {
        PART_MAX_BYTES
    };
    let mut scan = Scan::new(if is_texts { AROUND_TEXT } else { AROUND_CELL });
    let (mut length, mut block) = (0_u64, vec![0; BLOCK_BYTES]);
    loop {
        let read = part.read(&mut block).map_err(|cause| Excess::Broken(cause.into()))?;
        if read == 0 {
            return Ok(length);
        }
        length += read as u64;
        let wild = length > RATIO_FROM_BYTES && length / packed.max(1) > RATIO_MAX;
        if length > most || before + length > UNPACKED_MAX_BYTES || wild {
            return Err(Excess::Unpacked(length.min(most)));
        }
        if !is_binary {
            scan.push(&block[..read], whole)?;
        }
    }
}

/// Why a workbook is not read.
#[derive(Debug)]
enum Excess {
    Broken(zip::result::ZipError),
    /// Unpacked bytes.
    Unpacked(u64),
    /// Bytes of one token or cell.
    Long(usize),
    /// Elements of one name.
    Many(u64),
    Deep,
    /// Another encoding than UTF-8, or a document type.
    Form,
}

impl Excess {
    fn told(&self, file: &Path) -> Error {
        let anew = "copy the list into a new .xlsx, or save it as .csv | 把名单复制到新的 .xlsx，或另存为 .csv";
        match self {
            Self::Broken(cause) => unreadable(file, cause),
            Self::Unpacked(bytes) => {
                let mib = bytes >> 20;
                let detail = format!("{mib} MiB unpacked, in reasonable packing | 解压后 {mib} MiB 且压缩比合理");
                of_file(file, Reason::TooLong, detail)
            }
            Self::Long(bytes) => {
                of_file(file, Reason::TooLong, format!("{bytes} bytes in a cell | 单元格 {bytes} 字节"))
            }
            Self::Many(most) => {
                of_file(file, Reason::TooMany, format!("{most} texts or formats | {most} 个文本或格式"))
            }
            Self::Deep | Self::Form => of_file(file, Reason::Malformed, anew),
        }
    }
}

fn unreadable(file: &Path, cause: &dyn std::fmt::Display) -> Error {
    of_file(file, Reason::Malformed, format!("a whole .xlsx or .csv ({cause}) | 完整的 .xlsx 或 .csv（{cause}）"))
}

/// What all parts have together.
#[derive(Default)]
struct Whole {
    texts: u64,
    kept: u64,
}

/// Tags of one part as they go by.
struct Scan {
    /// Elements around what may weigh no more than a cell.
    around: usize,
    /// What stands between `<` and here, if we are in a tag.
    tag: Option<Vec<u8>>,
    quote: Option<u8>,
    depth: usize,
    between_bytes: usize,
    cell_bytes: usize,
    begun: bool,
}

impl Scan {
    fn new(around: usize) -> Self {
        Self { around, tag: None, quote: None, depth: 0, between_bytes: 0, cell_bytes: 0, begun: false }
    }

    fn push(&mut self, mut part: &[u8], whole: &mut Whole) -> Result<(), Excess> {
        if !std::mem::replace(&mut self.begun, true) && part.starts_with(&[0xff, 0xfe])
            || part.starts_with(&[0xfe, 0xff])
            || part.contains(&0)
        {
            return Err(Excess::Form);
        }
        while !part.is_empty() {
            let (taken, over) = match &mut self.tag {
                None => {
                    let at = part.iter().position(|byte| *byte == b'<');
                    self.between_bytes += at.unwrap_or(part.len());
                    if at.is_some() {
                        self.tag = Some(vec![]);
                    }
                    (at.map_or(part.len(), |at| at + 1), false)
                }
                Some(tag) => {
                    let end = end_of_tag(tag, part, &mut self.quote);
                    tag.extend_from_slice(&part[..end.unwrap_or(part.len())]);
                    (end.map_or(part.len(), |end| end + 1), end.is_some())
                }
            };
            self.weigh(taken)?;
            if over {
                let tag = self.tag.take().unwrap_or_default();
                self.pass(&tag, whole)?;
            }
            part = &part[taken..];
        }
        Ok(())
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), Excess> {
        let token = self.tag.as_ref().map_or(0, Vec::len).max(self.between_bytes);
        if self.depth > self.around {
            self.cell_bytes += bytes;
        }
        if token > TOKEN_MAX_BYTES || self.cell_bytes > CELL_MAX_BYTES {
            return Err(Excess::Long(token.max(self.cell_bytes).min(CELL_MAX_BYTES)));
        }
        Ok(())
    }

    fn pass(&mut self, tag: &[u8], whole: &mut Whole) -> Result<(), Excess> {
        match tag.first() {
            Some(b'?') => return if other_encoding(tag) { Err(Excess::Form) } else { Ok(()) },
            Some(b'!') if tag.starts_with(b"!--") || tag.starts_with(b"![CDATA[") => {
                // It belongs to the text around it.
                self.between_bytes += tag.len();
                return Ok(());
            }
            Some(b'!') => return Err(Excess::Form),
            Some(b'/') => self.depth = self.depth.saturating_sub(1),
            _ => {
                self.count(tag, whole)?;
                self.depth += usize::from(!tag.ends_with(b"/"));
            }
        }
        self.between_bytes = 0;
        if self.depth <= self.around {
            self.cell_bytes = 0;
        }
        if self.depth > DEPTH_MAX { Err(Excess::Deep) } else { Ok(()) }
    }

    fn count(&mut self, tag: &[u8], whole: &mut Whole) -> Result<(), Excess> {
        let end = tag.iter().position(|b| b.is_ascii_whitespace() || *b == b'/').unwrap_or(tag.len());
        let name = tag[..end].rsplit(|byte| *byte == b':').next().unwrap_or_default();
        match name {
            b"sst" if announced(tag) > TEXTS_MAX => return Err(Excess::Many(TEXTS_MAX)),
            b"si" => whole.texts += 1,
            name if KEPT.contains(&name) => whole.kept += 1,
            _ => return Ok(()),
        }
        if whole.texts > TEXTS_MAX {
            return Err(Excess::Many(TEXTS_MAX));
        }
        if whole.kept > KEPT_MAX { Err(Excess::Many(KEPT_MAX)) } else { Ok(()) }
    }
}

/// Where a tag ends: `>` outside of quotes; of a comment `-->`, of literal text `]]>`, of an instruction `?>`.
fn end_of_tag(tag: &[u8], part: &[u8], quote: &mut Option<u8>) -> Option<usize> {
    let before = |at: usize, back: usize| if at >= back { part.get(at - back) } else { tag.get(tag.len() + at - back) };
    let first = tag.first().or(part.first()).copied();
    let second = if tag.is_empty() { part.get(1) } else { tag.get(1).or(part.first()) };
    for (at, byte) in part.iter().enumerate() {
        if *byte != b'>' && !matches!(byte, b'"' | b'\'') {
            continue;
        }
        let length = tag.len() + at;
        let ends_with = |mark: u8| length > 2 && before(at, 1) == Some(&mark) && before(at, 2) == Some(&mark);
        let is_end = match (first, second) {
            (Some(b'?'), _) => *byte == b'>' && length > 1 && before(at, 1) == Some(&b'?'),
            (Some(b'!'), Some(b'-')) => *byte == b'>' && ends_with(b'-'),
            (Some(b'!'), Some(b'[')) => *byte == b'>' && ends_with(b']'),
            _ => match (*quote, *byte) {
                (None, b'>') => true,
                (None, mark) => {
                    *quote = Some(mark);
                    false
                }
                (Some(open), mark) => {
                    quote.take_if(|_| open == mark);
                    false
                }
            },
        };
        if is_end {
            return Some(at);
        }
    }
    None
}

/// How many texts a table announces; what is no number announces too many.
fn announced(tag: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(tag);
    let counts = text.split("uniqueCount").skip(1).map(|rest| {
        let value = rest.trim_start().trim_start_matches('=').trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        value[..end].parse().unwrap_or(u64::MAX)
    });
    counts.max().unwrap_or(0)
}

/// Whether an instruction says that what follows is not UTF-8.
fn other_encoding(tag: &[u8]) -> bool {
    let text = String::from_utf8_lossy(tag).to_ascii_lowercase();
    text.split_once("encoding").is_some_and(|(_, name)| !name.contains("utf-8") && !name.contains("us-ascii"))
}

/// Whether a long table of contents (a ZIP64 record) announces more parts than there may be: room is made for them all before one is read.
fn announces_too_many_parts(mut bytes: impl Read) -> Result<bool> {
    const MARK: &[u8] = b"PK\x06\x06";
    const RECORD_BYTES: usize = 56;
    let mut seen = vec![];
    loop {
        if bytes.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut seen)? == 0 {
            return Ok(false);
        }
        for record in seen.windows(RECORD_BYTES).filter(|record| record.starts_with(MARK)) {
            let number = |from: usize| record[from..from + 8].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
            // Of one volume: the same number twice.
            if record[16..20] == record[20..24] && number(24).max(number(32)) > PARTS_MAX as u64 {
                return Ok(true);
            }
        }
        seen.drain(..(seen.len() + 1).saturating_sub(RECORD_BYTES));
    }
}

/// A file of which only so much may be read while its table of contents is looked for.
struct Budgeted {
    bytes: BufReader<File>,
    left: Rc<Cell<u64>>,
}

impl Read for Budgeted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(into)?;
        self.left.set(self.left.get().checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?);
        Ok(read)
    }
}

impl Seek for Budgeted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

/// Unpacked text of which there may be only so much, of all and for each packed byte.
pub(crate) struct Metered<R> {
    bytes: R,
    /// Packed bytes; absent where nothing is packed.
    packed: Option<u64>,
    all: u64,
}

impl<R: Read> Metered<R> {
    pub(crate) fn new(bytes: R, packed: Option<u64>) -> Self {
        Self { bytes, packed, all: 0 }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(into)?;
        self.all += read as u64;
        let wild = self.packed.is_some_and(|packed| self.all / packed.max(1) > RATIO_MAX);
        if self.all > UNPACKED_MAX_BYTES || self.all > RATIO_FROM_BYTES && wild {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Lets a parser work on a file; if it panics, the file is refused and nothing else is said.
///
/// # Errors
/// Those of `work`; a refusal if it panicked.
pub(crate) fn unharmed<T>(file: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    done.unwrap_or_else(|_| {
        let detail = "a file that its program can open; save it anew as .xlsx or .csv | 能正常打开的文件，请重新另存为 .xlsx 或 .csv";
        Err(of_file(file, Reason::Malformed, detail))
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, path::PathBuf};

    use tempfile::TempDir;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::sheet::read;

    const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

    struct Books(TempDir);

    impl Books {
        /// A workbook of these parts beside those that it must have.
        fn with(&self, parts: &[(&str, &str)]) -> PathBuf {
            let file = self.0.path().join("a.xlsx");
            let mut zip = ZipWriter::new(File::create(&file).unwrap());
            let rels = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
            let standing = [
                (
                    "_rels/.rels",
                    format!(
                        r#"{HEAD}<Relationships><Relationship Id="r1" Type="{rels}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
                    ),
                ),
                (
                    "xl/_rels/workbook.xml.rels",
                    format!(
                        r#"<Relationships><Relationship Id="r1" Type="{rels}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#
                    ),
                ),
                (
                    "xl/workbook.xml",
                    format!(
                        r#"<workbook xmlns:r="{rels}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>"#
                    ),
                ),
            ];
            let standing = standing.iter().map(|(name, text)| (*name, text.as_str()));
            for (name, text) in standing.chain(parts.iter().copied()) {
                zip.start_file(name, SimpleFileOptions::default()).unwrap();
                zip.write_all(text.as_bytes()).unwrap();
            }
            zip.finish().unwrap();
            file
        }
    }

    const SHEET: &str = "xl/worksheets/sheet1.xml";
    const TEXTS: &str = "xl/sharedStrings.xml";

    fn sheet(cells: &str) -> String {
        format!(r#"<worksheet><sheetData><row r="1">{cells}</row></sheetData></worksheet>"#)
    }

    fn cells(file: &Path) -> Result<Vec<String>> {
        let mut cells = vec![];
        read::open(file)?.read(file, &mut |row| {
            cells.extend(row.cells.iter().map(crate::sheet::Value::shown));
            Ok(())
        })?;
        Ok(cells)
    }

    #[test]
    fn what_offices_write_is_read() {
        let books = Books(tempfile::tempdir().unwrap());
        let odd =
            r#"<!-- a > b --><c r="A1" t="str" x='"> <c'><v><![CDATA[1 > 0]]></v></c><c r="B1" t="s"><v>0</v></c>"#;
        let file = books.with(&[(SHEET, &sheet(odd)), (TEXTS, r#"<sst uniqueCount="1"><si><t>乙</t></si></sst>"#)]);
        assert_eq!(cells(&file).unwrap().last().unwrap(), "乙");
        let plain = r#"<c r="A1" t="inlineStr"><is><t>甲</t></is></c>"#;
        assert_eq!(cells(&books.with(&[(SHEET, &sheet(plain))])).unwrap(), ["甲"]);
    }

    #[test]
    fn a_workbook_that_would_fill_the_memory_is_refused_at_once() {
        let books = Books(tempfile::tempdir().unwrap());
        let plain = sheet(r#"<c r="A1"><v>1</v></c>"#);
        let long = "x".repeat(TOKEN_MAX_BYTES + 1);
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        let formats = format!("<styleSheet><cellXfs>{}", "<xf/>".repeat(KEPT_MAX as usize + 1));
        let text = |text: &str| format!("<sst><si><t>{text}</t></si></sst>");
        let refs = text(&"&amp;".repeat(TOKEN_MAX_BYTES / 4));
        let runs = text(&format!("<r>{}</r>", "x".repeat(1_000)).repeat(CELL_MAX_BYTES / 1_000));
        let zeros = format!("<sst>{}</sst>", format!("<si><t>{}</t></si>", "0".repeat(900_000)).repeat(20));
        let far =
            r#"<worksheet><sheetData><row r="9"><c r="A9"><v>1</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>"#;
        for (why, part, text, reason) in [
            ("texts announced", TEXTS, r#"<sst count="1" uniqueCount = "4294967295"><si/></sst>"#, Reason::TooMany),
            ("and not as a number", TEXTS, r#"<x:sst uniqueCount="&#49;"/>"#, Reason::TooMany),
            ("packed too well", TEXTS, &zeros, Reason::TooLong),
            ("a long text", TEXTS, &text(&long), Reason::TooLong),
            ("a text of references", TEXTS, &refs, Reason::TooLong),
            ("a text of runs", TEXTS, &runs, Reason::TooLong),
            ("a long tag", "xl/x.xml", &format!("<a b='{long}'/>"), Reason::TooLong),
            ("depth", "xl/x.xml", &deep, Reason::Malformed),
            ("formats", "xl/styles.xml", &formats, Reason::TooMany),
            ("a document type", "xl/x.xml", r#"<!DOCTYPE a [<!ENTITY b "c">]><a/>"#, Reason::Malformed),
            ("an encoding", "xl/x.xml", r#"<?xml version="1.0" encoding="GB18030"?><a/>"#, Reason::Malformed),
            ("two bytes a character", "xl/x.xml", "<\0a\0/\0>\0", Reason::Malformed),
            ("rows that go back", SHEET, far, Reason::Malformed),
            ("a row of a million", SHEET, &sheet(r#"<c r="A1048577"><v>1</v></c>"#), Reason::Malformed),
        ] {
            let sheet = if part == SHEET { text } else { &plain };
            let rest = if part == SHEET { vec![] } else { vec![(part, text)] };
            let file = books.with(&[&[(SHEET, sheet)][..], &rest].concat());
            let refused = cells(&file).expect_err(why);
            assert_eq!(refused.reason(), reason, "{why}: {refused}");
        }
    }

    #[test]
    fn a_contents_table_is_not_believed() {
        let books = Books(tempfile::tempdir().unwrap());
        let file = books.with(&[]);
        let mut bytes = std::fs::read(&file).unwrap();
        let mut record = b"PK\x06\x06".to_vec();
        record.extend([0; 20]);
        record.extend([0xff_u8; 8].iter().chain(&[0, 0, 0, 1, 0, 0, 0, 0]).chain(&[0; 16]));
        bytes.splice(100_000.min(bytes.len())..100_000.min(bytes.len()), record);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(look_over(&file).unwrap_err().reason(), Reason::TooMany);
        std::fs::write(&file, [b"PK\x03\x04".as_slice(), &[0x50; 5 << 20]].concat()).unwrap();
        assert_eq!(read::open(&file).unwrap_err().reason(), Reason::Malformed);
    }

    #[test]
    fn a_parser_that_panics_refuses_the_file() {
        let file = Path::new("a.xlsx");
        let refused = unharmed::<()>(file, || panic!("a bug of a parser")).unwrap_err();
        assert!(refused.to_string().contains("a.xlsx") && refused.to_string().contains("另存为"), "{refused}");
        assert!(!QUIET.get());
    }
}
