//! Templates of assessments (评估模板): the six haves (六有) and local standards, edition by edition. An edition that was used is not
//! changed but followed by another, or old assessments would no longer say what they said.

use qianshou_kernel::{
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Column, Sheet},
};
use qianshou_proto::registry::v1::{Criterion, Template};

type C = Field<Criterion>;
static CRITERION: [C; 5] = [
    C::text("code", "编码", |criterion| &mut criterion.code).required(),
    C::text("title", "指标", |criterion| &mut criterion.title).required(),
    C::flag("required", "必备", |criterion| &mut criterion.required),
    C::count("weight", "权重", |criterion| &mut criterion.weight, 0..=10_000),
    C::count("least", "达标分", |criterion| &mut criterion.least, 0..=POINTS),
];
static CRITERION_COLUMNS: [Column; 5] = columns(&CRITERION);
static CRITERIA: Parts<Template, Criterion> = Parts { at: |template| &mut template.criteria, fields: &CRITERION };

type F = Field<Template>;
static FIELDS: [F; 7] = [
    F::text("name", "模板名称", |template| &mut template.display_name)
        .or(&["标准名称", "名称", "评估模板"])
        .fills("display_name")
        .required()
        .key()
        .example("乡镇（街道）社工站建设规范"),
    F::text("edition", "版本", |template| &mut template.edition).or(&["版次", "年版"]).required().key().example("2023"),
    F::text("issuer", "发布单位", |template| &mut template.issuer)
        .or(&["制定单位", "发布机关"])
        .example("自治区党委社会工作部"),
    super::place::<Template>(|template| &mut template.division, "64").key(),
    F::parts("criteria", "指标", &CRITERIA, &CRITERION_COLUMNS)
        .or(&["评估指标", "指标项"])
        .example("A1｜有固定场地｜是｜60｜80；A2｜有办公设备｜否｜40"),
    F::day("valid_from", "生效日期", |template| &mut template.valid_from, Days::Any)
        .or(&["实施日期", "生效时间", "启用日期"])
        .required()
        .example("2023-01-01"),
    F::day("valid_to", "失效日期", |template| &mut template.valid_to, Days::Any).or(&["停用日期", "废止日期"]),
];
static SHEET: Sheet = Sheet::new("评估模板", &columns(&FIELDS));

/// Points of a criterion at most.
pub(super) const POINTS: u32 = 100;

/// The noun.
pub struct Templates;

impl Noun for Templates {
    type Record = Template;

    const COLLECTION: &'static str = "templates";
    const TABLE: &'static str = "registry_templates";
    const COLUMNS: &'static [&'static str] = &["valid_from", "valid_to"];
    const SPAN: Option<(&'static str, &'static str)> = Some(("valid_from", "valid_to"));
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(template: &mut Template, check: &mut Check) {
        check.in_order(("valid_to", &template.valid_to), ("valid_from", &template.valid_from));
        super::each_once(check, ("criteria", "code"), template.criteria.iter().map(|c| &c.code));
    }

    fn index(template: &Template, _blind: Option<&str>) -> Index {
        let Template { display_name, edition, division, valid_from, valid_to, .. } = template;
        Index::new(division, super::validity(valid_to), display_name)
            .column(valid_from.clone())
            .column(valid_to.clone())
            .claim("display_name", &[display_name.as_deref(), edition.as_deref(), division.as_deref()])
    }

    /// By what was assessed already stays as it was.
    fn settle(template: &mut Template, _referred: &Referred<'_>, check: &mut Check) {
        if check.stood::<Template>().is_some_and(|stood| stood.criteria != template.criteria) {
            check.frozen("criteria");
        }
    }
}
