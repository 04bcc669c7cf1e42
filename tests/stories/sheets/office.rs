//! LibreOffice opens every workbook that is written, and reads in it what was meant.

use std::path::Path;

use qianshou::node::kinds;
use qianshou_kernel::identity::Role;
use qianshou_proto::registry::v1::Agency;
use qianshou_tests::{Database, World, run, sample::agency};
use tokio::process::Command;

#[test]
fn an_office_program_opens_every_workbook() {
    run(Database::Sqlite, story);
}

async fn story(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let formula = Agency { display_name: Some("=1+1".into()), ..agency(1) };
    ningxia.admin.put(vec![formula, agency(2)]).await.unwrap();
    let mut files = vec!["agencies.xlsx".to_owned(), "receipt.xlsx".to_owned()];
    desk.export("agencies", "agencies.xlsx").await;
    let said = desk.import("agencies", "agencies.xlsx", &["--receipt", "receipt.xlsx"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    for kind in kinds().iter().map(|kind| kind.collection) {
        let said = desk.run(&["export", "--template", kind]).await;
        files.push(said.out.trim().to_owned());
    }
    convert(&desk.folder, &files).await;
    let read = |name: &str| std::fs::read_to_string(desk.file("converted").join(name)).unwrap();
    let exported = desk.run(&["export", "agencies"]).await.out;
    assert_eq!(
        read("agencies.csv").replace('"', ""),
        exported.replace("'=1+1", "=1+1"),
        "texts and days as they were meant"
    );
    assert!(read("receipt.csv").lines().skip(1).all(|line| line.ends_with("未变\"")), "{}", read("receipt.csv"));
    for kind in kinds() {
        let template = read(&format!("{}-template.csv", kind.collection));
        for column in kind.sheet.unwrap().columns {
            assert!(template.contains(column.header) && template.contains(column.example), "{template}");
        }
    }
}

async fn convert(folder: &Path, files: &[String]) {
    let profile = format!("-env:UserInstallation=file://{}", folder.join("profile").display());
    let made = Command::new("soffice")
        .args([
            &profile,
            "--headless",
            "--convert-to",
            "csv:Text - txt - csv (StarCalc):44,34,76,1",
            "--outdir",
            "converted",
        ])
        .args(files)
        .current_dir(folder)
        .output()
        .await;
    let made =
        made.expect("there is no soffice: tests/run installs it (Debian: apt-get install libreoffice-calc-nogui)");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    for file in files {
        let csv = Path::new(file).with_extension("csv");
        assert!(folder.join("converted").join(&csv).is_file(), "{file} was not opened: {said}");
    }
}
