//! What only the running node knows: that it answers, and how its streams do.

use qianshou_kernel::{
    error::{Error, said},
    line::Line,
};
use qianshou_proto::{
    exchange::v1::{self as exchange, Stream, StreamState, exchange_admin_service_client::ExchangeAdminServiceClient},
    ledger::v1::{GetHeadRequest, ledger_service_client::LedgerServiceClient},
};

use super::{Report, Seen, fail, ok, warn, worst};

pub(super) async fn examine(report: &mut Report, line: Option<Line>, config: &str) {
    let Some(line) = line else {
        let mend = "qianshou doctor --config … --node URL --token T --ca FILE";
        report.add(14, warn("not asked: no --node | 未询问", mend));
        return;
    };
    match LedgerServiceClient::new(line.clone()).get_head(GetHeadRequest {}).await {
        Ok(head) => report.add(14, ok(format!("node {} answers", head.get_ref().node()))),
        Err(status) => {
            report.add(14, fail(said(&status), format!("qianshou serve --config {config}")));
            return;
        }
    }
    let streams = ExchangeAdminServiceClient::new(line).list_streams(exchange::ListStreamsRequest {}).await;
    report.add_result(15, streams.map(|all| of_streams(&all.get_ref().streams)).map_err(|s| Error::broken(said(&s))));
}

fn of_streams(streams: &[Stream]) -> Seen {
    let seen = streams.iter().map(stream).collect();
    worst(seen, format!("{} streams | 条数据流", streams.len()))
}

fn stream(stream: &Stream) -> Seen {
    let (id, peer) = (stream.id(), stream.peer());
    let list = "qianshou stream list".to_owned();
    let why = format!("{} | {}", stream.reason_zh(), stream.reason_en());
    match stream.state() {
        StreamState::Refused | StreamState::Stopped => fail(format!("{id} with {peer}: {why}"), list),
        StreamState::Waiting => warn(format!("{id} with {peer}: {why}"), format!("qianshou peer test {peer}")),
        _ if stream.quarantined() > 0 => {
            let note = format!("{id} with {peer}: {} entries set aside", stream.quarantined());
            warn(note, format!("qianshou quarantine list --stream {id}"))
        }
        _ if stream.behind() > 0 => warn(format!("{id} with {peer}: {} behind", stream.behind()), list),
        _ => ok(id),
    }
}
