use qianshou_registry::domain::identifier::citizen_number;

use super::*;

const SEEDS: [u64; 3] = [0, 64, 2023];
const AT: &str = "2023-12-31";

fn samples() -> Vec<Sample> {
    SEEDS.into_iter().flat_map(|seed| [ningxia(seed).unwrap(), fujian(seed).unwrap()]).collect()
}

fn active(sample: &Sample) -> Vec<&PlannedWorker> {
    let active = |w: &&PlannedWorker| w.record.since() <= AT && w.record.until.as_deref().is_none_or(|day| day > AT);
    sample.workers.iter().filter(active).collect()
}

fn valid(certificate: &Certificate) -> bool {
    let after = |day: &Option<String>| day.as_deref().is_none_or(|day| day > AT);
    certificate.issued_on() <= AT && after(&certificate.registered_until) && after(&certificate.revoked_on)
}

/// Persons by the highest level they hold on the day, and those with another certificate.
fn certified(sample: &Sample) -> ([usize; 3], usize) {
    let mut highest = vec![(0, 0); sample.workers.len()];
    for certificate in sample.certificates.iter().filter(|c| valid(&c.record)) {
        let (level, count) = &mut highest[certificate.worker];
        (*level, *count) = ((*level).max(certificate.record.level.unwrap()), *count + 1);
    }
    let with = |level: CertificateLevel| highest.iter().filter(|(held, _)| *held == i32::from(level)).count();
    (LADDER.map(with), highest.iter().filter(|(_, count)| *count > 1).count())
}

fn stations(sample: &Sample, kind: StationType, status: StationStatus) -> Vec<&PlannedStation> {
    let fits = |s: &&PlannedStation| s.record.r#type() == kind && s.record.status() == status;
    sample.stations.iter().filter(fits).collect()
}

fn unique<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.into_iter().all(|value| seen.insert(value))
}

#[test]
fn ningxia_counts_what_it_reports() {
    for sample in SEEDS.map(|seed| ningxia(seed).unwrap()) {
        assert_eq!((active(&sample).len(), sample.workers.len()), (13_000, 13_150));
        let of = |sector, post: &str| {
            let fits = |w: &&&PlannedWorker| w.record.sector() == sector && w.record.post_category() == post;
            active(&sample).iter().filter(fits).count()
        };
        assert_eq!(of(Sector::Institution, "专业技术岗位"), 550);
        assert_eq!(of(Sector::Community, "聘用岗位"), 1_258);
        assert_eq!(of(Sector::Agency, "机构社工岗位"), 912);
        let (levels, several) = certified(&sample);
        assert_eq!(levels, [2, 868, 3_202]);
        assert!((250..=300).contains(&several), "{several}");
        let (revoked, lapsed): (Vec<_>, Vec<_>) =
            sample.certificates.iter().filter(|c| !valid(&c.record)).partition(|c| c.record.revoked_on.is_some());
        assert_eq!(revoked.len() + lapsed.len(), 37);
        assert!(revoked.len() > 3 && lapsed.len() > 3);
        let open = sample.agencies.iter().filter(|a| a.closed_on.is_none()).count();
        assert_eq!((open, sample.agencies.len()), (140, 143));
        assert!(sample.agencies.iter().all(|a| a.closed_on.as_deref().is_none_or(|day| day < "2023")));
    }
}

#[test]
fn ningxia_is_covered() {
    for sample in SEEDS.map(|seed| ningxia(seed).unwrap()) {
        let operating = |kind| stations(&sample, kind, StationStatus::Operating);
        let land = Land::of(&NINGXIA).unwrap();
        let places = |kind| operating(kind).iter().map(|s| s.record.division().to_owned()).collect::<Vec<_>>();
        let counties: Vec<_> = land.counties.iter().map(|c| c.code.clone()).collect();
        let townships: Vec<_> = land.counties.iter().flat_map(|c| &c.townships).map(|t| t.0.clone()).collect();
        assert_eq!((counties.len(), townships.len()), (22, 242));
        assert_eq!(places(StationType::CountyCentre), counties);
        assert_eq!(places(StationType::TownshipStation), townships);
        assert!(operating(StationType::TownshipStation).iter().all(|s| s.record.opened_on() <= "2021-10-31"));
        assert_eq!(operating(StationType::VillageRoom).len(), 500);
        assert!(operating(StationType::VillageRoom).iter().all(|s| ("2021".."2024").contains(&s.record.opened_on())));
        assert_eq!(stations(&sample, StationType::VillageRoom, StationStatus::Planned).len(), 20);
        assert_eq!(sample.stations.len(), 22 + 242 + 520);
        let professional = |w: &&&PlannedWorker| w.record.assignment() == Assignment::Professional;
        let active = active(&sample);
        let served: BTreeSet<_> = active.iter().filter(professional).filter_map(|w| w.station).collect();
        let township = |at: &&usize| sample.stations[**at].record.r#type() == StationType::TownshipStation;
        assert!(served.iter().filter(township).count() >= 150);
        assert!(sample.stations.iter().filter(|s| s.record.languages.len() == 2).count() > 100);
    }
}

