//! Posts (社会工作岗位): what a unit has set up for social workers, by category, in numbers.

use qianshou_kernel::{
    kind::{Check, Days, Field, Index, Noun, Staff, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{Post, Sector};

use super::{or_none, worker::SECTORS};

type F = Field<Post>;
static FIELDS: [F; 9] = [
    F::text("name", "岗位名称", |post| &mut post.display_name)
        .or(&["岗位", "名称"])
        .fills("display_name")
        .required()
        .key()
        .example("社会工作岗"),
    super::agency::by_uscc("employer_uscc", "设岗单位统一社会信用代码", |post: &mut Post| {
        &mut post.employer
    })
    .or(&["设岗单位信用代码", "单位统一社会信用代码", "单位信用代码", "统一社会信用代码", "信用代码"])
    .fills("employer")
    .key()
    .example("91350100M000100Y43"),
    F::text("category", "岗位类别", |post| &mut post.category)
        .or(&["岗位类型", "类别"])
        .required()
        .key()
        .example("专业技术岗位"),
    super::place::<Post>(|post| &mut post.division, "640104").key(),
    F::count("count", "数量", |post| &mut post.count, 1..=1_000_000)
        .or(&["岗位数量", "岗位数", "设岗数量", "个数"])
        .example("2"),
    F::day("since", "设岗日期", |post| &mut post.since, Days::Past)
        .or(&["设岗时间", "设置日期", "设立日期"])
        .example("2021-01-01"),
    F::day("ended_on", "撤岗日期", |post| &mut post.ended_on, Days::Any).or(&["撤岗时间", "取消日期"]),
    F::text("title_link", "对应职称", |post| &mut post.title_link).or(&["职称", "关联职称"]).example("社会工作师"),
    F::choice::<Sector>("sector", "单位类别", |post| &mut post.sector, &SECTORS)
        .or(&["单位性质", "单位类型"])
        .example("社工机构"),
];
static SHEET: Sheet = Sheet::new("社会工作岗位", &columns(&FIELDS));

/// The noun.
pub struct Posts;

impl Noun for Posts {
    type Record = Post;

    const COLLECTION: &'static str = "posts";
    const TABLE: &'static str = "registry_posts";
    const OWNERS: &'static [&'static str] = &["employer"];
    const STAFF: Staff = Staff::Keeps;
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(post: &mut Post, check: &mut Check) {
        post.count.get_or_insert(1);
        check.in_order(("ended_on", &post.ended_on), ("since", &post.since));
        check.text("ref", &mut post.r#ref);
    }

    fn index(post: &Post, _blind: Option<&str>) -> Index {
        let state = if post.ended_on.is_some() { "CLOSED" } else { "OPEN" };
        let Post { display_name, employer, category, division, .. } = post;
        let mut key = vec![display_name.as_deref(), or_none(employer), category.as_deref(), division.as_deref()];
        key.extend(post.r#ref.as_deref().map(Some));
        Index::new(division, state, display_name).claim("display_name", &key).link("employer", employer)
    }
}
