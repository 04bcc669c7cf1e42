//! Writing: one by one, in batches, and the divisions of the country.

use std::time::Instant;

use futures::{StreamExt as _, stream};
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{Division, Worker},
};

use super::{Figure, forget_peak, peak, percentiles, rate, scaled};
use crate::{
    Caller, Database, World,
    sample::{agency, worker},
    world::measure,
};

/// Single creates of agencies, by one caller and by 64.
pub fn create(database: Database, scale: f64) -> Vec<Figure> {
    forget_peak();
    let mut figures = measure(database, |world: World| async move {
        let node = world.node("64").await;
        let few = scaled(2_000, scale);
        let many = scaled(60_000, scale);
        let mut figures = created(&node.admin, "create-1", database, 0..few, 1).await;
        figures.extend(created(&node.admin, "create-64", database, few..few + many, 64).await);
        node.stop().await;
        figures
    });
    figures.push(peak("create", database));
    figures
}

async fn created(
    by: &Caller,
    bench: &str,
    database: Database,
    numbers: std::ops::Range<u32>,
    callers: usize,
) -> Vec<Figure> {
    let n = numbers.len();
    let began = Instant::now();
    let calls = numbers.map(|number| async move {
        let began = Instant::now();
        by.create(agency(number)).await.unwrap();
        began.elapsed()
    });
    let mut took: Vec<_> = stream::iter(calls).buffer_unordered(callers).collect().await;
    let mut figures = vec![rate(bench, database, n as u64, began.elapsed())];
    figures.extend(percentiles(bench, Some(database), &mut took));
    figures
}

/// Workers in batches of 10,000, one call after the other; then all of them again, unchanged.
pub fn batch(database: Database, scale: f64) -> Vec<Figure> {
    const BATCH: u32 = 10_000;
    forget_peak();
    let mut figures = measure(database, |world: World| async move {
        let node = world.node("64").await;
        let batches = scaled(20, scale);
        let mut figures = vec![];
        for (bench, expected) in [("batch-put", PutState::Created), ("batch-put-again", PutState::Unchanged)] {
            let mut took = std::time::Duration::ZERO;
            for batch in 0..batches {
                let workers: Vec<Worker> = (batch * BATCH..(batch + 1) * BATCH).map(worker).collect();
                let began = Instant::now();
                let outcomes = node.admin.put(workers).await.unwrap();
                took += began.elapsed();
                assert!(outcomes.iter().all(|outcome| outcome.state() == expected));
            }
            figures.push(rate(bench, database, u64::from(batches * BATCH), took));
        }
        node.stop().await;
        figures
    });
    figures.push(peak("batch-put", database));
    figures
}

/// As many divisions as the eight snapshots hold with their villages, put into an empty list.
pub fn divisions(database: Database, scale: f64) -> Vec<Figure> {
    const INTERVALS: u32 = 1_106_727;
    const BATCH: usize = 10_000;
    forget_peak();
    let mut figures = measure(database, |world: World| async move {
        let node = world.node("00").await;
        let n = scaled(INTERVALS, scale);
        let began = Instant::now();
        let mut left = stream::iter(0..n).map(village).chunks(BATCH);
        while let Some(batch) = left.next().await {
            node.admin.put::<Division>(batch).await.unwrap();
        }
        let took = began.elapsed();
        node.stop().await;
        vec![
            Figure {
                bench: "divisions".into(),
                database: Some(database),
                value: took.as_secs_f64(),
                unit: "s",
                n: n.into(),
            },
            rate("divisions-rate", database, n.into(), took),
        ]
    });
    figures.push(peak("divisions", database));
    figures
}

/// A village that no list has: 31 provinces, 99 counties in each, 999 townships of 999 villages.
fn village(n: u32) -> Division {
    Division {
        code: Some(format!(
            "{:02}{:02}{:02}{:03}{:03}",
            11 + n % 50,
            n / 50 % 90 + 10,
            n / 4_500 % 90 + 10,
            n / 405_000 + 100,
            n % 997 + 1
        )),
        display_name: Some(format!("第{n}村民委员会")),
        valid_from: Some("2016-07-31".to_owned()),
        valid_to: (n % 3 == 0).then(|| "2021-10-31".to_owned()),
        ..Division::default()
    }
}
