//! What one area asks another to let it write. A proposal is brought into its form here when it is made, and carried out by the ordinary
//! verb when the other area has agreed.
//!
//! Says nothing of what lies outside the caller's area: a name is not looked up, and a key that leads to nothing inside stays as it is.

use std::collections::BTreeSet;

use prost::Message as _;
use qianshou_proto::Resource as _;

use super::{
    Noun, Verbs, Written,
    check::Lookup,
    decide::{Proposal, Wish},
    read_etag,
    verbs::{With, field_numbers},
};
use crate::{
    error::{Error, Reason, Refusal, Result},
    id::{Area, Name},
    identity::{Caller, Role},
    mask,
};

/// What a proposal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A new record.
    Create,
    /// Some fields of a record.
    Update,
    /// The end of a record that should not have been.
    Delete,
}

impl Verbs {
    /// A record as it may stand in a proposal: each field in its form, references inside the caller's area by name, of an update the fields
    /// that it names, of a deletion the name.
    ///
    /// # Errors
    /// What is wrong with its form. The answer does not depend on any record outside the caller's area.
    pub async fn proposed<N: Noun>(
        &self,
        caller: &Caller,
        act: Act,
        mut noun: N::Record,
        paths: Option<&[String]>,
    ) -> Result<N::Record> {
        caller.need(Role::Editor)?;
        if N::take_secret(&mut noun).is_some() {
            let detail = "absent: people are named by their records | 不填：人员以记录名称指明";
            return Err(Error::refused("id_number", Reason::Malformed, detail));
        }
        let (name, etag) = (noun.name_mut().take(), noun.etag_mut().take().filter(|etag| !etag.is_empty()));
        let etag = etag.filter(|_| act != Act::Create).map(|etag| read_etag(&etag).map(|v| v.etag())).transpose()?;
        let name = match act {
            Act::Create if name.is_some() => return Err(Error::refused("name", Reason::ReadOnly, "")),
            Act::Create => None,
            Act::Update | Act::Delete => Some(self.own_name::<N>(name.as_deref())?),
        };
        let mut noun = match (act, paths) {
            (Act::Create, None) => self.in_proposed_form::<N>(caller, noun, true).await?,
            (Act::Create | Act::Delete, Some(_)) => return Err(Error::refused("update_mask", Reason::ReadOnly, "")),
            (Act::Update, None) => return Err(Error::refused("update_mask", Reason::Required, "")),
            (Act::Update, Some(paths)) => {
                let named = mask::replace(&[], &noun.encode_to_vec(), &field_numbers::<N>(paths)?);
                let named = named.map_err(|_| Error::broken("a message that was encoded cannot be read"))?;
                self.in_proposed_form::<N>(caller, N::Record::decode(&named[..])?, false).await?
            }
            (Act::Delete, None) => N::Record::default(),
        };
        let kind = self.ledger.kinds().get(N::COLLECTION).ok_or_else(|| Error::broken("a noun is no kind"))?;
        let numbers = kind.without_open_numbers(&noun.encode_to_vec());
        if numbers.map_err(|_| Error::broken("a message that was encoded cannot be read"))?.is_some() {
            let detail = "a record without a citizen number | 不含公民身份号码的记录";
            return Err(Error::refused("record", Reason::Malformed, detail));
        }
        *noun.name_mut() = name.map(|name| name.to_string());
        *noun.etag_mut() = etag;
        Ok(noun)
    }

    /// Brings what a proposal says into form. Of a part of a record, what has to be there is not known.
    async fn in_proposed_form<N: Noun>(&self, caller: &Caller, mut noun: N::Record, whole: bool) -> Result<N::Record> {
        let form = |noun: &mut N::Record, check: &mut super::Check| {
            N::FIELDS.iter().for_each(|field| field.check(noun, check));
            if whole {
                N::check(noun, check);
            }
        };
        let mut check = self.fresh_check();
        form(&mut noun, &mut check);
        let lookups = std::mem::take(&mut check.lookups);
        if !lookups.is_empty() {
            let mut known = self.look_up(&lookups).await?;
            let found: Vec<Option<Name>> = known.values().cloned().map(Some).collect();
            let seen = self.in_area(caller, &found).await?;
            known.retain(|_, name| seen.contains(name.as_str()));
            let in_counties = self.look_up_in_counties(caller, &lookups).await?;
            let county = N::index(&noun, None).area.as_deref().and_then(Area::parse).map(|area| area.county());
            let (here, several) = super::decide::led(&lookups, county.as_ref(), &known, &in_counties);
            let open = lookups.iter().filter(|text| !here.contains_key(*text) && !several.contains_key(*text));
            let (numbers, kept): (Vec<&String>, Vec<&String>) = open.partition(|text| self.is_number(text));
            self.misses.count(&caller.actor, numbers.len(), self.ledger.clock().now_ms())?;
            let kept: BTreeSet<String> =
                kept.into_iter().filter(|text| Lookup::parse(text).is_some()).cloned().collect();
            check = self.fresh_check().knowing(here, several).keeping(kept);
            form(&mut noun, &mut check);
        }
        check.violations.retain(|violation| whole || violation.reason != Reason::Required);
        if !check.violations.is_empty() {
            return Err(Refusal(check.violations).into());
        }
        self.without_numbers::<N>(&noun)?;
        Ok(noun)
    }

    /// Refuses a citizen number wherever one stands, and what is too large.
    fn without_numbers<N: Noun>(&self, noun: &N::Record) -> Result<()> {
        let payload = noun.encode_to_vec();
        let open = self.ledger.kinds().known(N::COLLECTION)?.without_open_numbers(&payload);
        if open.map_err(|_| Error::broken("a message that was encoded cannot be read"))?.is_some() {
            let detail = "fields without a citizen number | 不含公民身份号码的字段";
            return Err(Error::refused(N::COLLECTION, Reason::Malformed, detail));
        }
        if payload.len() > self.record_max_bytes {
            let most = self.record_max_bytes;
            return Err(Error::refused(N::COLLECTION, Reason::TooLong, format!("{most} bytes | {most} 字节")));
        }
        Ok(())
    }

    /// Writes what was [`Self::proposed`], as the caller and the area that agreed ([`Caller::agreeing_with`]) may together, with a
    /// statement of the house in the same commit.
    ///
    /// # Errors
    /// What writing the record is refused for; STALE_VERSION if the statement did not touch its row.
    pub async fn carry_out<N: Noun>(
        &self,
        caller: &Caller,
        act: Act,
        mut noun: N::Record,
        paths: Option<&[String]>,
        with: &With<'_>,
    ) -> Result<Written<N::Record>> {
        caller.need(Role::Editor)?;
        let name = noun.name_mut().clone();
        if act == Act::Delete {
            let expected = noun.etag_mut().as_deref().map(read_etag).transpose()?;
            let position = self.end::<N>(caller, name.as_deref(), expected, None, false, Some(with)).await?;
            return Ok(Written { noun, position });
        }
        let wish = match act {
            Act::Create | Act::Delete => Wish::Create,
            Act::Update => {
                let fields = paths.map(field_numbers::<N>).transpose()?;
                Wish::Update(self.own_name::<N>(name.as_deref())?, fields)
            }
        };
        self.one::<N>(caller, None, false, Some(with), || Proposal { noun: noun.clone(), wish: wish.clone() }).await
    }
}
