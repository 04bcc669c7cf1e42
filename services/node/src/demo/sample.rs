//! The demo's registers: invented people, agencies and certificates in the real places of Ningxia and Fujian, counting to
//! what the public reports say of 2023-12-31 (13,000 workers, 4,072 of them certified, 140 agencies, 22 centres, 242
//! stations, 500 rooms). The same seed makes the same registers.
//!
//! It never writes: records come without names, and refer to each other by their place in the lists. Every identifier is
//! well formed and was given to nobody; a name or number that belongs to somebody does so by chance.
//!
//! One register: a [`Plan`] says how many of what → [`Land`] is where → [`Chance`] makes agencies, then their stations, then
//! workers for the stations' seats, then the certificates of the workers.

pub mod pairing;

use std::collections::BTreeSet;

use qianshou_kernel::{
    clock::{format_day, parse_day},
    error::Result,
};
use qianshou_proto::registry::v1::{
    Agency, AgencyType, Assignment, Certificate, CertificateLevel, Sector, Station, StationOrigin, StationStatus,
    StationType, Worker,
};
use qianshou_registry::{
    domain::identifier::{Level, citizen_with_check, division_code, uscc, uscc_with_check},
    store,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use time::{Date, macros::date};

/// One province's registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The first [`PAIRS`] are those of the hand-in-hand programme: Fujian's send, Ningxia's receive.
    pub agencies: Vec<Agency>,
    /// Centres, then township stations, then village rooms.
    pub stations: Vec<PlannedStation>,
    /// Those at work, then those who left (Ningxia) or came from Ningxia (Fujian).
    pub workers: Vec<PlannedWorker>,
    /// A person's highest first.
    pub certificates: Vec<PlannedCertificate>,
}

/// A station, and which of the agencies runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStation {
    pub record: Station,
    pub operator: Option<usize>,
}

/// A worker, which of the agencies employs them, and at which of the stations they serve.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedWorker {
    pub record: Worker,
    pub employer: Option<usize>,
    pub station: Option<usize>,
}

/// A certificate, and which of the workers holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCertificate {
    pub record: Certificate,
    pub worker: usize,
}

/// Pairs of agencies in the two batches of Fujian and Ningxia (SF044–SF046).
pub const PAIRS: usize = 10;

/// Ningxia (64), as its report counts it.
pub fn ningxia(seed: u64) -> Result<Sample> {
    let mut sample = NINGXIA.sample(seed)?;
    sample.workers.extend(MOVERS.iter().map(Mover::before));
    Ok(sample)
}

/// Fujian (35), in part.
pub fn fujian(seed: u64) -> Result<Sample> {
    let mut sample = FUJIAN.sample(seed)?;
    sample.workers.extend(MOVERS.iter().enumerate().map(|(agency, mover)| mover.after(agency)));
    Ok(sample)
}

/// The day of the list of divisions, and the last day by which the townships have their stations.
const COVERED: Date = date!(2021 - 10 - 31);
/// The day of the report.
const REPORTED: Date = date!(2023 - 12 - 31);
/// The first day of work that a register knows.
const BEGINNING: Date = date!(2005 - 01 - 01);
/// Twenty-two years: nobody begins to work earlier in life.
const SCHOOLING: time::Duration = time::Duration::days(22 * 365 + 6);

/// How many of what, and where.
struct Plan {
    province: &'static str,
    /// How often a county is drawn, by the beginning of its code: roughly, people in ten thousands.
    weights: &'static [(&'static str, usize)],
    /// Counties of the agencies in the hand-in-hand programme.
    paired: [&'static str; PAIRS],
    agencies: usize,
    /// Agencies that were struck off; they come on top.
    closed: usize,
    /// Whether each county has its centre, and an agency.
    centres: bool,
    townships: usize,
    /// Village rooms: those that operate, those that are planned, and `code,name` of the villages to choose from.
    rooms: (usize, usize, &'static str),
    groups: &'static [Group],
    /// Workers who left; they come on top.
    leavers: usize,
    /// Certified persons by their highest level, in the order of [`LADDER`].
    certified: [usize; 3],
    /// What is frequent stands more often.
    surnames: &'static str,
    /// The first is everybody's.
    languages: &'static [&'static str],
}

/// Workers of one kind of unit.
struct Group {
    sector: Sector,
    post: &'static str,
    count: usize,
}

const fn group(sector: Sector, post: &'static str, count: usize) -> Group {
    Group { sector, post, count }
}

