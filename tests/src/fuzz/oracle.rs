//! What our walk over the wire is compared with: the same told by the decoder's own functions, slowly and without our code.

use prost::encoding::{WireType, decode_key, decode_varint, encoded_len_varint};

/// A field as it lies in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// All of its bytes.
    pub raw: &'a [u8],
}

/// A value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A varint.
    Number(u64),
    /// Four or eight bytes.
    Fixed(&'a [u8]),
    /// What has a length.
    Len(&'a [u8]),
}

/// Every field of a message; `None`: the decoder cannot read it, or it is not in its shortest form, or has a group.
#[must_use]
pub fn walk(message: &[u8]) -> Option<Vec<Seen<'_>>> {
    let mut seen = vec![];
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let (number, wire) = decode_key(&mut rest).ok()?;
        shortest(start, rest, u64::from(number) << 3 | wire as u64)?;
        let value = match wire {
            WireType::Varint => Value::Number(varint(&mut rest)?),
            WireType::SixtyFourBit => Value::Fixed(cut(&mut rest, 8)?),
            WireType::ThirtyTwoBit => Value::Fixed(cut(&mut rest, 4)?),
            WireType::LengthDelimited => {
                let length = varint(&mut rest)?;
                Value::Len(cut(&mut rest, usize::try_from(length).ok()?)?)
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        seen.push(Seen { number, value, raw: &start[..start.len() - rest.len()] });
    }
    Some(seen)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let start = *rest;
    let value = decode_varint(rest).ok()?;
    shortest(start, rest, value)?;
    Some(value)
}

fn shortest(start: &[u8], rest: &[u8], value: u64) -> Option<()> {
    (start.len() - rest.len() == encoded_len_varint(value)).then_some(())
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    if length > rest.len() {
        return None;
    }
    let (part, tail) = rest.split_at(length);
    *rest = tail;
    Some(part)
}
