//! One row as a message, or every reason why it is none. References become look-ups that the node resolves; no value that somebody
//! typed stands in a reason.

use std::collections::HashMap;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value as Field};
use qianshou_kernel::{
    clock::format_day,
    error::{Reason, Violation},
    id::Name,
    kind::descriptors,
    sheet::{Cell, Choice, Column},
};

use super::{Described, REF, Row, Value, header::Layout, text};

/// Makes messages of rows.
pub(crate) struct Reader {
    kind: &'static str,
    message: MessageDescriptor,
    layout: Layout,
    /// Of each natural key that was read: what the row said, and its number.
    seen: HashMap<u64, (u64, u32)>,
    chance: std::hash::RandomState,
}

/// What was made of a row.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    /// What could be read of it.
    pub(crate) message: DynamicMessage,
    /// What is wrong with the rest; fields are paths of the message.
    pub(crate) violations: Vec<Violation>,
}

impl Reader {
    pub(crate) fn new(described: Described, layout: Layout) -> Option<Self> {
        let message = descriptors().get_message_by_name(described.kind.message)?;
        let (seen, chance) = (HashMap::new(), std::hash::RandomState::new());
        Some(Self { kind: described.kind.collection, message, layout, seen, chance })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The fields that the file has columns for: what it has none for, it says nothing of.
    pub(crate) fn paths(&self) -> Vec<String> {
        let apart = self.layout.reference.and(self.message.get_field_by_name(REF)).map(|_| REF);
        let columns = self.layout.columns.iter().map(|(_, column)| column.path);
        columns.chain(apart).map(str::to_owned).collect()
    }

    /// Reads a row; one without anything in a known column is `None`.
    pub(crate) fn read(&mut self, row: &Row) -> Option<Parsed> {
        let cell = |at: usize| row.cells.get(at).unwrap_or(&Value::Empty);
        if self.layout.columns.iter().all(|(at, _)| cell(*at).is_empty()) {
            return None;
        }
        let mut message = DynamicMessage::new(self.message.clone());
        let mut violations = vec![];
        let reference = self.layout.reference.map(|at| cell(at).shown().trim().to_owned()).unwrap_or_default();
        let named = self.name(&reference, &mut message);
        let place = self.place(row);
        for (at, column) in &self.layout.columns {
            let Some(field) = self.message.get_field_by_name(column.path) else { continue };
            match read_cell(cell(*at), column, &field, &place) {
                Ok(Some(value)) => message.set_field(&field, value),
                // Whoever names the record need not repeat what no export answers.
                Ok(None) if column.required && !(named && matches!(column.cell, Cell::Secret)) => {
                    violations.push(Violation::new(column.path, Reason::Required, ""));
                }
                Ok(None) => {}
                Err((reason, detail)) => violations.push(Violation::new(column.path, reason, detail)),
            }
        }
        if violations.is_empty() && !named {
            violations.extend(self.meets_itself(row.number, &message));
        }
        Some(Parsed { message, violations })
    }

    /// Reads the column 编号: the name of a record, what tells equal rows apart, or both.
    fn name(&self, reference: &str, message: &mut DynamicMessage) -> bool {
        let (first, rest) = reference.split_once(['；', ';']).unwrap_or((reference, ""));
        let named = first.trim().parse::<Name>().is_ok_and(|name| name.kind() == self.kind);
        let apart = if named { rest.trim() } else { reference };
        if named {
            message.set_field_by_name("name", Field::String(first.trim().to_owned()));
        }
        if let (Some(field), false) = (self.message.get_field_by_name(REF), apart.is_empty()) {
            message.set_field(&field, Field::String(apart.to_owned()));
        }
        named
    }

    /// The division of a row, where its titles are looked up.
    fn place(&self, row: &Row) -> String {
        let at = self.layout.of_path("division").map(|(at, _)| at);
        at.and_then(|at| text::plain(row.cells.get(at)?)).map(|code| text::code(&code)).unwrap_or_default()
    }

    /// Two rows of one file with one natural key that say different things would overwrite each other.
    fn meets_itself(&mut self, number: u32, message: &DynamicMessage) -> Option<Violation> {
        use std::hash::BuildHasher as _;
        let keys = self.layout.columns.iter().map(|(_, column)| column).filter(|column| column.key);
        let mut fields: Vec<&str> = keys.map(|column| column.path).collect();
        let first = *fields.first()?;
        fields.push(REF);
        let part = |path: &&str| message.get_field_by_name(path).map(|value| value.to_string());
        let key = self.chance.hash_one(fields.iter().map(part).collect::<Vec<_>>());
        let said = self.chance.hash_one(message.encode_to_vec());
        let (before, line) = *self.seen.entry(key).or_insert((said, number));
        (before != said).then(|| Violation::new(first, Reason::Duplicate, format!("row {line} | 第 {line} 行")))
    }
}

type Wrong = (Reason, String);

/// The value of a cell; an empty one is `None`.
fn read_cell(value: &Value, column: &Column, field: &FieldDescriptor, place: &str) -> Result<Option<Field>, Wrong> {
    if value.is_empty() {
        return Ok(None);
    }
    if let Value::Error(_) = value {
        return Err((Reason::Malformed, "a value, not a formula's error | 有效的值，而不是公式错误".into()));
    }
    let day = |last| {
        let day = text::day(value, last).ok_or_else(|| (Reason::Malformed, "2023-05-01".to_owned()))?;
        Ok(Field::String(format_day(day)))
    };
    let text = match column.cell {
        Cell::Day => return day(false).map(Some),
        Cell::LastDay => return day(true).map(Some),
        _ => text::plain(value).ok_or_else(rounded)?,
    };
    let read = match column.cell {
        Cell::Day | Cell::LastDay | Cell::Text => Field::String(text),
        Cell::Code | Cell::Secret => Field::String(text::code(&text)),
        Cell::Texts => Field::List(text::several(&text).into_iter().map(Field::String).collect()),
        Cell::Count => Field::U32(count(&text)?),
        Cell::Yuan => Field::I64(fen(&text)?),
        Cell::Flag => Field::Bool(flag(&text)?),
        Cell::Counts => {
            let counts = text::several(&text).into_iter().map(|text| count(&text).map(Field::U32));
            Field::List(counts.collect::<Result<_, _>>()?)
        }
        Cell::Choice(choices) => choice(&text, choices, field)?,
        Cell::Choices(choices) => {
            let chosen = text::several(&text).into_iter().map(|text| choice(&text, choices, field));
            Field::List(chosen.collect::<Result<_, _>>()?)
        }
        Cell::Reference { kind, .. } => Field::String(lookup(&text::code(&text), kind, None)),
        Cell::Placed { kind, digits, .. } => {
            let place = place.get(..digits).unwrap_or(place);
            Field::String(lookup(&text, kind, Some(place)))
        }
        Cell::Parts(columns) => {
            let all = text::several(&text);
            Field::List(all.iter().map(|one| parts(one, columns, field)).collect::<Result<_, _>>()?)
        }
    };
    Ok(Some(read))
}

/// A message within the record, from its parts in their order; those at its end may be left out.
fn parts(text: &str, columns: &[Column], field: &FieldDescriptor) -> Result<Field, Wrong> {
    let kind = field.kind();
    let message = kind.as_message().ok_or_else(|| (Reason::Malformed, String::new()))?;
    let parts = text::parts(text, text::WITHIN);
    if parts.len() > columns.len() {
        return Err((Reason::Malformed, form_of_parts(columns)));
    }
    let mut one = DynamicMessage::new(message.clone());
    for (part, column) in parts.into_iter().zip(columns) {
        let Some(field) = message.get_field_by_name(column.path) else { continue };
        if let Some(value) = read_cell(&Value::text(part), column, &field, "")? {
            one.set_field(&field, value);
        }
    }
    Ok(Field::Message(one))
}

/// `编码｜指标｜必备｜权重`
pub(super) fn form_of_parts(columns: &[Column]) -> String {
    let headers: Vec<&str> = columns.iter().map(|column| column.header).collect();
    headers.join(&text::WITHIN[0].to_string())
}

/// What offices write for yes and no; the first is what we write.
pub(super) const YES: [&str; 7] = ["是", "有", "√", "Y", "YES", "TRUE", "1"];
pub(super) const NO: [&str; 7] = ["否", "无", "×", "N", "NO", "FALSE", "0"];

fn flag(text: &str) -> Result<bool, Wrong> {
    let text = text::code(text).to_uppercase();
    let is_one = |texts: [&str; 7]| texts.contains(&text.as_str());
    match (is_one(YES), is_one(NO)) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err((Reason::NotInList, format!("{}、{}", YES[0], NO[0]))),
    }
}

