//! Masks: what is left is what is allowed, byte for byte, and nothing else; once more changes nothing.

use std::collections::BTreeSet;

use qianshou_kernel::{
    mask::{Mask, replace},
    wire::put_bytes,
};

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    filter::record,
    must,
    oracle::{self, Value},
    script::{Script, put_part},
};

/// Paths and numbers in one input at most.
const MOST: usize = 16;

/// An input is a record, another that an update brings, the numbers of the update, and paths until its end.
struct Masks {
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    Box::new(Masks { mutation })
}

impl Target for Masks {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let mut input = vec![];
        for _ in 0..2 {
            let mut message = record(chance, 3);
            if chance.percent(30) {
                let other = record(chance, 3);
                chance.mutate(&mut message, &[other]);
            }
            put_part(&mut input, &message);
        }
        for _ in 0..=chance.below(6) {
            let path: Vec<u8> = (0..chance.below(4)).map(|_| 1 + chance.below(7) as u8).collect();
            put_part(&mut input, &path);
        }
        if chance.percent(10) {
            chance.mutate(&mut input, &[]);
        }
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        let (payload, update) = (script.part(), script.part());
        let numbers = |path: &[u8]| path.iter().take(MOST).map(|number| u32::from(*number)).collect::<Vec<_>>();
        let named = numbers(script.part());
        let mut paths = vec![];
        while !script.is_over() && paths.len() < MOST {
            paths.push(numbers(script.part()));
        }
        self.masks(payload, &paths)?;
        replaces(payload, update, &named)
    }
}

impl Masks {
    fn masks(&self, payload: &[u8], paths: &[Vec<u32>]) -> Lawful {
        let mask = Mask::new(paths);
        let kept = mask.apply(payload).ok().map(|kept| self.worse(kept));
        let seen = || format!("{paths:?} of {}", hex::encode(payload));
        let allowed: Vec<&[u32]> = paths.iter().filter(|path| !path.is_empty()).map(Vec::as_slice).collect();
        must(kept == slowly(payload, &allowed), "exactly-what-is-allowed", seen)?;
        let Some(kept) = kept else { return Ok(()) };
        must(mask.apply(&kept).as_ref() == Ok(&kept), "once-more-changes-nothing", seen)?;
        must(mask.covers(&kept) == Ok(true), "what-is-left-is-covered", seen)?;
        let covered = mask.covers(payload);
        must(covered.is_err() || covered == Ok(kept == payload), "covered-is-unchanged", seen)?;
        for path in paths {
            let within = !path.is_empty();
            must(mask.allows(path) == within, "a-named-path-is-allowed", || format!("{path:?} in {paths:?}"))?;
        }
        Ok(())
    }

    fn worse(&self, mut kept: Vec<u8>) -> Vec<u8> {
        match self.mutation {
            Some(Mutation::KeepUnknown) => put_bytes(&mut kept, 1000, b"unknown"),
            Some(Mutation::DropFrame) if kept.ends_with(&[0]) => kept.truncate(kept.len() - 2),
            _ => {}
        }
        kept
    }
}

/// `None`: it cannot be read as far as the mask leads.
fn slowly(payload: &[u8], paths: &[&[u32]]) -> Option<Vec<u8>> {
    let mut kept = vec![];
    for seen in oracle::walk(payload)? {
        let below: Vec<&[u32]> = paths.iter().filter_map(|path| path.strip_prefix(&[seen.number])).collect();
        match seen.value {
            _ if below.iter().any(|rest| rest.is_empty()) => kept.extend_from_slice(seen.raw),
            Value::Len(inner) if !below.is_empty() => put_bytes(&mut kept, seen.number, &slowly(inner, &below)?),
            _ => {}
        }
    }
    Some(kept)
}

/// An update takes each number from one side.
fn replaces(old: &[u8], new: &[u8], named: &[u32]) -> Lawful {
    let ours = replace(old, new, named).ok();
    let of = |message, from_new: bool| {
        let seen = oracle::walk(message)?;
        Some(seen.into_iter().filter(|s| named.contains(&s.number) == from_new).flat_map(|s| s.raw.to_vec()).collect())
    };
    let sides: Option<[Vec<u8>; 2]> = of(old, false).zip(of(new, true)).map(|(old, new)| [old, new]);
    must(ours == sides.map(|sides| sides.concat()), "each-number-from-one-side", || {
        format!("{named:?} of {} over {}", hex::encode(new), hex::encode(old))
    })?;
    let unnamed = |bytes: &[u8]| oracle::walk(bytes).map(|all| all.iter().map(|s| s.number).collect::<BTreeSet<_>>());
    let Some(numbers) = ours.as_deref().and_then(unnamed) else { return Ok(()) };
    let sources: BTreeSet<u32> = [old, new].into_iter().filter_map(unnamed).flatten().collect();
    must(numbers.is_subset(&sources), "nothing-comes-from-nowhere", || format!("{numbers:?}"))
}
