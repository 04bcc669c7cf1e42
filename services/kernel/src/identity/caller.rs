//! Who calls, what they may do and where. A person's caller comes from a token, a peer's from its certificate.

use std::{fmt, str::FromStr};

use crate::{
    error::{Reason, Refusal, Result},
    id::Area,
};

/// What a caller may do; each role may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Reader,
    Editor,
    Administrator,
}

impl Role {
    /// The role's name, as it is stored and typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
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
        let roles = [Self::Reader, Self::Editor, Self::Administrator];
        let found = roles.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| Refusal::one("role", Reason::NotInList, "reader, editor, administrator"))
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Stands in the ledger beside what they write.
    pub actor: String,
    pub role: Role,
    /// The area they answer for, with everything below it; `00` is everything, empty is nothing.
    pub area: String,
    /// The node, if the caller is one.
    pub peer: Option<String>,
}

impl Caller {
    /// The caller a pinned certificate stands for. What a peer may have is in its agreements, not in a role.
    #[must_use]
    pub fn of_peer(node: &str) -> Self {
        Self { actor: format!("nodes/{node}"), role: Role::Reader, area: String::new(), peer: Some(node.to_owned()) }
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
    /// A refusal for a caller of a lesser role.
    pub fn need(&self, role: Role) -> Result<(), Refusal> {
        if self.role >= role { Ok(()) } else { Err(Refusal::one("", Reason::Forbidden, role)) }
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
        Caller { actor: "persons/1".into(), role: Role::Editor, area: area.into(), peer: None }
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
    }

    #[test]
    fn a_role_may_do_what_the_lesser_may() {
        assert!(of("64").need(Role::Reader).is_ok() && of("64").need(Role::Editor).is_ok());
        assert_eq!(of("64").need(Role::Administrator).unwrap_err().reason(), Reason::Forbidden);
        for role in [Role::Reader, Role::Editor, Role::Administrator] {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("Root".parse::<Role>().is_err());
    }
}
