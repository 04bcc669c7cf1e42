//! Protobuf as it lies on the wire: numbered fields, their values, and the bytes they came as. Nothing is decoded
//! into a message here and nothing is known about any schema, so nothing unknown is lost.
//!
//! Only the shortest encoding is accepted. Every encoder writes it, and it makes bytes and content one and the same:
//! what is taken apart here and framed again is byte for byte what came.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use std::error::Error;
use std::fmt;
use std::iter;

const MAX_NUMBER: u64 = (1 << 29) - 1;

/// One field: its number, its value, and the complete bytes of tag and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u32,
    pub wire: Wire<'a>,
    pub raw: &'a [u8],
}

/// A value as the wire types tell them apart. `Len` is text, bytes, a message or packed numbers: only a schema knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Len(&'a [u8]),
    Fixed32(u32),
}

/// Bytes that are no protobuf message, or not one that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end inside a field.
    Truncated,
    /// A varint of more than 64 bits, or one that is longer than it need be.
    Varint,
    /// A field number outside 1 to 2²⁹ − 1.
    Number,
    /// A group (deprecated, and without a length) or a wire type that does not exist.
    WireType,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "the bytes end inside a field",
            Malformed::Varint => "a varint is too large or longer than need be",
            Malformed::Number => "a field number is out of range",
            Malformed::WireType => "a wire type is a group or unknown",
        })
    }
}

impl Error for Malformed {}

/// The fields of a message, in the order of its bytes. The first malformed field is the last item.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = bytes;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = take_field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// Appends a text field.
pub fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    put_bytes(out, number, text.as_bytes());
}

/// Appends a length-delimited field: bytes, or a message that is encoded already.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_plain(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a varint field. A negative `int32`, `int64` or enum is its two's complement in 64 bits.
pub fn put_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, 0);
    put_plain(out, value);
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u64) {
    debug_assert!((1..=MAX_NUMBER).contains(&u64::from(number)));
    put_plain(out, u64::from(number) << 3 | wire_type);
}

fn put_plain(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
    let start = *rest;
    let tag = take_varint(rest)?;
    let number = match tag >> 3 {
        number @ 1..=MAX_NUMBER => number as u32,
        _ => return Err(Malformed::Number),
    };
    let wire = match tag & 7 {
        0 => Wire::Varint(take_varint(rest)?),
        1 => Wire::Fixed64(u64::from_le_bytes(take_array(rest)?)),
        2 => Wire::Len(take_delimited(rest)?),
        5 => Wire::Fixed32(u32::from_le_bytes(take_array(rest)?)),
        _ => return Err(Malformed::WireType),
    };
    let raw = &start[..start.len() - rest.len()];
    Ok(Field { number, wire, raw })
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take_array(rest)?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only.
        if shift == 63 && bits > 1 {
            return Err(Malformed::Varint);
        }
        value |= bits << shift;
        if byte < 0x80 {
            let overlong = byte == 0 && shift > 0;
            return if overlong { Err(Malformed::Varint) } else { Ok(value) };
        }
    }
    Err(Malformed::Varint)
}

fn take_delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(take_varint(rest)?).map_err(|_| Malformed::Truncated)?;
    let (bytes, tail) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
    *rest = tail;
    Ok(bytes)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, tail) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
    *rest = tail;
    Ok(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
        fields(bytes).collect()
    }

    fn wires(bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Malformed> {
        fields(bytes).map(|field| field.map(|field| (field.number, field.wire))).collect()
    }

    #[test]
    fn reads_the_examples_of_the_encoding_guide() {
        assert_eq!(wires(&[0x08, 0x96, 0x01]), Ok(vec![(1, Wire::Varint(150))]));
        assert_eq!(wires(b"\x12\x07testing"), Ok(vec![(2, Wire::Len(b"testing"))]));
        assert_eq!(wires(b"\x1a\x03\x08\x96\x01"), Ok(vec![(3, Wire::Len(b"\x08\x96\x01"))]));
        assert_eq!(wires(&[0x0d, 1, 0, 0, 0]), Ok(vec![(1, Wire::Fixed32(1))]));
        assert_eq!(wires(&[0x09, 2, 0, 0, 0, 0, 0, 0, 0]), Ok(vec![(1, Wire::Fixed64(2))]));
        assert_eq!(wires(&[]), Ok(vec![]));
    }

    #[test]
    fn refuses_what_no_encoder_writes() {
        let refused: &[(&[u8], Malformed)] = &[
            (&[0x08], Malformed::Truncated),
            (&[0x08, 0x80], Malformed::Truncated),
            (&[0x12, 0x02, b'a'], Malformed::Truncated),
            (&[0x0d, 1, 2, 3], Malformed::Truncated),
            (&[0x09, 1, 2, 3, 4, 5, 6, 7], Malformed::Truncated),
            (&[0x08, 0x80, 0x00], Malformed::Varint),
            (&[0x88, 0x00, 0x01], Malformed::Varint),
            (&[0x12, 0x81, 0x00, b'a'], Malformed::Varint),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], Malformed::Varint),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Malformed::Varint),
            (&[0x00, 0x01], Malformed::Number),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x01], Malformed::Number),
            (&[0x0b, 0x0c], Malformed::WireType),
            (&[0x0c], Malformed::WireType),
            (&[0x0e], Malformed::WireType),
            (&[0x0f], Malformed::WireType),
            (&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Malformed::Truncated),
        ];
        for (bytes, reason) in refused {
            assert_eq!(all(bytes), Err(*reason), "{bytes:02x?}");
        }
    }

    #[test]
    fn keeps_the_extremes() {
        for value in [0, 1, 127, 128, u64::from(u32::MAX), i64::MAX as u64, -1_i64 as u64] {
            let mut out = Vec::new();
            put_varint(&mut out, (1 << 29) - 1, value);
            assert_eq!(wires(&out), Ok(vec![((1 << 29) - 1, Wire::Varint(value))]));
        }
    }

    #[test]
    fn nothing_follows_a_malformed_field() {
        let mut found = fields(&[0x08, 0x01, 0x00, 0x08, 0x01]);
        assert!(matches!(found.next(), Some(Ok(_))));
        assert_eq!(found.next(), Some(Err(Malformed::Number)));
        assert_eq!(found.next(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_whole_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(found) = all(&bytes) {
                prop_assert_eq!(found.iter().flat_map(|field| field.raw.to_vec()).collect::<Vec<_>>(), bytes);
            }
        }

        #[test]
        fn what_is_put_is_read(number in 1_u32..1 << 29, value: u64, text: String) {
            let mut out = Vec::new();
            put_varint(&mut out, number, value);
            put_text(&mut out, number, &text);
            let expected = vec![(number, Wire::Varint(value)), (number, Wire::Len(text.as_bytes()))];
            prop_assert_eq!(wires(&out), Ok(expected));
        }

        #[test]
        fn a_message_cut_anywhere_is_shorter_or_refused(text in "[a-z]{0,20}", value: u64, cut in 0.0..1.0) {
            let mut out = Vec::new();
            put_text(&mut out, 1, &text);
            put_varint(&mut out, 2, value);
            let cut = (out.len() as f64 * cut) as usize;
            prop_assert!(all(&out[..cut]).map_or_else(|error| error == Malformed::Truncated, |found| found.len() < 2));
        }
    }
}