/// Yuan in 分, exactly: `20,000.5` is 2,000,050. Nothing is rounded, so more than two decimals are refused.
fn fen(text: &str) -> Result<i64, Wrong> {
    let text = text::code(text);
    let text = text.trim_end_matches('元').trim_start_matches(['¥', '￥']);
    let wrong =
        || (Reason::Malformed, "yuan with two decimals at most, 1234.50 | 元，最多两位小数，如 1234.50".to_owned());
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (yuan, decimals) = text.split_once('.').unwrap_or((text, ""));
    let yuan = if yuan.contains([',', '，']) { thousands(yuan).ok_or_else(wrong)? } else { yuan.to_owned() };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if yuan.is_empty() || decimals.len() > 2 || !digits(&yuan) || !digits(decimals) || text.ends_with('.') {
        return Err(wrong());
    }
    format!("{yuan}{decimals:0<2}").parse::<i64>().map(|fen| sign * fen).map_err(|_| wrong())
}

/// Without the marks between thousands; `None`: they stand elsewhere.
fn thousands(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split([',', '，']).collect();
    let sound = (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3);
    sound.then(|| groups.concat())
}

/// A whole number, with or without marks between its thousands.
fn count(text: &str) -> Result<u32, Wrong> {
    let digits = text::code(text).replace([',', '，'], "");
    digits.parse().map_err(|_| (Reason::Malformed, "a whole number | 整数".to_owned()))
}

