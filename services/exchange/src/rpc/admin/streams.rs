//! What flows: every stream this node sends or receives, how far behind it is and why, and what was set aside.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use qianshou_kernel::error::{Error, Reason, Result};
use qianshou_proto::exchange::v1::{
    AgreementState, ListQuarantineRequest, ListQuarantineResponse, Stream, StreamDirection, StreamState,
};

use crate::{
    House,
    domain::{
        agreement::Held,
        consumer::Inbound,
        page::refusal_texts,
        peer::waits,
        provider::{Outbound, UNDECLARED},
    },
    store::QuarantineKey,
};

/// Records that are counted one by one as not yet paged; a stream that is further behind shows at least so many.
const COUNTED_MAX: u32 = 1_000;
/// Items on a page of the quarantine, by default and at most.
const ITEMS: u32 = 100;
const ITEMS_MAX: u32 = 1_000;

type Texts = (String, String);

/// Every stream of a signed agreement.
pub(super) async fn list(house: &Arc<House>) -> Result<Vec<Stream>> {
    let today = house.clock().today();
    let mut sent: HashMap<_, _> =
        house.store.outbound_list().await?.into_iter().map(|(row, at)| (row.stream.clone(), (row, at))).collect();
    let mut received: HashMap<_, _> =
        house.store.inbound_list().await?.into_iter().map(|row| (row.stream.stream.clone(), row)).collect();
    let mut streams = vec![];
    for held in house.store.agreement_list().await? {
        let (id, state) = (held.accord.id.clone(), held.state(today));
        let signed = held.waits_since_ms(today).is_some()
            || matches!(
                state,
                AgreementState::InForce | AgreementState::NotYet | AgreementState::Expired | AgreementState::Withdrawn
            );
        if held.accord.provider == house.node() {
            let row = sent.remove(&id);
            if signed || row.is_some() {
                streams.push(outbound(house, &held, state, row).await?);
            }
        } else {
            let row = received.remove(&id);
            if signed || row.is_some() {
                let (row, at, leased) =
                    row.map_or((None, None, 0), |row| (Some(row.stream), Some(row.moved_at_ms), row.leased_until_ms));
                streams.push(inbound(house, &held, state, row, at, leased));
            }
        }
    }
    Ok(streams)
}

async fn outbound(house: &House, held: &Held, agreed: AgreementState, row: Option<(Outbound, i64)>) -> Result<Stream> {
    let at = row.as_ref().map(|(_, at)| *at);
    let row = row.map_or_else(|| Outbound::new(&held.accord.id), |(row, _)| row);
    let over = matches!(agreed, AgreementState::Expired | AgreementState::Withdrawn);
    let behind = if over { 0 } else { house.store.outbound_waiting(&row).await? + unpaged(house, held, &row).await? };
    let serving = house.hub.serving(&row.stream);
    let waiting = waits_again(house, held);
    let (state, reason) = match row.state {
        _ if waiting.is_some() => (StreamState::Waiting, waiting),
        StreamState::Refused => (StreamState::Refused, row.refusal.map(refusal_texts).map(owned)),
        StreamState::Stopped => (StreamState::Stopped, Some(owned(STOPPED))),
        StreamState::Ended => (StreamState::Ended, None),
        _ if over => (StreamState::Ended, None),
        _ if !house.ground.ledger.head().await?.declared => (StreamState::Stopped, Some(owned(UNDECLARED))),
        _ if agreed != AgreementState::InForce => (StreamState::Waiting, Some(owned(NOT_IN_FORCE))),
        _ if serving || (row.epoch > 0 && behind == 0) => (StreamState::Running, None),
        _ => (StreamState::Waiting, Some(owned(NOT_CALLED))),
    };
    Ok(Stream {
        direction: Some(StreamDirection::Outbound.into()),
        peer: Some(held.accord.consumer.clone()),
        state: Some(state.into()),
        epoch: Some(row.epoch),
        pages: Some(row.pages),
        entries: Some(row.entries),
        applied: Some(row.applied),
        quarantined: Some(row.quarantined),
        skipped: Some(row.skipped),
        behind: Some(behind),
        last_at_ms: house.hub.heard(&held.accord.consumer).last_ms.max(at),
        ..named(&held.accord.id, reason)
    })
}

/// Why an agreement with a replaced key stands still.
fn waits_again(house: &House, held: &Held) -> Option<Texts> {
    let since = held.waits_since_ms(house.clock().today())?;
    held.accord.other(house.node()).map(|node| waits(node, since))
}

