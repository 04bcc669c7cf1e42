//! Secrets about persons, and the only place that handles them: identity numbers are sealed for keeping, indexed
//! blindly for looking up, and turned into pseudonyms for crossing between nodes. It stores nothing, and a key is
//! never printed.
//!
//! **Whoever holds a blind key or a domain key can enumerate citizen numbers.** There are few enough of them to
//! compute the index or pseudonym of every one and compare. Such a key is as sensitive as the numbers themselves: it
//! goes to those who may know who is who, and never to a consumer that only counts.
//!
//! Nonces come from the operating system and never from a seed, in tests neither: the same nonce twice under one key
//! lays both numbers open.

use std::error::Error;
use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

const VERSION: u8 = 1;
const INDEX_LABEL: &str = "qianshou/person/index/1";
const PSEUDONYM_LABEL: &str = "qianshou/person/pseudonym/1";
const PSEUDONYM_BYTES: usize = 20;

/// The 32 bytes of a key. Not compared and not printed.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// A key that seals, with the id that its seals carry.
#[derive(Debug)]
pub struct SealKey {
    id: String,
    key: LessSafeKey,
}

/// Seals with the current key, opens with the current and older ones. Authenticated encryption: AES-256-GCM.
///
/// A seal is `version 1 (1 byte) · length of key id (1 byte) · key id · nonce (12 bytes) · ciphertext and tag`. A key
/// is good for 2³² seals; long before that, a new one becomes current.
#[derive(Debug)]
pub struct Sealer {
    current: SealKey,
    older: Vec<SealKey>,
}

/// Indexes values that must be found again but not read. The key belongs to one node.
#[derive(Debug)]
pub struct BlindKey(hmac::Key);

/// A pseudonym domain: those who hold the same name and key give a person the same pseudonym.
#[derive(Debug)]
pub struct Domain {
    name: String,
    key: hmac::Key,
}

/// Why keys are of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A key is not 32 bytes long.
    Length,
    /// A key id is empty or longer than 255 bytes.
    Id,
    /// Two keys have the same id.
    Repeated(String),
}

/// Why a seal was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsealed {
    /// The bytes are no seal of a version known here.
    Malformed,
    /// The seal was made with a key that is not here.
    UnknownKey(String),
    /// The seal was changed, belongs to another context, or was made with another key of the same id.
    Forged,
}

impl Secret {
    /// # Errors
    /// [`KeyError::Length`] unless there are 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::Length)
    }

    /// A new key from a source of cryptographic randomness.
    #[must_use]
    pub fn generate(mut random: impl FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 32];
        random(&mut bytes);
        Self(bytes)
    }

    /// The bytes, for whoever writes the key to where keys are kept.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl SealKey {
    /// # Errors
    /// [`KeyError::Id`] if the id is empty or longer than 255 bytes.
    pub fn new(id: &str, secret: &Secret) -> Result<Self, KeyError> {
        if id.is_empty() || id.len() > usize::from(u8::MAX) {
            return Err(KeyError::Id);
        }
        let key = UnboundKey::new(&AES_256_GCM, &secret.0).map_err(|_| KeyError::Length)?;
        Ok(Self { id: id.to_owned(), key: LessSafeKey::new(key) })
    }
}

impl Sealer {
    /// # Errors
    /// [`KeyError::Repeated`] if two keys have the same id: one of them would never be found.
    pub fn new(current: SealKey, older: Vec<SealKey>) -> Result<Self, KeyError> {
        let ids: Vec<&str> = [&current].into_iter().chain(&older).map(|key| key.id.as_str()).collect();
        match (1..ids.len()).find(|&at| ids[..at].contains(&ids[at])) {
            Some(at) => Err(KeyError::Repeated(ids[at].to_owned())),
            None => Ok(Self { current, older }),
        }
    }

    /// Seals for a context, usually the name of the record: elsewhere the seal does not open.
    ///
    /// # Panics
    /// If the operating system gives no randomness, or for more than 64 GiB.
    #[must_use]
    pub fn seal(&self, plain: &[u8], context: &str) -> Vec<u8> {
        let SealKey { id, key } = &self.current;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the operating system gives randomness");
        let mut text = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut text)
            .expect("less than 64 GiB are sealed");
        let length = u8::try_from(id.len()).expect("a key id has at most 255 bytes");
        [&[VERSION, length], id.as_bytes(), &nonce, &text].concat()
    }

    /// What was sealed for this context.
    ///
    /// # Errors
    /// See [`Unsealed`].
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, Unsealed> {
        let seal = Seal::parse(sealed)?;
        let key = [&self.current].into_iter().chain(&self.older).find(|key| key.id == seal.key_id);
        let SealKey { key, .. } = key.ok_or_else(|| Unsealed::UnknownKey(seal.key_id.to_owned()))?;
        let nonce = Nonce::assume_unique_for_key(*seal.nonce);
        let mut text = seal.text.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(context), &mut text).map_err(|_| Unsealed::Forged)?;
        Ok(plain.to_vec())
    }

    /// The same content under the current key, or `None` if that is the key it is under.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub fn rewrap(&self, sealed: &[u8], context: &str) -> Result<Option<Vec<u8>>, Unsealed> {
        if Seal::parse(sealed)?.key_id == self.current.id {
            return Ok(None);
        }
        let plain = self.open(sealed, context)?;
        Ok(Some(self.seal(&plain, context)))
    }
}

