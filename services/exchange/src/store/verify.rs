//! Whether the pages and receipts that stand here are what was signed: a page's entries have its root, its digest is its header's,
//! it follows from the page before, and whoever signed it did. Reads only.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Db, Row},
    error::Result,
    identity::{key_id, verify},
    ledger::verify::{Fault, Part, Piece},
};
use qianshou_proto::exchange::v1::{Card, Page, Receipt, ReceiptBody, Signature};

use crate::domain::page::{self, Head, NO_PAGE, PAGE_CONTEXT, RECEIPT_CONTEXT, key_of};

const SENT: &str = "SELECT p.stream, p.epoch, p.number, p.digest, p.entries, p.page, p.receipt, b.digest, a.provider, a.consumer \
                    FROM exchange_pages p \
                    LEFT JOIN exchange_pages b ON b.stream = p.stream AND b.epoch = p.epoch AND b.number = p.number - 1 \
                    LEFT JOIN exchange_agreements a ON a.id = p.stream \
                    WHERE (p.stream, p.epoch, p.number) > ($1, $2, $3) ORDER BY p.stream, p.epoch, p.number LIMIT $4";
const RECEIVED: &str = "SELECT p.stream, p.epoch, p.number, p.digest, p.entries, p.page, p.receipt, b.digest, a.provider, a.consumer \
                        FROM exchange_received p \
                        LEFT JOIN exchange_received b ON b.stream = p.stream AND b.epoch = p.epoch AND b.number = p.number - 1 \
                        LEFT JOIN exchange_agreements a ON a.id = p.stream \
                        WHERE (p.stream, p.epoch, p.number) > ($1, $2, $3) ORDER BY p.stream, p.epoch, p.number LIMIT $4";
const SENT_COUNT: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM exchange_pages";
const RECEIVED_COUNT: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM exchange_received";
const SENT_ENDS: &str = "SELECT b.stream, b.epoch, b.next_number - 1, b.digest, p.digest FROM exchange_outbound b \
                         LEFT JOIN exchange_pages p ON p.stream = b.stream AND p.epoch = b.epoch AND p.number = b.next_number - 1 \
                         WHERE b.next_number > 1 ORDER BY b.stream";
const RECEIVED_ENDS: &str = "SELECT b.stream, b.epoch, b.number, b.digest, p.digest FROM exchange_inbound b \
                             LEFT JOIN exchange_received p ON p.stream = b.stream AND p.epoch = b.epoch AND p.number = b.number \
                             WHERE b.number > 0 ORDER BY b.stream";

/// Which pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those this node made.
    Sent,
    /// Those it received.
    Received,
}

/// The pages of one way, with their receipts.
pub struct Pages {
    /// Where they stand.
    pub db: Db,
    /// This node's code.
    pub node: String,
    /// This node's signing key.
    pub key: [u8; 32],
    /// Which.
    pub way: Way,
}

impl Part for Pages {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Sent => "pages",
            Way::Received => "received",
        }
    }

    fn total(&self) -> BoxFuture<'_, Result<u64>> {
        let sql = if self.way == Way::Sent { SENT_COUNT } else { RECEIVED_COUNT };
        Box::pin(async move { self.db.fetch_one(sql, vec![]).await?.map_or(Ok(0), |row| row.count(0)) })
    }

    fn look<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, Result<Piece>> {
        Box::pin(async move {
            let place: (String, u64, u64) = serde_json::from_str(after).unwrap_or_default();
            // A page is as large as hundreds of entries.
            self.pages(place, limit.div_ceil(50)).await
        })
    }

    fn sample(&self, count: u32) -> BoxFuture<'_, Result<Piece>> {
        Box::pin(async move {
            let few = count.div_ceil(50);
            let mut looked = 0;
            for row in self.ends().await? {
                let (stream, epoch, last) = (row.text(0)?, row.count(1)?, row.count(2)?);
                let piece = self.pages((stream, epoch, last.saturating_sub(u64::from(few))), few).await?;
                looked += piece.count;
                if piece.fault.is_some() {
                    return Ok(Piece { next: None, count: looked, fault: piece.fault });
                }
            }
            Ok(Piece { next: None, count: looked, fault: self.last().await? })
        })
    }
}

impl Pages {
    async fn pages(&self, after: (String, u64, u64), limit: u32) -> Result<Piece> {
        let sql = if self.way == Way::Sent { SENT } else { RECEIVED };
        let rows = self.db.fetch(sql, binds![&after.0, after.1, after.2, limit]).await?;
        let keys = self.keys().await?;
        let mut count = 0;
        for row in &rows {
            let at = format!("{}/{}/{}", row.text(0)?, row.int(1)?, row.int(2)?);
            if let Some(wrong) = self.page(row, &keys)? {
                return Ok(Piece { next: None, count, fault: Some(fault(&at, wrong)) });
            }
            count += 1;
        }
        let last = rows.last().filter(|_| rows.len() == limit as usize);
        let next = last.map(|row| Ok::<_, qianshou_kernel::error::Error>((row.text(0)?, row.count(1)?, row.count(2)?)));
        let next = next.transpose()?.map(|place| serde_json::json!(place).to_string());
        let fault = if next.is_none() { self.last().await? } else { None };
        Ok(Piece { next, count, fault })
    }

