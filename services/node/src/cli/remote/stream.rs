//! `qianshou stream` and `qianshou quarantine`: what flows, and what was set aside.

use clap::Subcommand;
use qianshou_proto::exchange::v1 as exchange;

use super::{Answer, admin, all, print, told};
use crate::cli::{Connection, show::columns};

#[derive(Subcommand)]
pub(in crate::cli) enum Stream {
    /// Lists streams with how far they are.
    List {
        #[command(flatten)]
        to: Connection,
    },
}

impl Stream {
    pub(in crate::cli) async fn run(self) -> Answer {
        let Self::List { to } = self;
        let streams =
            admin(&to)?.list_streams(exchange::ListStreamsRequest {}).await.map_err(told)?.into_inner().streams;
        print(&to, || all("qianshou.exchange.v1.Stream", &streams), || streams_text(&streams));
        Ok(())
    }
}

fn streams_text(streams: &[exchange::Stream]) -> String {
    let rows: Vec<_> = streams
        .iter()
        .map(|stream| {
            let state = stream.state().as_str_name().trim_start_matches("STREAM_STATE_").to_lowercase();
            let way = if stream.direction() == exchange::StreamDirection::Outbound { "→" } else { "←" };
            let settled = [stream.applied(), stream.skipped(), stream.quarantined()];
            let figures = [&[stream.pages(), stream.entries()][..], &settled, &[stream.behind()]].concat();
            let mut row = vec![format!("{way} {}", stream.peer()), stream.agreement().into(), state];
            row.extend(figures.iter().map(u64::to_string));
            row.push(format!("{} {}", stream.reason_zh(), stream.reason_en()).trim().to_owned());
            row
        })
        .collect();
    let head =
        ["peer", "agreement", "state", "pages", "entries", "applied", "skipped", "quarantined", "behind", "reason"];
    columns(&head, &rows)
}

#[derive(Subcommand)]
pub(in crate::cli) enum Quarantine {
    /// Lists entries that were set aside.
    List {
        #[command(flatten)]
        to: Connection,
        /// Only of this stream.
        #[arg(long)]
        stream: Option<String>,
    },
}

impl Quarantine {
    pub(in crate::cli) async fn run(self) -> Answer {
        let Self::List { to, stream } = self;
        let mut items = vec![];
        let mut page_token = None;
        loop {
            let asked = exchange::ListQuarantineRequest { stream: stream.clone(), page_size: None, page_token };
            let page = admin(&to)?.list_quarantine(asked).await.map_err(told)?.into_inner();
            page_token = page.next_page_token.filter(|t| !t.is_empty());
            items.extend(page.items);
            if page_token.is_none() {
                break;
            }
        }
        let row = |item: &exchange::QuarantineItem| {
            let reason = item.reason().as_str_name().trim_start_matches("QUARANTINE_REASON_").to_lowercase();
            vec![item.stream().into(), item.page().to_string(), item.index().to_string(), item.name().into(), reason]
        };
        let head = ["stream", "page", "index", "name", "reason"];
        print(
            &to,
            || all("qianshou.exchange.v1.QuarantineItem", &items),
            || columns(&head, &items.iter().map(row).collect::<Vec<_>>()),
        );
        Ok(())
    }
}
