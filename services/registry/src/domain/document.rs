//! Documents (文件): policies, plans, notices and local standards, with their numbers and whether they are in force.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::registry::v1::{Document, DocumentKind, DocumentStatus};

static KINDS: [Choice; 5] = [
    Choice::new("POLICY", "政策", &["政策文件", "意见", "办法", "法规"]),
    Choice::new("LOCAL_STANDARD", "地方标准", &["标准"]),
    Choice::new("PLAN", "规划", &["计划", "方案", "实施方案"]),
    Choice::new("NOTICE", "通知", &["通报", "公告"]),
    Choice::new("OTHER", "其他", &["其它"]),
];
static STATUSES: [Choice; 3] = [
    Choice::new("DRAFT", "征求意见", &["草案", "征求意见稿"]),
    Choice::new("IN_FORCE", "现行有效", &["有效", "现行", "施行"]),
    Choice::new("REPEALED", "废止", &["已废止", "失效"]),
];

type F = Field<Document>;
static FIELDS: [F; 10] = [
    F::text("title", "文件名称", |document| &mut document.title)
        .or(&["标题", "名称", "文件标题"])
        .required()
        .key()
        .example("关于加强乡镇（街道）社工站建设的意见"),
    F::text("number", "文号", |document| &mut document.number)
        .or(&["发文字号", "文件号", "标准号"])
        .key()
        .example("宁民发〔2021〕15号"),
    F::choice::<DocumentKind>("kind", "文件类型", |document| &mut document.kind, &KINDS)
        .or(&["类型", "类别", "文种"])
        .required()
        .example("政策"),
    F::texts("issuers", "发文单位", |document| &mut document.issuers)
        .or(&["发文机关", "发布单位", "印发单位", "发布机关"])
        .required()
        .key()
        .example("自治区民政厅；自治区财政厅"),
    F::day("issued_on", "发文日期", |document| &mut document.issued_on, Days::Past)
        .or(&["印发日期", "发布日期", "成文日期"])
        .required()
        .key()
        .example("2021-04-20"),
    F::day("in_force_on", "施行日期", |document| &mut document.in_force_on, Days::Any)
        .or(&["实施日期", "生效日期"])
        .example("2021-05-01"),
    F::day("repealed_on", "废止日期", |document| &mut document.repealed_on, Days::Any).or(&["失效日期"]),
    F::choice::<DocumentStatus>("status", "效力状态", |document| &mut document.status, &STATUSES)
        .or(&["状态", "效力", "时效性"])
        .example("现行有效"),
    super::place::<Document>(|document| &mut document.division, "64").or(&[
        "适用地区划代码",
        "适用地区",
        "区划代码",
        "行政区划代码",
        "地区代码",
    ]),
    F::text("url", "网址", |document| &mut document.url)
        .or(&["链接", "原文链接"])
        .example("https://www.example.org/2021/15"),
];
static SHEET: Sheet = Sheet::new("政策标准文件", &columns(&FIELDS));

/// The noun.
pub struct Documents;

impl Noun for Documents {
    type Record = Document;

    const COLLECTION: &'static str = "documents";
    const TABLE: &'static str = "registry_documents";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(document: &mut Document, check: &mut Check) {
        let usual = if document.repealed_on.is_some() { DocumentStatus::Repealed } else { DocumentStatus::InForce };
        document.status.get_or_insert(usual.into());
        let repealed = ("repealed_on", &document.repealed_on);
        check.in_order(repealed, ("issued_on", &document.issued_on));
        check.in_order(repealed, ("in_force_on", &document.in_force_on));
        if document.url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            check.refuse("url", Reason::Malformed, "https://…");
        }
    }

    fn index(document: &Document, _blind: Option<&str>) -> Index {
        let state = document.status().as_str_name().trim_start_matches("DOCUMENT_STATUS_");
        let Document { title, number, issued_on, .. } = document;
        let index = Index::new(&document.division, state, title)
            .of_type(document.kind().as_str_name(), "DOCUMENT_KIND_")
            .also(number);
        match number {
            Some(_) => index.claim("number", &[number.as_deref(), document.issuers.first().map(String::as_str)]),
            None => index.claim("title", &[title.as_deref(), issued_on.as_deref()]),
        }
    }
}
