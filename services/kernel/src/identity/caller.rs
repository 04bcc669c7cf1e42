//! Who calls, what they may do and where. A person's caller comes from a token, a peer's from its certificate.

use std::{fmt, str::FromStr};

use crate::{
    error::{Reason, Refusal, Result},
    id::Area,
};

/// What a caller may do; from the reader on, each role may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads the audit and nothing else.
    Auditor,
    Reader,
    Editor,
    Administrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Auditor, Self::Reader, Self::Editor, Self::Administrator];

    /// The role's name, as it is stored and typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Reader => "reader",
            Self::Editor => "editor",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| Refusal::one("role", Reason::NotInList, "auditor, reader, editor, administrator"))
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Stands in the ledger beside what they write.
    pub actor: String,
    pub role: Role,
    /// The area they answer for, with everything below it; `00` is everything this node holds, empty is nothing. Who answers for the
    /// whole of a province's area answers at its node for what others sent it, too.
    pub area: String,
    /// The one agency (`nodes/64/agencies/ID`) or pairing key whose records alone they see and write.
    pub limited_to: Option<String>,
    /// An area that has agreed to what is written: what is touched lies in the caller's area or in this one.
    pub agreed: Option<String>,
    /// The node, if the caller is one.
    pub peer: Option<String>,
}

impl Caller {
    /// The caller a pinned certificate stands for. What a peer may have is in its agreements, not in a role.
    #[must_use]
    pub fn of_peer(node: &str) -> Self {
        Self { peer: Some(node.to_owned()), ..Self::new(&format!("nodes/{node}"), Role::Reader, "") }
    }

    /// A person's or program's caller, with no limit beside its area.
    #[must_use]
    pub fn new(actor: &str, role: Role, area: &str) -> Self {
        Self { actor: actor.to_owned(), role, area: area.to_owned(), limited_to: None, agreed: None, peer: None }
    }

    /// Whether the caller answers for everything this node holds.
    #[must_use]
    pub fn covers_all(&self) -> bool {
        self.area == Area::NATION && self.limited_to.is_none()
    }

    /// As [`Caller::need_area`], for a record that is written at a node: an editor of all its area writes what lies in that area; what
    /// lies elsewhere, or speaks of the nation, its administrators record.
    ///
    /// # Errors
    /// A refusal, naming the field that holds the area.
    pub fn may_write(&self, field: &str, area: &str, node: &str) -> Result<(), Refusal> {
        self.need_agreed(field, area)?;
        let lies_here = match (Area::parse(node), Area::parse(area)) {
            (Some(node), Some(area)) => node.covers(area.as_str()),
            _ => false,
        };
        if self.role >= Role::Administrator || lies_here {
            Ok(())
        } else {
            Err(Refusal::one(field, Reason::AreaForbidden, node))
        }
    }

    /// The same caller with the leave of an area that has agreed to what is written.
    #[must_use]
    pub fn agreeing_with(&self, area: &str) -> Self {
        Self { agreed: Some(area.to_owned()), ..self.clone() }
    }

    /// Whether what lies in an area may be touched: it is the caller's, or has agreed.
    #[must_use]
    pub fn may_touch(&self, area: &str) -> bool {
        let agreed = self.agreed.as_deref().and_then(Area::parse).zip(Area::parse(area));
        self.covers(area) || agreed.is_some_and(|(agreed, area)| agreed.covers(area.as_str()))
    }

    /// As [`Caller::need_area`], for what is written: the area that has agreed will do, too.
    ///
    /// # Errors
    /// A refusal, naming the field that holds the area.
    pub fn need_agreed(&self, field: &str, area: &str) -> Result<(), Refusal> {
        if self.may_touch(area) { Ok(()) } else { self.need_area(field, area) }
    }

    /// Whether an area lies in the caller's.
    #[must_use]
    pub fn covers(&self, area: &str) -> bool {
        match (Area::parse(&self.area), Area::parse(area)) {
            (Some(own), Some(area)) => own.covers(area.as_str()),
            _ => false,
        }
    }

    /// # Errors
    /// A refusal for a caller of a lesser role, or one that is limited to records of its own: what asks so does not tell these
    /// apart.
    pub fn need(&self, role: Role) -> Result<(), Refusal> {
        match self.limited_to {
            None if self.role >= role => Ok(()),
            None => Err(Refusal::one("", Reason::Forbidden, role)),
            Some(_) => Err(Refusal::one("", Reason::Forbidden, format!("{role} without a limit | 不受限的{role}"))),
        }
    }

    /// As [`Caller::need`], where what is asked tells a limited caller's own records from others.
    ///
    /// # Errors
    /// A refusal for a caller of a lesser role.
    pub fn need_role(&self, role: Role) -> Result<(), Refusal> {
        if self.role >= role { Ok(()) } else { Err(Refusal::one("", Reason::Forbidden, role)) }
    }

    /// Whether the caller may read the audit.
    ///
    /// # Errors
    /// A refusal for readers, editors and peers.
    pub fn may_audit(&self) -> Result<(), Refusal> {
        match self.role {
            Role::Auditor | Role::Administrator if self.limited_to.is_none() => Ok(()),
            _ => Err(Refusal::one("", Reason::Forbidden, Role::Auditor)),
        }
    }

    /// # Errors
    /// A refusal, naming the field that holds the area, if it lies outside the caller's.
    pub fn need_area(&self, field: &str, area: &str) -> Result<(), Refusal> {
        if self.covers(area) { Ok(()) } else { Err(Refusal::one(field, Reason::AreaForbidden, &self.area)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(area: &str) -> Caller {
        Caller::new("persons/1", Role::Editor, area)
    }

    #[test]
    fn an_area_covers_what_lies_below_it() {
        for (own, area, covers) in [
            ("64", "640104", true),
            ("640000", "640104001001", true),
            ("640100", "6401", true),
            ("640100000000", "640104", true),
            ("640110", "6401", false),
            ("640110", "640110001", true),
            ("64", "35", false),
            ("6401", "64", false),
            ("00", "35", true),
            ("000000", "35", true),
            ("64", "00", false),
            ("", "64", false),
            ("", "", false),
        ] {
            assert_eq!(of(own).covers(area), covers, "{own} {area}");
        }
        assert_eq!(of("64").need_area("division", "35").unwrap_err().reason(), Reason::AreaForbidden);
        assert!(!Caller::of_peer("35").covers("35"));
        for (role, area, may) in [
            (Role::Editor, "640104", true),
            (Role::Editor, "350203", false),
            (Role::Editor, "00", false),
            (Role::Administrator, "350203", true),
        ] {
            assert_eq!(
                Caller::new("tokens/1", role, "00").may_write("division", area, "64").is_ok(),
                may,
                "{role} {area}"
            );
        }
    }

    #[test]
    fn a_role_may_do_what_the_lesser_may() {
        assert!(of("64").need(Role::Reader).is_ok() && of("64").need(Role::Editor).is_ok());
        assert_eq!(of("64").need(Role::Administrator).unwrap_err().reason(), Reason::Forbidden);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            let caller = Caller::new("tokens/1", role, "64");
            assert_eq!(caller.may_audit().is_ok(), [Role::Auditor, Role::Administrator].contains(&role), "{role}");
            let limited = Caller { limited_to: Some("nodes/64/agencies/1".into()), ..caller };
            assert!(limited.need(Role::Reader).is_err() && limited.may_audit().is_err());
        }
        assert!(Caller::new("tokens/1", Role::Auditor, "64").need(Role::Reader).is_err(), "the audit and nothing else");
        assert!("Root".parse::<Role>().is_err());
    }
}
