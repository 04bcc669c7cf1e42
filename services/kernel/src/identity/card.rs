//! A card introduces a node to another: its code, its keys, its certificate, its address, signed by itself. It proves that
//! whoever made it holds the key; that the key is the authority's, two people settle by reading its fingerprint aloud.

use prost::Message as _;
use qianshou_proto::exchange::v1::Card;
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};

use super::{NodeKeys, key_id, peer_name, valid_until_ms, verify};
use crate::{
    error::{Reason, Refusal, Result},
    id::is_node,
};

/// What a card's signature is made for.
pub const CARD_CONTEXT: &str = "qianshou.card.v1";

const NAME_MAX_CHARS: usize = 200;
const ADDRESS_MAX_CHARS: usize = 300;
const CERTIFICATE_MAX_BYTES: usize = 16 * 1024;

/// This node's card. The address may be empty: a node beyond an air gap has none.
#[must_use]
pub fn card(keys: &NodeKeys, display_name: &str, address: &str) -> Card {
    let unsigned = Card {
        node: Some(keys.node.clone()),
        display_name: Some(display_name.to_owned()),
        address: Some(address.to_owned()),
        certificate: Some(keys.peer.leaf().to_vec().into()),
        signing_key: Some(keys.signing.verifying_key().to_bytes().to_vec().into()),
        key_id: Some(keys.key_id.clone()),
        signature: None,
    };
    let signature = keys.sign(CARD_CONTEXT, &unsigned.encode_to_vec());
    Card { signature: Some(signature), ..unsigned }
}

/// Whether a card is whole, of a sound size and signed by its own key.
///
/// # Errors
/// A refusal that says what does not hold.
pub fn check_card(card: &Card) -> Result<(), Refusal> {
    let ensure = |holds: bool, what: &str| {
        if holds { Ok(()) } else { Err(Refusal::one("card", Reason::CardInvalid, what)) }
    };
    let node = card.node.as_deref().unwrap_or_default();
    ensure(is_node(node), "node")?;
    ensure(text(card.display_name.as_deref(), NAME_MAX_CHARS), "display_name")?;
    ensure(text(card.address.as_deref(), ADDRESS_MAX_CHARS) && is_address(card.address.as_deref()), "address")?;
    ensure(is_certificate_of(node, card.certificate.as_deref().unwrap_or_default()), "certificate")?;
    let key: Option<[u8; 32]> = card.signing_key.as_deref().and_then(|key| key.try_into().ok());
    ensure(key.is_some_and(|key| card.key_id.as_deref() == Some(&key_id(&key))), "signing_key")?;
    let signed = Card { signature: None, ..card.clone() }.encode_to_vec();
    let holds =
        key.zip(card.signature.as_ref()).is_some_and(|(key, signature)| verify(&key, CARD_CONTEXT, &signed, signature));
    ensure(holds, "signature")
}

fn text(text: Option<&str>, max_chars: usize) -> bool {
    let text = text.unwrap_or_default();
    text.chars().count() <= max_chars && !text.chars().any(char::is_control)
}

fn is_address(address: Option<&str>) -> bool {
    let address = address.unwrap_or_default();
    address.is_empty()
        || address.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some())
}

fn is_certificate_of(node: &str, der: &[u8]) -> bool {
    let der = CertificateDer::from(der);
    let parsed = ParsedCertificate::try_from(&der);
    let name = ServerName::try_from(peer_name(node));
    // One whose end cannot be read would be refused at the first handshake, and nobody could warn of it.
    der.len() <= CERTIFICATE_MAX_BYTES
        && valid_until_ms(&der).is_some()
        && parsed.is_ok_and(|parsed| name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Touch = fn(&mut Card, other: &Card);

    #[test]
    fn a_card_that_was_touched_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = NodeKeys::create(&folder.path().join("64"), "64", &[]).unwrap();
        let other = NodeKeys::create(&folder.path().join("35"), "35", &[]).unwrap();
        let sound = card(&keys, "宁夏回族自治区民政厅", "https://127.0.0.1:7443");
        check_card(&sound).unwrap();
        check_card(&card(&keys, "", "")).unwrap();
        check_card(&Card::decode(&sound.encode_to_vec()[..]).unwrap()).unwrap();

        let touched: [(&str, Touch); 10] = [
            ("node", |card, _| card.node = Some("6x".into())),
            ("certificate", |card, _| card.node = Some("65".into())),
            ("certificate", |card, other| card.certificate.clone_from(&other.certificate)),
            ("certificate", |card, _| card.certificate = Some(vec![0; 1 << 20].into())),
            ("address", |card, _| card.address = Some("http://elsewhere".into())),
            ("signature", |card, _| card.address = Some("https://elsewhere".into())),
            ("signing_key", |card, other| card.signing_key.clone_from(&other.signing_key)),
            ("signature", |card, other| {
                card.signing_key.clone_from(&other.signing_key);
                card.key_id.clone_from(&other.key_id);
            }),
            ("signature", |card, other| card.signature.clone_from(&other.signature)),
            ("signature", |card, _| card.signature = None),
        ];
        for (what, touch) in touched {
            let mut card = sound.clone();
            touch(&mut card, &super::card(&other, "", ""));
            let refusal = check_card(&card).unwrap_err();
            assert_eq!(refusal.reason(), Reason::CardInvalid);
            assert!(refusal.0[0].en.ends_with(what), "{what}: {refusal}");
        }
        let mut endless = Card { signature: None, ..sound.clone() };
        let mut certificate = endless.certificate().to_vec();
        let ends =
            certificate.windows(15).rposition(|time| time[0] == 0x17 && time[1] == 13 && time[14] == b'Z').unwrap();
        certificate[ends + 2] = b'x';
        endless.certificate = Some(certificate.into());
        endless.signature = Some(keys.sign(CARD_CONTEXT, &endless.encode_to_vec()));
        assert!(check_card(&endless).is_err(), "its end cannot be read");
        assert!(check_card(&card(&keys, &"长".repeat(201), "")).is_err());
        assert!(check_card(&card(&keys, "two\nlines", "")).is_err());
    }
}
