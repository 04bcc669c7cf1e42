//! Import: rows in batches through BatchPut, and what became of each. Bad rows are asked too, so that a row carries every reason, those of
//! this side and those of the node.

use std::path::{Path, PathBuf};

use prost_reflect::DynamicMessage;
use qianshou_kernel::{
    clock::Clock,
    error::{Error, Reason, Result, Violation, said},
    id::Ids,
    line::Line,
};
use qianshou_proto::common::v1::{PutOutcome, PutState};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Described, Row,
    client::{Batch, Client},
    header::{HEADER_WITHIN_ROWS, Layout},
    of_file,
    progress::Progress,
    read::{self, Opened},
    receipt::{Receipt, Summary, Verdict, Words},
    row::{Parsed, Reader},
};

/// Rows of one batch; more than a header row may be far down.
const BATCH_ROWS: usize = 1_000;
/// Bytes of one batch, once it holds the rows that a header may be among.
const BATCH_BYTES: usize = 8 << 20;
/// Batches that are read ahead.
const AHEAD: usize = 2;

/// What is asked.
pub(crate) struct Import<'a> {
    pub(crate) described: Described,
    pub(crate) file: &'a Path,
    /// Only say what would be.
    pub(crate) dry: bool,
    pub(crate) receipt: Option<&'a Path>,
}

/// An import under way.
struct Running<'a> {
    client: Client,
    reader: Reader,
    described: Described,
    receipt: Option<Receipt>,
    summary: Summary,
    dry: bool,
    /// Of this run and this file; the batch's number follows.
    request: String,
    progress: &'a mut Progress,
}

impl Import<'_> {
    /// Imports the file.
    ///
    /// # Errors
    /// In words, if the file cannot be read or the node does not take a batch; what was taken before stays, and the same again is harmless.
    pub(crate) async fn run(self, line: Line) -> Result<Summary, String> {
        let text = |error: Error| error.to_string();
        if self.receipt.is_some_and(|receipt| same(receipt, self.file)) {
            let detail = "a file beside it, not the file itself | 另一个文件，不能覆盖原文件";
            return Err(text(Error::refused("--receipt", Reason::Malformed, detail)));
        }
        let opened = read::open(self.file).map_err(text)?;
        let (mut blocks, reading) = blocks(opened.clone(), self.file.to_owned());
        let mut progress = Progress::new();
        let done = self.take(line, &opened, &mut blocks, &mut progress).await;
        drop(blocks);
        progress.finish();
        // Why there were no more rows goes before what that led to.
        reading.await.map_err(|cause| cause.to_string())?.map_err(text)?;
        done
    }

    async fn take(
        &self,
        line: Line,
        opened: &Opened,
        blocks: &mut mpsc::Receiver<Vec<Row>>,
        progress: &mut Progress,
    ) -> Result<Summary, String> {
        let text = |error: Error| error.to_string();
        let mut first = blocks.recv().await.unwrap_or_default();
        let described = self.described.of(&first).map_err(text)?;
        let client = Client::new(line, &described.kind).map_err(text)?;
        let layout = Layout::find(self.file, described.sheet, &first).map_err(text)?;
        let rows = first.split_off(layout.at + 1);
        let begin = |file| Receipt::begin(file, opened, described.sheet, &layout, &first);
        let receipt = self.receipt.map(begin).transpose().map_err(text)?;
        let (columns_left, sheets_left) = (layout.unknown.clone(), opened.left.clone());
        let digest = hex::encode(&opened.digest[..8]);
        let reader = Reader::new(described, layout).ok_or("no such message in the contract")?;
        let mut running = Running {
            client,
            reader,
            described,
            receipt,
            summary: Summary { kind: described.called(), columns_left, sheets_left, ..Summary::default() },
            dry: self.dry,
            request: format!("{digest}-{}", Ids::random(Clock::system()).fresh()),
            progress,
        };
        let mut next = Some(rows);
        for batch in 0.. {
            let Some(rows) = next else { break };
            running.batch(batch, rows).await?;
            next = blocks.recv().await;
        }
        if let Some(receipt) = running.receipt {
            receipt.finish(&running.summary).map_err(text)?;
        }
        Ok(running.summary)
    }
}

