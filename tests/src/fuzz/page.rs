//! Pages as a provider sends them who keeps to nothing: forged, cut, out of order, twice, signed again with another header. Whatever comes,
//! the consumer commits only the provider's own signed pages in their order, takes from them only what the agreement lets pass, and
//! acknowledges nothing before it is committed.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use qianshou_exchange::domain::{
    Limits, Moment, Mutation as Rule,
    agreement::{self, Accord},
    consumer::{Commit, Consumer, Cursor, Inbound, Input, Output},
    page::{Made, NO_PAGE, PAGE_CONTEXT, Place, digest, make, read_receipt},
    tree,
};
use qianshou_kernel::{
    clock::parse_day,
    identity::{NodeKeys, key_id, verify},
    kind::Kinds,
    ledger::{Content, Write},
};
use qianshou_proto::{
    common::v1::{Condition, End, FieldPath, Filter, Version, condition},
    exchange::v1::{
        AfterEnd, AgreementState, Control, Ended, KindClause, Opened, Page, PageEntry, PageHeader, Receipt,
        Sensitivity, SharingClass, SnapshotComplete, Stop, Terms, Welcome, control, page_entry, pull_request,
    },
    registry::v1::Agency,
};

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    must,
    oracle::{self, Value},
    script::{Script, put_number, put_part},
};

/// What one input does at most.
const STEPS: usize = 24;
/// The field of an agency by which the agreement's scope is asked, and what it has to begin with.
const DIVISION: u32 = 6;
const AREA: &str = "64";

/// An input is a list of steps, each a byte that says which and what it needs.
struct Pages {
    theirs: Arc<NodeKeys>,
    ours: Arc<NodeKeys>,
    other: Arc<NodeKeys>,
    accord: Arc<Accord>,
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let folder = tempfile::tempdir().expect("a folder for keys");
    let keys =
        |node: &str, at: &str| Arc::new(NodeKeys::create(&folder.path().join(at), node, &[]).expect("keys are made"));
    let (theirs, ours, other) = (keys("64", "64"), keys("00", "00"), keys("64", "other"));
    Box::new(Pages { theirs, ours, other, accord: Arc::new(accord()), mutation })
}

/// Agencies of Ningxia for the nation: what they are called and where they are.
fn accord() -> Accord {
    let path = |number| FieldPath { numbers: vec![number] };
    let under = Condition { path: Some(path(DIVISION)), test: Some(condition::Test::Under(AREA.into())) };
    let clause = KindClause {
        kind: Some("agencies".into()),
        fields: vec![path(3), path(DIVISION)],
        scope: Some(Filter { all: vec![under] }),
        ..KindClause::default()
    };
    let mut terms = Terms {
        provider: Some("64".into()),
        consumer: Some("00".into()),
        clauses: vec![clause],
        purpose: Some("统计".into()),
        legal_basis: Some("民发〔2017〕180号".into()),
        sharing_class: Some(SharingClass::Conditional.into()),
        sensitivity_cap: Some(Sensitivity::L3.into()),
        begins_on: Some("2023-01-01".into()),
        ends_on: Some("2023-12-31".into()),
        after_end: Some(AfterEnd::Keep.into()),
        ..Terms::default()
    };
    let kinds = Kinds::new(qianshou::node::kinds());
    agreement::complete(&mut terms, "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001".into(), &kinds);
    Accord::read(&terms.encode_to_vec(), &kinds).expect("the terms hold")
}

impl Target for Pages {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let mut input = vec![];
        for _ in 0..=chance.below(10) {
            let step = if chance.percent(50) { chance.below(3) } else { chance.below(20) } as u8;
            input.push(step);
            match step {
                0..=2 | 19 => put_entries(chance, &mut input),
                3..=6 => {
                    let broken = chance.bytes(12);
                    put_part(&mut input, &broken);
                }
                7..=12 => {
                    input.push(chance.below(9) as u8);
                    put_number(&mut input, chance.number());
                }
                _ => input.push(chance.below(8) as u8),
            }
        }
        if chance.percent(20) {
            chance.mutate(&mut input, &[]);
        }
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        trees(input)?;
        let mut play = Play::new(self);
        let mut script = Script::new(input);
        for _ in 0..STEPS {
            if script.is_over() {
                break;
            }
            play.step(&mut script)?;
        }
        Ok(())
    }
}

fn put_entries(chance: &mut Chance, input: &mut Vec<u8>) {
    let entries = chance.below(5);
    input.push(entries as u8);
    for _ in 0..entries {
        // Mostly sound, so that there is something behind which a bad one can hide.
        input.push(if chance.percent(60) { 0 } else { chance.below(16) as u8 });
        input.push(chance.below(4) as u8);
        put_number(input, chance.below(9) as u64);
    }
}

