//! Quotas (配额): how posts or people are to be distributed over sectors, categories, levels or fields, by shares or by numbers
//! (岗位、人才配额与领域分布).

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::registry::v1::{Quota, QuotaBasis, QuotaPart};

use super::{certificate::LEVELS, worker::SECTORS};

static BASES: [Choice; 4] = [
    Choice::new("SECTOR", "单位类别", &["单位性质", "单位类型"]),
    Choice::new("CATEGORY", "岗位类别", &["岗位类型"]),
    Choice::new("LEVEL", "证书级别", &["职业水平", "级别"]),
    Choice::new("FIELD", "服务领域", &["领域", "业务领域"]),
];

type P = Field<QuotaPart>;
static PART: [P; 3] = [
    P::text("value", "类别", |part| &mut part.value).required(),
    P::count("share", "份额（万分比）", |part| &mut part.share, 0..=WHOLE),
    P::count("planned", "计划数", |part| &mut part.planned, 0..=100_000_000),
];
static PART_COLUMNS: [Column; 3] = columns(&PART);
static PARTS: Parts<Quota, QuotaPart> = Parts { at: |quota| &mut quota.parts, fields: &PART };

type F = Field<Quota>;
static FIELDS: [F; 6] = [
    F::text("title", "方案名称", |quota| &mut quota.title)
        .or(&["名称", "配额名称", "标题"])
        .required()
        .key()
        .example("社会工作岗位设置方案"),
    super::place::<Quota>(|quota| &mut quota.division, "64").key(),
    F::choice::<QuotaBasis>("basis", "分配依据", |quota| &mut quota.basis, &BASES)
        .or(&["依据", "分配方式"])
        .required()
        .example("单位类别"),
    F::parts("parts", "配额", &PARTS, &PART_COLUMNS)
        .or(&["份额", "分配"])
        .required()
        .example("AGENCY｜4000｜120；INSTITUTION｜2500｜75；COMMUNITY｜3500｜105"),
    F::day("since", "生效日期", |quota| &mut quota.since, Days::Any)
        .or(&["实行日期", "开始日期"])
        .required()
        .key()
        .example("2023-01-01"),
    F::day("until", "失效日期", |quota| &mut quota.until, Days::Any).or(&["终止日期", "结束日期"]),
];
static SHEET: Sheet = Sheet::new("岗位与人才配额", &columns(&FIELDS));

/// All of it, in hundredths of a percent.
const WHOLE: u32 = 10_000;

/// The noun.
pub struct Quotas;

impl Noun for Quotas {
    type Record = Quota;

    const COLLECTION: &'static str = "quotas";
    const TABLE: &'static str = "registry_quotas";
    const COLUMNS: &'static [&'static str] = &["since", "until"];
    const SPAN: Option<(&'static str, &'static str)> = Some(("since", "until"));
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(quota: &mut Quota, check: &mut Check) {
        check.in_order(("until", &quota.until), ("since", &quota.since));
        if let Some(known) = values_of(quota.basis()) {
            for (i, part) in quota.parts.iter_mut().enumerate() {
                let Some(text) = part.value.as_deref() else { continue };
                match known.iter().find(|choice| is_called(choice, text)) {
                    Some(choice) => part.value = Some(choice.name.to_owned()),
                    None => {
                        let names: Vec<&str> = known.iter().map(|choice| choice.name).collect();
                        check.refuse(&format!("parts[{i}].value"), Reason::NotInList, names.join("、"));
                    }
                }
            }
        }
        super::each_once(check, ("parts", "value"), quota.parts.iter().map(|part| &part.value));
        let shares: Vec<u64> = quota.parts.iter().filter_map(|part| part.share).map(u64::from).collect();
        let sum: u64 = shares.iter().sum();
        if !shares.is_empty() && sum != u64::from(WHOLE) {
            let detail = format!("shares of {WHOLE} in all, not {sum} | 份额合计{WHOLE}，现为{sum}");
            check.refuse("parts", Reason::Malformed, detail);
        }
    }

    fn index(quota: &Quota, _blind: Option<&str>) -> Index {
        let Quota { title, division, since, until, .. } = quota;
        Index::new(division, super::validity(until), title)
            .of_type(quota.basis().as_str_name(), "QUOTA_BASIS_")
            .column(since.clone())
            .column(until.clone())
            .claim("title", &[title.as_deref(), division.as_deref(), since.as_deref()])
    }
}

/// The closed list of a basis; `None`: it has none, the authority says what there is.
fn values_of(basis: QuotaBasis) -> Option<&'static [Choice]> {
    match basis {
        QuotaBasis::Sector => Some(&SECTORS),
        QuotaBasis::Level => Some(&LEVELS),
        QuotaBasis::Unspecified | QuotaBasis::Category | QuotaBasis::Field => None,
    }
}

fn is_called(choice: &Choice, text: &str) -> bool {
    let mut names = [choice.name, choice.text].into_iter().chain(choice.variants.iter().copied());
    names.any(|name| name.eq_ignore_ascii_case(text))
}
