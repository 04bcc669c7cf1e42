//! Reporting: tables that add up, at home and at the nation, now and for any day that was.

mod city;
mod people;
mod reach;
mod tags;

use qianshou_kernel::{error::Reason, identity::Role};
use qianshou_proto::{
    registry::v1::{Agency, Certificate, CertificateLevel, Station, StationType, Worker},
    reporting::v1::{
        Cell, CellStatus, ListIndicatorsRequest, ListProblemsRequest, ReadTableRequest, ReadTableResponse, cell::Value,
    },
};
use qianshou_tests::{
    Caller, World, eventually,
    refusal::refused,
    sample::{self, FUJIAN, NINGXIA, agency, certificate, station, worker},
    stories,
    treaty::{agree, introduce, settled, share, terms, to_nation},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tonic::Status;

stories! {
    the_nations_table_adds_up
    a_person_of_two_provinces_is_one
    coverage_is_of_the_day
    a_table_is_restated_on_the_boundaries_of_a_day
    a_correction_restates_what_was
    what_has_no_date_is_told
    tallies_are_what_a_recount_gives
    a_table_has_what_was_written_before
    what_cannot_be_answered_is_refused
}

/// What most stories ask for.
const STOCKS: [&str; 6] =
    ["talent_total", "certified_total", "agency_total", "station_total", "station_township", "station_professional"];

async fn the_nations_table_adds_up(world: World) {
    let [fujian, ningxia, nation] = [world.node("35").await, world.node("64").await, world.node("00").await];
    introduce(&[&fujian.admin, &ningxia.admin, &nation.admin]).await;
    let from_ningxia = agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let from_fujian = agree(&fujian.admin, &nation.admin, terms("35", "00", to_nation("35"))).await;
    let [_, _, workers, certificates] = sample::fill(&ningxia.admin, NINGXIA, 1..61).await;
    sample::fill(&fujian.admin, FUJIAN, 100..120).await;
    let senior = Certificate { level: Some(CertificateLevel::Senior.into()), ..certificate(900, &workers[0]) };
    let senior = ningxia.admin.create(senior).await.unwrap().noun;
    settled(&ningxia.admin, &nation.admin, &from_ningxia).await;
    settled(&fujian.admin, &nation.admin, &from_fujian).await;

    let day = "2024-05-31";
    for (node, area, expected) in [
        (&nation, "64", "60"),
        (&ningxia, "64", "60"),
        (&nation, "35", "20"),
        (&fujian, "35", "20"),
        (&nation, "00", "80"),
    ] {
        assert_eq!(figures(&node.admin, area, day, &STOCKS).await, [expected; 6], "{area} at {}", node.code);
    }
    let levels = ["certified_total[INTERMEDIATE]", "certified_total[SENIOR]", "certified_total[ASSISTANT]"];
    assert_eq!(figures(&nation.admin, "64", day, &levels).await, ["59", "1", "-"], "each at the highest level held");
    assert_eq!(figures(&nation.admin, "6401", day, &["talent_total", "agency_total"]).await, ["40", "40"]);
    assert_eq!(figures(&nation.admin, "640104", day, &["talent_total", "station_total"]).await, ["20", "60"]);
    assert_eq!(figures(&nation.admin, "64", "2019-09-09", &["certified_total", "talent_total"]).await, ["0", "60"]);
    assert_eq!(period(&nation.admin, "64", "2019", "certified_new").await, Some(61));

    // Taken back at home, it is taken back at the nation, and the level below shows.
    ningxia.admin.delete::<Certificate>(senior.name()).await.unwrap();
    ningxia.admin.delete::<Certificate>(&certificates[7]).await.unwrap();
    eventually("the nation's new table", async || {
        (figures(&nation.admin, "64", day, &["certified_total", levels[0], levels[1]]).await == ["59", "59", "-"])
            .then_some(())
    })
    .await;
    for node in [&fujian, &ningxia, &nation] {
        node.counts_right().await;
    }
}

async fn a_person_of_two_provinces_is_one(world: World) {
    let [fujian, ningxia, nation] = [world.node("35").await, world.node("64").await, world.node("00").await];
    introduce(&[&fujian.admin, &ningxia.admin, &nation.admin]).await;
    let from_ningxia = agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let from_fujian = agree(&fujian.admin, &nation.admin, terms("35", "00", to_nation("35"))).await;
    // The same citizen left Ningxia in 2022 and has worked in Fujian since.
    let before = Worker { until: Some("2022-06-30".into()), ..worker(3) };
    let left = ningxia.admin.create(before).await.unwrap().noun;
    ningxia.admin.create(certificate(3, left.name())).await.unwrap();
    let after = Worker { division: Some("350102".into()), since: Some("2022-07-01".into()), ..worker(3) };
    fujian.admin.create(after).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &from_ningxia).await;
    settled(&fujian.admin, &nation.admin, &from_fujian).await;
    // Each province counts by what it says itself, so its figure is the same at home and at the nation; above both she counts once.
    let asked = ["talent_total", "certified_total"];
    for (day, of_ningxia, of_fujian) in [("2021-12-31", ["1", "1"], ["0", "0"]), ("2023-12-31", ["0", "1"], ["1", "0"])]
    {
        for at in [&nation.admin, &ningxia.admin] {
            assert_eq!(figures(at, "64", day, &asked).await, of_ningxia, "{day}");
        }
        for at in [&nation.admin, &fujian.admin] {
            assert_eq!(figures(at, "35", day, &asked).await, of_fujian, "{day}");
        }
        assert_eq!(figures(&nation.admin, "00", day, &asked).await, ["1"; 2], "{day}");
    }
    nation.counts_right().await;
}

