//! Filters over records: the answer is the one that a slow reader gives who takes the whole record apart first.

use qianshou_kernel::filter::{Condition, Filter, Test};
use qianshou_kernel::wire::{put_bytes, put_text, put_varint};

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must,
    oracle::{self, Value},
    script::{Script, put_number, put_part},
};

/// Numbers of fields in the records here; those from [`FIRST_MESSAGE`] on hold messages.
const NUMBERS: usize = 6;
const FIRST_MESSAGE: usize = 4;
/// Texts that conditions and records share, so that they meet.
const SHARED: [&str; 8] = ["64", "6401", "640104", "2021-10-31", "2023-05-01", "", "社工站", "社工"];

/// An input is a record, and conditions until its end.
struct Filters {
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    Box::new(Filters { mutation })
}

impl Target for Filters {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let mut record = record(chance, 2);
        if chance.percent(30) {
            let other = self::record(chance, 2);
            chance.mutate(&mut record, &[other]);
        }
        let mut input = vec![];
        put_part(&mut input, &record);
        for _ in 0..chance.below(4) {
            put_condition(chance, &mut input);
        }
        if chance.percent(20) {
            chance.mutate(&mut input, &[]);
        }
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        let record = script.part();
        let mut filter = Filter::default();
        while !script.is_over() && filter.all.len() < 8 {
            filter.all.push(condition(&mut script));
        }
        let ours = filter.matches(record).ok();
        let theirs = self.slowly(&filter, record);
        must(ours == theirs, "the-slow-reader-agrees", || {
            format!("{ours:?}, not {theirs:?}: {} of {}", filter.canonical(), hex::encode(record))
        })?;
        must(filter.paths().count() == filter.all.len(), "every-condition-looks-at-a-field", String::new)?;
        let shown = filter.canonical();
        must(shown.chars().all(|c| !c.is_control()), "shown-without-control-characters", || format!("{shown:?}"))
    }
}

/// A record of a few small numbers.
pub(super) fn record(chance: &mut Chance, depth: usize) -> Vec<u8> {
    let mut out = vec![];
    for _ in 0..chance.below(8) {
        let number = 1 + chance.below(NUMBERS) as u32;
        if number as usize >= FIRST_MESSAGE && depth > 0 && chance.percent(90) {
            let inner = record(chance, depth - 1);
            put_bytes(&mut out, number, &inner);
        } else if chance.percent(50) {
            let text = if chance.percent(70) { (*chance.one(&SHARED)).to_owned() } else { matter::text(chance) };
            put_text(&mut out, number, &text);
        } else {
            let value = if chance.percent(70) { chance.below(4) as u64 } else { chance.number() };
            put_varint(&mut out, number, value);
        }
    }
    out
}

fn put_condition(chance: &mut Chance, out: &mut Vec<u8>) {
    let path: Vec<u8> = (0..chance.below(4)).map(|_| 1 + chance.below(NUMBERS) as u8).collect();
    put_part(out, &path);
    let test = chance.below(6) as u8;
    out.push(test);
    let shared = |chance: &mut Chance| *chance.one(&SHARED);
    match test {
        0 => {
            let texts = chance.below(3);
            out.push(texts as u8);
            (0..texts).for_each(|_| put_part(out, shared(chance).as_bytes()));
        }
        1 => put_part(out, shared(chance).as_bytes()),
        2 => {
            out.push(chance.below(4) as u8);
            put_part(out, shared(chance).as_bytes());
            put_part(out, shared(chance).as_bytes());
        }
        4 => {
            let numbers = chance.below(4);
            out.push(numbers as u8);
            (0..numbers).for_each(|_| {
                let number = if chance.percent(80) { chance.below(4) as u64 } else { chance.number() };
                put_number(out, number);
            });
        }
        5 => put_number(out, chance.below(4) as u64),
        _ => {}
    }
}

fn condition(script: &mut Script<'_>) -> Condition {
    let path = script.part().iter().take(8).map(|number| u32::from(*number)).collect();
    let test = match script.below(6) {
        0 => Test::OneOf((0..script.below(8)).map(|_| script.text()).collect()),
        1 => Test::Under(script.text()),
        2 => {
            let bounds = script.byte();
            let (from, until) = (script.text(), script.text());
            Test::Between { from: (bounds & 1 == 0).then_some(from), until: (bounds & 2 == 0).then_some(until) }
        }
        3 => Test::Present,
        4 => Test::NumberIn((0..script.below(8)).map(|_| script.number().cast_signed()).collect()),
        _ => Test::AtLeast(script.number() as u32),
    };
    Condition { path, test }
}

impl Filters {
    /// `None`: it cannot be read as far as it is looked at.
    fn slowly(&self, filter: &Filter, record: &[u8]) -> Option<bool> {
        for Condition { path, test } in &filter.all {
            let mut found = vec![];
            if !path.is_empty() {
                collect(record, path, &mut found)?;
            }
            if !self.holds(test, &found) {
                return Some(false);
            }
        }
        Some(true)
    }

    fn holds(&self, test: &Test, found: &[Value<'_>]) -> bool {
        let texts = || found.iter().filter_map(|value| if let Value::Len(text) = value { Some(*text) } else { None });
        let open = self.mutation == Some(Mutation::OpenRange);
        match test {
            Test::OneOf(set) => texts().any(|text| set.iter().any(|one| one.as_bytes() == text)),
            Test::Under(prefix) => texts().any(|text| text.get(..prefix.len()) == Some(prefix.as_bytes())),
            Test::Between { from, until } => {
                let from = from.as_deref().unwrap_or_default().as_bytes();
                texts()
                    .any(|text| text >= from && (open || until.as_deref().is_none_or(|until| text <= until.as_bytes())))
            }
            Test::Present => !found.is_empty(),
            Test::NumberIn(set) => {
                let first = self.mutation == Some(Mutation::FirstNumber);
                let decides = if first { found.first() } else { found.last() };
                decides.is_some_and(|value| matches!(value, Value::Number(n) if set.contains(&(*n as i64))))
            }
            Test::AtLeast(times) => !found.is_empty() && found.len() as u64 >= u64::from(*times),
        }
    }
}

fn collect<'a>(message: &'a [u8], path: &[u32], found: &mut Vec<Value<'a>>) -> Option<()> {
    for seen in oracle::walk(message)?.into_iter().filter(|seen| seen.number == path[0]) {
        match (&path[1..], seen.value) {
            ([], value) => found.push(value),
            (below, Value::Len(inner)) => collect(inner, below, found)?,
            _ => {}
        }
    }
    Some(())
}
