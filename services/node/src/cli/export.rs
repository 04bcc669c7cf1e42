//! `export KIND`: what a running node holds, as a spreadsheet; `export --template KIND`: an empty one to fill in.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use qianshou_kernel::error::Error;
use serde_json::json;

use super::{Connection, import::SOME_REFUSED};
use crate::sheet::{
    self,
    export::{Export, Exported},
    template,
};

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    to: Connection,
    /// divisions, agencies, stations, workers, certificates, posts …
    #[arg(required_unless_present = "template")]
    kind: Option<String>,
    /// Only this area: 2, 4, 6, 9 or 12 digits.
    #[arg(long)]
    area: Option<String>,
    /// Only what lies in divisions that carry this tag today: KEY_COUNTY, RELOCATION.
    #[arg(long)]
    tag: Option<String>,
    /// An .xlsx or .csv; absent: CSV on standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// A template of this kind instead, with a filled example; absent -o: KIND-template.xlsx.
    #[arg(long, value_name = "KIND", conflicts_with_all = ["kind", "area", "tag"])]
    template: Option<String>,
}

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode, String> {
        let text = |error: Error| error.to_string();
        if let Some(kind) = &self.template {
            let described = sheet::kind(kind).map_err(text)?;
            let file = self.output.unwrap_or_else(|| PathBuf::from(format!("{kind}-template.xlsx")));
            template::write(&file, described.sheet).map_err(text)?;
            println!("{}", file.display());
            return Ok(ExitCode::SUCCESS);
        }
        let described = sheet::kind(self.kind.as_deref().unwrap_or_default()).map_err(text)?;
        let export = Export { described, area: self.area, tag: self.tag, file: self.output.as_deref() };
        let Exported { rows, left, first } = export.run(self.to.line().map_err(text)?).await?;
        first.iter().for_each(|told| eprintln!("{told}"));
        match &self.output {
            Some(file) if self.to.json => {
                println!(
                    "{}",
                    json!({"kind": described.kind.collection, "rows": rows, "left": left, "file": file.display().to_string()})
                );
            }
            Some(file) => println!("{rows} 行 | rows: {}", file.display()),
            None => {}
        }
        if left > 0 {
            eprintln!("未导出 {left} 条 | {left} records left out");
        }
        Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
    }
}
