//! What became of divisions, read from eight lists with all their villages. The embedded file is what this answers; `QIANSHOU_WRITE=1`
//! writes it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    time::Instant,
};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use qianshou_proto::registry::v1::Division;
use qianshou_registry::{domain::history::derive, store::written_changes};

use super::Figure;
use crate::{Database, snapshots::intervals, source};

/// Reads all events from the lists.
///
/// # Panics
/// If the embedded file says something else.
pub fn history(_database: Database, _scale: f64) -> Vec<Figure> {
    let divisions: Vec<Division> = intervals().collect();
    let began = Instant::now();
    let events = derive(&divisions);
    let value = began.elapsed().as_secs_f64();
    let file = source::root().join("services/registry/data/changes.csv.gz");
    let written = written_changes(&events);
    if std::env::var_os("QIANSHOU_WRITE").is_some() {
        // Without a time in it, so that the same lists make the same file.
        let mut packed = GzBuilder::new().mtime(0).write(File::create(&file).unwrap(), Compression::best());
        packed.write_all(written.as_bytes()).unwrap();
        packed.finish().unwrap();
    }
    let mut embedded = String::new();
    GzDecoder::new(File::open(&file).unwrap()).read_to_string(&mut embedded).unwrap();
    assert!(embedded == written, "{} is not what the lists say: run again with QIANSHOU_WRITE=1", file.display());
    vec![Figure { bench: "history".into(), database: None, value, unit: "s", n: events.len() as u64 }]
}