impl BlindKey {
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(secret.hmac())
    }

    /// 64 hexadecimal digits. The same value has another index in another space.
    #[must_use]
    pub fn index(&self, space: &str, value: &str) -> String {
        hex::encode(keyed_hash(&self.0, [INDEX_LABEL, space, value]).as_ref())
    }
}

impl Domain {
    #[must_use]
    pub fn new(name: &str, secret: &Secret) -> Self {
        Self { name: name.to_owned(), key: secret.hmac() }
    }

    /// The name that agreements call the domain by. It goes into the pseudonyms: a domain that is renamed is another
    /// one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 40 hexadecimal digits for an identity number, which is taken literally: parse it first.
    #[must_use]
    pub fn pseudonym(&self, id_number: &str) -> String {
        let hash = keyed_hash(&self.key, [PSEUDONYM_LABEL, &self.name, id_number]);
        hex::encode(&hash.as_ref()[..PSEUDONYM_BYTES])
    }
}

/// A node's keys for the identity numbers it is home to.
#[derive(Debug)]
pub struct Secrets {
    /// Seals and opens.
    pub sealer: Sealer,
    /// Finds again.
    pub blind: BlindKey,
}

/// Bytes of the blind index at the head of an entry's sealed part.
const BLIND_BYTES: usize = 32;

impl Secrets {
    /// Keys from a node's files.
    pub fn new(seal: &[u8; 32], blind: &[u8; 32]) -> Result<Self, KeyError> {
        let sealer = Sealer::new(SealKey::new("1", &Secret(*seal))?, vec![])?;
        Ok(Self { sealer, blind: BlindKey::new(&Secret(*blind)) })
    }

    /// An entry's sealed part: the blind index (32 bytes), by which the record is found, then the seal.
    pub fn seal(&self, number: &str, blind: &str, context: &str) -> crate::error::Result<bytes::Bytes> {
        let index = hex::decode(blind).ok().filter(|bytes| bytes.len() == BLIND_BYTES);
        let index = index.ok_or_else(|| crate::error::Error::broken("a blind index is not 32 bytes of hex"))?;
        Ok([index, self.sealer.seal(number.as_bytes(), context)].concat().into())
    }

    /// The identity number of an entry's sealed part.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<String, Unsealed> {
        let seal = sealed.get(BLIND_BYTES..).ok_or(Unsealed::Malformed)?;
        String::from_utf8(self.sealer.open(seal, context)?).map_err(|_| Unsealed::Malformed)
    }
}

/// The blind index of an entry's sealed part.
#[must_use]
pub fn blind_of(sealed: &[u8]) -> Option<String> {
    sealed.get(..BLIND_BYTES).map(hex::encode)
}

struct Seal<'a> {
    key_id: &'a str,
    nonce: &'a [u8; NONCE_LEN],
    text: &'a [u8],
}

impl<'a> Seal<'a> {
    fn parse(sealed: &'a [u8]) -> Result<Self, Unsealed> {
        Self::parts(sealed).ok_or(Unsealed::Malformed)
    }

    fn parts(sealed: &'a [u8]) -> Option<Self> {
        let (&[version, length], rest) = sealed.split_first_chunk()?;
        let (key_id, rest) = rest.split_at_checked(length.into())?;
        let (nonce, text) = rest.split_first_chunk()?;
        let key_id = str::from_utf8(key_id).ok()?;
        (version == VERSION).then_some(Self { key_id, nonce, text })
    }
}

/// Every part is framed by its length, so that no two lists of parts run together into the same bytes.
fn keyed_hash(key: &hmac::Key, parts: [&str; 3]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.sign()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length => f.write_str("a key is not 32 bytes long"),
            KeyError::Id => f.write_str("a key id is empty or longer than 255 bytes"),
            KeyError::Repeated(id) => write!(f, "two keys have the id {id:?}"),
        }
    }
}

impl Error for KeyError {}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsealed::Malformed => f.write_str("the bytes are no seal of a known version"),
            Unsealed::UnknownKey(id) => write!(f, "the seal was made with the key {id:?}, which is not here"),
            Unsealed::Forged => f.write_str("the seal does not hold"),
        }
    }
}

impl Error for Unsealed {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUMBER: &str = "11010519491231002X";
    const NAME: &str = "nodes/64/persons/1";

    fn secret(byte: u8) -> Secret {
        Secret::generate(|bytes| bytes.fill(byte))
    }

    fn key(byte: u8) -> SealKey {
        SealKey::new(&format!("k{byte}"), &secret(byte)).unwrap()
    }