const NINGXIA: Plan = Plan {
    province: "64",
    weights: &[
        ("640104", 80),
        ("640105", 45),
        ("640106", 64),
        ("640121", 33),
        ("640122", 34),
        ("640181", 30),
        ("640202", 30),
        ("640205", 18),
        ("640221", 27),
        ("640302", 46),
        ("640303", 20),
        ("640323", 16),
        ("640324", 32),
        ("640381", 24),
        ("640402", 47),
        ("640422", 32),
        ("640423", 11),
        ("640424", 9),
        ("640425", 16),
        ("640502", 40),
        ("640521", 33),
        ("640522", 33),
    ],
    paired: ["640303", "640324", "640402", "640422", "640522", "640303", "640324", "640402", "640422", "640522"],
    agencies: 140,
    closed: 3,
    centres: true,
    townships: 242,
    rooms: (500, 20, include_str!("../../data/villages_64.csv")),
    groups: &[
        group(Sector::Institution, "专业技术岗位", 550),
        group(Sector::Community, "聘用岗位", 1_258),
        group(Sector::Agency, "机构社工岗位", 912),
        group(Sector::Government, "行政管理岗位", 2_880),
        group(Sector::Community, "社区工作岗位", 5_900),
        group(Sector::Other, "其他岗位", 1_500),
    ],
    leavers: 147,
    certified: [2, 868, 3_202],
    surnames: "马马马马马马马马马马王王王王王李李李李李张张张张杨杨杨刘刘刘陈陈丁丁白白田田吴吴赵赵周周金金罗罗何何苏苏\
               海虎冯高郭韩黄徐孙朱胡宋许沈摆撒禹兰妥锁买拜纳哈黑",
    languages: &["汉语", "手语", "英语"],
};

const FUJIAN: Plan = Plan {
    province: "35",
    weights: &[
        ("3501", 9),
        ("3502", 14),
        ("3503", 3),
        ("3504", 2),
        ("3505", 9),
        ("3506", 3),
        ("3507", 2),
        ("3508", 2),
        ("3509", 2),
    ],
    paired: ["350203", "350206", "350211", "350213", "350102", "350104", "350111", "350502", "350503", "350582"],
    agencies: 40,
    closed: 0,
    centres: false,
    townships: 30,
    rooms: (0, 0, ""),
    groups: &[
        group(Sector::Institution, "专业技术岗位", 120),
        group(Sector::Community, "聘用岗位", 420),
        group(Sector::Agency, "机构社工岗位", 517),
        group(Sector::Government, "行政管理岗位", 180),
        group(Sector::Community, "社区工作岗位", 200),
        group(Sector::Other, "其他岗位", 60),
    ],
    leavers: 0,
    certified: [1, 160, 539],
    surnames: "陈陈陈陈陈陈陈陈陈林林林林林林林黄黄黄黄黄郑郑郑吴吴吴王王王李李李张张张蔡蔡苏苏许许叶叶庄庄谢谢杨杨洪洪\
               曾郭刘江廖邱施柯卢赖游翁余潘魏",
    languages: &["普通话", "闽南语", "手语", "英语"],
};

const MEN: &str = "伟强军勇磊涛超鹏辉斌浩宇杰峰龙飞波宁建国海东志明文林俊晓平亮凯瑞鑫泽源";
const WOMEN: &str = "芳娟敏静丽艳霞燕玲红梅婷雪慧琴晓洁莉娜萍英兰秀云珍琳璐瑶佳颖月文欣怡";

const AGENCY_BRANDS: [&str; 48] = [
    "仁爱", "暖阳", "益家", "和润", "启明", "春晖", "晨曦", "同行", "向阳", "汇民", "博爱", "众益", "心桥", "慧泽",
    "善行", "乐助", "安澜", "朝阳", "阳光", "携手", "微光", "星火", "家和", "泽惠", "青苗", "百合", "蓝天", "绿洲",
    "塞上", "枫叶", "知行", "致远", "明德", "厚德", "承启", "初心", "益路", "爱邻", "邻里", "守望", "金色", "融爱",
    "千禾", "乐群", "德邻", "佑安", "惠风", "远山",
];
/// What is frequent stands more often.
const AGENCY_KINDS: [&str; 12] = [
    "社会工作服务中心",
    "社会工作服务中心",
    "社会工作服务中心",
    "社会工作服务中心",
    "社会工作服务中心",
    "社会工作服务社",
    "社会工作服务社",
    "社会服务中心",
    "社工服务中心",
    "社区服务中心",
    "公益发展中心",
    RESEARCH,
];
const RESEARCH: &str = "社会工作发展研究院";
const AGENCY_FIELDS: [&str; 10] = [
    "社会救助",
    "养老服务",
    "儿童福利",
    "社区治理",
    "残疾人服务",
    "婚姻家庭",
    "青少年事务",
    "精神卫生",
    "志愿服务",
    "乡村振兴",
];
const STATION_BRANDS: [&str; 6] = ["驿站", "家园", "港湾", "行动", "直通车", "会客厅"];
const ORIGINS: [StationOrigin; 3] = [StationOrigin::New, StationOrigin::Renamed, StationOrigin::Integrated];

