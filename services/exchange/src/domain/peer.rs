//! What a card is to a node that is known already: the same keys, keys that the known one vouches for, or others.

use qianshou_kernel::{
    clock::{day_of, format_day},
    error::{Error, Reason},
    identity::{check_card, check_days, fingerprint, keys_before, public_key, valid_until_ms},
};
use qianshou_proto::exchange::v1::Card;

/// How a card's keys stand to those that are known of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node was never known, or it is known by these keys.
    None,
    /// The known signing key has signed this one.
    Succession,
    /// The signing key is the known one, which has signed the card; the certificate has another key.
    Certificate,
    /// The signing key is another, and the known one does not say so.
    Replacement,
}

impl Change {
    /// What a card changes. `former` are the cards by which the node was known before, the last first; a peer that was removed is known by
    /// the last of them still, and no succession leads back to a key that was left.
    #[must_use]
    pub fn of(known: Option<&Card>, former: &[Card], card: &Card) -> Self {
        let Some(known) = known.or(former.first()) else { return Self::None };
        if known.signing_key == card.signing_key {
            return if same_certificate_key(known, card) { Self::None } else { Self::Certificate };
        }
        let was_left = former.iter().any(|before| before.signing_key == card.signing_key);
        let named = keys_before(card).iter().any(|key| known.signing_key.as_deref() == Some(&key[..]));
        if named && !was_left { Self::Succession } else { Self::Replacement }
    }

    /// Whether a person has to name the new fingerprint.
    #[must_use]
    pub fn is_replacement(self) -> bool {
        matches!(self, Self::Certificate | Self::Replacement)
    }

    /// The fingerprint that tells these cards apart.
    #[must_use]
    pub fn fingerprint(self, card: &Card) -> String {
        let bytes = if self == Self::Certificate { &card.certificate } else { &card.signing_key };
        fingerprint(bytes.as_deref().unwrap_or_default())
    }

    /// Whether a person has named the new fingerprint.
    #[must_use]
    pub fn is_named(self, card: &Card, replace: &str) -> bool {
        let digits = |text: &str| text.split_whitespace().collect::<String>().to_uppercase();
        !replace.trim().is_empty() && digits(replace) == digits(&self.fingerprint(card))
    }

    /// Why a card with other keys is not taken, and what to do.
    #[must_use]
    pub fn refusal(self, known: &Card, card: &Card) -> Error {
        let (node, old, new) = (card.node(), self.fingerprint(known), self.fingerprint(card));
        let (which_zh, which_en, then_zh, then_en) = match self {
            Self::Certificate => ("证书密钥", "certificate key", "协议继续有效", "agreements go on"),
            _ => (
                "签名密钥",
                "signing key",
                "双方须重新签署全部协议，此前不收发任何数据",
                "both sides sign every agreement again, and nothing is sent or taken before",
            ),
        };
        Error::told(
            "card",
            Reason::Duplicate,
            format!(
                "card：节点 {node} 已以另一{which_zh}登记。原指纹 {old}，新指纹 {new}。请先通过电话等其他途径与对方核对；确属更换，请执行 qianshou peer add CARD \
                 --replace \"{new}\"（{then_zh}）"
            ),
            format!(
                "card: node {node} is known by another {which_en}. Known fingerprint {old}; new fingerprint {new}. Compare with the other \
                 side by another way first; if it was replaced: qianshou peer add CARD --replace \"{new}\" ({then_en})"
            ),
        )
    }
}

/// Whether two cards have certificates of one key.
#[must_use]
pub fn same_certificate_key(one: &Card, two: &Card) -> bool {
    let key = |card: &Card| public_key(card.certificate.as_deref().unwrap_or_default()).map(<[u8]>::to_vec);
    one.certificate == two.certificate || key(one).is_some_and(|found| Some(found) == key(two))
}

/// Whether a peer shows a later certificate for the keys and at the address that are known.
#[must_use]
pub fn is_renewed(known: &Card, shown: &Card, now_ms: i64) -> bool {
    let keys = |card: &Card| (card.node.clone(), card.signing_key.clone(), card.address.clone());
    let ends = |card: &Card| valid_until_ms(card.certificate.as_deref().unwrap_or_default());
    keys(known) == keys(shown)
        && same_certificate_key(known, shown)
        && ends(known) < ends(shown)
        && check_card(shown).is_ok()
        && check_days(shown, now_ms).is_ok()
}

/// Why a stream of an agreement with a replaced key stands still, Chinese and English.
#[must_use]
pub fn waits(node: &str, since_ms: i64) -> (String, String) {
    let day = format_day(day_of(since_ms));
    (
        format!("节点 {node} 的密钥已于 {day} 更换：双方重新签署协议（qianshou agreement sign）之前不收发数据"),
        format!(
            "the key that node {node} signed with was replaced on {day}: nothing is sent or taken before both sides sign the agreement again \
             (qianshou agreement sign)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::{
        clock::Clock,
        identity::{NodeKeys, card},
    };

    use super::*;

    #[test]
    fn what_another_card_of_a_known_node_is() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(1_717_214_400_000);
        let (directory, elsewhere) = (folder.path().join("64"), folder.path().join("other"));
        let shown = || card(&NodeKeys::open(&directory).unwrap(), "宁夏", "https://nx.example");
        NodeKeys::create_on(&directory, "64", &[], &clock).unwrap();
        let first = shown();
        assert_eq!(Change::of(None, &[], &first), Change::None);
        assert_eq!(Change::of(Some(&first), &[], &first), Change::None);
        clock.advance(86_400_000);
        NodeKeys::renew(&directory, &[], &clock).unwrap();
        let renewed = shown();
        assert_ne!(renewed.certificate, first.certificate);
        assert_eq!(Change::of(Some(&first), &[], &renewed), Change::None);
        assert!(is_renewed(&first, &renewed, clock.now_ms()) && !is_renewed(&renewed, &first, clock.now_ms()));

        NodeKeys::replace(&directory, true, &clock).unwrap();
        let second = shown();
        assert_eq!(Change::of(Some(&first), &[], &second), Change::Succession);
        assert_eq!(
            Change::of(None, std::slice::from_ref(&first), &second),
            Change::Succession,
            "a removed peer is known still"
        );
        assert_eq!(
            Change::of(Some(&first), std::slice::from_ref(&second), &second),
            Change::Replacement,
            "it was left once"
        );
        assert_eq!(
            Change::of(Some(&second), std::slice::from_ref(&first), &first),
            Change::Replacement,
            "nobody goes back"
        );
        assert!(!is_renewed(&first, &second, clock.now_ms()));
        let stripped = Card { successions: vec![], ..second.clone() };
        assert_eq!(Change::of(Some(&first), &[], &stripped), Change::Replacement);

        let other = card(&NodeKeys::create_on(&elsewhere, "64", &[], &clock).unwrap(), "宁夏", "https://nx.example");
        let forged = Card { successions: second.successions.clone(), ..other.clone() };
        for swapped in [&other, &forged] {
            let change = Change::of(Some(&first), &[], swapped);
            assert_eq!(change, Change::Replacement);
            let (old, new) = (change.fingerprint(&first), change.fingerprint(swapped));
            let told = change.refusal(&first, swapped).to_string();
            assert!(told.contains(&old) && told.contains(&new) && told.contains("--replace"), "{told}");
            assert!(change.is_named(swapped, &new.to_lowercase().replace(' ', "")));
            assert!(!change.is_named(swapped, &old) && !change.is_named(swapped, ""));
        }
    }
}
