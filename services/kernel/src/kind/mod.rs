//! What a noun tells the kernel: its name, its rules, its index. From that the kernel saves, finds, lists, exchanges and
//! recovers it; the code for one more noun is an `impl Noun` and a line in a house's list of kinds.
//!
//! Never knows a noun by name.

mod check;
mod decide;
mod field;
mod found;
mod limit;
mod list;
mod others;
mod page;
mod probe;
mod propose;
mod put;
mod rpc;
mod shape;
mod verbs;

use std::{collections::BTreeMap, sync::LazyLock};

pub use check::{Check, Days};
pub use field::{FEN_MOST, Field, Parts, Several, columns};
pub use limit::{Judged, Limit, Staff};
pub use list::{ListQuery, Listed};
pub(crate) use page::READ_AHEAD;
pub use page::{ANSWER_MAX_BYTES, page_key, page_token};
pub use probe::{Formed, FoundBy, version_of};
pub use propose::Act;
use prost::Message as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};
pub use put::Outcome;
use qianshou_proto::Resource;
pub use rpc::Batch;
use sha2::{Digest, Sha256};
pub use shape::{Bounds, Misshape, has_open_number};
pub use verbs::{Areas, Misses, Verbs, With, Written, request_of};

use crate::{
    db::Value,
    error::{Error, Reason, Result},
    id::Name,
    identity::Caller,
    sheet::Sheet,
    wire::Malformed,
};

/// Everything the kernel has to know of a noun. Pure: no clock, no database.
pub trait Noun: Send + Sync + 'static {
    /// The record's message.
    type Record: Resource;
    /// `agencies`: the collection in names, the kind in agreements and sheets.
    const COLLECTION: &'static str;
    /// The house's table that indexes it: `name, position, area, state, type, title, found` and [`Noun::COLUMNS`].
    const TABLE: &'static str;
    /// Columns beyond the standing ones.
    const COLUMNS: &'static [&'static str] = &[];
    /// The only node that may be home to this kind, if there is just one.
    const HOME: Option<&'static str> = None;
    /// The field into which the exchange writes the person's pseudonym.
    const PERSON: Option<u32> = None;
    /// The field that is its whole natural key, a code: by it others may refer to it. Its values are in upper case.
    const KEY: Option<&'static str> = None;
    /// The column with its natural key, where that is a key within a county only: two counties may each have a record of one key, and a
    /// reference by key means the one inside the caller's area.
    const COUNTY_KEY: Option<&'static str> = None;
    /// Whether every reader reads all of it: what the nation keeps for all.
    const FOR_ALL: bool = Self::HOME.is_some();
    /// Whether a token can be limited to one record of this kind and what belongs to it.
    const OWNS: bool = false;
    /// The fields of its links and shared texts by which a record belongs to an agency or a pairing that a token is limited to. Empty, and
    /// [`Noun::OWNS`] is not said: for limited callers there is no such kind.
    const OWNERS: &'static [&'static str] = &[];
    /// What limited callers do with the records that belong to what they are limited to.
    const STAFF: Staff = Staff::Reads;
    /// The fields that limited callers leave as they stand.
    const JUDGED: &'static [Judged<Self::Record>] = &[];
    /// The references by which it changes what is counted of the other record: whoever writes it holds the other's area, too.
    const TOUCHES: &'static [&'static str] = &[];
    /// The columns with the first day it holds and the first day it no longer does.
    const SPAN: Option<(&'static str, &'static str)> = None;
    /// States that come by the passing of time, in their order, each with the column that holds its first day: a record is in the last
    /// that has begun, before the first in its own state.
    const PHASES: &'static [(&'static str, &'static str)] = &[];
    /// Its fields: what a caller may give, each with its form.
    const FIELDS: &'static [Field<Self::Record>];
    /// What it looks like in a spreadsheet.
    const SHEET: Option<&'static Sheet> = None;
    /// Raised when [`Noun::index`] says something else of a record that is saved already: all of them are indexed again.
    const INDEX_LEVEL: i64 = 1;

    /// What has to be right beyond its fields, which have their one form by then.
    fn check(_record: &mut Self::Record, _check: &mut Check) {}
    /// What can be looked up, computed from the record alone. `blind` stands for the sealed identity number.
    fn index(record: &Self::Record, blind: Option<&str>) -> Index;
    /// Takes the identity number out of the message, to be sealed.
    fn take_secret(_record: &mut Self::Record) -> Option<String> {
        None
    }
    /// Fills what follows from the records this one refers to, and says what does not go with them; `referred` finds their
    /// payloads by name.
    fn settle(_record: &mut Self::Record, _referred: &Referred<'_>, _check: &mut Check) {}
    /// The field with another area's code under which it counts, if there is one: whoever writes it holds that area, too, where it is one
    /// of this node's.
    fn counts_at(_record: &Self::Record) -> Option<(&'static str, &str)> {
        None
    }
    /// Says what a caller may not change; `before`: the record as it stands.
    fn admit(_record: &Self::Record, _before: Option<&Self::Record>, _caller: &Caller, _check: &mut Check) {}
}

