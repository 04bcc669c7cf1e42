//! Where orders stand, computed from the halves that are here whenever somebody asks.

use qianshou_kernel::{
    clock::format_day,
    error::{Error, Reason, Result},
    identity::Caller,
    joint::{Said, order::order_state},
    kind::{Noun, page_key, page_token},
};
use qianshou_proto::pairing::v1::{
    Acceptance, ListOrderStatesRequest, ListOrderStatesResponse, Order, OrderStage, OrderState,
};

use super::{View, within};
use crate::{
    Pairing,
    domain::{Acceptances, Orders},
    store::Place,
};

/// Orders looked at together, and for one page at most.
const BLOCK: usize = 500;
const PAGE_ORDERS: usize = 5_000;

impl Pairing {
    /// Those of an area, in a stage.
    pub(super) async fn order_state_list(
        &self,
        caller: &Caller,
        asked: ListOrderStatesRequest,
    ) -> Result<ListOrderStatesResponse> {
        self.admit(caller, asked.min_position).await?;
        let area = within(caller, asked.area.as_deref())?;
        let view = View::new(self.verbs.ledger.node(), area);
        let at = self.day("at", asked.at.as_deref())?;
        let size = self.verbs.page_size(asked.page_size)?;
        let stage = asked.state.as_deref().filter(|state| !state.is_empty()).map(stage_of).transpose()?;
        let question = format!("orders {} {} {stage:?}", view.area.as_str(), format_day(at));
        let (area, name) = page_key(&question, asked.page_token.as_deref())?.unwrap_or_default();
        let mut after = Place { area, name };
        let mut orders: Vec<OrderState> = vec![];
        let mut looked_at = 0;
        while orders.len() < size && looked_at < PAGE_ORDERS {
            let (from, until) = view.range();
            // No more than the page has room for: what is looked at is told, or does not fit.
            let step = BLOCK.min(size - orders.len());
            let rows = self.halves().walk(Orders::TABLE, &from, &until, &after, step).await?;
            looked_at += rows.len();
            let names: Vec<String> = rows.iter().filter(|row| view.shows(row)).map(|row| row.name.clone()).collect();
            let halves = self.halves();
            let said: Vec<Said<Order>> = halves.named(names.iter().cloned()).await?;
            let answers: Vec<Said<Acceptance>> =
                halves.sharing(Acceptances::COLLECTION, "order", names.iter().cloned().map(Some)).await?;
            for name in &names {
                let order = said.iter().find(|order| order.name.as_str() == name);
                let state = order.and_then(|order| order_state(order, &answers, at));
                orders.extend(state.filter(|state| stage.is_none_or(|stage| state.stage() == stage)));
            }
            match rows.last() {
                Some(last) if rows.len() == step => after = last.clone(),
                _ => return Ok(ListOrderStatesResponse { orders, next_page_token: None }),
            }
        }
        let token = page_token(&question, &(after.area, after.name))?;
        Ok(ListOrderStatesResponse { orders, next_page_token: Some(token) })
    }
}

fn stage_of(state: &str) -> Result<OrderStage> {
    let stage = OrderStage::from_str_name(&format!("ORDER_STAGE_{state}")).filter(|s| *s != OrderStage::Unspecified);
    let known = "ORDERED, TAKEN, FULFILLED, DECLINED, CANCELLED, CONFIRMED";
    stage.ok_or_else(|| Error::refused("state", Reason::NotInList, known))
}
