//! Workers (社会工作专业人才): a person's record at one province. The citizen number (GB 11643) is sealed and is the natural
//! key by its blind index; elsewhere the person is a pseudonym.

use qianshou_kernel::kind::{Check, Days, Index, Noun};
use qianshou_proto::registry::v1::{Assignment, Sector, Worker};

use super::{agency::Agencies, identifier, station::Stations};

/// The noun.
pub struct Workers;

impl Noun for Workers {
    type Record = Worker;

    const COLLECTION: &'static str = "workers";
    const TABLE: &'static str = "registry_workers";
    const PERSON: Option<u32> = Some(14);
    const KEY: Option<&'static str> = Some("id_number");

    fn check(worker: &mut Worker, check: &mut Check) {
        let today = check.today;
        check.required_text("full_name", &mut worker.full_name);
        check.required("id_number", &worker.id_number);
        let parse = |text: &str| identifier::citizen_number(text, today).map_err(Into::into);
        check.form("id_number", &mut worker.id_number, parse, |number| number.as_str().to_owned());
        super::division(check, "division", &mut worker.division);
        check.reference("employer", &mut worker.employer, Agencies::COLLECTION);
        check.choice::<Sector>("sector", &mut worker.sector);
        check.text("post_category", &mut worker.post_category);
        check.reference("station", &mut worker.station, Stations::COLLECTION);
        check.choice::<Assignment>("assignment", &mut worker.assignment);
        check.texts("languages", &mut worker.languages);
        let since = check.day("since", &mut worker.since, Days::Past);
        let until = check.day("until", &mut worker.until, Days::Any);
        check.in_order("until", until, "since", since);
        // A pseudonym is written by the exchange, on the way out.
        worker.person = None;
    }

    fn index(worker: &Worker, blind: Option<&str>) -> Index {
        let state = if worker.until.is_some() { "LEFT" } else { "ACTIVE" };
        Index::new(&worker.division, state, &worker.full_name)
            .claim("id_number", &[blind])
            .link("employer", &worker.employer)
            .link("station", &worker.station)
    }

    fn take_secret(worker: &mut Worker) -> Option<String> {
        worker.id_number.take()
    }
}
