//! The registry's service: the kernel's six verbs for each of its nouns.

use qianshou_kernel::nouns;
use qianshou_proto::registry::v1 as api;

use crate::{
    Registry,
    domain::{Agencies, Certificates, Divisions, Stations, Workers},
};

nouns! {
    api::registry_service_server::RegistryService, Registry, api;
    Division division Divisions divisions;
    Agency agency Agencies agencies;
    Station station Stations stations;
    Worker worker Workers workers;
    Certificate certificate Certificates certificates;
}
