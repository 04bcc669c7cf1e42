use std::time::Duration;

use qianshou_kernel::{
    error::{Error, Reason},
    identity::{Caller, Role},
};
use qianshou_proto::{
    common::v1::EndReason,
    registry::v1::{
        CertificateLevel::{Assistant, Senior},
        Division,
        StationType::TownshipStation,
    },
    reporting::v1::{Cell, CellStatus, ListProblemsRequest, ReadTableRequest, Unit, cell::Value},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::testing::{certificate, name, station, text, worker},
    follow::testing::House,
};

fn caller(area: &str) -> Caller {
    Caller::new("persons/1", Role::Reader, area)
}

fn asked(indicator: &str, area: &str) -> ReadTableRequest {
    ReadTableRequest { indicators: vec![indicator.into()], area: text(area), ..ReadTableRequest::default() }
}

fn at(indicator: &str, area: &str, day: &str) -> ReadTableRequest {
    ReadTableRequest { at: text(day), ..asked(indicator, area) }
}

fn over(indicator: &str, area: &str, period: &str) -> ReadTableRequest {
    ReadTableRequest { period: text(period), ..asked(indicator, area) }
}

fn by(request: ReadTableRequest, by: &[&str]) -> ReadTableRequest {
    ReadTableRequest { by: by.iter().map(|key| (*key).to_owned()).collect(), ..request }
}

impl House {
    async fn table(&self, request: ReadTableRequest) -> Vec<Cell> {
        self.follow().await;
        self.reporting.table(&caller("00"), request).await.unwrap().cells
    }

    /// The total's figure.
    async fn figure(&self, request: ReadTableRequest) -> Option<i64> {
        match self.table(request).await.into_iter().next()?.value? {
            Value::Count(count) => Some(count),
            value => panic!("{value:?}"),
        }
    }

    async fn refused(&self, request: ReadTableRequest) -> Reason {
        self.reporting.table(&caller("00"), request).await.unwrap_err().reason()
    }

    async fn division(&self, code: &str, valid_from: &str, valid_to: &str) {
        let division = Division {
            code: text(code),
            valid_from: text(valid_from),
            valid_to: text(valid_to),
            ..Division::default()
        };
        self.put(&format!("nodes/00/divisions/{code}{valid_from}"), 1, &division).await;
    }

    async fn certified(&self) {
        self.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
        self.put(&name("workers", "v"), 1, &worker("640221", "", "2023-05-17")).await;
        self.put(&name("certificates", "1"), 1, &certificate("w", Senior, "2019-03-05", "")).await;
        self.put(&name("certificates", "2"), 1, &certificate("v", Assistant, "2019-05-20", "2022-05-19")).await;
    }
}

#[tokio::test]
async fn a_stock_is_what_entered_and_has_not_left() {
    let house = House::open().await;
    house.certified().await;
    for (day, count) in [
        ("2019-03-04", 0),
        ("2019-03-05", 1),
        ("2019-05-19", 1),
        ("2019-05-20", 2),
        ("2022-05-19", 2),
        ("2022-05-20", 1),
        ("2030-01-01", 1),
    ] {
        assert_eq!(house.figure(at("certified_total", "00", day)).await, Some(count), "{day}");
    }
    assert_eq!(house.figure(at("certified_total", "640000", "2019-12-31")).await, Some(2));
    assert_eq!(house.figure(at("certified_total", "6402", "2019-12-31")).await, Some(1));
    assert_eq!(house.figure(over("certified_total", "64", "2019Q1")).await, Some(1));
    assert_eq!(house.figure(over("certified_total", "64", "2019-04")).await, Some(1));

    let cells = house.table(at("talent_total", "64", "2023-05-16")).await;
    assert_eq!((cells[0].opening, cells[0].value), (Some(1), Some(Value::Count(2))));
    assert_eq!(
        (cells[0].at.as_deref(), cells[0].period.as_deref(), cells[0].unit()),
        (Some("2023-05-16"), None, Unit::Person)
    );
    // The one without an entering date leaves on the 17th; nothing said, today is meant.
    let cells = house.table(asked("talent_total", "64")).await;
    assert_eq!(
        (cells[0].opening, cells[0].value, cells[0].at.as_deref()),
        (Some(0), Some(Value::Count(1)), Some("2023-06-30"))
    );
}

#[tokio::test]
async fn a_flow_is_what_happened() {
    let house = House::open().await;
    house.certified().await;
    for (period, count) in
        [("2019", 2), ("2019H1", 2), ("2019H2", 0), ("2019Q1", 1), ("2019Q2", 1), ("2019-03", 1), ("2018", 0)]
    {
        assert_eq!(house.figure(over("certified_new", "64", period)).await, Some(count), "{period}");
    }
    for (day, count) in [("2019-03-04", 0), ("2019-03-05", 1), ("2019-05-19", 1), ("2019-05-31", 2), ("2020-12-31", 0)]
    {
        assert_eq!(house.figure(at("certified_new", "64", day)).await, Some(count), "{day}");
    }
    let cell = house.table(at("certified_new", "64", "2019-05-19")).await.remove(0);
    assert_eq!((cell.at.as_deref(), cell.period.as_deref(), cell.opening), (Some("2019-05-19"), Some("2019"), None));
}

