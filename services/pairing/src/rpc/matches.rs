//! Offers for a need, computed from the offers that are here whenever somebody asks.

use std::collections::BTreeMap;

use qianshou_kernel::{
    error::{Error, Reason, Result},
    identity::Caller,
    joint::{Said, order::order_state},
    kind::Noun,
};
use qianshou_proto::pairing::v1::{
    Acceptance, ListMatchesRequest, ListMatchesResponse, Need, Offer, Order, OrderStage,
};

use crate::{
    Pairing,
    domain::{Acceptances, Needs, Offers, Orders, offer::matches},
};

/// Matches that are told when nobody says how many, and at most.
const USUAL: usize = 20;
const MOST: usize = 100;

impl Pairing {
    /// The offers that fit a need, the best first.
    pub(super) async fn match_list(&self, caller: &Caller, asked: ListMatchesRequest) -> Result<ListMatchesResponse> {
        self.admit(caller, asked.min_position).await?;
        if asked.need().is_empty() {
            return Err(Error::refused("need", Reason::Required, ""));
        }
        let size = match asked.page_size() {
            0 => USUAL,
            size => {
                usize::try_from(size).map_err(|_| Error::refused("page_size", Reason::Malformed, "0–100"))?.min(MOST)
            }
        };
        let need: Need = self.verbs.get::<Needs>(caller, asked.need.as_deref(), None).await?;
        let offers = self.halves().sharing::<Offer, _>(Offers::COLLECTION, "kind", [need.kind.clone()]).await?;
        let mut matches = matches(&need, &offers, &self.ordered(&offers).await?);
        matches.truncate(size);
        Ok(ListMatchesResponse { matches })
    }

    /// How much of these offers is ordered and was neither declined nor called off.
    async fn ordered(&self, offers: &[Said<Offer>]) -> Result<BTreeMap<String, u64>> {
        let halves = self.halves();
        let names = offers.iter().map(|offer| Some(offer.name.to_string()));
        let orders: Vec<Said<Order>> = halves.sharing(Orders::COLLECTION, "offer", names).await?;
        let names = orders.iter().map(|order| Some(order.name.to_string()));
        let answers: Vec<Said<Acceptance>> = halves.sharing(Acceptances::COLLECTION, "order", names).await?;
        let today = self.verbs.ledger.clock().today();
        let mut ordered: BTreeMap<String, u64> = BTreeMap::new();
        for state in orders.iter().filter_map(|order| order_state(order, &answers, today)) {
            if ![OrderStage::Declined, OrderStage::Cancelled].contains(&state.stage()) {
                *ordered.entry(state.offer().to_owned()).or_default() += u64::from(state.quantity());
            }
        }
        Ok(ordered)
    }
}
