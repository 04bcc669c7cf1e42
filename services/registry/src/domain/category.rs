//! Groups of clients (服务对象类别): one list of codes, and local groupings as views of it: 一老一小 is 老年人 with 儿童.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::Category;

type F = Field<Category>;
static FIELDS: [F; 6] = [
    F::code("code", "类别代码", |category| &mut category.code, super::code)
        .or(&["代码", "服务对象代码"])
        .required()
        .key()
        .example("ELDERLY"),
    F::text("title", "类别名称", |category| &mut category.title).or(&["名称", "服务对象"]).required().example("老年人"),
    super::place::<Category>(|category| &mut category.division, "64").key(),
    F::texts("includes", "包含类别", |category| &mut category.includes).or(&["包含代码", "下属类别"]),
    F::day("valid_from", "生效日期", |category| &mut category.valid_from, Days::Any)
        .or(&["启用日期"])
        .example("2023-01-01"),
    F::day("valid_to", "失效日期", |category| &mut category.valid_to, Days::Any).or(&["停用日期"]),
];
static SHEET: Sheet = Sheet::new("服务对象类别", &columns(&FIELDS));

/// The noun.
pub struct Categories;

impl Noun for Categories {
    type Record = Category;

    const COLLECTION: &'static str = "categories";
    const TABLE: &'static str = "registry_categories";
    const COLUMNS: &'static [&'static str] = &["valid_from", "valid_to"];
    const SPAN: Option<(&'static str, &'static str)> = Some(("valid_from", "valid_to"));
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(category: &mut Category, check: &mut Check) {
        check.in_order(("valid_to", &category.valid_to), ("valid_from", &category.valid_from));
        for code in &mut category.includes {
            match super::code(code, check.today) {
                Ok(form) => *code = form,
                Err((reason, detail)) => check.refuse("includes", reason, detail),
            }
        }
        if category.code.as_ref().is_some_and(|code| category.includes.contains(code)) {
            check.refuse("includes", Reason::Malformed, "other groups | 其他类别");
        }
    }

    fn index(category: &Category, _blind: Option<&str>) -> Index {
        let Category { code, division, valid_from, valid_to, .. } = category;
        Index::new(division, super::validity(valid_to), &category.title)
            .code(code)
            .column(valid_from.clone())
            .column(valid_to.clone())
            .claim("code", &[code.as_deref(), division.as_deref()])
    }
}