/// 242 of 242 townships, and of 243 a year later: a new one was listed, and nobody has opened a station there.
async fn coverage_is_of_the_day(world: World) {
    let ningxia = world.node("64").await;
    let on = |day: &str| {
        let listed = qianshou_registry::store::embedded().unwrap().into_iter();
        let stood = listed.filter(|d| d.valid_from() <= day && d.valid_to.as_deref().is_none_or(|to| to > day));
        let official = |code: &str| code.starts_with("64") && code.len() == 9 && ("001"..="399").contains(&&code[6..]);
        stood.map(|d| d.code().to_owned()).filter(|code| official(code)).collect::<Vec<_>>()
    };
    let townships = on("2021-10-31");
    assert_eq!((townships.len(), on("2022-10-31").len()), (242, 243));
    let stations = (0..).zip(&townships).map(|(n, code)| Station { division: Some(code.clone()), ..station(n) });
    ningxia.admin.put::<Station>(stations.collect()).await.unwrap();
    for (day, covered) in [("2021-10-31", "242/242"), ("2022-10-31", "242/243")] {
        assert_eq!(figures(&ningxia.admin, "64", day, &["township_coverage"]).await, [covered], "{day}");
    }
    let before = format!("0/{}", on("2021-05-31").len());
    assert_eq!(
        figures(&ningxia.admin, "64", "2021-05-31", &["township_coverage"]).await,
        [before],
        "before they opened"
    );
    // A second station covers nothing twice; a planned one and a village's room cover no township.
    let more = [
        station(900),
        Station { status: Some(1), opened_on: None, ..station(901) },
        Station {
            r#type: Some(StationType::VillageRoom.into()),
            division: Some(format!("{}001", sample::TOWNSHIP)),
            ..station(902)
        },
    ];
    ningxia.admin.put::<Station>(more.to_vec()).await.unwrap();
    assert_eq!(
        figures(&ningxia.admin, "64", "2022-10-31", &["township_coverage", "station_township", "station_village"])
            .await,
        ["242/243", "243", "1"]
    );
    let restated = ReadTableRequest {
        divisions_at: Some("2022-10-31".into()),
        ..asked("64", "2021-10-31", &["township_coverage"])
    };
    assert_eq!(shown(&whole(&ningxia.admin, restated).await[0]), "242/243");
}

