//! Three nodes in one process, each with its own folder, database, keys and doors: Fujian (35), Ningxia (64) and the
//! nation (00). Everything goes the way it goes in production: records through the RPC API, cards, agreements signed by both
//! sides, pages over mutual TLS, and the nation's table from what it received.

mod fill;
mod nodes;
pub mod sample;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nodes::DemoNode;
use qianshou_kernel::{
    error::{Error, Result},
    telemetry,
};
use qianshou_proto::{
    exchange::v1::{Stream, StreamDirection},
    reporting::v1::{Cell, ReadTableRequest, cell},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::show;

/// Options of `qianshou demo`.
#[derive(Args)]
pub struct Options {
    /// Exit when the table stands; 0 only if every check is ok.
    #[arg(long)]
    once: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Keep the folders here (DIR/35, DIR/64, DIR/00); `serve` can open them. Absent: a temporary folder.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// The sample's seed; another one gives other people with the same figures.
const SEED: u64 = 64;
/// How long the exchange may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the demo.
pub async fn run(options: Options) -> Result<ExitCode> {
    telemetry::init("warn", qianshou_kernel::config::LogFormat::Text)?;
    let started = Instant::now();
    let scratch = match &options.data {
        Some(_) => None,
        None => Some(nodes::Scratch::new()?),
    };
    let root = options.data.clone().or_else(|| scratch.as_ref().map(|s| s.path().to_owned())).unwrap_or_default();

    say(&options, "建立三个节点 | three nodes …");
    let nodes = nodes::open_all(&root).await?;
    let [fujian, ningxia, nation] = &nodes;
    say(&options, "登记福建与宁夏的数据 | filling Fujian and Ningxia through their own RPC API …");
    let bar = progress(&options);
    let (of_fujian, of_ningxia) = (sample::fujian(SEED)?, sample::ningxia(SEED)?);
    let [ours, theirs, approvals] = sample::pairing::halves(&of_fujian, &of_ningxia);
    fill::fill(fujian, of_fujian, &bar).await?;
    fill::fill(ningxia, of_ningxia, &bar).await?;
    let programmes = sample::pairing::programmes();
    let announced = programmes.len();
    fill::announce(nation, programmes, &bar).await?;
    bar.finish_and_clear();

    say(&options, "交换名片、签署协议 | cards, agreements signed by both sides …");
    say(
        &options,
        "演示关闭了双人复核；正式使用请打开 [security] four_eyes | four eyes are off in the demo; turn [security] four_eyes on for real",
    );
    nodes::introduce_all(&nodes).await?;
    let exchange_started = Instant::now();
    nodes::agree_all(&nodes).await?;
    say(&options, "按国家的计划结对 | pairing by the rules of the nation's programmes …");
    let bar = progress(&options);
    for (node, halves) in [(fujian, ours), (ningxia, theirs), (nation, approvals)] {
        node.await_programmes(announced).await?;
        fill::pair(node, halves, &bar).await?;
    }
    bar.finish_and_clear();
    say(&options, "交换数据 | exchanging …");
    let bar = progress(&options);
    let streams = settle(&nodes, &bar).await?;
    bar.finish_and_clear();
    let exchange_seconds = exchange_started.elapsed().as_secs_f64();

    let table = read_table(nation).await?;
    let mut checks = check(&table, &streams);
    for province in [fujian, ningxia] {
        checks.extend(check_at(province).await?);
    }
    for node in &nodes {
        let found = node.findings().await?;
        let shown = found.first().map(|f| format!("{}: {}", f.record(), f.message_en()));
        checks.push(json!({
            "name": format!("findings at {}", node.code), "ok": found.is_empty(),
            "note": format!("expected 0, found {}{}", found.len(), shown.map_or_else(String::new, |shown| format!(": {shown}"))),
        }));
    }
    let ok = checks.iter().all(|c| c["ok"] == true);
    let entries: u64 = streams.iter().map(|(_, stream)| stream.entries()).sum();
    let report = json!({
        "nodes": nodes.iter().map(|n| json!({"node": n.code, "address": n.address})).collect::<Vec<_>>(),
        "streams": streams.iter().map(|(from, stream)| stream_json(from, stream)).collect::<Vec<_>>(),
        "table": table.iter().map(show::cell).collect::<Vec<_>>(),
        "checks": checks,
        "seconds": rounded(started.elapsed().as_secs_f64()),
        "exchange": {"entries": entries, "seconds": rounded(exchange_seconds), "entries_per_second": per_second(entries, exchange_seconds)},
    });
    if options.json {
        println!("{report}")
    } else {
        print_text(&report, &table, &streams)
    }

    if !options.once {
        for node in &nodes {
            eprintln!("{}", node.invitation(&root));
        }
        eprintln!("按 Ctrl-C 结束 | Ctrl-C ends it");
        qianshou_kernel::server::shutdown_on_signal()?.cancelled().await;
    }
    for node in nodes {
        node.stop().await?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn say(options: &Options, text: &str) {
    if !options.json || std::io::stderr().is_terminal() {
        eprintln!("{text}");
    }
}

fn progress(options: &Options) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() || !options.json {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} {per_sec}") {
        bar.set_style(style);
    }
    bar
}

/// Waits until every stream has been applied to the end: what was sent is what was acknowledged, and nothing is behind.
async fn settle(nodes: &[DemoNode; 3], bar: &ProgressBar) -> Result<Vec<(String, Stream)>> {
    let started = Instant::now();
    bar.set_message("entries");
    loop {
        let mut streams = vec![];
        for node in nodes {
            let outbound = node.streams().await?.into_iter().filter(|s| s.direction() == StreamDirection::Outbound);
            streams.extend(outbound.map(|stream| (node.code.to_owned(), stream)));
        }
        bar.set_position(streams.iter().map(|(_, s)| s.applied()).sum());
        bar.set_length(streams.iter().map(|(_, s)| s.applied() + s.behind()).sum());
        let settled = |s: &Stream| s.pages() > 0 && s.behind() == 0 && s.entries() == s.applied() + s.quarantined();
        if streams.len() == nodes::AGREEMENTS && streams.iter().all(|(_, s)| settled(s)) {
            return Ok(streams);
        }
        if started.elapsed() > PATIENCE {
            return Err(Error::broken(format!(
                "the streams have not settled in {} s: {streams:?}",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What public reports say of Ningxia, and what the nation's table must say: indicator, day, breakdown, value (money in 分), and what it is
/// a part of.
const FACTS: &[(&str, &str, Option<&str>, i64, i64)] = &[
    ("talent_total", "2023-12-31", None, 13_000, 1),
    ("certified_total", "2023-12-31", None, 4_072, 1),
    ("certified_total", "2023-12-31", Some("SENIOR"), 2, 1),
    ("certified_total", "2023-12-31", Some("INTERMEDIATE"), 868, 1),
    ("certified_total", "2023-12-31", Some("ASSISTANT"), 3_202, 1),
    ("agency_total", "2023-12-31", None, 140, 1),
    ("station_county", "2023-12-31", None, 22, 1),
    ("station_township", "2021-10-31", None, 242, 1),
    ("station_village", "2023-12-31", None, 500, 1),
    ("township_coverage", "2021-10-31", None, 242, 242),
    ("township_coverage", "2022-10-31", None, 242, 243),
    ("pairing_total", "2023-12-31", None, 10, 1),
    ("pairing_total", "2023-12-31", Some("第一批"), 5, 1),
    ("pairing_total", "2023-12-31", Some("第二批"), 5, 1),
    ("pairing_trained", "2023-12-31", None, 300, 1),
    ("dispatch_persons", "2023-12-31", None, 308, 1),
    ("dispatch_projects", "2023-12-31", None, 80, 1),
    ("funds_allocated", "2023-12-31", Some("CENTRAL"), 786_000_000, 1),
    ("funds_allocated", "2023-12-31", Some("PROVINCIAL_MATCHING"), 628_000_000, 1),
    ("funds_paid", "2023-12-31", None, sample::pairing::PAID_FEN, 1),
];

/// What the agreements let both provinces see as the nation does.
const SHARED: &[&str] =
    &["pairing_total", "pairing_trained", "dispatch_persons", "dispatch_projects", "funds_allocated", "funds_paid"];

/// By what an indicator of the facts is broken down.
fn breakdown(indicator: &str) -> Option<&'static str> {
    match indicator {
        "certified_total" => Some("level"),
        "pairing_total" => Some("batch"),
        "funds_allocated" => Some("source"),
        _ => None,
    }
}

async fn read_table(node: &DemoNode) -> Result<Vec<Cell>> {
    read_some(node, |_| true).await
}

async fn read_some(node: &DemoNode, wanted: impl Fn(&str) -> bool) -> Result<Vec<Cell>> {
    let mut cells = vec![];
    let mut asked: Vec<(&str, &str)> = FACTS.iter().map(|(indicator, at, ..)| (*indicator, *at)).collect();
    asked.dedup();
    for (indicator, at) in asked.into_iter().filter(|(indicator, _)| wanted(indicator)) {
        let request = ReadTableRequest {
            indicators: vec![indicator.to_owned()],
            area: Some("64".to_owned()),
            at: Some(at.to_owned()),
            by: breakdown(indicator).map(str::to_owned).into_iter().collect(),
            ..ReadTableRequest::default()
        };
        cells.extend(node.table(request).await?);
    }
    Ok(cells)
}

/// The facts that a province sees too.
async fn check_at(province: &DemoNode) -> Result<Vec<Value>> {
    let is_shared = |indicator: &str| SHARED.contains(&indicator);
    let table = read_some(province, is_shared).await?;
    let checks = check_facts(&table, is_shared);
    Ok(checks
        .map(|mut check| {
            check["name"] = json!(format!("{} at {}", check["name"].as_str().unwrap_or_default(), province.code));
            check
        })
        .collect())
}

/// The province's match of each central yuan, in thousandths.
fn check_match(table: &[Cell]) -> Value {
    let of = |source: &str| {
        let fits =
            |c: &&Cell| c.indicator() == "funds_allocated" && c.by.first().is_some_and(|by| by.value() == source);
        table
            .iter()
            .find(fits)
            .and_then(|cell| if let Some(cell::Value::Fen(fen)) = cell.value { Some(fen) } else { None })
    };
    let (central, matching) = (of("CENTRAL").unwrap_or(0), of("PROVINCIAL_MATCHING").unwrap_or(0));
    let thousandths = (matching * 1_000 + central / 2).checked_div(central).unwrap_or(0);
    json!({"name": "matching ratio", "ok": thousandths == 799, "note": format!("expected 0.799, found 0.{thousandths:03}")})
}

fn check_facts<'a>(table: &'a [Cell], wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Value> + 'a {
    FACTS.iter().filter(move |(indicator, ..)| wanted(indicator)).map(|(indicator, at, level, value, whole)| {
        let of = |cell: &&Cell| cell.indicator() == *indicator && cell.at() == *at && cell.by.first().map(|d| d.value()) == *level;
        let found = table.iter().find(of).and_then(|cell| cell.value.as_ref());
        let ok = match found {
            Some(cell::Value::Count(figure) | cell::Value::Fen(figure)) => figure == value,
            Some(cell::Value::Ratio(ratio)) => (ratio.numerator(), ratio.denominator()) == (*value, *whole),
            _ => false,
        };
        let name = level.map_or_else(|| format!("{indicator}@{at}"), |level| format!("{indicator}[{level}]@{at}"));
        json!({"name": name, "ok": ok, "note": format!("expected {value}{}, found {found:?}", if *whole == 1 { String::new() } else { format!("/{whole}") })})
    })
}

fn check(table: &[Cell], streams: &[(String, Stream)]) -> Vec<Value> {
    let facts = check_facts(table, |_| true).chain([check_match(table)]);
    let streams = streams.iter().map(|(from, s)| {
        let ok = s.entries() == s.applied() && s.behind() == 0 && s.quarantined() == 0;
        json!({"name": format!("stream {from}→{}", s.peer()), "ok": ok, "note": format!("{} entries, {} applied", s.entries(), s.applied())})
    });
    facts.chain(streams).collect()
}

fn stream_json(from: &str, stream: &Stream) -> Value {
    json!({
        "from": from, "to": stream.peer(), "agreement": stream.agreement(), "pages": stream.pages(), "entries": stream.entries(),
        "applied": stream.applied(), "quarantined": stream.quarantined(), "behind": stream.behind(),
    })
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a figure for people"
)]
fn per_second(entries: u64, seconds: f64) -> u64 {
    (entries as f64 / seconds.max(0.001)) as u64
}

fn print_text(report: &Value, table: &[Cell], streams: &[(String, Stream)]) {
    println!("{}\n", show::cells(table));
    let row = |(from, s): &(String, Stream)| {
        let mut row = vec![format!("{from} → {}", s.peer())];
        row.extend([s.pages(), s.entries(), s.applied(), s.quarantined(), s.behind()].map(|n| n.to_string()));
        row
    };
    println!(
        "{}\n",
        show::columns(
            &["stream", "pages", "entries", "applied", "quarantined", "behind"],
            &streams.iter().map(row).collect::<Vec<_>>()
        )
    );
    for node in report["nodes"].as_array().into_iter().flatten() {
        println!("{}  {}", node["node"].as_str().unwrap_or_default(), node["address"].as_str().unwrap_or_default());
    }
    for check in report["checks"].as_array().into_iter().flatten().filter(|c| c["ok"] == false) {
        println!("✗ {} {}", check["name"], check["note"]);
    }
    println!("\n{} s; exchange {} entries/s", report["seconds"], report["exchange"]["entries_per_second"]);
}
