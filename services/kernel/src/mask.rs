//! Which fields of a record may be seen: a tree of field numbers, applied to the bytes of the record. It knows no
//! schema and decodes nothing. What it lets pass is byte for byte what came, and every number that it does not name
//! is dropped, whether anybody here knows that number or not.

use std::collections::BTreeMap;

use crate::wire::{Malformed, Wire, fields, put_bytes};

/// The allowed fields of a message. The default allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    fields: BTreeMap<u32, Allowed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    Whole,
    Within(Mask),
}

impl Mask {
    /// A path of field numbers allows the whole field at its end; the numbers before it lead through message fields.
    /// Of two paths the wider one holds. An empty path allows nothing.
    #[must_use]
    pub fn new(paths: &[Vec<u32>]) -> Self {
        let mut mask = Self::default();
        for path in paths {
            mask.allow(path);
        }
        mask
    }

    /// The allowed fields of `payload`, in their order.
    ///
    /// A message that a path leads through keeps its frame even if nothing inside it is allowed: that it is there,
    /// and how often, is seen. A field that should hold a message and holds a number is dropped.
    ///
    /// # Errors
    /// `payload`, or a message that a path leads through, is no protobuf.
    pub fn apply(&self, payload: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut kept = Vec::with_capacity(payload.len());
        for field in fields(payload) {
            let field = field?;
            match (self.fields.get(&field.number), field.wire) {
                (Some(Allowed::Whole), _) => kept.extend_from_slice(field.raw),
                (Some(Allowed::Within(mask)), Wire::Len(message)) => {
                    put_bytes(&mut kept, field.number, &mask.apply(message)?);
                }
                _ => {}
            }
        }
        Ok(kept)
    }