/// Facts keep the code they were reported under. 沙县 (350427) became 沙县区 (350405) on 2021-10-31, 梅列区 (350402) and 三元区 (350403)
/// became 三元区 (350404), and all their streets and towns got other codes with them.
async fn a_table_is_restated_on_the_boundaries_of_a_day(world: World) {
    const DAY: &str = "2022-12-31";
    let fujian = world.node("35").await;
    let at_place = |n: u32, division: &str| Station { division: Some(division.into()), ..station(n) };
    let stations = [
        at_place(1, "350427001"),
        at_place(2, "350427101"),
        at_place(3, "350405100"),
        at_place(4, "350402001"),
        at_place(5, "350403001"),
        at_place(6, "350404004"),
    ];
    fujian.admin.put(stations.to_vec()).await.unwrap();
    let people = [("350427", 1), ("350402", 2), ("350404", 3)];
    let people = people.map(|(place, n)| Worker { division: Some(place.into()), ..worker(n) });
    fujian.admin.put(people.to_vec()).await.unwrap();

    let figure =
        async |area: &str, on: Option<&str>, indicator: &str| restated(&fujian.admin, area, DAY, on, indicator).await;
    let (old, new) = (Some("2020-12-31"), Some("2023-06-30"));
    for (area, reported, before, after) in [
        ("350427", "2", "3", "0"),
        ("350405", "1", "0", "3"),
        ("350402", "1", "1", "0"),
        ("350403", "1", "2", "0"),
        ("350404", "1", "0", "3"),
        ("350405100", "1", "0", "2"),
        ("3504", "6", "6", "6"),
        ("35", "6", "6", "6"),
    ] {
        let told = [
            figure(area, None, "station_township").await,
            figure(area, old, "station_township").await,
            figure(area, new, "station_township").await,
        ];
        assert_eq!(told, [reported, before, after], "{area}");
    }
    let talent = async |on| [figure("350404", on, "talent_total").await, figure("350405", on, "talent_total").await];
    assert_eq!((talent(None).await, talent(new).await), (["1".into(), "0".into()], ["2".into(), "1".into()]));
    // Twelve towns each then and now; the four places that had a station have one, under whatever code it was reported.
    let coverage = async |area: &str, on| figure(area, on, "township_coverage").await;
    assert_eq!(coverage("350405", new).await, "2/12");
    assert_eq!(coverage("350404", new).await, "2/12");
    assert_eq!(coverage("350427", old).await, "2/12");
    fujian.counts_right().await;
}

/// A correction changes what the table says of the past, at the cost of one subject.
async fn a_correction_restates_what_was(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let [agencies, _, workers, certificates] = sample::fill(admin, NINGXIA, 1..4).await;
    let at = async |day: &str, indicator: &str| figures(admin, "64", day, &[indicator]).await.remove(0);
    let paper = |name: &str| Certificate { name: Some(name.to_owned()), ..Certificate::default() };
    assert_eq!(at("2020-12-31", "certified_total").await, "3");
    admin
        .update(Certificate { issued_on: Some("2021-09-10".into()), ..paper(&certificates[0]) }, &["issued_on"])
        .await
        .unwrap();
    assert_eq!(
        (at("2020-12-31", "certified_total").await, at("2021-12-31", "certified_total").await),
        ("2".into(), "3".into())
    );
    admin
        .update(Certificate { revoked_on: Some("2022-03-01".into()), ..paper(&certificates[1]) }, &["revoked_on"])
        .await
        .unwrap();
    assert_eq!(
        (at("2022-02-28", "certified_total").await, at("2022-03-01", "certified_total").await),
        ("3".into(), "2".into())
    );
    admin
        .update(
            Certificate { registered_until: Some("2023-09-09".into()), ..paper(&certificates[2]) },
            &["registered_until"],
        )
        .await
        .unwrap();
    assert_eq!(
        (at("2023-09-09", "certified_total").await, at("2023-09-10", "certified_total").await),
        ("2".into(), "1".into())
    );

    let closed = Agency { name: Some(agencies[0].clone()), closed_on: Some("2022-05-01".into()), ..Agency::default() };
    admin.update(closed, &["closed_on"]).await.unwrap();
    assert_eq!(
        (at("2022-04-30", "agency_total").await, at("2022-05-01", "agency_total").await),
        ("3".into(), "2".into())
    );
    let moved = Worker { name: Some(workers[0].clone()), division: Some("640202".into()), ..Worker::default() };
    let before = figures(admin, "6402", "2023-12-31", &["talent_total"]).await;
    admin.update(moved, &["division"]).await.unwrap();
    let after = figures(admin, "6402", "2023-12-31", &["talent_total"]).await;
    assert_eq!(
        (before, after, at("2023-12-31", "talent_total").await),
        (vec!["1".into()], vec!["2".into()], "3".into())
    );
    ningxia.counts_right().await;
}

