//! The journal of erasures: a file outside of the database and of its backups, one line of JSON each, on the disk before the commit. It
//! holds names of records, the reason, the clause, who and when, and nothing of a person. What was begun and has no outcome is
//! finished at the next start; a database that is restored from before is erased again by all of it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    files::close_to_others,
};

/// Where it is.
#[derive(Clone, Debug)]
pub struct Journal(PathBuf);

/// An erasure that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Its id, by which its outcome is told.
    pub id: String,
    /// The records' names.
    pub erase: Vec<String>,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The clause it follows from.
    pub clause: String,
}

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is in the ledger.
    Done,
    /// It was refused, and nothing was erased.
    Void,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Begun(Begun),
    Ended { id: String, outcome: Outcome },
}

impl Journal {
    /// The journal in this file, which need not be there yet.
    #[must_use]
    pub fn at(file: PathBuf) -> Self {
        Self(file)
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// Writes down that an erasure begins. It is on the disk when this answers.
    pub fn begin(&self, begun: &Begun) -> Result<()> {
        self.append(&Line::Begun(begun.clone()))
    }

    /// Writes down what came of it.
    pub fn end(&self, id: &str, outcome: Outcome) -> Result<()> {
        self.append(&Line::Ended { id: id.to_owned(), outcome })
    }

    /// Every erasure in it that was not void, with whether its outcome is known. A line that a crash cut off was never acted on.
    pub fn read(&self) -> Result<Vec<(Begun, bool)>> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(cause) => return Err(self.wrong(&cause)),
        };
        let mut all: Vec<(Begun, Option<Outcome>)> = vec![];
        let count = text.split('\n').count();
        for (i, line) in text.split('\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line::Begun(begun)) => all.push((begun, None)),
                Ok(Line::Ended { id, outcome }) => {
                    let of = all.iter_mut().filter(|(begun, _)| begun.id == id);
                    of.for_each(|(_, known)| *known = Some(outcome));
                }
                Err(_) if i + 1 == count => {}
                Err(cause) => return Err(self.wrong(&format!("line {}: {cause}", i + 1))),
            }
        }
        let standing = all.into_iter().filter(|(_, outcome)| *outcome != Some(Outcome::Void));
        Ok(standing.map(|(begun, outcome)| (begun, outcome.is_some())).collect())
    }

    /// Takes over what another journal says.
    pub fn take_over(&self, other: &Self) -> Result<()> {
        for (begun, is_known) in other.read()? {
            self.begin(&begun)?;
            if is_known {
                self.end(&begun.id, Outcome::Done)?;
            }
        }
        Ok(())
    }

    fn append(&self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|cause| Error::Broken(Box::new(cause)))?;
        self.write(&text).map_err(|cause| self.wrong(&cause))
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        let is_new = !self.0.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.0)?;
        close_to_others(&self.0)?;
        // What a crash cut off was never acted on, and would spoil the next line.
        let mut held = vec![];
        file.read_to_end(&mut held)?;
        let whole = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < held.len() {
            file.set_len(whole as u64)?;
        }
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()?;
        if let (true, Some(folder)) = (is_new, self.0.parent()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn wrong(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::broken(format!("the journal of erasures {}: {cause}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn begun(id: &str) -> Begun {
        Begun {
            id: id.into(),
            erase: vec![format!("nodes/64/workers/{id}")],
            at_ms: 1,
            by: "tokens/1".into(),
            reason: "本人申请".into(),
            clause: "第四十七条".into(),
        }
    }

    #[test]
    fn what_was_begun_is_known_whatever_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::at(folder.path().join("erasures.jsonl"));
        assert_eq!(journal.read().unwrap(), []);
        for id in ["a", "b", "c"] {
            journal.begin(&begun(id)).unwrap();
        }
        journal.end("a", Outcome::Done).unwrap();
        journal.end("b", Outcome::Void).unwrap();
        let mode = std::fs::metadata(journal.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let expected = vec![(begun("a"), true), (begun("c"), false)];
        assert_eq!(journal.read().unwrap(), expected);

        // A crash cut the next line off: it was not acted on, and the lines after it stand.
        let mut file = OpenOptions::new().append(true).open(journal.file()).unwrap();
        file.write_all(br#"{"id":"d","erase":["#).unwrap();
        assert_eq!(journal.read().unwrap(), expected);
        journal.end("c", Outcome::Done).unwrap();
        let other = Journal::at(folder.path().join("other.jsonl"));
        other.take_over(&journal).unwrap();
        assert_eq!(other.read().unwrap(), [(begun("a"), true), (begun("c"), true)]);

        std::fs::write(journal.file(), "no line\n{}\n").unwrap();
        assert!(format!("{:?}", journal.read().unwrap_err()).contains("line 1"));
    }
}
