use qianshou_kernel::{
    clock::parse_day,
    joint::Joint,
    kind::Bounds,
    person::{Domain, Secret},
};
use qianshou_proto::{
    common::v1::{Condition, FieldPath, Filter, NumberSet, Range, condition},
    exchange::v1::QuarantineReason,
    registry::v1::{Agency, Worker},
};

use super::*;
use crate::tests::testing::{accord, kinds, path, terms, under, wrong};

fn refused(change: impl FnOnce(&mut Terms)) -> Vec<(String, Reason)> {
    let mut terms = terms();
    change(&mut terms);
    wrong(&terms).into_iter().map(|v| (v.field, v.reason)).collect()
}

fn one(field: &str, reason: Reason) -> Vec<(String, Reason)> {
    vec![(field.to_owned(), reason)]
}

#[test]
fn sound_terms_are_sound() {
    assert_eq!(wrong(&terms()), vec![]);
    let accord = accord();
    assert_eq!(accord.kinds(), ["agencies", "workers"]);
    assert_eq!(accord.misread(), None);
    assert_eq!((accord.other("64"), accord.other("00"), accord.other("35")), (Some("00"), Some("64"), None));
}

#[test]
fn every_rule_names_its_field() {
    use Reason::{
        AgreementInvalid as Invalid, Malformed, NotInList, OutOfOrder, Required, TooLong, TooMany, UnknownField,
    };
    type Case = (&'static str, Reason, fn(&mut Terms));
    let cases: &[Case] = &[
        ("agreement", Malformed, |t| t.agreement = Some("1".into())),
        ("provider", Malformed, |t| t.provider = Some("6x".into())),
        ("consumer", Required, |t| t.consumer = None),
        ("consumer", Invalid, |t| t.consumer = Some("64".into())),
        ("supersedes", Invalid, |t| t.supersedes = Some("ab".into())),
        ("purpose", TooLong, |t| t.purpose = Some("长".repeat(2_001))),
        ("purpose", Invalid, |t| t.purpose = None),
        ("legal_basis", Invalid, |t| t.legal_basis = None),
        ("sharing_class", Required, |t| t.sharing_class = None),
        ("sensitivity_cap", Invalid, |t| t.sensitivity_cap = Some(4)),
        ("after_end", Required, |t| t.after_end = None),
        ("begins_on", Required, |t| t.begins_on = None),
        ("ends_on", Malformed, |t| t.ends_on = Some("2023-02-30".into())),
        ("ends_on", OutOfOrder, |t| t.ends_on = Some("2022-12-31".into())),
        ("pseudonym_domain", Invalid, |t| t.pseudonym_domain = None),
        ("clauses", Required, |t| t.clauses.clear()),
        ("clauses", TooMany, |t| t.clauses = vec![t.clauses[0].clone(); 51]),
        ("clauses[1].kind", Invalid, |t| t.clauses[1] = t.clauses[0].clone()),
        ("clauses[0].kind", NotInList, |t| t.clauses[0].kind = Some("persons".into())),
        ("clauses[0].pseudonym", Invalid, |t| t.clauses[0].pseudonym = Some(true)),
        ("clauses[0].fields[0]", UnknownField, |t| t.clauses[0].fields[0] = path(&[99])),
        ("clauses[0].fields[0]", UnknownField, |t| t.clauses[0].fields[0] = path(&[3, 1])),
        ("clauses[0].fields[0]", UnknownField, |t| t.clauses[0].fields[0] = FieldPath::default()),
        ("clauses[0].fields[0]", Invalid, |t| t.clauses[0].fields[0] = path(&[1])),
        ("clauses[0].fields[0]", Invalid, |t| t.clauses[0].fields[0] = path(&[2])),
        ("clauses[1].fields[0]", Invalid, |t| t.clauses[1].fields[0] = path(&[4])),
        ("clauses[1].fields[0]", Invalid, |t| t.clauses[1].fields[0] = path(&[14])),
        ("clauses[0].scope.all[0].path", Invalid, |t| t.clauses[0].scope = Some(under(&[4], "9"))),
        ("clauses[0].scope.all[0].path", UnknownField, |t| t.clauses[0].scope = Some(under(&[77], "9"))),
    ];
    for (field, reason, change) in cases {
        let found = refused(change);
        assert!(found.contains(&((*field).to_owned(), *reason)), "{field} {reason:?}: {found:?}");
    }
}

#[test]
fn a_test_must_fit_its_field() {
    let with = |test: Option<condition::Test>| {
        refused(|terms| {
            let condition = Condition { path: Some(path(&[6])), test };
            terms.clauses[0].scope = Some(Filter { all: vec![condition] });
        })
    };
    let at = "clauses[0].scope.all[0]";
    assert_eq!(with(None), one(at, Reason::AgreementInvalid));
    assert_eq!(with(Some(condition::Test::Present(false))), one(at, Reason::AgreementInvalid));
    assert_eq!(with(Some(condition::Test::NumberIn(NumberSet { values: vec![1] }))), one(at, Reason::AgreementInvalid));
    assert_eq!(with(Some(condition::Test::Present(true))), vec![]);
    assert_eq!(with(Some(condition::Test::AtLeast(1))), vec![]);
}

#[test]
fn personal_fields_need_a_cap_that_allows_them() {
    let found = refused(|terms| {
        terms.sensitivity_cap = Some(Sensitivity::L2.into());
        terms.clauses[1].fields[0] = path(&[3]);
    });
    assert!(found.contains(&("clauses[1].fields[0]".into(), Reason::AgreementInvalid)), "{found:?}");
    assert!(found.contains(&("clauses[1].pseudonym".into(), Reason::AgreementInvalid)), "{found:?}");
}

#[test]
fn what_is_not_shared_has_no_clause_to_leave_by() {
    let mut terms = terms();
    terms.sharing_class = Some(SharingClass::NotShared.into());
    assert!(Accord::read(&terms.encode_to_vec(), &kinds()).unwrap().clauses.is_empty());
    terms.legal_basis = None;
    assert!(Accord::read(&terms.encode_to_vec(), &kinds()).is_err());
}

#[test]
fn the_joint_state_is_a_function_of_both_halves_and_today() {
    use AgreementState::{Draft, Expired, InForce, NotYet, Offered, Proposed, Withdrawn};
    let accord = accord();
    let state = |ours, theirs, day: &str| accord.state(Joint::of(ours, theirs), parse_day(day).unwrap());
    let (signed, gone) = (Some(Verdict::Signed), Some(Verdict::Withdrawn));
    for (ours, theirs, day, expected) in [
        (None, None, "2023-06-01", Draft),
        (signed, None, "2023-06-01", Offered),
        (None, signed, "2023-06-01", Proposed),
        (signed, signed, "2022-12-31", NotYet),
        (signed, signed, "2023-01-01", InForce),
        (signed, signed, "2023-12-31", InForce),
        (signed, signed, "2024-01-01", Expired),
        (gone, signed, "2023-06-01", Withdrawn),
        (signed, gone, "2024-06-01", Withdrawn),
        (None, gone, "2023-06-01", Withdrawn),
    ] {
        assert_eq!(state(ours, theirs, day), expected, "{ours:?} {theirs:?} {day}");
    }
}

#[test]
fn a_kind_flows_by_one_agreement_at_a_time() {
    let of = |id: &str, change: fn(&mut Terms)| {
        let mut terms = terms();
        change(&mut terms);
        terms.agreement = Some(id.into());
        Accord::read(&terms.encode_to_vec(), &kinds()).unwrap()
    };
    let one = accord();
    let two = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0002";
    assert_eq!(one.conflict(&one), None);
    assert_eq!(one.conflict(&of(two, |_| ())), Some("agencies"));
    assert_eq!(one.conflict(&of(two, |t| drop(t.clauses.remove(0)))), Some("workers"));
    assert_eq!(one.conflict(&of(two, |t| t.consumer = Some("35".into()))), None);
    let later = of(two, |t| (t.begins_on, t.ends_on) = (Some("2024-01-01".into()), None));
    assert_eq!((one.conflict(&later), later.conflict(&one)), (None, None));
}

#[test]
fn a_clause_shows_what_it_names_and_nothing_else() {
    let accord = accord();
    let agency = Agency {
        name: Some("x".into()),
        display_name: Some("机构".into()),
        division: Some("640104".into()),
        ..Agency::default()
    };
    let mut payload = agency.encode_to_vec();
    qianshou_kernel::wire::put_text(&mut payload, 4, "91350100M000100Y43");
    qianshou_kernel::wire::put_text(&mut payload, 900, "unknown");
    let shown = accord.clauses["agencies"].show(&payload, Some("ignored")).unwrap().unwrap();
    assert_eq!(shown, Agency { name: None, ..agency.clone() }.encode_to_vec());
    let elsewhere = Agency { division: Some("350100".into()), ..agency };
    assert_eq!(accord.clauses["agencies"].show(&elsewhere.encode_to_vec(), None).unwrap(), None);
    // A name with somebody's number in it does not leave, and the rest of the record does.
    let display_name = Some("张三 110105 19491231 002X".to_owned());
    let telling = Agency { display_name, division: Some("640104".into()), ..Agency::default() };
    let shown = accord.clauses["agencies"].show(&telling.encode_to_vec(), None).unwrap().unwrap();
    assert_eq!(shown, Agency { display_name: None, ..telling }.encode_to_vec());

    let worker = Worker { full_name: Some("某某".into()), division: Some("640104".into()), ..Worker::default() };
    let pseudonym = Domain::new("minning", &Secret::from_bytes(&[9; 32]).unwrap()).pseudonym("11010519491231002X");
    let shown = accord.clauses["workers"].show(&worker.encode_to_vec(), Some(&pseudonym)).unwrap().unwrap();
    let seen = Worker::decode(&shown[..]).unwrap();
    assert_eq!((seen.full_name, seen.division.as_deref(), seen.person), (None, Some("640104"), Some(pseudonym)));
}

#[test]
fn the_receiver_applies_the_same_clause() {
    let accord = accord();
    let (agencies, workers) = (&accord.clauses["agencies"], &accord.clauses["workers"]);
    let bounds = Bounds { text_max_chars: 40, record_max_bytes: 400, today: parse_day("2023-11-15").unwrap() };
    let admit = |clause: &Clause, payload: &[u8]| clause.admit(payload, &bounds);
    let agency = |division: &str| Agency { division: Some(division.into()), ..Agency::default() }.encode_to_vec();
    assert_eq!(admit(agencies, &agency("640104")), Ok(()));
    assert_eq!(admit(agencies, &agency("350100")), Err(QuarantineReason::OutOfScope));
    assert_eq!(admit(agencies, &[agency("640104"), agency("350100")].concat()), Err(QuarantineReason::Unreadable));
    assert_eq!(admit(agencies, &[0x0b]), Err(QuarantineReason::Unreadable));
    // Text that is no UTF-8 in an allowed field.
    assert_eq!(admit(agencies, &[agency("640104"), vec![0x1a, 1, 0xff]].concat()), Err(QuarantineReason::Unreadable));
    let called =
        |name: String| Agency { display_name: Some(name), division: Some("640104".into()), ..Agency::default() };
    for (name, reason) in [
        ("名".repeat(40), Ok(())),
        ("名".repeat(41), Err(QuarantineReason::Shape)),
        ("名\u{1b}[31m".into(), Err(QuarantineReason::Shape)),
        ("名\0".into(), Err(QuarantineReason::Shape)),
        ("名\u{202e}".into(), Err(QuarantineReason::Shape)),
        ("张三110105194912310028号".into(), Ok(())),
        ("张三11010519491231002X号".into(), Err(QuarantineReason::IdentityNumber)),
    ] {
        assert_eq!(admit(agencies, &called(name.clone()).encode_to_vec()), reason, "{name:?}");
    }
    let person = |n: u32| {
        let mut payload = vec![];
        qianshou_kernel::wire::put_text(&mut payload, n, "x");
        payload
    };
    assert_eq!(admit(workers, &person(14)), Ok(()));
    for number in [1, 2, 3, 4, 15] {
        assert_eq!(admit(workers, &person(number)), Err(QuarantineReason::FieldNotAllowed));
    }
}

#[test]
fn both_ends_of_a_range_lie_inside() {
    let mut terms = terms();
    let range = Range { from: Some("640104".into()), until: Some("640106".into()) };
    let condition = Condition { path: Some(path(&[6])), test: Some(condition::Test::Between(range)) };
    terms.clauses[0].scope = Some(Filter { all: vec![condition] });
    let accord = Accord::read(&terms.encode_to_vec(), &kinds()).unwrap();
    for (division, inside) in
        [("640103", false), ("640104", true), ("640106", true), ("6401060", false), ("640107", false)]
    {
        let payload = Agency { division: Some(division.into()), ..Agency::default() }.encode_to_vec();
        assert_eq!(accord.clauses["agencies"].show(&payload, None).unwrap().is_some(), inside, "{division}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        drop(Accord::read(&bytes, &kinds()));
    }
}