/// Withheld is not zero: a stock without an entering day is an opening balance, a flow without a day is listed.
async fn what_has_no_date_is_told(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    introduce(&[&ningxia.admin, &nation.admin]).await;
    sample::fill(&ningxia.admin, NINGXIA, 1..6).await;
    let mut workers = share("workers", "division sector since", "64");
    workers.pseudonym = Some(true);
    let clauses = vec![workers, share("certificates", "worker level division", "64")];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    settled(&ningxia.admin, &nation.admin, &id).await;
    let cells = whole(&nation.admin, asked("64", "2023-12-31", &["certified_total", "talent_total"])).await;
    assert_eq!((shown(&cells[0]), cells[0].opening()), ("5".to_owned(), 5), "counted, and flagged");
    assert_eq!((shown(&cells[1]), cells[1].opening()), ("5".to_owned(), 0));
    assert_eq!(period(&nation.admin, "64", "2019", "certified_new").await, Some(0));
    let listed = nation
        .admin
        .reporting()
        .list_problems(ListProblemsRequest { page_size: Some(2), page_token: None })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.problems.len(), 2);
    let rest = ListProblemsRequest { page_size: None, page_token: listed.next_page_token.clone() };
    let rest = nation.admin.reporting().list_problems(rest).await.unwrap().into_inner();
    let all = [listed.problems, rest.problems].concat();
    assert_eq!(
        all.iter()
            .filter(|p| p.indicator() == "certified_new" && !p.reason_zh().is_empty() && !p.reason_en().is_empty())
            .count(),
        5
    );
}

/// Whatever happens in whatever order, the tallies are what counting everything again gives; here and at the nation.
async fn tallies_are_what_a_recount_gives(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let admin = &ningxia.admin;
    let [_, _, workers, certificates] = sample::fill(admin, NINGXIA, 1..31).await;
    let mut chance = StdRng::seed_from_u64(7);
    for _ in 0..120 {
        let n = chance.random_range(0..30);
        let day = format!(
            "20{:02}-{:02}-{:02}",
            chance.random_range(15..24),
            chance.random_range(1..13),
            chance.random_range(1..29)
        );
        let holder = Worker { name: Some(workers[n].clone()), ..Worker::default() };
        let paper = Certificate { name: Some(certificates[n].clone()), ..Certificate::default() };
        // Some of it is refused: days out of order, a holder who is still referred to. Then nothing has happened.
        let _ = match chance.random_range(0..6) {
            0 => admin
                .update(Worker { division: Some(sample::COUNTIES[n % 3].into()), ..holder }, &["division"])
                .await
                .map(|w| w.position),
            1 => admin.update(Worker { since: Some(day), ..holder }, &["since"]).await.map(|w| w.position),
            2 => admin.update(Worker { until: Some(day), ..holder }, &["until"]).await.map(|w| w.position),
            3 => {
                admin.update(Certificate { revoked_on: Some(day), ..paper }, &["revoked_on"]).await.map(|w| w.position)
            }
            4 => admin
                .update(Certificate { level: Some(chance.random_range(1..4)), ..paper }, &["level"])
                .await
                .map(|w| w.position),
            _ => admin.delete::<Certificate>(&certificates[n]).await,
        };
    }
    settled(admin, &nation.admin, &id).await;
    let day = "2024-05-31";
    assert_eq!(figures(admin, "64", day, &STOCKS).await, figures(&nation.admin, "64", day, &STOCKS).await);
    ningxia.counts_right().await;
    nation.counts_right().await;
    let nation = nation.restart().await;
    nation.counts_right().await;
}

