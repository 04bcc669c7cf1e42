//! A city with a service system of four levels. Its stations came to be in different ways, speak different languages, have different
//! people; so "has a sign", "has a professional", "is a model" and "meets the standard" are figures of their own.

use qianshou_proto::{
    registry::v1::{
        Assessment, Assignment, Employment, Post, Recognition, RecognitionKind, Station, StationOrigin, StationStatus,
        StationType, System, Worker,
    },
    reporting::v1::ListProblemsRequest,
};
use qianshou_tests::{
    Caller, World,
    sample::{agency, assessment, employment, post, recognition, station, system, worker},
    stories,
    treaty::{agree, introduce, settled, share, terms},
};

use super::{asked, figures, whole};

stories! {
    each_figure_of_a_city_tells_its_own_story
}

/// A county of the city.
const COUNTY: &str = "640104";
const CITY: &str = "6401";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The county's official townships of a day, in the order of their codes.
fn townships(day: &str) -> Vec<String> {
    let listed = qianshou_registry::store::embedded().unwrap().into_iter();
    let stood = listed.filter(|d| d.valid_from() <= day && d.valid_to.as_deref().is_none_or(|to| to > day));
    let official = |code: &str| code.len() == 9 && code.starts_with(COUNTY) && ("001"..="399").contains(&&code[6..]);
    let mut codes: Vec<String> = stood.map(|d| d.code().to_owned()).filter(|code| official(code)).collect();
    codes.sort();
    codes
}

/// A base, a centre and six township stations; answers the names of these eight.
async fn build(by: &Caller, townships: &[String]) -> Vec<String> {
    let of = |kind: StationType, division: &str, n| Station {
        r#type: Some(kind.into()),
        division: text(division),
        ..station(n)
    };
    let base = by.create(of(StationType::CityBase, CITY, 90)).await.unwrap().noun;
    let centre = Station { parent: base.name.clone(), ..of(StationType::CountyCentre, COUNTY, 91) };
    let centre = by.create(centre).await.unwrap().noun;
    // Languages, and what each says of itself.
    let six = (1..=6).collect::<Vec<i32>>();
    let plans: [(&[&str], Station); 6] = [
        (&["zh"], Station { six_haves: vec![1, 2], ..station(0) }),
        (&["zh", "hui"], Station { demonstration_level: text("市级"), six_haves: six.clone(), ..station(1) }),
        (&["zh", "mn"], station(2)),
        (&[], Station { six_haves: six, ..station(3) }),
        (&["zh", "hui", "mn"], station(4)),
        (&["zh", "hui"], Station { status: Some(StationStatus::Planned.into()), opened_on: None, ..station(5) }),
    ];
    let origin = |n: usize| if n == 0 { StationOrigin::New } else { StationOrigin::Renamed };
    let stations = plans.into_iter().enumerate().map(|(n, (languages, plan))| Station {
        division: Some(townships[n].clone()),
        parent: centre.name.clone(),
        origin: Some(origin(n).into()),
        languages: languages.iter().map(|language| (*language).to_owned()).collect(),
        ..plan
    });
    let outcomes = by.put::<Station>(stations.collect()).await.unwrap();
    let names = outcomes.into_iter().map(|outcome| outcome.name.unwrap());
    [base.name, centre.name].into_iter().flatten().chain(names).collect()
}

/// One professional who is assigned, one who is employed for a year, and designated staff at two others.
async fn staff(by: &Caller, stations: &[String]) {
    let at = |n: usize| Some(stations[2 + n].clone());
    let designated = || Some(Assignment::Designated.into());
    let workers = [
        Worker { station: at(0), since: text("2022-01-01"), ..worker(1) },
        Worker { station: at(1), assignment: designated(), ..worker(2) },
        Worker { assignment: None, ..worker(3) },
        Worker { assignment: None, ..worker(4) },
    ];
    let names: Vec<String> =
        by.put(workers.to_vec()).await.unwrap().into_iter().map(|outcome| outcome.name.unwrap()).collect();
    let employments = [
        Employment { station: at(2), assignment: designated(), ..employment(1, &names[2]) },
        Employment { station: at(3), since: text("2022-03-01"), until: text("2023-03-01"), ..employment(1, &names[3]) },
        // At no station at all.
        employment(2, &names[2]),
    ];
    assert!(by.put(employments.to_vec()).await.unwrap().iter().all(|outcome| outcome.name.is_some()));
}

