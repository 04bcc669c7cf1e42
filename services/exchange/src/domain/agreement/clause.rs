//! One kind's clause: which fields, which records, and with what in place of the person. Both sides apply the same clause: the
//! provider to make a payload, the consumer to see that it is no more than what was agreed.

use prost::Message as _;
use prost_reflect::{Cardinality, FieldDescriptor, Kind as FieldKind, MessageDescriptor};
use qianshou_kernel::{
    error::{Reason, Violation},
    filter::{Condition, Filter, Test},
    id::Area,
    kind::{Bounds, Kind, Kinds, Misshape, descriptors},
    mask::Mask,
    wire::{Malformed, Wire, fields, put_text},
};
use qianshou_proto::{
    common::v1::{self as common, condition},
    exchange::v1::{KindClause, QuarantineReason, Sensitivity},
};

use super::{FIELDS_MAX, TEXT_MAX_CHARS, invalid};
use crate::domain::{page, sensitivity, tree::Hash};

/// Conditions in one scope, and texts or numbers in one set, at most.
const CONDITIONS_MAX: usize = 50;
const SET_MAX: usize = 2_000;
/// Messages within messages that a path may lead through.
const DEPTH_MAX: usize = 8;
/// Numbers 1 and 2 of every record: `name` and `etag`, which travel with the entry.
const STANDING: [u32; 2] = [1, 2];

/// A clause that is ready to be applied.
#[derive(Clone, Debug)]
pub struct Clause {
    kind: Kind,
    sent: Mask,
    accepted: Mask,
    scope: Filter,
    singular: Vec<Vec<(u32, bool)>>,
    pseudonym: Option<u32>,
    signed_digest: Vec<u8>,
}

impl Clause {
    /// `None`: the clause does not pass [`check`].
    pub(super) fn of(clause: &KindClause, kinds: &Kinds) -> Option<Self> {
        let kind = *kinds.get(clause.kind())?;
        let message = descriptors().get_message_by_name(kind.message)?;
        let mut paths: Vec<Vec<u32>> = clause.fields.iter().map(|path| path.numbers.clone()).collect();
        let sent = Mask::new(&paths);
        let pseudonym = kind.person.filter(|_| clause.pseudonym());
        paths.extend(pseudonym.map(|number| vec![number]));
        let scope = filter(clause.scope.as_ref())?;
        let singular = scope.paths().map(|path| lists(&message, path)).collect::<Option<_>>()?;
        let signed_digest = clause.descriptor_digest.as_deref().unwrap_or_default().to_vec();
        Some(Self { kind, sent, accepted: Mask::new(&paths), scope, singular, pseudonym, signed_digest })
    }

    /// Whether the record's pseudonym is put in.
    #[must_use]
    pub fn wants_pseudonym(&self) -> bool {
        self.pseudonym.is_some()
    }

    /// Whether the kind's message is here what it was at the drafting node.
    #[must_use]
    pub fn reads_as_signed(&self) -> bool {
        descriptor_digest(&self.kind).is_some_and(|digest| digest[..] == self.signed_digest[..])
    }

    /// What the consumer sees of a record; `None`: it is outside the scope. Withheld is absent, never empty; a text in which a
    /// citizen number stands is withheld whole.
    ///
    /// # Errors
    /// The payload is no protobuf.
    pub fn show(&self, payload: &[u8], pseudonym: Option<&str>) -> Result<Option<Vec<u8>>, Malformed> {
        let mut shown = self.sent.apply(payload)?;
        if let Some(without) = self.kind.without_open_numbers(&shown)? {
            shown = without;
        }
        if !self.scope.matches(&shown)? {
            return Ok(None);
        }
        if let (Some(number), Some(pseudonym)) = (self.pseudonym, pseudonym) {
            put_text(&mut shown, number, pseudonym);
        }
        Ok(Some(shown))
    }

