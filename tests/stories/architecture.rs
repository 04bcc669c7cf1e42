//! The walls: who may know whom, which rooms a house has, whose tables a statement may name, what stands in the repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use qianshou_tests::source::{self, root, tracked};
use serde_json::Value;

/// What stands at the top beside dotfiles; README.md and LICENSE are for people, Cargo.lock goes with Cargo.toml.
const TOP: [&str; 8] = ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "deploy", "proto", "services", "tests"];
/// The databases' own lists of tables, which only the kernel reads.
const CATALOGUES: [&str; 2] = ["pg_tables", "sqlite_master"];
/// Services that are no houses.
const NO_HOUSES: [&str; 3] = ["kernel", "node", "console"];
/// The rooms that every house has, and those that it may have.
const ROOMS: [&str; 5] = ["domain", "lib", "migrations", "rpc", "store"];
const FURTHER_ROOMS: [&str; 3] = ["follow", "tasks", "tests"];
/// The ledger's tables and what else is the kernel's alone.
const OF_THE_KERNEL: [&str; 21] = [
    "head",
    "entries",
    "records",
    "claims",
    "links",
    "shared",
    "requests",
    "cursors",
    "tokens",
    "pending_acts",
    "migrations",
    "words",
    "indexed",
    "salting",
    "heads",
    "verified",
    "erasures",
    "joined",
    "audit",
    "audit_head",
    "probes",
];

#[test]
fn everybody_knows_only_whom_they_may() {
    let knows = dependencies();
    let of = |name: &str| knows.get(name).cloned().unwrap_or_default();
    let ground = BTreeSet::from(["qianshou-kernel".to_owned(), "qianshou-proto".to_owned()]);
    assert_eq!(of("qianshou-proto"), BTreeSet::new());
    assert_eq!(of("qianshou-kernel"), BTreeSet::from(["qianshou-proto".to_owned()]));
    for house in houses() {
        assert!(
            of(&format!("qianshou-{house}")).is_subset(&ground),
            "{house} knows a sibling: {:?}",
            of(&format!("qianshou-{house}"))
        );
    }
    for (name, known) in &knows {
        assert!(!known.contains("qianshou-tests"), "{name} knows the tests");
        assert!(!known.contains("qianshou") || name == "qianshou-tests", "{name} knows the node");
    }
}

#[test]
fn every_house_has_the_same_rooms() {
    for house in houses() {
        let rooms: BTreeSet<String> = inside(&format!("services/{house}/src"))
            .into_iter()
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .collect();
        for room in ROOMS {
            assert!(rooms.contains(room), "{house} has no {room}");
        }
        for room in &rooms {
            assert!(
                ROOMS.contains(&room.as_str()) || FURTHER_ROOMS.contains(&room.as_str()),
                "{house} has a room of its own: {room}"
            );
        }
    }
}

#[test]
fn statements_name_only_tables_of_their_own_house() {
    let houses = houses();
    let made: BTreeMap<String, BTreeSet<String>> = houses.iter().map(|house| (house.clone(), made_by(house))).collect();
    for service in inside("services") {
        let texts =
            source::literals(&format!("services/{service}")).into_iter().map(|literal| (literal.file, literal.text));
        for (file, text) in texts.chain(migrations(&service)) {
            for other in houses.iter().filter(|house| **house != service) {
                assert!(!names(&text, &made[other]), "{} names a table of {other}: {text}", file.display());
            }
            for table in tables_in(&text) {
                let own = table.starts_with(&format!("{service}_"))
                    || (service == "kernel" && OF_THE_KERNEL.contains(&table.as_str()))
                    || (service == "kernel" && CATALOGUES.contains(&table.as_str()));
                assert!(own, "{} names the table {table}: {text}", file.display());
            }
        }
    }
}