#[tokio::test]
async fn a_breakdown_follows_its_total() {
    let house = House::open().await;
    house.certified().await;
    let told = |cells: Vec<Cell>| -> Vec<String> {
        let tell = |cell: Cell| {
            let by: Vec<String> = cell.by.iter().map(|d| format!("{}={}", d.key(), d.value())).collect();
            format!("{} {:?}", by.join(" "), cell.value)
        };
        cells.into_iter().map(tell).collect()
    };
    let cells = house.table(by(at("certified_total", "64", "2019-12-31"), &["level"])).await;
    assert_eq!(told(cells), [" Some(Count(2))", "level=ASSISTANT Some(Count(1))", "level=SENIOR Some(Count(1))"]);
    let cells = house.table(by(at("certified_total", "64", "2022-12-31"), &["sector", "level", "sector"])).await;
    assert_eq!(told(cells), [" Some(Count(1))", "sector=AGENCY level=SENIOR Some(Count(1))"]);
}

#[tokio::test]
async fn coverage_divides_by_the_official_list_of_the_day() {
    let house = House::open().await;
    for code in ["640104001", "640104002", "640104400", "130171001"] {
        house.division(code, "2016-07-31", "").await;
    }
    house.division("640104012", "2022-10-31", "").await;
    house.division("640104900", "2016-07-31", "2020-01-01").await;
    house.put(&name("stations", "1"), 1, &station(TownshipStation, "640104001", "2021-06-15", "")).await;
    house.put(&name("stations", "2"), 1, &station(TownshipStation, "640104001", "2021-08-01", "")).await;
    house.put(&name("stations", "3"), 1, &station(TownshipStation, "640104002000", "", "2022-12-31")).await;
    house.put(&name("stations", "4"), 1, &station(TownshipStation, "640104400", "2021-08-01", "")).await;
    let ratio = async |request| match house.table(request).await.remove(0) {
        Cell { value: Some(Value::Ratio(ratio)), .. } => (ratio.numerator(), ratio.denominator()),
        Cell { value: None, status, .. } => (-1, i64::from(status.unwrap())),
        cell => panic!("{cell:?}"),
    };
    let missing = (-1, i64::from(i32::from(CellStatus::Missing)));
    for (day, expected) in [
        ("2015-01-01", missing),
        ("2021-06-14", (1, 2)),
        ("2021-06-15", (2, 2)),
        ("2021-10-31", (2, 2)),
        ("2022-10-31", (2, 3)),
        ("2022-12-31", (1, 3)),
    ] {
        assert_eq!(ratio(at("township_coverage", "64", day)).await, expected, "{day}");
    }
    assert_eq!(ratio(at("township_coverage", "00", "2021-10-31")).await, (2, 3));
    assert_eq!(ratio(at("township_coverage", "640104001", "2021-10-31")).await, (1, 1));
    assert_eq!(ratio(at("village_coverage", "64", "2021-10-31")).await, missing);
    let listed = ReadTableRequest { divisions_at: text("2022-10-31"), ..at("township_coverage", "64", "2021-10-31") };
    assert_eq!(ratio(listed).await, (2, 3));

    house.end("nodes/00/divisions/6401040022016-07-31", 2, EndReason::Deleted, "2023-01-01").await;
    house.end("nodes/00/divisions/6401040012016-07-31", 2, EndReason::Ended, "2022-01-01").await;
    assert_eq!(ratio(at("township_coverage", "64", "2021-10-31")).await, (1, 1));
    assert_eq!(ratio(at("township_coverage", "64", "2022-10-31")).await, (0, 1));
}