/// Finds the payload of a record that is referred to, by its name.
pub type Referred<'a> = dyn Fn(&str) -> Option<bytes::Bytes> + 'a;

/// The value of an enum that says nothing.
const UNSPECIFIED: &str = "UNSPECIFIED";
/// Raised when the kernel makes something else of an index: every kind is indexed again.
const FOUND_LEVEL: i64 = 1;

/// What can be looked up of one record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// The division it belongs to: list filter and permission.
    pub area: Option<String>,
    /// The state it is in: list filter.
    pub state: Option<String>,
    /// What sort it is of, if its kind has sorts: list filter.
    pub r#type: Option<String>,
    /// What it is called: list order, and what a person would search for.
    pub title: Option<String>,
    /// What else it is called or was.
    pub aliases: Vec<String>,
    /// Codes by whose beginning it is found; never a person's number nor what stands for one.
    pub codes: Vec<String>,
    /// Values of [`Noun::COLUMNS`], in order.
    pub columns: Vec<Value>,
    /// Unique keys at the record's home. The first is the natural key.
    pub claims: Vec<Claim>,
    /// Records this one refers to.
    pub links: Vec<Link>,
    /// Texts by which what is said together is found ([`crate::ledger::Ledger::sharing`]): the field, and the text in it.
    pub shared: Vec<(&'static str, String)>,
    /// The text that decides whether it is found; computed from the above, as the next.
    pub(crate) found: Option<String>,
    /// The words that narrow where it is looked for, between spaces.
    pub(crate) words: String,
}

/// A unique key: no two live records of one kind and home hold the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The field that is named when the key is taken.
    pub field: &'static str,
    /// The key.
    pub value: String,
}

/// A shared text as the database keeps it: a long one by its digest, for a key of an index has a limit.
pub(crate) fn shared_text(text: &str) -> String {
    const MOST: usize = 1_000;
    if text.len() <= MOST { text.to_owned() } else { format!("#{}", hex::encode(Sha256::digest(text))) }
}

/// A reference to another record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The field that refers.
    pub field: &'static str,
    /// The other record's name.
    pub target: String,
    /// Whether it has to be here.
    pub bond: Bond,
}

/// Whether a record that is referred to has to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// It has to be here, whoever its home is.
    Here,
    /// It is another node's, and may come later or never.
    Elsewhere,
    /// It has to be here if it is this node's own; another node's may come later or never.
    HereIfOwn,
}

impl Link {
    /// Whether a node has to have the other record.
    pub(crate) fn is_firm(&self, node: &str) -> bool {
        let is_own = || self.target.parse::<Name>().is_ok_and(|target| target.home() == node);
        self.bond == Bond::Here || (self.bond == Bond::HereIfOwn && is_own())
    }
}

impl Index {
    /// An index with the standing columns.
    #[must_use]
    pub fn new(area: &Option<String>, state: impl Into<String>, title: &Option<String>) -> Self {
        Self { area: area.clone(), state: Some(state.into()), title: title.clone(), ..Self::default() }
    }

