//! The divisions of the country: 1.1 million intervals into an empty list, and how they read as of a date.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use qianshou_kernel::kind::ListQuery;
use qianshou_proto::registry::v1::Division;

use super::{Figure, forget_peak, peak, percentiles, rate, scaled};
use crate::{
    Database, Node, World,
    snapshots::{DATES, count, intervals},
    world::measure,
};

const BATCH: usize = 10_000;
const TIMES: usize = 300;

/// Puts them all, then counts the list of each of the eight dates against the file.
///
/// # Panics
/// If a count differs.
pub fn divisions(database: Database, scale: f64) -> Vec<Figure> {
    measure(database, |world: World| async move {
        let node = world.node("00").await;
        let n = scaled(u32::try_from(intervals().count()).unwrap(), scale);
        forget_peak();
        let mut took = Duration::ZERO;
        let mut left = intervals().take(n as usize);
        loop {
            let batch: Vec<Division> = left.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            let began = Instant::now();
            node.admin.put(batch).await.unwrap();
            took += began.elapsed();
        }
        let (name, value) = ("divisions".to_owned(), took.as_secs_f64());
        let mut figures = vec![
            Figure { bench: name, database: Some(database), value, unit: "s", n: n.into() },
            rate("divisions-rate", database, n.into(), took),
            peak("divisions", database),
        ];
        if scale >= 1.0 {
            for date in DATES {
                let expected = count(intervals().collect::<Vec<_>>().iter(), date);
                assert_eq!(listed(&node, date).await, expected, "{date}");
            }
        }
        let mut children = vec![];
        for _ in 0..TIMES {
            let began = Instant::now();
            node.admin.list::<Division>(asked("640104", DATES[7], None)).await.unwrap();
            children.push(began.elapsed());
        }
        figures.extend(percentiles("divisions-as-of", Some(database), &mut children));
        node.stop().await;
        figures
    })
}

fn asked(area: &str, date: &str, page_token: Option<String>) -> ListQuery {
    ListQuery {
        area: Some(area.to_owned()),
        at: Some(date.to_owned()),
        page_size: Some(1_000),
        page_token,
        ..ListQuery::default()
    }
}

async fn listed(node: &Node, date: &str) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    let mut token = None;
    loop {
        let page = node.admin.list::<Division>(asked("00", date, token)).await.unwrap();
        for (digits, found) in count(page.nouns.iter(), date) {
            *counts.entry(digits).or_default() += found;
        }
        if page.next_page_token.is_empty() {
            return counts;
        }
        token = Some(page.next_page_token);
    }
}
