//! What can be asked.

use qianshou_kernel::{
    error::Result,
    identity::{Caller, Role},
};
use qianshou_proto::reporting::v1::{Indicator, ListIndicatorsResponse};

use crate::Reporting;

impl Reporting {
    /// Every indicator, by id.
    pub(super) fn indicators(&self, caller: &Caller) -> Result<ListIndicatorsResponse> {
        caller.need(Role::Reader)?;
        let indicators = self.catalogue.indicators().map(|indicator| Indicator {
            id: Some(indicator.id.clone()),
            name_zh: Some(indicator.name_zh.clone()),
            name_en: Some(indicator.name_en.clone()),
            unit: Some(indicator.unit.into()),
            kind: Some(indicator.kind().into()),
            dimensions: indicator.dimensions().map(str::to_owned).collect(),
        });
        Ok(ListIndicatorsResponse { indicators: indicators.collect() })
    }
}