    /// Says what sort it is of: the name of an enum's value, without the enum's prefix.
    #[must_use]
    pub fn of_type(mut self, name: &str, prefix: &str) -> Self {
        self.r#type = Some(name.trim_start_matches(prefix)).filter(|sort| *sort != UNSPECIFIED).map(str::to_owned);
        self
    }

    /// Adds other names.
    #[must_use]
    pub fn also<'a>(mut self, names: impl IntoIterator<Item = &'a String>) -> Self {
        self.aliases.extend(names.into_iter().cloned());
        self
    }

    /// Adds a code, if there is one.
    #[must_use]
    pub fn code(mut self, code: &Option<String>) -> Self {
        self.codes.extend(code.clone());
        self
    }

    /// Adds a column's value.
    #[must_use]
    pub fn column(mut self, value: impl Into<Value>) -> Self {
        self.columns.push(value.into());
        self
    }

    /// Adds a unique key made of parts; a part that is absent (withheld) makes the key absent.
    #[must_use]
    pub fn claim(mut self, field: &'static str, parts: &[Option<&str>]) -> Self {
        if let Some(parts) = parts.iter().copied().collect::<Option<Vec<_>>>() {
            self.claims.push(Claim { field, value: parts.join("\u{1f}") });
        }
        self
    }

    /// Adds a reference, if there is one.
    #[must_use]
    pub fn link(self, field: &'static str, target: &Option<String>) -> Self {
        self.bound(field, target, Bond::Here)
    }

    /// Adds a reference to another node's record, if there is one; that need not be here.
    #[must_use]
    pub fn mention(self, field: &'static str, target: &Option<String>) -> Self {
        self.bound(field, target, Bond::Elsewhere)
    }

    /// Adds a reference, if there is one, to a record of this node, which has to be here, or to another node's, which need not.
    #[must_use]
    pub fn link_or_mention(self, field: &'static str, target: &Option<String>) -> Self {
        self.bound(field, target, Bond::HereIfOwn)
    }

    fn bound(mut self, field: &'static str, target: &Option<String>, bond: Bond) -> Self {
        self.links.extend(target.iter().map(|target| Link { field, target: target.clone(), bond }));
        self
    }

    /// Adds a text that it shares with what is said together with it, if there is one.
    #[must_use]
    pub fn shares(mut self, field: &'static str, text: impl Into<Option<String>>) -> Self {
        self.shared.extend(text.into().map(|text| (field, text)));
        self
    }

    /// PostgreSQL keeps no NUL in a text; a received record may hold one, and its index still has to stand.
    fn without_nul(mut self) -> Self {
        let clean = |text: &mut String| text.retain(|c| c != '\0');
        [&mut self.area, &mut self.state, &mut self.r#type, &mut self.title].into_iter().flatten().for_each(clean);
        for column in &mut self.columns {
            if let Value::Text(Some(text)) = column {
                clean(text);
            }
        }
        self.claims.iter_mut().for_each(|c| clean(&mut c.value));
        self.links.iter_mut().for_each(|l| clean(&mut l.target));
        self.shared.iter_mut().for_each(|(_, text)| clean(text));
        self
    }
}

/// A noun with its type erased: what the ledger and the exchange handle.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// [`Noun::COLLECTION`]
    pub collection: &'static str,
    /// The message's full name.
    pub message: &'static str,
    /// [`Noun::TABLE`]
    pub table: &'static str,
    /// [`Noun::COLUMNS`]
    pub columns: &'static [&'static str],
    /// [`Noun::HOME`]
    pub home: Option<&'static str>,
    /// [`Noun::PERSON`]
    pub person: Option<u32>,
    /// [`Noun::KEY`]
    pub key: Option<&'static str>,
    /// [`Noun::COUNTY_KEY`]
    pub county_key: Option<&'static str>,
    /// [`Noun::OWNS`]
    pub owns: bool,
    /// [`Noun::OWNERS`]
    pub owners: &'static [&'static str],
    /// [`Noun::SHEET`]
    pub sheet: Option<&'static Sheet>,
    /// Which making of the index this binary has.
    pub index_level: i64,
    index: fn(&[u8], Option<&str>) -> Result<Index, prost::DecodeError>,
    shape: fn(&[u8], &Bounds) -> Result<(), Misshape>,
    former: probe::Former,
}

