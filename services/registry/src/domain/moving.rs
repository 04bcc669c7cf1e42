//! Moves to another province (跨省流动): a record never changes its home. It ends where it was and has a successor where it is, linked by
//! both sides' halves: this one names the record that moves and where to; the successor names its predecessor. When both are here, the
//! home of the record ends it (see [`tasks`](crate::tasks)).

use qianshou_kernel::{
    error::Reason,
    id::{Name, is_node},
    kind::{Check, Days, Field, Index, Noun, Referred, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{Agency, Move, Worker};
use time::Date;

use super::referred_to;

type F = Field<Move>;
static FIELDS: [F; 5] = [
    super::agency::by_uscc("agency_uscc", "转出机构统一社会信用代码", |moving: &mut Move| {
        &mut moving.agency
    })
    .or(&["机构统一社会信用代码", "统一社会信用代码", "信用代码"])
    .fills("agency")
    .key()
    .example("91350100M000100Y43"),
    super::worker::by_number(|moving: &mut Move| &mut moving.worker).key(),
    F::code("to", "转入省份代码", |moving| &mut moving.to, node)
        .or(&["转入地", "转入节点", "转入省"])
        .required()
        .example("35"),
    F::day("on", "转出日期", |moving| &mut moving.on, Days::Past)
        .or(&["转移日期", "流动日期", "迁出日期"])
        .required()
        .example("2023-07-01"),
    F::text("reason", "转出原因", |moving| &mut moving.reason).or(&["原因", "事由"]).example("随结对帮扶项目调任"),
];
static SHEET: Sheet = Sheet::new("跨省转出", &columns(&FIELDS));

fn node(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let malformed = || (Reason::Malformed, "a node's code, e.g. 64 | 节点代码，如 64".to_owned());
    is_node(text).then(|| text.to_owned()).ok_or_else(malformed)
}

/// The record that moves, with the field that names it.
#[must_use]
pub fn moved(moving: &Move) -> Option<(&'static str, &str)> {
    super::named([("agency", &moving.agency), ("worker", &moving.worker)])
}

/// The noun.
pub struct Moves;

impl Noun for Moves {
    type Record = Move;

    const COLLECTION: &'static str = "moves";
    const TABLE: &'static str = "registry_moves";
    const TOUCHES: &'static [&'static str] = &["agency", "worker"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(moving: &mut Move, check: &mut Check) {
        super::one_of(check, [("agency", &moving.agency), ("worker", &moving.worker)]);
        if moving.successor.is_some() {
            check.refuse("successor", Reason::ReadOnly, "");
        }
        let record = moved(moving).and_then(|(field, name)| Some((field, name.parse::<Name>().ok()?)));
        // Another node's record is that node's to end.
        if let Some((field, name)) = record.filter(|(_, name)| name.home() != check.home) {
            check.refuse(field, Reason::NotHome, name.home());
        }
        if moving.to.as_deref() == Some(&check.home) {
            check.refuse("to", Reason::Malformed, "another node | 另一节点");
        }
    }

    fn index(moving: &Move, _blind: Option<&str>) -> Index {
        let state = if moving.successor.is_some() { "DONE" } else { "OFFERED" };
        let (field, record) = moved(moving).map_or(("agency", None), |(field, name)| (field, Some(name)));
        let index = Index::new(&moving.division, state, &moving.reason).claim(field, &[record]);
        // Once it is done, its record is no more.
        let open = moving.successor.is_none();
        index
            .link("agency", &moving.agency.clone().filter(|_| open))
            .link("worker", &moving.worker.clone().filter(|_| open))
    }

    /// It belongs to the place of what moves.
    fn settle(moving: &mut Move, referred: &Referred<'_>, _check: &mut Check) {
        let agency = || referred_to::<Agency>(&moving.agency, referred)?.division;
        let worker = || referred_to::<Worker>(&moving.worker, referred)?.division;
        moving.division = agency().or_else(worker);
    }
}

/// The predecessor that a record of one kind names.
pub(super) fn predecessor<N: Noun>(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let name = text.parse::<Name>().ok().filter(|name| name.kind() == N::COLLECTION);
    name.map(|name| name.to_string()).ok_or_else(|| (Reason::Malformed, format!("nodes/NODE/{}/ID", N::COLLECTION)))
}
