//! Telemetry: one trace shows a record's whole way, figures say how a node does, and neither says anything about anybody.

use std::{collections::BTreeSet, path::Path};

use qianshou_kernel::{
    ledger::{Command, Stored},
    telemetry::Trace,
};
use qianshou_proto::{identity::v1 as identity, registry::v1 as registry};
use qianshou_tests::{
    Caller, World,
    collector::{Collector, Figure, LogLine, Span},
    crowd::{command, name, save},
    eventually,
    process::Process,
    sample::{self, NINGXIA, agency, citizen, full_name, uscc, worker},
    scan::Everything,
    stories,
    treaty::{agree, introduce, settled, terms, to_nation},
    world::free_port,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Request;

stories! {
    one_trace_shows_the_whole_way
    a_trace_outlives_the_processes
    figures_arrive_and_nobody_is_named
    a_trace_stands_beside_its_entry
}

const CREATE_WORKER: &str = "qianshou.registry.v1.RegistryService/CreateWorker";
const CALLER: &str = "00f067aa0ba902b7";

/// A caller's trace, with a number.
fn trace(n: u8) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e47{n:02x}")
}

/// Saves a worker in this trace.
async fn save_in(by: &Caller, n: u8, flags: &str) {
    let asked = registry::CreateWorkerRequest { worker: Some(worker(n.into())), ..Default::default() };
    let mut request = Request::new(asked);
    request.metadata_mut().insert("traceparent", format!("00-{}-{CALLER}-{flags}", trace(n)).parse().unwrap());
    request.metadata_mut().insert("tracestate", "story=zhang-san".parse().unwrap());
    by.registry().create_worker(request).await.unwrap();
}

struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Everything on, and quick; answers also where the Prometheus page will be.
    fn of(collector: &Collector) -> (Self, u16) {
        let port = free_port();
        let settings = vec![
            ("QIANSHOU__TELEMETRY__OTLP_ENDPOINT", collector.endpoint.clone()),
            ("QIANSHOU__TELEMETRY__EXPORT_INTERVAL_MS", "100".to_owned()),
            ("QIANSHOU__TELEMETRY__PROMETHEUS_LISTEN", format!("127.0.0.1:{port}")),
            ("QIANSHOU__LOG__FORMAT", "json".to_owned()),
            ("QIANSHOU__LOG__FILTER", "info,qianshou=debug".to_owned()),
        ];
        (Self(settings), port)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }

    fn list(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

async fn province_and_nation(world: &World, collector: &Collector) -> [Process; 2] {
    let province = world.process("64", &Settings::of(collector).0.list()).await;
    let nation = world.process("00", &Settings::of(collector).0.list()).await;
    introduce(&[&province.admin, &nation.admin]).await;
    [province, nation]
}

/// The spans of a trace, once all of these steps are among them.
async fn whole(collector: &Collector, n: u8, steps: &[(&str, &str)]) -> Vec<Span> {
    eventually("the whole trace", async || {
        let spans = collector.trace(&trace(n));
        let there = |(node, name): &(&str, &str)| spans.iter().any(|span| span.node == *node && span.name == *name);
        steps.iter().all(there).then_some(spans)
    })
    .await
}

async fn one_trace_shows_the_whole_way(world: World) {
    let collector = Collector::open().await;
    let [province, nation] = province_and_nation(&world, &collector).await;
    let id = agree(&province.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    save_in(&province.admin, 1, "01").await;
    save_in(&province.admin, 2, "00").await;
    settled(&province.admin, &nation.admin, &id).await;

    let steps = [
        ("64", CREATE_WORKER),
        ("64", "ledger.commit"),
        ("64", "exchange.page"),
        ("64", "reporting.tally"),
        ("00", "exchange.apply"),
        ("00", "ledger.commit"),
        ("00", "reporting.tally"),
    ];
    let spans = whole(&collector, 1, &steps).await;
    let [rpc, commit, page, tally, apply, arrival, national] = steps.map(|(node, name)| {
        let found = spans.iter().find(|span| span.node == node && span.name == name);
        found.unwrap_or_else(|| panic!("{name} at {node}"))
    });
    assert_eq!(rpc.parent, CALLER);
    for step in [commit, page, tally, apply, national] {
        assert_eq!(step.parent, rpc.id, "{} is a step of the call that saved the record", step.name);
    }
    assert_eq!(arrival.parent, apply.id, "the peer's commit is a part of applying the page");
    let conventional = ["rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"].map(str::to_owned);
    assert!(rpc.attributes.is_superset(&BTreeSet::from(conventional)), "{rpc:?}");
    assert_eq!(collector.trace(&trace(2)), [], "who does not want to be traced is not");

    // What is stored is the call's own place, at home and at the peer; the log tells the same.
    for process in [&province, &nation] {
        let rows = process.db().await.fetch("SELECT trace FROM entries WHERE trace LIKE '00-4bf9%'", vec![]).await;
        let traces: Vec<_> = rows.unwrap().iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(traces, [format!("00-{}-{}-01", trace(1), rpc.id)]);
    }
    let lines = lines(&province.folder);
    let told = lines.iter().find(|line| line["trace_id"] == trace(1).as_str()).expect("a line of this trace");
    assert_eq!(told["span"]["rpc.method"], "CreateWorker");
}

async fn a_trace_outlives_the_processes(world: World) {
    let collector = Collector::open().await;
    let [mut province, mut nation] = province_and_nation(&world, &collector).await;
    let id = agree(&province.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    settled(&province.admin, &nation.admin, &id).await;
    nation.kill().await;
    save_in(&province.admin, 3, "01").await;
    province.kill().await;
    province.start().await;
    nation.start().await;
    let spans = whole(&collector, 3, &[("00", "exchange.apply"), ("00", "reporting.tally")]).await;
    assert!(spans.iter().all(|span| span.trace == trace(3)));
    assert_eq!(nation.stop().await, Some(0));
    assert_eq!(province.stop().await, Some(0));
}

const AT_THE_PROVINCE: [(&str, &str); 11] = [
    ("rpc.server.call.duration", "s"),
    ("rpc.client.call.duration", "s"),
    ("db.client.operation.duration", "s"),
    ("qianshou.ledger.group.size", "{command}"),
    ("qianshou.ledger.queue.depth", "{submission}"),
    ("qianshou.ledger.commit.duration", "s"),
    ("qianshou.ledger.position", "{entry}"),
    ("qianshou.exchange.lag", "s"),
    ("qianshou.exchange.behind", "{entry}"),
    ("qianshou.reporting.lag", "s"),
    ("qianshou.reporting.behind", "{entry}"),
];

/// A nation that takes only tiny pages refuses the first; as it should be, it takes all.
async fn figures_arrive_and_nobody_is_named(world: World) {
    let collector = Collector::open().await;
    let (settings, page) = Settings::of(&collector);
    let province = world.process("64", &settings.list()).await;
    let (settings, national_page) = Settings::of(&collector);
    let small = settings.with("QIANSHOU__EXCHANGE__PAGE_MAX_ENTRIES", "1");
    let mut nation = world.process("00", &small.list()).await;
    introduce(&[&province.admin, &nation.admin]).await;
    sample::fill(&province.admin, NINGXIA, 1..11).await;
    let secret = token(&province.admin).await;
    let again = province.admin.create(worker(3)).await.unwrap_err();
    assert!(!again.message().is_empty());
    province.admin.get::<registry::Worker>(&format!("nodes/64/workers/{}", full_name(4))).await.unwrap_err();

    let id = agree(&province.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let refusals = |node: &'static str| collector.figures(node, "qianshou.exchange.refusals");
    let refused = eventually("a refusal at both sides", async || {
        let both = [refusals("64").pop()?, refusals("00").pop()?];
        both.iter().all(|figure| figure.value >= 1.0).then_some(both)
    })
    .await;
    let attributes = ["error.type=TOO_LARGE", "qianshou.direction=outbound", "qianshou.peer=00"];
    assert_eq!(refused[0].attributes, attributes);
    let behind = eventually("entries without a receipt", async || {
        let figure = collector.figures("64", "qianshou.exchange.behind").pop()?;
        (figure.value >= 40.0).then_some(figure)
    })
    .await;
    assert_eq!(
        behind.attributes,
        ["qianshou.direction=outbound".to_owned(), "qianshou.peer=00".into(), format!("qianshou.stream={id}")]
    );

    assert_eq!(nation.stop().await, Some(0));
    let (mut settings, _) = Settings::of(&collector);
    settings.0[2].1 = format!("127.0.0.1:{national_page}");
    nation.start_in(&settings.list()).await;
    settled(&province.admin, &nation.admin, &id).await;
    let outcome = |figure: &Figure, said: &str| figure.attributes.iter().any(|attribute| attribute == said);
    eventually("everything applied, and told", async || {
        let applied = |node: &str| {
            let all = collector.figures(node, "qianshou.exchange.entries");
            all.iter().find(|figure| outcome(figure, "qianshou.outcome=applied")).map(|figure| figure.value)
        };
        (applied("64")? >= 40.0 && applied("00")? >= 40.0).then_some(())
    })
    .await;
    eventually("nothing behind", async || {
        let nothing = |node: &str, name: &str| collector.figures(node, name).iter().all(|figure| figure.value == 0.0);
        let caught_up = nothing("64", "qianshou.exchange.behind")
            && nothing("64", "qianshou.exchange.lag")
            && nothing("00", "qianshou.exchange.lag")
            && nothing("00", "qianshou.reporting.lag");
        caught_up.then_some(())
    })
    .await;

    let act = "act=IdentityService/CreateToken".to_owned();
    eventually("the line of an act", async || {
        let of_act =
            |line: &LogLine| line.attributes.contains(&act) && line.attributes.contains(&"outcome=OK".to_owned());
        collector.lines("64").iter().any(of_act).then_some(())
    })
    .await;
    let audited = |line: LogLine| line.attributes.iter().any(|attribute| attribute.starts_with("act="));
    assert!(collector.lines("64").into_iter().all(audited), "other lines stay in the log");

    for (name, unit) in AT_THE_PROVINCE {
        let figures = eventually(name, async || Some(collector.figures("64", name)).filter(|f| !f.is_empty())).await;
        assert_eq!(figures[0].unit, unit, "{name}");
    }
    let read = [get_page(page).await, get_page(national_page).await];
    for name in [
        "rpc_server_call_duration_seconds_bucket",
        "db_client_operation_duration_seconds_count",
        "qianshou_ledger_group_size_sum",
        "qianshou_ledger_queue_depth",
        "qianshou_ledger_position",
        "qianshou_exchange_lag_seconds",
        "qianshou_exchange_entries_total",
        "qianshou_reporting_lag_seconds",
    ] {
        assert!(read.iter().all(|page| page.contains(name)), "{name} is not on a page");
    }

    let log = |process: &Process| std::fs::read(process.folder.join("log")).unwrap();
    let told = Everything::told([
        ("collector".to_owned(), collector.words()),
        ("page of 64".to_owned(), read[0].clone().into_bytes()),
        ("page of 00".to_owned(), read[1].clone().into_bytes()),
        ("log of 64".to_owned(), log(&province)),
        ("log of 00".to_owned(), log(&nation)),
    ]);
    assert_eq!(told.find("qianshou").len(), 5, "the scanner sees what is there");
    for n in 1..11 {
        let agency = agency(n).display_name.unwrap();
        for secret in [full_name(n), citizen(n), uscc(n), agency] {
            assert_eq!(told.find(&secret), [""; 0], "{secret} is told");
        }
    }
    for word in
        [secret.as_str(), "掌政镇社工站", "a story's clerk", "nodes/64/workers", "nodes/64/agencies", "zhang-san"]
    {
        assert_eq!(told.find(word), [""; 0], "{word} is told");
    }
}

async fn token(by: &Caller) -> String {
    let asked = identity::CreateTokenRequest {
        display_name: Some("a story's clerk".to_owned()),
        role: Some(identity::Role::Reader.into()),
        area: Some("64".to_owned()),
        ..Default::default()
    };
    by.identity().create_token(asked).await.unwrap().into_inner().secret.unwrap()
}

/// What stands beside an entry changes nothing of it: not its digest, not the chain.
async fn a_trace_stands_beside_its_entry(world: World) {
    let (db, _) = world.database("traced").await;
    let (traced, plain) = (world.ledger_on(db).await, world.ledger().await);
    let cause = Trace::read(&format!("00-{}-{CALLER}-01", trace(9))).unwrap();
    let writes = || vec![save(&name(1), 1), save(&name(2), 2)];
    traced.submit(Command { traces: vec![None, Some(cause)], ..command(writes()) }).await.unwrap();
    plain.submit(command(writes())).await.unwrap();
    let (with, without) = (traced.history(0, 9).await.unwrap(), plain.history(0, 9).await.unwrap());
    assert_eq!(with.iter().map(|entry| entry.trace).collect::<Vec<_>>(), [None, Some(cause)]);
    assert_eq!(traced.find_one(&name(2)).await.unwrap().unwrap().trace, Some(cause));
    let bare = |entry: Stored| Stored { trace: None, digest: vec![], ..entry };
    assert_eq!(with.into_iter().map(bare).collect::<Vec<_>>(), without.into_iter().map(bare).collect::<Vec<_>>());
    // Salts differ from ledger to ledger; that the chain does not cover it shows where it is taken away.
    let forget = qianshou_kernel::db::Statement::new("UPDATE entries SET trace = NULL", vec![]);
    traced.db().run(&[forget]).await.unwrap();
    let entries = qianshou_kernel::ledger::verify::Entries(traced.db().clone());
    assert_eq!(qianshou_kernel::ledger::verify::Part::look(&entries, "", 9).await.unwrap().fault, None);
}

fn lines(folder: &Path) -> Vec<serde_json::Value> {
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn get_page(port: u16) -> String {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}
