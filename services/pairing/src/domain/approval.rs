//! Approvals (部级审批): the ministry's decision on the terms of a pairing. Its home is the nation.

use qianshou_kernel::{
    error::Reason,
    identifier::uscc_form,
    joint::pairing::{cohort_key, pairing_key},
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::{Approval, Decision};
use time::Date;

use super::DECISIONS;

type F = Field<Approval>;
static FIELDS: [F; 10] = [
    super::programme::<Approval>(|approval| &mut approval.programme, "牵手计划").required().key(),
    super::batch::<Approval>(|approval| &mut approval.batch),
    F::code("sending_uscc", "援派机构统一社会信用代码", |approval| &mut approval.sending_uscc, uscc_form)
        .or(&["援派机构信用代码"])
        .required()
        .key()
        .example("91350100M000100Y43"),
    F::code("receiving_uscc", "受援机构统一社会信用代码", |approval| &mut approval.receiving_uscc, uscc_form)
        .or(&["受援机构信用代码"])
        .required()
        .key()
        .example("914403001922038216"),
    F::division("division", "受援地区划代码", |approval| &mut approval.division)
        .or(&["受援地区代码", "受援地区"])
        .required()
        .example("640303"),
    F::code("terms_digest", "条款摘要", |approval| &mut approval.terms_digest, digest_form)
        .or(&["协议摘要"])
        .required()
        .key()
        .example("0f4b8f4b0d5d6f0c8d5a4b7a1e2f3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"),
    F::choice::<Decision>("decision", "审批意见", |approval| &mut approval.decision, &DECISIONS)
        .or(&["意见"])
        .required()
        .example("同意"),
    F::day("on", "审批日期", |approval| &mut approval.on, Days::Past)
        .or(&["批准日期"])
        .required()
        .example("2022-04-20"),
    F::text("authority", "审批单位", |approval| &mut approval.authority).example("民政部"),
    F::text("reason", "理由", |approval| &mut approval.reason),
];
static SHEET: Sheet = Sheet::new("结对审批", &columns(&FIELDS));

fn digest_form(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let digest = text.to_ascii_lowercase();
    let sound = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    if sound { Ok(digest) } else { Err((Reason::Malformed, "64 hexadecimal digits | 64 位十六进制".to_owned())) }
}

/// The noun.
pub struct Approvals;

impl Noun for Approvals {
    type Record = Approval;

    const COLLECTION: &'static str = "approvals";
    const TABLE: &'static str = "pairing_approvals";
    const FOR_ALL: bool = false;
    const OWNERS: &'static [&'static str] = &["pairing"];
    const HOME: Option<&'static str> = Some("00");
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(approval: &mut Approval, _check: &mut Check) {
        let Approval { programme, batch, sending_uscc, receiving_uscc, .. } = &*approval;
        let (programme, batch) = (programme.as_deref(), batch.as_deref());
        let pairing = pairing_key(programme, batch, sending_uscc.as_deref(), receiving_uscc.as_deref());
        (approval.cohort, approval.pairing) = (cohort_key(programme, batch), pairing);
    }

    fn index(approval: &Approval, _blind: Option<&str>) -> Index {
        let state = approval.decision().as_str_name().trim_start_matches("DECISION_");
        Index::new(&approval.division, state, &approval.pairing)
            .claim("terms_digest", &[approval.pairing.as_deref(), approval.terms_digest.as_deref()])
            .shares("pairing", approval.pairing.clone())
    }
}
