//! `import KIND FILE`: a spreadsheet into a running node.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use qianshou_kernel::error::{Error, Reason};
use serde_json::{Value, json};

use super::{Connection, show};
use crate::sheet::{self, import::Import, receipt::Summary};

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    to: Connection,
    /// divisions, agencies, stations, workers, certificates, posts …
    kind: String,
    /// An .xlsx, a .csv (UTF-8 or GB18030) or a .csv.gz.
    file: PathBuf,
    /// Say what would become of each row, and save nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write the same rows with what became of each: .xlsx or .csv.
    #[arg(long)]
    receipt: Option<PathBuf>,
}

/// Some rows were refused, or left out.
pub(super) const SOME_REFUSED: u8 = 3;

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode, String> {
        let text = |error: Error| error.to_string();
        let described = sheet::kind(&self.kind).map_err(text)?;
        let line = self.to.line().map_err(text)?;
        let import = Import { described, file: &self.file, dry: self.dry_run, receipt: self.receipt.as_deref() };
        let summary = import.run(line).await?;
        self.explain(&summary, described.called());
        if self.to.json {
            println!("{}", self.json(&summary));
        } else {
            println!("{}", self.text(&summary));
        }
        Ok(if summary.refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
    }

    fn explain(&self, summary: &Summary, asked: &str) {
        if summary.kind != asked {
            eprintln!("该文件按另一方的一半导入 | the file was taken as the other half: {}", summary.kind);
        }
        if !summary.columns_left.is_empty() {
            eprintln!("未读取的列 | columns that were not read: {}", show::seen(&summary.columns_left.join("、")));
        }
        if !summary.sheets_left.is_empty() {
            eprintln!("未读取的工作表 | sheets that were not read: {}", show::seen(&summary.sheets_left.join("、")));
        }
        summary.first.iter().for_each(|refused| eprintln!("{}", show::seen(&refused.to_string())));
        match &self.receipt {
            Some(receipt) if summary.refused > 0 => {
                eprintln!("全部原因见回执 | every reason is in the receipt: {}", receipt.display());
            }
            None if summary.refused > 0 => {
                eprintln!("加 --receipt 回执.xlsx 可得到每一行的结果 | --receipt OUT.xlsx tells of every row");
            }
            _ => {}
        }
    }

    fn text(&self, summary: &Summary) -> String {
        let Summary { rows, created, changed, unchanged, refused, .. } = summary;
        let dry = if self.dry_run { "（试运行，未写入 | dry run, nothing saved）" } else { "" };
        format!(
            "{rows} 行：新增 {created}，变更 {changed}，未变 {unchanged}，拒绝 {refused}{dry} | \
             {rows} rows: {created} created, {changed} changed, {unchanged} unchanged, {refused} refused"
        )
    }

    fn json(&self, summary: &Summary) -> Value {
        let reason = |((header, reason), count): (&(String, i32), &u64)| {
            let name = Reason::try_from(*reason).unwrap_or_default().as_str_name();
            json!({"column": header, "reason": name.trim_start_matches("ERROR_REASON_"), "count": count})
        };
        json!({
            "kind": summary.kind, "rows": summary.rows, "created": summary.created, "changed": summary.changed,
            "unchanged": summary.unchanged, "refused": summary.refused, "dry_run": self.dry_run,
            "reasons": summary.reasons.iter().map(reason).collect::<Vec<_>>(),
            "columns_left": summary.columns_left, "sheets_left": summary.sheets_left,
            "receipt": self.receipt.as_ref().map(|file| file.display().to_string()),
        })
    }
}
