//! What can go wrong, said once. A **refusal** is an answer: it names the field, the reason and the next step in Chinese
//! and English. An **error** that is no refusal is broken machinery: it is logged once here and never leaves the node.
//!
//! The list of reasons is closed; it stands in `qianshou.common.v1.ErrorReason`.

use std::fmt;

use qianshou_proto::common::v1 as common;
pub use qianshou_proto::common::v1::ErrorReason as Reason;
use tonic::{Code, Status};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, FieldViolation, LocalizedMessage, StatusExt};

use crate::{db::Away, identifier::veiled};

/// A result whose error is a refusal or broken machinery.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One reason against one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Field path in the message, such as `uscc`; empty where the whole call is meant.
    pub field: String,
    /// Which of the closed list.
    pub reason: Reason,
    /// What exactly, and what to do: Chinese.
    pub zh: String,
    /// What exactly, and what to do: English.
    pub en: String,
}

impl Violation {
    /// A violation with the standing text of its reason. `detail` is a limit, a list or a counterpart, or `English | 中文`
    /// where the two differ; never a value that a person typed, for values may be personal.
    #[must_use]
    pub fn new(field: impl Into<String>, reason: Reason, detail: impl fmt::Display) -> Self {
        let (field, detail) = (field.into(), detail.to_string());
        // Also a name, a mask or a reference may be made of somebody's number.
        let (field, detail) = (veiled(&field).into_owned(), veiled(&detail).into_owned());
        // A name or an id that is as long as a message would not pass a client's limit for headers.
        let bounded = |text: &str| match text.chars().nth(DETAIL_MAX_CHARS) {
            Some(_) => shown(text, DETAIL_MAX_CHARS),
            None => text.to_owned(),
        };
        let (en, zh) = detail.split_once(" | ").unwrap_or((&detail, &detail));
        let (field, zh, en) = (bounded(&field), &*bounded(zh), &*bounded(en));
        let (zh, en) = (texts(reason, &field, zh).0, texts(reason, &field, en).1);
        Self { field, reason, zh, en }
    }

    /// The message that crosses the wire; `row` counts from zero within a batch.
    #[must_use]
    pub fn to_proto(&self, row: Option<u64>) -> common::Violation {
        common::Violation {
            field: Some(self.field.clone()),
            reason: Some(self.reason.into()),
            message_zh: Some(self.zh.clone()),
            message_en: Some(self.en.clone()),
            row,
        }
    }
}

/// An answer of "no": one violation or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub Vec<Violation>);

impl Refusal {
    /// A refusal for one reason.
    #[must_use]
    pub fn one(field: impl Into<String>, reason: Reason, detail: impl fmt::Display) -> Self {
        Self(vec![Violation::new(field, reason, detail)])
    }

    /// The first violation's reason; it decides the status code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.first().map_or(Reason::Internal, |v| v.reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            write!(f, "{}{} | {}", if i == 0 { "" } else { "\n" }, violation.zh, violation.en)?;
        }
        Ok(())
    }
}

/// Why something was not done.
#[derive(Debug)]
pub enum Error {
    /// The caller is told why.
    Refused(Refusal),
    /// Our machinery failed; the caller learns only that.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A refusal for one reason.
    #[must_use]
    pub fn refused(field: impl Into<String>, reason: Reason, detail: impl fmt::Display) -> Self {
        Self::Refused(Refusal::one(field, reason, detail))
    }

    /// A refusal in words of its own, where the standing ones would not say the next step.
    #[must_use]
    pub fn told(field: impl Into<String>, reason: Reason, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::Refused(Refusal(vec![Violation { field: field.into(), reason, zh: zh.into(), en: en.into() }]))
    }

    /// Broken machinery, told in words for the log.
    #[must_use]
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into().into())
    }

    /// Why the database is away, if that is what this is about.
    #[must_use]
    pub fn away(&self) -> Option<Away> {
        let Self::Broken(cause) = self else { return None };
        let told = cause.downcast_ref::<Away>().copied();
        told.or_else(|| cause.downcast_ref::<sqlx::Error>().and_then(Away::of))
    }

    /// The refusal's reason; [`Reason::Unavailable`] while the database is away; else [`Reason::Internal`].
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Broken(_) if self.away().is_some() => Reason::Unavailable,
            Self::Broken(_) => Reason::Internal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Broken(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        Self::Broken(Box::new(cause))
    }
}

impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Self {
        Self::Broken(Box::new(cause))
    }
}

impl From<prost::DecodeError> for Error {
    fn from(cause: prost::DecodeError) -> Self {
        Self::Broken(Box::new(cause))
    }
}

/// The one mapping to a gRPC status. Internal causes are logged here, once.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        // That the database is away is logged where it becomes known, once for all calls that meet it.
        if let Some(away) = error.away() {
            return away.refusal().into();
        }
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Broken(cause) => {
                tracing::error!(%cause, "internal error");
                Refusal::one("", Reason::Internal, "").into()
            }
        }
    }
}

/// What a status says to people: its message, or itself where it has none.
#[must_use]
pub fn said(status: &Status) -> String {
    if status.message().is_empty() { status.to_string() } else { status.message().to_owned() }
}

/// Whether a character is not seen but changes what is: controls and escapes, line and paragraph separators, what turns the direction of
/// writing, annotations, tags, and the mark of what could not be decoded.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
}

/// A text from outside (a peer's reason, a card's name, a cell), fit for a log, a terminal and an answer: without what is hidden,
/// at most so many characters.
#[must_use]
pub fn shown(text: &str, max_chars: usize) -> String {
    let mut seen = text.chars().filter(|c| !is_hidden(*c));
    let mut shown: String = seen.by_ref().take(max_chars).collect();
    if seen.next().is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// Characters of a detail, which may repeat what was sent.
const DETAIL_MAX_CHARS: usize = 300;

/// What a refusal may weigh as a status: it travels in headers, of which clients take eight KiB.
const STATUS_MAX_BYTES: usize = 7_000;

impl Violation {
    /// What it weighs in a status: in the message, where a byte of Chinese takes three; in the details, which tell it three times and where
    /// three bytes take four.
    fn weight(&self) -> usize {
        let Self { field, zh, en, .. } = self;
        3 * zh.len() + en.len() + (field.len() + 3 * (zh.len() + en.len()) + 24) * 4 / 3
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.reason();
        let mut bytes = 0;
        let fits = |violation: &&Violation| {
            bytes += violation.weight();
            bytes <= STATUS_MAX_BYTES
        };
        let told = refusal.0.iter().take_while(fits).count().max(1).min(refusal.0.len());
        let more = refusal.0.len() - told;
        let told = &refusal.0[..told];
        let join = |text: fn(&Violation) -> &str, rest: String| {
            let rest = Some(rest.as_str()).filter(|_| more > 0);
            told.iter().map(text).chain(rest).collect::<Vec<_>>().join("\n")
        };
        let zh = join(|v| &v.zh, format!("另有 {more} 处问题"));
        let en = join(|v| &v.en, format!("and {more} more"));
        let fields = told.iter().map(|v| FieldViolation::new(v.field.clone(), format!("{} | {}", v.zh, v.en)));
        let details = vec![
            ErrorDetail::ErrorInfo(ErrorInfo::new(reason.as_str_name(), "qianshou", std::collections::HashMap::new())),
            ErrorDetail::BadRequest(BadRequest::new(fields.collect::<Vec<_>>())),
            ErrorDetail::LocalizedMessage(LocalizedMessage::new("zh-CN", zh.clone())),
            ErrorDetail::LocalizedMessage(LocalizedMessage::new("en", en.clone())),
        ];
        Self::with_error_details_vec(code(reason), format!("{zh} | {en}"), details)
    }
}

/// The gRPC code of each reason.
#[must_use]
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::Unspecified | Reason::Internal => Code::Internal,
        Reason::Required
        | Reason::Malformed
        | Reason::CheckDigit
        | Reason::NotInList
        | Reason::InFuture
        | Reason::OutOfOrder
        | Reason::TooLong
        | Reason::TooMany
        | Reason::ControlCharacter
        | Reason::ReadOnly
        | Reason::UnknownField
        | Reason::BadPageToken
        | Reason::CardInvalid
        | Reason::AgreementInvalid
        | Reason::SignatureInvalid => Code::InvalidArgument,
        Reason::Duplicate => Code::AlreadyExists,
        Reason::NotFound | Reason::PeerUnknown | Reason::AgreementUnknown => Code::NotFound,
        Reason::ReferenceNotFound
        | Reason::StillReferenced
        | Reason::RequestIdReused
        | Reason::NotHome
        | Reason::AgreementConflict
        | Reason::NeedsSecondAdministrator
        | Reason::ContractLevel => Code::FailedPrecondition,
        Reason::StaleVersion => Code::Aborted,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::Forbidden | Reason::AreaForbidden => Code::PermissionDenied,
        Reason::Busy => Code::ResourceExhausted,
        Reason::NotYet | Reason::Unavailable => Code::Unavailable,
    }
}

