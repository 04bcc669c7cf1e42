//! Files as offices and strangers bring them: text in any encoding, packed or not, and workbooks broken on every floor. A file is read or
//! refused; what was written as text is read as it was written; no cell that holds a personal number is repeated.

use std::io::Write as _;

use encoding_rs::GB18030;
use flate2::{Compression, Crc, write::GzEncoder};
use prost_reflect::DynamicMessage;
use qianshou::{Examined, examine, examine_rows};
use qianshou_kernel::{
    error::{Error, Result},
    kind::descriptors,
    sheet::Cell,
};
use tempfile::TempDir;

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must,
    script::{Script, put_part},
};

/// Characters of one text in a refusal at most.
const TOLD_MAX_CHARS: usize = 4_000;
const SECRET: &str = "11010519491231002X";

/// An input says what it is, of which kind, and then has the file or its rows.
struct Sheets {
    folder: TempDir,
    /// What commands call each kind, its message, and its headers.
    kinds: Vec<(&'static str, &'static str, Vec<&'static str>)>,
    /// Kinds with their columns that hold personal numbers.
    secrets: Vec<(usize, usize)>,
    mutation: Option<Mutation>,
}

const TABLE: usize = 0;
const ROWS: usize = 1;

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let mut kinds = vec![];
    let mut secrets = vec![];
    for kind in qianshou::node::kinds() {
        let Some(sheet) = kind.sheet else { continue };
        let is_secret = |column: &qianshou_kernel::sheet::Column| matches!(column.cell, Cell::Secret);
        secrets.extend(sheet.columns.iter().position(is_secret).map(|at| (kinds.len(), at)));
        let headers = sheet.columns.iter().map(|column| column.header).collect();
        kinds.push((sheet.kind.unwrap_or(kind.collection), kind.message, headers));
    }
    Box::new(Sheets { folder: tempfile::tempdir().expect("a folder"), kinds, secrets, mutation })
}

impl Target for Sheets {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let at = chance.below(self.kinds.len());
        let what = if chance.percent(70) { ROWS } else { chance.below(5) };
        let mut input = vec![what as u8, at as u8];
        let rows = self.rows(chance, at);
        match what {
            TABLE | ROWS => {
                for row in &rows {
                    input.push(row.len() as u8);
                    row.iter().for_each(|cell| put_part(&mut input, cell.as_bytes()));
                }
                if chance.percent(20) {
                    chance.mutate(&mut input, &[]);
                }
            }
            2 => {
                let mut text = csv(&rows).into_bytes();
                if chance.percent(40) {
                    text = GB18030.encode(&csv(&rows)).0.into_owned();
                }
                if chance.percent(50) {
                    chance.mutate(&mut text, &[]);
                }
                if chance.percent(40) {
                    text = packed(&text);
                    chance.mutate(&mut text, &[]);
                }
                input.extend(text);
            }
            _ => {
                let mut parts = workbook(&rows);
                if chance.percent(70) {
                    let (at, other) = (chance.below(parts.len()), chance.below(parts.len()));
                    let other = parts[other].1.clone();
                    chance.mutate(&mut parts[at].1, &[other]);
                }
                let mut file = zip(&parts);
                if chance.percent(30) {
                    chance.mutate(&mut file, &[]);
                }
                input.extend(file);
            }
        }
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        let (what, at) = (script.below(5), script.below(self.kinds.len()));
        let (name, message, _) = self.kinds[at];
        if what == TABLE || what == ROWS {
            let rows = rows(&mut script);
            if what == ROWS {
                return self.examined(&examine_rows(&rows, name), message, SECRET);
            }
            return self.table(&rows, name, message);
        }
        let read = self.file(script.rest(), name)?;
        self.examined(&read, message, "")
    }
}