/// One stream, with what was given and what was promised.
struct Play<'a> {
    of: &'a Pages,
    consumer: Consumer,
    /// The provider's pages so far.
    made: Vec<Made>,
    epoch: u64,
    /// What the consumer has committed: digests of pages, by epoch and number, with how many entries each has.
    committed: BTreeMap<(u64, u64), (Vec<u8>, u32)>,
    cursor: Cursor,
    state: AgreementState,
    pending: Option<Commit>,
    recalling: Option<(u64, u64)>,
}

impl<'a> Play<'a> {
    fn new(of: &'a Pages) -> Self {
        let rule = match of.mutation {
            Some(Mutation::TrustSender) => Some(Rule::TrustSender),
            Some(Mutation::EarlyReceipt) => Some(Rule::EarlyReceipt),
            _ => None,
        };
        let limits = Limits {
            page_max_entries: 3,
            page_max_bytes: 4096,
            window_pages: 2,
            text_max_chars: 4_000,
            record_max_bytes: 524_288,
        };
        let key = of.theirs.signing.verifying_key().to_bytes();
        let row = Inbound::new(&of.accord.id);
        let consumer = Consumer::new(of.accord.clone(), key, of.ours.clone(), limits, rule, row);
        Self {
            of,
            consumer,
            made: vec![],
            epoch: 1,
            committed: BTreeMap::new(),
            cursor: Cursor::default(),
            state: AgreementState::InForce,
            pending: None,
            recalling: None,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) -> Lawful {
        let step = script.below(20);
        match step {
            // The next page, as it should be; sometimes it is made, and lost.
            0..=2 => {
                let entries = entries(script);
                let made = self.next(entries);
                self.made.push(made.clone());
                if step < 2 { self.give(made.page) } else { Ok(()) }
            }
            3..=6 => {
                let broken = script.part();
                let Some(made) = self.made.last() else { return Ok(()) };
                let mut bytes = made.page.encode_to_vec();
                break_by(&mut bytes, broken);
                Page::decode(&bytes[..]).map_or(Ok(()), |page| self.give(page))
            }
            7..=12 => {
                let (what, number) = (script.below(9), script.number());
                let Some(made) = self.made.last().cloned() else { return Ok(()) };
                let keys = if step == 12 { self.of.other.clone() } else { self.of.theirs.clone() };
                self.give(resigned(&keys, &made, what, number))
            }
            13 | 14 => {
                let at = script.below(8);
                let page = self.made.len().checked_sub(1 + at).map(|at| self.made[at].page.clone());
                page.map_or(Ok(()), |page| self.give(page))
            }
            15 => {
                self.epoch = self.epoch.max(self.cursor.epoch).saturating_add(script.below(3) as u64);
                Ok(())
            }
            16 => {
                self.state = *[
                    AgreementState::InForce,
                    AgreementState::Expired,
                    AgreementState::Withdrawn,
                    AgreementState::Draft,
                ]
                .get(script.below(4))
                .unwrap_or(&AgreementState::InForce);
                Ok(())
            }
            17 => {
                let input = match script.below(5) {
                    0 => Input::Open,
                    1 => Input::Idle,
                    2 => Input::Gone,
                    3 => Input::Stop(Stop::default()),
                    _ => Input::Welcome(Welcome::default()),
                };
                self.said(input)
            }
            // An answer that nobody waits for, or the wrong one; and a process that was ended.
            18 => match script.below(3) {
                0 if self.pending.is_none() => self.said(Input::Committed),
                1 => self.said(Input::Recalled(None)),
                _ => self.said(Input::Row(self.row())),
            },
            // A page in which the first entry has changed and the header has not.
            _ => {
                let mut page = self.next(entries(script)).page;
                if let Some(entry) = page.entries.first_mut() {
                    entry.version = Some(Version { epoch: Some(1), revision: Some(77) });
                }
                self.give(page)
            }
        }
    }

    fn row(&self) -> Inbound {
        Inbound { cursor: self.cursor.clone(), ..self.consumer.row().clone() }
    }

    fn next(&self, entries: Vec<PageEntry>) -> Made {
        let epoch = self.epoch.max(self.cursor.epoch);
        let last = self.cursor.digest[..].try_into().ok().filter(|_| epoch == self.cursor.epoch);
        let (number, previous) = last.map_or((1, NO_PAGE), |digest| (self.cursor.number + 1, digest));
        let event = match (number, entries.len()) {
            (1, _) => Some(control::Control::Opened(Opened {})),
            (_, 0) if number % 3 == 0 => Some(control::Control::SnapshotComplete(SnapshotComplete {})),
            (_, 0) if number % 7 == 0 => Some(control::Control::Ended(Ended { reason: Some("EXPIRED".into()) })),
            _ => None,
        };
        let (stream, agreement) = (&self.of.accord.id, self.of.accord.digest);
        let place = Place { stream, epoch, number, previous, agreement };
        make(&place, entries, event, today(), &*self.of.theirs)
    }

    /// Gives a page, and answers what the consumer asks for until it asks for nothing.
    fn give(&mut self, page: Page) -> Lawful {
        self.said(Input::Page(page))?;
        for _ in 0..8 {
            if let Some(commit) = self.pending.take() {
                self.commit(&commit)?;
                self.said(Input::Committed)?;
            } else if let Some(place) = self.recalling.take() {
                let kept = self.committed.get(&place).and_then(|(digest, _)| digest[..].try_into().ok());
                self.said(Input::Recalled(kept.map(|digest| (digest, Receipt::default()))))?;
            } else {
                return Ok(());
            }
        }
        must(false, "a-page-is-settled-in-the-end", String::new)
    }

    fn said(&mut self, input: Input) -> Lawful {
        let answers_commit = matches!(input, Input::Committed);
        let answers_recall = matches!(input, Input::Recalled(Some(_)));
        let moment = Moment { today: today(), state: self.state };
        for output in self.consumer.handle(moment, input) {
            match output {
                Output::Commit(commit) => {
                    must(self.pending.is_none(), "one-commit-at-a-time", String::new)?;
                    self.pending = Some(*commit);
                }
                Output::Recall { epoch, number } => self.recalling = Some((epoch, number)),
                Output::Send(pull_request::Message::Receipt(receipt)) => {
                    let kept = answers_recall && receipt == Receipt::default();
                    if !kept {
                        self.receipt(&receipt, answers_commit)?;
                    }
                }
                Output::Send(_) | Output::Close => {}
            }
        }
        if self.pending.is_none() {
            let (known, held) = (&self.consumer.row().cursor, &self.cursor);
            must(known == held, "the-cursor-is-what-was-committed", || format!("{known:?}, not {held:?}"))?;
        }
        Ok(())
    }

    /// A receipt that is no refusal is for a page that is committed, and counts each entry once.
    fn receipt(&self, receipt: &Receipt, answers_commit: bool) -> Lawful {
        let body = read_receipt(receipt, &self.of.ours.signing.verifying_key().to_bytes());
        let seen = || format!("{body:?}, with {} pages committed", self.committed.len());
        must(body.is_some(), "a-receipt-is-signed", seen)?;
        let Some(body) = &body else { return Ok(()) };
        if body.refusal.is_some() {
            return must(body.applied() == 0 && body.quarantined.is_empty(), "a-refusal-applies-nothing", seen);
        }
        let committed = self.committed.get(&(body.epoch(), body.number()));
        let counted = body.applied() as usize + body.quarantined.len();
        let holds = committed.is_some_and(|(digest, count)| {
            body.page_digest.as_deref() == Some(&digest[..]) && counted == *count as usize
        });
        must(holds && answers_commit, "a-receipt-means-committed", seen)
    }

    /// What is committed is the provider's, whole, in its order, and agreed.
    fn commit(&mut self, commit: &Commit) -> Lawful {
        let Some(advance) = &commit.advance else {
            let nothing = commit.writes.is_empty() && commit.sweep.is_none();
            return must(nothing, "nothing-without-a-page", || format!("{commit:?}"));
        };
        let page = &advance.page;
        let bytes = page.header.clone().unwrap_or_default();
        let signature = page.signature.clone().unwrap_or_default();
        let key = self.of.theirs.signing.verifying_key().to_bytes();
        let seen = || format!("{page:?} after {:?}", self.cursor);
        let signed = verify(&key, PAGE_CONTEXT, &bytes, &signature) && signature.key_id() == key_id(&key);
        must(signed, "only-the-providers-pages", seen)?;
        let header = PageHeader::decode(bytes.clone()).unwrap_or_default();
        let (epoch, number) = (header.epoch(), header.number());
        let again = epoch == self.cursor.epoch && number == self.cursor.number + 1;
        let anew = epoch > self.cursor.epoch && number == 1;
        let before = if number == 1 { &NO_PAGE[..] } else { &self.cursor.digest[..] };
        let follows = (again || anew) && header.previous_digest.as_deref() == Some(before);
        must(follows && header.stream() == self.of.accord.id, "pages-in-their-order", seen)?;
        must(header.agreement_digest.as_deref() == Some(&self.of.accord.digest[..]), "under-the-agreement", seen)?;
        must(
            root_slowly(&page.entries).as_deref() == header.entries_root.as_deref(),
            "entries-as-they-were-signed",
            seen,
        )?;
        must(header.count() as usize == page.entries.len(), "as-many-entries-as-were-signed", seen)?;
        let in_force = self.state == AgreementState::InForce || page.entries.is_empty();
        must(in_force, "nothing-outside-the-term", seen)?;
        let accounted = commit.writes.len() + advance.quarantine.len() == page.entries.len();
        must(accounted && advance.applied as usize == commit.writes.len(), "every-entry-is-accounted-for", seen)?;
        for write in &commit.writes {
            agreed(write, epoch)?;
        }
        let to = Cursor { epoch, number, digest: digest(&bytes).to_vec() };
        must(advance.to == to && advance.from == self.cursor, "the-cursor-goes-where-the-page-stands", seen)?;
        self.committed.insert((epoch, number), (to.digest.clone(), header.count()));
        self.cursor = to;
        Ok(())
    }
}

fn today() -> time::Date {
    parse_day("2023-11-15").expect("a day")
}

/// A record that is taken is the sender's own, of an agreed kind and in scope, and has no field that was not agreed.
fn agreed(write: &Write, epoch: u64) -> Lawful {
    let seen = || format!("{write:?}");
    let Write::Received(name, version, content) = write else {
        return must(false, "received-is-written-as-received", seen);
    };
    must(name.home() == "64" && name.kind() == "agencies", "only-what-is-the-senders", seen)?;
    must((1..=epoch).contains(&version.epoch), "no-version-of-a-later-epoch", seen)?;
    let Content::Put { payload, sealed } = content else { return Ok(()) };
    must(sealed.is_none(), "nothing-sealed-comes", seen)?;
    let Some(fields) = oracle::walk(payload) else {
        return must(false, "only-what-can-be-read", seen);
    };
    must(fields.iter().all(|field| [3, DIVISION].contains(&field.number)), "only-agreed-fields", seen)?;
    let divisions: Vec<&Value<'_>> = fields.iter().filter(|f| f.number == DIVISION).map(|f| &f.value).collect();
    let inside = matches!(divisions[..], [Value::Len(text)] if text.starts_with(AREA.as_bytes()));
    must(inside, "only-what-is-in-scope", seen)
}

/// Entries of a page, good ones and bad ones of every sort.
fn entries(script: &mut Script<'_>) -> Vec<PageEntry> {
    (0..script.below(8)).map(|_| entry(script)).collect()
}

fn entry(script: &mut Script<'_>) -> PageEntry {
    let (bad, id, revision) = (script.byte(), script.below(4), script.number());
    let put = |agency: Agency| Some(page_entry::Content::Put(agency.encode_to_vec().into()));
    let sound = Agency { display_name: Some("中心".into()), division: Some("640104".into()), ..Agency::default() };
    let mut entry = PageEntry {
        salt: Some(vec![7; 16].into()),
        name: Some(format!("nodes/64/agencies/{id}")),
        kind: Some("agencies".into()),
        home: Some("64".into()),
        version: Some(Version { epoch: Some(1), revision: Some(revision) }),
        content: put(sound.clone()),
        leaf: None,
    };
    match bad {
        1 => entry.home = Some("35".into()),
        2 => (entry.home, entry.name) = (Some("35".into()), Some(format!("nodes/35/agencies/{id}"))),
        3 => (entry.kind, entry.name) = (Some("workers".into()), Some(format!("nodes/64/workers/{id}"))),
        4 => entry.content = put(Agency { division: Some("350102".into()), ..sound }),
        5 => entry.content = put(Agency { uscc: Some("91350100M000100Y43".into()), ..sound }),
        6 => entry.content = put(Agency { division: None, ..sound }),
        7 => entry.content = Some(page_entry::Content::Put(vec![0x0b, 0x0c].into())),
        8 => {
            // In scope by one reading of two.
            let twice =
                [Agency { division: Some("35".into()), ..Agency::default() }.encode_to_vec(), sound.encode_to_vec()];
            entry.content = Some(page_entry::Content::Put(twice.concat().into()));
        }
        9 => entry.version = Some(Version { epoch: Some(revision), revision: Some(revision) }),
        10 => entry.name = Some("nodes/64/agencies/x\0\u{1b}[31m/../..".into()),
        11 => entry.content = None,
        12 => entry.salt = None,
        13 => {
            let end = End { reason: Some(revision as i32), on: Some(format!("2023-{:02}-15", revision % 20)) };
            entry.content = Some(page_entry::Content::End(end));
        }
        14 => entry.content = put(Agency { display_name: Some("长".repeat(600)), ..sound }),
        15 => entry.name = None,
        _ => {}
    }
    entry
}

fn break_by(bytes: &mut Vec<u8>, how: &[u8]) {
    for step in how.chunks(3) {
        let at = step.get(1).map_or(0, |at| usize::from(*at) * bytes.len() / 256);
        match step[0] % 4 {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => drop(bytes.drain(at..=at)),
            2 => bytes.insert(at, *step.last().unwrap_or(&0)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= step.last().unwrap_or(&1).max(&1);
                }
            }
        }
    }
}

