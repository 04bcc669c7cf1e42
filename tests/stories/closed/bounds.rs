//! Nobody stops the others, and no file stops its reader.

use std::{collections::BTreeSet, fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use flate2::{Compression, write::GzEncoder};
use futures::{TryStreamExt as _, future::join_all, stream};
use prost::Message as _;
use qianshou_kernel::{error::Reason, identity::Role, kind::ListQuery};
use qianshou_proto::{common::v1::PutState, ledger::v1::ReadEntriesRequest, registry::v1::Agency};
use qianshou_tests::{
    Caller, World,
    refusal::refused,
    sample::{agency, uscc},
    stories,
};
use zip::{ZipWriter, write::SimpleFileOptions};

stories! {
    a_file_that_unpacks_to_gigabytes_is_refused
    a_failed_export_leaves_yesterdays_file
    one_record_that_fits_no_cell_does_not_fail_an_export
    an_answer_is_no_longer_than_any_client_takes
    a_reader_takes_no_editors_place
    a_hundred_writers_of_one_record_each_get_their_turn
}

const MEMORY_MAX_KIB: u64 = 100 << 10;

async fn a_file_that_unpacks_to_gigabytes_is_refused(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let mut bomb = GzEncoder::new(fs::File::create(desk.file("bomb.csv.gz")).unwrap(), Compression::best());
    bomb.write_all(&b"0,0\n".repeat(8 << 20)).unwrap();
    bomb.finish().unwrap();
    let mut announced = ZipWriter::new(fs::File::create(desk.file("announced.xlsx")).unwrap());
    announced.start_file("xl/sharedStrings.xml", SimpleFileOptions::default()).unwrap();
    announced.write_all(br#"<sst count="1" uniqueCount="9999999999"><si><t>x</t></si></sst>"#).unwrap();
    announced.finish().unwrap();
    fs::write(desk.file("line.csv"), vec![b'x'; 64 << 20]).unwrap();
    for file in ["bomb.csv.gz", "announced.xlsx", "line.csv"] {
        let said = desk.import("agencies", file, &["--receipt", "receipt.csv"]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(file) && said.err.contains("|"), "{said:?}");
        assert!(said.memory_max_kib < MEMORY_MAX_KIB, "{file}: {} KiB", said.memory_max_kib);
    }
    assert!(!desk.file("receipt.csv").exists());
}

async fn a_failed_export_leaves_yesterdays_file(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    ningxia.admin.create(agency(1)).await.unwrap();
    for file in ["agencies.xlsx", "agencies.csv"] {
        desk.export("agencies", file).await;
        let before = fs::read(desk.file(file)).unwrap();
        assert_eq!(fs::metadata(desk.file(file)).unwrap().permissions().mode() & 0o777, 0o600);
        let said = desk.run(&["export", "agencies", "--area", "nowhere", "-o", file]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(fs::read(desk.file(file)).unwrap(), before, "{file}");
    }
    let left: Vec<_> = fs::read_dir(&desk.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left beside them: {left:?}");
}

async fn one_record_that_fits_no_cell_does_not_fail_an_export(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let mut long = agency(1);
    // Each is as long as a text may be; together they are longer than a cell of a workbook.
    long.aliases = (0..10).map(|n| format!("{n}{}", "长".repeat(3_900))).collect();
    ningxia.admin.create(long).await.unwrap();
    ningxia.admin.create(agency(2)).await.unwrap();
    let said = desk.run(&["export", "agencies", "-o", "agencies.xlsx"]).await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("nodes/64/agencies/") && said.err.contains(".csv"), "{said:?}");
    let rows = desk.sheet("agencies.xlsx", 0);
    assert_eq!((rows.len(), rows[1].contains(&uscc(2))), (2, true), "{rows:?}");
    assert_eq!(desk.run(&["export", "agencies", "-o", "agencies.csv"]).await.code, 0, "text takes it");
}

const ANSWER_MAX_BYTES: usize = 3 << 20;

/// An agency of more than 100 KiB.
fn heavy(n: u32) -> Agency {
    let aliases = (0..10).map(|i| format!("{i}{}", "长".repeat(3_900))).collect();
    Agency { aliases, ..agency(n) }
}

async fn an_answer_is_no_longer_than_any_client_takes(world: World) {
    let ningxia = world.node("64").await;
    let editor = ningxia.caller(Role::Editor, "64").await;
    let outcomes = editor.put((1..=40).map(heavy).collect()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.state() == PutState::Created));
    let asked = ListQuery { page_size: Some(1_000), ..ListQuery::default() };
    let first = editor.list::<Agency>(asked.clone()).await.unwrap();
    let bytes: usize = first.nouns.iter().map(Agency::encoded_len).sum();
    assert!(bytes < ANSWER_MAX_BYTES && first.nouns.len() > 20 && !first.next_page_token.is_empty(), "{bytes}");
    let all = editor.list_all::<Agency>(asked).await;
    let mut codes: Vec<_> = all.into_iter().filter_map(|agency| agency.uscc).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 40, "each once");

    let messages = ningxia.admin.feed().read_entries(ReadEntriesRequest::default()).await.unwrap().into_inner();
    let messages: Vec<_> = messages.try_collect().await.unwrap();
    assert!(messages.iter().all(|message| message.encoded_len() < ANSWER_MAX_BYTES));
    let told = messages.iter().flat_map(|message| &message.entries);
    assert_eq!(told.filter(|entry| entry.kind() == "agencies").count(), 40);

    // Ten thousand rows with nothing in them, each with all that is missing.
    let outcomes = editor.only_asking().put(vec![Agency::default(); 10_000]).await.unwrap();
    let bytes: usize = outcomes.iter().map(|outcome| outcome.encoded_len() + 4).sum();
    assert!(bytes < ANSWER_MAX_BYTES, "{bytes}");
    let is_told = |outcome: &qianshou_proto::common::v1::PutOutcome| {
        outcome.state() == PutState::Refused && outcome.violations.len() as u64 + outcome.violations_left() > 1
    };
    assert!(outcomes.len() == 10_000 && outcomes.iter().all(is_told));
    assert!(outcomes[0].violations_left() == 0 && outcomes[9_999].violations_left() > 0);
}

/// An upload that never says anything.
fn stall(by: &Caller) -> futures::future::BoxFuture<'static, Result<(), tonic::Status>> {
    let mut registry = by.registry();
    Box::pin(async move { registry.batch_put_agencies(stream::pending()).await.map(drop) })
}