    /// The signing keys that are known: this node's and its peers'.
    async fn keys(&self) -> Result<BTreeMap<String, [u8; 32]>> {
        let rows = self.db.fetch("SELECT card FROM exchange_peers", vec![]).await?;
        let cards = rows.iter().map(|row| Ok(Card::decode(&row.bytes(0)?[..])?)).collect::<Result<Vec<_>>>()?;
        let mut keys: BTreeMap<String, [u8; 32]> = BTreeMap::new();
        keys.extend(cards.iter().filter_map(|card| Some((card.node().to_owned(), key_of(card)?))));
        keys.insert(self.node.clone(), self.key);
        Ok(keys)
    }

    /// What is wrong with a page or its receipt, if anything is.
    fn page(&self, row: &Row, keys: &BTreeMap<String, [u8; 32]>) -> Result<Option<Wrong>> {
        let (stream, epoch, number, digest) = (row.text(0)?, row.count(1)?, row.count(2)?, row.bytes(3)?);
        let Ok(page) = Page::decode(&row.bytes(5)?[..]) else { return Ok(Some(UNREADABLE)) };
        let Some(head) = Head::read(&page) else { return Ok(Some(UNREADABLE)) };
        if (head.stream.as_str(), head.epoch, head.number) != (&*stream, epoch, number) || head.digest[..] != digest[..]
        {
            return Ok(Some(HEADER));
        }
        let count = page.entries.len();
        if head.count as usize != count || row.count(4)? != count as u64 {
            return Ok(Some(ENTRIES));
        }
        if page::root_of(&page.entries) != Some(head.root) {
            return Ok(Some(ENTRIES));
        }
        match row.maybe_bytes(7)? {
            None if number == 1 && head.previous == NO_PAGE => {}
            Some(before) if number > 1 && head.previous[..] == before[..] => {}
            _ => return Ok(Some(CHAIN)),
        }
        let key =
            |column: usize| Ok::<_, qianshou_kernel::error::Error>(row.maybe_text(column)?.and_then(|n| keys.get(&n)));
        let (provider, consumer) = (key(8)?, key(9)?);
        let header = page.header.as_deref().unwrap_or_default();
        if !holds(provider, PAGE_CONTEXT, header, page.signature.as_ref()) {
            return Ok(Some(SIGNATURE));
        }
        let Some(receipt) = row.maybe_bytes(6)? else { return Ok(None) };
        let Ok(receipt) = Receipt::decode(&receipt[..]) else { return Ok(Some(RECEIPT)) };
        let bytes = receipt.body.as_deref().unwrap_or_default();
        let body = ReceiptBody::decode(bytes).unwrap_or_default();
        let of_it = body.stream() == stream
            && (body.epoch(), body.number()) == (epoch, number)
            && body.page_digest.as_deref() == Some(&digest[..]);
        let held = of_it && holds(consumer, RECEIPT_CONTEXT, bytes, receipt.signature.as_ref());
        Ok((!held).then_some(RECEIPT))
    }

    async fn ends(&self) -> Result<Vec<Row>> {
        let sql = if self.way == Way::Sent { SENT_ENDS } else { RECEIVED_ENDS };
        self.db.fetch(sql, vec![]).await
    }

    /// Whether each stream's last page is there, and is the one that the stream says.
    async fn last(&self) -> Result<Option<Fault>> {
        for row in self.ends().await? {
            if row.maybe_bytes(4)?.as_ref() != Some(&row.bytes(3)?) {
                return Ok(Some(fault(&format!("{}/{}/{}", row.text(0)?, row.int(1)?, row.int(2)?), STREAM)));
            }
        }
        Ok(None)
    }
}

fn fault(at: &str, (what, zh, en): Wrong) -> Fault {
    Fault { at: format!("{what} {at}"), zh: zh.to_owned(), en: en.to_owned() }
}

/// Whether a signature holds, as far as its key is known: one by a key that was replaced since, or of a peer that was removed, cannot
/// be weighed here.
fn holds(key: Option<&[u8; 32]>, context: &str, bytes: &[u8], signature: Option<&Signature>) -> bool {
    let Some(signature) = signature else { return false };
    key.is_none_or(|key| signature.key_id() != key_id(key) || verify(key, context, bytes, signature))
}

type Wrong = (&'static str, &'static str, &'static str);

const UNREADABLE: Wrong = ("page", "数据页无法读取", "the page cannot be read");
const HEADER: Wrong = ("page", "页头与其摘要或位置不符", "its header is not what its digest or place says");
const ENTRIES: Wrong = ("page", "条目与签名的散列根不符", "its entries do not have the root that was signed");
const CHAIN: Wrong = ("page", "与上一页不衔接", "it does not follow from the page before");
const SIGNATURE: Wrong = ("page", "签名不成立", "its signature does not hold");
const RECEIPT: Wrong =
    ("receipt", "回执与数据页或签名不符", "the receipt is not of this page, or its signature does not hold");
const STREAM: Wrong = (
    "page",
    "数据流的末页缺失或摘要不符",
    "the last page of its stream is missing, or is another than the stream says",
);
