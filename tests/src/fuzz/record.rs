//! Records of every noun, as callers and peers send them: their forms, their index and what they are found by stand for any bytes that
//! can be read; what is in its form stays in it; what somebody types finds what it fits.

use prost_reflect::MessageDescriptor;
use qianshou_kernel::{
    clock::{format_day, parse_day},
    kind::{FoundBy, Kind, descriptors},
};

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must, oracle,
    script::{Script, put_part},
};

/// Characters in a text at most, as the default configuration has it.
const TEXT_MAX_CHARS: usize = 2_000;
/// Characters that somebody types at most.
const QUERY_MAX_CHARS: usize = 100;

/// An input is the place of a kind, its record, and what is typed.
struct Records {
    kinds: Vec<(Kind, MessageDescriptor)>,
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let described = |kind: Kind| (kind, descriptors().get_message_by_name(kind.message).expect("the contract has it"));
    Box::new(Records { kinds: qianshou::node::kinds().into_iter().map(described).collect(), mutation })
}

impl Target for Records {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let at = chance.below(self.kinds.len());
        let (kind, message) = &self.kinds[at];
        let mut record = matter::message(chance, message);
        if chance.percent(40) {
            let other = matter::message(chance, message);
            chance.mutate(&mut record, &[other]);
        }
        let mut input = vec![at as u8];
        put_part(&mut input, &record);
        let query = query(chance, kind, &record);
        put_part(&mut input, query.as_bytes());
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        let (kind, _) = self.kinds[script.below(self.kinds.len())];
        let (payload, query) = (script.part(), script.text());
        self.form(&kind, payload)?;
        let Ok(found) = kind.found_by(payload) else { return Ok(()) };
        let text = found.text.as_deref().unwrap_or_default();
        // Three readings, and 27 rows of three initials behind each, of at most 14 letters: for each character of a name.
        let most = 64 + 3 * 27 * 14 * payload.len();
        must(found.words.len() <= most && text.len() <= 64 + 4 * payload.len(), "an-index-is-bounded", || {
            format!("{} bytes of words for {} bytes of {}", found.words.len(), payload.len(), kind.collection)
        })?;
        finds(&kind, &query, &self.worse(found))
    }
}

/// What somebody might type who looks for it.
fn query(chance: &mut Chance, kind: &Kind, record: &[u8]) -> String {
    let text = kind.found_by(record).ok().and_then(|found| found.text).unwrap_or_default();
    let characters: Vec<char> = text.chars().collect();
    if characters.is_empty() || chance.percent(30) {
        return matter::text(chance);
    }
    let from = chance.below(characters.len());
    characters[from..].iter().take(1 + chance.below(9)).collect()
}

impl Records {
    fn form(&self, kind: &Kind, payload: &[u8]) -> Lawful {
        let today = parse_day("2024-06-01").expect("a day");
        let formed = |payload: &[u8]| kind.formed(payload, today, "64", TEXT_MAX_CHARS);
        let Ok(first) = formed(payload) else { return Ok(()) };
        must(oracle::walk(&first.payload).is_some(), "a-form-can-be-read", || hex::encode(&first.payload))?;
        for violation in &first.violations {
            let shown = violation.zh.chars().chain(violation.en.chars()).chain(violation.field.chars());
            must(shown.clone().all(|c| !c.is_control()), "a-refusal-has-no-control-characters", || {
                format!("{violation:?}")
            })?;
            must(shown.count() < 2_000, "a-refusal-is-short", || format!("{violation:?}"))?;
        }
        if !first.violations.is_empty() {
            return Ok(());
        }
        let again = formed(&first.payload).map(|again| again.payload);
        let again = again
            .map(|again| if self.mutation == Some(Mutation::Unstable) { [again, vec![8, 1]].concat() } else { again });
        must(again.as_ref() == Ok(&first.payload), "what-is-in-its-form-stays-in-it", || {
            format!("{}: {} becomes {again:?}", kind.collection, hex::encode(&first.payload))
        })?;
        must(format_day(today) == "2024-06-01", "a-day-reads-as-it-is-written", String::new)
    }

    fn worse(&self, found: FoundBy) -> FoundBy {
        let loses = self.mutation == Some(Mutation::LoseWords);
        FoundBy { words: if loses { String::new() } else { found.words }, ..found }
    }
}

/// Whatever fits has the words that are looked up.
fn finds(kind: &Kind, query: &str, found: &FoundBy) -> Lawful {
    let query: String = query.chars().take(QUERY_MAX_CHARS).collect();
    let Some((fits, narrows)) = kind.finds(&query, found) else { return Ok(()) };
    must(!fits || narrows, "what-fits-has-the-words", || format!("{query:?} in {found:?}"))
}
