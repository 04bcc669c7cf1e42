//! Stations (社工站): county centres, township stations, village rooms and city bases, hosted by a division.

use super::agency::Agencies;
use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Index, Noun},
};
use qianshou_proto::registry::v1::{SixHave, Station, StationOrigin, StationStatus, StationType};

/// The noun.
pub struct Stations;

impl Noun for Stations {
    type Record = Station;

    const COLLECTION: &'static str = "stations";
    const TABLE: &'static str = "registry_stations";

    fn check(station: &mut Station, check: &mut Check) {
        check.required_text("display_name", &mut station.display_name);
        check.choice::<StationType>("type", &mut station.r#type);
        check.required("type", &station.r#type);
        check.choice::<StationStatus>("status", &mut station.status);
        station.status.get_or_insert(StationStatus::Operating.into());
        check.choice::<StationOrigin>("origin", &mut station.origin);
        let place = super::division(check, "division", &mut station.division);
        let least = digits_of(station.r#type());
        if place.is_some_and(|place| place.as_str().len() < least) {
            check.refuse("division", Reason::Malformed, format!("at least {least} digits | 至少 {least} 位"));
        }
        // What is planned may lie ahead; what operates has opened.
        let planned = matches!(station.status(), StationStatus::Planned | StationStatus::Building);
        let opened = check.day("opened_on", &mut station.opened_on, if planned { Days::Any } else { Days::Past });
        let closed = check.day("closed_on", &mut station.closed_on, Days::Past);
        check.in_order("closed_on", closed, "opened_on", opened);
        check.reference("operator", &mut station.operator, Agencies::COLLECTION);
        check.texts("languages", &mut station.languages);
        check.text("brand", &mut station.brand);
        check.choices::<SixHave>("six_haves", &mut station.six_haves);
        check.text("demonstration_level", &mut station.demonstration_level);
        check.text("demonstration_batch", &mut station.demonstration_batch);
        check.text("ref", &mut station.r#ref);
    }

    fn index(station: &Station, _blind: Option<&str>) -> Index {
        let state = station.status().as_str_name().trim_start_matches("STATION_STATUS_");
        let kind = station.r#type.map(|t| t.to_string());
        let mut key = vec![station.display_name.as_deref(), kind.as_deref(), station.division.as_deref()];
        key.extend(station.r#ref.as_deref().map(Some));
        Index::new(&station.division, state, &station.display_name)
            .claim("display_name", &key)
            .link("operator", &station.operator)
    }
}

/// The level of the division that hosts a station, in digits of its code, at least.
fn digits_of(kind: StationType) -> usize {
    match kind {
        StationType::Unspecified => 2,
        StationType::CityBase => 4,
        StationType::CountyCentre | StationType::CountyMain => 6,
        StationType::TownshipStation | StationType::VillageRoom => 9,
    }
}