/// Import, then table: the table has the import in it.
async fn a_table_has_what_was_written_before(world: World) {
    let ningxia = world.node("64").await;
    for n in 0..20 {
        let position = ningxia.admin.create(agency(n)).await.unwrap().position;
        let request = ReadTableRequest { min_position: Some(position), ..asked("64", "2024-05-31", &["agency_total"]) };
        let cells = read(&ningxia.admin, request).await.unwrap();
        assert_eq!(shown(&cells[0]), (n + 1).to_string());
        let as_of = cells[0].as_of.unwrap();
        assert!(as_of.position() >= position && as_of.epoch() == 1);
    }
    let ahead = ReadTableRequest { min_position: Some(1 << 40), ..asked("64", "2024-05-31", &["agency_total"]) };
    refused(read(&ningxia.admin, ahead).await, Reason::NotYet, "min_position");
}

async fn what_cannot_be_answered_is_refused(world: World) {
    let ningxia = world.node("64").await;
    sample::fill(&ningxia.admin, NINGXIA, 1..3).await;
    let sound = || asked("64", "2023-12-31", &["talent_total"]);
    let faults = [
        (ReadTableRequest { indicators: vec![], ..sound() }, Reason::Required, "indicators"),
        (ReadTableRequest { indicators: vec!["happiness".into()], ..sound() }, Reason::NotInList, "indicators"),
        (ReadTableRequest { area: None, ..sound() }, Reason::Required, "area"),
        (ReadTableRequest { area: Some("640".into()), ..sound() }, Reason::Malformed, "area"),
        (ReadTableRequest { at: Some("2023-02-30".into()), ..sound() }, Reason::Malformed, "at"),
        (ReadTableRequest { at: None, period: Some("2023Q5".into()), ..sound() }, Reason::Malformed, "period"),
        (ReadTableRequest { by: vec!["colour".into()], ..sound() }, Reason::UnknownField, "by"),
        (ReadTableRequest { divisions_at: Some("?".into()), ..sound() }, Reason::Malformed, "divisions_at"),
    ];
    for (wrong, reason, field) in faults {
        refused(read(&ningxia.admin, wrong).await, reason, field);
    }
    let unknown = read(&ningxia.admin, asked("649999", "2023-12-31", &["talent_total"])).await.unwrap();
    assert_eq!(
        (unknown[0].status(), unknown[0].value),
        (CellStatus::Missing, None),
        "what nobody knows is missing, not zero"
    );
    let reader = ningxia.caller(Role::Reader, "6401").await;
    assert_eq!(figures(&reader, "640104", "2023-12-31", &["agency_total"]).await.len(), 1);
    for outside in ["64", "6402", "00"] {
        refused(read(&reader, asked(outside, "2023-12-31", &["talent_total"])).await, Reason::AreaForbidden, "area");
    }
    refused(read(&ningxia.stranger(), sound()).await, Reason::Unauthenticated, "");
    let padded = read(&ningxia.admin, asked("640000000000", "2023-12-31", &["talent_total"])).await.unwrap();
    assert_eq!(padded[0].area(), "64");
    let known = reader.reporting().list_indicators(ListIndicatorsRequest {}).await.unwrap().into_inner().indicators;
    assert!(
        STOCKS.iter().all(|id| known.iter().any(|indicator| indicator.id() == *id && !indicator.name_zh().is_empty()))
    );
}

/// Figures at the end of a day, as people read them: `indicator`, `indicator[SENIOR]` of a level, or `indicator[origin=NEW]`; `-` where
/// there is no such cell.
pub(crate) async fn figures(at: &Caller, area: &str, day: &str, indicators: &[&str]) -> Vec<String> {
    let mut figures = vec![];
    for figure in indicators {
        let (id, by) = figure.split_once('[').map_or((*figure, ""), |(id, by)| (id, by.trim_end_matches(']')));
        let (key, value) = by.split_once('=').unwrap_or(("level", by));
        let by = if value.is_empty() { vec![] } else { vec![key.to_owned()] };
        let cells = whole(at, ReadTableRequest { by, ..asked(area, day, &[id]) }).await;
        let cell = cells.iter().find(|cell| cell.by.first().map_or("", |by| by.value()) == value);
        figures.push(cell.map_or_else(|| "-".to_owned(), shown));
    }
    figures
}

