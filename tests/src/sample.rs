//! Records that a register takes, told apart by a number.

use std::ops::Range;

use qianshou_proto::{
    common::v1::PutOutcome,
    registry::v1::{
        Agency, AgencyType, Assignment, Certificate, CertificateLevel, Division, Sector, Station, StationOrigin,
        StationStatus, StationType, Worker,
    },
};
use qianshou_registry::domain::identifier::{citizen_with_check, uscc_with_check};

use crate::Caller;

/// A county of Ningxia, another in the same prefecture, and one in another.
pub const COUNTIES: [&str; 3] = ["640104", "640122", "640202"];
/// A township of the first of them.
pub const TOWNSHIP: &str = "640104100";

/// Where a sample is put.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The province.
    pub province: &'static str,
    /// Counties, taken in turn.
    pub counties: [&'static str; 3],
    /// The township of the stations.
    pub township: &'static str,
}

/// Ningxia.
pub const NINGXIA: Place = Place { province: "64", counties: COUNTIES, township: TOWNSHIP };
/// Fujian.
pub const FUJIAN: Place = Place { province: "35", counties: ["350102", "350103", "350203"], township: "350102100" };

/// Puts as many agencies, stations, workers and certificates, each referring to the one before it; answers their names.
pub async fn fill(by: &Caller, place: Place, numbers: Range<u32>) -> [Vec<String>; 4] {
    let named = |outcomes: Vec<PutOutcome>| {
        outcomes.into_iter().map(|outcome| outcome.name.expect("a sample is sound")).collect::<Vec<_>>()
    };
    let division = |n: u32| Some(place.counties[n as usize % 3].to_owned());
    let of = |names: &[String], n: u32| names.get((n - numbers.start) as usize).cloned();

    let agencies = numbers.clone().map(|n| Agency { division: division(n), ..agency(n) }).collect();
    let agencies = named(by.put::<Agency>(agencies).await.unwrap());
    let township = || Some(place.township.to_owned());
    let stations =
        numbers.clone().map(|n| Station { operator: of(&agencies, n), division: township(), ..station(n) }).collect();
    let stations = named(by.put::<Station>(stations).await.unwrap());
    let worker =
        |n| Worker { employer: of(&agencies, n), station: of(&stations, n), division: division(n), ..worker(n) };
    let workers = named(by.put::<Worker>(numbers.clone().map(worker).collect()).await.unwrap());
    let certificates = numbers.clone().map(|n| certificate(n, &of(&workers, n).unwrap())).collect();
    let certificates = named(by.put::<Certificate>(certificates).await.unwrap());
    [agencies, stations, workers, certificates]
}

/// A valid unified social credit code.
#[must_use]
pub fn uscc(n: u32) -> String {
    uscc_with_check(&format!("5264000{n:010}")).unwrap()
}

/// A valid citizen number.
#[must_use]
pub fn citizen(n: u32) -> String {
    citizen_with_check(&format!("640104{}01{:02}{:03}", 1960 + n / 27_000, 1 + n / 1_000 % 27, n % 1_000)).unwrap()
}

/// A name that stands nowhere else.
#[must_use]
pub fn full_name(n: u32) -> String {
    let digit = |d: u32| "甲乙丙丁戊己庚辛壬癸".chars().nth(d as usize % 10).unwrap();
    format!("欧阳{}{}{}{}", digit(n / 1_000), digit(n / 100), digit(n / 10), digit(n))
}

/// An agency.
#[must_use]
pub fn agency(n: u32) -> Agency {
    Agency {
        display_name: Some(format!("塞上社会工作服务中心{n}")),
        uscc: Some(uscc(n)),
        r#type: Some(AgencyType::SocialService.into()),
        division: Some(COUNTIES[n as usize % 3].to_owned()),
        founded_on: Some("2018-03-01".to_owned()),
        fields: vec!["儿童福利".to_owned()],
        ..Agency::default()
    }
}

/// A township's station.
#[must_use]
pub fn station(n: u32) -> Station {
    Station {
        display_name: Some(format!("掌政镇社工站{n}")),
        r#type: Some(StationType::TownshipStation.into()),
        division: Some(TOWNSHIP.to_owned()),
        status: Some(StationStatus::Operating.into()),
        opened_on: Some("2021-06-01".to_owned()),
        origin: Some(StationOrigin::New.into()),
        ..Station::default()
    }
}

/// A worker.
#[must_use]
pub fn worker(n: u32) -> Worker {
    Worker {
        full_name: Some(full_name(n)),
        id_number: Some(citizen(n)),
        division: Some(COUNTIES[n as usize % 3].to_owned()),
        sector: Some(Sector::Agency.into()),
        assignment: Some(Assignment::Professional.into()),
        since: Some("2019-07-01".to_owned()),
        ..Worker::default()
    }
}

/// A certificate of this worker.
#[must_use]
pub fn certificate(n: u32, worker: &str) -> Certificate {
    Certificate {
        worker: Some(worker.to_owned()),
        level: Some(CertificateLevel::Intermediate.into()),
        number: Some(format!("2019-{n:08}")),
        issued_on: Some("2019-09-10".to_owned()),
        ..Certificate::default()
    }
}

/// A township that the embedded list does not have.
#[must_use]
pub fn division(n: u32) -> Division {
    Division {
        code: Some(format!("640104{:03}", 300 + n % 99)),
        display_name: Some(format!("新镇{n}")),
        valid_from: Some("2024-01-01".to_owned()),
        ..Division::default()
    }
}