/// The page with a header that says something else, signed anew.
fn resigned(keys: &NodeKeys, made: &Made, what: usize, number: u64) -> Page {
    let mut page = made.page.clone();
    let mut header = PageHeader::decode(page.header.clone().unwrap_or_default()).unwrap_or_default();
    let hash = digest(&number.to_be_bytes()).to_vec();
    match what {
        0 => header.epoch = Some(number),
        1 => header.number = Some(number),
        2 => header.previous_digest = Some(hash.into()),
        3 => header.agreement_digest = Some(hash.into()),
        4 => header.entries_root = Some(hash.into()),
        5 => header.count = Some(number as u32),
        6 => header.stream = Some("another".into()),
        7 => header.control = Some(Control { control: (number == 1).then_some(control::Control::Opened(Opened {})) }),
        _ => (header.number, header.control) = (Some(header.number().wrapping_add(number)), None),
    }
    let bytes = header.encode_to_vec();
    page.signature = Some(NodeKeys::sign(keys, PAGE_CONTEXT, &bytes));
    page.header = Some(bytes.into());
    page
}

/// The root as the contract tells it, level by level; `None`: an entry is not whole.
fn root_slowly(entries: &[PageEntry]) -> Option<Vec<u8>> {
    let mut level: Vec<tree::Hash> = entries.iter().map(leaf_slowly).collect::<Option<_>>()?;
    if level.is_empty() {
        return Some(digest(&[]).to_vec());
    }
    while level.len() > 1 {
        let pair = |pair: &[tree::Hash]| match pair {
            [left, right] => digest(&[&[1][..], left, right].concat()),
            odd => odd[0],
        };
        level = level.chunks(2).map(pair).collect();
    }
    Some(level[0].to_vec())
}