    fn sealer(current: u8, older: &[u8]) -> Sealer {
        Sealer::new(key(current), older.iter().map(|byte| key(*byte)).collect()).unwrap()
    }

    #[test]
    fn a_seal_opens_in_its_context_only() {
        let sealer = sealer(1, &[]);
        let sealed = sealer.seal(NUMBER.as_bytes(), NAME);
        assert_eq!(sealed.len(), 2 + 2 + 12 + 18 + 16);
        assert_eq!(sealer.open(&sealed, NAME), Ok(NUMBER.as_bytes().to_vec()));
        assert_eq!(sealer.open(&sealed, "nodes/64/persons/2"), Err(Unsealed::Forged));
        assert_ne!(sealer.seal(NUMBER.as_bytes(), NAME), sealed);
    }

    /// Made with the Python package `cryptography`, whose AES is not ring's.
    #[test]
    fn opens_a_seal_made_elsewhere() {
        let sealed = hex::decode(
            "01026b37000102030405060708090a0b29b0d9412d3ce870438bd4aed1695ccad36409d31fa906454c64e8d78dc2be54cc87",
        )
        .unwrap();
        assert_eq!(sealer(7, &[]).open(&sealed, NAME), Ok(NUMBER.as_bytes().to_vec()));
    }

    /// Made with Python's `hmac`.
    #[test]
    fn indexes_and_pseudonyms_never_change() {
        assert_eq!(
            BlindKey::new(&secret(7)).index("citizen", NUMBER),
            "dee77f3404eb9048ca553fe8737e7d7fac0bc6924cae5d7df67297f07980c520"
        );
        assert_eq!(Domain::new("闽宁", &secret(7)).pseudonym(NUMBER), "2c02f4909c38fe62ca237a9fd7689c4b6fea6e7f");
    }

    #[test]
    fn older_keys_open_and_are_rewrapped() {
        let sealed = sealer(1, &[]).seal(b"plain", NAME);
        let renewed = sealer(2, &[1]);
        assert_eq!(renewed.open(&sealed, NAME), Ok(b"plain".to_vec()));
        let rewrapped = renewed.rewrap(&sealed, NAME).unwrap().unwrap();
        assert_eq!(renewed.rewrap(&rewrapped, NAME), Ok(None));
        assert_eq!(sealer(2, &[]).open(&rewrapped, NAME), Ok(b"plain".to_vec()));
        assert_eq!(sealer(2, &[]).rewrap(&sealed, NAME), Err(Unsealed::UnknownKey("k1".into())));
        assert_eq!(renewed.rewrap(&sealed, "elsewhere"), Err(Unsealed::Forged));
    }

    #[test]
    fn unfit_keys_are_refused() {
        assert!(matches!(Secret::from_bytes(&[0; 31]), Err(KeyError::Length)));
        assert!(matches!(SealKey::new("", &secret(1)), Err(KeyError::Id)));
        assert!(matches!(SealKey::new(&"k".repeat(256), &secret(1)), Err(KeyError::Id)));
        assert!(matches!(Sealer::new(key(1), vec![key(2), key(1)]), Err(KeyError::Repeated(id)) if id == "k1"));
        assert!(matches!(Sealer::new(key(1), vec![key(2), key(2)]), Err(KeyError::Repeated(id)) if id == "k2"));
        assert_eq!(Secret::from_bytes(&[5; 32]).unwrap().expose(), &[5; 32]);
    }

    #[test]
    fn spaces_and_domains_are_apart() {
        let key = BlindKey::new(&secret(1));
        assert_ne!(key.index("a", "bc"), key.index("ab", "c"));
        assert_ne!(key.index("a", "b"), BlindKey::new(&secret(2)).index("a", "b"));
        let pseudonym = Domain::new("闽宁", &secret(1)).pseudonym(NUMBER);
        assert_ne!(pseudonym, Domain::new("闽宁", &secret(2)).pseudonym(NUMBER));
        assert_ne!(pseudonym, Domain::new("三区", &secret(1)).pseudonym(NUMBER));
        assert_ne!(pseudonym, key.index("闽宁", NUMBER)[..40]);
    }

    #[test]
    fn keys_are_never_printed() {
        let printed = format!(
            "{:?} {:?} {:?} {:?}",
            secret(0xab),
            sealer(0xab, &[0xac]),
            BlindKey::new(&secret(0xab)),
            Domain::new("闽宁", &secret(0xab))
        );
        for trace in ["171, 171", "abab", "ABAB", "ab, ab", "172, 172"] {
            assert!(!printed.contains(trace), "{printed}");
        }
        assert!(printed.contains("k171") && printed.contains("闽宁"), "{printed}");
    }

    proptest! {
        #[test]
        fn a_changed_seal_never_opens(plain: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            let sealer = sealer(1, &[2]);
            let mut sealed = sealer.seal(&plain, NAME);
            prop_assert_eq!(sealer.open(&sealed, NAME), Ok(plain));
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(sealer.open(&sealed, NAME).is_err());
            prop_assert!(sealer.open(&sealed[..at], NAME).is_err());
        }
    }
}
