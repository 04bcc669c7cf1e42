//! The registry's nouns and their rules. Pure: no async, no SQL, no tonic.

pub mod agency;
pub mod certificate;
pub mod division;
pub mod identifier;
pub mod station;
pub mod worker;

pub use self::{agency::Agencies, certificate::Certificates, division::Divisions, station::Stations, worker::Workers};
use qianshou_kernel::{
    error::Reason,
    kind::{Field, Kind},
};

/// Every kind of this house.
pub const KINDS: [Kind; 5] = [
    Kind::of::<Divisions>(),
    Kind::of::<Agencies>(),
    Kind::of::<Stations>(),
    Kind::of::<Workers>(),
    Kind::of::<Certificates>(),
];

/// Other headers over citizen numbers.
const ID_NUMBER: [&str; 6] = ["身份证号", "身份证号码", "身份证", "证件号", "居民身份证号", "公民身份号码"];

/// The division that a record belongs to.
const fn place<R>(at: fn(&mut R) -> &mut Option<String>, example: &'static str) -> Field<R> {
    Field::division("division", "所在地区划代码", at)
        .or(&["区划代码", "行政区划代码", "所在地行政区划代码", "所在地区", "所在地区代码", "地区代码"])
        .required()
        .example(example)
}

/// What an identifier's fault is called in a refusal.
impl From<identifier::IdentifierError> for (Reason, String) {
    fn from(error: identifier::IdentifierError) -> Self {
        use identifier::IdentifierError as Fault;
        match error {
            Fault::Length => (Reason::Malformed, "18 characters | 18 位".into()),
            Fault::Alphabet => (Reason::Malformed, "0–9, A–Z | 数字和大写字母".into()),
            Fault::CheckDigit => (Reason::CheckDigit, "its original | 原件".into()),
            Fault::BirthDate => (Reason::Malformed, "a real birth date | 真实出生日期".into()),
            Fault::InFuture => (Reason::InFuture, "birth date | 出生日期".into()),
            Fault::Province => (Reason::NotInList, "province | 省".into()),
        }
    }
}
