//! Tables: how long one takes with a province's records, and with a nation's.

use std::time::{Duration, Instant};

use qianshou_proto::{
    registry::v1::{Certificate, Worker},
    reporting::v1 as reporting,
};

use super::{Figure, exchange::counted, forget_peak, peak, percentiles, scaled};
use crate::{
    Database, Node, World,
    sample::{certificate, worker},
    world::measure,
};

const BATCH: u32 = 10_000;
const TIMES: usize = 300;

/// The table of certified people by level, of the nation and of a province, within a month, at 13,000 records and at a million spread over all counties.
pub fn table(database: Database, scale: f64) -> Vec<Figure> {
    forget_peak();
    let mut figures = measure(database, |world: World| async move {
        let node = world.node("00").await;
        let mut figures = vec![];
        let mut filled = 0;
        for (name, records) in [("table-13k", 13_000), ("table-1m", 1_000_000)] {
            let people = scaled(records, scale) / 2;
            let began = Instant::now();
            fill(&node, filled..people).await;
            filled = people;
            counted(&node).await;
            figures.push(Figure {
                bench: format!("{name}-fill"),
                database: Some(database),
                value: began.elapsed().as_secs_f64(),
                unit: "s",
                n: u64::from(people) * 2,
            });
            for area in ["00", "64"] {
                let mut took = vec![];
                for _ in 0..TIMES {
                    took.push(asked(&node, area).await);
                }
                figures.extend(percentiles(&format!("{name}-{area}"), Some(database), &mut took));
            }
        }
        node.stop().await;
        figures
    });
    figures.push(peak("table", database));
    figures
}

async fn fill(node: &Node, people: std::ops::Range<u32>) {
    let counties: Vec<String> = qianshou_registry::store::embedded()
        .unwrap()
        .into_iter()
        .filter(|division| division.code().len() == 6 && division.valid_to.is_none())
        .map(|division| division.code().to_owned())
        .collect();
    let somewhere = |n: u32| Worker {
        division: counties.get(n as usize % counties.len()).cloned(),
        since: Some(format!("20{:02}-{:02}-01", 10 + n % 13, 1 + n % 12)),
        ..worker(n)
    };
    for first in people.clone().step_by(BATCH as usize) {
        let numbers = first..(first + BATCH).min(people.end);
        let outcomes = node.admin.put(numbers.clone().map(somewhere).collect()).await.unwrap();
        let held = numbers.zip(&outcomes).map(|(n, worker)| Certificate {
            level: Some(1 + i32::from(n % 5 == 0)),
            issued_on: Some(format!("20{:02}-09-10", 11 + n % 12)),
            ..certificate(n, worker.name())
        });
        node.admin.put(held.collect()).await.unwrap();
    }
}

async fn asked(node: &Node, area: &str) -> Duration {
    let asked = reporting::ReadTableRequest {
        indicators: vec!["certified_total".into()],
        area: Some(area.to_owned()),
        at: Some("2023-06-15".into()),
        by: vec!["level".into()],
        ..reporting::ReadTableRequest::default()
    };
    let began = Instant::now();
    node.admin.reporting().read_table(asked).await.unwrap();
    began.elapsed()
}
