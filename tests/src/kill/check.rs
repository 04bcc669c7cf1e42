//! What must hold when everything is quiet.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;
use qianshou::node::Node;
use qianshou_kernel::{
    clock::Clock,
    filter::{Condition, Filter, Test},
    identity::NodeKeys,
    mask::Mask,
    person::{Domain, Secret},
    wire::put_text,
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::QuarantineReason,
    ledger::v1::{Entry, ReadEntriesRequest, entry::Content},
};
use qianshou_registry::domain::KINDS;
use qianshou_reporting::Reporting;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    Lawful, answered, must,
    pair::{AREA, Pair, stop},
    writers::{Acknowledged, Writers},
};
use crate::{
    Caller,
    forger::{self, Forger, Log},
    sample,
    treaty::{DOMAIN, DOMAIN_KEY},
};

/// How long tallies may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Everything that was acknowledged is at the provider, where and as it was said, and nothing else is.
pub(super) async fn provider(pair: &Pair, writers: &Writers) -> Lawful {
    let history = entries(&pair.provider.admin, true).await?;
    let gap = (1..).zip(&history).find(|(position, entry)| entry.position() != *position);
    must(gap.is_none(), "no-gaps", || format!("{gap:?}"))?;
    let kinds: BTreeSet<&str> = pair.clauses.iter().map(|clause| clause.kind()).collect();
    let written = history.iter().filter(|entry| kinds.contains(entry.kind()));
    let mut found: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for entry in written {
        let is = match entry.content {
            Some(Content::End(_)) => "its end".to_owned(),
            _ => entry.version.map(|version| format!("{}.{}", version.epoch(), version.revision())).unwrap_or_default(),
        };
        let again = found.insert((entry.name(), is), entry.position());
        must(again.is_none(), "nothing-twice", || format!("{entry:?}"))?;
    }
    for Acknowledged { name, etag, position } in writers.acknowledged() {
        let at = found.remove(&(name.as_str(), etag.clone().unwrap_or_else(|| "its end".to_owned())));
        let there = at.is_some_and(|at| position.is_none_or(|position| position == at));
        must(there, "nothing-lost", || format!("{name} {etag:?} was acknowledged at {position:?}, found at {at:?}"))?;
    }
    must(found.is_empty(), "nothing-twice", || format!("written and not asked for: {found:?}"))
}

/// The consumer holds what the agreement lets it see of the provider's records, byte for byte, and nothing else.
pub(super) async fn consumer(pair: &Pair, writers: &Writers) -> Lawful {
    let (home, away) = (newest(pair, &pair.provider.admin).await?, newest(pair, &pair.consumer.admin).await?);
    let citizens: BTreeMap<&str, String> = writers.citizens().collect();
    for (name, entry) in &away {
        must(entry.home() == "64", "one-writer", || format!("the consumer holds {name}"))?;
        // What a restored provider has lost has ended at the consumer.
        let known = home.contains_key(name) || (pair.restored && put(entry).is_none());
        must(known, "consumer-equals-provider", || {
            format!("{name}: the consumer holds {entry:?}, the provider nothing")
        })?;
    }
    for (name, entry) in &home {
        let may_see = visible(pair, entry, citizens.get(name.as_str()));
        let sees = away.get(name).and_then(put);
        must(sees == may_see.as_ref(), "consumer-equals-provider", || {
            format!("{name}: the consumer holds {sees:?}, and should {may_see:?}")
        })?;
        let deleted = matches!(away.get(name).and_then(|entry| entry.content.as_ref()), Some(Content::End(end)) if end.reason() == EndReason::Deleted);
        must(pair.restored || !deleted || put(entry).is_none(), "end-reasons", || {
            format!("{name} left, and is said to be deleted")
        })?;
    }
    Ok(())
}

