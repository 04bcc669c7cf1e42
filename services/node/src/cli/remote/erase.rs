//! `qianshou erase`: the end of what a node has of a person.

use clap::Args;
use qianshou_proto::registry::v1::{ErasePersonRequest, registry_service_client::RegistryServiceClient};

use super::{Answer, failed, print, told};
use crate::cli::{Connection, show};

#[derive(Args)]
pub(in crate::cli) struct Erase {
    #[command(flatten)]
    to: Connection,
    /// A record of the person's: nodes/64/workers/ID. What has the same number in your area, and what refers to it, goes with it.
    name: String,
    /// Why; it stays, so it must not say who.
    #[arg(long)]
    reason: String,
    /// The clause of the law or agreement that it follows from; it stays.
    #[arg(long)]
    clause: String,
    /// Makes a repeat harmless: the same id gets the first answer.
    #[arg(long)]
    request_id: Option<String>,
    /// Only says which records would be erased, with how many versions and entries of sent pages.
    #[arg(long)]
    check: bool,
}

impl Erase {
    pub(in crate::cli) async fn run(self) -> Answer {
        let Self { to, name, reason, clause, request_id, check } = self;
        let asked = ErasePersonRequest {
            name: Some(name),
            reason: Some(reason),
            clause: Some(clause),
            request_id,
            validate_only: Some(check),
        };
        let mut desk = RegistryServiceClient::new(to.line().map_err(failed)?);
        let answer = desk.erase_person(asked).await.map_err(told)?.into_inner();
        let text = || {
            let head = if check { "将抹除 | would be erased" } else { "已抹除 | erased" };
            let mut lines: Vec<String> = answer.records.iter().map(|name| format!("{head}: {name}")).collect();
            if let Some(versions) = answer.versions {
                let pages = answer.pages.map_or_else(|| "?".to_owned(), |pages| pages.to_string());
                lines.push(format!("版本 | versions: {versions}; 已发数据页条目 | entries of sent pages: {pages}"));
            }
            lines.join("\n")
        };
        print(&to, || show::message("qianshou.registry.v1.ErasePersonResponse", &answer), text);
        Ok(())
    }
}
