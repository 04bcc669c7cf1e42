//! Measures (成效指标, 绩效指标): what was to be reached and what was, of a project or of money. Zero is a value; absent is not yet measured.

use qianshou_kernel::{
    kind::{Check, Days, Field, columns},
    sheet::Column,
};
use qianshou_proto::pairing::v1::Measure;

/// The most that is measured.
const MOST: u32 = 1_000_000_000;

type M = Field<Measure>;
pub(super) static MEASURE: [M; 5] = [
    M::text("measure", "指标", |measure| &mut measure.measure).required(),
    M::text("unit", "单位", |measure| &mut measure.unit),
    M::count("target", "目标值", |measure| &mut measure.target, 0..=MOST),
    M::count("value", "完成值", |measure| &mut measure.value, 0..=MOST),
    M::day("on", "日期", |measure| &mut measure.on, Days::Past),
];
pub(super) static MEASURE_COLUMNS: [Column; 5] = columns(&MEASURE);

/// Says so unless each is measured once.
pub(super) fn each_once(check: &mut Check, list: &str, measures: &[Measure]) {
    super::each_once(check, (list, "measure"), measures.iter().map(|measure| &measure.measure));
}
