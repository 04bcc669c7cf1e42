//! Pairings, computed from the halves that share a text, whenever somebody asks.

use std::collections::BTreeSet;

use qianshou_kernel::{
    clock::format_day,
    error::{Error, Reason, Result},
    id::Area,
    identity::{Caller, Role},
    joint::{
        self, Said,
        pairing::{cohort_key, pairings, speaker_key},
    },
    kind::{Noun, page_key, page_token},
};
use qianshou_proto::pairing::v1::{
    Approval, Commitment, GetPairingRequest, GetPairingResponse, ListPairingsRequest, ListPairingsResponse, Outcome,
    Pairing as Joint, PairingStage, Terms,
};
use time::Date;

use super::{lies_in, within};
use crate::{
    Pairing,
    domain::{Approvals, Commitments, Outcomes, findings::progress, received_key},
};

/// Texts looked at together, and for one page at most.
const BLOCK: usize = 500;
const PAGE_TEXTS: usize = 5_000;
/// What begins the name of a stage in the contract.
const STAGE: &str = "PAIRING_STAGE_";

impl Pairing {
    /// One pairing; whoever may see either side may see it.
    pub(super) async fn pairing_get(&self, caller: &Caller, asked: GetPairingRequest) -> Result<GetPairingResponse> {
        caller.need_role(Role::Reader)?;
        self.wait(asked.min_position).await?;
        let limit = self.verbs.limit(caller).await?;
        let at = self.day("at", asked.at.as_deref())?;
        let key = asked.pairing().to_owned();
        if key.is_empty() {
            return Err(Error::refused("pairing", Reason::Required, ""));
        }
        let codes = |pairing: &Joint| [pairing.sending_uscc.clone(), pairing.receiving_uscc.clone()];
        let is_there = |pairing: &Joint| {
            let [sending, receiving] = codes(pairing);
            let codes = [sending.as_deref(), receiving.as_deref()];
            limit.as_ref().is_none_or(|limit| limit.is_about(pairing.pairing(), codes))
        };
        let pairing = self.joint(&[key], at).await?.pop().filter(is_there);
        let pairing = pairing.ok_or_else(|| Error::refused("pairing", Reason::NotFound, ""))?;
        let own = within(caller, None)?;
        if !concerns(&own, &pairing) {
            return Err(Error::refused("pairing", Reason::AreaForbidden, &caller.area));
        }
        Ok(GetPairingResponse { pairing: Some(pairing) })
    }

    /// Those of an area, a programme, a batch, in a stage.
    pub(super) async fn pairing_list(
        &self,
        caller: &Caller,
        asked: ListPairingsRequest,
    ) -> Result<ListPairingsResponse> {
        self.admit(caller, asked.min_position).await?;
        let area = within(caller, asked.area.as_deref())?;
        let at = self.day("at", asked.at.as_deref())?;
        let size = self.verbs.page_size(asked.page_size)?;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (programme, batch, state) = (given(&asked.programme), given(&asked.batch), given(&asked.state));
        let stage = state.map(|state| stage_of(&state)).transpose()?;
        // What the texts of one programme, or of one of its batches, begin with.
        let begun = match (&programme, &batch) {
            (Some(programme), Some(batch)) => cohort_key(Some(programme), Some(batch)),
            (Some(programme), None) => joint::key(&[Some(programme)]),
            _ => None,
        };
        let begun = begun.map_or_else(String::new, |text| text + "/");
        let question = format!("pairings {} {} {begun} {batch:?} {stage:?}", area.as_str(), format_day(at));
        let mut after: String = page_key(&question, asked.page_token.as_deref())?.unwrap_or_default();

        let mut page: Vec<Joint> = vec![];
        let mut looked_at = 0;
        loop {
            let texts =
                self.verbs.ledger.shared_texts(Commitments::COLLECTION, "pairing", &begun, &after, BLOCK).await?;
            for pairing in self.joint(&texts, at).await? {
                let fits = concerns(&area, &pairing)
                    && batch.as_ref().is_none_or(|batch| Some(batch) == pairing.batch.as_ref())
                    && stage.is_none_or(|stage| pairing.stage() == stage);
                if fits {
                    after = pairing.pairing().to_owned();
                    page.push(pairing);
                    if page.len() == size {
                        let token = page_token(&question, &after)?;
                        return Ok(ListPairingsResponse { pairings: page, next_page_token: Some(token) });
                    }
                }
            }
            let Some(last) = texts.last().filter(|_| texts.len() == BLOCK) else {
                return Ok(ListPairingsResponse { pairings: page, next_page_token: None });
            };
            after.clone_from(last);
            looked_at += texts.len();
            if looked_at >= PAGE_TEXTS {
                let token = page_token(&question, &after)?;
                return Ok(ListPairingsResponse { pairings: page, next_page_token: Some(token) });
            }
        }
    }

    /// The pairings of these texts, in their order, on a day: from every half that speaks for one of their agencies.
    async fn joint(&self, texts: &[String], at: Date) -> Result<Vec<Joint>> {
        let halves = self.halves();
        let texts: BTreeSet<&String> = texts.iter().collect();
        let named: Vec<Said<Commitment>> =
            halves.sharing(Commitments::COLLECTION, "pairing", texts.iter().map(|text| Some((*text).clone()))).await?;
        let speakers = named.iter().filter_map(|half| half.said.as_ref()).flat_map(|half| {
            let of = |agency: &Option<String>| {
                speaker_key(half.programme.as_deref(), half.batch.as_deref(), agency.as_deref())
            };
            [of(&half.sending_uscc), of(&half.receiving_uscc)]
        });
        let speaking: Vec<Said<Commitment>> =
            halves.sharing(Commitments::COLLECTION, "speaker", speakers.collect::<Vec<_>>()).await?;
        let approvals: Vec<Said<Approval>> =
            halves.sharing(Approvals::COLLECTION, "pairing", texts.iter().map(|text| Some((*text).clone()))).await?;
        let mut joint = pairings(&speaking, &approvals, at);
        joint.retain(|pairing| texts.contains(&pairing.pairing().to_owned()));
        let received =
            |p: &Joint| received_key(p.programme.as_deref(), p.batch.as_deref(), p.receiving_uscc.as_deref());
        let outcomes: Vec<Said<Outcome>> =
            halves.sharing(Outcomes::COLLECTION, "received", joint.iter().map(received).collect::<Vec<_>>()).await?;
        for pairing in &mut joint {
            let terms = pairing.terms.clone().unwrap_or_else(Terms::default);
            pairing.progress = progress(&terms, received(pairing), &outcomes, at);
        }
        Ok(joint)
    }
}

fn stage_of(state: &str) -> Result<PairingStage> {
    let stage = PairingStage::from_str_name(&format!("{STAGE}{state}")).filter(|s| *s != PairingStage::Unspecified);
    stage.ok_or_else(|| {
        Error::refused(
            "state",
            Reason::NotInList,
            "ONE_SIDED, PROPOSED, IN_REVIEW, ACTIVE, DISPUTED, SUSPENDED, EVALUATED, CLOSED",
        )
    })
}

/// Whether a side of it lies in the area.
fn concerns(area: &Area, pairing: &Joint) -> bool {
    [&pairing.division, &pairing.sending_division].iter().any(|division| lies_in(area, division.as_deref()))
}