/// A figure at the end of a day, as reported or on the boundaries of another.
pub(crate) async fn restated(at: &Caller, area: &str, day: &str, on: Option<&str>, indicator: &str) -> String {
    let request = ReadTableRequest { divisions_at: on.map(str::to_owned), ..asked(area, day, &[indicator]) };
    shown(&whole(at, request).await[0])
}

/// A table in which everything is counted. On a busy machine that may take longer than a table waits for.
async fn whole(at: &Caller, request: ReadTableRequest) -> Vec<Cell> {
    let provisional = |cells: &[Cell]| cells.iter().any(|cell| cell.status() == CellStatus::Provisional);
    let look = async || Some(read(at, request.clone()).await.unwrap()).filter(|cells| !provisional(cells));
    eventually("a table with everything counted", look).await
}

/// A flow over a period.
async fn period(at: &Caller, area: &str, period: &str, indicator: &str) -> Option<i64> {
    let request = ReadTableRequest { at: None, period: Some(period.to_owned()), ..asked(area, "", &[indicator]) };
    match whole(at, request).await.remove(0).value {
        Some(Value::Count(count)) => Some(count),
        _ => None,
    }
}

fn asked(area: &str, day: &str, indicators: &[&str]) -> ReadTableRequest {
    ReadTableRequest {
        indicators: indicators.iter().map(|id| (*id).to_owned()).collect(),
        area: Some(area.to_owned()),
        at: Some(day.to_owned()),
        ..ReadTableRequest::default()
    }
}

async fn read(at: &Caller, request: ReadTableRequest) -> Result<Vec<Cell>, Status> {
    let ReadTableResponse { cells } = at.reporting().read_table(request).await?.into_inner();
    Ok(cells)
}

fn shown(cell: &Cell) -> String {
    match &cell.value {
        Some(Value::Count(count)) => count.to_string(),
        Some(Value::Ratio(ratio)) => format!("{}/{}", ratio.numerator(), ratio.denominator()),
        Some(Value::Fen(fen)) => format!("{fen} fen"),
        None => cell.status().as_str_name().to_owned(),
    }
}

