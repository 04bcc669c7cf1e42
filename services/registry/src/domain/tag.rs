//! Tags (标签): what a division is marked as during an interval, such as 国家乡村振兴重点帮扶县 or 易地搬迁安置区.

use qianshou_kernel::{
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::registry::v1::{Tag, TagLabel};

static LABELS: [Choice; 3] = [
    Choice::new("KEY_COUNTY", "重点帮扶县", &["国家乡村振兴重点帮扶县", "乡村振兴重点帮扶县", "帮扶县"]),
    Choice::new("RELOCATION", "易地搬迁安置区", &["易地扶贫搬迁安置区", "安置区", "搬迁安置区"]),
    Choice::new("OTHER", "其他", &["其它"]),
];

type F = Field<Tag>;
static FIELDS: [F; 6] = [
    super::place::<Tag>(|tag| &mut tag.division, "640424").key(),
    F::choice::<TagLabel>("label", "标签", |tag| &mut tag.label, &LABELS)
        .or(&["标签类型", "类型", "地区类型"])
        .required()
        .key()
        .example("重点帮扶县"),
    F::text("text", "说明", |tag| &mut tag.text).or(&["标签说明", "名称"]).key(),
    F::day("since", "开始日期", |tag| &mut tag.since, Days::Any)
        .or(&["生效日期", "认定日期", "起始日期"])
        .required()
        .key()
        .example("2021-08-27"),
    F::day("until", "结束日期", |tag| &mut tag.until, Days::Any).or(&["失效日期", "终止日期"]),
    F::text("source", "依据", |tag| &mut tag.source).or(&["来源", "文件依据"]).example("国乡振发〔2021〕7号"),
];
static SHEET: Sheet = Sheet::new("地区标签", &columns(&FIELDS));

/// The noun.
pub struct Tags;

impl Noun for Tags {
    type Record = Tag;

    const COLLECTION: &'static str = "tags";
    const TABLE: &'static str = "registry_tags";
    const COLUMNS: &'static [&'static str] = &["since", "until"];
    const SPAN: Option<(&'static str, &'static str)> = Some(("since", "until"));
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(tag: &mut Tag, check: &mut Check) {
        if tag.label() == TagLabel::Other {
            check.required("text", &tag.text);
        }
        check.in_order(("until", &tag.until), ("since", &tag.since));
    }

    fn index(tag: &Tag, _blind: Option<&str>) -> Index {
        let label = tag.label.map(|label| label.to_string());
        let Tag { division, since, until, text, .. } = tag;
        let mut key = vec![division.as_deref(), label.as_deref(), since.as_deref()];
        key.extend(text.as_deref().map(Some));
        Index::new(division, super::validity(until), text)
            .of_type(tag.label().as_str_name(), "TAG_LABEL_")
            .column(since.clone())
            .column(until.clone())
            .claim("division", &key)
            .shares("division", division.clone())
    }
}