/// From the highest rung down.
const LADDER: [CertificateLevel; 3] =
    [CertificateLevel::Senior, CertificateLevel::Intermediate, CertificateLevel::Assistant];

impl Plan {
    fn sample(&'static self, seed: u64) -> Result<Sample> {
        let land = Land::of(self)?;
        let mut chance =
            Chance { rng: StdRng::seed_from_u64(seed), given: MOVERS.iter().map(Mover::id_number).collect() };
        let agencies = land.agencies(&mut chance);
        let stations = land.stations(&agencies, &mut chance);
        let workers = land.workers(&agencies, &stations, &mut chance);
        let certificates = self.certificates(&workers, &mut chance);
        Ok(Sample { agencies, stations, workers, certificates })
    }

    /// The certificates of those who are still at work.
    fn certificates(&self, workers: &[PlannedWorker], chance: &mut Chance) -> Vec<PlannedCertificate> {
        let mut ranked: Vec<(u32, usize, i32)> = vec![];
        for (at, PlannedWorker { record, .. }) in workers.iter().enumerate().filter(|(_, w)| w.record.until.is_none()) {
            let reluctance = match (record.assignment(), record.sector()) {
                (Assignment::Professional, _) => 10_000,
                (_, Sector::Agency | Sector::Institution) => 30_000,
                (_, Sector::Community) => 60_000,
                _ => 90_000,
            };
            let since = record.since.as_deref().and_then(parse_day).unwrap_or(REPORTED);
            ranked.push((chance.rng.random_range(0..reluctance), at, since.year()));
        }
        ranked.sort_unstable();
        let mut certificates = vec![];
        for (level, count) in LADDER.into_iter().zip(self.certified) {
            let chosen = ranked.extract_if(.., |(_, _, since)| ready(level, *since) <= REPORTED.year());
            for (n, (_, worker, since)) in chosen.take(count).enumerate() {
                let climbed = self.climb(level, n, since, chance).into_iter();
                certificates.extend(climbed.map(|record| PlannedCertificate { record, worker }));
            }
        }
        certificates
    }

    /// The certificates of the `n`th person whose highest level this is. A third of the intermediate keep the rung below;
    /// of every eighth of those it lapsed or was revoked, which must not change what the person counts as.
    fn climb(&self, level: CertificateLevel, n: usize, since: i32, chance: &mut Chance) -> Vec<Certificate> {
        let rungs = match level {
            CertificateLevel::Senior => &LADDER[..],
            CertificateLevel::Intermediate if n.is_multiple_of(3) => &LADDER[1..],
            CertificateLevel::Intermediate => &LADDER[1..2],
            _ => &LADDER[2..],
        };
        let ended = level == CertificateLevel::Intermediate && n.is_multiple_of(24);
        let mut above: Option<Date> = None;
        let mut latest = REPORTED.year();
        let mut climbed = vec![];
        for rung in rungs {
            let year = chance.rng.random_range(ready(*rung, since)..=latest);
            let issued = chance.day(in_year(date!(2023 - 09 - 01), year), in_year(date!(2023 - 12 - 20), year));
            let mut record = Certificate {
                level: Some((*rung).into()),
                number: Some(chance.fresh(|chance| chance.certificate_number(self.province, year))),
                issued_on: Some(format_day(issued)),
                ..Certificate::default()
            };
            // Registered for three years at a time.
            let lapses = in_year(issued, year + 3);
            let long_ago = lapses.year() < REPORTED.year() && !n.is_multiple_of(48);
            match above.filter(|_| ended) {
                Some(_) if long_ago => record.registered_until = Some(format_day(lapses)),
                Some(above) => record.revoked_on = Some(format_day(above)),
                None if chance.in_hundred(50) => {
                    let renewed = (year..).step_by(3).find(|year| *year > REPORTED.year() + 1);
                    record.registered_until = renewed.map(|year| format_day(in_year(issued, year)));
                }
                None => {}
            }
            climbed.push(record);
            above = Some(issued);
            latest = year - if *rung == CertificateLevel::Senior { 5 } else { 2 };
        }
        climbed
    }

