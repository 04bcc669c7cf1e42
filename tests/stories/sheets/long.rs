//! A file of a whole nation takes no more memory than one of a county: what is read, sent, answered and receipted goes through batch by
//! batch. Every day most of its rows hold only a remark, for a node of a debug build is slow; with an agency in each of them it is
//! `QIANSHOU_TEST_AGENCIES=600000 cargo test --release -p qianshou-tests --test stories sheets::long` after
//! `cargo build --release --workspace`.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
};

use qianshou_kernel::identity::Role;
use qianshou_tests::{Database, World, run, sample::uscc};

const ROWS: u32 = 600_000;
const AGENCIES: u32 = 2_000;
const MEMORY_MAX_KIB: u64 = 300 << 10;

#[test]
fn a_long_file_needs_little_memory() {
    run(Database::Sqlite, story);
}

async fn story(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let agencies = qianshou_tests::number("QIANSHOU_TEST_AGENCIES", AGENCIES);
    let mut text = BufWriter::new(File::create(desk.file("long.csv")).unwrap());
    writeln!(text, "机构名称,统一社会信用代码,所在地区划代码,备注").unwrap();
    for n in 0..ROWS {
        if n % (ROWS / agencies) == 0 {
            writeln!(text, "塞上社会工作服务中心{n},{},640104,", uscc(n)).unwrap();
        } else {
            writeln!(text, ",,,第{n}行没有机构").unwrap();
        }
    }
    text.flush().unwrap();
    drop(text);
    let agencies = u64::from(agencies);
    let first = desk.import("agencies", "long.csv", &["--receipt", "receipt.csv"]).await;
    assert_eq!((first.code, first.figures()), (0, [agencies, 0, 0, 0]), "{first:?}");
    let receipt = std::fs::read_to_string(desk.file("receipt.csv")).unwrap();
    assert_eq!(receipt.lines().count(), ROWS as usize + 1);
    assert_eq!(receipt.matches(",通过\n").count() as u64, agencies);
    let export = desk.run(&["export", "agencies", "-o", "export.xlsx"]).await;
    let again = desk.import("agencies", "export.xlsx", &["--receipt", "again.xlsx"]).await;
    assert_eq!((again.code, again.figures()), (0, [0, 0, agencies, 0]), "{again:?}");
    for said in [first, export, again] {
        assert!((1..MEMORY_MAX_KIB).contains(&said.memory_max_kib), "{said:?}");
        println!("{} KiB", said.memory_max_kib);
    }
}
