//! Merges (重复合并): a link that says that two records of this province are one and the same, with a survivor. Both stay as they are; counts
//! follow the link, and without it they are two again. Never made by the system: it lists candidates, a person decides.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Field, Index, Noun, Referred, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{Agency, Merge, Worker};

use super::{referred_to, worker::Workers};

type F = Field<Merge>;
static FIELDS: [F; 5] = [
    super::agency::by_uscc("agency_uscc", "重复机构统一社会信用代码", |merge: &mut Merge| {
        &mut merge.agency
    })
    .fills("agency")
    .key()
    .example("91350100M000100Y43"),
    super::agency::by_uscc("surviving_uscc", "保留机构统一社会信用代码", |merge: &mut Merge| {
        &mut merge.surviving_agency
    })
    .fills("surviving_agency")
    .example("9144030071526726XG"),
    super::worker::by_number(|merge: &mut Merge| &mut merge.worker).key(),
    F::reference(
        "surviving_id_number",
        "保留人员证件号码",
        |merge| &mut merge.surviving_worker,
        Workers::COLLECTION,
        "id_number",
    )
    .fills("surviving_worker"),
    F::text("reason", "合并依据", |merge| &mut merge.reason).or(&["依据", "原因"]).example("同一机构重复登记"),
];
static SHEET: Sheet = Sheet::new("重复合并", &columns(&FIELDS));

/// The noun.
pub struct Merges;

impl Noun for Merges {
    type Record = Merge;

    const COLLECTION: &'static str = "merges";
    const TABLE: &'static str = "registry_merges";
    const TOUCHES: &'static [&'static str] = &["agency", "surviving_agency", "worker", "surviving_worker"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(merge: &mut Merge, check: &mut Check) {
        super::one_of(check, [("agency", &merge.agency), ("worker", &merge.worker)]);
        let pairs = [
            ("surviving_agency", &merge.agency, &merge.surviving_agency),
            ("surviving_worker", &merge.worker, &merge.surviving_worker),
        ];
        for (field, duplicate, survivor) in pairs {
            match (duplicate, survivor) {
                (Some(_), None) => check.refuse(field, Reason::Required, ""),
                (Some(duplicate), Some(survivor)) if duplicate == survivor => {
                    check.refuse(field, Reason::Malformed, "another record | 另一条记录");
                }
                (None, Some(_)) => check.refuse(field, Reason::TooMany, "0"),
                _ => {}
            }
        }
    }

    fn index(merge: &Merge, _blind: Option<&str>) -> Index {
        let duplicate = super::named([("agency", &merge.agency), ("worker", &merge.worker)]);
        let (field, duplicate) = duplicate.map_or(("agency", None), |(field, name)| (field, Some(name)));
        Index::new(&merge.division, "STANDING", &merge.reason)
            .claim(field, &[duplicate])
            .link("agency", &merge.agency)
            .link("surviving_agency", &merge.surviving_agency)
            .link("worker", &merge.worker)
            .link("surviving_worker", &merge.surviving_worker)
    }

    /// It belongs to the place of the survivor.
    fn settle(merge: &mut Merge, referred: &Referred<'_>, _check: &mut Check) {
        let agency = || referred_to::<Agency>(&merge.surviving_agency, referred)?.division;
        let worker = || referred_to::<Worker>(&merge.surviving_worker, referred)?.division;
        merge.division = agency().or_else(worker);
    }
}
