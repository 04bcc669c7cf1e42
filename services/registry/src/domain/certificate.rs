//! Certificates (社会工作者职业水平证书): three levels; numbers have no reliable form and are unique per level. Registered for
//! three years at a time (社会工作者职业水平证书登记办法).

use bytes::Bytes;
use prost::Message;
use qianshou_kernel::{
    kind::{Check, Days, Index, Noun},
    sheet::{Cell, Choice, Column, Sheet},
};
use qianshou_proto::registry::v1::{Certificate, CertificateLevel, Worker};

use super::worker::Workers;

static LEVELS: [Choice; 3] = [
    Choice::new("ASSISTANT", "助理社会工作师", &["助理", "初级", "助理社会工作者", "助理社工师", "初级社会工作师"]),
    Choice::new("INTERMEDIATE", "社会工作师", &["中级", "社工师", "中级社会工作师", "社会工作者"]),
    Choice::new("SENIOR", "高级社会工作师", &["高级", "高级社工师", "高级社会工作者"]),
];

static SHEET: Sheet = Sheet {
    title: "社会工作者职业水平证书",
    columns: &[
        Column::new("id_number", "证件号码", Cell::Reference { kind: "workers", field: "id_number" })
            .or(&super::ID_NUMBER)
            .fills("worker")
            .required()
            .example("11010519491231002X"),
        Column::new("level", "证书级别", Cell::Choice(&LEVELS))
            .or(&["级别", "证书等级", "等级", "职业水平"])
            .required()
            .key()
            .example("社会工作师"),
        Column::new("number", "证书编号", Cell::Text)
            .or(&["证书号", "证书号码", "证书管理号", "管理号"])
            .required()
            .key()
            .example("2019064000001"),
        Column::new("issued_on", "发证日期", Cell::Day)
            .or(&["发证时间", "批准日期", "取得日期", "取得时间", "签发日期"])
            .required()
            .example("2019-09-10"),
        Column::new("registered_until", "登记有效期至", Cell::LastDay)
            .or(&["有效期至", "登记有效期", "有效期"])
            .example("2025-09-30"),
        // Without it, what is exported and imported again would no longer be revoked.
        Column::new("revoked_on", "撤销日期", Cell::Day).or(&["吊销日期", "注销日期"]),
    ],
};

/// The noun.
pub struct Certificates;

impl Noun for Certificates {
    type Record = Certificate;

    const COLLECTION: &'static str = "certificates";
    const TABLE: &'static str = "registry_certificates";
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(certificate: &mut Certificate, check: &mut Check) {
        check.reference("worker", &mut certificate.worker, Workers::COLLECTION);
        check.required("worker", &certificate.worker);
        check.choice::<CertificateLevel>("level", &mut certificate.level);
        check.required("level", &certificate.level);
        check.required_text("number", &mut certificate.number);
        let issued = check.day("issued_on", &mut certificate.issued_on, Days::Past);
        check.required("issued_on", &certificate.issued_on);
        let until = check.day("registered_until", &mut certificate.registered_until, Days::Any);
        check.in_order("registered_until", until, "issued_on", issued);
        let revoked = check.day("revoked_on", &mut certificate.revoked_on, Days::Past);
        check.in_order("revoked_on", revoked, "issued_on", issued);
    }

    fn index(certificate: &Certificate, _blind: Option<&str>) -> Index {
        let level = certificate.level.map(|level| level.to_string());
        let state = if certificate.revoked_on.is_some() { "REVOKED" } else { "ISSUED" };
        Index::new(&certificate.division, state, &certificate.number)
            .claim("number", &[level.as_deref(), certificate.number.as_deref()])
            .link("worker", &certificate.worker)
    }

    /// A certificate belongs to the place of its worker.
    fn settle(certificate: &mut Certificate, referred: &dyn Fn(&str) -> Option<Bytes>) {
        let worker = certificate.worker.as_deref().and_then(referred).and_then(|payload| Worker::decode(payload).ok());
        certificate.division = worker.and_then(|worker| worker.division);
    }
}