    fn station(
        &self,
        kind: StationType,
        display_name: String,
        division: &str,
        opened: Option<Date>,
        chance: &mut Chance,
    ) -> PlannedStation {
        let status = opened.map_or(StationStatus::Planned, |_| StationStatus::Operating);
        let brand = |chance: &mut Chance| format!("{}{}", chance.pick(&AGENCY_BRANDS), chance.pick(&STATION_BRANDS));
        let record = Station {
            display_name: Some(display_name),
            r#type: Some(kind.into()),
            division: Some(division.to_owned()),
            status: Some(status.into()),
            opened_on: opened.map(format_day),
            origin: Some(chance.pick(&ORIGINS).into()),
            languages: chance.languages(self.languages, 25),
            brand: chance.in_hundred(15).then(|| brand(chance)),
            ..Station::default()
        };
        PlannedStation { record, operator: None }
    }
}

/// The first year in which somebody at work since then can hold this level; it leaves years for the rungs below. The first
/// examinations were in 2008.
fn ready(level: CertificateLevel, since: i32) -> i32 {
    match level {
        CertificateLevel::Senior => (since + 8).max(2020),
        CertificateLevel::Intermediate => (since + 3).max(2010),
        _ => since.max(2008),
    }
}

/// The same day of another year. Certificates are issued in autumn, which no leap day spoils.
fn in_year(day: Date, year: i32) -> Date {
    day.replace_year(year).unwrap_or(day)
}

/// The counties of a province, and how often each is drawn.
struct Land {
    plan: &'static Plan,
    counties: Vec<County>,
    /// A county stands here as often as its weight says.
    ballot: Vec<usize>,
}

struct County {
    code: String,
    name: String,
    /// As an agency's name begins: a district tells its city.
    seat: String,
    /// Code and name.
    townships: Vec<(String, String)>,
}

impl Land {
    /// The official divisions on the day that the townships were covered.
    fn of(plan: &'static Plan) -> Result<Self> {
        let covered = format_day(COVERED);
        let mut places: Vec<(String, String)> = vec![];
        for division in store::embedded()? {
            let gone = division.valid_to.as_ref().is_some_and(|to| *to <= covered);
            if division.code().starts_with(plan.province) && division.valid_from() <= covered.as_str() && !gone {
                places.extend(division.code.zip(division.display_name));
            }
        }
        let of_level = |level: Level, above: &str| -> Vec<(String, String)> {
            let fits = |code: &str| {
                code.starts_with(above)
                    && division_code(code).is_ok_and(|code| code.level() == level && code.official())
            };
            places.iter().filter(|(code, _)| fits(code)).cloned().collect()
        };
        let mut land = Self { plan, counties: vec![], ballot: vec![] };
        for (city, city_name) in of_level(Level::Prefecture, plan.province) {
            for (code, name) in of_level(Level::County, &city) {
                let townships = of_level(Level::Township, &code);
                if townships.is_empty() {
                    continue;
                }
                let weight =
                    plan.weights.iter().find(|(area, _)| code.starts_with(area)).map_or(1, |(_, weight)| *weight);
                land.ballot.extend(std::iter::repeat_n(land.counties.len(), weight));
                let seat = if name.ends_with('区') { format!("{city_name}{name}") } else { name.clone() };
                land.counties.push(County { code, name, seat, townships });
            }
        }
        Ok(land)
    }

    fn county(&self, chance: &mut Chance) -> &County {
        &self.counties[chance.pick(&self.ballot)]
    }