mod restating {
    //! Figures at codes of any list since 2016, restated over the embedded history on any day: what an area has is what its codes bring,
    //! to the last unit, and nothing is lost or made.

    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::LazyLock,
    };

    use proptest::{prelude::*, sample::Index};
    use qianshou_kernel::{
        id::Area,
        succession::{self, Share, Shares, Succession, divided, settled},
    };
    use qianshou_registry::store::{embedded, embedded_changes};
    use qianshou_reporting::domain::{restate::Plan, tally::Amount};

    /// Before, on, and after the days of the lists.
    const DAYS: [&str; 8] = [
        "2016-07-31",
        "2017-12-31",
        "2018-10-31",
        "2019-10-30",
        "2020-06-30",
        "2021-10-31",
        "2022-10-31",
        "2024-01-01",
    ];

    static HISTORY: LazyLock<Succession> = LazyLock::new(|| {
        let changes = embedded_changes().unwrap();
        let told = changes.iter().map(|c| succession::Change::told(c.effective_on(), &c.from, &c.to, &c.parts));
        Succession::new(told)
    });
    static MOVED: LazyLock<BTreeMap<&str, BTreeMap<String, Shares>>> =
        LazyLock::new(|| DAYS.map(|day| (day, HISTORY.moved(day))).into());
    /// Codes with a day on which they are listed. Those that changed come twice, so that they are tried out.
    static LISTED: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
        let divisions = embedded().unwrap();
        let of = |d: &qianshou_proto::registry::v1::Division| {
            let code = Area::parse(d.code())?.as_str().to_owned();
            (code.len() > 2).then(|| (code, d.valid_from().to_owned()))
        };
        let changed = divisions.iter().filter(|d| d.valid_to.is_some() || d.valid_from() > DAYS[0]);
        divisions.iter().step_by(20).chain(changed).filter_map(of).collect()
    });

    /// What figures are on a day, by the codes they are at then, one code after the other.
    fn counted(facts: &BTreeMap<String, i64>, moved: &BTreeMap<String, Shares>) -> BTreeMap<String, i64> {
        let mut own: BTreeMap<&str, i64> = BTreeMap::new();
        for (code, figure) in facts {
            let area = Area::parse(code).unwrap();
            let path: Vec<&str> = area.path();
            let went = path.iter().rev().find_map(|up| moved.get_key_value(*up));
            // What lies in a division that remains has not moved.
            let went = went.filter(|(up, became)| *up == code || !became.contains_key(*up)).map(|(up, _)| up.as_str());
            *own.entry(went.unwrap_or(code)).or_default() += figure;
        }
        let mut at: BTreeMap<String, i64> = BTreeMap::new();
        for (code, figure) in own {
            let shares = match moved.get(code) {
                Some(_) => settled(code, moved),
                None => Shares::from([(code.to_owned(), Share::WHOLE)]),
            };
            let (parts, rest) = divided(figure, &shares);
            assert_eq!(rest, 0, "no province was abolished");
            parts.into_iter().for_each(|(to, part)| *at.entry(to.to_owned()).or_default() += part);
        }
        at
    }

    fn restated(area: &str, facts: &BTreeMap<String, i64>, moved: &BTreeMap<String, Shares>) -> i64 {
        let area = Area::parse(area).unwrap();
        let plan = Plan::of(&area, moved, &BTreeSet::new());
        let sum = |under: &dyn Fn(&str) -> bool| facts.iter().filter(|(code, _)| under(code)).map(|(_, n)| n).sum();
        let of = |code: &str| {
            let value: i64 = sum(&|fact| fact.starts_with(code));
            (code.to_owned(), BTreeMap::from([(String::new(), Amount { value, opening: 0 })]))
        };
        let reported = plan.codes().into_iter().map(of).collect();
        let under = |code: &str| {
            let value: i64 = sum(&|fact| fact.starts_with(code) && fact != code);
            (code.to_owned(), BTreeMap::from([(String::new(), Amount { value, opening: 0 })]))
        };
        let below = plan.remaining().into_iter().map(under).collect();
        let own: i64 = sum(&|fact| area.covers(fact));
        own + plan.difference(&reported, &below).values().map(|more| more.value).sum::<i64>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn figures_reconcile_over_the_embedded_history(
            figures in prop::collection::vec((any::<Index>(), -100_000_i64..1_000_000), 1..40), day in 0..DAYS.len(), at in any::<Index>(),
        ) {
            let (on, moved) = (DAYS[day], &MOVED[DAYS[day]]);
            let mut facts: BTreeMap<String, i64> = BTreeMap::new();
            for (place, figure) in figures {
                let (code, listed_on) = place.get(&LISTED);
                // As it was listed that day: what became of it, and what became of nothing, is all there is.
                let shares = HISTORY.of(code, listed_on, on);
                let (parts, rest) = divided(figure, &shares);
                prop_assert_eq!(parts.values().sum::<i64>() + rest, figure, "{} of {}", code, listed_on);
                *facts.entry(code.clone()).or_default() += figure;
            }
            let counted = counted(&facts, moved);
            let total: i64 = facts.values().sum();
            prop_assert_eq!(counted.values().sum::<i64>(), total);
            let provinces: BTreeSet<&str> = facts.keys().map(|code| &code[..2]).collect();
            let of = |province: &&str| restated(province, &facts, moved);
            prop_assert_eq!(provinces.iter().map(of).sum::<i64>(), total);
            // Any area has what its codes have, and so have all above it.
            let codes: Vec<&str> = counted.keys().chain(facts.keys()).map(String::as_str).collect();
            let area = Area::parse(at.get::<&str>(&codes)).unwrap();
            for up in area.path() {
                let covers = |code: &&String| Area::parse(up).unwrap().covers(code);
                let expected: i64 = counted.iter().filter(|(code, _)| covers(code)).map(|(_, n)| n).sum();
                prop_assert_eq!(restated(up, &facts, moved), expected, "{} on {}", up, on);
            }
        }
    }
}