impl Sheets {
    /// Headers in their order or not, and rows of what people type; a personal number only where one belongs.
    fn rows(&self, chance: &mut Chance, at: usize) -> Vec<Vec<String>> {
        let mut headers: Vec<String> = self.kinds[at].2.iter().map(|header| (*header).to_owned()).collect();
        let secret = self.secrets.iter().find(|(kind, _)| *kind == at).map(|(_, column)| *column);
        if chance.percent(10) {
            let one = chance.below(headers.len());
            let mark = chance.one::<&str>(&["*", "（元）", "（万元）", "2", "‡"]);
            headers[one].push_str(mark);
        }
        let width = headers.len();
        let mut rows = vec![headers];
        if chance.percent(10) {
            rows.insert(0, vec![matter::text(chance)]);
        }
        for _ in 0..chance.below(4) {
            let row = (0..width).map(|column| match chance.below(10) {
                0..=2 => String::new(),
                3 => format!(
                    "#={}",
                    chance.one(&["1", "45047", "20230501", "1e300", "-1", "0.1", "2023.5", "NaN", "inf", "1e15"])
                ),
                _ if secret == Some(column) => format!("{SECRET}{}", chance.one(&["", "9", "年", " ", "Ｘ"])),
                _ => {
                    let text = matter::text(chance);
                    if text.contains(SECRET) { String::new() } else { text }
                }
            });
            rows.push(row.collect());
        }
        rows
    }

    fn file(&self, bytes: &[u8], name: &str) -> Lawful<Result<Examined>> {
        let path = self.folder.path().join("file");
        let written = std::fs::write(&path, bytes);
        must(written.is_ok(), "the-folder-takes-files", String::new)?;
        Ok(examine(&path, name))
    }

    /// What is written as text is read as it was written.
    fn table(&self, rows: &[Vec<String>], name: &str, message: &str) -> Lawful {
        let text = csv(rows);
        let read = self.file(text.as_bytes(), name)?;
        self.examined(&read, message, "")?;
        let Ok(mut read) = read else { return Ok(()) };
        if self.mutation == Some(Mutation::LoseRow) {
            read.rows.pop();
        }
        let one = |cell: &String| {
            let cell = cell.replace("\r\n", "\n").replace('\r', "\n");
            let formula = |text: &str| text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\n']);
            cell.strip_prefix('\'').filter(|rest| formula(rest)).map(str::to_owned).unwrap_or(cell)
        };
        let plain = rows
            .iter()
            .flatten()
            .all(|cell| !cell.contains(['＝', '＋', '－', '＠', '\u{feff}', '\t', '\r', '\'', '\u{fffd}', '\0']));
        let expected: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let mut cells: Vec<String> = row.iter().map(one).collect();
                while cells.last().is_some_and(String::is_empty) {
                    cells.pop();
                }
                cells
            })
            .filter(|row| !row.is_empty())
            .collect();
        let cells: Vec<&Vec<String>> = read.rows.iter().map(|(_, cells)| cells).collect();
        must(!plain || cells.iter().copied().eq(expected.iter()), "text-is-read-as-written", || {
            format!("{cells:?}, not {expected:?}")
        })
    }

    /// Refused by name, or read into messages of the kind.
    fn examined(&self, read: &Result<Examined>, message: &str, secret: &str) -> Lawful {
        let examined = match read {
            Err(Error::Refused(refusal)) => {
                let told = refusal.to_string();
                let fits = !refusal.0.is_empty() && told.chars().count() <= 4 * TOLD_MAX_CHARS;
                return must(fits, "a-refusal-is-short", || told.clone());
            }
            Err(error) => return must(false, "refused-by-name", || format!("{error:?}")),
            Ok(examined) => examined,
        };
        let Some(of) = descriptors().get_message_by_name(message) else { return Ok(()) };
        for bytes in &examined.messages {
            // A file may be the other half of what its kind tells, which has another message.
            let _ = DynamicMessage::decode(of.clone(), &bytes[..]);
        }
        let ordered = examined.rows.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        must(ordered || examined.rows.is_empty(), "rows-are-numbered-in-order", || format!("{:?}", examined.rows))?;
        for told in &examined.faults {
            must(told.chars().count() <= TOLD_MAX_CHARS, "a-fault-is-short", || told.clone())?;
            must(secret.is_empty() || !told.contains(secret), "a-personal-number-is-not-repeated", || told.clone())?;
        }
        Ok(())
    }
}

