//! `qianshou table`: indicators for an area at a date or over a period.

use clap::Args;
use qianshou_proto::reporting::v1::{self as reporting, reporting_service_client::ReportingServiceClient};

use super::{Answer, failed, print, told};
use crate::{
    cli::{Connection, show},
    sheet::read::guarded,
};

#[derive(Args)]
pub(in crate::cli) struct Table {
    #[command(flatten)]
    to: Connection,
    /// Indicators, such as certified_total.
    #[arg(required = true)]
    indicators: Vec<String>,
    /// The area: 2, 4, 6, 9 or 12 digits; 00 is the nation.
    #[arg(long)]
    area: String,
    /// At this day.
    #[arg(long, conflicts_with = "period")]
    at: Option<String>,
    /// Over this period: 2023, 2023H1, 2023Q2, 2023-05.
    #[arg(long)]
    period: Option<String>,
    /// Broken down by these dimensions.
    #[arg(long, value_delimiter = ',')]
    by: Vec<String>,
    /// The whole table on the boundaries of this day, its coverage by that day's list of divisions.
    #[arg(long)]
    divisions_at: Option<String>,
    /// Only the divisions that carry this tag on the day: KEY_COUNTY, RELOCATION.
    #[arg(long, conflicts_with = "divisions_at")]
    tag: Option<String>,
    /// Print CSV.
    #[arg(long)]
    csv: bool,
}

impl Table {
    pub(in crate::cli) async fn run(self) -> Answer {
        let asked = reporting::ReadTableRequest {
            indicators: self.indicators,
            area: Some(self.area),
            at: self.at,
            period: self.period,
            by: self.by,
            min_position: None,
            divisions_at: self.divisions_at,
            tag: self.tag,
        };
        let mut client = ReportingServiceClient::new(self.to.line().map_err(failed)?);
        let cells = client.read_table(asked).await.map_err(told)?.into_inner().cells;
        if self.csv {
            return write_csv(&cells);
        }
        print(&self.to, || cells.iter().map(show::cell).collect(), || show::cells(&cells));
        Ok(())
    }
}

fn write_csv(cells: &[reporting::Cell]) -> Answer {
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    let broken = |e: csv::Error| e.to_string();
    writer.write_record(["indicator", "area", "at", "by", "value", "unit", "status"]).map_err(broken)?;
    for cell in cells {
        let shown = show::cell(cell);
        let text = |key: &str| {
            shown[key].as_str().map_or_else(
                || if shown[key].is_null() { String::new() } else { shown[key].to_string() },
                str::to_owned,
            )
        };
        let by: Vec<String> = cell.by.iter().map(|d| format!("{}={}", d.key(), d.value())).collect();
        let at = if cell.at.is_some() { text("at") } else { text("period") };
        writer
            .write_record([
                text("indicator"),
                text("area"),
                at,
                guarded(&by.join(";")),
                text("value"),
                text("unit"),
                text("status"),
            ])
            .map_err(broken)?;
    }
    writer.flush().map_err(|e| e.to_string())
}