#[test]
fn the_top_level_is_what_was_promised() {
    let files = tracked();
    let top: BTreeSet<String> =
        files.iter().filter_map(|path| path.iter().next()?.to_str().map(str::to_owned)).collect();
    let visible: Vec<&str> = top.iter().map(String::as_str).filter(|name| !name.starts_with('.')).collect();
    assert_eq!(visible, TOP);
    for dotfile in [".clippy.toml", ".rustfmt.toml", ".ci", ".gitignore"] {
        assert!(top.contains(dotfile), "{dotfile} is missing");
    }
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    // Written apart, so that this file does not name them either.
    let places = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
        concat!("/tmp/tar", "get"),
    ];
    let registries = [
        concat!("[sou", "rce."),
        concat!("[regis", "tries"),
        concat!("--regis", "try"),
        concat!("index-u", "rl"),
        concat!("npm_config_regis", "try"),
    ];
    for file in tracked() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for told in places.iter().chain(&registries) {
            assert!(!text.contains(told), "{} names {told}", file.display());
        }
        if file.ends_with("Cargo.lock") {
            let sources: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
            assert_eq!(sources, BTreeSet::from(["\"registry+https://github.com/rust-lang/crates.io-index\""]));
        }
    }
}

#[test]
fn versions_stand_in_one_table() {
    for manifest in tracked().into_iter().filter(|path| path.ends_with("Cargo.toml") && path.iter().count() > 1) {
        let text = std::fs::read_to_string(root().join(&manifest)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(section).and_then(toml::Value::as_table);
            for (name, entry) in entries.into_iter().flatten() {
                let here = entry.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(here, "{}: {name} has a version of its own", manifest.display());
            }
        }
        let inherits = |section: &str, key: &str| table.get(section).and_then(|s| s.get(key)).is_some();
        assert!(inherits("lints", "workspace"), "{} does not take the workspace's lints", manifest.display());
    }
}

/// The names of the services that are houses.
fn houses() -> Vec<String> {
    inside("services").into_iter().filter(|service| !NO_HOUSES.contains(&service.as_str())).collect()
}

/// Which of our crates each of our crates depends on, for whatever purpose.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output();
    let metadata: Value = serde_json::from_slice(&asked.unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let known = |package: &Value| {
        package["dependencies"].as_array().unwrap().iter().map(name).filter(|n| ours.contains(n)).collect()
    };
    packages.iter().map(|package| (name(package), known(package))).collect()
}

/// What stands in a folder of the repository.
fn inside(folder: &str) -> BTreeSet<String> {
    let below =
        |path: &Path| path.strip_prefix(folder).ok().and_then(|rest| rest.iter().next()?.to_str().map(str::to_owned));
    tracked().iter().filter_map(|path| below(path)).collect()
}

fn migrations(service: &str) -> impl Iterator<Item = (std::path::PathBuf, String)> {
    let folder = format!("services/{service}");
    let files = tracked()
        .into_iter()
        .filter(move |path| path.starts_with(&folder) && path.extension().is_some_and(|e| e == "sql"));
    files.map(|path| (path.clone(), std::fs::read_to_string(root().join(path)).unwrap()))
}

/// What a house's migrations make: tables and indexes.
fn made_by(house: &str) -> BTreeSet<String> {
    let prefix = format!("{house}_");
    let texts: Vec<String> = migrations(house).map(|(_, text)| text).collect();
    words(&texts.join("\n")).filter(|word| word.starts_with(&prefix)).map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Whether one of these stands in a text.
fn names(text: &str, made: &BTreeSet<String>) -> bool {
    words(text).any(|word| made.contains(word))
}

/// The tables that a SQL text names; none if it is no SQL.
fn tables_in(text: &str) -> Vec<String> {
    let is_sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "CREATE ", "ALTER ", "DROP "]
        .iter()
        .any(|verb| text.trim_start().starts_with(verb));
    let words: Vec<&str> = text.split_whitespace().filter(|_| is_sql).collect();
    let before = |i: usize| words.get(i.wrapping_sub(1)).copied().unwrap_or_default();
    let opens = |i: usize| match words[i] {
        "FROM" | "JOIN" | "INTO" | "TABLE" | "EXISTS" => true,
        "UPDATE" => before(i) != "DO",
        // CREATE INDEX … ON table
        "ON" => before(i.wrapping_sub(1)) == "INDEX",
        _ => false,
    };
    let after = (0..words.len()).filter(|i| opens(*i)).filter_map(|i| words.get(i + 1));
    // What is called, such as json_each(…), is no table.
    let named = |word: &&&str| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains('(');
    let tables = after.filter(named);
    tables.map(|word| word.trim_end_matches([',', ')', ';']).to_owned()).collect()
}
