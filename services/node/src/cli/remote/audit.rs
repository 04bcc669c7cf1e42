//! `qianshou audit`: who did what, when, from where, and what came of it.

use std::{
    fs::OpenOptions,
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use qianshou_kernel::{
    clock::{day_of, format_day, parse_day},
    line::Line,
};
use qianshou_proto::audit::v1::{self as api, audit_service_client::AuditServiceClient};
use serde_json::json;

use super::{Answer, all, failed, print, told};
use crate::cli::{
    Connection,
    show::{self, columns},
};

#[derive(Subcommand)]
pub(in crate::cli) enum Audit {
    /// Lists lines, oldest first.
    List {
        #[command(flatten)]
        to: Connection,
        #[command(flatten)]
        wanted: Wanted,
        /// Lines at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Writes lines into a file, one JSON object a line.
    Export {
        #[command(flatten)]
        to: Connection,
        /// The file; it is there when it is whole.
        file: PathBuf,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Walks both chains. Exits 1 if a line was changed, removed or put elsewhere, and names the first.
    Verify {
        #[command(flatten)]
        to: Connection,
    },
}

/// Which lines.
#[derive(Args)]
pub(in crate::cli) struct Wanted {
    /// From this day on, such as 2026-01-31 (UTC+8).
    #[arg(long)]
    from: Option<String>,
    /// To the end of this day.
    #[arg(long)]
    until: Option<String>,
    /// Only of this actor, such as tokens/ID.
    #[arg(long)]
    actor: Option<String>,
    /// Only of this act, such as IdentityService/CreateToken.
    #[arg(long)]
    act: Option<String>,
}

const ENTRY: &str = "qianshou.audit.v1.AuditEntry";
const DAY_MS: i64 = 86_400_000;
/// China's midnight is so long before that of UTC.
const CHINA_MS: i64 = 8 * 3_600_000;
/// 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

/// When a day begins in China.
fn begins_ms(flag: &str, day: Option<&str>) -> Result<Option<i64>, String> {
    let Some(day) = day else { return Ok(None) };
    let parsed = parse_day(day).ok_or_else(|| format!("{flag}: 2026-01-31"))?;
    Ok(Some(i64::from(parsed.to_julian_day() - EPOCH_JULIAN_DAY) * DAY_MS - CHINA_MS))
}

impl Wanted {
    fn times(&self) -> Result<(Option<i64>, Option<i64>), String> {
        let until = begins_ms("--until", self.until.as_deref())?.map(|begins| begins + DAY_MS);
        Ok((begins_ms("--from", self.from.as_deref())?, until))
    }
}

impl Audit {
    pub(in crate::cli) async fn run(self) -> Answer {
        match self {
            Self::List { to, wanted, limit } => list(&to, wanted, limit).await,
            Self::Export { to, file, wanted } => export(&to, wanted, &file).await,
            Self::Verify { to } => verify(&to).await,
        }
    }
}

fn desk(to: &Connection) -> Result<AuditServiceClient<Line>, String> {
    Ok(AuditServiceClient::new(to.line().map_err(failed)?))
}

async fn list(to: &Connection, wanted: Wanted, limit: u32) -> Answer {
    let (from_ms, until_ms) = wanted.times()?;
    let mut asked = api::ListAuditEntriesRequest {
        from_ms,
        until_ms,
        actor: wanted.actor,
        act: wanted.act,
        page_size: None,
        page_token: None,
    };
    let mut entries = vec![];
    while entries.len() < limit as usize {
        asked.page_size = u32::try_from(limit as usize - entries.len()).ok();
        let page = desk(to)?.list_audit_entries(asked.clone()).await.map_err(told)?.into_inner();
        entries.extend(page.entries);
        asked.page_token = page.next_page_token.filter(|token| !token.is_empty());
        if asked.page_token.is_none() {
            break;
        }
    }
    print(to, || all(ENTRY, &entries), || entries_text(&entries));
    Ok(())
}

/// Written beside and renamed at the end, so that a file by this name is whole.
async fn export(to: &Connection, wanted: Wanted, file: &Path) -> Answer {
    let (from_ms, until_ms) = wanted.times()?;
    let asked = api::ExportAuditEntriesRequest { from_ms, until_ms, actor: wanted.actor, act: wanted.act };
    let mut stream = desk(to)?.export_audit_entries(asked).await.map_err(told)?.into_inner();
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let unwritten = |cause: std::io::Error| format!("{}: {cause}", file.display());
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let mut to_file = BufWriter::new(opened.map_err(unwritten)?);
    let mut lines = 0;
    while let Some(part) = stream.message().await.map_err(told)? {
        for entry in &part.entries {
            writeln!(to_file, "{}", show::message(ENTRY, entry)).map_err(unwritten)?;
        }
        lines += part.entries.len();
    }
    let written = to_file.into_inner().map_err(|cause| unwritten(cause.into_error()))?;
    written.sync_all().map_err(unwritten)?;
    std::fs::rename(&beside, file).map_err(unwritten)?;
    let shown = file.display();
    print(to, || json!({"file": shown.to_string(), "lines": lines}), || format!("{lines} → {shown}"));
    Ok(())
}

async fn verify(to: &Connection) -> Answer {
    let mut stream = desk(to)?.verify_audit(api::VerifyAuditRequest {}).await.map_err(told)?.into_inner();
    let mut last = api::VerifyAuditResponse::default();
    while let Some(step) = stream.message().await.map_err(told)? {
        if !to.json && step.sound.is_none() {
            eprintln!("{}/{}", step.walked(), step.total());
        }
        last = step;
    }
    let log =
        |last: &api::VerifyAuditResponse| last.log().as_str_name().trim_start_matches("AUDIT_LOG_").to_lowercase();
    if to.json {
        println!("{}", show::message("qianshou.audit.v1.VerifyAuditResponse", &last));
    }
    match last.sound {
        Some(true) if to.json => Ok(()),
        Some(true) => {
            println!("审计日志完整 | the audit is whole: {}", last.walked());
            Ok(())
        }
        Some(false) => Err(format!(
            "{} {}：{} | {} {}: {}",
            log(&last),
            last.number(),
            last.reason_zh(),
            log(&last),
            last.number(),
            last.reason_en()
        )),
        None => Err("核验中断，请重试 | the walk did not come to its end; try again".to_owned()),
    }
}

fn entries_text(entries: &[api::AuditEntry]) -> String {
    let row = |entry: &api::AuditEntry| {
        let log = entry.log().as_str_name().trim_start_matches("AUDIT_LOG_").to_lowercase();
        let count = if entry.count() == 1 { String::new() } else { format!("×{}", entry.count()) };
        let who = format!("{} {} {}", entry.actor(), entry.role(), entry.area()).trim_end().to_owned();
        let texts = [entry.address(), entry.act(), entry.target(), entry.outcome(), entry.detail()];
        let mut row = vec![format!("{log} {}", entry.number()), instant(entry.at_ms()), who];
        row.extend(texts.map(str::to_owned));
        row.push(count);
        row
    };
    let head = ["line", "at (UTC+8)", "who", "from", "act", "target", "outcome", "detail", "count"];
    columns(&head, &entries.iter().map(row).collect::<Vec<_>>())
}

/// `2026-01-31 08:00:00` in China.
fn instant(ms: i64) -> String {
    let second = (ms + CHINA_MS).div_euclid(1_000).rem_euclid(86_400);
    format!("{} {:02}:{:02}:{:02}", format_day(day_of(ms)), second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_china() {
        assert_eq!(begins_ms("--from", Some("2023-11-15")), Ok(Some(1_699_977_600_000)));
        assert_eq!(instant(1_699_977_600_000), "2023-11-15 00:00:00");
        assert!(begins_ms("--from", Some("15.11.2023")).is_err());
    }
}
