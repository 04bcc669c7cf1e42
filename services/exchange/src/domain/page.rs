//! The envelope: a page is a signed header over the hash tree of its entries; a receipt is signed over what became of it.
//! What is signed travels as the bytes that were signed, and nobody encodes it again to check.

use prost::Message as _;
use qianshou_kernel::{
    clock::format_day,
    identity::{NodeKeys, key_id, verify},
    telemetry::Trace,
};
use qianshou_proto::exchange::v1::{
    Card, Control, Page, PageEntry, PageHeader, Receipt, ReceiptBody, RefusalReason, Signature, Statement,
    StatementBody, Verdict, control, page_entry,
};
use sha2::{Digest as _, Sha256};
use time::Date;

use super::tree::{self, Content, Hash, Leaf};

/// What the signature of a page's header is made for.
pub const PAGE_CONTEXT: &str = "qianshou.page.v1";
/// What the signature of a receipt is made for.
pub const RECEIPT_CONTEXT: &str = "qianshou.receipt.v1";
/// What the signature of a statement is made for.
pub const STATEMENT_CONTEXT: &str = "qianshou.statement.v1";

/// Stands for the page before the first one of an epoch.
pub const NO_PAGE: Hash = [0; 32];

/// Who can sign for a node.
pub trait Signer: Send + Sync {
    /// Signs bytes for one purpose.
    fn sign(&self, context: &str, bytes: &[u8]) -> Signature;
}

impl Signer for NodeKeys {
    fn sign(&self, context: &str, bytes: &[u8]) -> Signature {
        NodeKeys::sign(self, context, bytes)
    }
}

/// The signing key on a card, if the card is whole.
#[must_use]
pub fn key_of(card: &Card) -> Option<[u8; 32]> {
    let key: [u8; 32] = card.signing_key.as_deref()?.try_into().ok()?;
    (card.key_id() == key_id(&key)).then_some(key)
}

/// SHA-256.
#[must_use]
pub fn digest(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Where in a stream a page stands, and under which terms.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The stream, which is the agreement's id.
    pub stream: &'a str,
    /// The stream's epoch.
    pub epoch: u64,
    /// The page's number in it.
    pub number: u64,
    /// Digest of the page before; [`NO_PAGE`] on the first of an epoch.
    pub previous: Hash,
    /// Digest of the terms.
    pub agreement: Hash,
}

/// A page that was made here, with what its header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Its epoch.
    pub epoch: u64,
    /// Its number.
    pub number: u64,
    /// SHA-256 of its header.
    pub digest: Hash,
    /// How many entries it has.
    pub count: u32,
    /// The page.
    pub page: Page,
}

/// Makes and signs a page.
#[must_use]
pub fn make(
    place: &Place<'_>,
    entries: Vec<PageEntry>,
    event: Option<control::Control>,
    today: Date,
    signer: &dyn Signer,
) -> Made {
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let root = root_of(&entries).unwrap_or(NO_PAGE);
    let header = PageHeader {
        stream: Some(place.stream.to_owned()),
        epoch: Some(place.epoch),
        number: Some(place.number),
        previous_digest: Some(place.previous.to_vec().into()),
        agreement_digest: Some(place.agreement.to_vec().into()),
        entries_root: Some(root.to_vec().into()),
        count: Some(count),
        produced_on: Some(format_day(today)),
        control: event.map(|event| Control { control: Some(event) }),
    };
    let header = header.encode_to_vec();
    let signature = signer.sign(PAGE_CONTEXT, &header);
    let digest = digest(&header);
    let page = Page { header: Some(header.into()), signature: Some(signature), entries, traces: vec![] };
    Made { epoch: place.epoch, number: place.number, digest, count, page }
}

/// In whose traces entries were saved, as a page says it; nothing where nobody looks.
#[must_use]
pub fn hints(traces: &[Option<Trace>]) -> Vec<String> {
    if traces.iter().all(Option::is_none) {
        return vec![];
    }
    traces.iter().map(|trace| trace.map(|trace| trace.to_string()).unwrap_or_default()).collect()
}

/// Takes the hints out of a page; what is none, or not one for each entry, is as good as not said.
#[must_use]
pub fn take_hints(page: &mut Page) -> Vec<Option<Trace>> {
    let texts = std::mem::take(&mut page.traces);
    if texts.len() != page.entries.len() {
        return vec![];
    }
    texts.iter().map(|text| Trace::hint(text)).collect()
}

