//! One process of a crowd: `writer URL NUMBER WRITERS COMMANDS` writes into the ledger of node 64 on that database and prints a
//! line `POSITION NAME` for everything that was committed.

use std::sync::Arc;

use qianshou_kernel::{
    clock::Clock,
    kind::Kinds,
    ledger::{Ledger, Limits},
};
use qianshou_registry::domain::KINDS;
use qianshou_tests::{crowd::Crowd, world};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, crowd, writers, commands] = &arguments[..] else { panic!("writer URL NUMBER WRITERS COMMANDS") };
    let number = |text: &str| text.parse().expect("a number");
    let crowd = Crowd { number: number(crowd), writers: number(writers), commands: number(commands) };
    let ledger =
        Ledger::open(world::open(url).await, "64", Arc::new(Kinds::new(KINDS)), Clock::system(), Limits::default())
            .await;
    for (position, name) in crowd.write(&ledger.expect("a ledger")).await {
        println!("{position} {name}");
    }
}
