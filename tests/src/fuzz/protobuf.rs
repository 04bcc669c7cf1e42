//! Messages of the contract from bytes that somebody sent: our walk over the wire is the decoder's; what is decoded is encoded again
//! to what is decoded to the same.

use prost::{DecodeError, Message};
use prost_reflect::MessageDescriptor;
use qianshou_kernel::{
    kind::descriptors,
    wire::{Field, Wire, fields},
};

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must,
    oracle::{self, Value},
};

/// Decodes a message of one type, and encodes it again.
type Again = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

fn again<M: Message + Default>(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    M::decode(bytes).map(|message| message.encode_to_vec())
}

macro_rules! messages {
    ($($package:ident: $($message:ident)+;)+) => {
        /// The messages that may come from outside, each by its full name.
        const MESSAGES: &[(&str, Again)] = &[$($(
            (
                concat!("qianshou.", stringify!($package), ".v1.", stringify!($message)),
                again::<qianshou_proto::$package::v1::$message>,
            ),
        )+)+];
    };
}
messages! {
    registry: Division Change Agency Station Worker Certificate Post Employment System Incubation Template Assessment Recognition
        Document Move Merge Task Campaign Figure Category Quota Tag;
    pairing: Commitment Approval Outcome Dispatch Arrival Project Allocation Payment Receipt Programme Activity Offer Need Order
        Acceptance;
    common: Version End Violation PutOutcome FieldPath Condition TextSet NumberSet Range Filter;
    ledger: Entry ReadEntriesRequest ReadEntriesResponse;
    identity: Token CreateTokenRequest;
    exchange: LedgerHeadBody LedgerHead Signature SuccessionBody Succession Card KindClause Terms StatementBody Statement Agreement PageHeader Control Opened SnapshotComplete Amended
        Ended PageEntry Page Quarantined ReceiptBody Receipt Cursor Peer Stream QuarantineItem IntroduceRequest IntroduceResponse
        OfferStatementRequest OfferStatementResponse PullRequest PullResponse Hello Welcome Idle Stop AddPeerRequest
        DraftAgreementRequest SignAgreementRequest;
}

/// An input is the place of a type in the list, in one byte, and the message.
struct Protobuf {
    descriptors: Vec<MessageDescriptor>,
    mutation: Option<Mutation>,
    hoard: Vec<Vec<u8>>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let described = |(name, _): &(&str, Again)| descriptors().get_message_by_name(name).expect("the contract has it");
    Box::new(Protobuf { descriptors: MESSAGES.iter().map(described).collect(), mutation, hoard: vec![] })
}

impl Target for Protobuf {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let at = chance.below(self.descriptors.len());
        let mut message = matter::message(chance, &self.descriptors[at]);
        if chance.percent(80) {
            let other = matter::message(chance, &self.descriptors[at]);
            chance.mutate(&mut message, &[other]);
        }
        message.insert(0, at as u8);
        message
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let (at, bytes) = input.split_first().unwrap_or((&0, &[]));
        let (name, again) = MESSAGES[usize::from(*at) % MESSAGES.len()];
        self.misbehave(bytes);
        self.walks(bytes)?;
        let Ok(first) = again(bytes) else { return Ok(()) };
        let seen = || format!("{name}: {}", hex::encode(&first));
        let second = again(&first);
        must(second.as_ref() == Ok(&first), "encoded-once-and-for-all", seen)?;
        must(oracle::walk(&first).is_some(), "encoded-in-shortest-form", seen)?;
        // Unknown fields are dropped, and defaults of repeated fields are not: nothing grows but varints that were cut too short.
        must(first.len() <= 11 * bytes.len(), "encoded-no-larger", seen)
    }
}

impl Protobuf {
    /// Our walk accepts what the decoder accepts in its shortest form, and sees the same.
    fn walks(&self, bytes: &[u8]) -> Lawful {
        let ours: Option<Vec<Field<'_>>> = fields(bytes).collect::<Result<_, _>>().ok();
        let theirs = oracle::walk(bytes);
        let seen = || format!("{ours:?} for {theirs:?}");
        let (Some(ours), Some(theirs)) = (&ours, &theirs) else {
            return must(ours.is_none() && theirs.is_none(), "the-walk-is-the-decoders", seen);
        };
        let same = |ours: &Field<'_>, theirs: &oracle::Seen<'_>| {
            let value = match (ours.wire, theirs.value) {
                (Wire::Varint(one), Value::Number(other)) => one == other,
                (Wire::Fixed64(one), Value::Fixed(other)) => one.to_le_bytes() == *other,
                (Wire::Fixed32(one), Value::Fixed(other)) => one.to_le_bytes() == *other,
                (Wire::Len(one), Value::Len(other)) => self.lossy(one) == other,
                _ => false,
            };
            value && ours.number == theirs.number && ours.raw == theirs.raw
        };
        let all = ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs));
        must(all, "the-walk-is-the-decoders", seen)
    }

    fn lossy<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        let loses = self.mutation == Some(Mutation::LoseByte) && value.len() > 20;
        &value[..value.len() - usize::from(loses)]
    }

    fn misbehave(&mut self, bytes: &[u8]) {
        match self.mutation {
            Some(Mutation::Panic) => assert!(!bytes.contains(&0xe4), "this byte was not expected"),
            Some(Mutation::Slow) if bytes.len() > 200 => {
                let until = std::time::Instant::now() + std::time::Duration::from_millis(30);
                while std::time::Instant::now() < until {}
            }
            Some(Mutation::Hoard) => self.hoard.push(vec![1; 1 << 20]),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_message_that_peers_send_and_every_noun_is_tried() {
        let tried: BTreeSet<&str> = MESSAGES.iter().map(|(name, _)| *name).collect();
        let nouns = qianshou::node::kinds().into_iter().map(|kind| kind.message.to_owned());
        let kept = descriptors().files().find(|file| file.name() == "qianshou/exchange/v1/resources.proto").unwrap();
        let exchanged: Vec<String> = kept.messages().map(|message| message.full_name().to_owned()).collect();
        for name in nouns.chain(exchanged) {
            assert!(tried.contains(name.as_str()), "{name}");
        }
    }
}