    /// Whether a received payload is what this clause lets pass.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&self, payload: &[u8], bounds: &Bounds) -> Result<(), QuarantineReason> {
        let unreadable = |_: Malformed| QuarantineReason::Unreadable;
        if !self.accepted.covers(payload).map_err(unreadable)? {
            return Err(QuarantineReason::FieldNotAllowed);
        }
        for path in &self.singular {
            // Twice the same singular field: two readers could see two records.
            if !single(payload, path).map_err(unreadable)? {
                return Err(QuarantineReason::Unreadable);
            }
        }
        if !self.scope.matches(payload).map_err(unreadable)? {
            return Err(QuarantineReason::OutOfScope);
        }
        self.kind.check_shape(payload, bounds).map_err(|misshape| match misshape {
            Misshape::Unreadable => QuarantineReason::Unreadable,
            Misshape::Field(_) => QuarantineReason::Shape,
            Misshape::IdentityNumber(_) => QuarantineReason::IdentityNumber,
        })
    }

    /// The only node that may be home to the kind, if there is just one.
    #[must_use]
    pub fn home(&self) -> Option<&'static str> {
        self.kind.home
    }
}

/// SHA-256 of the descriptor of a kind's message: what its numbers mean here.
#[must_use]
pub fn descriptor_digest(kind: &Kind) -> Option<Hash> {
    let message = descriptors().get_message_by_name(kind.message)?;
    Some(page::digest(&message.descriptor_proto().encode_to_vec()))
}

