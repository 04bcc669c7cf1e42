//! Finding among a million agencies: pages of 1,000 in each order, and what people type, rare and frequent.

use std::time::{Duration, Instant};

use qianshou_kernel::kind::ListQuery;
use qianshou_proto::registry::v1::{Agency, AgencyType};
use qianshou_registry::domain::identifier::uscc_with_check;

use super::{Figure, forget_peak, peak, percentiles, rate, scaled};
use crate::{Caller, Database, World, world::measure};

const BATCH: u32 = 10_000;
const TIMES: usize = 40;
const PAGE: i32 = 1_000;

/// Fills a nation with agencies of all counties and lists them in every way.
///
/// # Panics
/// If a page does not hold what it should.
pub fn find(database: Database, scale: f64) -> Vec<Figure> {
    forget_peak();
    let mut figures = measure(database, |world: World| async move {
        let node = world.node("00").await;
        let n = scaled(1_000_000, scale);
        let counties = counties();
        let mut took = Duration::ZERO;
        for first in (0..n).step_by(BATCH as usize) {
            let batch = (first..(first + BATCH).min(n)).map(|n| agency(n, &counties)).collect();
            let began = Instant::now();
            node.admin.put::<Agency>(batch).await.unwrap();
            took += began.elapsed();
        }
        let mut figures = vec![rate("find-fill", database, n.into(), took)];
        let code = agency(n / 2, &counties).uscc.unwrap();
        for (name, asked, least) in asked(&code, n) {
            let mut took = vec![];
            let mut token = None;
            for turn in 0..TIMES {
                // The first page and those behind it, in turn.
                let asked = ListQuery { page_token: token.take().filter(|_| turn % 4 != 0), ..asked.clone() };
                let began = Instant::now();
                let page = node.admin.list::<Agency>(asked).await.unwrap();
                took.push(began.elapsed());
                assert!(turn > 0 || page.nouns.len() >= least, "{name}: {}", page.nouns.len());
                token = Some(page.next_page_token).filter(|token| !token.is_empty());
            }
            figures.extend(percentiles(&format!("find-{name}"), Some(database), &mut took));
        }
        figures.extend(small(&node.admin, database).await);
        node.stop().await;
        figures
    });
    figures.push(peak("find", database));
    figures
}

/// What a person's screen asks for: a first page of 50.
async fn small(by: &Caller, database: Database) -> Vec<Figure> {
    let mut took = vec![];
    for _ in 0..TIMES {
        let began = Instant::now();
        by.list::<Agency>(ListQuery { page_size: Some(50), ..query("zhangzh") }).await.unwrap();
        took.push(began.elapsed());
    }
    percentiles("find-50-of-pinyin", Some(database), &mut took)
}

fn query(text: &str) -> ListQuery {
    ListQuery { query: Some(text.to_owned()), page_size: Some(PAGE), ..ListQuery::default() }
}

/// What is asked, by name, and how much of it there is on the first page at least.
fn asked(code: &str, n: u32) -> Vec<(&'static str, ListQuery, usize)> {
    let text = |text: &str| Some(text.to_owned());
    let page = |most: u32| usize::try_from(PAGE).unwrap().min(most as usize);
    let order = |by: &str| ListQuery { order_by: text(by), page_size: Some(PAGE), ..ListQuery::default() };
    let within = |area: &str, asked: ListQuery| ListQuery { area: text(area), ..asked };
    let by = |order: &str, asked: ListQuery| ListQuery { order_by: text(order), ..asked };
    vec![
        ("by-name", order("name"), page(n)),
        ("by-title", order("title"), page(n)),
        ("by-title-desc", order("title desc"), page(n)),
        ("by-area", order("area"), page(n)),
        ("by-state", order("state"), page(n)),
        ("area-by-name", within("64", order("name")), page(n / 200)),
        ("area-by-title", within("64", order("title")), page(n / 200)),
        ("county-by-title", within("640104", order("title")), page(n / 4_000)),
        ("state-by-title", ListQuery { state: text("CLOSED"), ..order("title") }, page(n / 1_200)),
        ("type-by-title", ListQuery { r#type: text("FOUNDATION"), ..order("title") }, page(n / 200)),
        ("type-by-area", ListQuery { r#type: text("SOCIAL_SERVICE"), ..order("area") }, page(n / 2)),
        // Every one, three of five, one of fifty, one of two thousand, one.
        ("all-text", query("社会工作"), page(n)),
        ("frequent-text", by("title", query("阳光")), page(n / 2)),
        ("frequent-character", by("title", query("光")), page(n / 2)),
        ("middling-text", by("title", query("掌政")), page(n / 60)),
        ("rare-text", by("title", query("石榴籽")), page(n / 2_100)),
        ("one-text", query("阳光社会工作服务中心500000"), 0),
        ("no-text", query("无此名称"), 0),
        ("frequent-pinyin", by("title", query("yangguang")), page(n / 2)),
        ("middling-pinyin", by("title", query("zhangzh")), page(n / 60)),
        ("rare-pinyin", by("title", query("shi liu zi")), page(n / 2_100)),
        ("frequent-initials", by("title", query("ygsh")), page(n / 2)),
        ("rare-initials", by("title", query("slzsh")), page(n / 2_100)),
        ("code", query(code), 1),
        ("area-text", within("64", by("title", query("掌政"))), page(n / 15_000)),
    ]
}

fn counties() -> Vec<String> {
    let listed = qianshou_registry::store::embedded().unwrap().into_iter();
    let counties = listed.filter(|division| division.code().len() == 6 && division.valid_to.is_none());
    counties.map(|division| division.code().to_owned()).collect()
}

fn agency(n: u32, counties: &[String]) -> Agency {
    // Not in the order in which they are saved.
    let mixed = n.wrapping_mul(2_654_435_761) >> 8;
    let brand = match mixed % 10_000 {
        0..5 => "石榴籽",
        5..205 => "掌政",
        205..6_205 => "阳光",
        _ => "同心",
    };
    Agency {
        display_name: Some(format!("{brand}社会工作服务中心{n}")),
        uscc: uscc_with_check(&format!("52{:06}{n:09}", 640_000 + n % 7)),
        r#type: Some(if mixed % 150 == 7 { AgencyType::Foundation } else { AgencyType::SocialService }.into()),
        division: counties.get(mixed as usize % counties.len()).cloned(),
        closed_on: (mixed % 1_000 == 9).then(|| "2023-01-01".to_owned()),
        ..Agency::default()
    }
}