fn rows(script: &mut Script<'_>) -> Vec<Vec<String>> {
    let mut rows = vec![];
    while !script.is_over() && rows.len() < 40 {
        rows.push((0..script.byte()).map(|_| script.text()).collect());
    }
    rows
}

fn csv(rows: &[Vec<String>]) -> String {
    let cell = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n").collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(vec![], Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).unwrap_or_default()
}

/// The parts of a workbook, as small as a reader takes them.
fn workbook(rows: &[Vec<String>]) -> Vec<(&'static str, Vec<u8>)> {
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    const MAIN: &str = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
    const KINDS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"";
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace(|c: char| c.is_control(), " ");
    let column = |mut at: usize| {
        let mut name = String::new();
        loop {
            name.insert(0, char::from(b'A' + (at % 26) as u8));
            if at < 26 {
                return name;
            }
            at = at / 26 - 1;
        }
    };
    let mut sheet = format!("{HEAD}<worksheet {MAIN}><dimension ref=\"A1:Z9\"/><sheetData>");
    let mut shared = format!("{HEAD}<sst {MAIN} count=\"2\" uniqueCount=\"2\">");
    let mut strings = 0;
    for (line, row) in rows.iter().enumerate() {
        sheet += &format!("<row r=\"{}\">", line + 1);
        for (at, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let place = format!("{}{}", column(at), line + 1);
            match cell.strip_prefix("#=") {
                Some(number) => sheet += &format!("<c r=\"{place}\" s=\"{}\"><v>{number}</v></c>", at % 2),
                None if at % 3 == 0 => {
                    sheet += &format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{}</t></is></c>", escape(cell))
                }
                None => {
                    sheet += &format!("<c r=\"{place}\" t=\"s\"><v>{strings}</v></c>");
                    shared += &format!("<si><t>{}</t></si>", escape(cell));
                    strings += 1;
                }
            }
        }
        sheet += "</row>";
    }
    sheet += "</sheetData></worksheet>";
    shared += "</sst>";
    let book = format!(
        "{HEAD}<workbook {MAIN} xmlns:r=\"{KINDS}\"><sheets><sheet name=\"s\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
    );
    let of = |id: &str, kind: &str, target: &str| {
        format!("<Relationship Id=\"{id}\" Type=\"{KINDS}/{kind}\" Target=\"{target}\"/>")
    };
    let parts = of("r1", "worksheet", "worksheets/sheet1.xml")
        + &of("r2", "sharedStrings", "sharedStrings.xml")
        + &of("r3", "styles", "styles.xml");
    let relations = format!("{HEAD}<Relationships {PACKAGE}>{parts}</Relationships>");
    let root =
        format!("{HEAD}<Relationships {PACKAGE}>{}</Relationships>", of("r1", "officeDocument", "xl/workbook.xml"));
    let styles = format!(
        "{HEAD}<styleSheet {MAIN}><cellXfs count=\"2\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"
    );
    let types = format!("{HEAD}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>");
    vec![
        ("xl/worksheets/sheet1.xml", sheet.into_bytes()),
        ("xl/sharedStrings.xml", shared.into_bytes()),
        ("xl/styles.xml", styles.into_bytes()),
        ("xl/workbook.xml", book.into_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.into_bytes()),
        ("_rels/.rels", root.into_bytes()),
        ("[Content_Types].xml", types.into_bytes()),
    ]
}

/// An archive that packs nothing.
fn zip(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (vec![], vec![]);
    for (name, bytes) in parts {
        let mut crc = Crc::new();
        crc.update(bytes);
        let size = (bytes.len() as u32).to_le_bytes();
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend([size, size].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        let at = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, at, size) = (parts.len() as u16, out.len() as u32, directory.len() as u32);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}
