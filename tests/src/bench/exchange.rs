//! The way of a record: committed at the province → page → applied at the nation → counted there.

use std::time::{Duration, Instant};

use qianshou_proto::registry::v1::Certificate;

use super::{Figure, forget_peak, peak, percentiles, rate, scaled};
use crate::{
    Caller, Database, Node, World, eventually,
    sample::{NINGXIA, certificate, fill},
    treaty::{agree, introduce, terms, to_nation},
    world::measure,
};

/// How often it is looked whether something has arrived.
const LOOK: Duration = Duration::from_micros(500);

/// Everything a province holds, from the signing until the nation has counted it; then as much again, while it is written.
pub fn flow(database: Database, scale: f64) -> Vec<Figure> {
    forget_peak();
    let mut figures = measure(database, |world: World| async move {
        let n = scaled(10_000, scale);
        let (province, nation) = (world.node("64").await, world.node("00").await);
        fill(&province.admin, NINGXIA, 0..n).await;
        introduce(&[&province.admin, &nation.admin]).await;
        let before = nation.position().await;
        let began = Instant::now();
        agree(&province.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
        arrived(&nation, before + u64::from(n) * 4).await;
        let first = rate("exchange-first-load", database, u64::from(n) * 4, began.elapsed());
        counted(&nation).await;
        let whole = rate("exchange", database, u64::from(n) * 4, began.elapsed());

        let before = nation.position().await;
        let began = Instant::now();
        fill(&province.admin, NINGXIA, n..n * 2).await;
        arrived(&nation, before + u64::from(n) * 4).await;
        counted(&nation).await;
        let tail = rate("exchange-while-writing", database, u64::from(n) * 4, began.elapsed());
        nation.stop().await;
        province.stop().await;
        vec![first, whole, tail]
    });
    figures.push(peak("exchange", database));
    figures
}

/// One certificate at a time: from the call at the province until the nation's counting has passed it.
pub fn change(database: Database, scale: f64) -> Vec<Figure> {
    measure(database, |world: World| async move {
        let (province, nation) = (world.node("64").await, world.node("00").await);
        introduce(&[&province.admin, &nation.admin]).await;
        let before = nation.position().await;
        let [_, _, workers, _] = fill(&province.admin, NINGXIA, 0..10).await;
        agree(&province.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
        arrived(&nation, before + 40).await;
        counted(&nation).await;
        let mut took = vec![];
        for i in 0..scaled(500, scale) {
            took.push(one(&province.admin, &nation, certificate(100 + i, &workers[0])).await);
        }
        nation.stop().await;
        province.stop().await;
        percentiles("change", Some(database), &mut took)
    })
}

async fn one(by: &Caller, nation: &Node, held: Certificate) -> Duration {
    let before = nation.counted().await;
    let began = Instant::now();
    by.create(held).await.unwrap();
    while nation.counted().await == before {
        tokio::time::sleep(LOOK).await;
    }
    began.elapsed()
}

async fn arrived(nation: &Node, position: u64) {
    for _ in 0..10 {
        if nation.position().await >= position {
            return;
        }
        let there = async || (nation.position().await >= position).then_some(());
        if tokio::time::timeout(Duration::from_secs(55), eventually("the records at the nation", there)).await.is_ok() {
            return;
        }
    }
    panic!("the nation stands at {} of {position}", nation.position().await);
}

/// Waits until the nation has counted what it holds.
pub(super) async fn counted(node: &Node) {
    while node.counted().await < node.position().await {
        tokio::time::sleep(LOOK).await;
    }
}
