//! Every SQL statement of the sources is prepared on both databases. What is put together at run time is put together here with
//! all that it can be put together with; a new kind of it fails until it is told here.

use qianshou::node::kinds;
use qianshou_kernel::{db::Db, kind::Kind};
use qianshou_tests::{World, source, stories};

stories! {
    every_statement_can_be_prepared
}

/// What a statement begins with.
const VERBS: [&str; 7] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "PRAGMA ", "SHOW "];
/// How the statements of one database begin, and whether it is the shared one.
const OF_ONE_DATABASE: [(&str, bool); 13] = [
    ("PRAGMA ", false),
    ("SELECT sqlite_version", false),
    ("SHOW ", true),
    ("SELECT CAST(date_part", true),
    ("SELECT name FROM sqlite_master", false),
    ("SELECT CAST(tablename AS TEXT) FROM pg_tables", true),
    ("SELECT CAST(pg_advisory_xact_lock", true),
    ("SELECT pg_notify", true),
    ("SELECT rowid FROM words WHERE words MATCH", false),
    ("SELECT rowid FROM words WHERE held", true),
    ("INSERT INTO words (words) VALUES", false),
    ("INSERT INTO words (rowid, held) SELECT value", false),
    ("INSERT INTO words (rowid, held) SELECT n", true),
];
/// Fewer would mean that the sources were not read.
const STATEMENTS_AT_LEAST: usize = 70;

async fn every_statement_can_be_prepared(world: World) {
    let (db, _) = world.database("all").await;
    let tables = tables(&db).await;
    let (mut prepared, mut wrong) = (0, vec![]);
    for literal in source::literals("services") {
        for candidates in statements(literal.text.trim(), &tables, db.is_shared()) {
            match first_that_holds(&db, &candidates).await {
                Ok(()) => prepared += 1,
                Err(error) => wrong.push(format!("{}: {error}: {}", literal.file.display(), literal.text)),
            }
        }
    }
    println!("{prepared} statements were prepared on {}", world.database);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(prepared >= STATEMENTS_AT_LEAST, "only {prepared} statements were found");
}

async fn first_that_holds(db: &Db, candidates: &[String]) -> Result<(), String> {
    let mut refused = "fits no table".to_owned();
    for sql in candidates {
        match db.prepare(sql).await {
            Ok(_) => return Ok(()),
            Err(error) => refused = format!("{error} in {sql}"),
        }
    }
    Err(refused)
}

/// The statements that a text can become, none if it is no SQL. Of each one's candidates one has to hold.
fn statements(text: &str, tables: &[Table], shared: bool) -> Vec<Vec<String>> {
    let heads = |table: &Table| {
        text.strip_prefix(&table.name).is_some_and(|rest| rest.starts_with(" (") && rest.ends_with(')'))
    };
    if OF_ONE_DATABASE.iter().any(|(start, on_shared)| text.starts_with(start) && *on_shared != shared) {
        vec![]
    } else if text.starts_with("INSERT INTO {") {
        // Rows in blocks: the tables, their columns and the clauses below are what it is made of.
        vec![]
    } else if text.starts_with("ON CONFLICT ") {
        vec![tables.iter().flat_map(|table| with_clause(table, text)).collect()]
    } else if tables.iter().any(heads) {
        vec![vec![format!("INSERT INTO {text} VALUES ({})", places(1, text.split(',').count()))]]
    } else if text.starts_with("WITH few AS MATERIALIZED") {
        // What a page begins with; see below.
        vec![]
    } else if text.starts_with("{with}SELECT {}, t.name") {
        kinds().iter().flat_map(|kind| pages_of(kind.table)).map(|page| vec![page]).collect()
    } else if text.starts_with("SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT t.name FROM {} t WHERE {seeks}") {
        kinds().iter().map(|kind| vec![count_of(kind.table)]).collect()
    } else if !VERBS.iter().any(|verb| text.starts_with(verb)) {
        vec![]
    } else if text.contains("{table}") && text.contains("{column}") {
        let keyed = |kind: &Kind| {
            let text = text.replace("{table}", kind.table).replace("{column}", kind.county_key?);
            Some(vec![with_list(&text)])
        };
        kinds().iter().filter_map(keyed).collect()
    } else if text.contains("{table}") {
        kinds().iter().map(|kind| vec![with_list(&text.replace("{table}", kind.table))]).collect()
    } else {
        vec![vec![with_list(text)]]
    }
}

/// A clause of an INSERT, in whichever of its forms this table takes.
fn with_clause(table: &Table, clause: &str) -> Vec<String> {
    let Table { name, columns } = table;
    let insert = format!("INSERT INTO {name} ({}) VALUES ({})", columns.join(", "), places(1, columns.len()));
    let sets = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ");
    let forms =
        ["day", "month"].map(|period| clause.replace("{period}", period).replace("{table}", name).replace("{}", &sets));
    forms.into_iter().map(|clause| format!("{insert} {clause}")).collect()
}

/// What rows of a list are sought by.
const SEEKS: &str = "t.area >= $1 AND t.area < $2";

/// The kernel's lists, with every condition that they may have, from each of the sources that they are taken from.
fn pages_of(table: &str) -> [String; 4] {
    let order = "ORDER BY t.title ASC, t.name ASC";
    let beyond = "(t.title, t.name) > ($6, $7)";
    let page = |with: &str, from: &str| {
        format!(
            "{with}SELECT t.title, t.name, t.position, t.found FROM {from} WHERE COALESCE(t.area, '') >= $1 \
             AND COALESCE(t.area, '') < $2 AND COALESCE(t.state, '') = $3 AND COALESCE(t.type, '') = $4 AND t.found LIKE $5 ESCAPE '\\' AND {beyond} {order} LIMIT 101"
        )
    };
    let few = |seeks: &str| format!("WITH few AS MATERIALIZED (SELECT * FROM {table} t WHERE {seeks}) ");
    [
        page("", &format!("{table} t")),
        page("", &format!("(SELECT * FROM {table} t WHERE {beyond} {order} LIMIT 1000) t")),
        page(&few(SEEKS), "few t"),
        page(&few("t.position IN ($8)"), "few t"),
    ]
}

/// How many rows there are to be sought.
fn count_of(table: &str) -> String {
    format!("SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT t.name FROM {table} t WHERE {SEEKS} LIMIT 20001) few")
}

/// A statement with a list of one where its list stands: `IN ({n})`, doubled in a format string.
fn with_list(sql: &str) -> String {
    sql.replace("({{", "($").replace("}})", ")").replace("({", "($").replace("})", ")")
}

fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

struct Table {
    name: String,
    columns: Vec<String>,
}

async fn tables(db: &Db) -> Vec<Table> {
    let names = if db.is_shared() {
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    };
    let mut tables = vec![];
    for row in db.fetch(names, vec![]).await.unwrap() {
        let name = row.text(0).unwrap();
        let columns = db.prepare(&format!("SELECT * FROM {name}")).await.unwrap();
        tables.push(Table { name, columns: columns.into_iter().map(|(column, _)| column).collect() });
    }
    tables
}