fn rounded() -> Wrong {
    let en = "text: the spreadsheet has rounded this number; make the cell text and type it again";
    (Reason::Malformed, format!("{en} | 文本：表格软件已把它舍入为近似数，请设为文本格式后重新录入"))
}

/// A record's own name as it is; else what the node looks up: `agencies/KEY`, `stations/DIVISION/TITLE`.
fn lookup(text: &str, kind: &str, place: Option<&str>) -> String {
    if text.parse::<Name>().is_ok() {
        return text.to_owned();
    }
    place.map_or_else(|| format!("{kind}/{text}"), |place| format!("{kind}/{place}/{text}"))
}

fn choice(text: &str, choices: &[Choice], field: &FieldDescriptor) -> Result<Field, Wrong> {
    let text = text::code(text);
    let is = |known: &str| text::code(known).eq_ignore_ascii_case(&text);
    let found = choices.iter().find(|c| is(c.name) || is(c.text) || c.variants.iter().any(|variant| is(variant)));
    let number = found.and_then(|choice| number_of(field, choice.name));
    number.map(Field::EnumNumber).ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|choice| choice.text).collect();
        (Reason::NotInList, known.join("、"))
    })
}

/// The number of an enum's value by its name without the enum's prefix.
pub(super) fn number_of(field: &FieldDescriptor, name: &str) -> Option<i32> {
    let kind = field.kind();
    let values = kind.as_enum()?;
    let prefix = values.default_value().name().strip_suffix("UNSPECIFIED")?.to_owned();
    values.values().find(|value| value.name().strip_prefix(&prefix) == Some(name)).map(|value| value.number())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost_reflect::ReflectMessage as _;
    use qianshou_proto::registry::v1 as api;

    use super::*;
    use crate::sheet::kind;

    fn row(number: u32, cells: &[&str]) -> Row {
        Row { number, cells: cells.iter().map(|cell| Value::text(*cell)).collect() }
    }

    fn reader(name: &str, headers: &[&str]) -> Reader {
        let described = kind(name).unwrap();
        Reader::new(described, Layout::find(Path::new("f"), described.sheet, &[row(1, headers)]).unwrap()).unwrap()
    }

    fn faults(parsed: &Parsed) -> Vec<(&str, Reason)> {
        parsed.violations.iter().map(|v| (v.field.as_str(), v.reason)).collect()
    }

    #[test]
    fn money_is_read_exactly() {
        for (text, read) in [
            ("7860000", 786_000_000),
            ("20,000.5", 2_000_050),
            ("￥１，２３４．５６元", 123_456),
            ("0.07", 7),
            ("-3.10", -310),
            ("90071992547409.93", 9_007_199_254_740_993),
        ] {
            assert_eq!(fen(text).unwrap(), read, "{text}");
        }
        for text in ["", "1.234", "1e3", "1.", ".5", "1,00", "12,3456", "一百", "1.2.3", "--1", "99999999999999999999"]
        {
            assert!(fen(text).is_err(), "{text}");
        }
        let value = |value| read_cell(&value, &Column::new("amount", "金额", Cell::Yuan), &amount(), "");
        assert_eq!(value(Value::Number(1234.5)).unwrap(), Some(Field::I64(123_450)));
        assert!(value(Value::Number(0.1 + 0.2)).is_err(), "nothing is rounded");
    }

    fn amount() -> FieldDescriptor {
        let message = descriptors().get_message_by_name("qianshou.pairing.v1.Payment").unwrap();
        message.get_field_by_name("amount_fen").unwrap()
    }

    #[test]
    fn an_agency_is_read_whatever_hands_wrote_it() {
        let headers = ["机构名称", "统一社会信用代码", "机构类型", "所在地区划代码", "成立日期", "业务领域"];
        let mut reader = reader("agencies", &headers);
        let cells =
            [" 塞上中心\u{3000}", "９１３５０１００ M000100Y43", "民非", "640104", "2018年3月", "儿童福利；老年服务"];
        let parsed = reader.read(&row(2, &cells)).unwrap();
        assert!(parsed.violations.is_empty(), "{:?}", parsed.violations);
        let agency: api::Agency = parsed.message.transcode_to().unwrap();
        let expected = api::Agency {
            display_name: Some("塞上中心".into()),
            uscc: Some("91350100M000100Y43".into()),
            r#type: Some(api::AgencyType::SocialService.into()),
            division: Some("640104".into()),
            founded_on: Some("2018-03-01".into()),
            fields: vec!["儿童福利".into(), "老年服务".into()],
            ..api::Agency::default()
        };
        assert_eq!(agency, expected);
        assert!(reader.read(&row(3, &["", "  ", "\u{3000}"])).is_none());
    }

    #[test]
    fn references_become_look_ups() {
        let headers = ["姓名", "证件号码", "所在地区划代码", "用人单位统一社会信用代码", "服务站点", "编号"];
        let mut reader = reader("workers", &headers);
        let text = |parsed: &Parsed, field: &str| {
            parsed.message.get_field_by_name(field).unwrap().as_str().unwrap_or_default().to_owned()
        };
        let cells = ["甲", "11010519491231002x", "640104", "91350100M000100Y43", "掌政镇/东 社工站", ""];
        let parsed = reader.read(&row(2, &cells)).unwrap();
        assert_eq!(text(&parsed, "employer"), "agencies/91350100M000100Y43");
        assert_eq!(text(&parsed, "station"), "stations/640104/掌政镇/东 社工站");
        // Who is filed under one township may serve in another of the county.
        let cells = ["甲", "11010519491231002x", "640104001", "", "掌政镇社工站", ""];
        assert_eq!(text(&reader.read(&row(3, &cells)).unwrap(), "station"), "stations/640104/掌政镇社工站");
        let cells = ["甲", "", "640104", "nodes/64/agencies/1", "nodes/64/stations/2", "nodes/64/workers/3"];
        let parsed = reader.read(&row(3, &cells)).unwrap();
        assert!(parsed.violations.is_empty(), "a named record keeps its number: {:?}", parsed.violations);
        assert_eq!(text(&parsed, "name"), "nodes/64/workers/3");
        assert_eq!((text(&parsed, "employer"), text(&parsed, "station")), (cells[3].into(), cells[4].into()));
        let parsed = reader.read(&row(4, &["甲", "", "640104", "", "", "nodes/64/agencies/3"])).unwrap();
        assert_eq!(faults(&parsed), [("id_number", Reason::Required)], "another kind's name is none");

        let mut reader = self::reader("certificates", &["身份证号", "级别", "证书编号", "发证时间", "有效期至"]);
        let cells = ["11010519491231002X", "中级", "2019 甲", "2019/9/10", "2024-02"];
        let parsed = reader.read(&row(2, &cells)).unwrap();
        assert_eq!(text(&parsed, "worker"), "workers/11010519491231002X");
        assert_eq!(
            (text(&parsed, "number"), text(&parsed, "registered_until")),
            ("2019 甲".into(), "2024-02-29".into())
        );
    }

    #[test]
    fn every_reason_is_told_and_none_repeats_what_was_typed() {
        let mut reader = reader("workers", &["姓名", "证件号码", "所在地区划代码", "单位类别", "入职日期", "离职日期"]);
        let mut wrong = row(2, &["", "", "640104", "马戏团", "去年", ""]);
        wrong.cells[1] = Value::Number(110_105_194_912_310_020.0);
        wrong.cells[5] = Value::Error("#REF!".into());
        let parsed = reader.read(&wrong).unwrap();
        let expected = [
            ("full_name", Reason::Required),
            ("id_number", Reason::Malformed),
            ("sector", Reason::NotInList),
            ("since", Reason::Malformed),
            ("until", Reason::Malformed),
        ];
        assert_eq!(faults(&parsed), expected);
        let told = format!("{:?}", parsed.violations);
        assert!(!told.contains("11010519") && !told.contains("马戏团"), "{told}");
        assert!(told.contains("社工机构、行政机关") && told.contains("设为文本格式"), "{told}");
    }

    #[test]
    fn equal_rows_that_differ_are_refused_unless_a_number_tells_them_apart() {
        let mut reader = reader("stations", &["站点名称", "站点类型", "所在地区划代码", "品牌", "编号"]);
        let mut read = |number, cells: [&str; 5]| faults_of(&reader.read(&row(number, &cells)).unwrap());
        fn faults_of(parsed: &Parsed) -> Vec<Reason> {
            parsed.violations.iter().map(|v| v.reason).collect()
        }
        assert_eq!(read(2, ["站", "社工站", "640104100", "甲", ""]), []);
        assert_eq!(read(3, ["站", "TOWNSHIP_STATION", "640104100", "甲", ""]), [], "the same again is harmless");
        assert_eq!(read(4, ["站", "社工站", "640104100", "乙", ""]), [Reason::Duplicate]);
        assert_eq!(read(5, ["站", "社工站", "640104100", "乙", "2"]), []);
        assert_eq!(read(6, ["站", "社工站", "640104100", "丙", "nodes/64/stations/7；2"]), []);
        let parsed = reader.read(&row(7, &["站", "社工站", "640104100", "丙", "nodes/64/stations/7；a;b"])).unwrap();
        let station: api::Station = parsed.message.transcode_to().unwrap();
        assert_eq!((station.name(), station.r#ref()), ("nodes/64/stations/7", "a;b"));
        assert_eq!(parsed.message.descriptor().name(), "Station");
    }
}
