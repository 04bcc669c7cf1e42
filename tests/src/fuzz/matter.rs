//! What sound inputs are made of: messages of any type by its descriptor, and texts as people and their programs write them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use qianshou_kernel::wire::{put_bytes, put_text, put_varint};

use super::chance::Chance;

/// Messages within messages at most.
const DEPTH: usize = 4;

/// Texts of every sort: names, codes, dates, amounts, and what only looks like one.
pub const TEXTS: [&str; 64] = [
    "",
    " ",
    "兴庆区掌政镇社工站",
    "银川市金凤区慈善总会",
    "重庆西安厦门长行",
    "掌政 ＳＷ Station",
    "xingqing",
    "xqq",
    "64",
    "640104",
    "640104012001",
    "64010",
    "640000000000",
    "00",
    "999999",
    "６４０１０４",
    "2023-05-01",
    "2023/5/1",
    "2023.5.1",
    "2023年5月1日",
    "2023年05月",
    "２０２３年５月１日",
    "20230501",
    "2023-13-01",
    "2023-02-30",
    "9999-12-31",
    "0000-00-00",
    "45047",
    "91350100M000100Y43",
    "９１３５０１００M000100Y43",
    "11010519491231002X",
    "1101051949123100２Ｘ",
    "nodes/64/agencies/0190-ab",
    "nodes/35/workers/0190-ab",
    "nodes/64/agencies/",
    "agencies/91350100M000100Y43",
    "stations/640104012/兴庆区社工站",
    "workers/11010519491231002X",
    "20,000.5",
    "￥１，２３４．５６元",
    "1e309",
    "-3.10",
    "99999999999999999999",
    "0.07",
    "1.234",
    "是",
    "否",
    "民非",
    "县级指导中心",
    "儿童福利；老年服务;；",
    "编码｜指标｜必备｜权重",
    "A\\；B|C",
    "=1+1",
    "'=cmd|' /C calc'!A0",
    "＝1",
    "\u{202e}逆\u{200b}隐\u{feff}",
    "\u{1b}[31m",
    "a\0b",
    "\r\n\t",
    "#N/A",
    "https://127.0.0.1:7443",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "İıſK",
    "𠮷野家𡨴",
];

/// A text, from a list, from parts of several, or of characters at random.
pub fn text(chance: &mut Chance) -> String {
    let mut text = (*chance.one(&TEXTS)).to_owned();
    match chance.below(8) {
        0 => text += *chance.one(&TEXTS),
        1 => text = text.chars().take(chance.below(8)).collect(),
        2 => text = characters(chance),
        3 => text = text.repeat(1 + chance.below(12)),
        _ => {}
    }
    text
}

fn characters(chance: &mut Chance) -> String {
    let ranges: [(u32, u32); 7] = [
        (0x20, 0x7f),
        (0x30, 0x3a),
        (0x61, 0x7b),
        (0x4e00, 0x9fff),
        (0xff01, 0xff5e),
        (0x0, 0x250),
        (0x1_f600, 0x1_f64f),
    ];
    let (from, to) = *chance.one(&ranges);
    let length = chance.below(24);
    (0..length).filter_map(|_| char::from_u32(from + chance.below((to - from) as usize) as u32)).collect()
}

/// A message of this type, as an encoder writes it: every field as likely there as not.
pub fn message(chance: &mut Chance, of: &MessageDescriptor) -> Vec<u8> {
    within(chance, of, 0)
}

fn within(chance: &mut Chance, of: &MessageDescriptor, depth: usize) -> Vec<u8> {
    let mut out = vec![];
    let all = chance.percent(30);
    for field in of.fields() {
        if all || chance.percent(50) {
            put_field(chance, &mut out, &field, depth);
        }
    }
    if chance.percent(5) {
        // What a newer contract might say.
        put_text(&mut out, 100 + chance.below(900) as u32, "unknown");
    }
    out
}

fn put_field(chance: &mut Chance, out: &mut Vec<u8>, field: &FieldDescriptor, depth: usize) {
    let number = field.number();
    if field.is_packed() {
        let mut packed = vec![];
        for _ in 0..chance.below(5) {
            super::script::put_length(&mut packed, scalar(chance, field));
        }
        return put_bytes(out, number, &packed);
    }
    let times = if field.is_list() { chance.below(4) } else { 1 };
    for _ in 0..times {
        match field.kind() {
            Kind::String => put_text(out, number, &fitting(chance, field.name())),
            Kind::Bytes => {
                let bytes = chance.bytes(40);
                put_bytes(out, number, &bytes);
            }
            Kind::Message(inner) if depth < DEPTH => {
                let inner = within(chance, &inner, depth + 1);
                put_bytes(out, number, &inner);
            }
            Kind::Message(_) => put_bytes(out, number, &[]),
            _ => put_varint(out, number, scalar(chance, field)),
        }
    }
}

fn scalar(chance: &mut Chance, field: &FieldDescriptor) -> u64 {
    match field.kind() {
        Kind::Bool => u64::from(chance.percent(50)),
        Kind::Enum(of) => {
            let known: Vec<i32> = of.values().map(|value| value.number()).collect();
            if chance.percent(90) { *chance.one(&known) as u64 } else { chance.number() }
        }
        Kind::Int32 => chance.number() as i32 as i64 as u64,
        Kind::Uint32 => chance.number() & u64::from(u32::MAX),
        _ => chance.number(),
    }
}

/// A text as a field of this name may hold it, most of the time.
fn fitting(chance: &mut Chance, field: &str) -> String {
    if chance.percent(20) {
        return text(chance);
    }
    let ends = |marks: &[&str]| marks.iter().any(|mark| field.ends_with(mark));
    match field {
        "kind" => (*chance.one(&["agencies", "stations", "workers", "payments", "nobodies"])).to_owned(),
        "node" | "home" | "provider" | "consumer" => (*chance.one(&["64", "35", "00", "6x"])).to_owned(),
        _ if ends(&["_on", "since", "until", "from", "valid_to", "ends", "on"]) => {
            format!("20{:02}-{:02}-{:02}", 10 + chance.below(30), 1 + chance.below(12), 1 + chance.below(28))
        }
        _ if ends(&["division", "area", "code"]) => {
            let digits = *chance.one(&[2, 4, 6, 9, 12]);
            "640104012001"[..digits].to_owned()
        }
        _ if ends(&["uscc"]) => "91350100M000100Y43".to_owned(),
        _ if ends(&["id_number"]) => "11010519491231002X".to_owned(),
        "etag" => format!("{}.{}", chance.below(3), chance.number()),
        "name" => format!("nodes/64/agencies/{:x}", chance.number()),
        _ => text(chance),
    }
}