/// The root over the entries; `None`: one of them is not whole.
#[must_use]
pub fn root_of(entries: &[PageEntry]) -> Option<Hash> {
    let leaves = entries.iter().map(leaf_hash_of);
    Some(tree::root(&leaves.collect::<Option<Vec<_>>>()?))
}

/// The hash of an entry's leaf, also of one that was erased.
#[must_use]
pub fn leaf_hash_of(entry: &PageEntry) -> Option<Hash> {
    if is_erased(entry) {
        return entry.leaf.as_deref()?.try_into().ok();
    }
    leaf_of(entry).map(|leaf| tree::leaf_hash(&leaf))
}

/// Whether nothing but its leaf is left of an entry.
#[must_use]
pub fn is_erased(entry: &PageEntry) -> bool {
    entry.leaf.is_some() && PageEntry { leaf: None, ..entry.clone() } == PageEntry::default()
}

/// What is left of an entry whose content is erased; `None`: it is not whole.
#[must_use]
pub fn erased(entry: &PageEntry) -> Option<PageEntry> {
    Some(PageEntry { leaf: Some(leaf_hash_of(entry)?.to_vec().into()), ..PageEntry::default() })
}

/// An entry as its leaf in the hash tree; `None`: a part of it is missing.
#[must_use]
pub fn leaf_of(entry: &PageEntry) -> Option<Leaf<'_>> {
    let version = entry.version.as_ref()?;
    let content = match entry.content.as_ref()? {
        page_entry::Content::Put(payload) => Content::Put(payload),
        page_entry::Content::End(end) => {
            Content::End { reason: u32::try_from(end.reason?).ok()?, on: end.on.as_deref()? }
        }
    };
    Some(Leaf {
        salt: entry.salt.as_deref()?,
        name: entry.name.as_deref()?,
        kind: entry.kind.as_deref()?,
        home: entry.home.as_deref()?,
        epoch: version.epoch?,
        revision: version.revision?,
        content,
    })
}

/// A header that has every part it must have, as values.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The stream.
    pub stream: String,
    /// Its epoch.
    pub epoch: u64,
    /// The page's number.
    pub number: u64,
    /// Digest of the page before.
    pub previous: Hash,
    /// Digest of the terms.
    pub agreement: Hash,
    /// Root over the entries.
    pub root: Hash,
    /// How many entries.
    pub count: u32,
    /// What else happens.
    pub event: Option<control::Control>,
    /// Digest of the header itself.
    pub digest: Hash,
}

impl Head {
    /// Reads a page's header; `None`: it is not one, or says something that is not known here.
    #[must_use]
    pub fn read(page: &Page) -> Option<Self> {
        let bytes = page.header.as_deref()?;
        let header = PageHeader::decode(bytes).ok()?;
        let hash = |bytes: Option<bytes::Bytes>| -> Option<Hash> { bytes?.as_ref().try_into().ok() };
        let event = match header.control {
            Some(control) => Some(control.control?),
            None => None,
        };
        let fits = |number: u64| (1..=i64::MAX as u64).contains(&number).then_some(number);
        Some(Self {
            stream: header.stream?,
            epoch: fits(header.epoch?)?,
            number: fits(header.number?)?,
            previous: hash(header.previous_digest)?,
            agreement: hash(header.agreement_digest)?,
            root: hash(header.entries_root)?,
            count: header.count?,
            event,
            digest: digest(bytes),
        })
    }
}

/// Signs a receipt.
#[must_use]
pub fn receipt(body: &ReceiptBody, signer: &dyn Signer) -> Receipt {
    let body = body.encode_to_vec();
    let signature = signer.sign(RECEIPT_CONTEXT, &body);
    Receipt { body: Some(body.into()), signature: Some(signature) }
}

/// What a receipt says, if it was signed by the holder of this key.
#[must_use]
pub fn read_receipt(receipt: &Receipt, key: &[u8; 32]) -> Option<ReceiptBody> {
    let body = receipt.body.as_deref()?;
    let signed = verify(key, RECEIPT_CONTEXT, body, receipt.signature.as_ref()?);
    signed.then(|| ReceiptBody::decode(body).ok()).flatten()
}

/// Signs a statement over terms.
#[must_use]
pub fn statement(node: &str, terms_digest: &Hash, verdict: Verdict, now_ms: i64, signer: &dyn Signer) -> Statement {
    let body = StatementBody {
        node: Some(node.to_owned()),
        terms_digest: Some(terms_digest.to_vec().into()),
        verdict: Some(verdict.into()),
        signed_at_ms: Some(now_ms),
    };
    let body = body.encode_to_vec();
    let signature = signer.sign(STATEMENT_CONTEXT, &body);
    Statement { body: Some(body.into()), signature: Some(signature) }
}