    fn agencies(&self, chance: &mut Chance) -> Vec<Agency> {
        let paired =
            self.plan.paired.iter().filter_map(|code| self.counties.iter().find(|county| county.code == *code));
        let mut seats: Vec<&County> = paired.chain(self.counties.iter().filter(|_| self.plan.centres)).collect();
        while seats.len() < self.plan.agencies + self.plan.closed {
            seats.push(self.county(chance));
        }
        let agency = |(at, county): (usize, &County)| {
            let closed = at >= self.plan.agencies;
            let early = closed || at < PAIRS;
            let latest = if early { date!(2015 - 12 - 31) } else { date!(2023 - 06 - 30) };
            let founded = chance.day(date!(2009 - 03 - 01), latest);
            let suffix = chance.pick(&AGENCY_KINDS);
            let kind = if suffix == RESEARCH { AgencyType::Other } else { AgencyType::SocialService };
            Agency {
                display_name: Some(
                    chance.fresh(|chance| format!("{}{}{suffix}", county.seat, chance.pick(&AGENCY_BRANDS))),
                ),
                uscc: Some(chance.fresh(|chance| chance.uscc(&county.code))),
                r#type: Some(kind.into()),
                division: Some(county.code.clone()),
                founded_on: Some(format_day(founded)),
                closed_on: closed.then(|| format_day(chance.day(date!(2018 - 01 - 01), date!(2022 - 12 - 15)))),
                fields: chance.some(&AGENCY_FIELDS, 3),
                ..Agency::default()
            }
        };
        seats.into_iter().enumerate().map(agency).collect()
    }

    fn stations(&self, agencies: &[Agency], chance: &mut Chance) -> Vec<PlannedStation> {
        let mut stations = vec![];
        for county in self.counties.iter().filter(|_| self.plan.centres) {
            let opened = chance.day(date!(2020 - 03 - 01), date!(2021 - 12 - 20));
            let name = format!("{}社会工作指导服务中心", county.name);
            stations.push(self.plan.station(StationType::CountyCentre, name, &county.code, Some(opened), chance));
        }
        let mut townships: Vec<&(String, String)> = self.counties.iter().flat_map(|county| &county.townships).collect();
        if townships.len() > self.plan.townships {
            townships.shuffle(&mut chance.rng);
            townships.truncate(self.plan.townships);
        }
        for (code, name) in townships {
            let opened = chance.day(date!(2020 - 05 - 01), COVERED);
            let name = format!("{name}社会工作服务站");
            let mut station = self.plan.station(StationType::TownshipStation, name, code, Some(opened), chance);
            if chance.in_hundred(60) {
                station.operator = operator(agencies, &station.record, chance);
            }
            stations.push(station);
        }
        let (operating, planned, villages) = self.plan.rooms;
        let mut villages: Vec<(&str, &str)> =
            villages.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
        villages.shuffle(&mut chance.rng);
        for (at, (code, name)) in villages.into_iter().take(operating + planned).enumerate() {
            let opened = (at < operating).then(|| chance.day(date!(2021 - 03 - 01), date!(2023 - 11 - 30)));
            stations.push(self.plan.station(StationType::VillageRoom, room(code, name), code, opened, chance));
        }
        stations
    }

    fn workers(&self, agencies: &[Agency], stations: &[PlannedStation], chance: &mut Chance) -> Vec<PlannedWorker> {
        let mut seats = seats(stations, chance);
        let mut workers = vec![];
        for group in self.plan.groups {
            let mut own: Vec<Seat> = seats.extract_if(.., |seat| seat.sector == group.sector).collect();
            for _ in 0..group.count {
                let (record, born) = self.person(group, date!(2001 - 06 - 30), chance);
                let mut worker = PlannedWorker { record, employer: None, station: None };
                let seat = own.pop();
                if group.sector == Sector::Agency {
                    let operator = seat.as_ref().and_then(|seat| stations[seat.station].operator);
                    let employer = operator.unwrap_or_else(|| chance.rng.random_range(0..self.plan.agencies));
                    worker.record.division.clone_from(&agencies[employer].division);
                    worker.employer = Some(employer);
                }
                if let Some(seat) = seat {
                    // A room's people are kept with its township.
                    let place = stations[seat.station].record.division().chars().take(Level::Township.digits());
                    worker.record.division = Some(place.collect());
                    worker.record.assignment = Some(seat.assignment.into());
                    worker.record.languages = chance.languages(self.plan.languages, 20);
                    worker.station = Some(seat.station);
                }
                let founded = worker.employer.and_then(|at| agencies[at].founded_on.as_deref()).and_then(parse_day);
                let since = chance.since(born, founded.unwrap_or(BEGINNING), REPORTED);
                worker.record.since = Some(format_day(since));
                workers.push(worker);
            }
        }
        for _ in 0..self.plan.leavers {
            let left = group(Sector::Community, "社区工作岗位", 1);
            let (mut record, born) = self.person(&left, date!(1996 - 06 - 30), chance);
            let since = chance.since(born, BEGINNING, date!(2019 - 12 - 31));
            record.since = Some(format_day(since));
            record.until = Some(format_day(chance.day(since, date!(2023 - 11 - 30))));
            workers.push(PlannedWorker { record, employer: None, station: None });
        }
        workers
    }