#[test]
fn fujian_is_modest() {
    for sample in SEEDS.map(|seed| fujian(seed).unwrap()) {
        assert_eq!((sample.agencies.len(), sample.stations.len()), (40, 30));
        assert_eq!((active(&sample).len(), sample.workers.len()), (1_500, 1_500));
        assert_eq!(certified(&sample).0, [1, 160, 539]);
        let cities = sample.agencies.iter().take(PAIRS).map(|agency| agency.division()[..4].to_owned());
        assert_eq!(cities.collect::<BTreeSet<_>>(), ["3501", "3502", "3505"].map(str::to_owned).into());
    }
}

#[test]
fn three_persons_moved_from_ningxia_to_fujian() {
    let (from, to) = (ningxia(1).unwrap(), fujian(2).unwrap());
    let mut moved = vec![];
    for after in &to.workers {
        moved.extend(from.workers.iter().filter(|w| w.record.id_number == after.record.id_number).zip([after]));
    }
    assert_eq!(moved.len(), 3);
    assert!(
        moved.iter().all(|(before, after)| before.record.until.is_some() && before.record.until < after.record.since)
    );
    let kept = |sample: &Sample| sample.certificates.iter().all(|c| sample.workers[c.worker].record.until.is_none());
    assert!(kept(&from) && to.certificates.iter().all(|c| c.worker < to.workers.len() - 3));
}

#[test]
fn identifiers_and_divisions_hold() {
    let listed: BTreeSet<String> = store::embedded().unwrap().into_iter().filter_map(|d| d.code).collect();
    for sample in samples() {
        for agency in &sample.agencies {
            let code = uscc(agency.uscc()).unwrap();
            assert!(code.body_code_holds() && code.as_str().starts_with("52"));
            assert_eq!(code.registered_in().unwrap().as_str(), agency.division());
            assert!(listed.contains(agency.division()));
        }
        for worker in &sample.workers {
            let number = citizen_number(worker.record.id_number(), REPORTED).unwrap();
            assert!((1964..=2001).contains(&number.birth_date().year()));
            assert!(listed.contains(&number.as_str()[..6]) && listed.contains(worker.record.division()));
        }
        for station in &sample.stations {
            let digits = match station.record.r#type() {
                StationType::CountyCentre => 6,
                StationType::TownshipStation => 9,
                _ => 12,
            };
            assert_eq!(station.record.division().len(), digits);
            assert!(listed.contains(&station.record.division()[..digits.min(9)]));
        }
    }
}

#[test]
fn days_are_in_order() {
    for sample in samples() {
        let in_order = |earlier: &Option<String>, later: &Option<String>| {
            for day in earlier.iter().chain(later) {
                assert_eq!(parse_day(day).map(format_day).as_ref(), Some(day));
            }
            assert!(earlier.as_deref().is_none_or(|day| day <= AT));
            assert!(later.is_none() || earlier <= later, "{earlier:?} {later:?}");
        };
        sample.agencies.iter().for_each(|a| in_order(&a.founded_on, &a.closed_on));
        for PlannedStation { record, operator } in &sample.stations {
            in_order(&record.opened_on, &record.closed_on);
            assert_eq!(record.opened_on.is_none(), record.status() == StationStatus::Planned);
            if let Some(agency) = operator.map(|at| &sample.agencies[at]) {
                assert!(agency.founded_on <= record.opened_on && agency.closed_on.is_none());
            }
        }
        for PlannedWorker { record, employer, station } in &sample.workers {
            in_order(&record.since, &record.until);
            assert!(("2005".."2024").contains(&record.since()) && record.until.as_deref().is_none_or(|day| day < AT));
            assert_eq!(record.sector() == Sector::Agency, employer.is_some());
            assert_eq!(record.assignment.is_some(), station.is_some());
            if let Some(agency) = employer.map(|at| &sample.agencies[at]) {
                assert!(agency.founded_on <= record.since && agency.closed_on.is_none());
            }
        }
        for PlannedCertificate { record, .. } in &sample.certificates {
            assert!(("2008".."2024").contains(&record.issued_on()));
            in_order(&record.issued_on, &record.registered_until);
            in_order(&record.issued_on, &record.revoked_on);
            assert!(record.revoked_on.as_deref().is_none_or(|day| day <= AT));
            assert!(!valid(record) || record.registered_until.as_deref().is_none_or(|day| day > "2024-12-31"));
        }
    }
}

#[test]
fn natural_keys_are_unique() {
    for sample in samples() {
        assert!(unique(sample.agencies.iter().map(|a| &a.uscc)));
        assert!(unique(sample.agencies.iter().map(|a| &a.display_name)));
        let stations = sample.stations.iter().map(|s| &s.record);
        assert!(unique(stations.map(|s| (&s.display_name, s.r#type, &s.division))));
        assert!(unique(sample.workers.iter().map(|w| &w.record.id_number)));
        assert!(unique(sample.certificates.iter().map(|c| (c.record.level, &c.record.number))));
    }
}

#[test]
fn a_seed_makes_the_same_sample() {
    assert!(ningxia(7).unwrap() == ningxia(7).unwrap() && fujian(7).unwrap() == fujian(7).unwrap());
    assert!(ningxia(7).unwrap() != ningxia(8).unwrap());
}
