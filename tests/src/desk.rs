//! A clerk's desk: files, and the program with which they are sent to a node.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use calamine::{Data, Reader as _, Xlsx};
use qianshou_kernel::identity::Role;
use qianshou_proto::identity::v1 as identity;
use rust_xlsxwriter::{Format, Workbook};
use serde_json::Value;
use tokio::process::Command;

use crate::{Node, World, process::binary};

/// A clerk with a token of one node.
pub struct Desk {
    /// Where the files are.
    pub folder: PathBuf,
    node: String,
    ca: PathBuf,
    token: String,
}

/// What the program said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The most memory that it held, in KiB.
    pub memory_max_kib: u64,
}

impl Said {
    /// Its answer as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Rows created, changed, unchanged and refused.
    #[must_use]
    pub fn figures(&self) -> [u64; 4] {
        let answer = self.json();
        ["created", "changed", "unchanged", "refused"].map(|figure| answer[figure].as_u64().unwrap())
    }
}

impl World {
    /// A desk whose clerk may do this much at a node.
    pub async fn desk(&self, node: &Node, role: Role, area: &str) -> Desk {
        let asked = identity::CreateTokenRequest {
            display_name: Some(format!("{role} {area}")),
            role: identity::Role::from_str_name(&format!("ROLE_{}", role.as_str().to_uppercase())).map(Into::into),
            area: Some(area.to_owned()),
            ..Default::default()
        };
        let made = node.admin.identity().create_token(asked).await.unwrap().into_inner();
        let folder = self.folder(&format!("desk-{}-{area}", node.code));
        Desk { folder, node: node.address.clone(), ca: node.keys().ca_path, token: made.secret.unwrap() }
    }
}

impl Desk {
    /// A file's path.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A workbook: a merged title, then these rows.
    pub fn workbook(&self, name: &str, rows: &[Vec<&str>]) {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.merge_range(0, 0, 0, 4, "社会工作统计表", &Format::new().set_bold()).unwrap();
        for (line, row) in (1..).zip(rows) {
            for (column, cell) in (0..).zip(row) {
                sheet.write_string(line, column, *cell).unwrap();
            }
        }
        workbook.save(self.file(name)).unwrap();
    }

    /// Comma-separated text in GB18030.
    pub fn text(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), encoding_rs::GB18030.encode(text).0).unwrap();
    }

    /// Runs the program in the folder; watches how much memory it takes.
    pub async fn run(&self, arguments: &[&str]) -> Said {
        let child = Command::new(binary())
            .args(arguments)
            .current_dir(&self.folder)
            .env("QIANSHOU_NODE", &self.node)
            .env("QIANSHOU_CA", &self.ca)
            .env("QIANSHOU_TOKEN", &self.token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let status = PathBuf::from(format!("/proc/{}/status", child.id().unwrap()));
        let mut memory_max_kib = 0;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let output = child.wait_with_output();
        tokio::pin!(output);
        let output = loop {
            tokio::select! {
                output = &mut output => break output.unwrap(),
                _ = look.tick() => memory_max_kib = memory_max_kib.max(high_water_kib(&status)),
            }
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Said { code, out: text(output.stdout), err: text(output.stderr), memory_max_kib }
    }

    /// Imports a file; `--json` is said already.
    pub async fn import(&self, kind: &str, file: &str, further: &[&str]) -> Said {
        self.run(&[&["import", kind, file, "--json"], further].concat()).await
    }

    /// Exports into a file.
    ///
    /// # Panics
    /// If that fails.
    pub async fn export(&self, kind: &str, file: &str) {
        let said = self.run(&["export", kind, "-o", file]).await;
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// A sheet of a workbook as texts, by its number from 0.
    #[must_use]
    pub fn sheet(&self, file: &str, number: usize) -> Vec<Vec<String>> {
        let mut workbook: Xlsx<_> = calamine::open_workbook(self.file(file)).unwrap();
        let range = workbook.worksheet_range_at(number).unwrap().unwrap();
        range.rows().map(|row| row.iter().map(Data::to_string).collect()).collect()
    }
}

fn high_water_kib(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
