//! `qianshou proposal`: what areas ask one another to let them write. Made by RPC (CreateProposal); seen and decided here.

use clap::Subcommand;
use qianshou_kernel::line::Line;
use qianshou_proto::registry::v1::{self as api, registry_service_client::RegistryServiceClient};

use super::{Answer, all, failed, print, told};
use crate::cli::{
    Connection,
    show::{self, columns},
};

#[derive(Subcommand)]
pub(in crate::cli) enum Proposal {
    /// Lists the proposals from and to the token's area.
    List {
        #[command(flatten)]
        to: Connection,
        /// Only those that stand so: proposed, accepted, refused or withdrawn.
        #[arg(long)]
        state: Option<String>,
        /// Only those that the token's area may accept or refuse today.
        #[arg(long)]
        to_decide: bool,
    },
    /// Shows a proposal with what it says.
    Show {
        #[command(flatten)]
        to: Connection,
        /// Its name, nodes/64/proposals/ID.
        name: String,
    },
    /// Accepts a proposal: the record is written.
    Accept {
        #[command(flatten)]
        to: Connection,
        /// Its name.
        name: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Refuses a proposal.
    Refuse {
        #[command(flatten)]
        to: Connection,
        /// Its name.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Takes a proposal of the token's area back.
    Withdraw {
        #[command(flatten)]
        to: Connection,
        /// Its name.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Disputes a refusal: the area above both sides decides.
    Dispute {
        #[command(flatten)]
        to: Connection,
        /// Its name.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

const PROPOSAL: &str = "qianshou.registry.v1.Proposal";

impl Proposal {
    pub(in crate::cli) async fn run(self) -> Answer {
        use api::ProposalDecision as Decision;
        match self {
            Self::List { to, state, to_decide } => list(&to, state.as_deref(), to_decide).await,
            Self::Show { to, name } => {
                let asked = api::GetProposalRequest { name: Some(name) };
                let proposal = desk(&to)?.get_proposal(asked).await.map_err(told)?.into_inner().proposal;
                shown(&to, &proposal.unwrap_or_default());
                Ok(())
            }
            Self::Accept { to, name, reason } => decide(&to, name, Decision::Accept, reason).await,
            Self::Refuse { to, name, reason } => decide(&to, name, Decision::Refuse, Some(reason)).await,
            Self::Withdraw { to, name, reason } => decide(&to, name, Decision::Withdraw, Some(reason)).await,
            Self::Dispute { to, name, reason } => decide(&to, name, Decision::Dispute, Some(reason)).await,
        }
    }
}

fn desk(to: &Connection) -> Result<RegistryServiceClient<Line>, String> {
    Ok(RegistryServiceClient::new(to.line().map_err(failed)?))
}

async fn list(to: &Connection, state: Option<&str>, to_decide: bool) -> Answer {
    let state = state.map(|state| {
        let name = format!("PROPOSAL_STATE_{}", state.to_uppercase());
        // A word that names no state is the node's to refuse.
        api::ProposalState::from_str_name(&name).map_or(-1, i32::from)
    });
    let mut asked = api::ListProposalsRequest { state, to_decide: Some(to_decide), ..Default::default() };
    let mut proposals = vec![];
    loop {
        let page = desk(to)?.list_proposals(asked.clone()).await.map_err(told)?.into_inner();
        proposals.extend(page.proposals);
        asked.page_token = page.next_page_token.filter(|token| !token.is_empty());
        if asked.page_token.is_none() {
            break;
        }
    }
    print(to, || all(PROPOSAL, &proposals), || table(&proposals));
    Ok(())
}

async fn decide(to: &Connection, name: String, decision: api::ProposalDecision, reason: Option<String>) -> Answer {
    let asked = api::DecideProposalRequest { name: Some(name), decision: Some(decision.into()), reason };
    let answer = desk(to)?.decide_proposal(asked).await.map_err(told)?.into_inner();
    shown(to, &answer.proposal.unwrap_or_default());
    Ok(())
}

/// A proposal: a line, and what it says as JSON.
fn shown(to: &Connection, proposal: &api::Proposal) {
    let whole = || show::message(PROPOSAL, proposal);
    print(to, whole, || {
        let said = serde_json::to_string_pretty(&whole()).unwrap_or_default();
        format!("{}\n\n{said}", table(std::slice::from_ref(proposal)))
    });
}

fn table(proposals: &[api::Proposal]) -> String {
    let row = |proposal: &api::Proposal| {
        let short = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase();
        let kind = match &proposal.record {
            None => "",
            Some(api::proposal::Record::Worker(_)) => "worker",
            Some(api::proposal::Record::Certificate(_)) => "certificate",
            Some(api::proposal::Record::Employment(_)) => "employment",
            Some(api::proposal::Record::Merge(_)) => "merge",
            Some(api::proposal::Record::Move(_)) => "move",
            Some(api::proposal::Record::Recognition(_)) => "recognition",
            Some(api::proposal::Record::Assessment(_)) => "assessment",
        };
        let state = short(proposal.state().as_str_name(), "PROPOSAL_STATE_");
        let state = match (proposal.disputed(), proposal.escalated()) {
            (true, true) => format!("{state}, disputed"),
            (false, true) => format!("{state}, escalated"),
            _ => state,
        };
        let due = if proposal.due_provisional() { "provisional" } else { "" };
        vec![
            proposal.name().to_owned(),
            proposal.from_area().to_owned(),
            proposal.to_area().to_owned(),
            format!("{} {kind}", short(proposal.act().as_str_name(), "PROPOSAL_ACT_")),
            state,
            format!("{} {due}", proposal.due_on()).trim().to_owned(),
            proposal.decision_reason.as_deref().or(proposal.reason.as_deref()).unwrap_or_default().to_owned(),
        ]
    };
    columns(&["name", "from", "to", "what", "state", "due", "reason"], &proposals.iter().map(row).collect::<Vec<_>>())
}
