//! `qianshou agreement`: what crosses, to whom, for what.

use clap::{Args, Subcommand};
use qianshou_kernel::clock::{Clock, format_day};
use qianshou_proto::exchange::v1 as exchange;

use super::{Answer, admin, all, failed, print, told};
use crate::cli::{
    Connection,
    show::{self, columns},
    terms,
};

#[derive(Subcommand)]
pub(in crate::cli) enum Agreement {
    /// Drafts terms. Nothing crosses before both sides have signed.
    Draft(Draft),
    /// Signs an agreement whose terms were read; `show` prints their digest.
    Sign {
        #[command(flatten)]
        to: Connection,
        /// The agreement.
        id: String,
        /// The digest of the terms that were read; absent: the terms as they stand now.
        #[arg(long)]
        digest: Option<String>,
    },
    /// Lists agreements.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Shows an agreement.
    Show {
        #[command(flatten)]
        to: Connection,
        /// The agreement.
        id: String,
    },
}

#[derive(Args)]
pub(in crate::cli) struct Draft {
    #[command(flatten)]
    to: Connection,
    /// The node that provides.
    #[arg(long)]
    from: String,
    /// The node that receives.
    #[arg(long = "to")]
    consumer: String,
    /// `KIND=FIELD,FIELD,@person`; `*` is every field; once per kind.
    #[arg(long, required = true)]
    share: Vec<String>,
    /// Only records whose division lies in this area; absent at level 3: in the provider's own.
    #[arg(long)]
    area: Option<String>,
    /// What for.
    #[arg(long)]
    purpose: String,
    /// By which law or document.
    #[arg(long)]
    legal_basis: Option<String>,
    /// The highest level that may cross: 1 public, 2 unit data, 3 personal data.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: u8,
    /// The pseudonym domain for `@person`.
    #[arg(long)]
    domain: Option<String>,
    /// First day, absent: today.
    #[arg(long)]
    begins: Option<String>,
    /// Last day.
    #[arg(long)]
    ends: String,
    /// Days that the receiver may keep what it got after the end.
    #[arg(long, default_value_t = 3650)]
    retention_days: u32,
}

const AGREEMENT: &str = "qianshou.exchange.v1.Agreement";

impl Agreement {
    pub(in crate::cli) async fn run(self) -> Answer {
        let (to, agreement) = match self {
            Self::Draft(draft) => draft.run().await?,
            Self::Sign { to, id, digest } => {
                let mut client = admin(&to)?;
                let digest = match digest {
                    Some(digest) => digest,
                    None => {
                        let asked = exchange::GetAgreementRequest { id: Some(id.clone()) };
                        let shown =
                            client.get_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default();
                        shown.digest().to_owned()
                    }
                };
                let asked = exchange::SignAgreementRequest { id: Some(id), digest: Some(digest) };
                (to, client.sign_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default())
            }
            Self::Show { to, id } => {
                let asked = exchange::GetAgreementRequest { id: Some(id) };
                let shown =
                    admin(&to)?.get_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default();
                println!("{}", show::seen(&format!("{:#}", show::message(AGREEMENT, &shown))));
                return Ok(());
            }
            Self::List { to } => {
                let listed = admin(&to)?
                    .list_agreements(exchange::ListAgreementsRequest {})
                    .await
                    .map_err(told)?
                    .into_inner()
                    .agreements;
                print(&to, || all(AGREEMENT, &listed), || agreements_text(&listed));
                return Ok(());
            }
        };
        print(&to, || show::message(AGREEMENT, &agreement), || agreements_text(std::slice::from_ref(&agreement)));
        Ok(())
    }
}

impl Draft {
    async fn run(self) -> Result<(Connection, exchange::Agreement), String> {
        // Personal data crosses by area: the provider's own, where none is named.
        let supposed = self.area.is_none() && self.level == 3;
        let area = self.area.as_deref().or(Some(&*self.from).filter(|_| supposed));
        let clauses = self.share.iter().map(|share| terms::clause(share, area, supposed));
        let level = match self.level {
            1 => exchange::Sensitivity::L1,
            2 => exchange::Sensitivity::L2,
            _ => exchange::Sensitivity::L3,
        };
        let clauses = clauses.collect::<Result<_, _>>().map_err(failed)?;
        let terms = exchange::Terms {
            provider: Some(self.from),
            consumer: Some(self.consumer),
            clauses,
            purpose: Some(self.purpose),
            legal_basis: self.legal_basis,
            sharing_class: Some(exchange::SharingClass::Conditional.into()),
            sensitivity_cap: Some(level.into()),
            pseudonym_domain: self.domain,
            begins_on: Some(self.begins.unwrap_or_else(|| format_day(Clock::system().today()))),
            ends_on: Some(self.ends),
            retention_days: Some(self.retention_days),
            after_end: Some(exchange::AfterEnd::Keep.into()),
            ..exchange::Terms::default()
        };
        let asked = exchange::DraftAgreementRequest { terms: Some(terms) };
        let drafted =
            admin(&self.to)?.draft_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default();
        Ok((self.to, drafted))
    }
}

fn agreements_text(agreements: &[exchange::Agreement]) -> String {
    let rows: Vec<_> = agreements
        .iter()
        .map(|agreement| {
            let terms = agreement.terms.clone().unwrap_or_default();
            let kinds: Vec<&str> = terms.clauses.iter().map(exchange::KindClause::kind).collect();
            let state = agreement.state().as_str_name().trim_start_matches("AGREEMENT_STATE_").to_lowercase();
            let way = format!("{} → {}", terms.provider(), terms.consumer());
            vec![
                agreement.id().into(),
                way,
                state,
                kinds.join(","),
                format!("{} – {}", terms.begins_on(), terms.ends_on()),
                agreement.digest().into(),
            ]
        })
        .collect();
    columns(&["agreement", "way", "state", "kinds", "term", "digest"], &rows)
}
