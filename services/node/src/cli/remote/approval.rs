//! `qianshou approval`: acts that open a door and wait for a second administrator.

use clap::Subcommand;
use qianshou_proto::identity::v1::{self as api, identity_service_client::IdentityServiceClient};

use super::{Answer, all, failed, print, told};
use crate::cli::{
    Connection,
    show::{self, columns, day},
};

#[derive(Subcommand)]
pub(in crate::cli) enum Approval {
    /// Lists the acts that wait or did.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Shows one.
    Show {
        #[command(flatten)]
        to: Connection,
        /// Its id.
        id: String,
    },
    /// Approves of one that another administrator asked for; that one then repeats the same command.
    Approve {
        #[command(flatten)]
        to: Connection,
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Rejects one, or takes one's own back.
    Reject {
        #[command(flatten)]
        to: Connection,
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
}

const PENDING_ACT: &str = "qianshou.identity.v1.PendingAct";

impl Approval {
    pub(in crate::cli) async fn run(self) -> Answer {
        let (to, act) = match self {
            Self::List { to } => return list(&to).await,
            Self::Show { to, id } => {
                let asked = api::GetPendingActRequest { id: Some(id) };
                let answer = desk(&to)?.get_pending_act(asked).await.map_err(told)?.into_inner();
                (to, answer.pending_act)
            }
            Self::Approve { to, id, reason } => {
                let asked = api::ApprovePendingActRequest { id: Some(id), reason };
                let answer = desk(&to)?.approve_pending_act(asked).await.map_err(told)?.into_inner();
                (to, answer.pending_act)
            }
            Self::Reject { to, id, reason } => {
                let asked = api::RejectPendingActRequest { id: Some(id), reason };
                let answer = desk(&to)?.reject_pending_act(asked).await.map_err(told)?.into_inner();
                (to, answer.pending_act)
            }
        };
        let act = act.unwrap_or_default();
        print(&to, || show::message(PENDING_ACT, &act), || text(std::slice::from_ref(&act)));
        Ok(())
    }
}

async fn list(to: &Connection) -> Answer {
    let (mut acts, mut asked) = (vec![], api::ListPendingActsRequest::default());
    loop {
        let page = desk(to)?.list_pending_acts(asked.clone()).await.map_err(told)?.into_inner();
        acts.extend(page.pending_acts);
        asked.page_token = page.next_page_token.filter(|token| !token.is_empty());
        if asked.page_token.is_none() {
            break;
        }
    }
    print(to, || all(PENDING_ACT, &acts), || text(&acts));
    Ok(())
}

fn desk(to: &Connection) -> Result<IdentityServiceClient<qianshou_kernel::line::Line>, String> {
    Ok(IdentityServiceClient::new(to.line().map_err(failed)?))
}

fn text(acts: &[api::PendingAct]) -> String {
    let row = |act: &api::PendingAct| {
        let state = act.state().as_str_name().trim_start_matches("PENDING_ACT_STATE_").to_lowercase();
        let what = format!("{} | {}", act.told_zh(), act.told_en());
        let by = format!("{} {}", act.requested_by(), act.requested_by_name());
        let [requested, until] = [act.requested_at_ms(), act.expires_at_ms()].map(day);
        vec![act.id().into(), state, act.area().into(), what, by, requested, until, act.decided_by().into()]
    };
    let head = ["id", "state", "area", "what", "requested by", "on", "until", "decided by"];
    columns(&head, &acts.iter().map(row).collect::<Vec<_>>())
}