impl Kind {
    /// The erased form of a noun.
    #[must_use]
    pub const fn of<N: Noun>() -> Self {
        fn index<N: Noun>(payload: &[u8], blind: Option<&str>) -> Result<Index, prost::DecodeError> {
            N::Record::decode(payload).map(|record| N::index(&record, blind).without_nul())
        }
        Self {
            collection: N::COLLECTION,
            message: N::Record::MESSAGE,
            table: N::TABLE,
            columns: N::COLUMNS,
            home: N::HOME,
            person: N::PERSON,
            key: N::KEY,
            county_key: N::COUNTY_KEY,
            owns: N::OWNS,
            owners: N::OWNERS,
            sheet: N::SHEET,
            index_level: FOUND_LEVEL * 1_000 + N::INDEX_LEVEL,
            index: index::<N>,
            shape: shape::check::<N>,
            former: probe::formed::<N>,
        }
    }

    /// Whether its records belong to somebody that a token can be limited to.
    #[must_use]
    pub const fn is_owned(&self) -> bool {
        self.owns || !self.owners.is_empty()
    }

    /// The index of a payload.
    pub fn index(&self, payload: &[u8], blind: Option<&str>) -> Result<Index, prost::DecodeError> {
        (self.index)(payload, blind)
    }

    /// Whether a payload that another home has written has the shape of its kind: lengths, characters, ranges, dates.
    ///
    /// # Errors
    /// What it has not.
    pub fn check_shape(&self, payload: &[u8], bounds: &Bounds) -> Result<(), Misshape> {
        (self.shape)(payload, bounds)
    }

    /// A payload as it may leave: without the texts in which somebody's citizen number stands; `None`: there are none. They are
    /// withheld whole, for what is sent of a text is that text.
    ///
    /// # Errors
    /// The payload is no protobuf.
    pub fn without_open_numbers(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let message = descriptors().get_message_by_name(self.message);
        message.map_or(Ok(None), |message| shape::without_open_numbers(&message, payload))
    }

    /// The index of a payload with what the record is found by.
    pub(crate) fn whole_index(&self, payload: &[u8], blind: Option<&str>) -> Result<Index, prost::DecodeError> {
        let mut index = self.index(payload, blind)?;
        index.find_by(self.collection);
        Ok(index)
    }
}

/// Every kind this binary knows.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<&'static str, Kind>);

impl Kinds {
    /// A set of kinds; of two with one name the later stands.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self(kinds.into_iter().map(|kind| (kind.collection, kind)).collect())
    }

    /// A kind by its collection.
    #[must_use]
    pub fn get(&self, collection: &str) -> Option<&Kind> {
        self.0.get(collection)
    }

    /// A kind that the ledger already holds.
    pub fn known(&self, collection: &str) -> Result<&Kind> {
        self.get(collection).ok_or_else(|| Error::broken(format!("this process does not know the kind {collection}")))
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.values()
    }
}

/// Every method of the contract, with the path by which it is called: `/package.Service/Method`.
pub fn methods() -> impl Iterator<Item = (String, MethodDescriptor)> {
    let methods = descriptors().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| (format!("/{}/{}", method.parent_service().full_name(), method.name()), method))
}

/// The contract's descriptors.
pub fn descriptors() -> &'static DescriptorPool {
    #[expect(clippy::expect_used, reason = "the descriptor set is built with this binary; a test reads it")]
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(qianshou_proto::DESCRIPTOR_SET).expect("our own descriptor set"));
    &POOL
}

/// An etag is a version as text.
pub(crate) fn read_etag(etag: &str) -> Result<crate::ledger::Version> {
    let version = etag.split_once('.').and_then(|(epoch, revision)| {
        Some(crate::ledger::Version { epoch: epoch.parse().ok()?, revision: revision.parse().ok()? })
    });
    version.ok_or_else(|| Error::refused("etag", Reason::Malformed, "EPOCH.REVISION"))
}