impl Running<'_> {
    async fn batch(&mut self, batch: u64, rows: Vec<Row>) -> Result<(), String> {
        let count = rows.len() as u64;
        let mut verdicts: Vec<Option<Verdict>> = vec![None; rows.len()];
        let (mut good, mut bad) = (Part::default(), Part::default());
        for (at, row) in rows.iter().enumerate() {
            let Some(Parsed { message, violations }) = self.reader.read(row) else { continue };
            if violations.is_empty() { &mut good } else { &mut bad }.add(at, message, violations);
        }
        let paths = self.reader.paths();
        for (part, dry) in [(good, self.dry), (bad, true)] {
            if part.messages.is_empty() {
                continue;
            }
            let id = if dry { String::new() } else { format!("{}-{batch}", self.request) };
            let batch = Batch { records: &part.messages, paths: &paths, request_id: &id, dry };
            let outcomes = self.client.put(batch).await.map_err(|status| said(&status))?;
            for ((at, violations), outcome) in part.rows.into_iter().zip(outcomes) {
                verdicts[at] = Some(verdict(violations, outcome));
            }
        }
        let words = Words { sheet: self.described.sheet, layout: self.reader.layout() };
        for (row, verdict) in rows.into_iter().zip(verdicts) {
            if let Some(verdict) = &verdict {
                self.summary.count(&row, verdict, &words);
            }
            if let Some(receipt) = &mut self.receipt {
                receipt.row(row, verdict.as_ref(), &words).map_err(|error| error.to_string())?;
            }
        }
        self.progress.add(count);
        Ok(())
    }
}

/// Rows that go in one call.
#[derive(Default)]
struct Part {
    messages: Vec<DynamicMessage>,
    rows: Vec<(usize, Vec<Violation>)>,
}

impl Part {
    fn add(&mut self, at: usize, message: DynamicMessage, violations: Vec<Violation>) {
        self.messages.push(message);
        self.rows.push((at, violations));
    }
}

/// What this side found, and what the node says to the rest.
fn verdict(mut found: Vec<Violation>, outcome: PutOutcome) -> Verdict {
    let state = outcome.state();
    for violation in outcome.violations {
        // What could not be read is not sent, and then missed.
        if !found.iter().any(|known| known.field == violation.field()) || violation.field().is_empty() {
            found.push(Violation {
                reason: violation.reason(),
                zh: violation.message_zh().to_owned(),
                en: violation.message_en().to_owned(),
                field: violation.field.unwrap_or_default(),
            });
        }
    }
    match state {
        _ if !found.is_empty() => Verdict::Refused(found),
        PutState::Created => Verdict::Created,
        PutState::Updated => Verdict::Changed,
        PutState::Unchanged => Verdict::Unchanged,
        PutState::Unspecified | PutState::Refused => Verdict::Refused(vec![Violation::new("", Reason::Internal, "")]),
    }
}

/// Reads a file on a thread of its own, some blocks ahead.
fn blocks(opened: Opened, file: PathBuf) -> (mpsc::Receiver<Vec<Row>>, JoinHandle<Result<()>>) {
    let (send, receive) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || {
        let mut block = Vec::with_capacity(BATCH_ROWS);
        let (mut listens, mut bytes) = (true, 0);
        let read = opened.read(&file, &mut |row| {
            bytes += row.bytes();
            block.push(row);
            if block.len() == BATCH_ROWS || bytes > BATCH_BYTES && block.len() > HEADER_WITHIN_ROWS {
                bytes = 0;
                listens = send.blocking_send(std::mem::replace(&mut block, Vec::with_capacity(BATCH_ROWS))).is_ok();
            }
            if listens { Ok(()) } else { Err(of_file(&file, Reason::Unavailable, "")) }
        });
        // Nobody listens any more: why, the listener says.
        if !listens {
            return Ok(());
        }
        read?;
        drop(send.blocking_send(block));
        Ok(())
    });
    (receive, reading)
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