/// A forger with the provider's keys sends an agency of another home along with a sound one.
pub(super) async fn forger(pair: &mut Pair) -> Lawful {
    stop(&mut pair.provider).await?;
    let (provider, consumer) = (pair.world.settle("64").await, pair.world.settle("00").await);
    let keys = |at: &qianshou_kernel::config::Loaded| NodeKeys::open(&at.keys_directory()).unwrap();
    let (forger, _) = Forger::stand(keys(&provider), provider.config.peers.listen, &keys(&consumer)).await;
    let last = pair.made().await;
    let log = Log {
        keys: forger.keys.clone(),
        stream: pair.agreement.id().to_owned(),
        agreement: Sha256::digest(pair.agreement.terms_bytes()).into(),
        epoch: last.epoch,
        number: last.number,
        digest: last.digest[..].try_into().unwrap(),
    };
    let agency = |home, n| forger::entry(home, "agencies", "forged", 1, sample::agency(n).encode_to_vec());
    let mut call = forger.called().await;
    let receipt = forger.page(&mut call, &log.next(vec![agency("35", 0), agency("64", 3)])).await;
    let held = newest(pair, &pair.consumer.admin).await?;
    let foreign = held.contains_key("nodes/35/agencies/forged");
    must(!foreign, "one-writer", || format!("the provider 64 wrote a record of 35: {receipt:?}"))?;
    let aside = receipt.quarantined.iter().map(|aside| (aside.index(), aside.reason())).collect::<Vec<_>>();
    let sorted = aside == [(0, QuarantineReason::ForeignHome)] && held.contains_key("nodes/64/agencies/forged");
    must(sorted, "homes-speak-for-themselves", || format!("{receipt:?}"))
}

/// Both end well, no receipt is missing, and the tallies of both are what a recount says.
pub(super) async fn stopped(pair: &mut Pair, forged: bool) -> Lawful {
    if !forged {
        stop(&mut pair.provider).await?;
    }
    stop(&mut pair.consumer).await?;
    let (made, acknowledged, applied) = (pair.made().await, pair.acknowledged().await, pair.applied().await);
    must(made == acknowledged && (forged || made == applied), "receipts", || {
        format!("made {made:?}, acknowledged {acknowledged:?}, applied {applied:?}")
    })?;
    for code in ["64", "00"] {
        let node = Node::open(pair.world.settle(code).await, Clock::system(), None).await.unwrap();
        let (reporting, cancel) = (Reporting::new(node.ledger().clone(), CATCH_UP).unwrap(), CancellationToken::new());
        let following = reporting.start(cancel.clone());
        let recount = reporting.recount().await.unwrap();
        cancel.cancel();
        following.await.unwrap();
        node.ledger().db().close().await;
        must(recount.differences.is_empty() && recount.subjects > 0, "recount", || format!("{code}: {recount:?}"))?;
    }
    Ok(())
}

/// A node's ledger: all of it, or each record at its newest.
async fn entries(at: &Caller, history: bool) -> Lawful<Vec<Entry>> {
    answered(|| async {
        let asked = ReadEntriesRequest { history: Some(history), ..ReadEntriesRequest::default() };
        let mut answers = at.feed().read_entries(asked).await?.into_inner();
        let mut all = vec![];
        while let Some(answer) = answers.message().await? {
            all.extend(answer.entries);
        }
        Ok(all)
    })
    .await
}

async fn newest(pair: &Pair, at: &Caller) -> Lawful<BTreeMap<String, Entry>> {
    let mut all = entries(at, false).await?;
    all.retain(|entry| pair.clauses.iter().any(|clause| clause.kind() == entry.kind()));
    Ok(all.into_iter().map(|entry| (entry.name().to_owned(), entry)).collect())
}

fn put(entry: &Entry) -> Option<&Bytes> {
    match &entry.content {
        Some(Content::Put(payload)) => Some(payload),
        _ => None,
    }
}

/// What the agreement lets the consumer see of a record.
fn visible(pair: &Pair, entry: &Entry, citizen: Option<&String>) -> Option<Bytes> {
    let clause = pair.clauses.iter().find(|clause| clause.kind() == entry.kind())?;
    let fields: Vec<Vec<u32>> = clause.fields.iter().map(|path| path.numbers.clone()).collect();
    let path = clause.scope.as_ref()?.all.first()?.path.clone()?.numbers;
    let scope = Filter { all: vec![Condition { path, test: Test::Under(AREA.to_owned()) }] };
    let mut seen = Mask::new(&fields).apply(put(entry)?).ok()?;
    if !scope.matches(&seen).ok()? {
        return None;
    }
    if let (true, Some(citizen)) = (clause.pseudonym(), citizen) {
        let person = KINDS.iter().find(|kind| kind.collection == entry.kind())?.person?;
        let domain = Domain::new(DOMAIN, &Secret::from_bytes(&DOMAIN_KEY).ok()?);
        put_text(&mut seen, person, &domain.pseudonym(citizen));
    }
    Some(seen.into())
}
