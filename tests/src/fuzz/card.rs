//! Cards as files and callers bring them: one that was touched anywhere is refused; one that is signed anew is whole and bounded; the end
//! of a certificate is read from any bytes, or not.

use prost::Message as _;
use qianshou_kernel::identity::{CARD_CONTEXT, NodeKeys, card, check_card, valid_until_ms};
use qianshou_proto::exchange::v1::Card;

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must,
    script::{Script, put_part},
};

/// Characters that a card's texts may have at most, whatever else.
const TEXT_MAX_CHARS: usize = 300;

/// An input is a card, what is written into it before it is signed anew, and a certificate.
struct Cards {
    keys: NodeKeys,
    sound: Card,
    bytes: Vec<u8>,
    ends_ms: Option<i64>,
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let folder = tempfile::tempdir().expect("a folder for keys");
    let keys = NodeKeys::create(&folder.path().join("keys"), "64", &[]).expect("keys are made");
    let sound = card(&keys, "宁夏回族自治区民政厅", "https://nx.example:7443");
    let ends_ms = valid_until_ms(sound.certificate());
    Box::new(Cards { bytes: sound.encode_to_vec(), sound, keys, ends_ms, mutation })
}

impl Target for Cards {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let mut input = vec![];
        let mut bytes = self.bytes.clone();
        if chance.percent(95) {
            chance.mutate(&mut bytes, &[]);
        }
        put_part(&mut input, &bytes);
        let addresses = [
            "https://",
            "https://a:b@nx.example",
            "https://[::1",
            "https://169.254.1.1",
            "http://x",
            "https://x:99999",
            "https://x/\u{1}",
        ];
        let written = chance.below(5) as u8;
        input.push(written);
        let text = if written == 2 { (*chance.one(&addresses)).to_owned() } else { matter::text(chance) };
        put_part(&mut input, text.as_bytes());
        let mut certificate = self.sound.certificate().to_vec();
        if chance.percent(95) {
            chance.mutate(&mut certificate, &[]);
        }
        put_part(&mut input, &certificate);
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        if let Ok(card) = Card::decode(script.part()) {
            self.touched(&card)?;
        }
        let (what, text) = (script.below(5), script.text());
        let certificate = script.part();
        self.signed_anew(what, text, certificate)?;
        self.ends(certificate)
    }
}

impl Cards {
    fn touched(&self, card: &Card) -> Lawful {
        let mut refused = check_card(card).is_err();
        if self.mutation == Some(Mutation::TrustCard) && card.signature.is_some() {
            refused = false;
        }
        // A succession proves itself, and is not covered by the card's signature.
        let as_signed = Card { successions: vec![], ..card.clone() };
        must(refused || as_signed == self.sound, "a-touched-card-is-refused", || format!("{card:?}"))
    }

    fn signed_anew(&self, what: usize, text: String, certificate: &[u8]) -> Lawful {
        let mut card = Card { signature: None, ..self.sound.clone() };
        match what {
            0 => card.node = Some(text),
            1 => card.display_name = Some(text),
            2 => card.address = Some(text),
            3 => card.certificate = Some(certificate.to_vec().into()),
            _ => card.key_id = Some(text),
        }
        card.signature = Some(self.keys.sign(CARD_CONTEXT, &card.encode_to_vec()));
        if check_card(&card).is_err() {
            return Ok(());
        }
        let seen = || format!("{card:?}");
        let texts = [card.node(), card.display_name(), card.address(), card.key_id()];
        let fit = |text: &&str| text.chars().count() <= TEXT_MAX_CHARS && !text.chars().any(char::is_control);
        must(texts.iter().all(fit), "texts-of-a-card-are-bounded-lines", seen)?;
        must(card.address().is_empty() || card.address().starts_with("https://"), "an-address-is-https", seen)?;
        let beyond = card.address().contains('@') || card.address().starts_with("https://169.254.");
        must(!beyond, "an-address-has-no-password-and-is-not-link-local", seen)?;
        must(
            card.key_id == self.sound.key_id && card.node == self.sound.node,
            "a-card-names-its-own-key-and-node",
            seen,
        )?;
        must(valid_until_ms(card.certificate()).is_some(), "the-end-of-a-taken-certificate-is-known", seen)
    }

    fn ends(&self, certificate: &[u8]) -> Lawful {
        let ends = valid_until_ms(certificate);
        // From the year 0 to the year 9999.
        let possible = ends.is_none_or(|ms| (-62_167_219_200_000..253_402_300_800_000).contains(&ms) && ms % 1000 == 0);
        must(possible, "an-end-is-an-instant", || format!("{ends:?}"))?;
        let whole = certificate == self.sound.certificate();
        must(!whole || (ends == self.ends_ms && ends.is_some()), "the-same-certificate-ends-when-it-did", || {
            format!("{ends:?}")
        })
    }
}
