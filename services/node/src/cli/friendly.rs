//! The usual mistakes of a first hour, told with what to do next. What is not among them is told as it came.

use qianshou_kernel::{
    db::Away,
    error::{self, Error},
};
use tonic::{Code, Status};

/// What a cause says of itself, and what to do about it: Chinese, English.
const CALLS: [(&str, &str, &str); 5] = [
    (
        "UnknownIssuer",
        "节点证书不是由 --ca 所给的机构签发；请使用该节点文件夹中的 keys/ca.pem",
        "the node's certificate was not issued by the authority of --ca; use keys/ca.pem of that node's folder",
    ),
    (
        "certificate not valid for name",
        "节点证书中没有这个地址；请使用证书中的名称（api.names），或用 127.0.0.1",
        "the node's certificate does not have this address in it; use one of api.names, or 127.0.0.1",
    ),
    (
        "Connection refused",
        "该地址没有节点在运行；请先执行 qianshou serve --config DIR/node.toml，并使用它打印的 ready 地址",
        "no node runs at this address; start it with `qianshou serve --config DIR/node.toml` and use the address it prints",
    ),
    ("failed to lookup address", "找不到该主机名；请检查 --node", "there is no such host; check --node"),
    (
        "corrupt message",
        "对方不是 TLS 端口；请使用 serve 打印的 https 地址",
        "this is no TLS port; use the https address that `serve` prints",
    ),
];

/// The same for a node's own machinery.
const MACHINERY: [(&str, &str, &str); 6] = [
    (
        "database is locked",
        "数据库被另一进程占用；请等待其结束，或停止它",
        "another process holds the database; wait until it is done, or stop it",
    ),
    (
        "unable to open database file",
        "数据库文件无法打开；请检查文件夹及其权限（qianshou doctor --config …）",
        "the database's file cannot be opened; check the folder and its permissions (`qianshou doctor --config …`)",
    ),
    (
        "password authentication failed",
        "数据库口令不正确；请改正 database.url",
        "the database refuses the password; correct database.url",
    ),
    (
        "does not exist",
        "数据库不存在；请先在服务器上 CREATE DATABASE，或改正 database.url",
        "the database does not exist; `CREATE DATABASE` it on the server, or correct database.url",
    ),
    (
        "Connection refused",
        "数据库服务器没有运行或地址不正确；请启动它，或改正 database.url",
        "the database's server does not run there; start it, or correct database.url",
    ),
    (
        "pool timed out",
        "数据库没有应答；请检查它是否运行，以及 database.url 和 database.postgres_connections",
        "the database does not answer; check that it runs, database.url and database.postgres_connections",
    ),
];

fn known(said: &str, mistakes: &[(&str, &str, &str)]) -> Option<String> {
    let found = mistakes.iter().find(|(sign, ..)| said.contains(sign))?;
    Some(format!("{} | {}", found.1, found.2))
}

/// A refused or failed call.
pub(super) fn call(status: &Status) -> String {
    let mut said = status.to_string();
    let mut cause = std::error::Error::source(status);
    while let Some(inner) = cause {
        said = format!("{said}: {inner}");
        cause = inner.source();
    }
    match status.code() {
        Code::Unknown | Code::Unavailable => known(&said, &CALLS).unwrap_or_else(|| error::said(status)),
        Code::Unauthenticated => format!(
            "{}\n检查 QIANSHOU_TOKEN：它属于这个节点吗，是否已被撤销？ | check QIANSHOU_TOKEN: is it this node's, and not revoked?",
            error::said(status)
        ),
        _ => error::said(status),
    }
}

/// A command that failed.
pub(super) fn failure(error: &Error) -> String {
    match error {
        Error::Refused(refusal) => refusal.to_string(),
        Error::Broken(cause) => {
            let said = cause.to_string();
            if error.away() == Some(Away::Full) {
                return format!("{}\n({said})", Away::Full);
            }
            known(&said, &MACHINERY).map_or_else(|| said.clone(), |told| format!("{told}\n({said})"))
        }
    }
}
