//! A card introduces a node to another: its code, its keys, its certificate, its address, signed by itself. It proves that
//! whoever made it holds the key; that the key is the authority's, two people settle by reading its fingerprint aloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prost::Message as _;
use qianshou_proto::exchange::v1::Card;
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};

use super::{NodeKeys, key_id, peer_name, succession::SUCCESSIONS_MAX, valid_until_ms, validity_ms, verify};
use crate::{
    clock::{day_of, format_day},
    error::{Reason, Refusal, Result, Violation, is_hidden},
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
        successions: vec![],
    };
    let signature = keys.sign(CARD_CONTEXT, &unsigned.encode_to_vec());
    Card { signature: Some(signature), successions: keys.successions.clone(), ..unsigned }
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
    ensure(text(card.address.as_deref(), ADDRESS_MAX_CHARS), "address")?;
    check_address(card.address.as_deref().unwrap_or_default())?;
    ensure(card.successions.len() <= SUCCESSIONS_MAX, "successions")?;
    ensure(is_certificate_of(node, card.certificate.as_deref().unwrap_or_default()), "certificate")?;
    let key: Option<[u8; 32]> = card.signing_key.as_deref().and_then(|key| key.try_into().ok());
    ensure(key.is_some_and(|key| card.key_id.as_deref() == Some(&key_id(&key))), "signing_key")?;
    let signed = Card { signature: None, successions: vec![], ..card.clone() }.encode_to_vec();
    let holds =
        key.zip(card.signature.as_ref()).is_some_and(|(key, signature)| verify(&key, CARD_CONTEXT, &signed, signature));
    ensure(holds, "signature")
}

fn text(text: Option<&str>, max_chars: usize) -> bool {
    let text = text.unwrap_or_default();
    text.chars().count() <= max_chars && !text.chars().any(is_hidden)
}

/// Whether a card's certificate holds at this instant.
///
/// # Errors
/// A refusal that says since when or until when it does not.
pub fn check_days(card: &Card, now_ms: i64) -> Result<(), Refusal> {
    let day = |ms| format_day(day_of(ms));
    let (zh, en) = match validity_ms(card.certificate.as_deref().unwrap_or_default()) {
        Some((from, _)) if now_ms < from => (
            format!("证书自 {} 起方有效；请核对两个节点的时钟", day(from)),
            format!("its certificate begins on {}; check both nodes' clocks", day(from)),
        ),
        Some((_, until)) if until < now_ms => (
            format!("证书已于 {} 失效；请对方执行 qianshou key renew 后重新提供名片", day(until)),
            format!(
                "its certificate ended on {}; its node runs `qianshou key renew` and hands over a new card",
                day(until)
            ),
        ),
        Some(_) => return Ok(()),
        None => ("证书无法读取".to_owned(), "its certificate cannot be read".to_owned()),
    };
    Err(refused(&format!("名片不成立：{zh}"), &format!("the card does not hold: {en}")))
}

fn refused(zh: &str, en: &str) -> Refusal {
    let (zh, en) = (format!("card：{zh}"), format!("card: {en}"));
    Refusal(vec![Violation { field: "card".to_owned(), reason: Reason::CardInvalid, zh, en }])
}

/// A peer is called at `https://host:port` and nowhere else. The address is not repeated: it may hold a password.
fn check_address(address: &str) -> Result<(), Refusal> {
    if address.is_empty() {
        return Ok(());
    }
    let uri = address.parse::<http::Uri>().ok().filter(|uri| uri.scheme_str() == Some("https"));
    let host = uri.as_ref().and_then(http::Uri::host).filter(|host| !host.is_empty());
    let (Some(uri), Some(host)) = (&uri, host) else {
        return Err(Refusal::one("card", Reason::CardInvalid, "address"));
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused(
            "地址中不得含用户名或口令（address：https://主机:端口）",
            "its address must not hold a user or a password (address: https://host:port)",
        ));
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err(Refusal::one("card", Reason::CardInvalid, "address"));
    }
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) if !may_call(ip) => Err(refused(
            "地址是链路本地、云元数据、组播或未指定地址，不得呼叫（address）",
            "its address is link-local, a cloud's metadata, multicast or unspecified, and is not called (address)",
        )),
        _ => Ok(()),
    }
}

/// Whether a peer may be called at this address. Link-local addresses and those of clouds' metadata answer what is nobody else's business;
/// loopback is called, for two nodes of one machine, and whoever answers there needs the pinned key.
#[must_use]
pub fn may_call(ip: IpAddr) -> bool {
    const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let nowhere = ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast();
            !nowhere && !ip.is_link_local() && ip != METADATA_V4
        }
        IpAddr::V6(ip) => {
            let link_local = ip.segments()[0] & 0xffc0 == 0xfe80;
            !ip.is_unspecified() && !ip.is_multicast() && !link_local && ip != METADATA_V6
        }
    }
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
    use crate::clock::Clock;

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
        for hidden in ["two\nlines", "反\u{202e}向", "\u{1b}[31m红", "零\u{2066}宽"] {
            assert!(check_card(&card(&keys, hidden, "")).is_err(), "{hidden:?}");
        }
        assert!(check_card(&card(&keys, &"长".repeat(201), "")).is_err());
    }

    #[test]
    fn a_card_says_an_address_that_may_be_called() {
        let folder = tempfile::tempdir().unwrap();
        let keys = NodeKeys::create(&folder.path().join("64"), "64", &[]).unwrap();
        for address in
            ["https://nx.example:7443", "https://127.0.0.1:7443", "https://[::1]:7443", "https://10.1.2.3", ""]
        {
            check_card(&card(&keys, "", address)).unwrap();
        }
        for address in [
            "https://user:geheim@nx.example",
            "https://geheim@nx.example:7443",
            "https://169.254.169.254",
            "https://[fe80::1]:7443",
            "https://[febf::1]",
            "https://[::ffff:169.254.169.254]:80",
            "https://100.100.100.200",
            "https://[fd00:ec2::254]",
            "https://0.0.0.0:7443",
            "https://[::]:7443",
            "https://224.0.0.1",
            "https://nx.example/path",
            "https://nx.example/?query",
            "https://:7443",
        ] {
            let refusal = check_card(&card(&keys, "", address)).unwrap_err();
            assert_eq!(refusal.reason(), Reason::CardInvalid, "{address}");
            assert!(refusal.0[0].en.contains("address") && !refusal.to_string().contains("geheim"), "{refusal}");
        }
    }

    #[test]
    fn a_certificate_holds_on_its_days() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(1_717_214_400_000);
        let keys = NodeKeys::create_on(&folder.path().join("64"), "64", &[], &clock).unwrap();
        let card = card(&keys, "", "");
        let days = |days: i64| check_days(&card, clock.now_ms() + days * 86_400_000);
        assert!(days(0).is_ok() && days(20 * 365 - 1).is_ok());
        assert!(days(-2).unwrap_err().to_string().contains("begins on 2024-05-31"), "{}", days(-2).unwrap_err());
        assert!(days(20 * 365 + 1).unwrap_err().to_string().contains("ended on 2044-05-27"));
    }
}
