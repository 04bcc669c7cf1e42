//! Commands that talk to a running node, by its RPC API, a file a noun. Each asks, then shows the answer as JSON or in columns.

mod agreement;
mod approval;
mod audit;
mod erase;
mod peer;
mod proposal;
mod stream;
mod table;
mod token;

pub(super) use agreement::Agreement;
pub(super) use approval::Approval;
pub(super) use audit::Audit;
pub(super) use erase::Erase;
pub(super) use peer::Peer;
pub(super) use proposal::Proposal;
use qianshou_kernel::{error::Error, line::Line};
use qianshou_proto::exchange::v1::exchange_admin_service_client::ExchangeAdminServiceClient;
use serde_json::Value;
pub(super) use stream::{Quarantine, Stream};
pub(super) use table::Table;
pub(super) use token::Token;
use tonic::Status;

use super::{Connection, friendly, show};

type Answer = Result<(), String>;

fn told(status: Status) -> String {
    friendly::call(&status)
}

fn failed(error: Error) -> String {
    friendly::failure(&error)
}

fn admin(to: &Connection) -> Result<ExchangeAdminServiceClient<Line>, String> {
    Ok(ExchangeAdminServiceClient::new(to.line().map_err(failed)?))
}

/// Prints JSON, or what people read.
fn print(to: &Connection, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
    if to.json { println!("{}", json()) } else { println!("{}", text()) }
}

fn all<M: prost::Message>(name: &str, messages: &[M]) -> Value {
    messages.iter().map(|m| show::message(name, m)).collect()
}
