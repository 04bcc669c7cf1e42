//! Receipts (到账): the payee's half of money on its way.

use qianshou_kernel::{
    identifier::uscc_form,
    joint::money::flow_key,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::Receipt;

use super::allocation::{currency, in_yuan};

type F = Field<Receipt>;
static FIELDS: [F; 8] = [
    F::text("payer", "付款单位", |receipt| &mut receipt.payer)
        .or(&["付款方", "拨款单位"])
        .required()
        .key()
        .example("自治区民政厅"),
    F::code("payee_uscc", "收款机构统一社会信用代码", |receipt| &mut receipt.payee_uscc, uscc_form)
        .or(&["收款机构信用代码", "收款方信用代码", "收款单位统一社会信用代码"])
        .required()
        .key()
        .example("91350100M000100Y43"),
    F::fen("amount", "金额（元）", |receipt| &mut receipt.amount_fen, 1)
        .or(&["金额", "到账金额"])
        .fills("amount_fen")
        .required()
        .example("20000.00"),
    F::day("received_on", "到账日期", |receipt| &mut receipt.received_on, Days::Past)
        .or(&["收款日期"])
        .required()
        .key()
        .example("2023-05-22"),
    F::text("voucher", "凭证号", |receipt| &mut receipt.voucher)
        .or(&["凭证编号", "凭证"])
        .required()
        .key()
        .example("PZ-2023-0001"),
    F::division("division", "收款机构区划代码", |receipt| &mut receipt.division).or(&["收款地区划代码"]).example("64"),
    currency::<Receipt>(|receipt| &mut receipt.currency),
    F::day("paid_on", "付款日期", |receipt| &mut receipt.paid_on, Days::Past)
        .or(&["拨付日期", "支付日期"])
        .example("2023-05-20"),
];
static SHEET: Sheet = Sheet::new("资金到账", &columns(&FIELDS));

/// The noun.
pub struct Receipts;

impl Noun for Receipts {
    type Record = Receipt;

    const COLLECTION: &'static str = "receipts";
    const TABLE: &'static str = "pairing_receipts";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(receipt: &mut Receipt, check: &mut Check) {
        let home = check.home.clone();
        receipt.division.get_or_insert(home);
        in_yuan(&mut receipt.currency);
        check.in_order(("received_on", &receipt.received_on), ("paid_on", &receipt.paid_on));
        receipt.flow = flow_key(receipt.payer.as_deref(), receipt.payee_uscc.as_deref(), receipt.voucher.as_deref());
    }

    fn index(receipt: &Receipt, _blind: Option<&str>) -> Index {
        Index::new(&receipt.division, "RECEIVED", &receipt.payer)
            .claim("voucher", &[receipt.flow.as_deref(), receipt.received_on.as_deref()])
            .shares("flow", receipt.flow.clone())
    }
}
