//! Payments (付款): the payer's half of money on its way.

use qianshou_kernel::{
    identifier::uscc_form,
    joint::{self, money::flow_key},
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::{FundSource, Payment, ProjectStageKind};

use super::{
    SOURCES,
    allocation::{currency, in_yuan},
    number_key,
    project::STAGES,
    receipt::Receipts,
};

type F = Field<Payment>;
static FIELDS: [F; 14] = [
    F::text("payer", "付款单位", |payment| &mut payment.payer)
        .or(&["付款方", "拨款单位"])
        .required()
        .key()
        .example("自治区民政厅"),
    F::code("payee_uscc", "收款机构统一社会信用代码", |payment| &mut payment.payee_uscc, uscc_form)
        .or(&["收款机构信用代码", "收款方信用代码", "收款单位统一社会信用代码"])
        .required()
        .key()
        .example("91350100M000100Y43"),
    super::programme::<Payment>(|payment| &mut payment.programme, "三区计划"),
    F::choice::<FundSource>("source", "资金来源", |payment| &mut payment.source, &SOURCES)
        .or(&["来源"])
        .example("中央"),
    F::text("project", "项目名称", |payment| &mut payment.project).or(&["项目"]).example("银龄陪伴"),
    F::text("purpose", "用途", |payment| &mut payment.purpose).or(&["资金用途"]).example("选派补助"),
    F::fen("amount", "金额（元）", |payment| &mut payment.amount_fen, 1)
        .or(&["金额", "付款金额"])
        .fills("amount_fen")
        .required()
        .example("20000.00"),
    F::day("paid_on", "付款日期", |payment| &mut payment.paid_on, Days::Past)
        .or(&["拨付日期", "支付日期"])
        .required()
        .key()
        .example("2023-05-20"),
    F::text("voucher", "凭证号", |payment| &mut payment.voucher)
        .or(&["凭证编号", "凭证"])
        .required()
        .key()
        .example("PZ-2023-0001"),
    F::division("division", "付款单位区划代码", |payment| &mut payment.division).or(&["付款地区划代码"]).example("64"),
    currency::<Payment>(|payment| &mut payment.currency),
    F::choice::<ProjectStageKind>("stage", "付款阶段", |payment| &mut payment.stage, &STAGES)
        .or(&["分期", "项目阶段"])
        .example("立项"),
    F::text("number", "派遣编号", |payment| &mut payment.number).or(&["选派编号"]).example("2023-001"),
    F::code("dispatch_year", "派遣年度", |payment| &mut payment.dispatch_year, super::year_form).or(&["选派年度"]),
];
// With the day it came in, the same file is the payee's half.
static SHEET: Sheet = Sheet::new("资金拨付", &columns(&FIELDS)).or(Receipts::COLLECTION, "received_on");

/// The text that payments share which pay the same to the same on one day; `None`: for nothing in particular, which may well be the
/// same twice.
pub(crate) fn thing(payment: &Payment) -> Option<String> {
    let Payment { payer, payee_uscc, programme, source, project, purpose, amount_fen, paid_on, .. } = payment;
    [project, purpose, programme].iter().find(|what| what.is_some())?;
    let (source, amount) = (source.unwrap_or(0).to_string(), amount_fen.as_ref()?.to_string());
    let what = [programme, project, purpose].map(|what| what.as_deref().or(Some("")));
    let [programme, project, purpose] = what;
    let whom = [payer.as_deref(), payee_uscc.as_deref(), paid_on.as_deref()];
    joint::key(&[whom[0], whom[1], whom[2], Some(&source), Some(&amount), programme, project, purpose])
}

/// The text that it shares with the arrival whose days of service it pays for, if it says which.
pub(crate) fn served(payment: &Payment) -> Option<String> {
    let year = payment.dispatch_year.as_deref().or(payment.year.as_deref());
    number_key(payment.programme.as_deref(), year, payment.number.as_deref())
}

/// The noun.
pub struct Payments;

impl Noun for Payments {
    type Record = Payment;

    const COLLECTION: &'static str = "payments";
    const TABLE: &'static str = "pairing_payments";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(payment: &mut Payment, check: &mut Check) {
        let home = check.home.clone();
        payment.division.get_or_insert(home);
        payment.year = payment.paid_on.as_deref().and_then(|on| on.get(..4)).map(str::to_owned);
        in_yuan(&mut payment.currency);
        if payment.stage.is_some() {
            check.required("project", &payment.project);
        }
        if payment.dispatch_year.is_some() {
            check.required("number", &payment.number);
        }
        if payment.number.is_some() {
            check.required("programme", &payment.programme);
        }
        payment.flow = flow_key(payment.payer.as_deref(), payment.payee_uscc.as_deref(), payment.voucher.as_deref());
    }

    fn index(payment: &Payment, _blind: Option<&str>) -> Index {
        Index::new(&payment.division, "PAID", &payment.payer)
            .claim("voucher", &[payment.flow.as_deref(), payment.paid_on.as_deref()])
            .shares("flow", payment.flow.clone())
            .shares("thing", thing(payment))
    }
}
