//! Records that a register takes, told apart by a number.

use std::ops::Range;

use qianshou_proto::{
    common::v1::PutOutcome,
    registry::v1::{
        Agency, AgencyType, Assessment, AssessmentResult, Assignment, Campaign, CampaignMeasure, Category, Certificate,
        CertificateLevel, Criterion, Division, Document, DocumentKind, DocumentStatus, Duty, DutyRole, Employment,
        Figure, Incubation, IncubationStage, IncubationStageKind, Merge, Move, Post, Quota, QuotaBasis, QuotaPart,
        Recognition, RecognitionKind, Sector, SixHave, Station, StationOrigin, StationStatus, StationType, System, Tag,
        TagLabel, Task, Template, Worker,
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

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Posts of a county.
#[must_use]
pub fn post(n: u32) -> Post {
    Post {
        display_name: Some(format!("社会工作岗{n}")),
        category: text("专业技术岗位"),
        division: Some(COUNTIES[n as usize % 3].to_owned()),
        count: Some(1 + n % 3),
        since: text("2021-01-01"),
        sector: Some(Sector::Institution.into()),
        ..Post::default()
    }
}

/// An employment of this worker, told apart by its first day.
#[must_use]
pub fn employment(n: u32, worker: &str) -> Employment {
    Employment {
        worker: text(worker),
        sector: Some(Sector::Agency.into()),
        assignment: Some(Assignment::Professional.into()),
        since: Some(day(n)),
        ..Employment::default()
    }
}

/// A service system of four levels, told apart by its first day; it ends when the next begins.
#[must_use]
pub fn system(n: u32) -> System {
    use StationType::{CityBase, CountyCentre, TownshipStation, VillageRoom};
    System {
        division: text("6401"),
        types: [CountyCentre, TownshipStation, VillageRoom, CityBase].map(i32::from).to_vec(),
        since: Some(day(n)),
        until: Some(day(n + 1)),
        ..System::default()
    }
}

/// An incubation at this base of this agency, told apart by its first day.
#[must_use]
pub fn incubation(n: u32, base: &str, agency: &str) -> Incubation {
    use IncubationStageKind::{Entered, Incubating};
    let stage = |stage: IncubationStageKind, on: &str| IncubationStage { stage: Some(stage.into()), on: text(on) };
    Incubation {
        base: text(base),
        agency: text(agency),
        stage: Some(Incubating.into()),
        stages: vec![stage(Entered, "2023-12-01"), stage(Incubating, "2024-03-01")],
        since: Some(day(n)),
        ..Incubation::default()
    }
}

/// A local standard of two criteria.
#[must_use]
pub fn template(n: u32) -> Template {
    let criterion = |code: &str, title: &str, required, weight| Criterion {
        code: text(code),
        title: text(title),
        required: Some(required),
        weight: Some(weight),
        least: None,
    };
    Template {
        display_name: Some(format!("社工站建设规范{n}")),
        edition: text("2023"),
        issuer: text("自治区党委社会工作部"),
        division: text("64"),
        criteria: vec![criterion("A1", "有固定场地", true, 60), criterion("A2", "有办公设备", false, 40)],
        valid_from: text("2009-01-01"),
        ..Template::default()
    }
}

/// An assessment of this station by this template, told apart by its day.
#[must_use]
pub fn assessment(n: u32, station: &str, template: &str) -> Assessment {
    let result = |code: &str, met, score| AssessmentResult {
        criterion: text(code),
        met: Some(met),
        score,
        evidence: text("宁评〔2023〕1号"),
    };
    Assessment {
        station: text(station),
        template: text(template),
        assessed_on: Some(day(n)),
        assessor: text("宁夏社会工作协会"),
        results: vec![result("A1", true, Some(90)), result("A2", false, None)],
        six_haves: vec![SixHave::Place.into(), SixHave::Staff.into()],
        ..Assessment::default()
    }
}

/// That this station is a demonstration station, told apart by its day.
#[must_use]
pub fn recognition(n: u32, station: &str) -> Recognition {
    Recognition {
        station: text(station),
        kind: Some(RecognitionKind::Demonstration.into()),
        level: text("省级"),
        batch: text("第一批"),
        issuer: text("自治区民政厅"),
        recognised_on: Some(day(n)),
        ..Recognition::default()
    }
}

/// A policy.
#[must_use]
pub fn document(n: u32) -> Document {
    Document {
        title: Some(format!("关于加强社工站建设的意见{n}")),
        number: Some(format!("宁民发〔2021〕{n}号")),
        kind: Some(DocumentKind::Policy.into()),
        issuers: vec!["自治区民政厅".to_owned(), "自治区财政厅".to_owned()],
        issued_on: text("2021-04-20"),
        status: Some(DocumentStatus::InForce.into()),
        division: text("64"),
        ..Document::default()
    }
}

/// That this agency moves to Ningxia, or to Fujian if it is there.
#[must_use]
pub fn moving(agency: &str) -> Move {
    let to = if agency.starts_with("nodes/64/") { "35" } else { "64" };
    Move { agency: text(agency), to: text(to), on: text("2024-03-01"), ..Move::default() }
}

/// That an agency is another's duplicate.
#[must_use]
pub fn merge(duplicate: &str, survivor: &str) -> Merge {
    let (agency, surviving_agency) = (text(duplicate), text(survivor));
    Merge { agency, surviving_agency, ..Merge::default() }
}

/// A task of a city, told apart by its number.
#[must_use]
pub fn task(n: u32) -> Task {
    let duty =
        |role: DutyRole, division: &str| Duty { role: Some(role.into()), division: text(division), ..Duty::default() };
    Task {
        title: Some(format!("社工站全覆盖{n}")),
        division: text("6401"),
        issued_on: text("2021-03-01"),
        due_on: text("2021-12-31"),
        duties: vec![
            duty(DutyRole::Plan, "6401"),
            duty(DutyRole::Supervise, "640104"),
            duty(DutyRole::Implement, TOWNSHIP),
        ],
        ..Task::default()
    }
}

/// A campaign with two measures.
#[must_use]
pub fn campaign(n: u32) -> Campaign {
    let measure =
        |code: &str, title: &str| CampaignMeasure { code: text(code), title: text(title), unit: text("人次") };
    Campaign {
        title: Some(format!("汛期应急服务{n}")),
        division: text("64"),
        starts_on: text("2023-07-01"),
        emergency: Some(true),
        measures: vec![measure("VISITS", "入户探访"), measure("HOTLINE", "热线服务")],
        ..Campaign::default()
    }
}

/// What was counted for the first campaign, told apart by its day.
#[must_use]
pub fn figure(n: u32) -> Figure {
    Figure {
        campaign: campaign(1).title,
        measure: text("VISITS"),
        division: text("640104"),
        on: Some(format!("2023-{:02}-{:02}", 7 + n / 28 % 6, 1 + n % 28)),
        value: Some(n),
        ..Figure::default()
    }
}

/// A group of clients.
#[must_use]
pub fn category(n: u32) -> Category {
    Category {
        code: Some(format!("GROUP_{n}")),
        title: Some(format!("服务对象{n}")),
        division: text("64"),
        valid_from: text("2021-01-01"),
        ..Category::default()
    }
}

/// How posts are distributed over sectors.
#[must_use]
pub fn quota(n: u32) -> Quota {
    let part =
        |value: &str, share, planned| QuotaPart { value: text(value), share: Some(share), planned: Some(planned) };
    Quota {
        title: Some(format!("岗位设置方案{n}")),
        division: text("64"),
        basis: Some(QuotaBasis::Sector.into()),
        parts: vec![part("AGENCY", 4_050, 120), part("INSTITUTION", 2_450, 75), part("COMMUNITY", 3_500, 105)],
        since: Some(day(n)),
        ..Quota::default()
    }
}

/// A key county, told apart by its first day.
#[must_use]
pub fn tag(n: u32) -> Tag {
    Tag {
        division: text("640424"),
        label: Some(TagLabel::KeyCounty.into()),
        since: Some(day(n)),
        source: text("国乡振发〔2021〕7号"),
        ..Tag::default()
    }
}

/// A day for each number, before the stories' own.
fn day(n: u32) -> String {
    format!("20{:02}-{:02}-{:02}", 10 + n / 336, 1 + n / 28 % 12, 1 + n % 28)
}