    /// Somebody of a group, born at the latest on that day, and the day they were born.
    fn person(&self, group: &Group, youngest: Date, chance: &mut Chance) -> (Worker, Date) {
        let born = chance.day(date!(1964 - 01 - 01), youngest);
        let origin = self.county(chance);
        let sex = chance.rng.random_range(0..2);
        let id_number = chance.fresh(|chance| {
            let serial = chance.rng.random_range(1..500) * 2 + sex;
            let birth = format_day(born).replace('-', "");
            citizen_with_check(&format!("{}{birth}{serial:03}", origin.code)).expect("seventeen digits")
        });
        let given = if sex == 1 { MEN } else { WOMEN };
        let mut full_name = chance.letter(self.plan.surnames);
        for _ in 0..if chance.in_hundred(30) { 1 } else { 2 } {
            full_name += &chance.letter(given);
        }
        let county = self.county(chance);
        let township = chance.rng.random_range(0..county.townships.len());
        let division = if chance.in_hundred(65) { &county.townships[township].0 } else { &county.code };
        let worker = Worker {
            full_name: Some(full_name),
            id_number: Some(id_number),
            division: Some(division.clone()),
            sector: Some(group.sector.into()),
            post_category: Some(group.post.to_owned()),
            ..Worker::default()
        };
        (worker, born)
    }
}

/// An agency of the station's city that existed when it opened.
fn operator(agencies: &[Agency], station: &Station, chance: &mut Chance) -> Option<usize> {
    let city = |code: &str| code.get(..Level::Prefecture.digits()).map(str::to_owned);
    let fits = |agency: &Agency| {
        let stands = agency.closed_on.is_none() && agency.founded_on() <= station.opened_on();
        stands && city(agency.division()) == city(station.division())
    };
    let able: Vec<usize> = (0..agencies.len()).filter(|at| fits(&agencies[*at])).collect();
    (!able.is_empty()).then(|| chance.pick(&able))
}

/// What is on a room's sign, from the name of the committee.
fn room(code: &str, committee: &str) -> String {
    let endings = ["村民委员会", "居民委员会", "村委会", "居委会"];
    let bare = endings.iter().find_map(|ending| committee.strip_suffix(ending)).unwrap_or(committee);
    let kind = match code.get(Level::Township.digits()..) {
        _ if bare.ends_with('村') || bare.ends_with("社区") => "",
        Some(number) if number < "200" => "社区",
        _ => "村",
    };
    format!("{bare}{kind}社会工作服务室")
}

/// A place at a station for a worker of one kind of unit.
struct Seat {
    station: usize,
    sector: Sector,
    assignment: Assignment,
}

/// Three township stations of four have a professional; of its operator, if it has one.
fn seats(stations: &[PlannedStation], chance: &mut Chance) -> Vec<Seat> {
    let mut seats = vec![];
    for (at, station) in stations.iter().enumerate() {
        let mut seat = |sector, assignment| seats.push(Seat { station: at, sector, assignment });
        let hired = if station.operator.is_some() { Sector::Agency } else { Sector::Community };
        match (station.record.r#type(), station.record.status()) {
            (_, StationStatus::Planned) => {}
            (StationType::CountyCentre, _) => {
                seat(Sector::Institution, Assignment::Professional);
                seat(Sector::Government, Assignment::Designated);
            }
            (StationType::TownshipStation, _) => {
                seat(Sector::Government, Assignment::Designated);
                if !at.is_multiple_of(4) {
                    (0..chance.rng.random_range(1..=2)).for_each(|_| seat(hired, Assignment::Professional));
                }
            }
            _ if chance.in_hundred(50) => seat(Sector::Community, Assignment::PartTime),
            _ => {}
        }
    }
    seats
}

/// Somebody who left Ningxia for Fujian: two records, one person. They are the same for every seed.
struct Mover {
    full_name: &'static str,
    first17: &'static str,
    since: &'static str,
    left: &'static str,
    came: &'static str,
}

