//! What is read of a certificate: its days and its public key. Its DER is walked as far as these, and no further.

use time::{Date, Month, PrimitiveDateTime, Time};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What stands in a certificate, as far as it is read here.
struct Parts<'a> {
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8],
}

/// The last instant at which a certificate (DER) holds, milliseconds since 1970-01-01 UTC; `None`: it cannot be read.
#[must_use]
pub fn valid_until_ms(der: &[u8]) -> Option<i64> {
    validity_ms(der).map(|(_, until)| until)
}

/// The first and the last instant at which a certificate (DER) holds, milliseconds since 1970-01-01 UTC; `None`: it cannot be read.
#[must_use]
pub fn validity_ms(der: &[u8]) -> Option<(i64, i64)> {
    let (from, from_text, rest) = element(parts(der)?.validity)?;
    let (until, until_text, _) = element(rest)?;
    Some((instant(from, from_text)?, instant(until, until_text)?))
}

/// The public key of a certificate (DER), with its algorithm: what is pinned of a peer, so that a renewed certificate goes on holding.
/// `None`: it cannot be read.
#[must_use]
pub fn public_key(der: &[u8]) -> Option<&[u8]> {
    parts(der).map(|parts| parts.public_key)
}

/// Whether a certificate names the other as the one that issued it.
pub(super) fn is_issued_by(der: &[u8], authority: &[u8]) -> bool {
    parts(der).zip(parts(authority)).is_some_and(|(this, above)| this.issuer == above.subject)
}

fn parts(der: &[u8]) -> Option<Parts<'_>> {
    let (_, certificate, _) = element(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm.
    for _ in 0..2 {
        fields = element(fields)?.2;
    }
    let (_, issuer, rest) = element(fields)?;
    let (_, validity, rest) = element(rest)?;
    let (_, subject, rest) = element(rest)?;
    let (_, public_key, _) = element(rest)?;
    Some(Parts { issuer, validity, subject, public_key })
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let bytes = usize::from(first & 0x7f);
        let (length, rest) = rest.split_at_checked(bytes).filter(|_| (1..=4).contains(&bytes))?;
        (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn instant(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => text.split_at_checked(4).and_then(|(year, rest)| Some((year.parse().ok()?, rest)))?,
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(two(0)?).ok()?, two(2)?).ok()?;
    let time = Time::from_hms(two(4)?, two(6)?, two(8)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp() * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_has_one_public_key_whatever_the_certificate() {
        let made = |key: &rcgen::KeyPair, name: &str| {
            let params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
            params.self_signed(key).unwrap().der().to_vec()
        };
        let (one, two) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
        assert_eq!(public_key(&made(&one, "a")), public_key(&made(&one, "b")));
        assert_ne!(public_key(&made(&one, "a")), public_key(&made(&two, "a")));
        assert!(public_key(b"one").is_none() && validity_ms(b"").is_none());
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for (year, ms) in [(2031, 1_924_992_000_000), (2061, 2_871_763_200_000)] {
            let mut params = rcgen::CertificateParams::new(vec!["x".into()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(validity_ms(made.der()), Some((978_307_200_000, ms)), "{year}");
            for end in 0..made.der().len() {
                assert_eq!(valid_until_ms(&made.der()[..end]), None, "cut at {end}");
            }
        }
    }
}