/// What a statement says, without asking who signed it.
#[must_use]
pub fn read_statement(statement: &Statement) -> Option<StatementBody> {
    StatementBody::decode(statement.body.as_deref()?).ok()
}

/// Whether the holder of this key signed the statement.
#[must_use]
pub fn statement_holds(statement: &Statement, key: &[u8; 32]) -> bool {
    match (&statement.body, &statement.signature) {
        (Some(body), Some(signature)) => verify(key, STATEMENT_CONTEXT, body, signature),
        _ => false,
    }
}

/// Why a page was refused and what to do, in Chinese and English.
#[must_use]
pub fn refusal_texts(reason: RefusalReason) -> (&'static str, &'static str) {
    match reason {
        RefusalReason::Unspecified => ("未说明原因；请联系对方", "no reason was given; ask the other side"),
        RefusalReason::Unreadable => {
            ("数据页无法读取；请确认双方程序版本一致", "the page cannot be read; compare both sides' program versions")
        }
        RefusalReason::Stream => {
            ("数据页属于另一条数据流；请联系对方", "the page is of another stream; ask the other side")
        }
        RefusalReason::AgreementUnknown => (
            "数据页所依据的条款本方没有；条款送达后自动重试",
            "the page's terms are not known here; it is retried once they have arrived",
        ),
        RefusalReason::AgreementNotInForce => {
            ("协议未生效或已结束；请查看协议", "the agreement is not in force; look at the agreement")
        }
        RefusalReason::Key => (
            "签名密钥不是对方名片上的密钥；请与对方核对指纹",
            "it is signed by a key that is not on the peer's card; compare fingerprints",
        ),
        RefusalReason::Signature => {
            ("签名不成立；请与对方核对", "the signature does not hold; check with the other side")
        }
        RefusalReason::Epoch => (
            "数据页的纪元过旧或未正式开启；请联系对方",
            "the page's epoch is old or was not opened; ask the other side",
        ),
        RefusalReason::Number => {
            ("页号不连续；将从上一页之后重新传送", "it is not the next page; the stream goes on after the last one")
        }
        RefusalReason::Chain => (
            "与上一页的摘要不衔接；对方须声明新的纪元",
            "it does not follow the page before; the provider has to declare a new epoch",
        ),
        RefusalReason::Count => {
            ("条目数与页头不符；请联系对方", "it has not as many entries as its header says; ask the other side")
        }
        RefusalReason::Root => {
            ("内容与页头的散列根不符；请联系对方", "its entries do not have the root of its header; ask the other side")
        }
        RefusalReason::TooLarge => (
            "数据页超过限制；请对方调小 page_max_entries 或 page_max_bytes",
            "the page exceeds the limit; the provider has to lower page_max_entries or page_max_bytes",
        ),
        RefusalReason::Repeated => (
            "同一页号已应用过不同的内容；对方须声明新的纪元",
            "a page of this number was applied with another digest; the provider has to declare a new epoch",
        ),
        RefusalReason::Ended => (
            "数据流已经结束，其后不再接收；如需继续，请双方另签协议",
            "the stream has ended and nothing follows its end; sign another agreement to go on",
        ),
    }
}

#[cfg(test)]
mod tests {
    use qianshou_proto::common::v1::Version;

    use super::*;

    fn entry(name: &str) -> PageEntry {
        PageEntry {
            salt: Some(vec![7; 16].into()),
            name: Some(format!("nodes/64/workers/{name}")),
            kind: Some("workers".into()),
            home: Some("64".into()),
            version: Some(Version { epoch: Some(1), revision: Some(1) }),
            content: Some(page_entry::Content::Put("content".into())),
            leaf: None,
        }
    }

    #[test]
    fn the_root_follows_from_what_is_left_of_an_entry() {
        let mut entries = vec![entry("a"), entry("b"), entry("c")];
        let root = root_of(&entries);
        entries[1] = erased(&entries[1]).unwrap();
        assert!(is_erased(&entries[1]) && !is_erased(&entries[0]));
        assert_eq!(root_of(&entries), root);
        assert_eq!(erased(&entries[1]).as_ref(), Some(&entries[1]), "again changes nothing");
        // Beside a content a leaf stands for nothing, and one of another length for no leaf.
        entries[0].leaf = Some(vec![1; 32].into());
        assert_eq!((root_of(&entries), is_erased(&entries[0])), (root, false));
        entries[1].leaf = Some(vec![1; 31].into());
        assert_eq!(root_of(&entries), None);
    }
}