/// Own records after the stream's position that it may have to send.
async fn unpaged(house: &House, held: &Held, row: &Outbound) -> Result<u64> {
    let head = house.ground.ledger.head().await?;
    let position = if head.epoch > row.epoch { 0 } else { row.position };
    let kinds = held.accord.kinds();
    if kinds.is_empty() || position >= head.position {
        return Ok(0);
    }
    let records = house.ground.ledger.after(position, &kinds, COUNTED_MAX).await?;
    Ok(records.iter().filter(|record| record.name.home() == house.node()).count() as u64)
}

fn inbound(
    house: &House,
    held: &Held,
    agreed: AgreementState,
    row: Option<Inbound>,
    at: Option<i64>,
    leased: i64,
) -> Stream {
    let id = &held.accord.id;
    let row = row.unwrap_or_else(|| Inbound::new(id));
    let over = matches!(agreed, AgreementState::Expired | AgreementState::Withdrawn);
    let pulling = house.hub.pulling(id);
    // Another process of this node pulls it, and knows more than this one.
    let elsewhere = pulling.is_none() && leased > house.clock().now_ms() && row.cursor.epoch > 0;
    let pulling = pulling.unwrap_or_default();
    let waiting = waits_again(house, held);
    let current = over || elsewhere || (pulling.connected && pulling.up_to_date);
    let (state, reason) = match row.state {
        _ if waiting.is_some() => (StreamState::Waiting, waiting),
        StreamState::Ended => (StreamState::Ended, None),
        _ if over => (StreamState::Ended, None),
        StreamState::Refused => (StreamState::Refused, row.refusal.map(refusal_texts).map(owned)),
        _ if agreed != AgreementState::InForce => (StreamState::Waiting, Some(owned(NOT_IN_FORCE))),
        _ if pulling.stopped => (StreamState::Stopped, pulling.note.or_else(|| Some(owned(STOPPED)))),
        _ if elsewhere || pulling.connected => (StreamState::Running, None),
        _ => (StreamState::Waiting, pulling.note.or_else(|| Some(owned(CONNECTING)))),
    };
    Stream {
        direction: Some(StreamDirection::Inbound.into()),
        peer: Some(held.accord.provider.clone()),
        state: Some(state.into()),
        epoch: Some(row.cursor.epoch),
        pages: Some(row.pages),
        entries: Some(row.entries),
        applied: Some(row.applied),
        quarantined: Some(row.quarantined),
        skipped: Some(row.skipped),
        behind: Some(u64::from(!current)),
        last_at_ms: house.hub.heard(&held.accord.provider).last_ms.max(at),
        ..named(id, reason)
    }
}

fn named(id: &str, reason: Option<Texts>) -> Stream {
    let (reason_zh, reason_en) = reason.unzip();
    Stream { id: Some(id.to_owned()), agreement: Some(id.to_owned()), reason_zh, reason_en, ..Stream::default() }
}

fn owned((zh, en): (&str, &str)) -> Texts {
    (zh.to_owned(), en.to_owned())
}

const STOPPED: (&str, &str) = (
    "双方持有的数据页不一致；请在提供方声明新的纪元",
    "the two sides hold different pages; declare a new epoch at the provider",
);
const NOT_IN_FORCE: (&str, &str) = ("协议期限尚未开始", "the agreement's term has not begun");
const NOT_CALLED: (&str, &str) = ("等待接收方连接", "waiting for the consumer to call");
const CONNECTING: (&str, &str) = ("正在连接提供方", "calling the provider");

/// A page of what was set aside.
pub(super) async fn quarantine(house: &House, asked: ListQuarantineRequest) -> Result<ListQuarantineResponse> {
    let stream = asked.stream.unwrap_or_default();
    if !stream.is_empty() && house.store.inbound_find(&stream).await?.is_none() {
        return Err(Error::refused("stream", Reason::NotFound, &stream));
    }
    let size = match asked.page_size.unwrap_or(0) {
        0 => ITEMS,
        size => {
            u32::try_from(size).map_err(|_| Error::refused("page_size", Reason::Malformed, ITEMS_MAX))?.min(ITEMS_MAX)
        }
    };
    let token = asked.page_token.filter(|token| !token.is_empty());
    let after = token.map(|token| read_token(&token, &stream)).transpose()?.unwrap_or_default();
    let mut items = house.store.quarantine_list(&stream, &after, size + 1).await?;
    let more = items.len() > size as usize;
    items.truncate(size as usize);
    let last = items.last().filter(|_| more).map(|(key, _)| write_token(key, &stream));
    Ok(ListQuarantineResponse { items: items.into_iter().map(|(_, item)| item).collect(), next_page_token: last })
}

fn write_token(key: &QuarantineKey, stream: &str) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(stream, key)).unwrap_or_default())
}

fn read_token(token: &str, stream: &str) -> Result<QuarantineKey> {
    let read = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<(String, QuarantineKey)>(&bytes).ok());
    let of_this_list = read.filter(|(asked, _)| asked == stream);
    of_this_list.map(|(_, key)| key).ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))
}
