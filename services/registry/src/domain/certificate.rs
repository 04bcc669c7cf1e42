//! Certificates (社会工作者职业水平证书): three levels; numbers have no reliable form and are unique per level. Registered for
//! three years at a time (社会工作者职业水平证书登记办法).

use bytes::Bytes;
use prost::Message;
use qianshou_kernel::kind::{Check, Days, Index, Noun};
use qianshou_proto::registry::v1::{Certificate, CertificateLevel, Worker};

use super::worker::Workers;

/// The noun.
pub struct Certificates;

impl Noun for Certificates {
    type Record = Certificate;

    const COLLECTION: &'static str = "certificates";
    const TABLE: &'static str = "registry_certificates";

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
