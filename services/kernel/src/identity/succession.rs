//! One signing key of a node follows another: said by both keys, so that who knows the first takes the second without signing anew.
//!
//! Never says that a key is good, only that the one before it named it. Who has got hold of a key can name another after it: a person
//! compares the fingerprint of the new key all the same.

use ed25519_dalek::SigningKey;
use prost::Message as _;
use qianshou_proto::exchange::v1::{Card, Succession, SuccessionBody};

use super::{key_id, sign, verify};

/// What the signatures of a succession are made for.
pub const SUCCESSION_CONTEXT: &str = "qianshou.succession.v1";
/// Changes of key that a card tells at most.
pub(super) const SUCCESSIONS_MAX: usize = 8;

/// Says that `new` follows `old` at a node, signed by both.
#[must_use]
pub fn succession(node: &str, old: &SigningKey, new: &SigningKey, now_ms: i64) -> Succession {
    let public = |key: &SigningKey| Some(key.verifying_key().to_bytes().to_vec().into());
    let body =
        SuccessionBody { node: Some(node.to_owned()), old_key: public(old), new_key: public(new), at_ms: Some(now_ms) };
    let body = body.encode_to_vec();
    let [by_old, by_new] = [old, new].map(|key| Some(sign(key, SUCCESSION_CONTEXT, &body)));
    Succession { body: Some(body.into()), by_old, by_new }
}

/// The keys that a card's key follows, the last first: each named the next one, and was named by both. What does not hold, or leads
/// elsewhere, ends the line.
#[must_use]
pub fn keys_before(card: &Card) -> Vec<[u8; 32]> {
    let mut line: Vec<[u8; 32]> = vec![];
    let mut key: Option<[u8; 32]> = card.signing_key.as_deref().and_then(|key| key.try_into().ok());
    while let Some(newer) = key.filter(|_| line.len() < SUCCESSIONS_MAX) {
        let told = card.successions.iter().take(SUCCESSIONS_MAX);
        key = told.filter_map(|one| read(one, card.node(), &newer)).find(|older| !line.contains(older));
        line.extend(key);
    }
    line
}

/// The key that this one follows, if the statement is about this node and key and both have signed it.
fn read(succession: &Succession, node: &str, newer: &[u8; 32]) -> Option<[u8; 32]> {
    let bytes = succession.body.as_deref()?;
    let body = SuccessionBody::decode(bytes).ok().filter(|body| body.node() == node)?;
    let older: [u8; 32] = body.old_key.as_deref()?.try_into().ok()?;
    let by = |key, signature| verify(key, SUCCESSION_CONTEXT, bytes, signature);
    let both = by(&older, succession.by_old.as_ref()?) && by(newer, succession.by_new.as_ref()?);
    let about = body.new_key.as_deref() == Some(&newer[..]) && key_id(&older) != key_id(newer);
    (both && about).then_some(older)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(key: &SigningKey) -> [u8; 32] {
        key.verifying_key().to_bytes()
    }

    #[test]
    fn only_what_both_keys_have_signed_leads_from_one_to_the_other() {
        let [first, second, third, thief] = [1, 2, 3, 4].map(|n| SigningKey::from_bytes(&[n; 32]));
        let steps = vec![succession("64", &first, &second, 1), succession("64", &second, &third, 2)];
        let card = |key: &SigningKey, successions: Vec<Succession>| Card {
            node: Some("64".into()),
            signing_key: Some(public(key).to_vec().into()),
            successions,
            ..Card::default()
        };
        assert_eq!(keys_before(&card(&third, steps.clone())), [public(&second), public(&first)]);
        assert_eq!(keys_before(&card(&second, steps.clone())), [public(&first)]);
        assert_eq!(keys_before(&card(&first, steps.clone())), [] as [[u8; 32]; 0]);
        assert_eq!(keys_before(&card(&third, vec![steps[0].clone()])), [] as [[u8; 32]; 0], "a step is missing");
        assert_eq!(keys_before(&card(&thief, steps.clone())), [] as [[u8; 32]; 0]);
        let other = Card { node: Some("35".into()), ..card(&third, steps.clone()) };
        assert_eq!(keys_before(&other), [] as [[u8; 32]; 0], "of another node");

        let sound = succession("64", &first, &thief, 3);
        let forged = succession("64", &thief, &third, 3);
        for (old, new) in [
            (forged.by_old.clone(), sound.by_new.clone()),
            (sound.by_new.clone(), sound.by_new.clone()),
            (None, sound.by_new.clone()),
            (sound.by_old.clone(), None),
            (sound.by_old.clone(), forged.by_new.clone()),
        ] {
            let touched = Succession { by_old: old, by_new: new, ..sound.clone() };
            assert_eq!(keys_before(&card(&thief, vec![touched])), [] as [[u8; 32]; 0]);
        }
        assert_eq!(keys_before(&card(&thief, vec![sound])), [public(&first)]);
        // A ring of keys ends.
        let ring = vec![succession("64", &first, &second, 1), succession("64", &second, &first, 2)];
        assert!(keys_before(&card(&first, ring)).len() <= 2);
    }
}
