//! Writing: one by one and in batches.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use qianshou_proto::{common::v1::PutState, registry::v1::Worker};

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
            let mut took = Duration::ZERO;
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
