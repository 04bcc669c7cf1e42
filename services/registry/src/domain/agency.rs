//! Agencies (社会工作服务机构): organisations with a unified social credit code (GB 32100).

use qianshou_kernel::kind::{Check, Days, Index, Noun};
use qianshou_proto::registry::v1::{Agency, AgencyType};

use super::identifier;

/// The noun.
pub struct Agencies;

impl Noun for Agencies {
    type Record = Agency;

    const COLLECTION: &'static str = "agencies";
    const TABLE: &'static str = "registry_agencies";
    const KEY: Option<&'static str> = Some("uscc");

    fn check(agency: &mut Agency, check: &mut Check) {
        check.required_text("display_name", &mut agency.display_name);
        check.required("uscc", &agency.uscc);
        check.form(
            "uscc",
            &mut agency.uscc,
            |text| identifier::uscc(text).map_err(Into::into),
            |code| code.as_str().to_owned(),
        );
        check.choice::<AgencyType>("type", &mut agency.r#type);
        super::division(check, "division", &mut agency.division);
        let founded = check.day("founded_on", &mut agency.founded_on, Days::Past);
        let closed = check.day("closed_on", &mut agency.closed_on, Days::Past);
        check.in_order("closed_on", closed, "founded_on", founded);
        check.texts("fields", &mut agency.fields);
    }

    fn index(agency: &Agency, _blind: Option<&str>) -> Index {
        let state = if agency.closed_on.is_some() { "CLOSED" } else { "OPEN" };
        Index::new(&agency.division, state, &agency.display_name).claim("uscc", &[agency.uscc.as_deref()])
    }
}