/// The standing texts: what is wrong and the next step, Chinese and English.
fn texts(reason: Reason, field: &str, detail: &str) -> (String, String) {
    let two = |zh: String, en: String| (zh, en);
    match reason {
        Reason::Required => two(format!("{field}：必填，请填写"), format!("{field}: required; fill it in")),
        Reason::Malformed => {
            two(format!("{field}：格式不正确，应为{detail}"), format!("{field}: not of the expected form: {detail}"))
        }
        Reason::CheckDigit => two(
            format!("{field}：校验码不正确，请核对{detail}"),
            format!("{field}: the check digit does not hold; compare it with the original ({detail})"),
        ),
        Reason::NotInList => two(
            format!("{field}：不在有效列表中（{detail}），请核对代码及其有效日期"),
            format!("{field}: not in the list ({detail}); check the code and the date it is valid on"),
        ),
        Reason::InFuture => two(
            format!("{field}：不能晚于今天（{detail}）"),
            format!("{field}: must not lie in the future (today is {detail})"),
        ),
        Reason::OutOfOrder => {
            two(format!("{field}：不能早于{detail}"), format!("{field}: must not be earlier than {detail}"))
        }
        Reason::TooLong => two(
            format!("{field}：超过长度上限{detail}，请缩短"),
            format!("{field}: longer than the limit of {detail}; shorten it"),
        ),
        Reason::TooMany => two(
            format!("{field}：超过数量上限{detail}，请分批提交"),
            format!("{field}: more than the limit of {detail}; send it in parts"),
        ),
        Reason::ControlCharacter => two(
            format!("{field}：含有不可见的控制字符，请删除"),
            format!("{field}: holds a control character; remove it"),
        ),
        Reason::ReadOnly => two(
            format!("{field}：由系统填写，不能修改"),
            format!("{field}: is written by the system and cannot be set"),
        ),
        Reason::UnknownField => {
            two(format!("{field}：没有这个字段（{detail}）"), format!("{field}: there is no such field ({detail})"))
        }
        Reason::Duplicate => two(
            format!("{field}：已被{detail}使用；如为同一对象，请修改原记录"),
            format!("{field}: already used by {detail}; if it is the same thing, update that record"),
        ),
        Reason::NotFound => two(format!("{field}：找不到{detail}"), format!("{field}: {detail} was not found")),
        Reason::ReferenceNotFound => two(
            format!("{field}：引用的记录不存在或已结束（{detail}），请先登记"),
            format!("{field}: refers to a record that does not exist or has ended ({detail}); record that first"),
        ),
        Reason::StillReferenced => two(
            format!("{field}：仍被其他记录引用（{detail}），请先处理这些记录"),
            format!("{field}: other records still refer to it ({detail}); deal with those first"),
        ),
        Reason::StaleVersion => two(
            format!("{field}：记录已被修改，当前版本为{detail}；请重新读取后再改"),
            format!("{field}: the record has changed, its version is {detail}; read it again and repeat the change"),
        ),
        Reason::RequestIdReused => two(
            format!("{field}：同一请求编号已用于不同的内容；请换一个编号"),
            format!("{field}: this request id was used with another body; take a new one"),
        ),
        Reason::NotHome => two(
            format!("{field}：此记录只能由其所属节点修改（{detail}）"),
            format!("{field}: only its home node writes this record ({detail})"),
        ),
        Reason::Unauthenticated => two(
            "未登录：请提供有效的令牌（authorization: Bearer …）".into(),
            "no valid token: send one as `authorization: Bearer …`".into(),
        ),
        Reason::Forbidden => {
            two(format!("没有权限：需要{detail}角色"), format!("not permitted: the role {detail} is needed"))
        }
        Reason::AreaForbidden => two(
            format!("{field}：超出您的管辖区域（{detail}）"),
            format!("{field}: outside the area of your token ({detail})"),
        ),
        Reason::Busy => two(
            "系统繁忙，请稍后以同一请求编号重试".into(),
            "the node is busy; repeat with the same request id a little later".into(),
        ),
        Reason::NotYet => two(
            format!("尚未处理到所要求的位置（{detail}），请稍后重试"),
            format!("the asked position has not been reached yet ({detail}); try again shortly"),
        ),
        Reason::BadPageToken => two(
            format!("{field}：翻页标记无效，请从第一页重新读取"),
            format!("{field}: this page token is not of this list; begin with the first page"),
        ),
        Reason::ContractLevel => two(
            format!("数据库已升级（{detail}），请升级本程序后再写入"),
            format!("the database was upgraded ({detail}); upgrade this process before it writes"),
        ),
        Reason::Unavailable => two(
            format!("暂时无法连接{detail}，请稍后重试"),
            format!("{detail} cannot be reached at the moment; try again shortly"),
        ),
        Reason::PeerUnknown => two(
            format!("没有节点{detail}的名片，请先执行 qianshou peer add"),
            format!("node {detail} is not a peer; add its card with `qianshou peer add`"),
        ),
        Reason::CardInvalid => two(format!("名片无效：{detail}"), format!("the card does not hold: {detail}")),
        Reason::AgreementUnknown => two(format!("没有协议{detail}"), format!("agreement {detail} is not known here")),
        Reason::AgreementInvalid => two(
            format!("{field}：协议条款不成立：{detail}"),
            format!("{field}: these terms cannot be signed: {detail}"),
        ),
        Reason::AgreementConflict => two(
            format!("{field}：与已生效的协议冲突（{detail}）"),
            format!("{field}: conflicts with an agreement in force ({detail})"),
        ),
        Reason::SignatureInvalid => {
            two(format!("{field}：签名不成立（{detail}）"), format!("{field}: the signature does not hold ({detail})"))
        }
        Reason::NeedsSecondAdministrator => two(
            format!(
                "需另一位管理员批准（{detail}）：请其执行 qianshou approval approve {detail}，之后以相同内容再次执行"
            ),
            format!(
                "a second administrator has to approve ({detail}): let them run `qianshou approval approve {detail}`, then repeat the \
                 same call"
            ),
        ),
        Reason::Unspecified | Reason::Internal => two(
            "系统内部错误，已记入日志；请联系管理员".into(),
            "internal error, written to the log; ask the administrator".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_shown_without_what_is_hidden() {
        assert_eq!(shown("\u{1b}[31m民政厅\u{202e}\0\n\u{2066}ok\u{9b}", 80), "[31m民政厅ok");
        assert_eq!(shown("一二三四", 4), "一二三四");
        assert_eq!(shown("一二三四五\u{7}", 4), "一二三…");
        assert_eq!(shown("👩‍👩‍👧", 9), "👩‍👩‍👧", "a joiner is part of what is seen");
    }

    #[test]
    fn a_refusal_fits_into_headers() {
        let many = |count: usize| {
            Refusal((0..count).map(|i| Violation::new(format!("criteria[{i}].code"), Reason::Required, "")).collect())
        };
        let few = Status::from(many(5));
        assert!(few.message().contains("criteria[4].code") && !few.message().contains("more"), "{}", few.message());
        let cut = Status::from(many(400));
        assert!(cut.message().contains("criteria[0].code") && cut.message().contains("另有 3"), "{}", cut.message());
        let encoded = cut.message().bytes().map(|byte| if byte.is_ascii() { 1 } else { 3 }).sum::<usize>();
        assert!(encoded + cut.details().len() * 4 / 3 < 8 << 10, "{encoded} + {}", cut.details().len());
        let long = Status::from(Refusal::one("field", Reason::NotInList, "长".repeat(5_000)));
        assert_eq!(long.code(), Code::InvalidArgument);
    }
}
