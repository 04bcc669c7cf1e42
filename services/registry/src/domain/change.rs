//! Changes of divisions (行政区划变更): what became of which codes, and from which day. Only the nation writes them; the embedded ones
//! are read from the lists by the rule of [`history`](super::history).
//!
//! What that rule leaves undecided stands as a pair, `ABOLISHED` and `CREATED` on one day, and is listed by these states. An operator who
//! knows better updates the one to what it was (kind, `to`) and deletes the other: lists and tables follow, and the successor goes on as
//! the same place.

use qianshou_kernel::{
    error::Reason,
    id::Area,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::{Choice, Sheet},
    succession::PART_MOST,
};
use qianshou_proto::registry::v1::{Change, ChangeKind};

static KINDS: [Choice; 7] = [
    Choice::new("CREATED", "设立", &["新设", "新增"]),
    Choice::new("ABOLISHED", "撤销", &["取消"]),
    Choice::new("RENAMED", "更名", &["改名"]),
    Choice::new("RECODED", "代码变更", &["变更代码", "撤县设区", "撤县设市", "撤市设区"]),
    Choice::new("MERGED", "合并", &["并入"]),
    Choice::new("SPLIT", "拆分", &["析置", "分设"]),
    Choice::new("MOVED", "划转", &["划归", "隶属变更"]),
];

/// Changes after which a division is the place it was.
pub(crate) const SAME_PLACE: [ChangeKind; 3] = [ChangeKind::Renamed, ChangeKind::Recoded, ChangeKind::Moved];

type F = Field<Change>;
static FIELDS: [F; 7] = [
    F::choice::<ChangeKind>("kind", "变更类型", |change| &mut change.kind, &KINDS)
        .or(&["类型", "变更方式"])
        .required()
        .example("代码变更"),
    F::day("effective_on", "生效日期", |change| &mut change.effective_on, Days::Any)
        .or(&["变更日期", "启用日期"])
        .required()
        .key()
        .example("2021-10-31"),
    F::divisions("from", "原代码", |change| &mut change.from).or(&["变更前代码", "原区划代码"]).key().example("350427"),
    F::divisions("to", "现代码", |change| &mut change.to)
        .or(&["变更后代码", "现区划代码", "新代码"])
        .key()
        .example("350405"),
    F::counts("parts", "份额", |change| &mut change.parts).or(&["占比", "比例"]),
    F::text("document", "依据文件", |change| &mut change.document).or(&["批准文号", "文号", "依据"]),
    F::text("note", "备注", |change| &mut change.note).or(&["说明"]),
];
static SHEET: Sheet = Sheet::new("行政区划变更", &columns(&FIELDS));

/// The noun.
pub struct Changes;

impl Noun for Changes {
    type Record = Change;

    const COLLECTION: &'static str = "changes";
    const TABLE: &'static str = "registry_changes";
    const COLUMNS: &'static [&'static str] = &["effective_on"];
    const HOME: Option<&'static str> = Some(Area::NATION);
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(change: &mut Change, check: &mut Check) {
        if !change.parts.is_empty() && change.parts.len() != change.to.len() {
            check.refuse("parts", Reason::Malformed, "one for each code after | 与现代码一一对应");
        }
        if !change.parts.is_empty() && change.parts.iter().all(|part| *part == 0) {
            check.refuse("parts", Reason::Malformed, "more than 0 | 大于 0");
        }
        if change.parts.iter().any(|part| *part > PART_MOST) {
            check.refuse("parts", Reason::Malformed, format!("0–{PART_MOST}"));
        }
        let (least, most): ([usize; 2], [usize; 2]) = match change.kind() {
            ChangeKind::Unspecified => return,
            ChangeKind::Created => ([0, 1], [0, 50]),
            ChangeKind::Abolished => ([1, 0], [50, 0]),
            ChangeKind::Renamed | ChangeKind::Recoded | ChangeKind::Moved => ([1, 1], [1, 1]),
            ChangeKind::Merged => ([2, 1], [50, 1]),
            ChangeKind::Split => ([1, 2], [1, 50]),
        };
        for (i, (field, codes)) in [("from", &change.from), ("to", &change.to)].into_iter().enumerate() {
            if codes.len() < least[i] {
                check.refuse(field, Reason::Required, "");
            } else if codes.len() > most[i] {
                check.refuse(field, Reason::TooMany, most[i]);
            }
        }
    }

    fn index(change: &Change, _blind: Option<&str>) -> Index {
        let first = change.from.first().or(change.to.first());
        let state = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_");
        Index::new(&first.cloned(), state, &change.document)
            .of_type(change.kind().as_str_name(), "CHANGE_KIND_")
            .column(change.effective_on.clone())
            .claim("effective_on", &[change.effective_on.as_deref(), first.map(String::as_str)])
    }
}
