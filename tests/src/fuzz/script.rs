//! An input as a script: whatever the bytes are, something can be read from them, and at their end there are zeros for ever. So an
//! input may be broken or cut anywhere and still says something.

/// What is left of an input.
#[derive(Clone, Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// Reads an input from its beginning.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `most`, from the next byte.
    pub fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte()) % most.max(1)
    }

    /// A number of up to eight bytes, behind their count.
    pub fn number(&mut self) -> u64 {
        let bytes = self.below(9);
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// The next part, behind its length; one that lies about it is cut at the end.
    pub fn part(&mut self) -> &'a [u8] {
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.byte();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 21 {
                break;
            }
        }
        let (part, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        part
    }

    /// The next part as text, with a mark for what is none.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.part()).into_owned()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Appends a part that [`Script::part`] reads again.
pub fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    put_length(out, part.len() as u64);
    out.extend_from_slice(part);
}

/// Appends a number that [`Script::number`] reads again.
pub fn put_number(out: &mut Vec<u8>, number: u64) {
    let bytes = number.to_be_bytes();
    let zeros = (number.leading_zeros() / 8) as usize;
    out.push((8 - zeros) as u8);
    out.extend_from_slice(&bytes[zeros..]);
}

/// Appends a length as protobuf does.
pub fn put_length(out: &mut Vec<u8>, mut length: u64) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_and_zeros_follow() {
        let mut out = vec![9];
        put_number(&mut out, 0);
        put_number(&mut out, u64::MAX);
        put_part(&mut out, &[7; 300]);
        let mut script = Script::new(&out);
        assert_eq!((script.byte(), script.number(), script.number()), (9, 0, u64::MAX));
        assert_eq!(script.part(), [7; 300]);
        assert!(script.is_over());
        assert_eq!((script.byte(), script.number(), script.part(), script.text()), (0, 0, &[][..], String::new()));
        assert_eq!(Script::new(&[5, 1, 2]).part(), [1, 2]);
    }
}
