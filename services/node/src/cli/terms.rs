//! An agreement's terms from words: `--share workers=division,sector,@person`.

use qianshou_kernel::{
    error::{Error, Reason, Result},
    id::Area,
    kind::descriptors,
};
use qianshou_proto::{
    common::v1::{Condition, FieldPath, Filter, condition},
    exchange::v1::KindClause,
};

/// One clause: a kind and the fields that cross. `*` is every field that may; `@person` adds the person's pseudonym.
/// With an area, only records whose division lies in it; a kind without a division is refused then, unless the area is only supposed.
pub(crate) fn clause(share: &str, area: Option<&str>, supposed: bool) -> Result<KindClause> {
    let wrong = |detail: &str| Error::refused("--share", Reason::Malformed, detail.to_owned());
    let (kind, fields) = share.split_once('=').ok_or_else(|| wrong("KIND=FIELD,FIELD,@person"))?;
    let kinds = crate::node::kinds();
    let known = kinds.iter().find(|k| k.collection == kind);
    let message = known.and_then(|k| descriptors().get_message_by_name(k.message));
    let message = message.ok_or_else(|| Error::refused("--share", Reason::NotInList, kind))?;
    let mut clause = KindClause { kind: Some(kind.to_owned()), pseudonym: Some(false), ..KindClause::default() };
    let path = |number: u32| FieldPath { numbers: vec![number] };
    for field in fields.split(',').map(str::trim).filter(|f| !f.is_empty()) {
        match field {
            "@person" => clause.pseudonym = Some(true),
            "*" => {
                let person = known.and_then(|k| k.person);
                let crosses = |n: &u32| *n > 2 && Some(*n) != person;
                let all = message.fields().filter(|f| f.name() != "id_number").map(|f| f.number());
                clause.fields.extend(all.filter(crosses).map(path));
            }
            name => {
                let field = message.get_field_by_name(name);
                let field =
                    field.ok_or_else(|| Error::refused("--share", Reason::UnknownField, format!("{kind}.{name}")))?;
                clause.fields.push(path(field.number()));
            }
        }
    }
    if let Some(area) = area {
        let area = Area::parse(area).ok_or_else(|| Error::refused("--area", Reason::Malformed, "64, 6401 …"))?;
        let division = message.get_field_by_name("division").or_else(|| message.get_field_by_name("code"));
        let division = match division {
            None if supposed => return Ok(clause),
            other => other.ok_or_else(|| Error::refused("--area", Reason::UnknownField, format!("{kind}.division")))?,
        };
        let looked_at = path(division.number());
        // What the scope looks at has to be sent.
        if supposed && !clause.fields.contains(&looked_at) {
            clause.fields.push(looked_at);
        }
        let test = condition::Test::Under(area.as_str().to_owned());
        clause.scope = Some(Filter { all: vec![Condition { path: Some(path(division.number())), test: Some(test) }] });
    }
    Ok(clause)
}