/// What was found and recognised, at stations and elsewhere.
async fn judge(by: &Caller, stations: &[String]) {
    let at = |n: usize| stations[2 + n].as_str();
    let found = |n: usize, haves: i32, on: &str, until: &str| Assessment {
        template: None,
        results: vec![],
        six_haves: (1..=haves).collect(),
        assessed_on: text(on),
        expires_on: text(until).filter(|day| !day.is_empty()),
        ..assessment(0, at(n), "")
    };
    let assessments = [
        found(0, 6, "2022-05-10", "2025-05-10"),
        found(0, 4, "2023-05-10", ""),
        found(2, 6, "2022-05-10", "2023-05-10"),
        found(3, 5, "2022-05-10", ""),
    ];
    assert!(by.put(assessments.to_vec()).await.unwrap().iter().all(|outcome| outcome.name.is_some()));
    let host = by.create(agency(1)).await.unwrap().noun.name;
    let recognised = |n: usize, on: &str| Recognition { recognised_on: text(on), ..recognition(0, at(n)) };
    let recognitions = [
        Recognition { withdrawn_on: text("2023-11-01"), ..recognised(0, "2022-06-01") },
        Recognition { level: text("国家级"), batch: None, ..recognised(3, "2023-01-01") },
        Recognition { kind: Some(RecognitionKind::Award.into()), ..recognised(4, "2022-06-01") },
        Recognition { station: None, agency: host, ..recognised(0, "2022-06-01") },
    ];
    assert!(by.put(recognitions.to_vec()).await.unwrap().iter().all(|outcome| outcome.name.is_some()));
    let posts = [
        Post { count: Some(3), division: text(COUNTY), ..post(1) },
        Post { count: None, category: text("管理岗位"), division: text(COUNTY), ..post(2) },
        Post { count: Some(5), ended_on: text("2023-01-01"), division: text("640202"), ..post(3) },
    ];
    assert!(by.put(posts.to_vec()).await.unwrap().iter().all(|outcome| outcome.name.is_some()));
}

async fn each_figure_of_a_city_tells_its_own_story(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clauses = vec![
        share(
            "stations",
            "type division status opened_on closed_on origin languages six_haves demonstration_level demonstration_batch",
            "64",
        ),
        share("workers", "division station assignment since until", "64"),
        share("employments", "worker station assignment since until division", "64"),
        share("assessments", "station assessed_on expires_on six_haves division", "64"),
        share("recognitions", "station agency kind level batch recognised_on valid_until withdrawn_on division", "64"),
        share("posts", "category division count sector since ended_on", "64"),
    ];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    let admin = &ningxia.admin;
    admin.create(System { until: None, ..system(1) }).await.unwrap();
    let townships = townships("2022-06-30");
    let stations = build(admin, &townships).await;
    staff(admin, &stations).await;
    judge(admin, &stations).await;
    settled(admin, &nation.admin, &id).await;

    let covered = |n: u32| format!("{n}/{}", townships.len());
    for at in [admin, &nation.admin] {
        for (day, expected) in [
            // Before they opened; opened; staffed and judged; after the one who was employed left; after what was withdrawn.
            ("2021-05-31", ["0", "0", "0", "0", "0", "0", "9"]),
            ("2021-12-31", ["7", "5", "3", "0", "1", "1", "9"]),
            ("2022-06-30", ["7", "5", "3", "2", "2", "3", "9"]),
            ("2023-04-30", ["7", "5", "3", "1", "3", "3", "4"]),
            ("2024-05-31", ["7", "5", "3", "1", "2", "1", "4"]),
        ] {
            let asked = [
                "station_total",
                "station_township",
                "station_bilingual",
                "station_professional",
                "station_demonstration",
                "station_standard_met",
                "post_total",
            ];
            assert_eq!(figures(at, "64", day, &asked).await, expected, "{day}");
        }
        assert_eq!(figures(at, COUNTY, "2022-06-30", &["township_coverage"]).await, [covered(5)]);
        for (figure, expected) in [
            ("station_total[type=CITY_BASE]", "1"),
            ("station_total[type=COUNTY_CENTRE]", "1"),
            ("station_township[origin=NEW]", "1"),
            ("station_township[origin=RENAMED]", "4"),
            ("station_demonstration[省级]", "1"),
            ("station_demonstration[国家级]", "1"),
            ("station_demonstration[市级]", "1"),
            ("station_demonstration[batch=第一批]", "1"),
            ("station_demonstration[batch=UNKNOWN]", "2"),
            ("post_total[category=专业技术岗位]", "3"),
            ("post_total[category=管理岗位]", "1"),
            ("post_total[sector=INSTITUTION]", "4"),
        ] {
            assert_eq!(figures(at, CITY, "2023-04-30", &[figure]).await, [expected], "{figure}");
        }
        // Nobody knows since when a station is what it says itself.
        let opening = async |indicator: &str| whole(at, asked("64", "2023-04-30", &[indicator])).await[0].opening();
        assert_eq!((opening("station_demonstration").await, opening("station_standard_met").await), (1, 1));
        let listed = at.reporting().list_problems(ListProblemsRequest::default()).await.unwrap().into_inner().problems;
        assert_eq!(listed, [], "what is recognised elsewhere is not missed at a station");
    }
    // A station that closes takes all of it along.
    let closed = Station {
        name: Some(stations[2].clone()),
        status: Some(StationStatus::Closed.into()),
        closed_on: text("2022-08-01"),
        ..Station::default()
    };
    admin.update(closed, &["status", "closed_on"]).await.unwrap();
    let all = ["station_professional", "station_demonstration", "station_standard_met"];
    assert_eq!(figures(admin, "64", "2022-07-31", &all).await, ["2", "2", "3"]);
    assert_eq!(figures(admin, "64", "2022-08-01", &all).await, ["1", "1", "2"]);
    ningxia.counts_right().await;
    nation.counts_right().await;
}
