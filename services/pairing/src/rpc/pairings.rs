//! Pairings, computed from the halves that are here whenever somebody asks.

use qianshou_kernel::{
    error::{Error, Reason, Result},
    id::Area,
    identity::Caller,
    joint::pairing::pairings,
    kind::Noun,
};
use qianshou_proto::pairing::v1::{
    Approval, Commitment, GetPairingRequest, GetPairingResponse, ListPairingsRequest, ListPairingsResponse,
    Pairing as Joint,
};

use super::{lies_in, within};
use crate::{
    Pairing,
    domain::{Approvals, Commitments},
};

impl Pairing {
    /// One pairing; whoever may see either side may see it.
    pub(super) async fn pairing_get(&self, caller: &Caller, asked: GetPairingRequest) -> Result<GetPairingResponse> {
        self.admit(caller, asked.min_position).await?;
        let key = asked.pairing().to_owned();
        if key.is_empty() {
            return Err(Error::refused("pairing", Reason::Required, ""));
        }
        let pairing = self.joint().await?.into_iter().find(|pairing| pairing.pairing() == key);
        let pairing = pairing.ok_or_else(|| Error::refused("pairing", Reason::NotFound, ""))?;
        let own = within(caller, None)?;
        if !concerns(&own, &pairing) {
            return Err(Error::refused("pairing", Reason::AreaForbidden, &caller.area));
        }
        Ok(GetPairingResponse { pairing: Some(pairing) })
    }

    /// Those of an area, a programme, a batch.
    pub(super) async fn pairing_list(
        &self,
        caller: &Caller,
        asked: ListPairingsRequest,
    ) -> Result<ListPairingsResponse> {
        self.admit(caller, asked.min_position).await?;
        let area = within(caller, asked.area.as_deref())?;
        let mut pairings = self.joint().await?;
        let is = |asked: &Option<String>, own: &Option<String>| {
            asked.as_ref().is_none_or(|text| text.is_empty() || Some(text) == own.as_ref())
        };
        pairings.retain(|p| concerns(&area, p) && is(&asked.programme, &p.programme) && is(&asked.batch, &p.batch));
        Ok(ListPairingsResponse { pairings })
    }

    async fn joint(&self) -> Result<Vec<Joint>> {
        let halves = self.halves().of::<Commitment>(Commitments::COLLECTION).await?;
        let approvals = self.halves().of::<Approval>(Approvals::COLLECTION).await?;
        Ok(pairings(&halves, &approvals, self.verbs.ledger.clock().today()))
    }
}

/// Whether a side of it lies in the area.
fn concerns(area: &Area, pairing: &Joint) -> bool {
    [&pairing.division, &pairing.sending_division].iter().any(|division| lies_in(area, division.as_deref()))
}