    /// Whether `payload` has no field outside the mask, so that applying it would change nothing.
    ///
    /// # Errors
    /// As [`Mask::apply`].
    pub fn covers(&self, payload: &[u8]) -> Result<bool, Malformed> {
        for field in fields(payload) {
            let field = field?;
            let inside = match (self.fields.get(&field.number), field.wire) {
                (Some(Allowed::Whole), _) => true,
                (Some(Allowed::Within(mask)), Wire::Len(message)) => mask.covers(message)?,
                _ => false,
            };
            if !inside {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether everything at `path` is allowed.
    #[must_use]
    pub fn allows(&self, path: &[u32]) -> bool {
        let Some((number, below)) = path.split_first() else {
            return false;
        };
        match self.fields.get(number) {
            Some(Allowed::Whole) => true,
            Some(Allowed::Within(mask)) => mask.allows(below),
            None => false,
        }
    }

    fn allow(&mut self, path: &[u32]) {
        let Some((number, below)) = path.split_first() else {
            return;
        };
        if below.is_empty() {
            self.fields.insert(*number, Allowed::Whole);
            return;
        }
        let allowed = self.fields.entry(*number).or_insert_with(|| Allowed::Within(Mask::default()));
        if let Allowed::Within(mask) = allowed {
            mask.allow(below);
        }
    }
}

/// What an update leaves: all of `old` except its top-level fields `numbers`, then `numbers` of `new`. A number that is
/// absent in `new` is thereby cleared. Members of a `oneof` exclude each other only if all their numbers are named.
///
/// # Errors
/// `old` or `new` is no protobuf.
pub fn replace(old: &[u8], new: &[u8], numbers: &[u32]) -> Result<Vec<u8>, Malformed> {
    let mut merged = Vec::with_capacity(old.len() + new.len());
    for (payload, replaced) in [(old, false), (new, true)] {
        for field in fields(payload) {
            let field = field?;
            if numbers.contains(&field.number) == replaced {
                merged.extend_from_slice(field.raw);
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_text, put_varint};
    use proptest::prelude::*;

    fn mask(paths: &[&[u32]]) -> Mask {
        Mask::new(&paths.iter().map(|path| path.to_vec()).collect::<Vec<_>>())
    }

    fn message(build: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        build(&mut out);
        out
    }

    #[test]
    fn keeps_order_and_drops_every_other_number() {
        let payload = message(|out| {
            put_text(out, 7, "unknown");
            put_varint(out, 2, 5);
            put_text(out, 1, "乡镇社工站");
            put_varint(out, 2, 6);
            put_varint(out, 3, 1);
        });
        let kept = message(|out| {
            put_varint(out, 2, 5);
            put_text(out, 1, "乡镇社工站");
            put_varint(out, 2, 6);
        });
        let mask = mask(&[&[1], &[2]]);
        assert_eq!(mask.apply(&payload), Ok(kept.clone()));
        assert_eq!((mask.covers(&payload), mask.covers(&kept)), (Ok(false), Ok(true)));
    }

    #[test]
    fn reaches_into_messages() {
        let inner = message(|out| {
            put_text(out, 1, "kept");
            put_text(out, 2, "dropped");
        });
        let payload = message(|out| put_bytes(out, 4, &inner));
        let kept = message(|out| put_bytes(out, 4, &message(|out| put_text(out, 1, "kept"))));
        assert_eq!(mask(&[&[4, 1]]).apply(&payload), Ok(kept));
        assert_eq!(mask(&[&[4, 3]]).apply(&payload), Ok(message(|out| put_bytes(out, 4, b""))));
        assert_eq!(mask(&[&[4]]).apply(&payload), Ok(payload.clone()));
        assert_eq!(Mask::default().apply(&payload), Ok(vec![]));
    }

    #[test]
    fn a_number_where_a_message_should_be_is_dropped() {
        let payload = message(|out| put_varint(out, 4, 1));
        assert_eq!(mask(&[&[4, 1]]).apply(&payload), Ok(vec![]));
        assert_eq!(mask(&[&[4, 1]]).covers(&payload), Ok(false));
        assert_eq!(mask(&[&[4, 1]]).apply(&message(|out| put_text(out, 4, "text"))), Err(Malformed::WireType));
    }

    #[test]
    fn the_wider_path_holds_in_either_order() {
        let wide = mask(&[&[4]]);
        assert_eq!(mask(&[&[4, 1], &[4]]), wide);
        assert_eq!(mask(&[&[4], &[4, 1]]), wide);
        assert_eq!(mask(&[&[]]), Mask::default());
        let narrow = mask(&[&[4, 1], &[4, 2, 3]]);
        assert!(wide.allows(&[4]) && wide.allows(&[4, 9]));
        assert!(narrow.allows(&[4, 1]) && narrow.allows(&[4, 2, 3]) && narrow.allows(&[4, 1, 1]));
        assert!(!narrow.allows(&[4]) && !narrow.allows(&[4, 2]) && !narrow.allows(&[5]) && !narrow.allows(&[]));
    }

    #[test]
    fn replaces_and_clears() {
        let old = message(|out| {
            put_text(out, 1, "old");
            put_varint(out, 2, 1);
            put_text(out, 99, "from a newer version");
        });
        let new = message(|out| {
            put_text(out, 1, "new");
            put_varint(out, 3, 1);
        });
        let merged = message(|out| {
            put_text(out, 99, "from a newer version");
            put_text(out, 1, "new");
        });
        assert_eq!(replace(&old, &new, &[1, 2]), Ok(merged));
        assert_eq!(replace(&old, &new, &[]), Ok(old.clone()));
        assert_eq!(replace(&old, &[0x00], &[]), Err(Malformed::Number));
    }

    /// Messages of numbers 1 to 5 where 4 and 5 are messages, down to a depth.
    fn payload(depth: u32) -> BoxedStrategy<Vec<u8>> {
        let number = (1_u32..4, any::<u64>()).prop_map(|(number, value)| message(|out| put_varint(out, number, value)));
        let text = (1_u32..4, "\\PC{0,8}").prop_map(|(number, text)| message(|out| put_text(out, number, &text)));
        let field = if depth == 0 {
            prop_oneof![number, text].boxed()
        } else {
            let nested = (4_u32..6, payload(depth - 1))
                .prop_map(|(number, inner)| message(|out| put_bytes(out, number, &inner)));
            prop_oneof![number, text, nested].boxed()
        };
        proptest::collection::vec(field, 0..6).prop_map(|fields| fields.concat()).boxed()
    }

    /// The same law told the slow way: every leaf with its path, and every frame.
    fn leaves(payload: &[u8], above: &[u32]) -> Vec<(Vec<u32>, Vec<u8>)> {
        let mut found = Vec::new();
        for field in fields(payload).map(Result::unwrap) {
            let path = [above, &[field.number]].concat();
            match field.wire {
                Wire::Len(inner) if field.number > 3 => found.extend(leaves(inner, &path)),
                _ => found.push((path, field.raw.to_vec())),
            }
        }
        found
    }

    proptest! {
        #[test]
        fn exactly_the_allowed_leaves_remain(
            payload in payload(2),
            paths in proptest::collection::vec(proptest::collection::vec(4_u32..6, 0..3), 0..4),
            ends in proptest::collection::vec(1_u32..6, 4),
        ) {
            let joined = paths.into_iter().zip(ends).map(|(path, end)| [path, vec![end]].concat());
            let paths: Vec<Vec<u32>> = joined.collect();
            let mask = Mask::new(&paths);
            let kept = mask.apply(&payload).unwrap();
            let allowed: Vec<_> = leaves(&payload, &[])
                .into_iter()
                .filter(|(leaf, _)| paths.iter().any(|path| leaf.starts_with(path)))
                .collect();
            prop_assert_eq!(leaves(&kept, &[]), allowed);
            prop_assert_eq!(mask.apply(&kept).unwrap(), kept.clone());
            prop_assert!(mask.covers(&kept).unwrap());
            prop_assert_eq!(mask.covers(&payload).unwrap(), kept == payload);
        }

        #[test]
        fn any_bytes_are_masked_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mask = mask(&[&[1], &[2, 1], &[3, 2, 1]]);
            if let Ok(kept) = mask.apply(&bytes) {
                prop_assert_eq!(mask.apply(&kept), Ok(kept.clone()));
                prop_assert!(fields(&kept).all(|field| field.is_ok_and(|field| field.number <= 3)));
            }
        }

        #[test]
        fn replacing_takes_each_number_from_one_side(
            old in payload(1),
            new in payload(1),
            numbers in proptest::collection::vec(1_u32..6, 0..4),
        ) {
            let merged = replace(&old, &new, &numbers).unwrap();
            let paths = (1..6).map(|number| vec![number]);
            let (named, others): (Vec<_>, Vec<_>) = paths.partition(|path| numbers.contains(&path[0]));
            prop_assert_eq!(Mask::new(&named).apply(&merged), Mask::new(&named).apply(&new));
            prop_assert_eq!(Mask::new(&others).apply(&merged), Mask::new(&others).apply(&old));
        }
    }
}
