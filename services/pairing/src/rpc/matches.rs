//! Offers for a need, computed from the offers that are here whenever somebody asks.

use qianshou_kernel::{
    error::{Error, Reason, Result},
    identity::Caller,
    kind::Noun,
};
use qianshou_proto::pairing::v1::{ListMatchesRequest, ListMatchesResponse, Need, Offer};

use crate::{
    Pairing,
    domain::{Needs, Offers, offer::matches},
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
        let mut matches = matches(&need, &offers);
        matches.truncate(size);
        Ok(ListMatchesResponse { matches })
    }
}