/// Whether every singular field of a path is there once at most.
fn single(payload: &[u8], path: &[(u32, bool)]) -> Result<bool, Malformed> {
    let Some(((number, list), below)) = path.split_first() else {
        return Ok(true);
    };
    let mut times = 0;
    for field in fields(payload) {
        let field = field?;
        if field.number != *number {
            continue;
        }
        times += 1;
        if times > 1 && !list {
            return Ok(false);
        }
        if let (Wire::Len(message), false) = (field.wire, below.is_empty())
            && !single(message, below)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A path with whether each of its fields is a list; `None`: there is no such path.
fn lists(message: &MessageDescriptor, path: &[u32]) -> Option<Vec<(u32, bool)>> {
    let fields = along(message, path)?;
    Some(fields.iter().map(|f| (f.number(), f.cardinality() == Cardinality::Repeated)).collect())
}

/// The fields along a path; `None`: there is no such path.
fn along(message: &MessageDescriptor, path: &[u32]) -> Option<Vec<FieldDescriptor>> {
    if path.is_empty() || path.len() > DEPTH_MAX {
        return None;
    }
    let mut found: Vec<FieldDescriptor> = vec![];
    for number in path {
        let within = match found.last().map(FieldDescriptor::kind) {
            None => message.clone(),
            Some(FieldKind::Message(inner)) => inner,
            Some(_) => return None,
        };
        found.push(within.get_field(*number)?);
    }
    Some(found)
}

/// The kernel's filter; `None`: it has a test that is not known here, or none.
fn filter(scope: Option<&common::Filter>) -> Option<Filter> {
    let conditions = scope.map(|scope| scope.all.iter()).into_iter().flatten();
    Some(Filter { all: conditions.map(condition).collect::<Option<_>>()? })
}

fn condition(asked: &common::Condition) -> Option<Condition> {
    let test = match asked.test.as_ref()? {
        condition::Test::OneOf(set) => Test::OneOf(set.values.clone()),
        condition::Test::Under(prefix) => Test::Under(prefix.clone()),
        // The contract's end lies inside, the kernel's outside; the least text above one is that text and a NUL.
        condition::Test::Between(range) => {
            Test::Between { from: range.from.clone(), until: range.until.as_ref().map(|until| format!("{until}\0")) }
        }
        condition::Test::Present(true) => Test::Present,
        condition::Test::Present(false) => return None,
        condition::Test::NumberIn(set) => Test::NumberIn(set.values.clone()),
        condition::Test::AtLeast(times) => Test::AtLeast(*times),
    };
    Some(Condition { path: asked.path.as_ref()?.numbers.clone(), test })
}

/// Everything that is wrong with a clause; `at` is its path in the terms.
pub(super) fn check(clause: &KindClause, at: &str, kinds: &Kinds, cap: Sensitivity, found: &mut Vec<Violation>) {
    let Some(kind) = kinds.get(clause.kind()) else {
        let known = kinds.iter().map(|kind| kind.collection).collect::<Vec<_>>().join(", ");
        found.push(Violation::new(format!("{at}.kind"), Reason::NotInList, known));
        return;
    };
    let Some(message) = descriptors().get_message_by_name(kind.message) else {
        found.push(invalid(
            format!("{at}.kind"),
            "本程序没有此类记录的定义",
            "the contract does not describe this kind",
        ));
        return;
    };
    if clause.fields.is_empty() {
        found.push(Violation::new(format!("{at}.fields"), Reason::Required, ""));
    }
    if clause.fields.len() > FIELDS_MAX {
        found.push(Violation::new(format!("{at}.fields"), Reason::TooMany, FIELDS_MAX));
        return;
    }
    for (i, path) in clause.fields.iter().enumerate() {
        check_field(&message, kind, &path.numbers, &format!("{at}.fields[{i}]"), cap, found);
    }
    if clause.pseudonym() && kind.person.is_none() {
        found.push(invalid(
            format!("{at}.pseudonym"),
            "此类记录不是个人",
            "records of this kind are not about a person",
        ));
    }
    if clause.descriptor_digest.as_deref().is_some_and(|digest| digest.len() != 32) {
        found.push(Violation::new(format!("{at}.descriptor_digest"), Reason::Malformed, "SHA-256"));
    }
    check_scope(clause, &message, at, found);
}

fn check_field(
    message: &MessageDescriptor,
    kind: &Kind,
    path: &[u32],
    at: &str,
    cap: Sensitivity,
    found: &mut Vec<Violation>,
) {
    let Some(fields) = along(message, path) else {
        found.push(Violation::new(at, Reason::UnknownField, dotted(path)));
        return;
    };
    if STANDING.contains(&path[0]) {
        found.push(invalid(at, "name 与 etag 由条目携带", "name and etag travel with the entry"));
    } else if fields.iter().any(|field| field.name() == "id_number") {
        found.push(invalid(at, "身份证件号码不得跨节点", "an identity number never crosses"));
    } else if kind.person == Some(path[0]) {
        found.push(invalid(at, "假名只能由 pseudonym 加入", "the pseudonym is put in by `pseudonym` only"));
    } else {
        let level = fields.iter().map(level_of).max_by_key(|level| *level as i32).unwrap_or(Sensitivity::L4);
        if level == Sensitivity::L4 {
            found.push(invalid(at, "L4 数据不得跨节点", "L4 never crosses"));
        } else if cap != Sensitivity::Unspecified && level as i32 > cap as i32 {
            let (zh, en) = (
                format!("字段为 L{}，超过敏感级别上限", level as i32),
                format!("the field is L{}, above the cap", level as i32),
            );
            found.push(invalid(at, &zh, &en));
        }
    }
}

/// A whole message is as sensitive as the most sensitive field within it.
fn level_of(field: &FieldDescriptor) -> Sensitivity {
    fn deep(field: &FieldDescriptor, depth: usize) -> Sensitivity {
        let own = sensitivity::of(field);
        let FieldKind::Message(message) = field.kind() else {
            return own;
        };
        if depth == DEPTH_MAX {
            return Sensitivity::L4;
        }
        let inner = message.fields().map(|field| deep(&field, depth + 1));
        inner.chain([own]).max_by_key(|level| *level as i32).unwrap_or(own)
    }
    deep(field, 0)
}

/// Whether a clause lets personal data cross; where it does, it has to name an area, if the kind has one.
pub(super) fn check_personal(clause: &KindClause, at: &str, kinds: &Kinds, found: &mut Vec<Violation>) -> bool {
    let message = kinds.get(clause.kind()).and_then(|kind| descriptors().get_message_by_name(kind.message));
    let Some(message) = message else { return false };
    let last = |path: &[u32]| along(&message, path).and_then(|mut fields| fields.pop());
    let is_personal = |field: FieldDescriptor| level_of(&field) as i32 >= Sensitivity::L3 as i32;
    if !clause.pseudonym() && !clause.fields.iter().filter_map(|path| last(&path.numbers)).any(is_personal) {
        return false;
    }
    let is_place = |field: &FieldDescriptor| field.name() == "code" || field.name().ends_with("division");
    let is_area = |text: &String| Area::parse(text).is_some();
    let conditions = clause.scope.as_ref().map(|scope| &scope.all[..]).unwrap_or_default();
    let names_area = conditions.iter().any(|condition| {
        let path = condition.path.as_ref().map(|path| &path.numbers[..]).unwrap_or_default();
        last(path).is_some_and(|field| is_place(&field))
            && match &condition.test {
                Some(condition::Test::Under(area)) => is_area(area),
                Some(condition::Test::OneOf(areas)) => areas.values.iter().all(is_area),
                _ => false,
            }
    });
    if !names_area && message.fields().any(|field| is_place(&field)) {
        let (zh, en) = (
            "个人数据（L3）须限定地区：对 division 设 under 或 one_of 条件",
            "personal data (L3) needs an area: a condition `under` or `one_of` on its division",
        );
        found.push(invalid(format!("{at}.scope"), zh, en));
    }
    true
}

fn check_scope(clause: &KindClause, message: &MessageDescriptor, at: &str, found: &mut Vec<Violation>) {
    let Some(scope) = &clause.scope else { return };
    if scope.all.len() > CONDITIONS_MAX {
        found.push(Violation::new(format!("{at}.scope"), Reason::TooMany, CONDITIONS_MAX));
        return;
    }
    let paths: Vec<Vec<u32>> = clause.fields.iter().map(|path| path.numbers.clone()).collect();
    let sent = Mask::new(&paths);
    for (i, asked) in scope.all.iter().enumerate() {
        let at = format!("{at}.scope.all[{i}]");
        let path = asked.path.as_ref().map(|path| path.numbers.as_slice()).unwrap_or_default();
        let Some(field) = along(message, path).and_then(|mut fields| fields.pop()) else {
            found.push(Violation::new(format!("{at}.path"), Reason::UnknownField, dotted(path)));
            continue;
        };
        if !sent.allows(path) {
            found.push(invalid(
                format!("{at}.path"),
                "范围所看的字段须在发送字段之中",
                "what the scope looks at must be among the fields sent",
            ));
        }
        if let Some((zh, en)) = misfit(asked.test.as_ref(), &field.kind()) {
            found.push(invalid(at, zh, en));
        }
    }
}

/// Why a test cannot be asked of a field.
fn misfit(test: Option<&condition::Test>, kind: &FieldKind) -> Option<(&'static str, &'static str)> {
    const TEXT: (&str, &str) = ("此条件只适用于文本字段", "this test is for texts only");
    const NUMBER: (&str, &str) = ("此条件只适用于整数或枚举字段", "this test is for whole numbers and enums only");
    const SIZE: (&str, &str) = ("集合为空、过大或文本过长", "the set is empty or too large, or a text too long");
    let is_text = matches!(kind, FieldKind::String);
    let is_number = matches!(
        kind,
        FieldKind::Int32
            | FieldKind::Int64
            | FieldKind::Uint32
            | FieldKind::Uint64
            | FieldKind::Bool
            | FieldKind::Enum(_)
    );
    let sound = |text: &String| text.len() <= TEXT_MAX_CHARS && !text.contains('\0');
    let sized = |count: usize| (1..=SET_MAX).contains(&count);
    match test {
        None => Some(("缺少条件，或条件本程序不认识", "there is no test, or one that is not known here")),
        Some(condition::Test::Present(false)) => Some(("不支持否定条件", "there is no negation")),
        Some(condition::Test::Present(true) | condition::Test::AtLeast(_)) => None,
        Some(condition::Test::NumberIn(_)) if !is_number => Some(NUMBER),
        Some(condition::Test::NumberIn(set)) => (!sized(set.values.len())).then_some(SIZE),
        Some(_) if !is_text => Some(TEXT),
        Some(condition::Test::OneOf(set)) => {
            (!sized(set.values.len()) || !set.values.iter().all(sound)).then_some(SIZE)
        }
        Some(condition::Test::Under(prefix)) => (!sound(prefix)).then_some(SIZE),
        Some(condition::Test::Between(range)) => {
            (![&range.from, &range.until].into_iter().flatten().all(sound)).then_some(SIZE)
        }
    }
}

fn dotted(path: &[u32]) -> String {
    path.iter().take(DEPTH_MAX).map(u32::to_string).collect::<Vec<_>>().join(".")
}