const MOVERS: [Mover; 3] = [
    Mover {
        full_name: "马晓燕",
        first17: "64032419920315142",
        since: "2015-07-01",
        left: "2020-06-30",
        came: "2020-09-01",
    },
    Mover {
        full_name: "李志明",
        first17: "64042219890722317",
        since: "2013-03-11",
        left: "2021-02-28",
        came: "2021-04-06",
    },
    Mover {
        full_name: "王雪",
        first17: "64010419941108226",
        since: "2017-08-21",
        left: "2022-07-15",
        came: "2022-08-01",
    },
];

impl Mover {
    fn id_number(&self) -> String {
        citizen_with_check(self.first17).expect("seventeen digits")
    }

    fn record(&self, division: &str, sector: Sector, post: &str, since: &str) -> Worker {
        Worker {
            full_name: Some(self.full_name.to_owned()),
            id_number: Some(self.id_number()),
            division: Some(division.to_owned()),
            sector: Some(sector.into()),
            post_category: Some(post.to_owned()),
            since: Some(since.to_owned()),
            ..Worker::default()
        }
    }

    /// In Ningxia: where they were born.
    fn before(&self) -> PlannedWorker {
        let mut record = self.record(&self.first17[..6], Sector::Community, "聘用岗位", self.since);
        record.until = Some(self.left.to_owned());
        PlannedWorker { record, employer: None, station: None }
    }

    /// In Fujian: at a sending agency.
    fn after(&self, agency: usize) -> PlannedWorker {
        let record = self.record(FUJIAN.paired[agency], Sector::Agency, "机构社工岗位", self.came);
        PlannedWorker { record, employer: Some(agency), station: None }
    }
}

/// Chance, and what it has given that must not be given twice.
struct Chance {
    rng: StdRng,
    given: BTreeSet<String>,
}

impl Chance {
    /// Something that was not made before. There is far more to make than a plan asks for.
    fn fresh(&mut self, mut make: impl FnMut(&mut Self) -> String) -> String {
        loop {
            let made = make(self);
            if self.given.insert(made.clone()) {
                return made;
            }
        }
    }

    fn in_hundred(&mut self, cases: u32) -> bool {
        self.rng.random_ratio(cases, 100)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    fn letter(&mut self, of: &str) -> String {
        let at = self.rng.random_range(0..of.chars().count());
        of.chars().skip(at).take(1).collect()
    }

    /// One to `most` of these, each once, in their order.
    fn some(&mut self, of: &[&str], most: usize) -> Vec<String> {
        let count = self.rng.random_range(1..=most);
        let chosen: BTreeSet<usize> = (0..count).map(|_| self.rng.random_range(0..of.len())).collect();
        chosen.into_iter().map(|at| of[at].to_owned()).collect()
    }

    /// The first of these, and in some cases another.
    fn languages(&mut self, of: &[&str], second_in_hundred: u32) -> Vec<String> {
        let second = self.in_hundred(second_in_hundred).then(|| self.pick(&of[1..]));
        of.iter().take(1).copied().chain(second).map(str::to_owned).collect()
    }

    /// A day between two, both included.
    fn day(&mut self, from: Date, to: Date) -> Date {
        let day = self.rng.random_range(from.to_julian_day()..=to.to_julian_day());
        Date::from_julian_day(day).unwrap_or(from)
    }

    /// When somebody began to work: grown up, and not before their employer was there.
    fn since(&mut self, born: Date, earliest: Date, latest: Date) -> Date {
        self.day(earliest.max(BEGINNING).max(born + SCHOOLING), latest)
    }

    /// A credit code of a social service institution (52) of that county, whose body code holds too.
    fn uscc(&mut self, county: &str) -> String {
        let body = format!("MJ{}{:05}", self.letter("UWXY"), self.rng.random_range(0..100_000));
        let codes = "0123456789X".chars().filter_map(|check| uscc_with_check(&format!("52{county}{body}{check}")));
        codes.into_iter().find(|code| uscc(code).is_ok_and(|code| code.body_code_holds())).expect("one of eleven holds")
    }

    /// Two of the forms in use.
    fn certificate_number(&mut self, province: &str, year: i32) -> String {
        let serial = self.rng.random_range(0..1_000_000);
        if year < 2017 { format!("{:02}{serial:07}", year % 100) } else { format!("{year}10{province}00{serial:06}") }
    }
}

#[cfg(test)]
mod tests;
