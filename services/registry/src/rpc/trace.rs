//! What a code of one day is on another.

use qianshou_kernel::{
    clock::{format_day, parse_day},
    error::{Error, Reason, Result},
    id::Area,
    identity::{Caller, Role},
    succession::{Share, Shares, carried, township_of},
};
use qianshou_proto::registry::v1::{TraceDivisionRequest, TraceDivisionResponse, TracedDivision};

use crate::Registry;

impl Registry {
    /// Follows a code through the history of divisions, forwards or back.
    pub(super) async fn trace(&self, caller: &Caller, asked: TraceDivisionRequest) -> Result<TraceDivisionResponse> {
        caller.need(Role::Reader)?;
        let code = asked.code.as_deref().unwrap_or_default();
        if code.is_empty() {
            return Err(Error::refused("code", Reason::Required, ""));
        }
        if Area::parse(code).is_none() {
            return Err(Error::refused("code", Reason::Malformed, "2, 4, 6, 9, 12 digits"));
        }
        let day = |field: &str, text: Option<&str>| -> Result<String> {
            match text.filter(|text| !text.is_empty()) {
                None => Ok(format_day(self.verbs.ledger.clock().today())),
                Some(text) => {
                    let day = parse_day(text).ok_or_else(|| Error::refused(field, Reason::Malformed, "2023-06-30"))?;
                    Ok(format_day(day))
                }
            }
        };
        let (on, at) = (day("on", asked.on.as_deref())?, day("at", asked.at.as_deref())?);
        if !self.divisions.is_listed(code, &on).await? {
            return Err(Error::refused("code", Reason::NotFound, format!("{code}, {on}")));
        }
        let shares = self.became(code, &on, &at).await?;
        let codes: Vec<String> = shares.keys().cloned().collect();
        let names = self.divisions.names_on(&codes, &at).await?;
        let traced = shares.into_iter().map(|(code, share)| TracedDivision {
            display_name: names.get(&code).cloned(),
            code: Some(code),
            numerator: Some(share.numerator),
            denominator: Some(share.denominator),
        });
        Ok(TraceDivisionResponse { divisions: traced.collect() })
    }

    /// What a code became, or was. A village of which nothing is told goes with its township, if the list has it there; if its township
    /// went several ways or the list does not say, it is somewhere in what the township became.
    async fn became(&self, code: &str, on: &str, at: &str) -> Result<Shares> {
        let succession = self.divisions.succession().await?;
        let code = Area::parse(code).map_or_else(|| code.to_owned(), |area| area.as_str().to_owned());
        let own = succession.of(&code, on, at);
        let untold = own.len() == 1 && own.contains_key(&code);
        let Some(township) = township_of(&code).filter(|_| untold) else { return Ok(own) };
        let there = succession.of(township, on, at);
        if there.contains_key(township) {
            return Ok(own);
        }
        if let Some(village) = carried(&code, &there)
            && self.divisions.is_listed(&village, at).await?
        {
            return Ok(Shares::from([(village, Share::WHOLE)]));
        }
        Ok(if self.divisions.is_listed(&code, at).await? { own } else { there })
    }
}
