//! Arrivals (到岗): the host's half of a dispatch. It names the dispatch by its number, whether that is here or not.

use qianshou_kernel::{
    clock::day_after,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::Arrival;

use super::number_key;

type F = Field<Arrival>;
static FIELDS: [F; 8] = [
    super::programme::<Arrival>(|arrival| &mut arrival.programme, "三区计划").required().key(),
    super::year::<Arrival>(|arrival| &mut arrival.year),
    F::text("number", "派遣编号", |arrival| &mut arrival.number).or(&["选派编号"]).required().key().example("2023-001"),
    F::division("division", "接收地区划代码", |arrival| &mut arrival.division)
        .or(&["接收地区代码", "接收地区", "服务地区划代码"])
        .required()
        .example("640422"),
    F::day("from", "到岗日期", |arrival| &mut arrival.from, Days::Past)
        .or(&["开始日期"])
        .required()
        .key()
        .example("2023-04-01"),
    F::last_day("until", "离岗日期", |arrival| &mut arrival.until).or(&["结束日期"]),
    F::count("service_days", "服务天数", |arrival| &mut arrival.service_days, 0..=4_000).or(&["服务日"]).example("120"),
    F::flag("confirmed", "是否确认", |arrival| &mut arrival.confirmed).or(&["确认"]).example("是"),
];
static SHEET: Sheet = Sheet::new("到岗确认", &columns(&FIELDS));

/// The noun.
pub struct Arrivals;

impl Noun for Arrivals {
    type Record = Arrival;

    const COLLECTION: &'static str = "arrivals";
    const TABLE: &'static str = "pairing_arrivals";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const COLUMNS: &'static [&'static str] = &["left_on"];
    const PHASES: &'static [(&'static str, &'static str)] = &[("LEFT", "left_on")];
    const INDEX_LEVEL: i64 = 2;

    fn check(arrival: &mut Arrival, check: &mut Check) {
        check.in_order(("until", &arrival.until), ("from", &arrival.from));
    }

    fn index(arrival: &Arrival, _blind: Option<&str>) -> Index {
        let Arrival { programme, year, number, from, until, .. } = arrival;
        Index::new(&arrival.division, "SERVING", number)
            .column(day_after(until))
            .claim("number", &[programme.as_deref(), year.as_deref(), number.as_deref(), from.as_deref()])
            .shares("number", number_key(programme.as_deref(), year.as_deref(), number.as_deref()))
    }
}
