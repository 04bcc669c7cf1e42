//! Certificates (社会工作者职业水平证书): three levels; numbers have no reliable form and are unique per level within a
//! county, for two counties that have a record of one person each have one of the certificate. Registered for
//! three years at a time (社会工作者职业水平证书登记办法).

use qianshou_kernel::{
    clock::{format_day, parse_day},
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::registry::v1::{Certificate, CertificateLevel, Registration, Worker};

use time::Duration;

use super::referred_to;

pub(super) static LEVELS: [Choice; 3] = [
    Choice::new("ASSISTANT", "助理社会工作师", &["助理", "初级", "助理社会工作者", "助理社工师", "初级社会工作师"]),
    Choice::new("INTERMEDIATE", "社会工作师", &["中级", "社工师", "中级社会工作师", "社会工作者"]),
    Choice::new("SENIOR", "高级社会工作师", &["高级", "高级社工师", "高级社会工作者"]),
];

type R = Field<Registration>;
static REGISTRATION: [R; 3] = [
    R::day("registered_on", "登记日期", |registration| &mut registration.registered_on, Days::Past).required(),
    R::last_day("until", "有效期至", |registration| &mut registration.until).required(),
    R::count("hours", "学时", |registration| &mut registration.hours, 0..=10_000),
];
static REGISTRATION_COLUMNS: [Column; 3] = columns(&REGISTRATION);
static REGISTRATIONS: Parts<Certificate, Registration> =
    Parts { at: |certificate| &mut certificate.registrations, fields: &REGISTRATION };

type F = Field<Certificate>;
static FIELDS: [F; 8] = [
    super::worker::by_number(|certificate: &mut Certificate| &mut certificate.worker)
        .required()
        .example("11010519491231002X"),
    F::choice::<CertificateLevel>("level", "证书级别", |certificate| &mut certificate.level, &LEVELS)
        .or(&["级别", "证书等级", "等级", "职业水平"])
        .required()
        .key()
        .example("社会工作师"),
    F::text("number", "证书编号", |certificate| &mut certificate.number)
        .or(&["证书号", "证书号码", "证书管理号", "管理号"])
        .required()
        .key()
        .example("2019064000001"),
    F::day("issued_on", "发证日期", |certificate| &mut certificate.issued_on, Days::Past)
        .or(&["发证时间", "批准日期", "取得日期", "取得时间", "签发日期"])
        .required()
        .example("2019-09-10"),
    F::last_day("registered_until", "登记有效期至", |certificate| &mut certificate.registered_until)
        .or(&["有效期至", "登记有效期", "有效期"])
        .example("2025-09-30"),
    // Without it, what is exported and imported again would no longer be revoked.
    F::day("revoked_on", "撤销日期", |certificate| &mut certificate.revoked_on, Days::Past)
        .or(&["吊销日期", "注销日期"]),
    super::around::<Certificate>(|certificate| &mut certificate.division, "640104"),
    F::parts("registrations", "登记记录", &REGISTRATIONS, &REGISTRATION_COLUMNS)
        .or(&["历次登记", "继续教育登记"])
        .example("2019-10-01｜2022-09-30｜72；2022-10-01｜2025-09-30｜90"),
];
static SHEET: Sheet = Sheet::new("社会工作者职业水平证书", &columns(&FIELDS));

/// How a certificate stands, and from which days it has to be registered (again) and is not any more. Whoever has passed registers
/// within a year, and again before three years are over; that it is due is told in the last three months.
///
/// Source: 社会工作者职业水平证书登记办法.
fn standing(certificate: &Certificate) -> (&'static str, Option<String>, Option<String>) {
    const MONTHS_3: Duration = Duration::days(90);
    let day = |text: &Option<String>| text.as_deref().and_then(parse_day);
    if certificate.revoked_on.is_some() {
        return ("REVOKED", None, None);
    }
    let Some(until) = day(&certificate.registered_until) else {
        let due = day(&certificate.issued_on).and_then(|issued| issued.checked_add(Duration::days(365)));
        return ("ISSUED", due.map(format_day), None);
    };
    let state = if certificate.registrations.len() > 1 { "RE_REGISTERED" } else { "REGISTERED" };
    (state, until.checked_sub(MONTHS_3).map(format_day), until.next_day().map(format_day))
}

/// The noun.
pub struct Certificates;

impl Noun for Certificates {
    type Record = Certificate;

    const COLLECTION: &'static str = "certificates";
    const TABLE: &'static str = "registry_certificates";
    const COLUMNS: &'static [&'static str] = &["due_on", "lapses_on"];
    const INDEX_LEVEL: i64 = 2;
    const TOUCHES: &'static [&'static str] = &["worker"];
    const PHASES: &'static [(&'static str, &'static str)] = &[("DUE", "due_on"), ("LAPSED", "lapses_on")];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(certificate: &mut Certificate, check: &mut Check) {
        let mut before = ("issued_on".to_owned(), &certificate.issued_on);
        for (i, registration) in certificate.registrations.iter().enumerate() {
            let first = (format!("registrations[{i}].registered_on"), &registration.registered_on);
            check.in_order((&first.0, first.1), (&before.0, before.1));
            check.in_order((&format!("registrations[{i}].until"), &registration.until), (&first.0, first.1));
            before = first;
        }
        if let Some(last) = certificate.registrations.iter().filter_map(|r| r.until.clone()).max() {
            certificate.registered_until = Some(last);
        }
        let issued = ("issued_on", &certificate.issued_on);
        check.in_order(("registered_until", &certificate.registered_until), issued);
        check.in_order(("revoked_on", &certificate.revoked_on), issued);
    }

    fn index(certificate: &Certificate, _blind: Option<&str>) -> Index {
        let level = certificate.level.map(|level| level.to_string());
        let county = super::county(&certificate.division);
        let (state, due_on, lapses_on) = standing(certificate);
        Index::new(&certificate.division, state, &certificate.number)
            .column(due_on)
            .column(lapses_on)
            .of_type(certificate.level().as_str_name(), "CERTIFICATE_LEVEL_")
            .claim("number", &[level.as_deref(), certificate.number.as_deref(), certificate.worker.as_deref()])
            .claim("number", &[level.as_deref(), certificate.number.as_deref(), county.as_deref()])
            .link("worker", &certificate.worker)
    }

    /// Where nothing is said, it counts where its worker is on the day it is recorded; it does not move along afterwards.
    fn settle(certificate: &mut Certificate, referred: &Referred<'_>, _check: &mut Check) {
        if certificate.division.is_none() {
            let worker: Option<Worker> = referred_to(&certificate.worker, referred);
            certificate.division = worker.and_then(|worker| worker.division);
        }
    }
}