#[tokio::test]
async fn zero_is_not_missing() {
    let house = House::open().await;
    house.certified().await;
    house.division("640105", "2016-07-31", "").await;
    for (area, status) in [
        ("640105", CellStatus::Normal),
        ("640104", CellStatus::Normal),
        ("00", CellStatus::Normal),
        ("640199", CellStatus::Missing),
    ] {
        let cells = house.table(by(at("certified_total", area, "2000-01-01"), &["level"])).await;
        let figure = (status == CellStatus::Normal).then_some(Value::Count(0));
        assert_eq!((cells.len(), cells[0].status(), cells[0].value), (1, status, figure), "{area}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused() {
    let house = House::open().await;
    let request = || at("certified_total", "64", "2023-01-01");
    for (request, reason) in [
        (ReadTableRequest { indicators: vec![], ..request() }, Reason::Required),
        (ReadTableRequest { area: None, ..request() }, Reason::Required),
        (ReadTableRequest { area: text("宁夏"), ..request() }, Reason::Malformed),
        (at("certified", "64", "2023-01-01"), Reason::NotInList),
        (at("certified_total", "64", "2023"), Reason::Malformed),
        (over("certified_total", "64", "2023Q5"), Reason::Malformed),
        (ReadTableRequest { period: text("2023"), ..request() }, Reason::Malformed),
        (ReadTableRequest { divisions_at: text("2023"), ..request() }, Reason::Malformed),
        (by(request(), &["level", "type"]), Reason::UnknownField),
        (by(at("township_coverage", "64", "2023-01-01"), &["type"]), Reason::UnknownField),
        (ReadTableRequest { indicators: vec!["certified_total".into(); 101], ..request() }, Reason::TooMany),
    ] {
        assert_eq!(house.refused(request.clone()).await, reason, "{request:?}");
    }
    let Err(Error::Refused(refusal)) = house.reporting.table(&caller("00"), by(request(), &["batch"])).await else {
        panic!()
    };
    assert!(refusal.0[0].en.contains("level, sector"), "{refusal}");
    for (own, reason) in [("35", Reason::AreaForbidden), ("6401", Reason::AreaForbidden), ("", Reason::AreaForbidden)] {
        assert_eq!(house.reporting.table(&caller(own), request()).await.unwrap_err().reason(), reason);
    }
    assert!(house.reporting.table(&caller("640000"), request()).await.is_ok());
}

#[tokio::test]
async fn what_was_saved_is_in_the_table() {
    let house = House::open().await;
    let cancel = CancellationToken::new();
    let following = house.reporting.start(cancel.clone());
    for i in 0..20_u64 {
        let position = house.put(&name("workers", &format!("w{i}")), 1, &worker("640104", "2015-01-01", "")).await;
        let cell = house.reporting.table(&caller("00"), asked("talent_total", "64")).await.unwrap().cells.remove(0);
        assert_eq!((cell.value, cell.status()), (Some(Value::Count(i as i64 + 1)), CellStatus::Normal));
        assert!(cell.as_of.unwrap().position() >= position);
    }
    cancel.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn what_is_not_counted_yet_is_provisional() {
    let mut house = House::open().await;
    house.reporting.patience = Duration::from_millis(20);
    house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
    let cell = house.reporting.table(&caller("00"), asked("talent_total", "00")).await.unwrap().cells.remove(0);
    assert_eq!((cell.value, cell.status()), (Some(Value::Count(0)), CellStatus::Provisional));
    let later = ReadTableRequest { min_position: Some(1), ..asked("talent_total", "00") };
    assert_eq!(house.refused(later.clone()).await, Reason::NotYet);
    assert_eq!(house.figure(later).await, Some(1));
}

#[tokio::test]
async fn problems_are_listed_page_by_page_and_by_area() {
    let house = House::open().await;
    for i in 0..5 {
        let mut certificate = certificate("nobody", Assistant, "2016-03-01", "");
        certificate.division = text(if i < 2 { "640104" } else { "350102" });
        house.put(&name("certificates", &i.to_string()), 1, &certificate).await;
    }
    house.follow().await;
    let mut token = None;
    let mut listed = vec![];
    loop {
        let request = ListProblemsRequest { page_size: Some(3), page_token: token };
        let page = house.reporting.problems(&caller("00"), request).await.unwrap();
        listed.extend(page.problems);
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(listed.len(), 10);
    assert_eq!((listed[0].subject(), listed[0].indicator()), (&*name("certificates", "0"), "certified_new"));
    assert!(listed[0].reason_en().contains(&name("workers", "nobody")));
    let of = async |area: &str| {
        house.reporting.problems(&caller(area), ListProblemsRequest::default()).await.unwrap().problems.len()
    };
    assert_eq!((of("64").await, of("350102").await, of("11").await), (4, 6, 0));
    let bad = ListProblemsRequest { page_token: text("x"), ..ListProblemsRequest::default() };
    assert_eq!(house.reporting.problems(&caller("00"), bad).await.unwrap_err().reason(), Reason::BadPageToken);
}

#[tokio::test]
async fn every_indicator_is_listed_with_its_dimensions() {
    let house = House::open().await;
    let listed = house.reporting.indicators(&caller("64")).unwrap().indicators;
    let ids: Vec<&str> = listed.iter().map(|indicator| indicator.id()).collect();
    assert_eq!(
        ids,
        [
            "agency_total",
            "campaign_figure",
            "certified_new",
            "certified_total",
            "dispatch_persons",
            "dispatch_projects",
            "dispatch_sent",
            "document_total",
            "funds_allocated",
            "funds_paid",
            "incubation_total",
            "pairing_total",
            "pairing_trained",
            "post_total",
            "project_total",
            "quota_total",
            "recognition_total",
            "station_assessed",
            "station_bilingual",
            "station_county",
            "station_demonstration",
            "station_professional",
            "station_standard_met",
            "station_total",
            "station_township",
            "station_village",
            "tag_total",
            "talent_total",
            "task_done",
            "task_open",
            "task_total",
            "township_coverage",
            "village_coverage",
            "worker_bilingual",
        ]
    );
    assert_eq!(listed[3].dimensions, ["level", "sector"]);
}
