//! What is wrong with a node, and the command that mends it. Looks at the node's folder and database, calls its peers, and asks
//! the running node what only it knows. Changes nothing but a row of the database that is there to be written.

mod database;
mod folder;
mod running;
mod treaty;

use std::path::Path;

use qianshou_kernel::{
    clock::Clock,
    config::Config,
    error::{Error, Result},
    identity::NodeKeys,
    line::Line,
};
use serde::Serialize;

/// How a check came out, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work, or will not keep what it has.
    Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its place, from 1; the same check has the same number every time.
    pub number: u32,
    /// What was looked at, English and Chinese.
    pub name: &'static str,
    /// How it came out.
    pub grade: Grade,
    /// What was seen.
    pub note: String,
    /// The command or change that mends it.
    pub mend: Option<String>,
}

/// What a check saw.
struct Seen {
    grade: Grade,
    note: String,
    mend: Option<String>,
}

fn ok(note: impl Into<String>) -> Seen {
    Seen { grade: Grade::Ok, note: note.into(), mend: None }
}

fn warn(note: impl Into<String>, mend: impl Into<String>) -> Seen {
    Seen { grade: Grade::Warn, note: note.into(), mend: Some(mend.into()) }
}

fn fail(note: impl Into<String>, mend: impl Into<String>) -> Seen {
    Seen { grade: Grade::Fail, note: note.into(), mend: Some(mend.into()) }
}

/// Many things of one kind as one check: the worst decides, and what is not well is told.
fn worst(seen: Vec<Seen>, well: String) -> Seen {
    let grade = seen.iter().map(|s| s.grade).max().unwrap_or(Grade::Ok);
    if grade == Grade::Ok {
        return ok(well);
    }
    let bad: Vec<&Seen> = seen.iter().filter(|s| s.grade != Grade::Ok).collect();
    let note = bad.iter().map(|s| s.note.as_str()).collect::<Vec<_>>().join("; ");
    let mut mends: Vec<String> = bad.iter().filter_map(|s| s.mend.clone()).collect();
    mends.dedup();
    Seen { grade, note, mend: Some(mends.join("; ")) }
}

const NAMES: [&str; 16] = [
    "configuration 配置",
    "folder 文件夹",
    "disk 磁盘",
    "keys 密钥",
    "certificates 证书",
    "card 名片",
    "database 数据库",
    "settings 数据库设置",
    "tables 数据表版本",
    "clock 时钟",
    "epoch 纪元",
    "peers 对方节点",
    "agreements 协议",
    "node 运行中的节点",
    "streams 数据流",
    "integrity 完整性",
];

/// Examines the node of a configuration; `line` leads to it if it runs and may be asked. What cannot be looked at because
/// something before it is broken is left out.
pub async fn examine(config: &Path, line: Option<Line>, clock: &Clock) -> Vec<Check> {
    let mut report = Report::default();
    let shown = config.display().to_string();
    let loaded = match Config::load(config) {
        Ok(loaded) => loaded,
        Err(error) => {
            report.add(1, fail(text(&error), format!("qianshou config show --config {shown}")));
            return report.0;
        }
    };
    report.add(1, ok(format!("node {}", loaded.config.node.code)));
    report.add(2, folder::folder(&loaded));
    report.add(3, folder::disk(&loaded));
    let keys = NodeKeys::of(&loaded);
    report.add(4, folder::keys(&loaded, &keys));
    if let Ok(keys) = &keys {
        report.add(5, folder::certificates(keys, clock, &shown));
        report.add(6, folder::card(keys, &loaded));
    }
    let opened = crate::node::database(&loaded).await;
    report.add(7, database::reachable(&loaded, &opened).await);
    if let Ok(db) = &opened {
        report.add_result(8, database::settings(db).await);
        let tables = database::tables(db, &shown).await;
        let level = tables.as_ref().is_ok_and(|seen| seen.grade != Grade::Fail);
        report.add_result(9, tables);
        if level {
            report.add_result(10, database::clock(db, clock).await);
            report.add_result(11, database::epoch(db, &shown).await);
            if let Ok(keys) = &keys {
                report.add_result(16, database::integrity(db, keys, &shown).await);
                treaty::examine(&mut report, &loaded, db, keys, clock).await;
            }
        }
        db.close().await;
    }
    running::examine(&mut report, line, &shown).await;
    report.0.sort_by_key(|check| check.number);
    report.0
}

#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, number: u32, seen: Seen) {
        let name = NAMES.get(number as usize - 1).copied().unwrap_or_default();
        let Seen { grade, note, mend } = seen;
        self.0.push(Check { number, name, grade, note, mend });
    }

    fn add_result(&mut self, number: u32, seen: Result<Seen>) {
        let broken = |error: Error| fail(text(&error), "qianshou doctor --config …");
        self.add(number, seen.unwrap_or_else(broken));
    }
}

/// An error on one line.
fn text(error: &Error) -> String {
    error.to_string().replace('\n', "; ")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
