//! Records for tests, written as short as they can be.

use prost::Message;
use qianshou_kernel::{clock::parse_day, id::Name};
use qianshou_proto::registry::v1::{
    Agency, Assessment, Assignment, Certificate, CertificateLevel, Employment, Post, Recognition, RecognitionKind,
    Sector, Station, StationType, Worker,
};

use super::record::Record;

pub(crate) fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|t| !t.is_empty())
}

pub(crate) fn name(kind: &str, id: &str) -> String {
    Name::of("64", kind, id).to_string()
}

pub(crate) fn worker(division: &str, since: &str, until: &str) -> Worker {
    Worker {
        division: text(division),
        since: text(since),
        until: text(until),
        sector: Some(Sector::Agency.into()),
        ..Worker::default()
    }
}

/// Serves at a station as a professional.
pub(crate) fn professional(station: &str, since: &str, until: &str) -> Worker {
    let assignment = Some(Assignment::Professional.into());
    Worker { station: Some(name("stations", station)), assignment, ..worker("640104", since, until) }
}

/// An employment at a station as a professional.
pub(crate) fn employment(station: &str, since: &str, until: &str) -> Employment {
    Employment {
        worker: Some(name("workers", "w")),
        station: Some(name("stations", station)).filter(|_| !station.is_empty()),
        assignment: Some(Assignment::Professional.into()),
        since: text(since),
        until: text(until),
        ..Employment::default()
    }
}

/// A station is a demonstration station of this level.
pub(crate) fn demonstration(station: &str, level: &str, recognised_on: &str, withdrawn_on: &str) -> Recognition {
    Recognition {
        station: Some(name("stations", station)).filter(|_| !station.is_empty()),
        kind: Some(RecognitionKind::Demonstration.into()),
        level: text(level),
        recognised_on: text(recognised_on),
        withdrawn_on: text(withdrawn_on),
        ..Recognition::default()
    }
}

/// So many of the six haves were found.
pub(crate) fn assessment(station: &str, haves: i32, assessed_on: &str, expires_on: &str) -> Assessment {
    Assessment {
        station: Some(name("stations", station)),
        six_haves: (1..=haves).collect(),
        assessed_on: text(assessed_on),
        expires_on: text(expires_on),
        ..Assessment::default()
    }
}

pub(crate) fn post(division: &str, count: u32, since: &str, ended_on: &str) -> Post {
    Post {
        division: text(division),
        category: text("管理"),
        count: Some(count).filter(|count| *count > 0),
        since: text(since),
        ended_on: text(ended_on),
        ..Post::default()
    }
}

pub(crate) fn certificate(
    worker: &str,
    level: CertificateLevel,
    issued_on: &str,
    registered_until: &str,
) -> Certificate {
    Certificate {
        worker: Some(name("workers", worker)),
        level: Some(level.into()),
        issued_on: text(issued_on),
        registered_until: text(registered_until),
        ..Certificate::default()
    }
}

pub(crate) fn station(kind: StationType, division: &str, opened_on: &str, closed_on: &str) -> Station {
    Station {
        r#type: Some(kind.into()),
        division: text(division),
        opened_on: text(opened_on),
        closed_on: text(closed_on),
        ..Station::default()
    }
}

pub(crate) fn agency(division: &str, founded_on: &str) -> Agency {
    Agency { division: text(division), founded_on: text(founded_on), ..Agency::default() }
}

/// A record of node 64.
pub(crate) fn record(kind: &str, id: &str, message: &impl Message) -> Record {
    Record::new(Name::of("64", kind, id), message.encode_to_vec().into(), None)
}

/// A record that contributes until a day.
pub(crate) fn cut(record: &Record, message: &impl Message, on: &str) -> Record {
    let name: Name = record.name().parse().unwrap();
    Record::new(name, message.encode_to_vec().into(), parse_day(on))
}