fn leaf_slowly(entry: &PageEntry) -> Option<tree::Hash> {
    let version = entry.version?;
    let content = match entry.content.as_ref()? {
        page_entry::Content::Put(payload) => [&[1][..], payload].concat(),
        page_entry::Content::End(end) => {
            [&[2][..], &u32::try_from(end.reason?).ok()?.to_be_bytes(), end.on.as_deref()?.as_bytes()].concat()
        }
    };
    let (epoch, revision) = (version.epoch?.to_be_bytes(), version.revision?.to_be_bytes());
    let texts = [entry.name.as_deref()?, entry.kind.as_deref()?, entry.home.as_deref()?].map(str::as_bytes);
    let mut bytes = vec![0];
    for part in [entry.salt.as_deref()?, texts[0], texts[1], texts[2], &epoch, &revision, &content] {
        bytes.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Some(digest(&bytes))
}

/// A proof proves its own leaf at its own place, and no other.
fn trees(input: &[u8]) -> Lawful {
    let leaves: Vec<tree::Hash> =
        input.chunks(4).take(9).enumerate().map(|(n, part)| digest(&[&[n as u8][..], part].concat())).collect();
    let root = tree::root(&leaves);
    for (at, leaf) in leaves.iter().enumerate() {
        let proof = tree::proof(&leaves, at);
        let seen = || format!("leaf {at} of {}", leaves.len());
        must(tree::verify(&root, leaf, at, leaves.len(), &proof), "a-proof-proves-its-leaf", seen)?;
        let other = (at + 1) % leaves.len();
        let misplaced = other != at && tree::verify(&root, leaf, other, leaves.len(), &proof);
        let forged = tree::verify(&root, &digest(leaf), at, leaves.len(), &proof);
        must(!misplaced && !forged, "a-proof-proves-nothing-else", seen)?;
    }
    Ok(())
}
