//! Dispatches (选派): a worker is sent somewhere for a time, and takes part in projects there. The citizen number is sealed, as a worker's is.

use qianshou_kernel::{
    error::Reason,
    identifier::citizen_form,
    joint,
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Column, Sheet},
};
use qianshou_proto::pairing::v1::{Dispatch, Extension};

use super::{number_key, unnumbered_key};

type E = Field<Extension>;
static EXTENSION: [E; 2] = [
    E::day("on", "决定日期", |extension| &mut extension.on, Days::Any).required(),
    E::last_day("until", "延长至", |extension| &mut extension.until).required(),
];
static EXTENSION_COLUMNS: [Column; 2] = columns(&EXTENSION);
static EXTENSIONS: Parts<Dispatch, Extension> = Parts { at: |dispatch| &mut dispatch.extensions, fields: &EXTENSION };

type F = Field<Dispatch>;
static FIELDS: [F; 13] = [
    super::programme::<Dispatch>(|dispatch| &mut dispatch.programme, "三区计划").required().key(),
    super::year::<Dispatch>(|dispatch| &mut dispatch.year),
    F::text("name", "姓名", |dispatch| &mut dispatch.full_name).or(&["人员姓名"]).fills("full_name").example("张三"),
    F::secret("id_number", "证件号码", |dispatch| &mut dispatch.id_number, citizen_form)
        .or(&["身份证号", "身份证号码", "身份证", "证件号", "居民身份证号", "公民身份号码"])
        .required()
        .key()
        .example("11010519491231002X"),
    F::division("division", "接收地区划代码", |dispatch| &mut dispatch.host_division)
        .or(&["接收地区代码", "接收地区", "服务地区划代码"])
        .fills("host_division")
        .required()
        .key()
        .example("640422"),
    F::day("from", "开始日期", |dispatch| &mut dispatch.from, Days::Any)
        .or(&["起始日期", "选派开始日期", "开始时间"])
        .required()
        .key()
        .example("2023-04-01"),
    F::last_day("until", "结束日期", |dispatch| &mut dispatch.until)
        .or(&["终止日期", "选派结束日期", "结束时间"])
        .example("2024-03-31"),
    F::texts("projects", "参与项目", |dispatch| &mut dispatch.projects)
        .or(&["项目", "参与项目名称"])
        .example("银龄陪伴"),
    F::text("number", "派遣编号", |dispatch| &mut dispatch.number).or(&["选派编号"]).example("2023-001"),
    F::day("returned_on", "提前返回日期", |dispatch| &mut dispatch.returned_on, Days::Past).or(&["返回日期"]),
    F::parts("extensions", "延期记录", &EXTENSIONS, &EXTENSION_COLUMNS).or(&["延期"]).example("2024-03-01｜2024-03-31"),
    F::reference("replaces", "接替", |dispatch| &mut dispatch.replaces, Dispatches::COLLECTION, "name")
        .or(&["接替派遣"]),
    F::division("home_division", "派出地区划代码", |dispatch| &mut dispatch.division)
        .or(&["派出地区代码", "派出地区"])
        .fills("division")
        .example("6401"),
];
static SHEET: Sheet = Sheet::new("选派人员", &columns(&FIELDS));

/// The noun.
pub struct Dispatches;

impl Noun for Dispatches {
    type Record = Dispatch;

    const COLLECTION: &'static str = "dispatches";
    const TABLE: &'static str = "pairing_dispatches";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;
    const PERSON: Option<u32> = Some(7);

    fn check(dispatch: &mut Dispatch, check: &mut Check) {
        // A pseudonym is written by the exchange, on the way out.
        dispatch.person = None;
        let home = check.home.clone();
        dispatch.division.get_or_insert(home);
        let (last, count) = (dispatch.extensions.last(), dispatch.extensions.len());
        let last = last.and_then(|extension| extension.until.clone());
        let field = format!("extensions[{}].until", count.saturating_sub(1));
        check.in_order((&field, &last), ("until", &dispatch.until));
        dispatch.until = last.or(dispatch.until.take());
        let Dispatch { programme, year, from, until, returned_on, extensions, .. } = &*dispatch;
        check.in_order(("until", until), ("from", from));
        check.in_order(("returned_on", returned_on), ("from", from));
        check.in_order(("until", until), ("returned_on", returned_on));
        super::in_their_order(check, ("extensions", "on"), extensions.iter().map(|extension| &extension.on));
        super::in_their_order(check, ("extensions", "until"), extensions.iter().map(|extension| &extension.until));
        let of = |project: &String| joint::key(&[programme.as_deref(), year.as_deref(), Some(project)]);
        dispatch.participations = dispatch.projects.iter().filter_map(of).collect();
    }

    fn index(dispatch: &Dispatch, blind: Option<&str>) -> Index {
        let Dispatch { programme, year, host_division, from, number, returned_on, .. } = dispatch;
        let state = if returned_on.is_some() { "RETURNED" } else { "SENT" };
        let (programme, year) = (programme.as_deref(), year.as_deref());
        Index::new(&dispatch.division, state, &dispatch.full_name)
            .claim("id_number", &[programme, year, blind, host_division.as_deref(), from.as_deref()])
            .claim("number", &[programme, year, number.as_deref()])
            .link("replaces", &dispatch.replaces)
            .shares("number", number_key(programme, year, number.as_deref()))
            .shares(
                "unnumbered",
                if number.is_none() { unnumbered_key(programme, year, host_division.as_deref()) } else { None },
            )
    }

    /// Whoever takes another's place does so in the same programme, and not before that one has gone.
    fn settle(dispatch: &mut Dispatch, referred: &Referred<'_>, check: &mut Check) {
        let Some(before) = super::referred_to::<Dispatch>(&dispatch.replaces, referred) else { return };
        let gone = before.returned_on.or(before.until);
        if before.programme.is_some() && before.programme != dispatch.programme {
            check.refuse("replaces", Reason::Malformed, "of the same programme | 同一计划的派遣");
        } else if gone.is_none() {
            check.refuse("replaces", Reason::Malformed, "of somebody who has returned | 已返回或已到期的派遣");
        }
        check.in_order(("from", &dispatch.from), ("replaces", &gone));
    }

    fn counts_at(dispatch: &Dispatch) -> Option<(&'static str, &str)> {
        Some(("host_division", dispatch.host_division.as_deref()?))
    }

    fn take_secret(dispatch: &mut Dispatch) -> Option<String> {
        dispatch.id_number.take()
    }
}
