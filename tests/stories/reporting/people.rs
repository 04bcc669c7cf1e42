//! People who change their place: what was counted somewhere stays counted there, and begins elsewhere on the day; at home and at the
//! nation.

use qianshou_proto::registry::v1::{Assignment, Employment, Sector, Worker};
use qianshou_tests::{
    Caller, World,
    sample::{certificate, employment, station, worker},
    stories,
    treaty::{agree, introduce, settled, share, terms},
};

use super::figures;

stories! {
    a_transfer_moves_nothing_that_was
    who_has_left_serves_nowhere
    who_speaks_two_languages_is_counted
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What both stories share with the nation.
async fn told(ningxia: &Caller, nation: &Caller) -> String {
    introduce(&[ningxia, nation]).await;
    let mut workers = share("workers", "division sector languages since until station assignment", "64");
    workers.pseudonym = Some(true);
    let clauses = vec![
        workers,
        share("certificates", "worker level issued_on registered_until division", "64"),
        share("employments", "worker sector station assignment since until division", "64"),
        share("stations", "type division status opened_on closed_on", "64"),
    ];
    agree(ningxia, nation, terms("64", "00", clauses)).await
}

/// From an agency of one county to an institution of another; her first employment is closed after she is filed under the other.
async fn a_transfer_moves_nothing_that_was(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    let id = told(&ningxia.admin, &nation.admin).await;
    let admin = &ningxia.admin;
    let who = admin.create(Worker { division: text("640104"), ..worker(1) }).await.unwrap().noun;
    admin.create(certificate(1, who.name())).await.unwrap();
    let first = Employment { since: text("2019-07-01"), ..employment(0, who.name()) };
    let first = admin.create(first).await.unwrap().noun;
    let institution = Some(Sector::Institution.into());
    let filed = Worker { name: who.name.clone(), division: text("640122"), sector: institution, ..Worker::default() };
    admin.update(filed, &["division", "sector"]).await.unwrap();
    let closed = Employment { name: first.name.clone(), until: text("2022-03-01"), ..Employment::default() };
    admin.update(closed, &["until"]).await.unwrap();
    let second = Employment { sector: institution, since: text("2022-03-01"), ..employment(0, who.name()) };
    let second = admin.create(second).await.unwrap().noun;
    settled(admin, &nation.admin, &id).await;

    let asked = ["talent_total", "certified_total", "talent_total[sector=AGENCY]", "talent_total[sector=INSTITUTION]"];
    let of_whom = async |at: &Caller, area: &str, day: &str| figures(at, area, day, &asked).await.join(" ");
    for at in [admin, &nation.admin] {
        for (day, there, here) in [
            ("2019-06-30", "0 0 - -", "0 0 - -"),
            ("2022-02-28", "1 1 1 -", "0 0 - -"),
            ("2022-03-01", "0 0 - -", "1 1 - 1"),
            ("2024-05-31", "0 0 - -", "1 1 - 1"),
        ] {
            assert_eq!(of_whom(at, "640104", day).await, there, "{day}");
            assert_eq!(of_whom(at, "640122", day).await, here, "{day}");
        }
        assert_eq!(figures(at, "64", "2022-02-28", &asked[..2]).await, ["1", "1"]);
    }
    // Between two employments the worker's own record says where.
    let pause = Employment { name: second.name.clone(), until: text("2023-01-01"), ..Employment::default() };
    admin.update(pause, &["until"]).await.unwrap();
    let third = Employment { division: text("640202"), since: text("2023-06-01"), ..employment(0, who.name()) };
    admin.create(third).await.unwrap();
    settled(admin, &nation.admin, &id).await;
    for at in [admin, &nation.admin] {
        assert_eq!(of_whom(at, "640122", "2023-03-01").await, "1 1 - 1");
        assert_eq!(of_whom(at, "640202", "2023-06-01").await, "1 1 1 -");
    }
    ningxia.counts_right().await;
    nation.counts_right().await;
}

async fn who_has_left_serves_nowhere(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    let id = told(&ningxia.admin, &nation.admin).await;
    let admin = &ningxia.admin;
    let place = admin.create(station(1)).await.unwrap().noun.name;
    let who = admin.create(Worker { assignment: None, ..worker(1) }).await.unwrap().noun;
    // Nobody says when she stopped serving there.
    let serves = Employment { station: place, since: text("2022-01-01"), ..employment(0, who.name()) };
    assert_eq!(serves.assignment(), Assignment::Professional);
    admin.create(serves).await.unwrap();
    settled(admin, &nation.admin, &id).await;
    let served = async |at: &Caller, day: &str| figures(at, "64", day, &["station_professional"]).await.remove(0);
    for at in [admin, &nation.admin] {
        assert_eq!((served(at, "2021-12-31").await, served(at, "2024-05-31").await), ("0".into(), "1".into()));
    }
    let left = Worker { name: who.name.clone(), until: text("2023-05-01"), ..Worker::default() };
    admin.update(left, &["until"]).await.unwrap();
    settled(admin, &nation.admin, &id).await;
    for at in [admin, &nation.admin] {
        assert_eq!((served(at, "2023-04-30").await, served(at, "2023-05-01").await), ("1".into(), "0".into()));
        let talent = async |day: &str| figures(at, "64", day, &["talent_total"]).await.remove(0);
        assert_eq!((talent("2023-04-30").await, talent("2023-05-01").await), ("1".into(), "0".into()));
    }
    ningxia.counts_right().await;
    nation.counts_right().await;
}

async fn who_speaks_two_languages_is_counted(world: World) {
    let ningxia = world.node("64").await;
    let speaks = |n: u32, languages: &[&str]| Worker {
        languages: languages.iter().map(|language| (*language).to_owned()).collect(),
        ..worker(n)
    };
    ningxia.admin.put(vec![speaks(1, &[]), speaks(2, &["zh"]), speaks(3, &["zh", "hui"])]).await.unwrap();
    let asked = ["talent_total", "worker_bilingual", "worker_bilingual[sector=AGENCY]"];
    assert_eq!(figures(&ningxia.admin, "64", "2024-05-31", &asked).await, ["3", "1", "1"]);
    ningxia.counts_right().await;
}