async fn a_reader_takes_no_editors_place(world: World) {
    let ningxia = world.node("64").await;
    let (reader, editor) = (ningxia.caller(Role::Reader, "64").await, ningxia.caller(Role::Editor, "64").await);
    // Uploads that never say anything: those who may not write are told so at once.
    for _ in 0..20 {
        refused(stall(&reader).await, Reason::Forbidden, "");
    }
    // Whoever may takes their own places and no other's.
    let mut open: Vec<_> = (0..6).map(|_| stall(&editor)).collect();
    while open.len() > 4 {
        let (answer, _, rest) = futures::future::select_all(open).await;
        refused(answer, Reason::Busy, "");
        open = rest;
    }
    let other = ningxia.caller(Role::Editor, "6401").await;
    assert_eq!(other.put(vec![agency(1)]).await.unwrap().len(), 1);
}

async fn a_hundred_writers_of_one_record_each_get_their_turn(world: World) {
    let ningxia = world.node("64").await;
    let editor = ningxia.caller(Role::Editor, "64").await;
    let made = editor.create(agency(1)).await.unwrap().noun;
    let change = |n: u32| {
        let (editor, name) = (editor.clone(), made.name.clone());
        async move {
            let changed =
                Agency { name, display_name: Some(format!("塞上社会工作服务中心{n}")), ..Agency::default() };
            editor.update(changed, &["display_name"]).await
        }
    };
    let answers = join_all((100..200).map(change)).await;
    let lost: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(lost.is_empty(), "{} of 100: {:?}", lost.len(), lost.first());
    let distinct: BTreeSet<_> = answers.into_iter().filter_map(|answer| answer.ok()?.noun.etag).collect();
    assert_eq!(distinct.len(), 100, "each wrote a version of its own");
}
